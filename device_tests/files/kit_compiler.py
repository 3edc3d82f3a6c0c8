"""Compiles the programs of C++ kits with the runtimes that Python packages bring; ncnn must be built from its sources.

The environment variable ``CLEARPORT_NCNN`` names the folder where it was installed: build the archive that PyPI has of
the package's version, then ``cmake --install build --prefix FOLDER``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

STRICT = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror")


def missing(target: str) -> str:
    """Why no C++ kit for ``target`` can be built here; empty: it can."""
    if target == "ncnn":
        place = os.environ.get("CLEARPORT_NCNN", "")
        found = bool(place) and (Path(place) / "lib" / "libncnn.a").is_file()
        return "" if found else "CLEARPORT_NCNN does not name an installed ncnn (lib/libncnn.a, include/ncnn/net.h)"
    package = {"tflite": "ai_edge_litert"}.get(target, target)
    return "" if importlib.util.find_spec(package) else f"the package {package} is not installed"


def compiled(folder: Path, target: str, source: str = "selftest.cpp") -> Path:
    """The program of ``source`` in the kit ``folder``, with warnings as errors."""
    program = folder / "program"
    line = ["g++", *STRICT, source, "-o", program.name, *_FLAGS[target](folder)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def _of_litert(_: Path) -> list[str]:
    library = _package("ai_edge_litert")
    return [str(library / "libLiteRt.so"), f"-Wl,-rpath,{library}"]


def _of_onnxruntime(folder: Path) -> list[str]:
    """The package's library lacks the name that programs look for: it is given it in the kit's folder."""
    (library,) = (_package("onnxruntime") / "capi").glob("libonnxruntime.so.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(library)
    return ["libonnxruntime.so", f"-Wl,-rpath,{folder}"]


def _of_openvino(_: Path) -> list[str]:
    package = _package("openvino")
    (library,) = (package / "libs").glob("libopenvino.so.*")
    return ["-isystem", str(package / "include"), str(library), f"-Wl,-rpath,{library.parent}"]


def _of_ncnn(_: Path) -> list[str]:
    place = Path(os.environ["CLEARPORT_NCNN"])
    return ["-isystem", str(place / "include" / "ncnn"), str(place / "lib" / "libncnn.a"), "-fopenmp", "-pthread"]


_FLAGS = {"tflite": _of_litert, "onnxruntime": _of_onnxruntime, "openvino": _of_openvino, "ncnn": _of_ncnn}

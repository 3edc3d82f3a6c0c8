"""Rockchip's toolkit for its NPUs, ``rknn-toolkit2``: its chips, and the Python that has it.

It is proprietary and requires versions of numpy, onnx and protobuf that conflict with clearport's, so clearport's
process never imports it. ``CLEARPORT_RKNN_PYTHON`` names a separate Python that has it (``INSTALL``).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from clearport.errors import BadInput, RuntimeFailure
from clearport.runtime.other_python import named_python

FAMILY = "rknn"
PACKAGE = "rknn-toolkit2"
VARIABLE = "CLEARPORT_RKNN_PYTHON"
CHIPS = {
    "rk3562": "RK3562",
    "rk3566": "RK3566",
    "rk3568": "RK3568",
    "rk3576": "RK3576",
    "rk3588": "RK3588",
    "rv1106": "RV1106, int8 only",
    "rv1126b": "RV1126B",
}
"""The toolkit's name of a chip -> title. It supports others (RK2118, RV1103), which were not tested."""
PYTHONS = ((3, 11), (3, 12))
"""The toolkit has wheels up to 3.12; the worker needs 3.11."""
NEEDS = {
    "torch": "==2.13.0",
    "numpy": "<=1.26.4",
    "onnx": "<=1.18",
    "protobuf": "<=4.25.4",
    "setuptools": "<80",
    "onnxruntime": "==1.22.0",
    "scipy": "<1.16",
    "opencv-python-headless": "<4.12",
    "psutil": "",
    "ruamel.yaml": "",
    "tqdm": "",
    "fast-histogram": "",
}
"""Its imports, in versions that work. Its own requirements list an older PyTorch, hence ``--no-deps``."""
INSTALL = (
    "python3.11 -m venv rknn",
    f"rknn/bin/pip install {' '.join(repr(name + version) if version else name for name, version in NEEDS.items())}",
    f"rknn/bin/pip install --no-deps {PACKAGE}==2.5.0",
    f"export {VARIABLE}=$PWD/rknn/bin/python",
)
_ASK = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps({"python": sys.version_info[:2], "versions": found}))
"""
_ASK_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Environment:
    """The toolkit's Python and its packages, or the reason that it cannot be used, with a remedy."""

    python: str = ""
    version: str = ""
    obstacle: str | None = None


def chip(address: str) -> str:
    """The chip of an address, ``rknn:rk3588``.

    Raises:
        BadInput: another family, or an unknown chip.
    """
    family, _, which = address.partition(":")
    if family != FAMILY:
        raise BadInput(f"{address}: expected {FAMILY}:rk3588 or another chip")
    name = which.lower()
    if name not in CHIPS:
        raise BadInput(f"{address}: unknown chip; available: {', '.join(CHIPS)}")
    return name


def environment() -> Environment:
    """The Python named by the variable, and its packages."""
    if not sys.platform.startswith("linux"):
        return Environment(obstacle=f"{PACKAGE} exists for Linux only")
    try:
        named = named_python(VARIABLE, PACKAGE)
        if named is None:
            return Environment(obstacle=f"{PACKAGE} lives in a Python of its own, which {VARIABLE} names: {_how()}")
        python, versions = _ask(named)
    except (BadInput, RuntimeFailure) as error:
        return Environment(obstacle=f"{error}; to make one: {_how()}")
    if lacking := _lacking(python, versions):
        return Environment(obstacle=f"{VARIABLE}={named}: {lacking}; to make one: {_how()}")
    return Environment(python=named, version=str(versions[PACKAGE]))


def _lacking(python: tuple[int, int], versions: Mapping[str, str | None]) -> str:
    absent = [name for name, version in versions.items() if version is None]
    if python not in PYTHONS:
        return f"it is Python {_dotted(python)}, expected {' or '.join(map(_dotted, PYTHONS))}"
    return f"it has no {', '.join(absent)}" if absent else ""


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _ask(python: str) -> tuple[tuple[int, int], dict[str, str | None]]:
    """The version of an interpreter, and of each required distribution (None: missing)."""
    try:
        done = subprocess.run(
            (python, "-I", "-c", _ASK, PACKAGE, *NEEDS),
            capture_output=True,
            text=True,
            timeout=_ASK_TIMEOUT_S,
            check=True,
        )
        answer = json.loads(done.stdout)
        major, minor = answer["python"]
        return (major, minor), dict(answer["versions"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise RuntimeFailure(f"{VARIABLE}={python}: no Python that answers ({type(error).__name__})") from error


def _how() -> str:
    return "; ".join(INSTALL)

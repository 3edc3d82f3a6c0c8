"""App kits: source code for one artifact with tiles for pictures of any size, and a self-test on golden pictures.

``KITS`` lists the files of each kit: templates in ``kits/``, and for Kotlin and Swift the code of the report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.export.onnxruntime.target import LEAST_ONNXRUNTIME
from clearport.reports import templates
from clearport.reports.markdown import escape
from clearport.reports.usage import Codec, code_of, threads_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.bundle.manifest import ArtifactRecord, Manifest
    from clearport.runtime.parity import Tolerance


_NO_WORD = re.compile(r"[^A-Za-z0-9_-]+")
"""Characters not allowed in a network's name in source code, where a pulled bundle's name could end a comment or a
string."""


@dataclass(frozen=True)
class Kit:
    """The files of a kit for one language and target.

    Attributes:
        runtime: the runtime of the file.
        files: name in the kit -> (template in ``kits/``, or empty for the code of the report; description).
        command: the command of the self-test.
    """

    runtime: str
    files: Mapping[str, tuple[str, str]]
    command: str


_PYTHON_FILES = {
    "restorer.py": ("restorer.py", "the class to use"),
    "tiles.py": ("tiles.py", "pictures of any size"),
    "test_restorer.py": ("test_restorer.py", "the self-test"),
}


def _python(runtime: str, packages: str) -> Kit:
    return Kit(runtime, _PYTHON_FILES, f"pip install {packages} numpy pillow && python -m unittest")


def _cpp(runtime: str, target: str, setting: str, header: str = "") -> Kit:
    """``setting`` tells CMake where the runtime is; ``header`` declares its functions, where apps need no SDK."""
    files = {
        "restorer.hpp": ("restorer.hpp", "the class to use"),
        "engine.hpp": (f"engine_{target}.hpp", f"one inference by {runtime}"),
        "tiles.hpp": ("tiles.hpp", "pictures of any size"),
        **({header: (header, "the functions of the library that it calls")} if header else {}),
        "selftest.cpp": ("selftest.cpp", "the self-test"),
        "CMakeLists.txt": ("CMakeLists.txt", "builds the self-test"),
    }
    return Kit(runtime, files, f"cmake -B build {setting} && cmake --build build && build/selftest")


KITS: Mapping[tuple[str, str], Kit] = {
    ("python", "tflite"): _python("LiteRT", "ai-edge-litert"),
    ("python", "onnxruntime"): _python("ONNX Runtime", "onnxruntime"),
    ("python", "openvino"): _python("OpenVINO", "openvino"),
    ("python", "ncnn"): _python("ncnn", "ncnn"),
    ("cpp", "tflite"): _cpp("LiteRT's C API", "tflite", "-DLITERT_LIBRARY=/path/to/libLiteRt.so", "litert_c.h"),
    ("cpp", "onnxruntime"): _cpp(
        "ONNX Runtime's C API", "onnxruntime", "-DONNXRUNTIME_LIBRARY=/path/to/libonnxruntime.so", "onnxruntime_c.h"
    ),
    ("cpp", "openvino"): _cpp("OpenVINO's C++ API", "openvino", "-DOpenVINO_DIR=/path/to/openvino/cmake"),
    ("cpp", "ncnn"): _cpp("ncnn", "ncnn", "-Dncnn_DIR=/path/to/lib/cmake/ncnn"),
    ("typescript", "onnxruntime"): Kit(
        "ONNX Runtime Web",
        {
            "restorer.ts": ("restorer_onnxruntime.ts", "the class to use"),
            "tiles.ts": ("tiles.ts", "pictures of any size"),
            "selftest.ts": ("selftest.ts", "the self-test"),
            "package.json": ("package.json", "its packages and scripts"),
            "tsconfig.json": ("tsconfig.json", "strict types"),
        },
        "npm install && npm test",
    ),
    ("kotlin", "tflite"): Kit(
        "LiteRT's CompiledModel",
        {
            "Restorer.kt": ("", "the class to use"),
            "RestorerTest.kt": ("RestorerTest.kt", "the self-test, an instrumented test of the app"),
        },
        "./gradlew connectedAndroidTest",
    ),
    ("swift", "coreml"): Kit(
        "Core ML",
        {
            "Restorer.swift": ("", "the functions to use"),
            "RestorerTests.swift": ("RestorerTests.swift", "the self-test, a unit test of the app"),
        },
        "xcodebuild test",
    ),
}
"""(language, target) -> its kit."""


@dataclass(frozen=True)
class Limits:
    """Tolerances of the self-test's outputs to the goldens, from the bundle."""

    tolerance: Tolerance

    def conditions(self, most: str, mean: str, psnr: str, equal: str, both: str = "&&") -> str:
        """The comparison, an expression of C-like languages, or of Python with ``and``."""
        allowed = self.tolerance
        parts = (
            (most, "<=", allowed.max_abs),
            (mean, "<=", allowed.mean_lsb),
            (psnr, ">=", allowed.min_psnr_db),
            (equal, ">=", allowed.min_exact_share),
        )
        return f" {both} ".join(f"{name} {sign} {float(limit)!r}" for name, sign, limit in parts if limit is not None)

    @property
    def said(self) -> str:
        """The tolerances as ASCII text."""
        allowed = self.tolerance
        parts = (
            (allowed.max_abs, "largest difference {:g}"),
            (allowed.mean_lsb, "mean {:g}"),
            (allowed.min_psnr_db, "PSNR {:g} dB or more"),
            (allowed.min_exact_share, "equal {:g} or more"),
        )
        return ", ".join(words.format(limit) for limit, words in parts if limit is not None)


def kit_texts(
    manifest: Manifest, artifact: ArtifactRecord, language: str, file: str, goldens: Sequence[str], allowed: Tolerance
) -> dict[str, str]:
    """Name -> text of every source file of a kit.

    Args:
        manifest, artifact: the bundle's manifest, and the artifact.
        language: one of the languages that ``KITS`` has for its target.
        file: the path to open, relative to ``model/`` in the kit.
        goldens: names of the pairs of pictures in ``goldens/``.
        allowed: tolerances of outputs.
    """
    kit = KITS[language, artifact.target]
    values = _values(manifest, artifact, file, goldens, allowed, kit)
    texts = {
        name: _render(template, values) if template else code_of(manifest, artifact, language, f"model/{file}")
        for name, (template, _) in kit.files.items()
    }
    about = {name: about for name, (_, about) in kit.files.items()}
    readme = {"language": language, "files": about.items(), "command": kit.command, "key": artifact.key}
    return {**texts, "README.md": _render("README.md", {**values, **readme, "sha256": artifact.sha256})}


def _values(
    manifest: Manifest, artifact: ArtifactRecord, file: str, goldens: Sequence[str], allowed: Tolerance, kit: Kit
) -> dict[str, Any]:
    source, restored = artifact.inputs[0], artifact.outputs[0]
    height, width = (source.shape[i] for i in ((2, 3) if source.layout == "NCHW" else (1, 2)))
    model = manifest.model
    return {
        "model": model,
        "network": _NO_WORD.sub("_", model.name),
        "license": escape(model.license),
        "target": artifact.target,
        "precision": artifact.precision,
        "runtime": kit.runtime,
        "source": source,
        "restored": restored,
        "height": height,
        "width": width,
        "into": Codec.of(source),
        "out_of": Codec.of(restored),
        "threads": threads_of(artifact),
        "file": file,
        "least_onnxruntime": LEAST_ONNXRUNTIME,
        "goldens": goldens,
        "limits": Limits(allowed),
        "cuts": all(isinstance(n, int) and n - 2 * model.halo >= model.size_multiple for n in (height, width)),
    }


def _render(template: str, values: Mapping[str, Any]) -> str:
    return templates.environment().get_template(f"kits/{template}.j2").render(values)

"""The runtimes of ``clearport verify --runtime``, and the location of their environments."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from clearport.errors import BadInput

VARIABLE = "CLEARPORT_RUNTIMES"
READY = "clearport-ready"
"""Marker file in each of clearport's environments: it lists the packages, and is empty until they are installed."""


@dataclass(frozen=True)
class OtherRuntime:
    """A runtime in an environment of its own.

    Attributes:
        name: its name on the command line and of its environment's folder.
        title: runtime and version.
        about: the reason for proving files with it.
        target: the target whose files it runs.
        packages: pinned, in the order of installation.
        runner: name of the runner in ``runtime/runners``, or in ``plugin``, that runs in that environment.
        plugin: a file beside this one that defines the runner.
        leaves_out: suffixes of files that it need not run -> the reason.
    """

    name: str
    title: str
    about: str
    target: str
    packages: tuple[str, ...]
    runner: str
    plugin: str = ""
    leaves_out: tuple[tuple[str, str], ...] = ()

    @property
    def python(self) -> Path:
        """The interpreter of its environment, which need not exist."""
        place = home() / self.name
        return place / "Scripts" / "python.exe" if sys.platform == "win32" else place / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether its environment is complete, with these packages."""
        mark = home() / self.name / READY
        return mark.is_file() and mark.read_text(encoding="utf-8").split() == list(self.packages)

    def reason_against(self, path: str) -> str | None:
        """The reason that it need not run a file, or None."""
        return next((reason for end, reason in self.leaves_out if path.endswith(end)), None)

    @property
    def plugin_path(self) -> Path | None:
        """The file of its plugin."""
        return Path(__file__).with_name(self.plugin) if self.plugin else None


RUNTIMES = (
    OtherRuntime(
        "tflite-runtime-2.14",
        "tflite-runtime 2.14.0",
        "the last release under the name TensorFlow Lite (2023), still in use on boards",
        "tflite",
        ("numpy==1.26.4", "tflite-runtime==2.14.0"),
        "tflite-runtime",
        "tflite_runtime.py",
    ),
    OtherRuntime(
        "tensorflow-2.21",
        "TensorFlow 2.21.0",
        "TensorFlow's own interpreter",
        "tflite",
        ("tensorflow-cpu==2.21.0",),
        "tensorflow",
    ),
    OtherRuntime(
        "onnxruntime-1.17",
        "ONNX Runtime 1.17.3",
        "the oldest version that clearport's .onnx files support (2024)",
        "onnxruntime",
        ("numpy==1.26.4", "onnxruntime==1.17.3"),
        "onnxruntime",
        leaves_out=(
            (".ort", "an .ort file requires at least the version that wrote it; use the .onnx file"),
            ("_int8a16.onnx", "16-bit activations need opset 21, which needs ONNX Runtime 1.18"),
        ),
    ),
    OtherRuntime(
        "openvino-2024",
        "OpenVINO 2024.6.0",
        "the last OpenVINO of 2024",
        "openvino",
        ("numpy==1.26.4", "openvino==2024.6.0"),
        "openvino",
    ),
)


def home() -> Path:
    """The folder of the environments: ``CLEARPORT_RUNTIMES``, by default ``runtimes`` in the user's data folder."""
    named = os.environ.get(VARIABLE, "")
    if named:
        return Path(named).absolute()
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if Path(data).is_absolute() else Path("~/.local/share").expanduser()) / "clearport" / "runtimes"


def known(names: tuple[str, ...]) -> list[OtherRuntime]:
    """The runtimes of these names; ``all`` means every one that is set up.

    Raises:
        BadInput: unknown name, or its environment is not set up.
    """
    found: list[OtherRuntime] = []
    for name in names:
        fitting = [each for each in RUNTIMES if name in {each.name, "all"}]
        if not fitting:
            raise BadInput(f"--runtime {name!r}: expected one of {', '.join(each.name for each in RUNTIMES)}, or all")
        chosen = [each for each in fitting if each.ready]
        if not chosen:
            raise BadInput(
                f"--runtime {name}: not set up in {home()} ({VARIABLE}); python -m clearport.runtime.older.setup "
                f"{'' if name == 'all' else name}".rstrip()
            )
        found += [each for each in chosen if each not in found]
    return found

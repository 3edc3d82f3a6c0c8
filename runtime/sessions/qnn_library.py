"""Qualcomm's plugin for ONNX Runtime: its location, and the HTPs (Hexagon tensor processors) that it compiles for.

``onnxruntime-qnn`` 2.x contains only the plugin and installs beside ``onnxruntime``. Qualcomm's license forbids
redistribution of its binaries, so they are an extra: ``pip install 'clearport[qnn]'``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from clearport.errors import BadInput

PACKAGE = "onnxruntime-qnn"
EXTRA = "qnn"
PROVIDER = "QNNExecutionProvider"
ARCHITECTURES = {
    68: "Snapdragon 888",
    69: "Snapdragon 8 Gen 1",
    73: "Snapdragon 8 Gen 2, X Elite",
    75: "Snapdragon 8 Gen 3",
    79: "Snapdragon 8 Elite",
    81: "Snapdragon 8 Elite Gen 5",
}
"""HTP architecture -> its chips. For unknown ones QNN only warns, and compiles for another."""


def architecture(text: str) -> int:
    """The number of ``v73`` or ``73``.

    Raises:
        BadInput: there is no such HTP.
    """
    digits = text.lower().removeprefix("v")
    if not digits.isdecimal() or int(digits) not in ARCHITECTURES:
        there_are = ", ".join(f"v{n} ({where})" for n, where in ARCHITECTURES.items())
        raise BadInput(f"{text!r}: unknown HTP architecture; available: {there_are}")
    return int(digits)


def simulated() -> bool:
    """Whether the plugin simulates the HTP on this machine, as on every x86 CPU."""
    import platform

    return platform.machine().lower() in {"x86_64", "amd64"}


def unavailable() -> str | None:
    """The reason that the plugin cannot be used on this machine, or None."""
    if sys.platform == "darwin":
        return "Qualcomm's plugin is available for Linux and Windows only"
    return None


def session(path: Path, options: Any, settings: dict[str, str]) -> Any:
    """An ONNX Runtime session in which the HTP runs every operator; raises if it cannot.

    ``options`` are ONNX Runtime's session options, ``settings`` those of the provider.
    """
    import onnxruntime as ort
    import onnxruntime_qnn as qnn

    if not any(device.ep_name == PROVIDER for device in ort.get_ep_devices()):
        ort.register_execution_provider_library(PROVIDER, qnn.get_library_path())
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_provider_for_devices(devices, {"backend_path": qnn.get_qnn_htp_path(), **settings})
    return ort.InferenceSession(path, options)

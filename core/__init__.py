"""clearport: image-restoration networks from PyTorch to phones and edge boards, exported, quantized and proven.

The public Python interface; each name is imported when it is first used, so ``import clearport`` costs nothing::

    import clearport

    bundle = clearport.export("ncnet", "out/ncnet_x3", precisions=("int8",))
    for artifact in bundle.manifest.artifacts:
        print(artifact.target, artifact.precision, artifact.parity)
    clearport.verify("out/ncnet_x3")

Systems of several networks have functions of their own: ``clearport.export_system``, ``run_system`` ...

``clearport.export`` is also the sub-package that holds the targets: the package is callable.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearport.api import bench as bench
    from clearport.api import evaluate as evaluate
    from clearport.api import export as export
    from clearport.api import load_bundle as load_bundle
    from clearport.api import restore as restore
    from clearport.api import train as train
    from clearport.api import verify as verify
    from clearport.api_delivery import kit as kit
    from clearport.api_delivery import pull as pull
    from clearport.api_delivery import push as push
    from clearport.api_systems import bench_system as bench_system
    from clearport.api_systems import evaluate_system as evaluate_system
    from clearport.api_systems import export_system as export_system
    from clearport.api_systems import load_system as load_system
    from clearport.api_systems import open_system as open_system
    from clearport.api_systems import run_system as run_system

__version__ = "0.1.0"

# ONNX Runtime and OpenVINO send telemetry as soon as they are imported, and leave files for it in the user's
# home. The former has a switch; the latter works without its telemetry package. Workers import this, too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: the import fails

_PUBLIC = {
    **dict.fromkeys(("bench", "evaluate", "export", "load_bundle", "restore", "train", "verify"), "api"),
    **dict.fromkeys(("kit", "pull", "push"), "api_delivery"),
    **dict.fromkeys(
        ("bench_system", "evaluate_system", "export_system", "load_system", "open_system", "run_system"), "api_systems"
    ),
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    if name == "export":  # the sub-package, which is callable: see its docstring
        return importlib.import_module("clearport.export")
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"clearport.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'clearport' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*globals(), *_PUBLIC))

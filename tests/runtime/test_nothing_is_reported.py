"""Telemetry of runtimes is disabled: none of its files appear in the user's home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clearport.registry import missing

HERE = """
import clearport
import {package}
"""
IN_A_WORKER = """
import sys
from pathlib import Path
import onnx
from onnx import TensorProto, helper
from clearport.runtime.worker.worker import Worker

sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in ("image", "restored")]
graph = helper.make_graph([helper.make_node("Relu", ["image"], ["restored"])], "g", sides[:1], sides[1:])
path = Path(sys.argv[1], "relu.onnx")
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
if "{package}" == "openvino":
    import openvino
    openvino.save_model(openvino.Core().read_model(path), path.with_suffix(".xml"))
    path = path.with_suffix(".xml")
with Worker("{package}", path) as worker:
    print(worker.facts()["unit"])
"""


@pytest.mark.parametrize("code", [HERE, IN_A_WORKER], ids=["in this process", "in a worker"])
@pytest.mark.parametrize("package", ["onnxruntime", "openvino"])
def test_a_runtime_leaves_nothing_in_the_home(package: str, code: str, tmp_path: Path) -> None:
    if missing((package,)):
        pytest.skip(f"{package} is not installed")
    home = tmp_path / "home"
    home.mkdir()
    own = {
        key: value for key, value in os.environ.items() if key not in {"CI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"}
    }
    words = [sys.executable, "-c", code.format(package=package), str(tmp_path)]
    subprocess.run(words, env={**own, "HOME": str(home)}, check=True, timeout=240)
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_the_user_may_want_it_otherwise() -> None:
    """Existing environment variables are kept."""
    code = "import os, clearport; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    own = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"

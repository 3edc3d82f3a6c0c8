"""Runtimes that would silently fall back to the CPU: the reported units."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from clearport.registry import missing
from clearport.runtime.runners.onnxruntime import OnnxRuntimeModel
from clearport.runtime.runners.onnxruntime_qnn import QnnSession
from clearport.runtime.runners.openvino import units_of
from clearport.runtime.sessions.onnxruntime_gpu import GpuModel, GpuProvider

CHOICE = """
import sys
import openvino
from clearport.runtime.runners.openvino import units_of

core = openvino.Core()
network = core.compile_model(core.read_model(sys.argv[1]), "AUTO")
print(*units_of(network.get_property("EXECUTION_DEVICES")))
"""
CUDA = GpuProvider("cuda", "CUDA", "ran on CUDA", "onnxruntime-gpu", "CUDAExecutionProvider", "VARIABLE")


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    """A network of one Relu."""
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in ("image", "restored")]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["restored"])], "g", sides[:1], sides[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "r.onnx")
    return tmp_path / "r.onnx"


@pytest.mark.parametrize(
    ("devices", "units"),
    [
        (["CPU"], ["cpu"]),
        (["(CPU)"], ["cpu"]),
        (["GPU.0", "GPU.1"], ["gpu"]),
        (["NPU", "CPU"], ["cpu", "npu"]),
        ([], []),
    ],
)
def test_openvino_names_the_devices_that_ran(devices: list[str], units: list[str]) -> None:
    assert units_of(devices) == units


def test_openvino_that_may_choose_says_that_it_chose_the_cpu(relu: Path) -> None:
    """In a process of its own, since a choice loads every plugin."""
    if missing(("openvino",)):
        pytest.skip("openvino is not installed")
    said = subprocess.run([sys.executable, "-c", CHOICE, str(relu)], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["cpu"]


def test_onnx_runtime_without_the_requested_provider_is_refused(relu: Path) -> None:
    import onnxruntime

    if CUDA.provider in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(RuntimeError, match=r"here supports .*CPUExecutionProvider.* only"):
        GpuModel(relu, 1, CUDA)


def test_onnx_runtime_tells_the_unit_of_every_kernel_that_ran(relu: Path) -> None:
    facts = OnnxRuntimeModel(relu, 1, optimize=True).facts()
    assert facts["unit"] == "cpu"
    assert facts["operators_per_unit"] == {"cpu": {"Relu": 1}}


def profiled(*providers: str) -> QnnSession:
    """A session of Qualcomm's whose profile names these providers, one for each part of the graph."""
    session = QnnSession.__new__(QnnSession)
    events: list[dict[str, Any]] = [
        {"cat": "Node", "name": f"{n}", "args": {"provider": provider, "op_name": f"part{n}"}}
        for n, provider in enumerate(providers)
    ]
    session._profiled, session._profile = True, json.dumps([*events, {"cat": "Session", "name": "run"}])
    return session


def test_the_profile_of_qualcomms_simulator_tells_who_ran_what() -> None:
    assert profiled("QNNExecutionProvider")._ran() == {"QNNExecutionProvider": 1}
    assert profiled("QNNExecutionProvider", "CPUExecutionProvider")._ran() == {
        "QNNExecutionProvider": 1,
        "CPUExecutionProvider": 1,
    }

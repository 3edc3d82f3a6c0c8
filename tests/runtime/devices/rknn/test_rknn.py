"""Rockchip NPUs without Rockchip's toolkit: addresses, how to get it, and the form of files."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from clearport.base import Artifact, Skipped, TensorSpec
from clearport.errors import BadInput, UnsupportedOperator
from clearport.runtime.devices.device import Job, Settings
from clearport.runtime.devices.rknn import family as on_rknn
from clearport.runtime.devices.rknn import form as rknn_form
from clearport.runtime.devices.rknn import toolkit as rknn_toolkit
from clearport.runtime.latency.record import LatencyPlan

if TYPE_CHECKING:
    from clearport.base import Array

CHANNELS = 4


@pytest.mark.parametrize(("address", "chip"), [("rknn:rk3588", "rk3588"), ("rknn:RK3566", "rk3566")])
def test_addresses(address: str, chip: str) -> None:
    assert rknn_toolkit.chip(address) == chip


@pytest.mark.parametrize("address", ["rknn:rk9999", "rknn:", "rknn"])
def test_chips_that_are_none(address: str) -> None:
    with pytest.raises(BadInput, match=r"unknown chip; available: .*rk3588"):
        rknn_toolkit.chip(address)


def test_an_address_of_another_family() -> None:
    with pytest.raises(BadInput, match="expected rknn:rk3588"):
        rknn_toolkit.chip("htp:rk3588")


def test_without_the_toolkit_the_install_commands_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rknn_toolkit.VARIABLE, raising=False)
    [found] = on_rknn.DEVICE.found()
    assert found.address == "rknn:rk3588"
    assert found.units == ("npu",)
    for line in rknn_toolkit.INSTALL:
        assert line in str(found.obstacle)
    with (
        pytest.raises(BadInput, match="pip install --no-deps rknn-toolkit2"),
        on_rknn.DEVICE.open("rknn:rk3588", Settings()),
    ):
        pass


def test_a_wrong_chip_is_reported_before_a_missing_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rknn_toolkit.VARIABLE, raising=False)
    with pytest.raises(BadInput, match="unknown chip"), on_rknn.DEVICE.open("rknn:rk1", Settings()):
        pass


def test_a_variable_that_names_nothing_or_no_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = tmp_path / "python"
    monkeypatch.setenv(rknn_toolkit.VARIABLE, str(named))
    assert "no such file" in str(rknn_toolkit.environment().obstacle)
    named.write_text("#!/bin/sh\necho hello\n")
    named.chmod(0o755)
    assert "no Python that answers" in str(rknn_toolkit.environment().obstacle)
    named.chmod(0o644)
    assert "no Python that answers (PermissionError)" in str(rknn_toolkit.environment().obstacle)


def test_a_python_without_the_toolkit_names_the_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rknn_toolkit.VARIABLE, sys.executable)
    monkeypatch.setattr(rknn_toolkit, "PYTHONS", (sys.version_info[:2],))
    obstacle = str(rknn_toolkit.environment().obstacle)
    assert "it has no rknn-toolkit2" in obstacle
    assert "numpy," not in obstacle.partition(";")[0]


def test_a_python_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rknn_toolkit.VARIABLE, sys.executable)
    monkeypatch.setattr(rknn_toolkit, "_ask", lambda _: ((3, 10), {rknn_toolkit.PACKAGE: "2.5.0"}))
    assert "it is Python 3.10, expected 3.11 or 3.12" in str(rknn_toolkit.environment().obstacle)
    monkeypatch.setattr(rknn_toolkit, "_ask", lambda _: ((3, 12), {rknn_toolkit.PACKAGE: "2.5.0"}))
    assert rknn_toolkit.environment() == rknn_toolkit.Environment(sys.executable, "2.5.0")
    assert [found.address for found in on_rknn.DEVICE.found()] == [f"rknn:{chip}" for chip in rknn_toolkit.CHIPS]


def job(unit: str = "npu", target: str = "onnxruntime", name: str = "net.onnx", width: int | str = 8) -> Job:
    source = TensorSpec("image", (1, 3, 8, width))
    artifact = Artifact(target, "fp32", Path(name), "", (source,), (replace(source, name="restored"),), {})
    return Job(artifact, unit, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (job(unit="gpu"), "is an npu, not a gpu"),
        (job(target="tflite", name="net.tflite"), "requires .onnx files"),
        (job(name="net.ort"), "requires .onnx files"),
        (job(width="width"), "export with --size HEIGHTxWIDTH"),
    ],
)
def test_what_it_does_not_take(task: Job, reason: str, tmp_path: Path) -> None:
    session = on_rknn.RknnSession("rknn:rk3588", "rk3588", "no-python", Settings(), tmp_path)
    [row] = session.measure([task], LatencyPlan(), lambda *_: None)
    assert isinstance(row.cell, Skipped)
    assert reason in row.cell.reason
    assert (row.device, row.runner, row.outputs) == ("rknn:rk3588", "rknn", {})


def quantized(
    weights: Array, zeros: Array | None, opset: int = 20, scale: float = 0.7, zero: int = 9
) -> onnx.ModelProto:
    """A QDQ convolution whose input an Identity with another scale wants, too, and an addition of both."""
    count = len(weights)
    random = np.random.default_rng(0)
    scales = random.uniform(0.001, 0.02, count).astype(np.float32)
    constants = {"s": np.float32(0.5), "z": np.uint8(3), "t": np.float32(scale), "y": np.uint8(zero), "w": weights}
    constants |= {"ws": scales, "b": random.normal(size=count).astype(np.float32)}
    if zeros is not None:
        constants["wz"] = zeros
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["x.real"], "x.dequantize"),
        helper.make_node("Identity", ["x.real"], ["i"], "identity"),
        helper.make_node("QuantizeLinear", ["i", "t", "y"], ["i.q"], "i.quantize"),
        helper.make_node("DequantizeLinear", ["i.q", "t", "y"], ["i.real"], "i.dequantize"),
        helper.make_node(
            "DequantizeLinear", ["w", "ws", *(["wz"] if zeros is not None else [])], ["w.real"], "w.dequantize", axis=0
        ),
        helper.make_node("Conv", ["x.real", "w.real", "b"], ["c"], "conv", kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Add", ["c", "i.real"], ["a"], "add"),
        helper.make_node("QuantizeLinear", ["a", "t", "y"], ["out"], "quantize"),
    ]
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, CHANNELS, 6, 6])],
        [helper.make_tensor_value_info("out", TensorProto.UINT8, [1, count, 6, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def evaluate(model: onnx.ModelProto, picture: Array) -> Array:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    result: Array = ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": picture})[0]
    return result


@settings(max_examples=25, deadline=None)
@given(low=st.integers(-128, -1), high=st.integers(0, 127), seed=st.integers(0, 2**32 - 1), zeros=st.booleans())
def test_the_form_gives_the_same_pixels(low: int, high: int, seed: int, zeros: bool) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(low, high + 1, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
    weights.flat[:2] = low, high
    model = quantized(weights, np.zeros(CHANNELS, np.int8) if zeros else None)
    before = model.SerializeToString()
    form = rknn_form.in_its_form(model).model
    onnx.checker.check_model(form)
    assert model.SerializeToString() == before
    assert form.opset_import[0].version == 19
    picture = random.integers(0, 256, (1, CHANNELS, 6, 6)).astype(np.uint8)
    assert np.array_equal(evaluate(form, picture), evaluate(model, picture))


@pytest.mark.parametrize(
    ("ends", "zero", "shift"),
    [((-127, 127), 0, -1), ((-128, 126), 0, 1), ((-128, 127), 0, 0), ((-127, 127), 5, 5)],
)
def test_weights_are_not_counted_from_zero_where_they_can_be_moved(
    ends: tuple[int, int], zero: int, shift: int
) -> None:
    weights = np.full((CHANNELS, CHANNELS, 3, 3), ends[0], np.int8)
    weights[:, :, 1] = ends[1]
    form = rknn_form.in_its_form(quantized(weights, np.full(CHANNELS, zero, np.int8))).model
    constants = {each.name: numpy_helper.to_array(each) for each in form.graph.initializer}
    [node] = [n for n in form.graph.node if n.name == "w.dequantize"]
    assert constants[node.input[2]].tolist() == [shift] * CHANNELS
    assert np.array_equal(constants[node.input[0]].astype(int) - shift, weights.astype(int) - zero)
    assert set(constants) == {"s", "z", "t", "y", "ws", "b", node.input[0], node.input[2]}


def test_operands_around_128_are_counted_from_another_zero_too() -> None:
    """With zero point 128 the toolkit would quantize them again, as it does int8 ones with 0."""
    weights = np.random.default_rng(0).integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
    zeros = np.zeros(CHANNELS, np.int8)
    raised = quantized((weights.astype(np.int16) + 128).astype(np.uint8), np.full(CHANNELS, 128, np.uint8))
    forms = [rknn_form.in_its_form(model).model for model in (quantized(weights, zeros), raised)]
    assert forms[0].SerializeToString() == forms[1].SerializeToString()


ONES = np.ones((CHANNELS, CHANNELS, 3, 3), np.int8)


@pytest.mark.parametrize(
    ("scale", "zero", "cut"),
    [(0.7, 128, ["i"]), (0.7, 127, []), (0.005, 128, [])],
    ids=["lowest level not reached", "counted from 127 anyway", "lowest level reached"],
)
def test_a_lowest_level_that_the_picture_reaches_stays(scale: float, zero: int, cut: list[str], tmp_path: Path) -> None:
    model = quantized(ONES, None, scale=scale, zero=zero)
    task = job(name=str(tmp_path / "net.onnx"))
    onnx.save(model, task.artifact.path)
    picture = np.zeros((1, CHANNELS, 6, 6), np.uint8)
    session = on_rknn.RknnSession("rknn:rk3588", "rk3588", "no-python", Settings(), tmp_path)
    path, facts = session._form(replace(task, inputs={"x": picture}), tmp_path / "form")
    assert facts["lowest_level_cut"] == cut
    form = onnx.load(path)
    zeros = {each.name: int(numpy_helper.to_array(each)) for each in form.graph.initializer if each.data_type == 2}
    used = {node.name: zeros[node.input[2]] for node in form.graph.node if node.name.startswith(("i.", "quantize"))}
    assert used == {"i.quantize": 127 if cut else zero, "i.dequantize": 127 if cut else zero, "quantize": zero}
    assert np.array_equal(evaluate(form, picture), evaluate(model, picture))


def test_every_consumer_has_a_dequantizer_of_its_own() -> None:
    form = rknn_form.in_its_form(quantized(ONES, None)).model
    uses = [name for node in form.graph.node for name in node.input]
    made = [node for node in form.graph.node if node.op_type == "DequantizeLinear"]
    assert len(made) == 4
    assert all(uses.count(node.output[0]) == 1 for node in made)
    assert len({node.name for node in made}) == len(made)


@pytest.mark.parametrize(
    ("operator", "domain", "opset", "why"),
    [
        ("Gelu", "", 20, "layer 'activation': its version is of opset 20"),
        ("FusedConv", "com.microsoft", 17, "operator domain"),
    ],
)
def test_operators_that_the_toolkit_cannot_know(operator: str, domain: str, opset: int, why: str) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in ("x", "y")]
    node = helper.make_node(operator, ["x"], ["y"], "activation", domain=domain)
    graph = helper.make_graph([node], "case", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with pytest.raises(UnsupportedOperator, match=why) as caught:
        rknn_form.in_its_form(model)
    assert (caught.value.op, caught.value.layer) == (operator, "activation")


def test_an_older_opset_stays() -> None:
    model = quantized(ONES, None, opset=13)
    assert rknn_form.in_its_form(model).model.opset_import[0].version == 13

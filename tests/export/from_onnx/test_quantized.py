"""Quantized files: separation into the float network and its roundings, and recombination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import TensorSpec
from clearport.errors import BadInput
from clearport.export.from_onnx.graph import graph_of
from clearport.export.from_onnx.plain import plain
from clearport.graph import nodes as graphs
from tests.export.from_onnx.files import FORMATS, given, model, node, noise, run

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Array

GRID = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
STEPS = np.float32([0.004, 0.008, 0.006, 0.01])
CONSTANTS: dict[str, Array] = {
    "q": GRID,
    "qs": STEPS,
    "qz": np.zeros(4, np.int8),
    "xs": np.float32(1 / 127),
    "xz": np.int8(0),
    "ys": np.float32(0.02),
    "yz": np.int8(-128),
    "zs": np.float32(0.03),
    "zz": np.int8(-10),
}
NODES = [
    node("QuantizeLinear", "x xs xz", "a"),
    node("DequantizeLinear", "a xs xz", "b"),
    node("DequantizeLinear", "q qs qz", "k", axis=0),
    node("Conv", "b k", "c", pads=[1] * 4),
    node("QuantizeLinear", "c ys yz", "d"),
    node("DequantizeLinear", "d ys yz", "e"),
    node("Mul", "e e", "f"),
    node("QuantizeLinear", "f zs zz", "g"),
    node("DequantizeLinear", "g zs zz", "y"),
]


def test_the_file_stays_what_it_is_beside_its_float_network(tmp_path: Path) -> None:
    made = model(NODES, 17, CONSTANTS)
    found = plain(given(made, tmp_path))
    image = noise()
    np.testing.assert_array_equal(
        run(found.to_bytes(), {"x": image})[0], run(made.SerializeToString(), {"x": image})[0]
    )
    assert found.floats is not None
    kernel = GRID * STEPS.reshape(-1, 1, 1, 1)
    spans = {each.value: (each.low, each.high) for each in found.roundings}
    assert spans["c.relu"] == pytest.approx((0, 0.02 * 255))  # 8 bits from zero on are a ReLU
    assert spans["f"] == pytest.approx((0.03 * -118, 0.03 * 137))
    floats = ir.from_proto(found.floats)
    assert [n.op_type for n in floats.graph if n.op_type != "Constant"][:3] == ["Conv", "Relu", "Mul"]
    specs = (
        [TensorSpec("x", image.shape, value_range=(-1.0, 1.0))],
        [TensorSpec("y", (1, 4, 8, 12), kind="map", value_range=None)],
    )
    graph = graph_of(found, "given", *specs, 1)
    weight = graphs.need_constant(next(n for n in graph.model.graph if n.op_type == "Conv"), 1)
    np.testing.assert_allclose(weight, kernel, rtol=1e-6)


def test_requantize_takes_it_back_to_float(tmp_path: Path) -> None:
    found = plain(given(model(NODES, 17, CONSTANTS), tmp_path), requantize=True)
    assert found.floats is None
    assert found.roundings == ()
    assert found.changed == ("its 8-bit quantization is removed",)
    (wanted,), (near,) = (run(data, {"x": noise()}) for data in (found.given.to_bytes(), found.to_bytes()))
    inside = np.abs(wanted) < 2  # where nothing is cut at the ends of 8 bits
    assert np.abs(wanted - near)[inside].max() < 0.1


def test_requantize_is_refused_for_a_file_that_is_float(tmp_path: Path) -> None:
    relu = model((helper.make_node("Relu", ["x"], ["y"]),), 17, ())
    with pytest.raises(BadInput, match="it is not quantized, so there is nothing to requantize"):
        plain(given(relu, tmp_path), requantize=True)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_whole_numbers_at_the_ends_become_float(kind: str, tmp_path: Path) -> None:
    zero = np.array(0 if kind == "uint8" else -128, kind)
    nodes = [
        node("DequantizeLinear", "x xs xz", "b"),
        node("DequantizeLinear", "q qs qz", "k", axis=0),
        node("Conv", "b k", "c", pads=[1] * 4),
        node("QuantizeLinear", "c ys yz", "y"),
    ]
    constants = {
        **CONSTANTS,
        "xs": np.float32(1 / 255),
        "xz": zero,
        "ys": np.float32(0.02),
        "yz": np.array(100 if kind == "uint8" else -28, kind),
    }
    FORMATS.setdefault("int8", onnx.TensorProto.INT8)
    made = model(nodes, 17, constants, kinds=(kind, kind))
    found = plain(given(made, tmp_path))
    image = np.random.default_rng(0).integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, (1, 3, 8, 12))
    (theirs,) = run(made.SerializeToString(), {"x": image.astype(kind)})
    (ours,) = run(found.to_bytes(), {"x": image.astype(np.float32)})
    np.testing.assert_array_equal(ours, theirs.astype(np.float32))
    assert found.floats is not None
    (near,) = run(found.floats.SerializeToString(), {"x": image.astype(np.float32)})
    assert np.abs(np.rint(near) - ours).max() <= 1


def test_other_forms_are_refused(tmp_path: Path) -> None:
    nodes = [node("DynamicQuantizeLinear", "x", "a b c"), node("DequantizeLinear", "a b c", "y")]
    with pytest.raises(BadInput, match=r"it holds integer operators \(DynamicQuantizeLinear"):
        plain(given(model(nodes, 17), tmp_path))
    computed = [
        node("ReduceMax", "x", "s", keepdims=0),
        node("QuantizeLinear", "x s", "a"),
        node("DequantizeLinear", "a s", "y"),
    ]
    with pytest.raises(BadInput, match="its scale or zero point is computed"):
        plain(given(model(computed, 17), tmp_path))


def test_helpers_of_onnx_write_what_is_read(tmp_path: Path) -> None:
    """A scale without a zero point is uint8."""
    nodes = [node("QuantizeLinear", "x s", "a"), node("DequantizeLinear", "a s", "y")]
    made = model(nodes, 13, {"s": np.float32(0.01)})
    assert numpy_helper.to_array(made.graph.initializer[0]) == np.float32(0.01)
    assert helper.tensor_dtype_to_np_dtype(FORMATS["uint8"]) == np.uint8
    (rounding,) = plain(given(made, tmp_path)).roundings
    assert (rounding.low, rounding.high) == pytest.approx((0, 2.55))


@pytest.mark.parametrize("block", [0, 4])
@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT8"])
def test_weights_alone_are_dequantized(kind: str, block: int, tmp_path: Path) -> None:
    rng, low = np.random.default_rng(3), 0 if kind == "UINT4" else -8
    code, shape = onnx.TensorProto.DataType.Value(kind), (3, 12) if block else (12,)
    steps = rng.uniform(0.05, 0.2, shape).astype(np.float32)
    held = {"s": steps, "xs": np.array([24, 12]), "ys": np.array([1, 3, 8, 12])}
    nodes = [
        node("DequantizeLinear", "w s z", "m", axis=0 if block else 1, **({"block_size": block} if block else {})),
        node("Reshape", "x xs", "a"),
        node("MatMul", "a m", "b"),
        node("Reshape", "b ys", "y"),
    ]
    made = model(nodes, 21, held)
    for name, sides in (("w", (12, 12)), ("z", shape)):
        numbers = rng.integers(low, low + 16, sides)
        made.graph.initializer.append(helper.make_tensor(name, code, sides, numbers.ravel().tolist()))
    found, image = plain(given(made, tmp_path)), noise()
    assert (found.floats, found.roundings, found.changed) == (None, (), ("its weights are dequantized",))
    (wanted,) = run(made.SerializeToString(), {"x": image})
    ends = [TensorSpec(name, (1, 3, 8, 12), value_range=(-1, 1)) for name in "xy"]
    graph = graph_of(found, "given", ends[:1], ends[1:], 1)
    for one in (run(found.to_bytes(), {"x": image})[0], graphs.session(graph.model).run(None, {"x": image})[0]):
        np.testing.assert_allclose(one, wanted, atol=2e-5)

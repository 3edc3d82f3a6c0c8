"""Inputs and outputs of files: dtypes, axis order, names; and files of both PyTorch exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from clearport.base import TensorSpec
from clearport.errors import BadInput
from clearport.export.from_onnx.ends import layout_of, plain_name
from clearport.export.from_onnx.graph import graph_of
from clearport.export.from_onnx.plain import plain
from clearport.export.from_onnx.read import read
from clearport.graph import nodes as graphs
from tests.export.from_onnx.files import both, given, model, node, noise, run

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 3)).astype(np.float32) / 5


def test_a_plain_file_stays_as_it_is(tmp_path: Path) -> None:
    found = plain(given(model([node("Conv", "x k", "y", pads=[1] * 4)], 17, {"k": KERNEL}), tmp_path))
    assert found.to_bytes() == found.given.to_bytes()
    assert found.changed == ()


def test_a_free_batch_is_one_and_free_sides_have_words(tmp_path: Path) -> None:
    found = plain(given(model([node("Relu", "x", "y")], 17, shape=("n", 3, "h", "w")), tmp_path))
    assert found.inputs[0].shape == (1, 3, "h", "w")


@pytest.mark.parametrize("nodes", [(), (node("Neg", "c", "z"),), (node("Shape", "x", "z"),)])
def test_outputs_that_no_input_changes_are_refused_in_words(tmp_path: Path, nodes: tuple[onnx.NodeProto, ...]) -> None:
    made = model([node("Conv", "x k", "y", pads=[1] * 4), *nodes], 17, {"k": KERNEL, "c": np.zeros(4, np.float32)})
    name, kind = (nodes[0].output[0], "FLOAT" if nodes[0].op_type == "Neg" else "INT64") if nodes else ("c", "FLOAT")
    made.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DataType.Value(kind), [4]))
    found = plain(given(made, tmp_path))
    specs = [
        TensorSpec(end.name, (1, 3, 8, 12) if end.name in "xy" else (4,)) for end in (*found.inputs, *found.outputs)
    ]
    with pytest.raises(BadInput, match=f"output '{name}' is the same for every input"):
        graph_of(found, "given", specs[:1], specs[1:], 1)


def test_an_output_that_is_the_input_is_a_copy_of_it(tmp_path: Path) -> None:
    made = model([node("Relu", "x", "y")], 17)
    made.graph.output[0].name = "x"
    image = noise()
    wanted, graph = both(made, tmp_path, image)
    np.testing.assert_array_equal(wanted, image)
    np.testing.assert_array_equal(graph, image)


@pytest.mark.parametrize("field", ["type", "shape"])
def test_an_output_of_which_nothing_is_said_is_as_inference_finds_it(tmp_path: Path, field: str) -> None:
    made = model([node("Conv", "x k", "y", pads=[1] * 4, strides=[2, 2])], 17, {"k": KERNEL})
    bare = made.graph.output[0]
    (bare if field == "type" else bare.type.tensor_type).ClearField(field)
    wanted, graph = both(made, tmp_path, noise())
    np.testing.assert_allclose(graph, wanted, atol=1e-5)
    assert plain(read(tmp_path / "given.onnx")).outputs[0].shape == (1, 3, 4, 6)


@pytest.mark.parametrize("kind", ["INT64", "INT32", "BOOL"])
@pytest.mark.parametrize("shape", [[1], []])
def test_whole_numbers_are_taken_as_float32(kind: str, shape: list[int], tmp_path: Path) -> None:
    nodes = [
        node("Cast", "step", "i", to=onnx.TensorProto.INT64),
        node("Gather", "table i", "e"),
        node("Reshape", "e n", "f"),
        node("Mul", "x f", "y"),
    ]
    table = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    made = model(nodes, 17, {"table": table, "n": np.array([1, 3, 1, 1])})
    step = onnx.helper.make_tensor_value_info("step", onnx.TensorProto.DataType.Value(kind), shape)
    made.graph.input.append(step)
    found = plain(given(made, tmp_path))
    lone = () if shape else ("step: one number on an axis",)
    assert found.changed == ("step: float32, rounded to whole numbers", *lone)
    specs = [TensorSpec("x", (1, 3, 8, 12)), TensorSpec("step", (1,), value_range=(0, 1))]
    graph = graph_of(found, "given", specs, [TensorSpec("y", (1, 3, 8, 12))], 1)
    assert all(value.shape is None or len(value.shape) for each in graph.model.graph for value in each.outputs)
    for number in (0, 1):
        typed = np.full(shape, number, onnx.helper.tensor_dtype_to_np_dtype(step.type.tensor_type.elem_type))
        (wanted,) = run(made.SerializeToString(), {"x": noise(), "step": typed})
        for taken in (number, number + 0.3):
            feeds = {"x": noise(), "step": np.float32([taken])}
            np.testing.assert_array_equal(run(found.to_bytes(), feeds)[0], wanted)
            np.testing.assert_allclose(graphs.session(graph.model).run(None, feeds)[0], wanted, atol=1e-6)


def test_nhwc_ends_become_nchw(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "x", "a", perm=[0, 3, 1, 2]),
        node("Conv", "a k", "b", pads=[1] * 4),
        node("Transpose", "b", "y", perm=[0, 2, 3, 1]),
    ]
    made = model(nodes, 13, {"k": KERNEL}, shape=(1, 16, 24, 3), result=(1, 16, 24, 3))
    image = noise((1, 3, 16, 24))
    wanted, graph = both(made, tmp_path, image)
    (theirs,) = run(made.SerializeToString(), {"x": image.transpose(0, 2, 3, 1)})
    np.testing.assert_array_equal(wanted, theirs.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(graph, wanted, atol=1e-5)
    found = plain(read(tmp_path / "given.onnx"))
    specs = [TensorSpec(name, (1, 3, 16, 24), value_range=(0.0, 1.0)) for name in ("x", "y")]
    moved = graph_of(found, "given", specs[:1], specs[1:], 1)
    assert [n.op_type for n in moved.model.graph] == ["Conv"]
    assert found.changed == ("its pictures are NCHW",)


def test_frames_are_channels_of_one_picture(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", "x flat", "a"),
        node("Conv", "a k", "b", pads=[1] * 4),
        node("Relu", "b", "c"),
        node("Reshape", "c clip", "y"),
    ]
    held = {"k": KERNEL, "flat": np.array([2, 3, 8, 12]), "clip": np.array([1, 2, 3, 8, 12])}
    made = model(nodes, 17, held, shape=(1, 2, 3, 8, 12), result=(1, 2, 3, 8, 12))
    frames = noise((1, 6, 8, 12))
    wanted, graph = both(made, tmp_path, frames)
    (theirs,) = run(made.SerializeToString(), {"x": frames.reshape(1, 2, 3, 8, 12)})
    np.testing.assert_array_equal(wanted, theirs.reshape(1, 6, 8, 12))
    np.testing.assert_allclose(graph, wanted, atol=1e-5)
    found = plain(read(tmp_path / "given.onnx"))
    assert [end.shape for end in (*found.inputs, *found.outputs)] == [(1, 6, 8, 12)] * 2
    assert found.changed == ("frames are concatenated as channels of one picture",)


def test_float16_becomes_float32(tmp_path: Path) -> None:
    nodes = [node("Conv", "x k", "a", pads=[1] * 4), node("Cast", "a", "b", to=1), node("Relu", "b", "y")]
    made = model(nodes, 17, {"k": KERNEL.astype(np.float16)}, kinds=("float16", "float32"))
    image = noise()
    wanted, graph = both(made, tmp_path, image)
    (theirs,) = run(made.SerializeToString(), {"x": image.astype(np.float16)})
    assert wanted.dtype == np.float32
    np.testing.assert_allclose(wanted, theirs, atol=5e-3)
    np.testing.assert_allclose(graph, wanted, atol=1e-5)


@pytest.mark.parametrize("rounded", [True, False])
def test_uint8_ends_are_the_numbers_before_they_were_made_whole(rounded: bool, tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "a", to=1),
        node("Conv", "a k", "b", pads=[1] * 4),
        node("Clip", "b lo hi", "c"),
        *([node("Round", "c", "d")] if rounded else []),
        node("Cast", "d" if rounded else "c", "y", to=2),
    ]
    ends = {"lo": np.float32(0), "hi": np.float32(255)}
    made = model(nodes, 17, {"k": KERNEL, **ends}, kinds=("uint8", "uint8"))
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 12))
    wanted, graph = both(made, tmp_path, image.astype(np.float32))
    (theirs,) = run(made.SerializeToString(), {"x": image.astype(np.uint8)})
    assert np.mean(np.rint(wanted) == theirs) > 0.99
    np.testing.assert_allclose(graph, wanted, atol=1e-3)


def test_names_are_plain() -> None:
    assert plain_name("input.1", ()) == "input_1"
    assert plain_name("serving_default_x:0", ()) == "serving_default_x_0"
    assert plain_name("0", ("t_0",)) == "t_0_2"
    assert plain_name("ä/ö", ()) == "tensor"
    assert plain_name("state", ()) == "t_state", "coremltools keeps that word to itself"


def test_names_that_are_taken_inside_give_way(tmp_path: Path) -> None:
    made = model([node("Relu", "x", "y_1"), node("Neg", "y_1", "y")], 17)
    for value in made.graph.output:
        value.name = "y.1"
    made.graph.node[1].output[0] = "y.1"
    found = plain(given(made, tmp_path))
    assert [value.name for value in found.model.graph.output] == ["y_1"]
    np.testing.assert_array_equal(run(found.to_bytes(), {"x": noise()})[0], -np.maximum(noise(), 0))


def test_layouts_are_detected_by_the_channels() -> None:
    assert layout_of((1, 3, 64, 64)) == "NCHW"
    assert layout_of((1, 64, 64, 3)) == "NHWC"
    assert layout_of((1, "h", "w", 3)) == "NHWC"
    assert layout_of((1, 3, 8, 8)) == "NCHW"


class Net(nn.Module):
    """Batch normalization, shuffles, resizing, and a size that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.tail = nn.Conv2d(16, 12, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = nn.functional.leaky_relu(self.norm(self.head(image)), 0.1)
        half = nn.functional.avg_pool2d(features, 2)
        features = features + nn.functional.interpolate(half, size=features.shape[2:], mode="nearest")
        larger = nn.functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        restored: torch.Tensor = (nn.functional.pixel_shuffle(self.tail(features), 2) + larger).clamp(0, 1)
        return restored


@pytest.mark.filterwarnings("ignore")  # of the exporters, on themselves
@pytest.mark.parametrize(
    ("opset", "dynamo", "free"),
    [
        (9, False, False),
        (9, False, True),
        pytest.param(13, False, False, marks=pytest.mark.slow),
        (17, False, True),
        pytest.param(18, True, True, marks=pytest.mark.slow),
        (23, True, False),
    ],
)
def test_files_of_both_exporters_are_read(opset: int, dynamo: bool, free: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, image = Net().eval(), torch.rand(1, 3, 32, 48)
    path = tmp_path / "given.onnx"
    if dynamo:
        sides = {2: 2 * torch.export.Dim("h", min=8), 3: 2 * torch.export.Dim("w", min=8)}
        torch.onnx.export(
            network,
            (image,),
            path,
            opset_version=opset,
            dynamo=True,
            verbose=False,
            dynamic_shapes=(sides,) if free else None,
        )
    else:
        axes = {"image": {0: "n", 2: "h", 3: "w"}} if free else None
        torch.onnx.export(
            network, (image,), path, opset_version=opset, dynamo=False, input_names=["image"], dynamic_axes=axes
        )
    found = plain(read(path))
    inputs = [TensorSpec(found.inputs[0].name, (1, 3, 32, 48), value_range=(0.0, 1.0))]
    outputs = [TensorSpec(found.outputs[0].name, (1, 3, 64, 96), value_range=(0.0, 1.0))]
    graph = graph_of(found, "given", inputs, outputs, 2)
    (wanted,) = run(found.to_bytes(), {inputs[0].name: image.numpy()})
    np.testing.assert_allclose(
        graphs.session(graph.model).run(None, {inputs[0].name: image.numpy()})[0], wanted, atol=1e-5
    )
    assert onnx.load(path).opset_import[0].version == opset or dynamo

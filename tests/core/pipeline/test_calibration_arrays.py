"""Calibration with ``.npz`` examples: reading, refusal if they do not match, and the resulting ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import Graph, Size, TensorSpec
from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.pipeline.files import calibration
from clearport.pipeline.isolated.process import Isolated
from clearport.quantize import flow
from clearport.quantize.flow import QuantizeOptions

SIZE = Size(24, 32)
IMAGE = TensorSpec("image", (1, 3, 24, 32), value_range=(0.0, 1.0))
FLOW = TensorSpec("flow", (1, 2, 24, 32), kind="map", value_range=None)
OPTIONS = QuantizeOptions(equalization=(0.0,), search=False, compensate=False)


def graph() -> Graph:
    """A convolution of a picture and a flow."""
    shapes = {"image": [1, 3, 24, 32], "flow": [1, 2, 24, 32], "restored": [1, 3, 24, 32]}
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in shapes.items()]
    kernel = np.random.default_rng(0).normal(size=(3, 5, 3, 3)).astype(np.float32) / 9
    sizes = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "group": 1}
    nodes = [
        helper.make_node("Conv", ["image", "k", "b"], ["x"], "conv1", pads=[1] * 4, **sizes),
        helper.make_node("Conv", ["flow", "m", "b"], ["y"], "conv2", pads=[1] * 4, **sizes),
        helper.make_node("Add", ["x", "y"], ["restored"], "add1"),
    ]
    constants = {"k": kernel[:, :3], "m": kernel[:, 3:], "b": np.zeros(3, np.float32)}
    held = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()]
    made = helper.make_graph(nodes, "g", ends[:2], ends[2:], held)
    model = ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9))
    restored = TensorSpec("restored", (1, 3, 24, 32), kind="map", value_range=None)
    return graphs.check(Graph(model, (IMAGE, FLOW), (restored,), "g", 1))


def written(folder: Path, name: str = "a", **arrays: np.ndarray) -> Path:
    generator = np.random.default_rng(3)
    usual = {
        "image": generator.integers(0, 256, (24, 32, 3), np.uint8),
        "flow": generator.uniform(-40, 25, (1, 2, 24, 32)).astype(np.float32),
    }
    np.savez(folder / f"{name}.npz", **{key: array for key, array in {**usual, **arrays}.items() if array.size})
    return folder / f"{name}.npz"


def test_ranges_are_those_of_the_examples_in_another_process_too(tmp_path: Path) -> None:
    files = [written(tmp_path, "b"), written(tmp_path, "a", flow=np.full((1, 2, 24, 32), 7, np.float32))]
    assert calibration.examples(tmp_path) == sorted(files)
    samples = calibration.samples_of(files, (IMAGE, FLOW), SIZE)
    here = flow.quantize(graph(), samples, OPTIONS).table
    with Isolated() as isolated:
        there = isolated.quantize(graph(), samples, OPTIONS).table
    assert here.entries == there.entries
    (step,) = here["flow"].scale
    assert step * 255 == pytest.approx(65, rel=0.01)  # from -40 to 25
    assert len(here.calibration["images"]) == 2


def test_a_free_size_is_that_of_each_example(tmp_path: Path) -> None:
    free = [TensorSpec(spec.name, (1, spec.shape[1], "H", "W"), kind=spec.kind) for spec in (IMAGE, FLOW)]
    small = {"image": np.zeros((8, 16, 3), np.uint8), "flow": np.zeros((1, 2, 8, 16), np.float32)}
    (sample,) = calibration.samples_of([written(tmp_path, **small)], free, None)
    assert sample["flow"].shape == (1, 2, 8, 16)
    with pytest.raises(BadInput, match=r"'flow' is map, an array \(1, 2, 24, 32\)"):
        calibration.samples_of([written(tmp_path, flow=small["flow"])], free, None)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"flow": np.zeros(0)}, "expected arrays named image, flow; got image"),
        ({"other": np.ones(1)}, "got image, flow, other"),
        ({"image": np.zeros((1, 3, 24, 32), np.float32)}, r"is a picture, uint8 \(24, 32, 3\); got float32"),
        ({"flow": np.full((1, 2, 24, 32), np.nan)}, "not finite"),
        ({"flow": np.array(["x"])}, "an array .* got <U1"),
        ({"flow": np.array([{}])}, "cannot be loaded when allow_pickle=False"),
    ],
)
def test_examples_that_do_not_fit_are_refused(arrays: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    path = written(tmp_path, **arrays)
    with pytest.raises(BadInput, match=said) as caught:
        calibration.samples_of([path], (IMAGE, FLOW), SIZE)
    assert str(path) in str(caught.value)


def test_anything_but_an_npz_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(BadInput, match="not a file of arrays"):
        calibration.samples_of([path], (IMAGE, FLOW), SIZE)
    with pytest.raises(BadInput, match="takes one picture: calibrate it with photos"):
        calibration.samples_of([path], (), SIZE)

"""Resizing by odd scales: PyTorch's sizes and pixels, whatever precision sizes are computed in."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clearport.base import Graph, Size, TensorSpec
from clearport.errors import BadInput
from clearport.export import from_torch
from clearport.export.passes import order as passes
from clearport.export.passes import sizes as pass_sizes
from clearport.graph import nodes as graphs
from clearport.model_spec import ModelSpec, Paper

TORCH = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
MODES = {
    "linear": 'mode="linear", coordinate_transformation_mode="half_pixel"',
    "cubic": 'mode="cubic", coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75',
    "nearest": 'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"',
}


def resize(mode: str, scale: float, size: tuple[int, int], result: tuple[int, int]) -> Graph:
    """A Resize as the exporter writes it."""
    body = (
        f"s = Constant<value = float[4] {{1, 1, {scale!r}, {scale!r}}}>() restored = Resize<{MODES[mode]}>(image, , s)"
    )
    shapes = [",".join(map(str, (1, 3, *each))) for each in (size, result)]
    text = f"g (float[{shapes[0]}] image) => (float[{shapes[1]}] restored) {{ {body} }}"
    model = ir.from_onnx_text(f'<ir_version: 9, opset_import: ["" : 20]> {text}')
    return Graph(model, (TensorSpec("image", (1, 3, *size)),), (TensorSpec("restored", (1, 3, *result)),), "test", 1)


SCALES = st.one_of(
    st.sampled_from([0.7, 0.29, 0.35, 1 / 3, 2 / 3, 0.1, 0.57, 1.1, 1.5, 2.3, 0.9, 1.4, 3.7]),
    st.builds(lambda a, b: a / b, st.integers(1, 40), st.integers(8, 30)),
    st.floats(0.2, 4).map(lambda x: round(x, 3)),
)


@settings(max_examples=50, deadline=None)
@given(scale=SCALES, size=st.tuples(st.integers(8, 120), st.integers(8, 120)), mode=st.sampled_from(list(MODES)))
def test_the_size_is_pytorch_s(scale: float, size: tuple[int, int], mode: str) -> None:
    if min(size) * scale < 2:
        return
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, *size)).astype(np.float32)
    wanted = nn.functional.interpolate(torch.from_numpy(image), scale_factor=scale, mode=TORCH[mode]).numpy()
    graph = resize(mode, scale, size, wanted.shape[2:])
    if size == wanted.shape[2:] and scale != 1 and mode == "cubic":
        with pytest.raises(BadInput, match="adds no pixel"):
            pass_sizes.run(graph)
    elif mode == "nearest":  # may have no factor nearby that takes the same pixels; what interpolates has
        with contextlib.suppress(BadInput):
            holds(graph, image, wanted)
    else:
        holds(graph, image, wanted)


def holds(graph: Graph, image: np.ndarray, wanted: np.ndarray) -> None:
    """Inference and ONNX Runtime give the size of ``wanted``, and its pixels."""
    settled = pass_sizes.run(graph)
    unnamed = settled.model.clone()
    unnamed.graph.outputs[0].shape = None
    inferred = onnx.shape_inference.infer_shapes(graphs.to_proto(unnamed), strict_mode=True, data_prop=True)
    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    assert tuple(d.dim_value for d in dims) == wanted.shape
    found = passes.evaluate(graphs.check(settled), {"image": image})[0]
    assert found.shape == wanted.shape
    if graphs.attr_str(graph.model.graph.node(-1), "mode", "") == "nearest":
        wanted = passes.evaluate(graph, {"image": image})[0][
            :, :, : wanted.shape[2], : wanted.shape[3]
        ]  # PyTorch has other borders
    np.testing.assert_allclose(found, wanted, atol=1e-4)


class Resized(nn.Module):
    def __init__(self, scale: float, mode: str) -> None:
        super().__init__()
        self.scale, self.mode, self.body = scale, mode, nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        small = nn.functional.interpolate(image, scale_factor=self.scale, mode=self.mode)
        return nn.functional.interpolate(self.body(small), size=image.shape[2:], mode="bilinear")


SPEC = ModelSpec("resized", "deraining", lambda _: None, (1,), 1, 9, Paper("", "0"), value_range=(0.0, 1.0))


@pytest.mark.parametrize(
    ("scale", "mode", "size"),
    [
        pytest.param(0.7, "bilinear", Size(30, 40), marks=pytest.mark.slow),
        pytest.param(0.29, "bicubic", Size(100, 60), marks=pytest.mark.slow),
        pytest.param(0.7, "nearest", Size(30, 40), marks=pytest.mark.slow),
        pytest.param(0.7, "bilinear", None, marks=pytest.mark.slow),
    ],
)
def test_a_network_that_resizes_by_odd_scales_is_exported(scale: float, mode: str, size: Size | None) -> None:
    torch.manual_seed(0)
    graph = from_torch.export_graph(Resized(scale, mode).eval(), SPEC, 1, size)
    assert {node.op_type for node in graph.model.graph} >= {"Resize", "Conv"}


def test_scales_that_float32_holds_stay_as_they_are() -> None:
    graph = resize("linear", 0.375, (16, 24), (6, 9))
    assert graphs.to_bytes(pass_sizes.run(graph).model) == graphs.to_bytes(graph.model)

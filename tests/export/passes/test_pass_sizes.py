"""Operators whose sizes onnx's inference counts otherwise than PyTorch: exported at fixed sizes, equal to PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from clearport.base import Graph, Size
from clearport.export.from_torch import export_graph
from clearport.graph import nodes as graphs
from clearport.model_spec import ModelSpec, Paper

if TYPE_CHECKING:
    from collections.abc import Callable


class Through(nn.Module):
    """A convolution, what is tried, and back to the size of the picture."""

    def __init__(self, tried: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.tried = nn.Conv2d(3, 3, 3, padding=1), tried

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return F.interpolate(self.tried(self.conv(image)), size=image.shape[-2:], mode="nearest")


def exported(tried: Callable[[torch.Tensor], torch.Tensor], size: Size) -> Graph:
    """The graph, which ``export_graph`` compares with PyTorch."""
    net = Through(tried).eval()
    paper = Paper("Image Super-Resolution Using Deep Convolutional Networks", "1501.00092")
    spec = ModelSpec("through", "super-resolution", lambda _: net, (1,), 1, 8, paper, value_range=(0.0, 1.0))
    return export_graph(net, spec, 1, size)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_factor_whose_product_is_whole_in_float32_alone(mode: str) -> None:
    """0.7 x 30 is 21 to PyTorch and ONNX Runtime, and 20 to onnx's inference."""
    graph = exported(lambda x: F.interpolate(x, scale_factor=0.7, mode=mode), Size(30, 40))
    resizes = [node for node in graph.model.graph if node.op_type == "Resize"]
    assert list(resizes[0].outputs[0].shape or ()) == [1, 3, 21, 28]


def test_where_one_side_alone_is_divided_exactly_each_has_its_own_resize() -> None:
    """0.7 x 50 is 35 to onnx's inference only as a size, and to no size does nearest take the same rows of 32."""
    graph = exported(lambda x: F.interpolate(x, scale_factor=0.7, mode="nearest"), Size(32, 50))
    resizes = [node for node in graph.model.graph if node.op_type == "Resize"]
    assert [list(node.outputs[0].shape or ()) for node in resizes] == [[1, 3, 22, 50], [1, 3, 22, 35], [1, 3, 32, 50]]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    kernel=st.integers(2, 4),
    stride=st.integers(1, 4),
    pad=st.integers(0, 2),
    size=st.tuples(st.integers(8, 15), st.integers(8, 15)),
    kind=st.sampled_from(["max", "mean", "mean of counted pads"]),
)
def test_pools_that_are_rounded_up(kernel: int, stride: int, pad: int, size: tuple[int, int], kind: str) -> None:
    assume(pad <= kernel // 2)

    def pool(x: torch.Tensor) -> torch.Tensor:
        if kind == "max":
            return F.max_pool2d(x, kernel, stride, pad, ceil_mode=True)
        return F.avg_pool2d(x, kernel, stride, pad, ceil_mode=True, count_include_pad=kind != "mean")

    graph = exported(pool, Size(*size))
    (node,) = (node for node in graph.model.graph if node.op_type in {"MaxPool", "AveragePool"})
    assert graphs.attr_int(node, "ceil_mode", 0) == 0
    assert all(n < kernel for n in graphs.attr_ints(node, "pads", ()))


def test_a_window_that_begins_in_the_padding_is_left_out() -> None:
    for pool in (F.max_pool2d, F.avg_pool2d):
        graph = exported(lambda x, pool=pool: pool(x, 2, 2, 1, ceil_mode=True), Size(11, 15))  # type: ignore[misc]
        (node,) = (node for node in graph.model.graph if node.op_type in {"MaxPool", "AveragePool"})
        assert list(node.outputs[0].shape or ()) == [1, 3, 6, 8]

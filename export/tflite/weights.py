"""Constants of convolutions, as stored in the file.

LiteRT 2.3.0's XNNPACK rejects a ratio of 256 or more between a convolution's accumulator scale (input times weight)
and its output scale, and the process then aborts (double free). The scale of a channel whose weights are all
zero is arbitrary, so dead branches of trained networks may have such a ratio (IAT's published weights: up to
98,500): for these channels the file uses the output's scale.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.tflite.tensors import Quant
from clearport.graph import nodes as graphs
from clearport.quantize.scheme import single, to_integers

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from clearport.base import Array
    from clearport.export.tflite.lower import Lowering
    from clearport.export.tflite.tensors import Tensor
    from clearport.quantized import QParams

LARGEST_FACTOR = 256
"""``xnn_define_convolution_2d``: "requantization scale must be smaller than 256"."""


def weights(low: Lowering, node: ir.Node, arrange: Callable[[Array], Array], axis: int = 0) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution; ``arrange`` and ``axis`` are those of ``Lowering.constant``.

    Raises:
        UnsupportedOperator: a channel with nonzero weights has too large a ratio.
    """
    dead = _beyond(low, node)
    if not dead.any():
        return low.constant(node, 1, arrange, axis), low.constant(node, 2, np.ravel)
    given, result = (_params(low, v) for v in (graphs.need(node, 0), node.outputs[0]))
    return (
        _counted_anew(low, node, 1, arrange, axis, dead, single(result.scale[0] / given.scale[0])),
        _counted_anew(low, node, 2, np.ravel, 0, dead, result.scale[0]),
    )


def _beyond(low: Lowering, node: ir.Node) -> Array:
    """Mask of output channels with too large a ratio, whose weights are all zero; none in float files."""
    if low.quant(node) is None:
        return np.zeros(1, bool)
    result, kernel, bias = (_params(low, value) for value in (node.outputs[0], *node.inputs[1:3]))
    found: Array = np.asarray(bias.scale) / result.scale[0] >= LARGEST_FACTOR
    steps = np.moveaxis(to_integers(graphs.need_constant(node, 1), kernel), kernel.axis or 0, 0)
    if steps[found].any():
        raise low.refuse(
            node,
            f"in int8: its accumulator scale is at least {LARGEST_FACTOR} times its output scale, and XNNPACK "
            f"aborts on "
            "that: the layer's output is almost constant on the calibration photos; use fp32, fp16 or other photos",
        )
    return found


def _params(low: Lowering, value: ir.Value | None) -> QParams:
    assert value is not None
    return low.params(graphs.name_of(value))


def _counted_anew(
    low: Lowering, node: ir.Node, index: int, arrange: Callable[[Array], Array], axis: int, dead: Array, scale: float
) -> Tensor:
    """Constant input ``index`` with ``scale`` for its ``dead`` channels."""
    given = _params(low, graphs.need(node, index))
    params = replace(given, scale=tuple(scale if d else s for d, s in zip(dead, given.scale, strict=True)))
    steps = arrange(to_integers(graphs.need_constant(node, index), params))
    counted = axis if len(params.scale) > 1 else 0
    return low.file.constant(graphs.name_of(graphs.need(node, index)), steps, Quant(params.scale, 0, counted))

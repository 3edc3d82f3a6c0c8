"""A graph executed in PyTorch, for its gradients.

The operators of clearport's dialect, as ONNX defines them. Other operators or forms raise ``Unknown``; the caller then
works without gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.record import resolved

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Graph

Tensors = tuple[torch.Tensor, ...]


class Unknown(NotImplementedError):
    """An operator, or a combination of its attributes, that is not implemented here."""


Watch = Callable[[str, torch.Tensor], None]
Through = Callable[[str, torch.Tensor], torch.Tensor]


def _as_it_is(_: str, value: torch.Tensor) -> torch.Tensor:
    return value


def run(
    graph: Graph,
    feeds: Mapping[str, torch.Tensor],
    watch: Watch = lambda _name, _value: None,
    parts: int = 1,
    through: Through = _as_it_is,
) -> list[torch.Tensor]:
    """The outputs, in the graph's order, computed from ``feeds`` (input name -> float32 tensor).

    ``feeds`` may also replace constants of the graph. ``watch`` is called with the name and tensor of every value,
    inputs first, in graph order; ``through`` returns the tensor that the value's consumers read. Values are freed
    after their last consumer. With several ``parts`` (gradient checkpointing), only the values between parts are kept
    for the backward pass, which recomputes the others and calls ``watch`` for them again.

    Raises:
        Unknown: the graph has an operator that is not implemented here.
    """
    values = {name: through(name, value) for name, value in feeds.items()}
    for name, value in values.items():
        watch(name, value)
    nodes = list(graphs.computed(graph.model.graph))
    outputs = [spec.name for spec in graph.outputs]
    most = -(-len(nodes) // parts)
    for first in range(0, len(nodes), most):
        part = nodes[first : first + most]
        later = {graphs.name_of(v) for node in nodes[first + most :] for v in node.inputs if v is not None}
        kept = [name for node in part for v in node.outputs if (name := graphs.name_of(v)) in {*later, *outputs}]
        step = partial(_step, part, kept, list(values), watch, through)
        made = _again(step, *values.values()) if parts > 1 else step(*values.values())
        values.update(zip(kept, made, strict=True))
        values = {name: value for name, value in values.items() if name in later or name in outputs}
    return [values[name] for name in outputs]


def _again(step: Callable[..., Tensors], *given: torch.Tensor) -> Tensors:
    """``step(*given)``, whose intermediate values the backward pass recomputes."""
    made: Tensors = checkpoint(step, *given, use_reentrant=False, preserve_rng_state=False)
    return made


def _step(
    nodes: Sequence[ir.Node],
    kept: Sequence[str],
    names: Sequence[str],
    watch: Watch,
    through: Through,
    *given: torch.Tensor,
) -> Tensors:
    """Run ``nodes`` on the values ``given``, named ``names``; return the values named ``kept``."""
    values = dict(zip(names, given, strict=True))
    last = {graphs.name_of(v): place for place, node in enumerate(nodes) for v in node.inputs if v is not None}
    last.update(dict.fromkeys(kept, len(nodes)))
    for place, node in enumerate(nodes):
        form = table.of(node).torch
        if form is None:
            raise Unknown(node.op_type)
        made = form(node, *(_operand(value, values) for value in node.inputs))
        made = (made,) if isinstance(made, torch.Tensor) else made
        for value, computed in zip(node.outputs, made, strict=True):
            tensor = through(graphs.name_of(value), computed)
            watch(graphs.name_of(value), tensor)
            values[graphs.name_of(value)] = tensor
        del made, computed, tensor
        values = {name: value for name, value in values.items() if last.get(name, -1) > place}
    return tuple(values[name] for name in kept)


def _operand(value: ir.Value | None, values: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    if value is None or value.name in values:
        return None if value is None else values[graphs.name_of(value)]
    array = graphs.constant(value)
    if array is None:
        raise Unknown(f"{value.name!r} is neither an input, a constant nor computed")
    return torch.from_numpy(np.array(array))


def shape(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    """Shape, from ``start`` to ``end``."""
    end = graphs.attr_int(node, "end", x.ndim)
    return torch.tensor(x.shape[graphs.attr_int(node, "start", 0) : end])


def _ints(tensor: torch.Tensor | None) -> list[int]:
    return [] if tensor is None else [int(n) for n in tensor.reshape(-1)]


def _pads(node: ir.Node) -> tuple[list[int], list[int]]:
    """Padding of the axes after the channels: before and after."""
    if graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        raise Unknown("auto_pad")
    pads = graphs.attr_ints(node, "pads", (0,) * 4)
    return list(pads[: len(pads) // 2]), list(pads[len(pads) // 2 :])


def _padded(node: ir.Node, x: torch.Tensor, value: float = 0.0) -> torch.Tensor:
    before, behind = _pads(node)
    if not any((*before, *behind)):
        return x
    return F.pad(x, [n for pair in zip(reversed(before), reversed(behind), strict=True) for n in pair], value=value)


def _two(node: ir.Node, name: str) -> tuple[int, ...]:
    return graphs.attr_ints(node, name, (1, 1))


def plain(_: ir.Node, *given: torch.Tensor, of: str) -> torch.Tensor:
    """An operator without attributes, computed by PyTorch's function ``of``."""
    computed: torch.Tensor = resolved(of)(*given)
    return computed


def global_average_pool(_: ir.Node, x: torch.Tensor) -> torch.Tensor:
    """GlobalAveragePool."""
    return x.mean((2, 3), keepdim=True)


def conv(node: ir.Node, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    before, behind = _pads(node)
    alike = before == behind
    x, pads = (x, before) if alike else (_padded(node, x), [0, 0])
    group = graphs.attr_int(node, "group", 1)
    return F.conv2d(x, weight, bias, _two(node, "strides"), pads, _two(node, "dilations"), group)


def conv_transpose(
    node: ir.Node, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    before, behind = _pads(node)
    if before != behind or "output_shape" in node.attributes:
        raise Unknown("a ConvTranspose with asymmetric pads")
    more, group = graphs.attr_ints(node, "output_padding", (0, 0)), graphs.attr_int(node, "group", 1)
    return F.conv_transpose2d(x, weight, bias, _two(node, "strides"), before, more, group, _two(node, "dilations"))


def gemm(node: ir.Node, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
    a, b = (x.T if graphs.attr_int(node, name, 0) else x for x, name in ((a, "transA"), (b, "transB")))
    product = graphs.attr_float(node, "alpha", 1.0) * (a @ b)
    return product if c is None else product + graphs.attr_float(node, "beta", 1.0) * c


def clip(_: ir.Node, x: torch.Tensor, low: torch.Tensor | None = None, high: torch.Tensor | None = None) -> Any:
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def prelu(_: ir.Node, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, x * slope, x)


def gelu(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate=graphs.attr_str(node, "approximate", "none"))


def concat(node: ir.Node, *given: torch.Tensor) -> torch.Tensor:
    return torch.cat(given, graphs.attr_int(node, "axis", 0))


def split(node: ir.Node, x: torch.Tensor, sizes: torch.Tensor | None = None) -> Tensors:
    axis, count = graphs.attr_int(node, "axis", 0), len(node.outputs)
    return torch.split(x, _ints(sizes) or -(-x.shape[axis] // count), axis)


def slice_(_: ir.Node, x: torch.Tensor, *where: torch.Tensor | None) -> torch.Tensor:
    starts, ends = _ints(where[0]), _ints(where[1])
    axes = _ints(where[2]) if len(where) > 2 else list(range(len(starts)))
    steps = (_ints(where[3]) if len(where) > 3 else []) or [1] * len(starts)
    if min(steps) < 1:
        raise Unknown("a Slice with a negative step")
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def reshape(node: ir.Node, x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    if graphs.attr_int(node, "allowzero", 0):
        raise Unknown("allowzero")
    return x.reshape([x.shape[axis] if n == 0 else n for axis, n in enumerate(_ints(shape))])


def transpose(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    return x.permute(graphs.attr_ints(node, "perm", tuple(reversed(range(x.ndim)))))


def depth_to_space(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    block = graphs.attr_int(node, "blocksize", 1)
    if graphs.attr_str(node, "mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    block = graphs.attr_int(node, "blocksize", 1)
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


def pad(node: ir.Node, x: torch.Tensor, pads: torch.Tensor, *more: torch.Tensor | None) -> torch.Tensor:
    amounts, mode = _ints(pads), graphs.attr_str(node, "mode", "constant")
    names = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    if mode not in names or (len(more) > 1 and more[1] is not None) or min(amounts) < 0:
        raise Unknown(f"Pad {mode}")
    pairs = [n for axis in reversed(range(x.ndim)) for n in (amounts[axis], amounts[axis + x.ndim])]
    if mode != "constant":
        return F.pad(x, pairs[:4], names[mode])
    return F.pad(x, pairs, value=float(more[0]) if more and more[0] is not None else 0.0)


def resize(node: ir.Node, x: torch.Tensor, *given: torch.Tensor | None) -> torch.Tensor:
    scales, sizes = (given[index] if len(given) > index else None for index in (1, 2))
    factors = [] if scales is None or not scales.numel() else [float(n) for n in scales]
    size = _ints(sizes)[2:] or [int(n * factor) for n, factor in zip(x.shape[2:], factors[2:], strict=True)]
    form = (graphs.attr_str(node, "mode", "nearest"), graphs.attr_str(node, _COORDINATES, "half_pixel"))
    floors = graphs.attr_str(node, "nearest_mode", "round_prefer_floor") == "floor"
    if form not in _RESIZES or x.ndim != 4 or (form[0] == "nearest" and not floors):
        raise Unknown(f"Resize {form}")
    mode, corners = _RESIZES[form]
    return F.interpolate(x, size, mode=mode, align_corners=corners)


_COORDINATES = "coordinate_transformation_mode"
_RESIZES: Mapping[tuple[str, ...], tuple[str, bool | None]] = {
    ("nearest", "asymmetric"): ("nearest", None),
    ("linear", "half_pixel"): ("bilinear", False),
    ("linear", "pytorch_half_pixel"): ("bilinear", False),
    ("linear", "align_corners"): ("bilinear", True),
    ("cubic", "half_pixel"): ("bicubic", False),
}


def max_pool(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    ceil = bool(graphs.attr_int(node, "ceil_mode", 0))
    x = _padded(node, x, -torch.inf)
    return F.max_pool2d(x, _two(node, "kernel_shape"), _two(node, "strides"), 0, _two(node, "dilations"), ceil)


def average_pool(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    (before, behind), inclusive = _pads(node), bool(graphs.attr_int(node, "count_include_pad", 0))
    if before != behind or "dilations" in node.attributes:
        raise Unknown("an AveragePool with asymmetric pads")
    ceil = bool(graphs.attr_int(node, "ceil_mode", 0))
    return F.avg_pool2d(x, _two(node, "kernel_shape"), _two(node, "strides"), before, ceil, inclusive)


def reduce(node: ir.Node, x: torch.Tensor, axes: torch.Tensor | None = None, *, of: str) -> torch.Tensor:
    """ReduceMean or ReduceSum, computed by PyTorch's function ``of``."""
    chosen = _ints(axes) or list(range(x.ndim))
    reduced: torch.Tensor = resolved(of)(x, chosen, keepdim=bool(graphs.attr_int(node, "keepdims", 1)))
    return reduced


def softmax(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, graphs.attr_int(node, "axis", -1))


def layer_norm(node: ir.Node, x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    axis = graphs.attr_int(node, "axis", -1) % x.ndim
    normal = F.layer_norm(x, x.shape[axis:], eps=graphs.attr_float(node, "epsilon", 1e-5)) * scale
    return normal if bias is None else normal + bias


def leaky_relu(node: ir.Node, x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, graphs.attr_float(node, "alpha", 0.01))

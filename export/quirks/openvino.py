"""Deviations of OpenVINO's reader and CPU plugin from ONNX (see ``table.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export import resampling
from clearport.export.quirks.table import Quirk
from clearport.graph.nodes import attr_int, attr_str, need, producer
from clearport.operators.activations import CLIP
from clearport.operators.convolution import CONV
from clearport.operators.index import TOP_K
from clearport.operators.layouts import RESHAPE
from clearport.operators.movers import PAD
from clearport.operators.pools import AVERAGE_POOL, MAX_POOL
from clearport.operators.quantization import DEQUANTIZE
from clearport.operators.resize import RESIZE

if TYPE_CHECKING:
    import onnx_ir as ir

_SEEN = "openvino 2026.4.1"
_LEAST_FREE = 8
"""Smallest side considered for dynamic sizes, in pixels."""
_SAFE_PLACES = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}


def _borders(node: ir.Node) -> bool:
    """Whether a nearest sample may fall on the border of two pixels: the factor is neither an integer nor 1/2, 1/4
    ...
    """
    if attr_str(node, "mode", "nearest") != "nearest":
        return False
    places = attr_str(node, "coordinate_transformation_mode", "half_pixel")
    rounding = attr_str(node, "nearest_mode", "round_prefer_floor")
    factors = resampling.factors(node)
    if factors is None or (places, rounding) not in _SAFE_PLACES:
        return True
    halved = places == "asymmetric"
    return not all(f.is_integer() or (halved and f < 1 and f.as_integer_ratio()[0] == 1) for f in factors)


def _antialias(node: ir.Node) -> bool:
    return attr_int(node, "antialias", 0) == 1 and attr_str(node, "mode", "nearest") != "nearest"


def _outside(node: ir.Node) -> bool:
    return attr_int(node, "exclude_outside", 0) == 1 and attr_str(node, "mode", "nearest") == "cubic"


def _keeps_a_side(node: ir.Node) -> bool:
    """Whether a factor adds no pixel to a side, which ONNX nevertheless resamples: 1.25 times 3 rows."""
    given, found = resampling.factors(node), need(node, 0).shape
    if given is None or found is None or attr_str(node, "mode", "nearest") != "linear":
        return False
    lengths = (n if isinstance(n, int) else _LEAST_FREE for n in found[2:])
    return any(factor > 1 and int(n * factor) == n for n, factor in zip(lengths, given, strict=False))


def _counted_beyond(node: ir.Node) -> bool:
    return attr_int(node, "ceil_mode", 0) == 1 and attr_int(node, "count_include_pad", 0) == 1


def _clamps_int8(node: ir.Node) -> bool:
    """Whether a Clip reads int8 values of the QDQ form."""
    given = producer(need(node, 0))
    return given is not None and given.op_type == DEQUANTIZE.name


ANTIALIAS = Quirk(
    "antialias",
    _SEEN,
    RESIZE.name,
    "linear or cubic with antialias",
    "the same without antialias: up to 0.8 of the range off",
    "rewritten",
    "export/openvino/forms.py: as_matrices at a fixed size, refused at a free one",
    _antialias,
)
EXCLUDE_OUTSIDE = Quirk(
    "cubic without what lies outside",
    _SEEN,
    RESIZE.name,
    "cubic with exclude_outside",
    "cubic with the edge repeated: 0.06 of the range off at the border",
    "rewritten",
    "export/openvino/forms.py: as_matrices at a fixed size, refused at a free one",
    _outside,
)
NEAREST_BORDERS = Quirk(
    "nearest on the border of pixels",
    _SEEN,
    RESIZE.name,
    "nearest by a factor that is not whole, or to a size",
    "the other pixel where a point falls on the border of two in float32 (1.3 times 35 columns, half_pixel)",
    "rewritten",
    "export/openvino/forms.py: as_gathers at a fixed size, refused at a free one",
    _borders,
)
KEPT_SIDE = Quirk(
    "Resize that keeps a side",
    _SEEN,
    RESIZE.name,
    "linear by a factor that adds no pixel to one side (1.25 times 3 rows)",
    "a copy along that side: a third of the range off",
    "rewritten",
    "export/openvino/forms.py: as_matrices at a fixed size, refused at a free one",
    _keeps_a_side,
)
COUNTED_BEYOND = Quirk(
    "averages that are rounded up",
    _SEEN,
    AVERAGE_POOL.name,
    "ceil_mode with count_include_pad",
    "windows beyond the padding are divided by other counts: up to 0.3 of the range off at the border",
    "refused",
    "export/passes/sizes.py writes a Pad before it at a fixed size; refused at a free one",
    _counted_beyond,
)
PAD_WRAP = Quirk(
    "circular padding",
    _SEEN,
    PAD.name,
    "mode wrap",
    "nothing: the reader raises an error",
    "refused",
    "to_openvino",
    lambda node: attr_str(node, "mode", "constant") == "wrap",
)
WINDOW_BEYOND = Quirk(
    "windows that begin in the padding",
    _SEEN,
    MAX_POOL.name,
    "ceil_mode where the last window may begin in the padding at the end",
    "a row or column more than PyTorch, ONNX Runtime and the specification",
    "refused",
    "export/passes/sizes.py writes pads instead at a fixed size; refused at a free one",
    lambda node: attr_int(node, "ceil_mode", 0) == 1,
)
COUNTED_INT8 = Quirk(
    "counted padding in int8",
    _SEEN,
    AVERAGE_POOL.name,
    "int8: count_include_pad with pads",
    "the padding is the number 0 instead of the zero point: 57 steps off at the border",
    "avoided",
    "export/passes/sizes.py writes a Pad before it",
)
CUT_BOUNDS = Quirk(
    "bounds of int8 clamps",
    _SEEN,
    CLIP.name,
    "int8: a bound whose level is a little below an integer, such as 84.9999984 (1.0 with a scale of 3/255)",
    "a kernel of its own cuts the bound to 84, so that all that is clamped is a step off; fused into a convolution, it "
    "takes a bound a little above an integer for the next one",
    "rewritten",
    "export/openvino/forms.py writes Max and Min",
    _clamps_int8,
)
LOST_ROUNDING = Quirk(
    "rounding before a sum",
    _SEEN,
    "",
    "int8: an addition, subtraction or factor behind a convolution that is quantized, computed in the same kernel",
    "what the convolution gives is clipped and not rounded: a fifth of the values a step off, up to 8 steps",
    "rewritten",
    "export/openvino/target.py: _keep_roundings",
)
TINY_ENDS = Quirk(
    "very small ranges",
    _SEEN,
    "",
    "int8: a tensor whose range begins less than 1e-6 below zero, as behind a convolution with weights of almost zero",
    "the zero point is dropped: all values are off by as many steps as it has, up to 120",
    "rewritten",
    "export/openvino/target.py: _spell_out",
)
UNSTABLE = Quirk(
    "order of equal values",
    _SEEN,
    TOP_K.name,
    "k of 1 or of 7 and more, where values are equal, as zeros behind a ReLU are",
    "the values are right, and up to 99 % of their indices are of others that are equal",
    "rewritten",
    "export/openvino/target.py: _keep_order",
)
SHARED_VIEWS = Quirk(
    "two views of one tensor",
    _SEEN,
    RESHAPE.name,
    "float: a Reshape of what a Transpose reads, too, as where tokens are also a picture for a convolution",
    "numbers that lie in the memory of the tensor by then: anything, also NaN, and others each time",
    "rewritten",
    "export/openvino/target.py: _keep_apart",
)
BRAIN_FLOAT = Quirk(
    "bfloat16 by default",
    _SEEN,
    "",
    "any float operator on a CPU with bfloat16, where nothing is said",
    "bfloat16 arithmetic: 56 to 62 dB",
    "avoided",
    "run_openvino asks for INFERENCE_PRECISION_HINT f32",
)
ASYMMETRIC = Quirk(
    "asymmetric int8",
    _SEEN,
    "",
    "int8 activations with a zero point",
    "float arithmetic, five times as slow: no integer kernel takes them",
    "avoided",
    "to_onnxruntime.onnx_form writes the uint8 twin of the scale table",
)
OVERFLOW = Quirk(
    "int8 sums that overflow",
    _SEEN,
    CONV.name,
    "int8 weights beyond 64, on an x86 CPU without VNNI, where nothing is said",
    "pairs of products cut at 32767: NCNet's int8 file has 46 dB to PyTorch instead of 55",
    "avoided",
    "run_openvino switches int8 kernels off there (LP_TRANSFORMS_MODE)",
)

QUIRKS = (
    ANTIALIAS,
    EXCLUDE_OUTSIDE,
    NEAREST_BORDERS,
    KEPT_SIDE,
    COUNTED_BEYOND,
    WINDOW_BEYOND,
    COUNTED_INT8,
    CUT_BOUNDS,
    PAD_WRAP,
    LOST_ROUNDING,
    TINY_ENDS,
    UNSTABLE,
    SHARED_VIEWS,
    BRAIN_FLOAT,
    ASYMMETRIC,
    OVERFLOW,
)

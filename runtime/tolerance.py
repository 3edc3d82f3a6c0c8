"""Tolerances of artifacts' outputs against their references, with reasons.

Every limit is absolute: a file's own outputs never widen it. Limits hold for the golden photo and for the probe,
a picture of noise, edges, gradients and flat areas that reaches what the photo does not. The figures beside them were
measured on ncnet, ecbsr, mobilederain, iagc and imdn at 64x64, on every runtime of an x86-64 machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearport.base import Precision, TensorSpec

INTEGERS = ("uint8", "int8")
BLOCK = 16
"""Side of the blocks of pixels whose mean differences are judged."""


@dataclass(frozen=True)
class Tolerance:
    """Limits of an output against its reference; None: not judged. Every limit is finite and nonnegative.

    Attributes:
        reason: the rationale of the limits.
        max_abs: largest difference in 8-bit levels.
        mean_lsb: largest mean difference in 8-bit levels.
        min_psnr_db: smallest PSNR.
        min_exact_share: smallest share (0..1) of equal values of the 8-bit pictures.
        max_block_lsb: largest mean difference, with its sign, over a block of 16x16 pixels of one color, in levels.
            Rounding has no direction: its errors cancel over a block, where those of a wrong bias or scale add up.
        max_grid_lsb: the same over all pixels with the same sub-pixel position (scale x scale positions), which come
            from one channel of the network's last convolution.
        min_sqnr_db: smallest ratio of the reference's own variance to the mean square of the difference.
        max_relative: largest difference, as a share of the reference's largest number.
        max_probability: largest difference of a probability.
        min_top1: smallest share (0..1) of choices of the same class, or of one as probable.
        max_endpoint_share: largest mean end-point error of optical flow, as a share of its mean length.
    """

    reason: str
    max_abs: float | None = None
    mean_lsb: float | None = None
    min_psnr_db: float | None = None
    min_exact_share: float | None = None
    max_block_lsb: float | None = None
    max_grid_lsb: float | None = None
    min_sqnr_db: float | None = None
    max_relative: float | None = None
    max_probability: float | None = None
    min_top1: float | None = None
    max_endpoint_share: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            if limit is not None and not (math.isfinite(limit) and limit >= 0):
                raise ValueError(f"{name} {limit}: a limit must be finite and non-negative")

    @property
    def limits(self) -> dict[str, float | None]:
        """Every limit by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "reason"}

    def within(self, widest: Tolerance) -> Tolerance:
        """The stricter of both for each limit, with this one's reason."""
        mine, theirs = self.limits, widest.limits
        narrowed: dict[str, float | None] = {
            name: _narrower(name, mine[name], theirs[name]) for name in mine if theirs[name] is not None
        }
        return replace(self, **narrowed)  # type: ignore[arg-type]  # only limits are replaced

    def __str__(self) -> str:
        parts = (
            (self.max_abs, "max ≤ {:g} levels"),
            (self.mean_lsb, "mean ≤ {:g} levels"),
            (self.min_psnr_db, "PSNR ≥ {:g} dB"),
            (self.min_exact_share, "equal ≥ {:.0%}"),
            (self.max_block_lsb, "blocks ≤ {:g} levels"),
            (self.max_grid_lsb, "grids ≤ {:g} levels"),
            (self.min_sqnr_db, "SQNR ≥ {:g} dB"),
            (self.max_relative, "relative ≤ {:g}"),
            (self.max_probability, "probabilities ≤ {:g}"),
            (self.min_top1, "top-1 ≥ {:.2%}"),
            (self.max_endpoint_share, "end points ≤ {:g}"),
        )
        return ", ".join(text.format(limit) for limit, text in parts if limit is not None)


def _narrower(name: str, one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other) if name.startswith("min_") else min(one, other)


MOST_CLIPPED = 0.01
"""Share of its own variance that a network's output may lose where it is clipped to its range: a restored photo
overshoots at edges, an output that has another range than it is said to have loses most."""

_FP32 = Tolerance(
    "float32 sums in another order: 1e-4 of the value range, and a thousandth of the picture's own deviation",
    max_abs=255e-4,
    min_sqnr_db=60.0,  # 113 and more were measured
)
_FP32_PICTURE = Tolerance(
    "a value that lies within float32 error of a half may be rounded the other way",
    max_abs=1.0,
    min_exact_share=0.99,
)
_FP16 = Tolerance(
    "half precision keeps 11 bits: errors of about a quarter of an 8-bit level, 40 dB below what a photo deviates by",
    min_psnr_db=60.0,
    min_sqnr_db=40.0,  # 60 dB of the range where the picture deviates by 26 levels; 44.9 and more were measured (iagc)
)
_FP16_PICTURE = Tolerance(
    "half precision keeps 11 bits, and rounding to 8 bit doubles its error where it falls near a half",
    max_abs=3.0,
    min_psnr_db=55.0,
    max_block_lsb=1.25,  # a flat block near a half may be a level off as a whole; 0.48 was measured (imdn)
    max_grid_lsb=0.5,  # 0.11 was measured (iagc)
)
_INT8_WEIGHTS = Tolerance(
    "8-bit weights with float activations: an error of about one level",
    min_psnr_db=45.0,
    min_sqnr_db=29.0,  # 45 dB of the range where the picture deviates by 40 levels; 33 and more were measured
)
_INT8A16 = replace(_INT8_WEIGHTS, reason="8-bit weights with 16-bit activations: an error of about one level")
_INT8 = Tolerance(
    "kernels round their sums differently, and a step of an early layer may grow on its way: on average under half a "
    "level, an RMS of one level (48.1 dB), nowhere a tenth of the range",
    max_abs=25.0,
    mean_lsb=0.5,
    min_psnr_db=48.1,
)
INT8_QUIET = Tolerance(
    "kernels round their sums differently, and a step of an early layer may grow on its way; rounding has no "
    "direction, so that little is left of it on average over a block",
    max_abs=10.0,  # 3 were measured, and 7 of FSRCNN with ranges that were not searched (LiteRT)
    mean_lsb=0.5,  # 0.016, and 0.48 of iagc so
    min_psnr_db=48.1,  # 66, and 50.5 there
    max_block_lsb=1.05,  # 0.09; a flat block may round the other way as a whole
    max_grid_lsb=0.1,  # 0.004
)
INT8_WIDEST = Tolerance(
    "the network enlarges steps: kernels that round differently may differ by six times what two of ONNX Runtime's do, "
    "and by no more than this",
    max_abs=40.0,  # 13 were measured (imdn by OpenVINO), at 64x64
    mean_lsb=1.6,  # 1.15 (iagc by OpenVINO at 64x64)
    min_psnr_db=39.5,  # 43.3 there; 40.2 (RLFN by OpenVINO at 64x64, calibrated on two small pictures)
    max_block_lsb=4.0,  # 1.7 there, and 3.1 at 360x640 (iagc by LiteRT)
    max_grid_lsb=1.0,  # 0.88 there
)
_VALUES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(
        "float32 sums in another order: a thousandth of the largest number, and of the signal's own deviation",
        min_sqnr_db=60.0,  # 122 and more were measured
        max_relative=1e-3,
    ),
    "fp16": Tolerance(
        "half precision keeps 11 bits: errors 40 dB below what the signal deviates by",
        min_sqnr_db=40.0,  # 63 and more were measured
        max_relative=0.03,
    ),
    "int8-weights": Tolerance(
        "8-bit weights with float activations: errors 25 dB below what the signal deviates by",
        min_sqnr_db=25.0,  # 53 and more were measured
        max_relative=0.3,
    ),
}
_VALUES["int8a16"] = replace(
    _VALUES["int8-weights"],
    reason="8-bit weights with 16-bit activations: errors 25 dB below what the signal deviates by",
)
"""Limits of outputs other than pictures, against PyTorch."""
_CHOICES: dict[Precision, tuple[float, float]] = {
    "fp32": (1e-3, 0.999),
    "fp16": (0.02, 0.99),
    "int8-weights": (0.1, 0.95),
    "int8a16": (0.1, 0.95),
}
"""Limits of logits and probabilities: maximum error of a probability, minimum share of equal choices."""
_CLASSES: dict[Precision, Tolerance] = {
    precision: Tolerance("classes that are about equally good change places with rounding", min_top1=least)
    for precision, (_, least) in _CHOICES.items()
}
"""Limits of class indices and Booleans: minimum equal share."""
INT8_CLASSES_QUIET = Tolerance(
    "kernels round their sums differently, by a step here and there, where two classes are about equally good",
    min_top1=0.99,
)
INT8_CLASSES_WIDEST = replace(INT8_CLASSES_QUIET, min_top1=0.95)
QUANTIZATION_CLASSES = Tolerance(
    "the error of quantization itself: where more than a twentieth chooses otherwise, more than ties have changed",
    min_top1=0.95,
)
"""Limits of int8 artifacts against PyTorch for class indices and Booleans."""
_END_POINTS: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "int8-weights": 0.1, "int8a16": 0.1}
"""Limits of optical flow: mean end-point error as a share of the mean length."""
INT8_VALUES_QUIET = Tolerance(
    "kernels round their sums differently, by a step of the output here and there: 36 dB below what the signal "
    "deviates by",
    min_sqnr_db=36.0,
    max_relative=0.1,
)
INT8_VALUES_WIDEST = Tolerance(
    "the network enlarges steps: kernels that round differently may differ by six times what two of ONNX Runtime's do, "
    "and by no more than this",
    min_sqnr_db=20.0,
    max_relative=0.5,
)
QUANTIZATION_VALUES = Tolerance(
    "the error of quantization itself: above a quarter of what the signal deviates by it is no longer that signal",
    min_sqnr_db=12.0,
)
"""Limits of int8 artifacts against PyTorch for outputs other than pictures."""
QUANTIZATION = Tolerance(
    "the error of quantization itself: below 35 dB of the range, or 15 dB of the picture's variance, it can be seen",
    min_psnr_db=35.0,
    min_sqnr_db=15.0,
)
"""How far int8 artifacts may be from PyTorch, whatever the network."""

PROBE_DB = 10.0
"""How many dB float artifacts may be worse on the probe than on a photo: measured 4 for fp16, 10 for int8 weights."""


def tolerance_for(precision: Precision, output: TensorSpec) -> Tolerance:
    """The limits of an artifact: against PyTorch fp32 for all but int8, whose reference is the QDQ model."""
    if not output.is_picture:
        return _of_values(precision, output)
    picture = output.dtype in INTEGERS
    return {
        "fp32": _FP32_PICTURE if picture else _FP32,
        "fp16": _FP16_PICTURE if picture else _FP16,
        "int8-weights": _INT8_WEIGHTS,
        "int8a16": _INT8A16,
        "int8": _INT8,
    }[precision]


def widest_for(precision: Precision, output: TensorSpec) -> Tolerance:
    """The loosest limits that a bundle's manifest may state."""
    if precision != "int8":
        return tolerance_for(precision, output)
    if output.judged_by == "classes":
        return INT8_CLASSES_WIDEST
    return INT8_WIDEST if output.is_picture else INT8_VALUES_WIDEST


def quantization_for(output: TensorSpec) -> Tolerance:
    """How far int8 artifacts may be from PyTorch, whatever the network."""
    if output.judged_by == "classes":
        return QUANTIZATION_CLASSES
    return QUANTIZATION if output.is_picture else QUANTIZATION_VALUES


def _of_values(precision: Precision, output: TensorSpec) -> Tolerance:
    if output.judged_by == "classes":
        return INT8_CLASSES_QUIET if precision == "int8" else _CLASSES[precision]
    if precision == "int8":
        return INT8_VALUES_QUIET
    limits = _VALUES[precision]
    if output.judged_by in {"logits", "probabilities"}:
        probability, top1 = _CHOICES[precision]
        return replace(limits, max_probability=probability, min_top1=top1)
    return replace(limits, max_endpoint_share=_END_POINTS[precision]) if output.judged_by == "flow" else limits


def eased(tolerance: Tolerance, by_db: float = PROBE_DB) -> Tolerance:
    """The limits of float artifacts on the probe, which is less natural than photos."""
    names = ("min_psnr_db", "min_sqnr_db")
    lower = {name: limit - by_db for name in names if (limit := tolerance.limits[name]) is not None}
    return replace(tolerance, **lower)  # type: ignore[arg-type]  # only limits are replaced

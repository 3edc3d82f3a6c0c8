"""Comparison of outputs other than pictures: logits, flow, depth, states, embeddings.

No value range is assumed. Errors are relative to the signal itself: to its variance (SQNR), its largest magnitude
(relative error) or its mean length (end-point error); logits are compared by their softmax probabilities and their top
class. Class indices and Booleans are compared for equality only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Measure
from clearport.runtime import pixels
from clearport.runtime.parity import Basis, ParityReport, judge, ratio_db
from clearport.runtime.tolerance import Tolerance

if TYPE_CHECKING:
    from clearport.base import Array, TensorSpec

BASIS: Basis = "values"

TIE = 0.005
"""Classes whose probabilities differ by at most this are tied: float errors may choose either."""

_CHOICES = frozenset({"logits", "probabilities"})
_PLANES = 4


@dataclass(frozen=True)
class ValuesReference:
    """The reference of an output other than a picture.

    Attributes:
        name: what made it.
        output: the name of the output.
        values: in the shape and axis order of the network (NCHW).
        measure: the distance measure.
    """

    name: str
    output: str
    values: Array
    measure: Measure

    @classmethod
    def of(cls, name: str, tensor: Array, spec: TensorSpec) -> ValuesReference:
        """A reference from the raw output tensor that ``spec`` describes."""
        return cls(name, spec.name, pixels.to_values(tensor, spec), spec.judged_by)


FEW = 100
"""Number of values below which a mean squared error is unreliable; at this number it varies by 1/7 (0.6 dB)."""


def is_few(reference: object) -> bool:
    """Whether an output other than a picture has too few values for a reliable mean error."""
    return isinstance(reference, ValuesReference) and reference.values.size < FEW


def compare(
    output: Array, spec: TensorSpec, reference: ValuesReference, method: str, tolerance: Tolerance
) -> ParityReport:
    """Judge the raw ``output`` that ``spec`` describes."""
    unfit = _unfit(output, spec, reference)
    if unfit:
        given = (None, None, None, None, method, reference.name, BASIS, tolerance, (unfit,))
        return ParityReport(False, *given, output=reference.output)
    report = measure(pixels.to_values(output, spec), reference)
    return judge(replace(report, method=method, tolerance=tolerance))


def unusable(reference: ValuesReference) -> str | None:
    """Why PyTorch's own output is useless as a reference."""
    if np.isfinite(reference.values).all():
        return None
    return f"{reference.name} gives NaN or infinity for {reference.output}"


def measure(values: Array, reference: ValuesReference) -> ParityReport:
    """The figures of an output, in the shape of the reference; nothing is judged."""
    wanted = reference.values.astype(np.float64)
    difference = values.astype(np.float64) - wanted
    square, farthest = float(np.mean(difference**2)), float(np.abs(difference).max(initial=0.0))
    peak = float(np.abs(wanted).max(initial=0.0))
    found = ParityReport(
        passed=True,
        psnr_db=ratio_db(peak**2, square) if square else None,
        max_abs=farthest,
        mean_lsb=float(np.abs(difference).mean()),
        exact_share=float(np.mean(difference == 0)),
        method="",
        reference=reference.name,
        basis=BASIS,
        tolerance=Tolerance(""),
        sqnr_db=ratio_db(_signal(wanted), square) if square else None,
        output=reference.output,
        relative=farthest / peak if peak else (math.inf if farthest else 0.0),
    )
    return replace(found, **_more(values, wanted, reference.measure))  # type: ignore[arg-type]  # figures alone


def _signal(wanted: Array) -> float:
    """The variance of a signal; for a constant signal, its square."""
    return float(wanted.var()) or float(np.mean(wanted**2))


def _more(values: Array, wanted: Array, how: Measure) -> dict[str, float | None]:
    if how in _CHOICES:
        return _choice(_probabilities(values, how), _probabilities(wanted, how))
    if how == "classes":
        return {"top1": float(np.mean(values == wanted)), "sqnr_db": None, "relative": None}
    if how == "flow" and wanted.ndim == _PLANES:
        missed = np.linalg.norm(values.astype(np.float64) - wanted, axis=1)
        length = float(np.linalg.norm(wanted, axis=1).mean())
        return {"endpoint": float(missed.mean()), "endpoint_share": _share(float(missed.mean()), length)}
    return {}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else (math.inf if part else 0.0)


def _choice(given: Array, wanted: Array) -> dict[str, float | None]:
    """Figures of probabilities with the classes on the last axis."""
    best, chosen = wanted.max(axis=-1), given.argmax(axis=-1)
    taken = np.take_along_axis(wanted, chosen[..., None], axis=-1)[..., 0]
    return {"top1": float(np.mean(best - taken <= TIE)), "probability": float(np.abs(given - wanted).max(initial=0.0))}


def _probabilities(values: Array, how: Measure) -> Array:
    """Probabilities with the classes moved to the last axis: from axis 1 for maps, else already last."""
    array = np.moveaxis(values, 1, -1) if values.ndim == _PLANES else np.atleast_1d(values)
    wide = array.astype(np.float64)
    if how == "probabilities":
        return wide
    if wide.shape[-1] == 1:  # binary: one logit
        yes = 1 / (1 + np.exp(-wide))
        return np.concatenate([1 - yes, yes], axis=-1)
    powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _unfit(output: Array, spec: TensorSpec, reference: ValuesReference) -> str | None:
    if output.dtype != np.dtype(spec.dtype):
        return f"{spec.name}: dtype {output.dtype}, expected {spec.dtype}"
    shape = pixels.to_values(output, replace(spec, dtype="float32")).shape
    if shape != reference.values.shape:
        return f"{spec.name}: shape {output.shape} ({spec.layout}), expected that of {reference.values.shape} (NCHW)"
    if output.dtype.kind == "f" and not np.isfinite(output).all():
        bad = output.size - int(np.isfinite(output).sum())
        return f"{spec.name}: {bad} of {output.size} values are NaN or infinite"
    chosen = len(np.unique(reference.values)) if reference.measure == "classes" else 0
    if chosen > 1 and len(np.unique(output)) == 1:  # in a nearly empty mask almost all values would be equal
        return f"{spec.name}: the same class everywhere, expected {chosen} classes"
    return None

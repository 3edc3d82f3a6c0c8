"""Comparison of an artifact's outputs with its network's: shape, then dtype, then NaN, then values.

Float artifacts are compared with PyTorch in real values, before any rounding or clipping; integer outputs, and those of
every int8 artifact, are compared as the displayed 8-bit picture. Differences are in 8-bit levels (LSB: 1/255 of the
value range), and PSNR has the peak 255 over all of RGB without a border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from clearport.base import Artifact, TensorSpec
from clearport.runtime import pixels
from clearport.runtime.tolerance import BLOCK, MOST_CLIPPED, QUANTIZATION, Tolerance, tolerance_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from clearport.base import Array, Float32

__all__ = [
    "QUANTIZATION",
    "Basis",
    "ParityReport",
    "Reference",
    "Tolerance",
    "compare",
    "judge",
    "measure",
    "merged",
    "positions",
    "tolerance_for",
]

Basis = Literal["real values", "8-bit pictures", "values"]
"""Basis of a comparison: a picture's real values in levels, 8-bit pictures, or the values of other outputs."""

PYTORCH, ONNX_FILE = "PyTorch fp32", "ONNX file"
"""Names of references: the network itself, in PyTorch, or as the ONNX file that it was given as."""
NETWORKS = (PYTORCH, ONNX_FILE)

MOST_VALUES = 1 << 13
"""Number of pixels of a large output whose real values are kept: enough to catch errors in 0.1 % of the pixels."""


@dataclass(frozen=True)
class ParityReport:
    """One artifact's output against its reference.

    Attributes:
        passed: whether it is within ``tolerance``; otherwise ``failures`` lists the exceeded limits.
        psnr_db: None if not finite: both are equal (``exact_share`` is 1), or nothing could be compared.
        max_abs, mean_lsb: largest and mean difference in 8-bit levels; None where nothing could be compared.
        exact_share: share (0..1) of values that are equal once both are 8-bit pictures.
        method: how the output was computed: ``ran on LiteRT``, ``reference-evaluated`` ...
        reference: name of the reference.
        basis: whether differences are of real values or of 8-bit pictures.
        block_lsb, grid_lsb, sqnr_db: see ``Tolerance``; None if not measured; ``sqnr_db`` also if both are equal, or
            are class indices.
        output: the output's name, if there are several or it is not a picture. For outputs other than pictures,
            ``max_abs`` and ``mean_lsb`` are real values, and the peak of ``psnr_db`` is the reference's largest
            magnitude.
        relative, probability, top1, endpoint_share: see ``Tolerance``.
        endpoint: mean end-point error of optical flow, in its unit.
    """

    passed: bool
    psnr_db: float | None
    max_abs: float | None
    mean_lsb: float | None
    exact_share: float | None
    method: str
    reference: str
    basis: Basis
    tolerance: Tolerance
    failures: tuple[str, ...] = ()
    block_lsb: float | None = None
    grid_lsb: float | None = None
    sqnr_db: float | None = None
    output: str = ""
    relative: float | None = None
    probability: float | None = None
    top1: float | None = None
    endpoint: float | None = None
    endpoint_share: float | None = None

    @property
    def same(self) -> float | None:
        """The share of equal class indices or Booleans, their only meaningful metric.

        None for other outputs (logits also have probabilities).
        """
        return self.top1 if self.probability is None else None


@dataclass(frozen=True)
class Reference:
    """The reference of an output.

    Attributes:
        name: what made it.
        levels: (H, W, C) float32 on the 8-bit scale, neither rounded nor clipped, or an 8-bit picture.
        values: (N, C) float32, the values of ``levels`` at ``positions`` before rounding and clipping; None if
            ``levels`` is unrounded itself, or if they are unknown.
        grid: output pixels per input pixel, in each direction.
        output: the name of the output; empty for the first.
    """

    name: str
    levels: Float32
    values: Float32 | None = None
    grid: int = 1
    output: str = ""

    @classmethod
    def of(cls, name: str, tensor: Array, spec: TensorSpec, grid: int = 1, output: str = "") -> Reference:
        """A reference from a raw output tensor of batch 1."""
        return cls(name, pixels.to_levels(tensor, spec), grid=grid, output=output)

    def compact(self) -> Reference:
        """The same as an 8-bit picture, a quarter of the memory, if that is what it is."""
        levels = _eight_bit(self.levels)
        return replace(self, levels=levels.astype(np.uint8)) if np.array_equal(levels, self.levels) else self

    @property
    def real(self) -> Float32:
        """The known values before rounding and clipping: (N, C)."""
        return self.levels.reshape(-1, self.levels.shape[2]) if self.values is None else self.values


def positions(height: int, width: int) -> npt.NDArray[np.int64]:
    """Row-major indices of the sampled pixels of a picture; all of them if there are few."""
    count = height * width
    if count <= MOST_VALUES:
        return np.arange(count)
    # Multiples of the golden ratio, modulo 1: spread evenly over rows, columns and every grid.
    turns = np.arange(MOST_VALUES, dtype=np.uint64) * np.uint64(2654435769) % np.uint64(1 << 32)
    return np.unique((turns * np.uint64(count) >> np.uint64(32)).astype(np.int64))


def compare(
    output: Array,
    artifact: Artifact,
    reference: Reference,
    method: str,
    tolerance: Tolerance | None = None,
    basis: Basis | None = None,
) -> ParityReport:
    """Judge the raw ``output`` of ``artifact`` by the limits of its precision, or by ``tolerance``.

    ``basis`` overrides the basis that follows from the artifact's precision and dtype.
    """
    spec = next((spec for spec in artifact.outputs if spec.name == reference.output), artifact.outputs[0])
    limits = tolerance or tolerance_for(artifact.precision, spec)
    as_pictures = artifact.precision == "int8" or spec.dtype in pixels.INTEGERS
    basis = basis or ("8-bit pictures" if as_pictures else "real values")
    unfit = _unfit(output, spec, reference)
    if unfit:
        given = (None, None, None, None, method, reference.name, basis, limits, (unfit,))
        return ParityReport(False, *given, output=reference.output)
    report = measure(pixels.to_levels(output, spec), reference, basis)
    return judge(replace(report, method=method, tolerance=limits))


def judge(report: ParityReport) -> ParityReport:
    """The same figures, judged by its tolerance."""
    failures = _failures(report)
    return replace(report, failures=failures, passed=not failures)


def merged(reports: Sequence[ParityReport]) -> ParityReport:
    """The first of several reports on one output, with the failures of all."""
    failures = tuple(dict.fromkeys(failure for report in reports for failure in report.failures))
    return replace(reports[0], failures=failures, passed=not failures)


def unusable(reference: Reference) -> str | None:
    """Why PyTorch's own output is useless as a reference: it exceeds its declared range, or is blank."""
    real = reference.real
    own = _variance(real)
    cut = float(np.mean(np.square(real - np.clip(real, 0, 255)), dtype=np.float64))
    if cut > MOST_CLIPPED * own:
        return (
            f"{reference.name} gives {real.min():.4g} to {real.max():.4g} levels where 0 is black and 255 is white: "
            f"clipping loses {cut / own if own else 1:.0%} of the picture; the network's value_range is wrong, or it "
            "lacks a clamp"
        )
    if own < _CONSTANT:
        return f"{reference.name} gives one color everywhere: a picture in which nothing can be seen proves nothing"
    return None


def _unfit(output: Array, spec: TensorSpec, reference: Reference) -> str | None:
    """Reasons why values cannot be compared at all."""
    height, width, channels = reference.levels.shape
    shape = (1, height, width, channels) if spec.layout == "NHWC" else (1, channels, height, width)
    if output.shape != shape:
        return f"shape {output.shape}, expected {shape} ({spec.layout})"
    if output.dtype != np.dtype(spec.dtype):
        return f"dtype {output.dtype}, expected {spec.dtype}"
    if output.dtype.kind == "f" and not np.isfinite(output).all():
        bad = output.size - int(np.isfinite(output).sum())
        return f"{bad} of {output.size} values are NaN or infinite"
    return None


def measure(levels: Float32, reference: Reference, basis: Basis) -> ParityReport:
    """The figures of an output (H, W, 3), neither rounded nor clipped; nothing is judged."""
    signed, right = _eight_bit(levels), _eight_bit(reference.levels)
    signed -= right  # integers: exact in float32, of which an enlarged picture takes half the memory
    exact = float(np.mean(signed == 0))
    if basis == "real values":
        kept = slice(None) if reference.values is None else positions(*levels.shape[:2])
        right = reference.real
        difference = levels.reshape(-1, levels.shape[2])[kept] - right
    else:
        right, difference = right.reshape(-1, right.shape[2]), signed
    square = float(np.mean(np.square(difference), dtype=np.float64))
    return ParityReport(
        passed=True,
        psnr_db=10 * math.log10(255.0**2 / square) if square else None,
        max_abs=float(np.abs(difference).max()),
        mean_lsb=float(np.abs(difference).mean(dtype=np.float64)),
        exact_share=exact,
        method="",
        reference=reference.name,
        basis=basis,
        tolerance=Tolerance(""),
        block_lsb=_largest_block(signed),
        grid_lsb=_largest_grid(signed, reference.grid),
        sqnr_db=ratio_db(_variance(right), square) if square else None,
        output=reference.output,
    )


_CONSTANT = 1e-6
"""Variance, in squared levels, below which a picture is one color."""
_LEAST_DB = -200.0


def ratio_db(signal: float, noise: float) -> float:
    """Signal-to-noise ratio in dB, of two powers; at least -200."""
    return max(_LEAST_DB, 10 * math.log10(signal / noise)) if signal else _LEAST_DB


def _variance(values: Array) -> float:
    """The mean variance of the colors, (N, 3)."""
    return float(np.mean([np.var(color, dtype=np.float64) for color in values.T]))


def _largest_block(signed: Array) -> float:
    height, width = signed.shape[:2]
    rows, columns = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    rows, columns = (n[:-1] if len(n) > 1 and side % BLOCK else n for n, side in ((rows, height), (columns, width)))
    sums = np.add.reduceat(np.add.reduceat(signed, rows, axis=0, dtype=np.float64), columns, axis=1)
    ends = np.append(rows[1:], height), np.append(columns[1:], width)
    pixels_in = np.outer(ends[0] - rows, ends[1] - columns)
    return float(np.abs(sums / pixels_in[..., None]).max())


def _largest_grid(signed: Array, grid: int) -> float:
    means = [signed[i::grid, j::grid].mean(axis=(0, 1), dtype=np.float64) for i in range(grid) for j in range(grid)]
    return float(np.abs(means).max())


def _eight_bit(levels: Float32) -> Float32:
    rounded = np.rint(levels, dtype=np.float32)
    return np.clip(rounded, np.float32(0), np.float32(255), out=rounded)


def _failures(report: ParityReport) -> tuple[str, ...]:
    limits = report.tolerance
    psnr_db = math.inf if report.psnr_db is None else report.psnr_db
    sqnr_db = math.inf if report.psnr_db is None else report.sqnr_db
    what = "signal" if report.basis == "values" else "picture"
    checks = (
        (limits.max_abs, report.max_abs, 1, "largest difference {:.4g} levels, allowed {:g}"),
        (limits.mean_lsb, report.mean_lsb, 1, "mean difference {:.4g} levels, allowed {:g}"),
        (limits.min_psnr_db, psnr_db, -1, "PSNR {:.2f} dB, expected at least {:g}"),
        (limits.min_exact_share, report.exact_share, -1, "{:.2%} of the values are equal, expected at least {:.0%}"),
        (limits.max_block_lsb, report.block_lsb, 1, "{:.4g} levels off on average in a block of 16x16, allowed {:g}"),
        (limits.max_grid_lsb, report.grid_lsb, 1, "{:.4g} levels off on average in one grid of pixels, allowed {:g}"),
        (
            limits.min_sqnr_db,
            sqnr_db,
            -1,
            f"{{:.2f}} dB relative to the {what}'s own variance, expected at least {{:g}}",
        ),
        (limits.max_relative, report.relative, 1, "off by {:.3g} of the largest number, allowed {:g}"),
        (limits.max_probability, report.probability, 1, "a probability is off by {:.3g}, allowed {:g}"),
        (limits.min_top1, report.top1, -1, "{:.2%} choose the same class, expected at least {:.2%}"),
        (limits.max_endpoint_share, report.endpoint_share, 1, "{:.3g} of the mean length off, allowed {:g}"),
    )
    return tuple(
        "a figure that is judged was not told" if value is None else text.format(value, limit)
        for limit, value, sign, text in checks
        if limit is not None and (value is None or not sign * value <= sign * limit)
    )

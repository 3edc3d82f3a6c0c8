"""Proof of a system: every output of the program against its reference, with the limits of the precision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Precision, TensorSpec
from clearport.programs.chains import longest_chains
from clearport.runtime import parity, parity_values, tolerance
from clearport.runtime.parity import PYTORCH, ParityReport, Reference
from clearport.runtime.parity_values import ValuesReference
from clearport.runtime.tolerance import Tolerance

if TYPE_CHECKING:
    from clearport.base import Float32
    from clearport.programs.program import Output, Program

LOSSY: tuple[Precision, ...] = ("fp16", "int8-weights", "int8a16", "int8")
"""Precisions whose error a loop may amplify too much: then the whole is refused in them, with the figure."""


def judged(
    program: Program, found: Mapping[str, Float32], wanted: Mapping[str, Float32], precision: Precision, method: str
) -> tuple[ParityReport, ...]:
    """A report per output of a program run with its default settings, by ``method``.

    Pictures are compared as 8-bit pictures, as they are written.
    """
    runs = longest_chains(program)
    return tuple(
        _judged(
            output,
            found[output.name],
            wanted[output.name],
            limits_of(precision, output, wanted[output.name], runs[output.name]),
            method,
        )
        for output in program.outputs
    )


def limits_of(precision: Precision, output: Output, wanted: Float32, runs: int) -> Tolerance:
    """The limits of an output after ``runs`` part runs, each of which depends on the previous one.

    int8 has the limit of quantization itself, since there is no quantized reference of a system. fp32 has the limit of
    a single network. Rounding errors of float16 and 8-bit weights are independent between runs: their powers add up,
    so that limits in dB are lower by 10 log10(runs), but never lower than int8's. Other limits stay. Runs that do not
    depend on each other relax nothing.
    """
    spec = spec_of(output, wanted)
    least = tolerance.quantization_for(spec)
    if precision == "int8":
        return least
    own = tolerance.tolerance_for(precision, _written(spec))
    if precision == "fp32":
        return own
    lower = tolerance.eased(own, 10.0 * math.log10(max(1, runs)))
    floors = {
        name: max(limit, floor)
        for name in ("min_psnr_db", "min_sqnr_db")
        if (limit := lower.limits[name]) is not None and (floor := least.limits[name]) is not None
    }
    return replace(lower, **floors)  # type: ignore[arg-type]  # only limits are replaced


def _judged(output: Output, found: Float32, wanted: Float32, limits: Tolerance, method: str) -> ParityReport:
    spec = spec_of(output, wanted)
    if found.shape != wanted.shape or not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        where = " in the reference" if np.isfinite(found).all() else ""
        unlike = found.shape != wanted.shape
        why = (f"shape {found.shape}, expected {wanted.shape}" if unlike else f"NaN or infinity{where}",)
        return ParityReport(False, None, None, None, None, method, PYTORCH, "values", limits, why, output=output.name)
    if not spec.is_picture:
        reference = ValuesReference.of(PYTORCH, wanted, spec)
        report = parity_values.compare(found, spec, reference, method, limits)
    else:
        levels = Reference.of(PYTORCH, wanted, spec, output=output.name)
        measured = parity.measure(Reference.of(PYTORCH, found, spec).levels, levels, "8-bit pictures")
        report = parity.judge(replace(measured, method=method, tolerance=limits))
    return replace(report, output=output.name)


def _written(spec: TensorSpec) -> TensorSpec:
    return replace(spec, dtype="uint8") if spec.is_picture else spec


def spec_of(output: Output, value: Float32) -> TensorSpec:
    """The contract of a program's output."""
    colors = {1: "Y", 3: "RGB", 4: "RGBA"}
    if output.kind != "picture":
        return TensorSpec(output.name, value.shape, kind="map", value_range=None)
    color = colors.get(value.shape[1], "channels")
    return TensorSpec(output.name, value.shape, color=color, value_range=(output.low, output.high))


def refusal(reports: Sequence[ParityReport]) -> str:
    """The reason that the whole is refused in a precision."""
    told = [f"{report.output}: {failure}" for report in reports for failure in report.failures]
    return f"the parts are proven, but the whole is too far from PyTorch: {'; '.join(told)}"

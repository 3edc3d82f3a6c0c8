"""Tolerances of a device's outputs to the golden picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.base import Artifact, TensorSpec
from clearport.pipeline.benching.jobs import Candidate, golden_of
from clearport.pipeline.criteria import QDQ, Criterion, Exam, as_picture
from clearport.runtime.devices.device import Row, SimulatedReport
from clearport.runtime.parity import PYTORCH, ParityReport, Reference, tolerance_for
from clearport.runtime.tolerance import widest_for

if TYPE_CHECKING:
    from clearport.base import Precision
    from clearport.runtime.devices.device import Unit

SIDE = 16


def judged(precision: Precision, unit: Unit, executed: str, levels: int) -> ParityReport:
    """The verdict on a picture of which every fifth value is off by ``levels``."""
    image = TensorSpec("image", (1, 3, SIDE, SIDE))
    restored = TensorSpec("restored", (1, 3, SIDE, SIDE))
    artifact = Artifact("onnxruntime", precision, Path("net.onnx"), "", (image,), (restored,), {})
    golden = np.random.default_rng(0).integers(10, 240, (SIDE, SIDE, 3)).astype(np.uint8)
    reference = Reference(QDQ if precision == "int8" else PYTORCH, golden.astype(np.float32))
    criteria = (Criterion(reference, tolerance_for(precision, as_picture(restored)), "8-bit pictures"),)
    candidate = Candidate(artifact.key, artifact, {"image": golden}, Exam("photo", {"image": golden}, criteria), None)
    output = golden.astype(np.float32)
    output.flat[::5] += levels
    cell = SimulatedReport("simulated", "x", {}, "a simulator", unit, unit, {}, {"executed_precision": executed})
    row = Row("x:1", artifact.key, unit, "x", cell, {"restored": output.transpose(2, 0, 1)[None]})
    found = golden_of(candidate, row)
    assert isinstance(found, ParityReport)
    return found


def test_an_npu_that_says_float16_is_judged_by_it() -> None:
    report = judged("fp32", "npu", "float16", 1)
    assert report.passed, report.failures
    assert "half precision" in report.tolerance.reason


def test_float16_is_no_excuse_for_large_differences() -> None:
    report = judged("fp32", "npu", "float16", 4)
    assert not report.passed
    assert report.max_abs == 4


@pytest.mark.parametrize(("unit", "executed"), [("npu", "float32"), ("gpu", "float16"), ("cpu", "float32")])
def test_others_are_held_to_float32(unit: Unit, executed: str) -> None:
    report = judged("fp32", unit, executed, 1)
    assert not report.passed
    assert "float32" in report.tolerance.reason


def test_an_int8_file_keeps_its_own_limits() -> None:
    assert judged("int8", "npu", "float16", 1).tolerance == judged("int8", "npu", "int8", 1).tolerance
    on_cpu, on_npu = (judged("int8", unit, "int8", 1).tolerance for unit in ("cpu", "npu"))
    assert on_npu == widest_for("int8", TensorSpec("restored", (1, 3, SIDE, SIDE)))
    assert on_cpu.min_psnr_db is not None
    assert on_npu.min_psnr_db is not None
    assert on_npu.min_psnr_db < on_cpu.min_psnr_db

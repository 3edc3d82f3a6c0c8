"""``bench --compare``: slower files are in the record, and fail if they exceed a gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearport.base import Skipped
from clearport.bundle.bench_record import BenchedModel, BenchPlan, BenchRecord
from clearport.bundle.folder import Bundle
from clearport.pipeline.benching.checks import checks
from clearport.pipeline.benching.compare import compared
from clearport.pipeline.benching.values import BenchOutcome
from clearport.runtime.latency.stats import Ratio
from tests.device_rows import bench_row
from tests.latency_reports import latency_report


def record(ratios: dict[str, float | None], created: str = "then") -> BenchRecord:
    """A record of files with these times relative to PyTorch; None: skipped."""
    rows = []
    for name, value in ratios.items():
        ratio = Ratio("pytorch", value, value * 0.99, value * 1.01) if value is not None else None
        cell: Any = Skipped(name, "no such runtime") if value is None else latency_report([value * 9] * 6, ratio=ratio)
        rows.append(bench_row("host", name, cell))
    model = BenchedModel(name="n", scale=2, size="8x8", input_size="8x8", macs=1, weights_sha256="0" * 64)
    plan = BenchPlan(threads=1, runs=6, seconds=0.0)
    return BenchRecord(clearport="1", created=created, model=model, plan=plan, devices=(), rows=tuple(rows))


OLD = record({"tflite/int8": 0.5, "tflite/fp32": 1.0, "coreml/int8": 0.7})
NEW = record({"tflite/int8": 1.2, "tflite/fp32": 1.02, "coreml/int8": None}, "now")


def test_without_a_gate_slower_files_are_reported_and_do_not_fail(make_bundle: Any, tmp_path: Path) -> None:
    found = compared(NEW, OLD)
    assert {c.artifact: c.outcome for c in found.comparisons} == {"tflite/int8": "slower", "tflite/fp32": "slower"}
    assert [key.split()[1] for key in found.missing] == ["coreml/int8"]
    bundle: Bundle = make_bundle(tmp_path / "b")
    told = NEW.model_copy(update={"compared": found})
    assert BenchOutcome(bundle, told, frozenset()).failures() == []
    told.save(tmp_path / "new.json")
    kept = BenchRecord.load(tmp_path / "new.json")
    assert kept.compared == found
    (slow,) = [c for c in json.loads(kept.to_json())["compared"]["comparisons"] if c["artifact"] == "tflite/int8"]
    assert slow["ratio"] == pytest.approx(2.4)


@pytest.mark.parametrize(("most", "failing"), [(1.0, 2), (1.1, 1), (2.3, 1), (2.5, 0)])
def test_a_gate_fails_files_slower_than_it_allows(make_bundle: Any, tmp_path: Path, most: float, failing: int) -> None:
    found = compared(NEW, OLD, most)
    assert len(found.failures) == failing
    told = NEW.model_copy(update={"compared": found})
    assert BenchOutcome(make_bundle(tmp_path / "b"), told, frozenset()).failures() == list(found.failures)
    if failing:
        assert "2.400 times as slow as before" in found.failures[0]


def test_a_gate_that_can_compare_nothing_fails() -> None:
    others = record({"openvino/int8": 0.5})
    (failure,) = compared(NEW, others, 1.1).failures
    assert "nothing could be compared" in failure
    assert compared(NEW, others).failures == ()


def test_differences_within_the_noise_pass_any_gate() -> None:
    same = record({"tflite/int8": 0.501, "tflite/fp32": 1.001})
    assert compared(same, OLD, 1.0).failures == ()


@pytest.mark.parametrize("most", [None, 1.1, 2.5])
def test_rows_and_comparisons_are_checks_that_fail_as_the_command_does(
    make_bundle: Any, tmp_path: Path, most: float | None
) -> None:
    told = NEW.model_copy(update={"compared": compared(NEW, OLD, most)})
    outcome = BenchOutcome(make_bundle(tmp_path / "b"), told, frozenset())
    found = checks(outcome)
    assert [check.message for check in found if check.passed is False] == outcome.failures()
    assert {check.name.split()[0] for check in found} == {"tflite/int8", "tflite/fp32", "coreml/int8"}
    assert [check.message for check in found if check.passed is None] == ["no such runtime"]
    assert len([check for check in found if "older record" in check.name]) == 2
    lost = checks(outcome, "npu")
    assert {check.message for check in lost if check.passed is False} == set(outcome.failures("npu"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights_sha256": "1" * 64}, None),
        ({"size": "4x4", "input_size": "4x4"}, "another network or size: size 8x8, now 4x4, input_size 8x8, now 4x4"),
        ({"name": "m", "macs": 9}, "another network or size: name n, now m, macs 1, now 9"),
    ],
)
def test_a_gate_needs_the_times_of_the_same_network(changes: dict[str, Any], said: str | None) -> None:
    now = record({"tflite/int8": 0.5})
    now = now.model_copy(update={"model": now.model.model_copy(update=changes)})
    found = compared(now, OLD, 1.1)
    assert not found.same_model
    assert compared(now, OLD).failures == ()
    assert [one.partition("could be compared: the older record is of ")[2] for one in found.failures] == (
        [] if said is None else [said]
    )

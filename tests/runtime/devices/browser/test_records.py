"""Records of browsers on disk, and rows as reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from clearport.base import Artifact, Skipped, TensorSpec
from clearport.errors import BadInput
from clearport.runtime.devices.browser import records as browser_records
from clearport.runtime.devices.browser.offer import candidates_of
from clearport.runtime.devices.browser.records import BrowserRecord, Records
from clearport.runtime.devices.browser.rows import report_of, stored
from clearport.runtime.devices.browser.wire import (
    Candidate,
    DeviceFacts,
    MeasuredRow,
    SentRow,
    SkippedRow,
    StoredMeasured,
)
from clearport.runtime.devices.device import SimulatedReport
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.latency.stats import Ratio, paired_ratio
from tests.runtime.devices.browser.cases import DEVICE, FACTS, OTHER, candidate, row, skipped

BUNDLE = "b" * 64
ROW: TypeAdapter[SentRow] = TypeAdapter(SentRow)


def sent(fields: dict[str, Any]) -> SentRow:
    return ROW.validate_json(json.dumps(fields))


def facts(**changes: Any) -> DeviceFacts:
    return DeviceFacts.model_validate_json(json.dumps({**FACTS, **changes}))


def records(folder: Path | None, *numbers: int, bundle: str = BUNDLE) -> Records:
    made = [candidate(n) for n in numbers or (0, 1, 2)]
    return Records(folder, bundle, {c.key: c.sha256 for c in made})


def test_a_later_server_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    first = records(tmp_path)
    first.greet(DEVICE, facts())
    first.add(DEVICE, stored(sent(row(1)), candidate(1)))
    later = records(tmp_path)
    assert list(later.greet(DEVICE, facts(browser="Chrome 143")).rows) == [candidate(1).key]
    assert [path.name for path in tmp_path.iterdir()] == ["pixel-8-chrome-142-01234567.json"]
    assert later.of(OTHER) is None


def test_rows_of_a_file_that_changed_are_measured_again(tmp_path: Path) -> None:
    first = records(tmp_path)
    first.greet(DEVICE, facts())
    for n in (0, 1):
        first.add(DEVICE, stored(sent(row(n)), candidate(n)))
    changed = {candidate(0).key: candidate(0).sha256, candidate(1).key: "f" * 64}
    later = Records(tmp_path, BUNDLE, changed)
    assert list(later.greet(DEVICE, facts()).rows) == [candidate(0).key]


def test_another_bundle_has_records_of_its_own(tmp_path: Path) -> None:
    records(tmp_path).greet(DEVICE, facts())
    assert records(tmp_path, bundle="c" * 64).of(DEVICE) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}', '{"schema_version": 1, "id": "x"}'])
def test_files_that_are_not_records_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.json").write_text(text)
    with pytest.raises(BadInput, match=r"notes\.json: not a record of 'clearport serve'.*--records"):
        records(tmp_path)


def test_there_is_an_end_to_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_records, "MOST_RECORDS", 1)
    full = records(tmp_path)
    full.greet(DEVICE, facts())
    with pytest.raises(BadInput, match="--records another one"):
        full.greet(OTHER, facts())
    full.greet(DEVICE, facts())
    assert len(list(tmp_path.iterdir())) == 1


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = records(None)
    memory.greet(DEVICE, facts())
    memory.add(DEVICE, stored(sent(row(0)), candidate(0)))
    known = memory.of(DEVICE)
    assert known is not None
    assert len(known.rows) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_history_of_runs_has_an_end() -> None:
    memory = records(None)
    memory.greet(DEVICE, facts())
    for n in range(browser_records.MOST_RUNS + 5):
        memory.begin(DEVICE, n)
    known = memory.of(DEVICE)
    assert known is not None
    assert [run.asked for run in known.runs] == list(range(5, browser_records.MOST_RUNS + 5))


word = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=120)
ms = st.floats(0, 1e9, allow_nan=False)
measured = st.builds(
    lambda samples, figures, words, memory: row(
        1, samples_ms=samples, parity=figures, facts=words, operators_per_unit={"gpu": {"Conv": 3}}, heap_mib=memory
    ),
    st.lists(ms, max_size=40),
    st.none()
    | st.fixed_dictionaries(
        {
            "psnr_db": st.none() | st.floats(0, 200),
            "max_abs": st.floats(0, 255),
            "mean_lsb": st.floats(0, 255),
            "exact_share": st.floats(0, 1),
        }
    ),
    st.dictionaries(word, word | st.booleans() | ms, max_size=16),
    st.none() | st.floats(0, 1e6),
)


@settings(max_examples=60, deadline=None)
@given(measured)
def test_every_row_that_is_taken_survives_the_disk(fields: dict[str, Any]) -> None:
    memory = records(None)
    memory.greet(DEVICE, facts())
    memory.add(DEVICE, stored(sent(fields), candidate(1)))
    known = memory.of(DEVICE)
    assert known is not None
    assert BrowserRecord.model_validate_json(known.model_dump_json()) == known


@given(measured, st.sampled_from(sorted(row(1))))
def test_a_row_without_one_of_its_fields_is_refused(fields: dict[str, Any], lost: str) -> None:
    with pytest.raises(ValidationError):
        sent({name: value for name, value in fields.items() if name != lost})


@given(st.floats(0, 200) | st.none(), st.floats(0, 255), st.floats(0, 255))
def test_a_row_passes_when_its_figures_are_within_all_limits(
    psnr_db: float | None, max_abs: float, mean_lsb: float
) -> None:
    figures = {"psnr_db": psnr_db, "max_abs": max_abs, "mean_lsb": mean_lsb, "exact_share": 0.5}
    kept = stored(sent(row(1, parity=figures)), candidate(1))
    good = (psnr_db is None or psnr_db >= 48.0) and max_abs <= 2.0 and mean_lsb <= 0.5
    assert kept.passed is good
    assert bool(kept.failures) is not good


def test_a_measured_row_as_a_report() -> None:
    samples = [30.0, 31.0, 32.0, 29.0, 33.0]
    report = report_of(sent(row(1)), candidate(1))
    assert isinstance(report, LatencyReport)
    assert (report.median_ms, report.min_ms, report.max_ms) == (31.0, 29.0, 33.0)
    assert report.p95_ms == pytest.approx(np.percentile(samples, 95))
    assert report.cpu_median_ms is None
    assert (report.unit_asked, report.unit_ran, report.fell_back) == ("cpu", "cpu", False)
    assert report.peak_memory_mib == 16
    assert "WebAssembly heap" in report.peak_memory_method


def in_turns(mine: Sequence[float], theirs: Sequence[float], per_round: int) -> dict[str, Any]:
    reference = {"key": candidate(0).key, "samples_ms": list(theirs)}
    return row(1, samples_ms=list(mine), runs_per_round=per_round, reference=reference)


@given(st.integers(1, 4), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_the_ratio_is_that_of_the_other_devices(per_round: int, rounds: int, seed: int) -> None:
    """The same samples through ``paired_ratio``, round by round."""
    mine, theirs = np.random.default_rng(seed).uniform(1, 9, (2, rounds, per_round)).tolist()
    fields = in_turns([s for turn in mine for s in turn], [s for turn in theirs for s in turn], per_round)
    report = report_of(sent(fields), candidate(1))
    kept = stored(sent(fields), candidate(1))
    assert isinstance(report, LatencyReport)
    assert isinstance(kept, StoredMeasured)
    assert report.ratio == kept.ratio == paired_ratio(candidate(0).key, mine, theirs)


def test_a_slow_spell_that_both_met_is_not_in_their_ratio() -> None:
    """Two rounds at half the speed: the medians of all samples are no longer 1 to 2, those of the rounds are."""
    pace = [1.0, 1.0, 1.0, 2.0, 2.0, 1.0]
    report = report_of(sent(in_turns([10 * p for p in pace], [20 * p for p in pace], 1)), candidate(1))
    assert isinstance(report, LatencyReport)
    assert report.ratio == Ratio(candidate(0).key, 0.5, 0.5, 0.5)


def test_a_clock_too_coarse_for_the_baseline_yields_no_ratio() -> None:
    report = report_of(sent(in_turns([1.0, 1.0], [0.0, 1.0], 1)), candidate(1))
    assert isinstance(report, LatencyReport)
    assert report.ratio is None


@pytest.mark.parametrize(
    ("mine", "theirs", "per_round"),
    [([1.0, 2.0], [1.0], 1), ([1.0], [1.0, 2.0], 1), ([], [], 1), ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 2)],
)
def test_samples_of_other_rounds_are_refused(mine: list[float], theirs: list[float], per_round: int) -> None:
    with pytest.raises(ValidationError, match="not of the same rounds"):
        sent(in_turns(mine, theirs, per_round))


def test_a_record_from_before_rows_were_paired_opens(tmp_path: Path) -> None:
    """Its rows know of no reference and no ratio."""
    first = records(tmp_path)
    first.greet(DEVICE, facts())
    first.add(DEVICE, stored(sent(row(1)), candidate(1)))
    (path,) = tmp_path.iterdir()
    content = json.loads(path.read_text())
    for old in content["rows"].values():
        del old["reference"], old["ratio"]
    path.write_text(json.dumps(content))
    kept = records(tmp_path).greet(DEVICE, facts()).rows[candidate(1).key]
    assert isinstance(kept, StoredMeasured)
    assert kept.ratio is None


def test_a_fallback_and_a_page_in_the_background_are_visible() -> None:
    hidden = {"backend": "webgpu", "hidden": True}
    way = candidate(1, unit="gpu", backend="webgpu")
    report = report_of(sent(row(1, facts=hidden, unit_ran="gpu+cpu")), way)
    assert isinstance(report, LatencyReport)
    assert report.fell_back
    assert report.remarks == ("the page was in the background",)


def test_an_emulated_unit_has_no_latency() -> None:
    fields = row(1, emulated="SwiftShader (software Vulkan)", samples_ms=[], unit_ran="gpu")
    report = report_of(sent(fields), candidate(1, unit="gpu", backend="webgpu"))
    assert isinstance(report, SimulatedReport)
    assert report.why == "SwiftShader (software Vulkan)"
    assert "samples_ms" not in vars(report)


def test_a_failure_and_a_row_without_samples_are_skipped_with_their_reasons() -> None:
    failed = report_of(sent(skipped(1)), candidate(1))
    empty = report_of(sent(row(1, samples_ms=[])), candidate(1))
    assert failed == Skipped(candidate(1).key, "out of memory")
    assert isinstance(empty, Skipped)
    assert "no samples" in empty.reason


def artifact(target: str, variant: str = "", dtype: str = "uint8", side: int | str = 8) -> Artifact:
    source = TensorSpec("image", (1, side, side, 3), dtype, "NHWC", scale=1.0, zero_point=0)
    return Artifact(target, "int8", Path("a.file"), "0" * 64, (source,), (source,), {}, variant)


def test_what_browsers_run_and_what_not() -> None:
    def ways(of: Artifact) -> list[str]:
        return [w.backend if isinstance(w, Candidate) else w.reason for w in candidates_of(of, "files/a.file", 9)]

    assert ways(artifact("tflite")) == ["wasm", "webgpu"]
    assert ways(artifact("onnxruntime")) == ["wasm", "webgpu", "webnn"]
    assert ways(artifact("onnxruntime", "ort"))[0] == "wasm"
    assert all("optimized for the CPU" in reason for reason in ways(artifact("onnxruntime", "ort"))[1:])
    assert all("--io uint8" in reason for reason in ways(artifact("tflite", dtype="int8")))
    assert all("with a --size" in reason for reason in ways(artifact("tflite", side="H")))
    assert ways(artifact("coreml")) == ["no browser runtime accepts coreml files"]
    assert isinstance(sent(skipped(1)), SkippedRow)
    assert isinstance(sent(row(1)), MeasuredRow)

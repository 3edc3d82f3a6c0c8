"""Latency: order of runs, statistics of samples, and isolation of failures."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.base import Skipped
from clearport.runtime.latency import measure as latency
from clearport.runtime.latency.candidate import Candidate
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.latency.measure import LatencyRun
from clearport.runtime.latency.race import Meters, order
from clearport.runtime.latency.record import LatencyPlan, LatencyReport
from clearport.runtime.latency.stats import LEAST_ROUNDS, Summary, paired_ratio, rank_of_interval

SOURCE = """
import time
class Session:
    def __init__(self, path, options):
        self.path, self.options, self.count = path, options, 0
    def run(self, inputs):
        self.count += 1
        with open(self.options["log"], "a") as log:
            log.write(self.path.stem)
        if self.count == self.options.get("fails_at"):
            raise ValueError("out of luck")
        time.sleep(self.options["ms"] / 1e3)
        return {}
    def facts(self):
        return {"unit": "cpu", "partitions": 1, "operators": {"Conv": 3}, "answer": 42}
class Runner:
    name, title, targets, requires = "odd", "Odd", ("odd",), ()
    measures_latency, method = True, "ran on nothing"
    def open(self, path, threads, options):
        if options.get("refuses"):
            raise ValueError("not my format")
        return Session(path, options)
RUNNER = Runner()
"""
PLAN = LatencyPlan(rounds=3, runs=2, warmup=2, min_seconds=0.0, timeout_s=120)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "run_odd.py").write_text(SOURCE)
    (tmp_path / "log").touch()
    return tmp_path / "log"


def candidate(log: Path, name: str, ms: float = 0.0, **options: object) -> Candidate:
    path = log.parent / f"{name}.bin"
    path.touch()
    inputs = {"a": np.zeros(2, np.float32)}
    given_options = {"log": str(log), "ms": ms, **options}
    return Candidate(name, "odd", path, inputs, given_options, plugin=log.parent / "run_odd.py")


def reports(run: LatencyRun) -> dict[str, LatencyReport]:
    return {key: report for key, report in run.reports.items() if isinstance(report, LatencyReport)}


def test_rounds_are_interleaved_and_rotate(log: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    latency.measure([candidate(log, n) for n in "ABC"], PLAN, progress=lambda *s: seen.append(s))
    assert (
        log.read_text() == "AABBCC" + "AABBCC" + "CCBBAA" + "BBCCAA"
    )  # warm-up, then three rounds; the second backwards
    assert seen[:4] == [("A", 0, 3), ("B", 0, 3), ("C", 0, 3), ("A", 1, 3)]


def test_a_report_holds_all_of_the_record(log: Path) -> None:
    run = latency.measure([candidate(log, "A", 2), candidate(log, "B", 6)], PLAN, baseline="A")
    a, b = reports(run).values()
    assert list(run.reports) == ["A", "B"]
    assert len(b.samples_ms) == len(b.cpu_samples_ms) == 6
    assert min(b.samples_ms) >= 6
    assert b.median_ms == pytest.approx(np.median(b.samples_ms))
    assert b.fps == pytest.approx(1000 / b.median_ms)
    assert b.first_inference_ms >= 6
    assert (b.kind, b.unit_asked, b.unit_ran, b.threads, b.warmup, b.runs_per_round) == (
        "measured",
        "cpu",
        "cpu",
        1,
        2,
        2,
    )
    assert (b.operators, b.partitions, b.facts) == ({"Conv": 3}, 1, {"answer": 42})
    assert b.io_copies_counted
    assert b.peak_memory_mib
    assert "worker" in b.peak_memory_method
    assert a.ratio is None
    assert b.ratio is not None
    assert b.ratio.low <= b.ratio.value <= b.ratio.high
    assert run.host.cores >= 1
    json.dumps(asdict(b), allow_nan=False)


def test_those_that_fail_are_skipped_with_their_reason_and_the_others_go_on(log: Path) -> None:
    candidates = [
        candidate(log, "A", fails_at=5),
        candidate(log, "B", refuses=True),
        candidate(log, "C"),
        Candidate("D", "onnxruntime", log.parent / "none.onnx", {}),
        candidate(log, "E", fails_at=1),
    ]
    run = latency.measure(candidates, PLAN, baseline="A")
    why = {key: report.reason for key, report in run.reports.items() if isinstance(report, Skipped)}
    assert list(run.reports) == list("ABCDE")
    assert why.keys() == set("ABDE")
    assert "out of luck" in why["A"]
    assert "not my format" in why["B"]
    assert "no such file" in why["D"]
    (c,) = reports(run).values()
    assert len(c.samples_ms) == 6
    assert c.ratio is None  # the baseline is among those that failed


def test_rounds_go_on_until_enough_time_was_measured_and_no_longer_than_allowed(log: Path) -> None:
    long = latency.measure([candidate(log, "A", 5)], LatencyPlan(rounds=1, runs=1, warmup=1, min_seconds=0.05))
    (report,) = reports(long).values()
    assert sum(report.samples_ms) >= 50
    capped = LatencyPlan(rounds=1000, runs=1, warmup=1, min_seconds=100, max_seconds=0.0)
    (report,) = reports(latency.measure([candidate(log, "A", 5)], capped)).values()
    assert len(report.samples_ms) == 3


def test_reference_evaluators_have_no_latency(log: Path) -> None:
    (report,) = latency.measure([Candidate("A", "milref", log, {})], PLAN).reports.values()
    assert isinstance(report, Skipped)
    assert "no latency" in report.reason


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60))
def test_percentiles_are_those_of_sorted_samples(samples: list[float]) -> None:
    summary = Summary.of(samples)
    ordered = sorted(samples)

    def percentile(p: float) -> float:
        place = (len(ordered) - 1) * p / 100
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    for p, value in ((5, summary.p5_ms), (50, summary.median_ms), (90, summary.p90_ms), (99, summary.p99_ms)):
        assert value == pytest.approx(percentile(p), rel=1e-6)
    assert (summary.min_ms, summary.max_ms) == (ordered[0], ordered[-1])
    assert summary.mean_ms == pytest.approx(sum(samples) / len(samples))


def test_one_sample_has_no_spread() -> None:
    assert Summary.of([3.0]).std_ms == 0.0
    assert Summary.of([1.0, 3.0]).std_ms == pytest.approx(2**0.5)


def test_ratio_is_paired_per_round() -> None:
    """Noise that both meet in a round cancels, though the medians over all samples are far apart from 0.5."""
    noise = [1, 8, 1.5, 30, 2, 4, 1]
    base = [[10.0 * n, 10.0 * n] for n in noise]
    mine = [[5.0 * n, 5.0 * n] for n in noise]
    ratio = paired_ratio("torch", mine, base)
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    assert paired_ratio("torch", mine, [[0.0, 0.0]] * 7) is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ratio = paired_ratio("torch", rng.normal(50, 3, (15, 3)).tolist(), rng.normal(100, 3, (15, 3)).tolist())
        assert ratio is not None
        assert ratio.high - ratio.low < 0.1
        covered += ratio.low <= 0.5 <= ratio.high
    assert covered >= 51


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 0), (2, 0), (5, 0), (6, 0), (8, 0), (9, 1), (15, 3), (30, 9), (100, 39), (2000, 955)]
)
def test_the_interval_of_a_median_is_that_of_the_tables(count: int, rank: int) -> None:
    """Conover, Practical Nonparametric Statistics, table A3 (p = 0.5): the rank below which 2.5 % lie."""
    assert rank_of_interval(count) == rank


@given(st.integers(1, 7))
def test_turns_are_fair(count: int) -> None:
    """In 2 n rounds each of n comes twice at every place, and every pair comes in both directions as often."""
    rounds = [order(list(range(count)), done) for done in range(2 * count)]
    for place in range(count):
        assert sorted(turn[place] for turn in rounds) == sorted([*range(count)] * 2)
    after = Counter(pair for turn in rounds for pair in pairwise(turn))
    assert all(after[first, second] == after[second, first] for first, second in after)


def test_two_that_are_compared_take_turns_at_going_first() -> None:
    assert [order(["new", "old"], done)[0] for done in range(4)] == ["new", "old", "old", "new"]


@given(st.integers(LEAST_ROUNDS, 400))
def test_the_interval_covers_at_least_95_percent_and_not_much_more(count: int) -> None:
    rank = rank_of_interval(count)
    outside = [2 * sum(math.comb(count, k) for k in range(r + 1)) / 2**count for r in (rank, rank + 1)]
    assert outside[0] <= 0.05 < outside[1]


def test_outputs_sustained_runs_own_baselines_and_meters_are_kept(log: Path) -> None:
    counter = iter(range(0, 10_000, 30))
    meters = Meters(conditions=lambda: Conditions({"zone": 40.0}), energy_mj=lambda: float(next(counter)))
    plan = replace(PLAN, sustained_s=0.3)
    run = latency.measure(
        [candidate(log, "A", 2), candidate(log, "B", 4), replace(candidate(log, "C", 2), sustained=False)],
        plan,
        {"A": "C", "B": "A"},
        keep_outputs=True,
        meters=meters,
    )
    a, b, c = reports(run).values()
    assert (a.ratio and a.ratio.baseline, b.ratio and b.ratio.baseline, c.ratio) == ("C", "A", None)
    assert run.outputs.keys() == {"A", "B", "C"}
    assert a.energy_mj == pytest.approx(15)  # 30 mJ for a turn of two inferences
    assert a.sustained is not None
    assert a.sustained.seconds >= 0.3
    assert a.sustained.curve[-1].hottest_c == 40
    assert c.sustained is None


def test_where_memory_does_not_hold_all_groups_follow_each_other_with_their_baseline(log: Path) -> None:
    """Each worker holds more than the 1 MiB that is allowed, so that each is alone with the baseline."""
    together: list[int] = []
    others = set(psutil.Process().children())  # workers of earlier tests

    def look(*_: object) -> None:
        together.append(len({*psutil.Process().children()} - others))

    run = latency.measure(
        [candidate(log, "A", 2), candidate(log, "B", 4), candidate(log, "C", 2, refuses=True), candidate(log, "D", 8)],
        replace(PLAN, sustained_s=0.01),
        "A",
        look,
        keep_outputs=True,
        memory_mib=1.0,
    )
    a, b, d = reports(run).values()
    assert log.read_text().replace("A", "").startswith("BB" + "BB" * 3), "all of B comes before D is loaded"
    assert max(together) == 2
    assert (len(a.samples_ms), len(b.samples_ms), len(d.samples_ms)) == (12, 6, 6)
    assert b.ratio is not None
    assert d.ratio is not None
    assert 1.0 < b.ratio.value < d.ratio.value
    assert [each.facts["took_turns_with"] for each in (a, b, d)] == [["B", "D"], ["A"], ["A"]]
    assert run.outputs.keys() == {"A", "B", "D"}
    assert all(each.sustained is not None for each in (a, b, d))
    assert list(run.reports) == list("ABCD")
    assert isinstance(run.reports["C"], Skipped)


def test_as_many_take_turns_as_memory_holds(log: Path) -> None:
    """A worker alone is measured first: three hold two and a half times as much at most, four do not."""
    (alone,) = reports(latency.measure([candidate(log, "A")], PLAN)).values()
    assert alone.peak_memory_mib
    many = [candidate(log, name) for name in "ABCDE"]
    run = latency.measure(many, PLAN, "A", memory_mib=alone.peak_memory_mib * 3.5)
    met = {key: report.facts["took_turns_with"] for key, report in reports(run).items()}
    assert met == {"A": ["B", "C", "D", "E"], "B": ["A", "C"], "C": ["A", "B"], "D": ["A", "E"], "E": ["A", "D"]}
    assert "took_turns_with" not in alone.facts


def test_groups_keep_the_whole_chain_of_baselines(log: Path) -> None:
    """As in ``bench --against``: the new file refers to the old one, and that to PyTorch."""
    many = [candidate(log, name, 1.0) for name in ("P", "N", "M", "O", "Q")]
    run = latency.measure(many, PLAN, {"N": "O", "M": "Q", "O": "P", "Q": "P"}, memory_mib=1.0)
    told = {key: report.ratio.baseline for key, report in reports(run).items() if report.ratio is not None}
    assert told == {"N": "O", "M": "Q", "O": "P", "Q": "P"}


def test_a_candidate_stays_on_the_processors_that_were_chosen(log: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    (kept,) = reports(latency.measure([candidate(log, "A")], replace(PLAN, pin=(allowed[0],)))).values()
    assert kept.pinned == (allowed[0],)
    (refused,) = latency.measure([candidate(log, "A")], replace(PLAN, pin=(4095,))).reports.values()
    assert isinstance(refused, Skipped)
    assert "4095" in refused.reason
    assert str(allowed) in refused.reason


@pytest.mark.parametrize("samples", [999, 1000])
def test_the_last_percentile_wants_enough_samples(log: Path, samples: int) -> None:
    (report,) = reports(latency.measure([candidate(log, "A")], replace(PLAN, rounds=1, runs=samples))).values()
    assert (report.p99_9_ms is None) == (samples < 1000)

"""Conditions, sustained runs and comparisons: what makes figures comparable, and what they then say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clearport.runtime.latency import conditions
from clearport.runtime.latency.compare import compare
from clearport.runtime.latency.conditions import Conditions, drift
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.latency.stats import Ratio
from clearport.runtime.latency.sustained import Slice, judged
from tests.latency_reports import latency_report

COOL = Conditions({"soc": 40.0}, {"policy0": 2000.0}, "none")


def report(samples: list[float], ratio: Ratio | None = None) -> LatencyReport:
    return latency_report(samples, ratio=ratio)


def noisy(median: float, seed: int, rounds: int = 30) -> list[float]:
    return [float(v) for v in np.random.default_rng(seed).normal(median, 0.02 * median, rounds)]


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (COOL, ""),
        (replace(COOL, temperatures_c={"soc": 49.0}), ""),
        (replace(COOL, temperatures_c={"soc": 62.0}), "from 40 to 62 °C"),
        (replace(COOL, clocks_mhz={"policy0": 1500.0}), "fell from 2000 to 1500 MHz"),
        (replace(COOL, thermal_status="severe"), "from none to severe"),
        (Conditions(), ""),
    ],
)
def test_drift_names_what_changed(after: Conditions, words: str) -> None:
    found = drift(COOL, after)
    assert bool(found) == bool(words)
    assert words in "; ".join(found)


def test_conditions_are_read_from_the_system(tmp_path: Path) -> None:
    for name, text in {
        "sys/class/thermal/thermal_zone0/temp": "41500",
        "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
        "sys/class/thermal/thermal_zone1/temp": "broken",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1800000",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "powersave",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    found = conditions.here(tmp_path)
    assert found.temperatures_c == {"thermal_zone0 x86_pkg_temp": 41.5}
    assert found.clocks_mhz == {"policy0": 1800.0}
    assert found.governor == "powersave"
    assert conditions.here(tmp_path / "nothing").temperatures_c == {}


def curve(medians: list[float]) -> tuple[Slice, ...]:
    return tuple(Slice(float(i + 1), 10, ms, None, None) for i, ms in enumerate(medians))


def test_a_chip_that_slows_down_is_not_comparable() -> None:
    steady = judged(curve([10.0] * 8), COOL, COOL)
    assert (steady.slowdown, steady.remarks) == (1.0, ())
    slow = judged(curve([10, 10, 11, 12, 13, 14, 15, 15]), COOL, replace(COOL, clocks_mhz={"policy0": 1200.0}))
    assert slow.slowdown == pytest.approx(1.5)
    assert len(slow.remarks) == 2
    assert judged(curve([7.0]), COOL, COOL).slowdown == 1.0


@pytest.mark.parametrize(("then", "outcome"), [(100.0, "faster"), (50.0, "cannot tell"), (25.0, "slower")])
def test_the_wall_clock_tells_large_changes(then: float, outcome: str) -> None:
    verdict = compare(report(noisy(50, 1)), report(noisy(then, 2)))
    assert verdict.outcome == outcome
    assert verdict.ratio == pytest.approx(50 / then, rel=0.05)
    assert verdict.basis == "wall clock"


def test_the_wall_clock_does_not_tell_what_runs_differ_by_anyway() -> None:
    assert compare(report(noisy(52, 1, 200)), report(noisy(50, 2, 200))).outcome == "cannot tell"


def test_a_common_baseline_tells_small_changes_and_spares_the_noise() -> None:
    """The machine was twice as slow then: the wall clock says faster, the ratios say slower."""
    new = report(noisy(50, 1), Ratio("pytorch", 0.22, 0.219, 0.221))
    old = report(noisy(100, 2), Ratio("pytorch", 0.20, 0.199, 0.201))
    verdict = compare(new, old, ["busy"])
    assert (verdict.outcome, verdict.basis) == ("slower", "ratio to pytorch")
    assert verdict.low is not None
    assert verdict.high is not None
    assert 1.09 < verdict.low < 1.1 < verdict.high < 1.11
    wide = compare(new, report(noisy(100, 2), Ratio("pytorch", 0.20, 0.17, 0.24)))
    assert wide.outcome == "cannot tell"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threads": 4}, "threads"),
        ({"unit_ran": "gpu"}, "unit"),
        ({"remarks": ("hot",)}, "hot"),
        ({"pinned": (0,)}, "(0,)"),
    ],
)
def test_other_circumstances_are_not_comparable(change: dict[str, object], words: str) -> None:
    base = report(noisy(50, 1))
    verdict = compare(replace(base, **change), base)  # type: ignore[arg-type]
    assert verdict.outcome == "not comparable"
    assert words in verdict.why
    assert compare(base, base, ["host was busy"]).outcome == "not comparable"

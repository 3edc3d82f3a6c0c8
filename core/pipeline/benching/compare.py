"""Comparison of a bench with an older record: slower files, and whether they exceed the limit."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from clearport.bundle.bench_record import BenchRecord, Compared, Comparison
from clearport.runtime.latency.compare import compare
from clearport.runtime.latency.record import LatencyReport

if TYPE_CHECKING:
    from clearport.bundle.bench_record import BenchRow

BUSY = 0.5
"""Maximum share of the processors used by other load before a measurement."""


def compared(record: BenchRecord, older: BenchRecord, max_slowdown: float | None = None) -> Compared:
    """Every measured row against the same row of ``older``.

    With ``max_slowdown``, a row fails if it is significantly slower, by more than this ratio of new to old time. An
    empty comparison fails, too, and one with the record of another network or size; retrained weights are fine.
    """
    then = {row.key: row for row in older.rows if isinstance(row.cell, LatencyReport)}
    now = {row.key: row for row in record.rows if isinstance(row.cell, LatencyReport)}
    found = tuple(_comparison(now[key], then[key], record, older) for key in now if key in then)
    failures = () if max_slowdown is None else tuple(_failures(found, max_slowdown, _another(record, older)))
    return Compared(
        created=older.created,
        same_model=older.model == record.model,
        comparisons=found,
        missing=tuple(key for key in then if key not in now),
        max_slowdown=max_slowdown,
        failures=failures,
    )


def _comparison(new: BenchRow, old: BenchRow, record: BenchRecord, older: BenchRecord) -> Comparison:
    assert isinstance(new.cell, LatencyReport)
    assert isinstance(old.cell, LatencyReport)
    verdict = compare(new.cell, old.cell, [*_busy(record, new.device), *_busy(older, new.device)])
    return Comparison(device=new.device, artifact=new.artifact, unit=new.unit, runner=new.runner, **asdict(verdict))


def _another(record: BenchRecord, older: BenchRecord) -> str:
    """Why times of the two records say nothing about a change of speed; empty if they do."""
    new, old = ({**model.model_dump(), "weights_sha256": ""} for model in (record.model, older.model))
    if new == old:
        return ""
    said = "the older record is of another network or size: "
    return said + ", ".join(f"{name} {old[name]}, now {new[name]}" for name in new if new[name] != old[name])


def _failures(found: tuple[Comparison, ...], most: float, another: str) -> list[str]:
    if another:
        return [f"--max-slowdown {most:g}: nothing could be compared: {another}"]
    slow = [
        f"{c.device} {c.artifact} {c.runner}: {c.ratio:.3f} times as slow as before, allowed {most:g} ({c.basis})"
        for c in found
        if c.outcome == "slower" and c.ratio is not None and c.ratio > most
    ]
    if any(c.ratio is not None for c in found):
        return slow
    reasons = "; ".join(sorted({c.why for c in found if c.why})) or "the records have no row in common"
    return [f"--max-slowdown {most:g}: nothing could be compared: {reasons}"]


def _busy(record: BenchRecord, address: str) -> list[str]:
    """Other load on the device's processors when its measurement began."""
    for device in record.devices:
        load, threads = device.before.load, device.facts.get("threads")
        if device.address == address and load is not None and threads and load > BUSY * threads:
            return [f"{address} was busy at {record.created}: a load of {load:g} on {threads} processors"]
    return []

"""The page of CPU latencies, and each network's part of it."""

from __future__ import annotations

from clearport.registry import NETWORKS
from docs.generate import latency


def test_the_record_is_of_known_networks_and_says_where_it_was_measured() -> None:
    rows = latency.read()
    assert rows.keys() <= set(NETWORKS.names())
    for row in rows.values():
        assert {"pytorch", "tflite/fp32"} <= row["cpu_ms"].keys()
        assert all(ms > 0 for ms in row["cpu_ms"].values())
        assert row["cpu"]
        assert row["date"] >= "2026"


def test_a_row_has_a_cell_for_each_column() -> None:
    ((path, text),) = latency.pages()
    assert path == "reference/latency.md"
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count(" | ") for line in lines if "---" not in line}) == 1
    assert len(lines) == 2 + len(latency.read())


def test_networks_that_were_not_measured_have_no_part() -> None:
    assert latency.section("ncnet") == ""
    measured = next(iter(latency.read()))
    assert latency.section(measured).startswith("## CPU latency")

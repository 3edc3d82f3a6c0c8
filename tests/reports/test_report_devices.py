"""Devices in a report: measured, estimated and simulated figures cannot be taken for each other."""

from __future__ import annotations

import re
from typing import Any

import pytest

from clearport.bundle.manifest import Manifest
from clearport.reports import html, markdown
from clearport.reports.content import Table
from clearport.reports.page import page
from clearport.reports.tables import devices as tables_devices
from tests.device_rows import LOST, with_devices


@pytest.fixture(scope="module")
def manifest(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return with_devices(make_bundle(tmp_path_factory.mktemp("devices") / "bundle").manifest)


def by_caption(manifest: Manifest) -> dict[str, Table]:
    return {table.caption: table for table in tables_devices.devices(manifest)}


def column(table: Table, title: str) -> list[str]:
    at = [column.title for column in table.columns].index(title)
    return [cells[at].text for cells in table.rows]


def test_every_kind_has_its_own_table(manifest: Manifest) -> None:
    assert list(by_caption(manifest)) == [
        "phone: measured",
        "phone: did not run",
        "npu: estimated by a compiler, nothing ran",
        "arm: simulated, without latency",
    ]


def test_only_measured_rows_have_a_median(manifest: Manifest) -> None:
    found = by_caption(manifest)
    with_median = [name for name, table in found.items() if any("median" in c.title for c in table.columns)]
    assert with_median == ["phone: measured"]
    assert column(found["npu: estimated by a compiler, nothing ran"], "Estimate, ms") == ["~131"]
    simulated = found["arm: simulated, without latency"]
    assert not any("ms" in re.split(r"\W", c.title) for c in simulated.columns)
    assert "QEMU emulates it" in simulated.note


def test_a_fallback_is_distinguished_from_the_requested_unit(manifest: Manifest) -> None:
    table = by_caption(manifest)["phone: measured"]
    assert column(table, "Ran on") == ["npu", "cpu (npu was requested)"]
    at = [c.title for c in table.columns].index("Ran on")
    assert [cells[at].tone for cells in table.rows] == ["", "bad"]


def test_columns_that_say_nothing_are_left_out(manifest: Manifest) -> None:
    titles = [c.title for c in by_caption(manifest)["phone: measured"].columns]
    assert not any(title.startswith(("Relative", "Remarks")) for title in titles)


def test_files_that_did_not_run_are_reported_once_per_reason(manifest: Manifest) -> None:
    table = by_caption(manifest)["phone: did not run"]
    assert [[c.text for c in cells] for cells in table.rows] == [
        [f"litert: {LOST}", "coreml/fp16/image, coreml/fp32/tensor"]
    ]
    assert LOST in table.note


def test_conditions_and_warnings_are_beside_the_figures(manifest: Manifest) -> None:
    found = by_caption(manifest)
    assert "Phone 9, 7957 MiB of memory, Android 15. skin 31 → 38 °C." in found["phone: measured"].note
    assert "no board has that much SRAM" in found["npu: estimated by a compiler, nothing ran"].note


def test_captions_are_shown_in_both_forms(manifest: Manifest) -> None:
    made = page(manifest)
    as_html, as_markdown = html.html(made, "none", "none"), markdown.markdown(made, manifest)
    for caption in by_caption(manifest):
        assert f"<h3>{caption}</h3>" in as_html
        assert f"### {caption}" in as_markdown

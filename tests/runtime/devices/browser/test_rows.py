"""What pages send to the server: judged, kept one by one, and kept when the page goes away."""

from __future__ import annotations

import asyncio
from pathlib import Path

from clearport.runtime.devices.browser.desk import Greeted, RowCame, RunEnded
from tests.runtime.devices.browser.cases import DEVICE, FACTS, OTHER, Running, row, serve, skipped, the_record, until


def test_a_device_identifies_itself_first(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        answer = await server.post("row", row(1))
        assert answer.status == 400
        assert "reload the page" in await answer.text()
        for wrong in ({}, {"X-Device": "me"}, {"X-Device": "../" + DEVICE[3:]}):
            assert (await server.post("device", FACTS, headers=wrong)).status == 400
        assert not server.folder.exists()

    serve(tmp_path, case)


def test_rows_are_judged_here_and_kept_one_by_one(tmp_path: Path) -> None:
    bad = {"psnr_db": 31.0, "max_abs": 90, "mean_lsb": 4.0, "exact_share": 0.1}

    async def case(server: Running) -> None:
        offered = await (await server.post("device", FACTS)).json()
        assert [c["key"] for c in offered["candidates"]] == [f"tflite/int8 litert-js {n}" for n in range(3)]
        assert offered["done"] == {}
        await server.post("run", {"state": "begins", "rows": 3})
        good = await (await server.post("row", row(0))).json()
        assert (good["passed"], good["failures"], good["sha256"]) == (True, [], "0" * 64)
        assert good["summary"]["median_ms"] == 31.0
        assert list(the_record(server).rows) == ["tflite/int8 litert-js 0"]
        failed = await (await server.post("row", row(1, parity=bad))).json()
        assert failed["passed"] is False
        assert failed["failures"][0] == "largest difference 90 levels, allowed 2"
        assert (await (await server.post("row", skipped(2))).json())["passed"] is None
        await server.post("run", {"state": "ends", "rows": 3})
        record = the_record(server)
        assert len(record.rows) == 3
        assert [(run.outcome, run.came, run.asked) for run in record.runs] == [("finished", 3, 3)]
        assert [type(event) for event in server.events] == [Greeted, RowCame, RowCame, RowCame, RunEnded]

    serve(tmp_path, case)


def test_a_failure_does_not_replace_a_measurement(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        await server.post("row", row(2))
        await server.post("row", skipped(2))
        assert the_record(server).rows["tflite/int8 litert-js 2"].outcome == "measured"
        await server.post("row", row(2, init_ms=1.0))
        kept = the_record(server).rows["tflite/int8 litert-js 2"]
        assert kept.outcome == "measured"
        assert kept.init_ms == 1.0

    serve(tmp_path, case)


def test_a_page_that_goes_away_leaves_its_rows_and_is_told_of(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        line = await server.client.get(server.address + "alive", params={"device": DEVICE})
        assert line.headers["Content-Type"] == "text/event-stream"
        assert (await line.content.readline()).startswith(b":")
        await server.post("run", {"state": "begins", "rows": 3})
        await server.post("row", row(1))
        line.close()
        await until(lambda: any(isinstance(event, RunEnded) for event in server.events))
        ended = server.events[-1]
        assert isinstance(ended, RunEnded)
        assert ended.gone
        assert ended.outcome == "the page was closed after 1 of 3 rows"
        record = the_record(server)
        assert list(record.rows) == ["tflite/int8 litert-js 1"]
        assert record.runs[0].outcome == ended.outcome
        offered = await (await server.post("device", FACTS)).json()
        assert list(offered["done"]) == ["tflite/int8 litert-js 1"]

    serve(tmp_path, case)


def test_two_tabs_of_a_device_are_one_until_both_are_closed(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        lines = [await server.client.get(server.address + "alive", params={"device": DEVICE}) for _ in range(2)]
        await server.post("run", {"state": "begins", "rows": 3})
        lines[0].close()
        await asyncio.sleep(2.5)
        assert not any(isinstance(event, RunEnded) for event in server.events)
        lines[1].close()
        await until(lambda: any(isinstance(event, RunEnded) for event in server.events))

    serve(tmp_path, case)


def test_each_device_has_its_file(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        await server.post(
            "device", {**FACTS, "model": "../../..", "browser": "/etc/passwd"}, headers={"X-Device": OTHER}
        )
        names = sorted(path.name for path in server.folder.iterdir())
        assert names == ["etc-passwd-fedcba98.json", "pixel-8-chrome-142-01234567.json"]

    serve(tmp_path, case)

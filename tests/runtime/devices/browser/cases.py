"""An offer, rows and a server for tests, without a browser and without the page."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from clearport.base import TensorSpec
from clearport.runtime.devices.browser.desk import Desk, Event
from clearport.runtime.devices.browser.offer import plan_of
from clearport.runtime.devices.browser.page import INDEX, Content, content_of
from clearport.runtime.devices.browser.records import BrowserRecord, Records
from clearport.runtime.devices.browser.server import BrowserServer, Place
from clearport.runtime.devices.browser.wire import Candidate, Offer, TilingRules
from clearport.runtime.latency.record import LatencyPlan
from clearport.runtime.parity import Tolerance

DEVICE = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
SENT = {"X-Device": DEVICE}

FACTS: dict[str, Any] = {
    "user_agent": "Mozilla/5.0 (Linux; Android 15)",
    "browser": "Chrome 142",
    "platform": "Android 15",
    "model": "Pixel 8",
    "mobile": True,
    "cores": 9,
    "memory_gib": 8,
    "screen": "412x915 at 2.6",
    "gpu": "arm valhall",
    "gpu_emulated": None,
    "battery": "81 %",
    "secure": True,
    "isolated": True,
    "wasm_threads": True,
    "jspi": True,
    "webgpu": True,
    "webnn": False,
    "clock_step_ms": 0.005,
    "missing": {"webnn": "this browser has no WebNN"},
}


def candidate(number: int, **changes: Any) -> Candidate:
    """One of several candidates of an offer."""
    fields: dict[str, Any] = {
        "key": f"tflite/int8 litert-js {number}",
        "artifact": "tflite/int8",
        "sha256": f"{number}" * 64,
        "runner": "litert-js",
        "unit": "cpu",
        "backend": "wasm",
        "url": "files/tflite/a.tflite",
        "bytes": 10,
        "input": TensorSpec("image", (1, 8, 8, 3), "uint8", "NHWC", scale=1.0, zero_point=0),
        "output": TensorSpec("restored", (1, 24, 24, 3), "uint8", "NHWC", scale=1.0, zero_point=0),
        "golden": "files/goldens/int8.png",
        "tolerance": Tolerance("for the test", max_abs=2.0, mean_lsb=0.5, min_psnr_db=48.0),
    }
    return Candidate(**{**fields, **changes})


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A measured row, as a page sends it."""
    fields: dict[str, Any] = {
        "outcome": "measured",
        "key": f"tflite/int8 litert-js {number}",
        "runtime_versions": {"litert-js": "2.5.3"},
        "unit_ran": "cpu",
        "threads": 1,
        "init_ms": 30.5,
        "first_inference_ms": 41.25,
        "warmup": 4,
        "runs_per_round": 5,
        "inferences_per_sample": 1,
        "samples_ms": [30.0, 31.0, 32.0, 29.0, 33.0],
        "clock_step_ms": 0.005,
        "heap_mib": 16,
        "emulated": None,
        "operators_per_unit": {},
        "parity": {"psnr_db": 70.1, "max_abs": 1, "mean_lsb": 0.006, "exact_share": 0.99},
        "facts": {"backend": "wasm", "library_ms": 900, "hidden": False},
    }
    return {**fields, **changes}


def skipped(number: int) -> dict[str, Any]:
    return {"outcome": "skipped", "key": f"tflite/int8 litert-js {number}", "reason": "out of memory"}


@dataclass
class Running:
    """A server, its address, a client, and what the server told."""

    address: str
    client: aiohttp.ClientSession
    folder: Path
    events: list[Event] = field(default_factory=list)

    async def post(self, path: str, content: Any, **options: Any) -> aiohttp.ClientResponse:
        options.setdefault("headers", SENT)
        return await self.client.post(self.address + path, json=content, **options)


def offer(count: int = 3) -> Offer:
    return Offer(
        title="ncnet ×3",
        about="a test",
        tiling=TilingRules(scale=3, halo=14, multiple=1, whole_pixels=1000),
        plan=plan_of(LatencyPlan(rounds=2, runs=5, warmup=1, min_seconds=0.0, max_seconds=1.0, timeout_s=10.0)),
        candidates=tuple(
            candidate(n, output_url=f"output/{n}", input_url="files/in.bin") if n == 0 else candidate(n)
            for n in range(count)
        ),
    )


def contents(folder: Path) -> dict[str, Content]:
    """A page, a script, a packed WebAssembly file and an artifact."""
    (folder / "a.tflite").write_bytes(b"TFL3" * 9)
    return {
        INDEX: content_of(b"<!DOCTYPE html><title>page</title>", INDEX),
        "main.js": content_of(b"export {};", "main.js"),
        "x.wasm": content_of(PACKED, "x.wasm.gz"),
        "files/tflite/a.tflite": content_of(folder / "a.tflite", "a.tflite"),
    }


PACKED = gzip.compress(b"\0asm" + bytes(8))


@asynccontextmanager
async def running(folder: Path, place: Place | None = None, **options: Any) -> AsyncIterator[Running]:
    """A server on a free port of this machine."""
    made = offer()
    events: list[Event] = []
    records = Records(folder / "records", "b" * 64, {c.key: c.sha256 for c in made.candidates})
    server = BrowserServer(Desk(made, records, events.append), contents(folder), {"output/0": 64}, place or Place())
    async with server.running() as address, aiohttp.ClientSession(**options) as client:
        yield Running(address, client, folder / "records", events)


Case = Callable[[Running], Awaitable[None]]


def serve(folder: Path, case: Case, place: Place | None = None) -> None:
    async def run() -> None:
        async with running(folder, place) as server:
            await case(server)

    asyncio.run(run())


def the_record(server: Running) -> BrowserRecord:
    (path,) = server.folder.glob("*.json")
    return BrowserRecord.model_validate_json(path.read_bytes())


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2400):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen within two minutes")

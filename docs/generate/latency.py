"""CPU latency of networks, from the record that ``make latency`` keeps in ``docs/latency.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generate.text import page, table

RECORD = Path(__file__).parents[1] / "latency.json"

_TITLES = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "tflite": "TFLite (LiteRT)",
    "ncnn": "ncnn",
    "pytorch": "PyTorch",
}
_NPU = ("Ethos-U85-1024", "left to the CPU there")
_HOW = """\
Median CPU time of one inference in ms, one thread, without copies of inputs and outputs: the files of an export and
PyTorch, interleaved in one run. CPU time varies less than wall time on a machine with other work, but other work still
takes caches and memory bandwidth from it: compare the columns of a row, not rows of different loads. `make latency`
measures what is missing; `clearport bench` measures a bundle at length, on phones, too.

Ethos-U85-1024: ms that Vela estimates for the int8 TFLite file, and the operators that it leaves to the CPU, whose time
is modeled; nothing was run there. Operators without an int8 form, such as those of attention, are float.
"""


def read() -> dict[str, Any]:
    """Network -> its row."""
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of the page."""
    rows, keys = read(), _keys(read())
    headers = ("network", "size", *map(_title, keys), *_NPU, "measured on")
    body = table(headers, ((f"[{name}](../networks/{name}.md)", *_cells(row, keys)) for name, row in rows.items()))
    yield "reference/latency.md", page("CPU latency", _HOW, body)


def section(name: str) -> str:
    """The part of a network's page; empty if it was not measured."""
    row = read().get(name)
    if row is None:
        return ""
    keys = _keys({name: row})
    body = table(("size", *map(_title, keys), *_NPU, "measured on"), [_cells(row, keys)])
    return f"## CPU latency\n\nms of CPU time of one thread; [how it was measured](../reference/latency.md).\n\n{body}"


def _keys(rows: dict[str, Any]) -> list[str]:
    return sorted({key for row in rows.values() for key in row["cpu_ms"]})


def _npu(found: dict[str, Any]) -> tuple[str, str]:
    if "reason" in found:
        return "–", found["reason"]
    left = found["operators"].get("cpu", {})
    return f"{found['ms']:.3g}", ", ".join(f"{count} {kind}" for kind, count in left.items()) or "nothing"


def _title(key: str) -> str:
    target, _, rest = key.partition("/")
    return f"{_TITLES[target]} {rest.replace('/', ' ')}".strip()


def _cells(row: dict[str, Any], keys: list[str]) -> list[str]:
    times = row["cpu_ms"]
    loads = "–".join(f"{load:.1f}" for load in sorted(filter(None, row["load"])))
    fresh = "" if row["weights"] == "bundled" else "; fresh weights"
    shown = [f"{times[key]:.3g}" if key in times else "–" for key in keys]
    return [row["size"], *shown, *_npu(row["npu"]), f"{row['cpu']}, load {loads}, {row['date']}{fresh}"]

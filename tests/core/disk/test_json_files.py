"""Every JSON reader immediately refuses files that are irregular, too long or ambiguous, naming the file."""

from __future__ import annotations

import json
import os
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.bundle.bench_record import BenchRecord
from clearport.bundle.folder import Bundle, verify_folder
from clearport.disk.json_files import MOST_BYTES, MOST_DEPTH, parse_json, read_json
from clearport.errors import BadInput
from clearport.models.data.exclusions import read_exclusions
from clearport.models.weights import card_path, read_card
from clearport.quantize import table
from clearport.runtime.devices.browser.records import Records

Read = Callable[[Path], object]


def card(path: Path) -> object:
    beside = path.with_suffix(".safetensors")
    shutil.move(path, card_path(beside))
    return read_card(beside)


def records(path: Path) -> object:
    return Records(path.parent, "0" * 64, {})


READERS: dict[str, tuple[str, Read]] = {
    "manifest": ("manifest.json", lambda path: Bundle.load(path.parent)),
    "checked manifest": ("manifest.json", lambda path: raised(verify_folder(path.parent))),
    "bench record": ("bench.json", BenchRecord.load),
    "scale table": ("scales.json", table.load),
    "card": ("w.json", card),
    "browser record": ("phone.json", records),
    "excluded photos": ("photos.json", read_exclusions),
}


def raised(found: object) -> None:
    """The message of a bundle's check, as the error that other readers raise."""
    raise BadInput(str(found))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def long(path: Path) -> None:
    path.write_bytes(b"[")
    os.truncate(path, 100_000_000)


def holds(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None  # type: ignore[func-returns-value]


BAD = {
    "pipe": pipe,
    "folder": folder,
    "device": device,
    "long": long,
    "twice": holds('[{"a": 1, "b": {"c": 1, "c": 2}}]'),
    "NaN": holds('[{"a": NaN}]'),
    "infinity": holds('[{"a": [-Infinity]}]'),
    "overflow": holds('[{"a": 1e999}]'),
    "deep": holds("[" * 70 + "]" * 70),
    "deeper": holds("[" * 200_000),
    "long number": holds("[" + "9" * 5000 + "]"),
    "no text": lambda path: path.write_bytes(b'["\xff"]') and None,  # type: ignore[func-returns-value]
}


NO_CARD = {("card", bad) for bad in ("pipe", "folder", "device")}
"""A card is looked for among regular files: what is none counts as no card."""


@pytest.mark.parametrize(("reader", "bad"), sorted({(r, b) for r in READERS for b in BAD} - NO_CARD))
def test_anything_but_a_regular_file_is_refused_at_once(tmp_path: Path, reader: str, bad: str) -> None:
    name, read = READERS[reader]
    path = tmp_path / name
    BAD[bad](path)
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=name.rpartition(".")[2]):
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 60  # a second where nothing else runs and memory is not traced; a pipe never ends
    assert peak < 4 * MOST_BYTES


def test_good_files_are_read(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, {"b": "é"}], "c": 1e300}
    (tmp_path / "x.json").write_text("\N{ZERO WIDTH NO-BREAK SPACE}" + json.dumps(value))
    assert read_json(tmp_path / "x.json", "a value") == value
    (tmp_path / "link.json").symlink_to(tmp_path / "x.json")
    assert read_json(tmp_path / "link.json", "a value") == value


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_the_deepest_that_is_read() -> None:
    parse_json(nested(MOST_DEPTH), "x")
    with pytest.raises(BadInput, match="deeper than"):
        parse_json(nested(MOST_DEPTH + 1), "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_written_json_is_read_back_unchanged(value: Any) -> None:
    assert parse_json(json.dumps(value, allow_nan=False), "x") == value

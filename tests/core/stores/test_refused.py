"""Damaged or malicious stores are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clearport.bundle.folder import Bundle, verify_folder
from clearport.errors import BadInput
from clearport.pipeline.stores.pull import PullRequest, pull_bundle
from clearport.pipeline.stores.push import PushRequest, push_bundle
from clearport.stores.index import INDEX
from tests.core.stores import servers
from tests.core.stores.conftest import clearport


def pushed(bundle: Bundle, store: Path | str, version: str = "") -> str:
    return push_bundle(PushRequest(bundle.folder, str(store), version=version)).version


def spoiled(store: Path, change: Any) -> None:
    index = json.loads((store / INDEX).read_text())
    change(index["networks"]["ncnet"]["1.0.0"])
    (store / INDEX).write_text(json.dumps(index))


def renamed(files: dict[str, Any], name: str) -> None:
    files[name] = files.pop("scales.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: renamed(v["files"], "../scales.json"), r"a path must be relative, use .*and stay inside"),
        (lambda v: renamed(v["files"], "/tmp/scales.json"), r"a path must be relative, use .*and stay inside"),
        (lambda v: renamed(v["files"], "a\\..\\b"), r"a path must not contain a backslash"),
        (lambda v: v["files"]["scales.json"].update(sha256="0" * 64), r"it is not the file that the index names"),
        (lambda v: v["files"]["scales.json"].update(bytes=3), r"scales.json: it is longer than the 3 bytes"),
        (lambda v: renamed(v["files"], ".hidden/run.sh"), r"the index lists .hidden/run.sh, which is not part of"),
        (lambda v: v["files"].pop("manifest.json"), r"ncnet@1.0.0 has no manifest.json"),
        (lambda v: v["files"].pop("scales.json"), r"is not a valid bundle: scales.json .*: the file is missing"),
        (lambda v: v.update(version="1.0.1"), r"under ncnet@1.0.0 it has ncnet@1.0.1"),
        (lambda v: v.update(version="one"), r"is no semantic version"),
        (lambda v: v.update(extra=1), r"Extra inputs are not permitted"),
    ],
)
def test_a_wrong_index_is_refused(
    own: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    said: str,
) -> None:
    pushed(own, tmp_path / "store")
    spoiled(tmp_path / "store", change)
    with pytest.raises(BadInput, match=said):
        pull_bundle(PullRequest(f"{tmp_path}/store/ncnet", tmp_path / "out"))
    code, _ = clearport(capsys, monkeypatch, "pull", tmp_path / "store/ncnet", "--out", tmp_path / "out", "--quiet")
    assert code == 2
    assert not (tmp_path / "out").exists()
    assert {p.name for p in tmp_path.iterdir()} - {"cache"} == {"own", "store"}


def test_a_flipped_byte_is_refused(own: Bundle, tmp_path: Path) -> None:
    pushed(own, tmp_path / "store")
    place = tmp_path / "store/ncnet/1.0.0/tflite/ncnet_x3_int8.tflite"
    content = bytearray(place.read_bytes())
    content[7] ^= 1
    place.write_bytes(content)
    with servers.files(tmp_path / "store") as address:
        with pytest.raises(BadInput, match=r"ncnet_x3_int8.tflite: it is not the file that the index names: SHA-256"):
            pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out"))
        part = pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out", ("onnxruntime",)))
    assert verify_folder(part.folder) == []


def test_links_that_lead_out_of_a_store_are_not_followed(own: Bundle, tmp_path: Path) -> None:
    pushed(own, tmp_path / "store")
    place = tmp_path / "store/ncnet/1.0.0/scales.json"
    shutil.move(place, tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="it is a link that leads out of the store"):
        pull_bundle(PullRequest(f"{tmp_path}/store/ncnet", tmp_path / "out"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ncnet", "expected STORE/NAME or STORE/NAME@VERSION"),
        ("store/ncnet@latest", "'latest' is no semantic version, such as 1.2.0"),
        ("store/other", r"no network 'other' \(there are: ncnet\)"),
        ("store/ncnet@3.0.0", r"no ncnet@3.0.0 \(there are: 1.0.0\)"),
        ("elsewhere/ncnet", "no store here"),
        ("nosuch://place/ncnet", "no kind of store that fsspec knows"),
        ("https://user:word@127.0.0.1/ncnet", "without '\\?', '#' and a user's name"),
        ("file:///x/ncnet", "name the folder itself"),
    ],
)
def test_addresses_that_are_none(
    kept_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    pushed(kept_bundle, tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=said):
        pull_bundle(PullRequest(address))

"""Published weights are fetched on request, and kept only if they fit; bundles are pulled from Python."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import clearport
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.models import weights
from clearport.pipeline.stores.fetch import Fetched, FetchRequest, fetch_weights
from clearport.registry import NETWORKS
from tests.core.stores import servers


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NCNet x3's weights as PyTorch saves them, wrapped, and with what is none."""
    folder = tmp_path_factory.mktemp("published")
    bundled = load_file(weights.bundled_path(NETWORKS.get("ncnet"), 3))
    torch.save({"state_dict": bundled}, folder / "ncnet.pth")
    (folder / "page.pth").write_text("<!DOCTYPE html><title>Sign in</title>")
    return folder


def fetched(published: Path, out: Path, name: str = "ncnet.pth", cut: int | None = None, **more: object) -> Fetched:
    asked: list[str] = []
    with servers.serving(partial(servers.Files, published, asked, cut, True)) as address:
        return fetch_weights(FetchRequest("ncnet", f"{address}/{name}", out, **more))  # type: ignore[arg-type]


def test_a_file_arrives_whole_though_every_connection_is_cut(published: Path, tmp_path: Path) -> None:
    whole = (published / "ncnet.pth").read_bytes()
    found = fetched(published, tmp_path / "mine.pth", cut=20_000, sha256=hashlib.sha256(whole).hexdigest())
    assert (tmp_path / "mine.pth").read_bytes() == whole
    assert (found.network, found.scale, found.bytes) == ("ncnet", 3, len(whole))
    assert "ncnet.pth" in found.read_as
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.pth"]
    with pytest.raises(BadInput, match="already there"):
        fetched(published, tmp_path / "mine.pth")


WRONG: list[tuple[dict[str, object], str]] = [
    ({"sha256": "0" * 64}, r"its SHA-256 is [0-9a-f]{64}, expected 0{64}; nothing was written"),
    ({"sha256": "12"}, "expected 64 hexadecimal digits"),
    ({"name": "gone.pth"}, r"gone\.pth: no such file"),
    ({"name": "page.pth"}, r"http://127\.0\.0\.1:\d+/page\.pth: "),
    ({"scale": 2}, r"http://127\.0\.0\.1:\d+/ncnet\.pth: "),
    ({"name": "ncnet.pth?download=1"}, "remove the '[?]' or '#'"),
    ({"scale": 9}, "ncnet supports 2, 3, 4"),
]


@pytest.mark.parametrize(("more", "message"), WRONG)
def test_nothing_is_written_of_what_is_not_as_it_should_be(
    published: Path, tmp_path: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        fetched(published, tmp_path / "mine.pth", **more)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_killed_while_it_fits_leaves_nothing_that_stays(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    load = weights.load

    def watched(*given: Any) -> weights.Loaded:
        seen.extend(path.name for path in tmp_path.iterdir())
        return load(*given)

    monkeypatch.setattr(weights, "load", watched)
    fetched(published, tmp_path / "mine.pth")
    assert seen == [".mine.pth.clearport-lock"]  # which the next run removes


def test_bundles_from_python(kept_bundle: Bundle, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    assert clearport.push(kept_bundle.folder, store, name="mine", version="2.1.0").version == "2.1.0"
    out = clearport.pull(f"{store}/mine@2.1.0", tmp_path / "out", targets=("tflite",), precisions=("int8",))
    assert [artifact.key for artifact in clearport.load_bundle(out.folder).artifacts] == ["tflite/int8"]

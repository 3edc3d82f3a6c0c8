"""Pushing to and pulling from stores: what arrives, what is not downloaded twice, and what is refused."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from clearport.bundle.folder import Bundle, verify_folder
from clearport.errors import BadInput, CheckFailed
from clearport.pipeline.stores.pull import PullRequest, pull_bundle, stored
from clearport.pipeline.stores.push import PushRequest, push_bundle
from clearport.stores.index import INDEX, Index, read_index
from tests.core.stores import servers
from tests.core.stores.conftest import clearport, enlarged


def pushed(bundle: Bundle, store: Path | str, version: str = "") -> str:
    return push_bundle(PushRequest(bundle.folder, str(store), version=version)).version


def contents(folder: Path, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file but what pulling adds."""
    added = ("pulled.json", "report.html", "report.md", *without)
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: content for name, content in found.items() if name not in added}


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid4().hex}/store"


def test_a_pushed_bundle_is_pulled_unchanged(kept_bundle: Bundle, store: str, tmp_path: Path) -> None:
    assert pushed(kept_bundle, store) == "1.0.0"
    out = pull_bundle(PullRequest(f"{store}/ncnet", tmp_path / "out"))
    assert contents(out.folder) == contents(kept_bundle.folder)
    assert verify_folder(out.folder) == []
    assert (out.folder / "report.html").is_file()


def test_versions_are_semantic_and_the_latest_is_found(
    kept_bundle: Bundle, other: Bundle, store: str, tmp_path: Path
) -> None:
    assert pushed(kept_bundle, store, "1.9.0") == "1.9.0"
    assert pushed(other, store, "1.10.0") == "1.10.0"
    assert pushed(kept_bundle, store, "2.0.0-rc.1") == "2.0.0-rc.1"
    assert [v.version for v in stored(store)[1].versions("ncnet")] == ["2.0.0-rc.1", "1.10.0", "1.9.0"]
    assert pull_bundle(PullRequest(f"{store}/ncnet", tmp_path / "latest")).version == "1.10.0"
    old = pull_bundle(PullRequest(f"{store}/ncnet@1.9.0", tmp_path / "old"))
    assert contents(old.folder) == contents(kept_bundle.folder)
    assert stored(f"{store}/ncnet")[1].networks.keys() == {"ncnet"}


def test_the_same_bundle_is_pushed_once_and_a_version_is_never_replaced(
    kept_bundle: Bundle, other: Bundle, store: str
) -> None:
    assert push_bundle(PushRequest(kept_bundle.folder, store)).new
    assert not push_bundle(PushRequest(kept_bundle.folder, store)).new
    assert not push_bundle(PushRequest(kept_bundle.folder, store, version="1.0.0")).new
    with pytest.raises(BadInput, match=r"ncnet@1.0.0: it is there already, with other files; a version is never rep"):
        pushed(other, store, "1.0.0")
    assert pushed(other, store) == "1.0.1"


def test_one_target_is_pulled_and_the_bundle_records_the_targets_left_out(
    kept_bundle: Bundle, store: str, tmp_path: Path
) -> None:
    pushed(kept_bundle, store)
    request = PullRequest(f"{store}/ncnet@1.0.0", tmp_path / "part", ("tflite",), ("int8",))
    part = pull_bundle(request)
    bundle = Bundle.load(part.folder)
    assert [a.key for a in bundle.artifacts] == ["tflite/int8"]
    assert sorted(p.name for p in part.folder.iterdir() if p.is_dir()) == ["goldens", "tflite"]
    with pytest.raises(BadInput, match="no artifact tflite/fp32; skipped: left out when it was pulled from"):
        bundle.find("tflite", "fp32")
    assert verify_folder(part.folder) == []
    assert pull_bundle(request).downloaded == 0
    with pytest.raises(BadInput, match="the bundle is incomplete"):
        push_bundle(PushRequest(part.folder, store))


def test_a_file_that_is_missing_beyond_what_was_left_out_is_found(
    kept_bundle: Bundle, store: str, tmp_path: Path
) -> None:
    pushed(kept_bundle, store)
    folder = pull_bundle(PullRequest(f"{store}/ncnet", tmp_path / "part", ("tflite",))).folder
    (folder / "tflite/ncnet_x3_fp32.tflite").unlink()
    (folder / "onnxruntime").mkdir()
    (folder / "onnxruntime/ncnet_x3_fp32.onnx").write_bytes(b"another")
    assert {m.path for m in verify_folder(folder)} == {
        "tflite/ncnet_x3_fp32.tflite",
        "onnxruntime/ncnet_x3_fp32.onnx",
    }


def test_pulling_again_downloads_only_missing_files(kept_bundle: Bundle, tmp_path: Path, cache: Path) -> None:
    pushed(kept_bundle, tmp_path / "store")
    asked: list[str] = []
    with servers.files(tmp_path / "store", asked) as address:
        whole = PullRequest(f"{address}/ncnet", tmp_path / "out")
        assert pull_bundle(whole).downloaded == len(asked) - 1 == 19  # and the index
        assert pull_bundle(whole).downloaded == 0
        assert asked[20:] == [f"/{INDEX}"]
        (tmp_path / "out/scales.json").unlink()
        with pytest.raises(BadInput, match="a bundle is already there; choose another folder, or replace it with --f"):
            pull_bundle(whole)
        forced = pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out", force=True))
        assert (forced.downloaded, asked[-1]) == (1, "/ncnet/1.0.0/scales.json")
    assert [p for p in cache.iterdir() if p.suffix != ".lock"] == []


def test_the_whole_bundle_is_downloaded_from_a_server_that_cuts_every_connection(own: Bundle, tmp_path: Path) -> None:
    large = enlarged(own, 5_000_000)
    pushed(large, tmp_path / "store")
    asked: list[str] = []
    with servers.files(tmp_path / "store", asked, cut=200_000) as address:
        out = pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out"))
    assert contents(out.folder) == contents(large.folder)
    assert asked.count("/ncnet/1.0.0/scales.json") == 25


def test_an_index_that_is_longer_than_a_connection_lasts_is_read_whole(own: Bundle, tmp_path: Path) -> None:
    pushed(own, tmp_path / "store")
    asked: list[str] = []
    with servers.files(tmp_path / "store", asked, cut=1000) as address:
        assert stored(address)[1] == stored(f"{tmp_path}/store")[1]
    assert len(asked) == (tmp_path / "store" / INDEX).stat().st_size // 1000 + 1
    with (
        servers.files(tmp_path / "store", cut=1000, ranges=False) as address,
        pytest.raises(BadInput, match="the connection ended early"),
    ):
        stored(address)


def test_a_server_without_ranges_that_cuts_is_given_up_and_one_that_does_not_is_fine(
    own: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearport.stores.download._PAUSE_S", 0.0)
    pushed(enlarged(own, 300_000), tmp_path / "store")
    with servers.files(tmp_path / "store", cut=200_000, ranges=False) as address:
        request = PullRequest(f"{address}/ncnet", tmp_path / "out")
        with pytest.raises(BadInput, match=r"scales.json: .* of 300000 bytes came in 5 attempts without progress"):
            pull_bundle(request)
    assert not (tmp_path / "out").exists()
    with servers.files(tmp_path / "store", ranges=False) as address:
        assert pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out")).downloaded


def test_an_interrupted_pull_goes_on_where_it_was(
    own: Bundle, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearport.stores.download._PAUSE_S", 0.0)
    pushed(enlarged(own, 300_000), tmp_path / "store")
    with servers.files(tmp_path / "store", cut=200_000, ranges=False) as address, pytest.raises(BadInput):
        pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out"))
    (part,) = cache.glob("*.part")
    part.write_bytes((own.folder / "scales.json").read_bytes()[:250_000])
    asked: list[str] = []
    with servers.files(tmp_path / "store", asked, cut=100_000) as address:
        pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out"))
    assert asked.count("/ncnet/1.0.0/scales.json") == 1  # the last 50,000 bytes
    assert "/ncnet/1.0.0/goldens/float.png" not in asked  # it came with the first


def test_a_partial_download_of_another_file_is_restarted(own: Bundle, tmp_path: Path, cache: Path) -> None:
    pushed(own, tmp_path / "store")
    sha = stored(str(tmp_path / "store"))[1].versions("ncnet")[0].files["scales.json"].sha256
    cache.mkdir(parents=True)
    (cache / f"{sha}.part").write_bytes(b"another")
    with servers.files(tmp_path / "store") as address:
        out = pull_bundle(PullRequest(f"{address}/ncnet", tmp_path / "out"))
    assert contents(out.folder) == contents(own.folder)


def test_pushes_at_once_lose_none(kept_bundle: Bundle, other: Bundle, store: str) -> None:
    """Eight of different versions, and two that choose the same one by themselves."""
    jobs = [(kept_bundle, f"1.{i}.0") for i in range(8)]
    results: list[str] = []

    def one(bundle: Bundle, version: str) -> None:
        results.append(pushed(bundle, store, version))

    threads = [threading.Thread(target=one, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(version for _, version in jobs)
    assert set(stored(store)[1].networks["ncnet"]) == {version for _, version in jobs}


def test_who_comes_second_to_a_version_gets_the_next(
    kept_bundle: Bundle, other: Bundle, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another push lands between the look at the index and the writing."""
    from clearport.pipeline.stores import push

    real = push.model_card
    late = [other]

    def meanwhile(*given: Any) -> str:
        if late:
            pushed(late.pop(), store)
        return real(*given)

    monkeypatch.setattr(push, "model_card", meanwhile)
    assert pushed(kept_bundle, store) == "1.0.1"
    assert set(stored(store)[1].networks["ncnet"]) == {"1.0.0", "1.0.1"}


def test_a_push_that_was_killed_is_completed(kept_bundle: Bundle, other: Bundle, store: str, tmp_path: Path) -> None:
    """Its files are there, its record is not."""
    pushed(kept_bundle, store)
    files: Any = fsspec.core.url_to_fs(store)[0]
    root = fsspec.core.url_to_fs(store)[1]
    files.rm(f"{root}/ncnet/1.0.0.clearport.json")
    files.rm(f"{root}/{INDEX}")
    assert pushed(other, store) == "1.0.1"
    assert pushed(kept_bundle, store, "1.0.0") == "1.0.0"
    out = pull_bundle(PullRequest(f"{store}/ncnet@1.0.0", tmp_path / "out"))
    assert contents(out.folder) == contents(kept_bundle.folder)


def test_an_invalid_bundle_is_not_pushed(own: Bundle, make_bundle: Any, tmp_path: Path) -> None:
    (own.folder / "scales.json").write_bytes(b"another")
    with pytest.raises(BadInput, match=r"not pushed, because the bundle was changed: scales\.json"):
        pushed(own, tmp_path / "store")
    wrong = make_bundle(tmp_path / "wrong", wrong=True)
    with pytest.raises(CheckFailed, match="not pushed, because a check failed: tflite/int8"):
        pushed(wrong, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with servers.files(tmp_path) as address, pytest.raises(BadInput, match=r"HTTP\(S\) stores are read only"):
        pushed(make_bundle(tmp_path / "sound"), address)


def test_the_commands(
    kept_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = clearport(capsys, monkeypatch, "push", kept_bundle.folder, "store", "--version", "1.2.0", "--quiet")
    assert (code, said.splitlines()[0]) == (0, "ncnet@1.2.0 is in store (19 files, 0.1 MB)")
    code, said = clearport(capsys, monkeypatch, "pull", "store", "--list")
    assert code == 0
    assert "ncnet@1.2.0" in said
    code, said = clearport(capsys, monkeypatch, "pull", "store", "--list", "--json")
    assert read_index(json.dumps({k: v for k, v in json.loads(said).items() if k != "store"}).encode(), "x")
    code, said = clearport(
        capsys, monkeypatch, "pull", "store/ncnet", "--target", "tflite", "--precision", "int8", "-q"
    )
    assert code == 0
    assert said.startswith("ncnet-1.2.0  ncnet@1.2.0, 9 files (9 files downloaded, 0.1 MB)")
    assert (tmp_path / "ncnet-1.2.0/tflite/ncnet_x3_int8.tflite").is_file()


def test_a_new_index_has_no_networks() -> None:
    assert Index().networks == {}

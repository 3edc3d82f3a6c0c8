"""Hugging Face's own client against a hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pipeline.stores.pull import PullRequest, pull_bundle, stored
from clearport.pipeline.stores.push import PushRequest, push_bundle
from tests.core.stores.conftest import enlarged
from tests.core.stores.hub_server import Hub, running
from tests.core.stores.test_stores import contents

STORE = "hf://me/nets"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub of its own client


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub()
    with running(hub) as address:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # its server is another program
        monkeypatch.setenv("HF_TOKEN", "a word")
        yield hub


def test_a_bundle_pushed_to_the_hub_is_pulled_and_has_a_card(kept_bundle: Bundle, hub: Hub, tmp_path: Path) -> None:
    assert push_bundle(PushRequest(kept_bundle.folder, STORE)).version == "1.0.0"
    assert len(hub.commits) == 2  # the repository's first, and one with everything
    assert not push_bundle(PushRequest(kept_bundle.folder, STORE)).new
    out = pull_bundle(PullRequest(f"{STORE}/ncnet", tmp_path / "out"))
    assert contents(out.folder) == contents(kept_bundle.folder)
    (tmp_path / "README.md").write_bytes(hub.files["README.md"])
    card = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "clearport")
    assert "tflite" in card.data.tags
    assert "| `tflite/ncnet_x3_int8.tflite` | 1 | 71.9 |" in card.text


def test_a_card_that_is_not_ours_stays(kept_bundle: Bundle, other: Bundle, hub: Hub) -> None:
    push_bundle(PushRequest(kept_bundle.folder, STORE))
    hub.commit({"README.md": b"# mine"})
    push_bundle(PushRequest(other.folder, STORE))
    assert hub.files["README.md"] == b"# mine"
    assert set(stored(STORE)[1].networks["ncnet"]) == {"1.0.0", "1.0.1"}


def test_two_pushes_at_once_are_two_versions(kept_bundle: Bundle, other: Bundle, hub: Hub) -> None:
    """The second commit lands while the first is made: the hub refuses the first, which is made anew on top of it."""
    late = [other]

    def meanwhile() -> None:
        if late:
            push_bundle(PushRequest(late.pop().folder, STORE))

    hub.before_commit = meanwhile
    assert push_bundle(PushRequest(kept_bundle.folder, STORE)).version == "1.0.1"
    assert set(stored(STORE)[1].networks["ncnet"]) == {"1.0.0", "1.0.1"}


@pytest.mark.slow  # its client waits longer after each cut
def test_the_whole_bundle_is_downloaded_from_a_hub_that_cuts_every_connection(
    own: Bundle, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearport.stores.download._PAUSE_S", 0.0)
    large = enlarged(own, 700_000)
    push_bundle(PushRequest(large.folder, STORE))
    hub.cut = 200_000
    out = pull_bundle(PullRequest(f"{STORE}/ncnet", tmp_path / "out"))
    assert contents(out.folder) == contents(large.folder)


def test_a_hub_without_the_repository(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no store here"):
        pull_bundle(PullRequest(f"{STORE}/ncnet", tmp_path / "out"))
    with pytest.raises(BadInput, match=r"expected hf://OWNER/REPOSITORY"):
        pull_bundle(PullRequest("hf://me/ncnet", tmp_path / "out"))

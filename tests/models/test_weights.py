"""Weights files: bundled ones load, and every bad one is a clear error."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from clearport.errors import BadInput
from clearport.models import weights
from clearport.models.networks.super_resolution.ncnet import SPEC


class Evil:
    """Something that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code in a checkpoint was run')",)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Fresh NCNet x2 weights on disk."""
    torch.manual_seed(1)
    path = tmp_path / "mine.safetensors"
    weights.save(path, SPEC.build(2), "ncnet", 2, {"note": "made by a test"})
    return path


def test_weights_come_back_as_they_were(saved: Path) -> None:
    loaded = weights.load(SPEC, 2, saved)
    torch.manual_seed(1)
    for key, value in SPEC.build(2).state_dict().items():
        assert torch.equal(loaded.module.state_dict()[key], value)
    assert loaded.card == {"format": "pt", "network": "ncnet", "scale": "2", "note": "made by a test"}
    before = saved.read_bytes()
    weights.save(saved, loaded.module, "ncnet", 2, {"note": "made by a test"})
    assert saved.read_bytes() == before


def test_a_card_beside_the_file_is_read(saved: Path) -> None:
    weights.save_card(saved, {"network": "ncnet", "quality": {"set5": 31.0}})
    assert weights.load(SPEC, 2, saved).card["quality"] == {"set5": 31.0}
    weights.card_path(saved).write_text("{")
    with pytest.raises(BadInput, match=r"mine\.json"):
        weights.load(SPEC, 2, saved)


@pytest.mark.parametrize("wrap", [None, "state_dict", "params", "params_ema", "model"])
def test_a_pytorch_file_is_known_by_content(tmp_path: Path, wrap: str | None) -> None:
    path, network = tmp_path / "no_suffix", SPEC.build(3)
    state = network.state_dict()
    torch.save({wrap: state} if wrap else state, path)
    loaded = weights.load(SPEC, 3, path)
    assert torch.equal(loaded.module.tail.weight, network.tail.weight)
    assert "PyTorch" in loaded.source


def as_archive(found: object) -> Callable[[Path], None]:
    """What writes ``found`` as PyTorch does."""
    return lambda path: torch.save(found, path)


def as_safetensors(change: Callable[[State], State], **metadata: str) -> Callable[[Path], None]:
    """What writes the changed state dict of a fresh network."""
    return lambda path: save_file(change(SPEC.build(2).state_dict()), path, metadata or None)


def truncated(write: Callable[[Path], None], keep: int) -> Callable[[Path], None]:
    """What writes a file and cuts it off."""

    def both(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[:keep])

    return both


State = dict[str, torch.Tensor]

LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1234567\n"

BAD: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "none at this path"),
    "folder": (lambda path: path.mkdir(), "this is a folder: name the file in it"),
    "pointer": (lambda path: path.write_text(LFS), "Git LFS pointer.*git lfs pull"),
    "page": (lambda path: path.write_text("\n<!DOCTYPE html>\n<html>Sign in</html>"), "a web page instead of weights"),
    "empty": (lambda path: path.write_bytes(b""), "not a known weights file"),
    "text": (lambda path: path.write_text("these are no weights"), "not a known weights file"),
    "truncated": (truncated(as_safetensors(dict), 5000), "truncated safetensors"),
    "no header": (
        lambda path: path.write_bytes((90_000_000).to_bytes(8, "little") + b"{" + b"x" * 50),
        "truncated safetensors",
    ),
    "pickle": (lambda path: path.write_bytes(pickle.dumps(Evil())), "could run code"),
    "pickle in archive": (as_archive(Evil()), "could run code"),
    "truncated archive": (truncated(as_archive(SPEC.build(2).state_dict()), 5000), "truncated PyTorch"),
    "not a state dict": (as_archive([1, 2, 3]), "expected a state dict"),
    "not finite": (
        as_safetensors(lambda state: {**state, "tail.bias": torch.full((12,), float("nan"))}),
        "tail.bias has values that are not finite",
    ),
    "another scale": (
        lambda path: weights.save(path, SPEC.build(3), "ncnet", 3, {}),
        "weights of ncnet x3, expected those of ncnet x2",
    ),
    "another network": (as_safetensors(dict, network="rlfn", scale="2"), "weights of rlfn x2"),
    "missing key": (
        as_safetensors(lambda state: {k: v for k, v in state.items() if k != "tail.bias"}),
        "tail.bias is missing",
    ),
    "unknown key": (as_safetensors(lambda state: {**state, "head": torch.zeros(1)}), "head is unknown"),
    "shapes": (
        as_safetensors(lambda state: {**state, "tail.bias": torch.zeros(27)}),
        r"tail.bias is \[27\] instead of \[12\]",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_invalid_file_is_named_with_the_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    make, message = BAD[kind]
    make(path)
    with pytest.raises(BadInput, match=message) as raised:
        weights.load(SPEC, 2, path)
    assert str(path) in str(raised.value)


def test_a_scale_that_cannot_be_built() -> None:
    assert weights.checked_scale(SPEC, None) == 3
    with pytest.raises(BadInput, match=r"--scale 5: ncnet supports 2, 3, 4"):
        weights.load(SPEC, 5)


def test_starting_from_another_scale_takes_the_body(saved: Path) -> None:
    network = SPEC.build(3)
    with pytest.raises(
        BadInput, match=r"weights of ncnet x2.*--scale 2; to load only the fitting tensors, add --start-partial"
    ):
        weights.start_from(network, SPEC, 3, saved)
    start = weights.start_from(network, SPEC, 3, saved, partial=True)
    assert "10 tensors; 4 stay fresh" in str(start)
    assert set(start.fresh) == {"body.5.weight", "body.5.bias", "tail.weight", "tail.bias"}
    assert torch.equal(network.body[4].weight, weights.load(SPEC, 2, saved).module.body[4].weight)
    save_file({"other": torch.zeros(3)}, saved)
    with pytest.raises(BadInput, match="none of its tensors fits"):
        weights.start_from(network, SPEC, 3, saved, partial=True)

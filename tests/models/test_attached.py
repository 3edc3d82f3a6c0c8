"""An int8 form in a weights file: read beside the weights, pinned to them, and left out by whatever reads weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.errors import BadInput
from clearport.models import attached, weights
from clearport.models.attached import Attached
from clearport.models.importers import checkpoint
from clearport.models.networks.super_resolution.ncnet import SPEC

FORM = Attached('{"floats":["a"],"table":1.5}', {"conv1.weight": np.arange(6, dtype=np.float32).reshape(2, 3)})


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    module: torch.nn.Module = SPEC.build(2)
    return module.eval()


def saved(path: Path, network: torch.nn.Module) -> Path:
    state, words = attached.attach(network.state_dict(), FORM)
    weights.save_state(path, state, "ncnet", 2, words)
    return path


def rewritten(path: Path, change: dict[str, torch.Tensor], words: dict[str, str] | None = None) -> Path:
    """The file with other tensors or metadata."""
    state, metadata = checkpoint.read_safetensors(path)
    metadata = {k: v for k, v in metadata.items() if k not in {"format", "network", "scale"}} | (words or {})
    weights.save_state(path, {**state, **change}, "ncnet", 2, metadata)
    return path


def test_weights_and_form_come_back(tmp_path: Path, network: torch.nn.Module) -> None:
    path = saved(tmp_path / "n.safetensors", network)
    found = attached.attached(path)
    assert found is not None
    assert json.loads(found.text) == json.loads(FORM.text)
    np.testing.assert_array_equal(found.arrays["conv1.weight"], FORM.arrays["conv1.weight"])
    loaded = weights.load(SPEC, 2, path)
    torch.testing.assert_close(loaded.module.state_dict(), network.state_dict(), atol=0, rtol=0)
    assert not any("int8" in str(key) for key in loaded.card)
    again = saved(tmp_path / "again.safetensors", network)
    assert again.read_bytes() == path.read_bytes()


def test_other_weights_have_no_form(tmp_path: Path, network: torch.nn.Module) -> None:
    weights.save(tmp_path / "plain.safetensors", network, "ncnet", 2, {})
    torch.save(network.state_dict(), tmp_path / "plain.pth")
    assert attached.attached(tmp_path / "plain.safetensors") is None
    assert attached.attached(tmp_path / "plain.pth") is None
    assert attached.attached(tmp_path / "absent.safetensors") is None


def test_a_form_of_other_weights_or_constants_is_refused(tmp_path: Path, network: torch.nn.Module) -> None:
    name = next(iter(network.state_dict()))
    path = rewritten(saved(tmp_path / "a.safetensors", network), {name: network.state_dict()[name] + 1e-6})
    with pytest.raises(BadInput, match=r"a\.safetensors: its float weights were changed .* train it again with --qat"):
        attached.attached(path)
    assert weights.load(SPEC, 2, path)  # as weights it is sound
    path = rewritten(
        saved(tmp_path / "b.safetensors", network), {checkpoint.ATTACHED + "conv1.weight": torch.zeros(2, 3)}
    )
    with pytest.raises(BadInput, match="its int8 constants were changed"):
        attached.attached(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not readable JSON"),
        ("[]", "not one of clearport"),
        ('{"form": 3}', "not one of clearport"),
        ('{"form": {}, "version": 9}', "has version 9, expected 1"),
    ],
)
def test_a_damaged_form_is_refused(tmp_path: Path, network: torch.nn.Module, text: str, words: str) -> None:
    path = rewritten(saved(tmp_path / "n.safetensors", network), {}, {checkpoint.ATTACHED: text})
    with pytest.raises(BadInput, match=words):
        attached.attached(path)

"""Knobs: parsed, checked, kept in weights files, and felt by the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clearport.errors import BadInput
from clearport.models import knobs, weights
from clearport.models.networks.deraining.heavyrain import SPEC
from clearport.models.networks.super_resolution.ncnet import SPEC as NCNET
from clearport.registry import NETWORKS


def test_words_become_numbers() -> None:
    assert knobs.parse(SPEC, ["dehaze=0.5"]) == {"dehaze": 0.5}
    assert knobs.parse(SPEC, []) == {}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("dehaze=2", "from 0 to 1"),
        ("dehaze=much", "from 0 to 1"),
        ("dehaze", "from 0 to 1"),
        ("gamma=1", r"no knob 'gamma' \(it has: dehaze"),
    ],
)
def test_bad_words_are_refused(word: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        knobs.parse(SPEC, [word])


def test_a_network_without_knobs_says_so() -> None:
    with pytest.raises(BadInput, match="it has: none"):
        knobs.parse(NCNET, ["dehaze=0.5"])


def test_a_turned_knob_comes_back_with_the_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path, module = tmp_path / "w.safetensors", SPEC.build(1)
    weights.save(path, module, SPEC.name, 1, knobs.to_metadata({"dehaze": 0.25}))
    loaded = weights.load(SPEC, 1, path)
    assert loaded.module.dehaze == 0.25
    weights.save(path, module, SPEC.name, 1, {})
    assert weights.load(SPEC, 1, path).module.dehaze == SPEC.knobs["dehaze"].default


def test_defaults_are_in_range_and_are_what_fresh_networks_have() -> None:
    for name in NETWORKS.names():
        spec = NETWORKS.get(name)
        for key, knob in spec.knobs.items():
            assert knob.low <= knob.default <= knob.high
            assert getattr(spec.build(spec.default_scale), key) == knob.default

"""Receptive fields from operators: equal to the networks' declarations and to perturbation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clearport.base import Size
from clearport.export.from_torch import export_graph
from clearport.graph import nodes as graphs
from clearport.operators.reach import Whole, halo_of
from clearport.registry import NETWORKS

SMALL = ("ncnet", "ecbsr", "zerodce", "mobilederain")


@pytest.mark.parametrize("name", SMALL)
def test_the_operators_tell_what_the_network_says(name: str) -> None:
    spec = NETWORKS.get(name)
    graph = export_graph(spec.build(spec.default_scale).eval(), spec, spec.default_scale, Size(64, 64))
    if spec.whole_picture:
        with pytest.raises(Whole):
            halo_of(graph)
    else:
        assert halo_of(graph) == spec.halo


def test_global_pooling_is_named() -> None:
    spec = NETWORKS.get("transmission")
    graph = export_graph(spec.build(1).eval(), spec, 1, Size(64, 64))
    with pytest.raises(Whole, match="GlobalAveragePool"):
        halo_of(graph)


def test_nothing_beyond_it_changes_and_something_at_it_does() -> None:
    torch.manual_seed(0)
    spec = NETWORKS.get("espcn")
    graph = export_graph(spec.build(3).eval(), spec, 3, Size(32, 32))
    halo, session = halo_of(graph), graphs.session(graph.model)
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 32, 32)).astype(np.float32)
    changed = image.copy()
    changed[:, :, 16, 16] = 255 - changed[:, :, 16, 16]
    before, after = (session.run(None, {graph.input.name: array})[0] for array in (image, changed))
    rows = np.nonzero(np.abs(before - after).max(axis=(0, 1, 3)))[0] // 3
    assert rows.min() == 16 - halo  # above; how far below depends on where in its block a pixel is
    assert 16 + halo - 1 <= rows.max() <= 16 + halo

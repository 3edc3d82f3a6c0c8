"""Properties of all networks."""

from __future__ import annotations

from clearport.models import weights
from clearport.registry import NETWORKS

STARTS = {"ncnet", "e2style"}
"""Networks with importers of what cannot be had whole: a .tflite file, and a generator that training starts from."""


def test_every_network_says_where_its_weights_come_from() -> None:
    for name in NETWORKS.names():
        spec = NETWORKS.get(name)
        assert weights.bundled_path(spec, spec.default_scale).is_file() or weights.how_to_get(spec)
        assert bool(spec.importers) <= bool(spec.published or name in STARTS), name


def test_one_network_of_each_task_with_weights_is_recommended() -> None:
    specs = [NETWORKS.get(name) for name in NETWORKS.names()]
    chosen = [spec.task for spec in specs if spec.recommended]
    able = {spec.task for spec in specs if weights.bundled_path(spec, spec.default_scale).is_file()}
    assert sorted(chosen) == sorted(able)
    for spec in specs:
        assert not spec.recommended or weights.bundled_path(spec, spec.default_scale).is_file()

"""A cached int8 form is bit-identical to a recomputed one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from clearport.base import Size
from clearport.disk.cache import Cache
from clearport.export.from_torch import export_graph
from clearport.graph import nodes as graphs
from clearport.pipeline.isolated import kept
from clearport.pipeline.isolated.process import Isolated
from clearport.quantize import table
from clearport.quantize.flow import QuantizeOptions
from clearport.quantized import QuantizedGraph
from clearport.registry import NETWORKS

SPEC = NETWORKS.get("espcn")
PHOTOS = [np.random.default_rng(n).integers(0, 256, (16, 16, 3), np.uint8) for n in range(2)]
QUICK = QuantizeOptions(equalization=(0.0,), search=False, compensate=False)


@pytest.fixture(scope="module")
def graph() -> Any:
    return export_graph(SPEC.build(3), SPEC, 3, Size(16, 16))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forms")


@pytest.fixture(scope="module")
def isolated(place: Path) -> Iterator[Isolated]:
    with Isolated(Cache(place)) as running:
        yield running


def quantized(isolated: Isolated, graph: Any, photos: Any = PHOTOS, **options: Any) -> tuple[QuantizedGraph, list[str]]:
    """The form, and the stages that were told."""
    told: list[str] = []
    wanted = replace(QUICK, progress=lambda stage, *_: told.append(stage), **options)
    return isolated.quantize(graph, photos, wanted), told


def dumped(form: QuantizedGraph) -> tuple[str, bytes, Any]:
    return table.dumps(form.table), graphs.to_bytes(form.graph.model), replace(form.graph, model=None)  # type: ignore[arg-type]


def test_a_second_time_nothing_is_computed_and_all_bytes_are_the_same(isolated: Isolated, graph: Any) -> None:
    first, told = quantized(isolated, graph)
    assert "observing photos" in told
    again, told = quantized(isolated, graph)
    assert told == []
    with Isolated() as plain:
        anew, told = quantized(plain, graph)
    assert "observing photos" in told
    assert dumped(first) == dumped(again) == dumped(anew)


@pytest.mark.parametrize("changed", ["photo", "option", "weight"])
def test_every_dependency_is_in_the_key(isolated: Isolated, graph: Any, changed: str) -> None:
    quantized(isolated, graph)
    photos, options = list(PHOTOS), dict[str, Any]()
    if changed == "photo":
        photos[1] = photos[1].copy()
        photos[1][3, 4, 1] ^= 1
    elif changed == "option":
        options["task"] = "deraining"
    else:
        graph = graphs.clone(graph)
        value = next(iter(graph.model.graph.initializers.values()))
        array = np.array(graphs.constant(value))
        array.reshape(-1)[0] += 0.25
        value.const_value = ir.tensor(array, name=value.name)
    assert quantized(isolated, graph, photos, **options)[1] != []


def test_the_key_has_the_code_and_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept.key_of("quantize", {}, {})
    assert kept.key_of("round_weights", {}, {}) != first
    assert kept.key_of("quantize", {}, {"0": np.zeros(1, np.uint8)}) != first
    monkeypatch.setattr(kept, "installed_versions", lambda names: dict.fromkeys(names, "9.9"))
    assert kept.key_of("quantize", {}, {}) != first
    monkeypatch.undo()
    monkeypatch.setattr(kept, "_code", lambda: "other code")
    assert kept.key_of("quantize", {}, {}) != first


def test_a_damaged_form_is_recomputed_and_reported(isolated: Isolated, graph: Any, place: Path) -> None:
    first, _ = quantized(isolated, graph)
    for path in place.glob("*.cache"):
        path.write_bytes(path.read_bytes()[:-7] + b"garbage")
    again, told = quantized(isolated, graph)
    assert any("was damaged" in stage and str(place) in stage for stage in told)
    assert "observing photos" in told
    assert dumped(again) == dumped(first)
    assert quantized(isolated, graph)[1] == []

"""Every network of the registry on every target at every precision: proven, or skipped with a reason that is true.

Weights are the bundled ones where there are some; else the published ones where ``CLEARPORT_SHARED`` has them; else
fresh ones of a fixed seed, which prove the arithmetic and say nothing of quality.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch

import clearport
from clearport.base import ModelSpec, Skipped
from clearport.bundle import Bundle
from clearport.models import weights
from clearport.quantize.flow import QuantizeOptions
from clearport.registry import NETWORKS, TARGETS, missing
from clearport.runtime.parity import ParityReport

from .published import PUBLISHED

SIDE = 64
FAST = {"tflite": ("fp32", "int8"), "onnxruntime": ("fp32", "int8"), "openvino": ("fp32", "int8"), "coreml": ("fp16",)}
"""What is proven on every run; ``make test-all`` proves the rest as well."""

LARGE = {"iagcfull", "iat", "imdn", "prenet", "prn", "rfdn", "safmn", "spantiny"}
"""What takes a minute, or resembles another network, waits for ``make test-all``."""

MAY_LACK_INT8 = {"iat", "iagcfull"}
"""Attention over the whole picture: the hard cases."""


def some_weights(spec: ModelSpec, folder: Path) -> Path | None:
    """A weights file for the network's default scale; None for the bundled one."""
    if weights.bundled_path(spec, spec.default_scale).is_file():
        return None
    shared = os.environ.get("CLEARPORT_SHARED")
    if shared and spec.name in PUBLISHED:
        return Path(shared) / "weights" / PUBLISHED[spec.name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = spec.build(spec.default_scale)
    path = folder / f"{spec.name}.safetensors"
    weights.save(path, module, spec.name, spec.default_scale, {})
    return path


def exported(name: str, cells: dict[str, tuple[str, ...]], folder: Path, photos: Path | None) -> list[Bundle]:
    """One bundle per set of precisions, since targets are asked for different ones."""
    spec = NETWORKS.get(name)
    given = some_weights(spec, folder)
    side = -(-SIDE // spec.size_multiple) * spec.size_multiple
    bundles = []
    for precisions in sorted(set(cells.values())):
        targets = [target for target, wanted in cells.items() if wanted == precisions]
        bundles.append(
            clearport.export(
                name,
                folder / "-".join(precisions),
                size=f"{side}x{side}",
                targets=targets,
                precisions=precisions,
                weights=given,
                calibration=photos,
                measure=False,
            )
        )
    return bundles


def check(bundle: Bundle) -> None:
    """Every file is what its reference says; what was skipped may be, and says why."""
    for artifact in bundle.artifacts:
        assert isinstance(artifact.parity, ParityReport), artifact.parity
        assert artifact.parity.passed, (artifact.key, artifact.parity.failures)
    for skipped in bundle.manifest.skipped:
        check_skipped(bundle.manifest.model.name, skipped)


def check_skipped(network: str, skipped: Skipped) -> None:
    target, _, precision = skipped.what.partition("/")
    if missing(TARGETS.get(target).requires):
        return
    may = network in MAY_LACK_INT8 and precision.startswith("int8")
    may = may or (target == "coreml" and precision == "int8") or (target == "tflite" and precision == "fp16")
    assert may, f"{network}: {skipped.what} is skipped: {skipped.reason}"
    assert "operator" in skipped.reason or "constant" in skipped.reason, skipped.reason


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in NETWORKS.names()]
)
def test_every_network_reaches_every_target(
    name: str, tmp_path: Path, few_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ranges that nobody searched: what int8 costs is not judged here, only that all files compute the same.
    simple = partial(QuantizeOptions, equalisation=(0.0,), search=False, compensate=False)
    monkeypatch.setattr("clearport.pipeline.QuantizeOptions", simple)
    for bundle in exported(name, FAST, tmp_path, few_photos):
        check(bundle)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_network_reaches_every_target_at_every_precision(name: str, tmp_path: Path) -> None:
    every = {target: tuple(TARGETS.get(target).precisions) for target in TARGETS.names()}
    for bundle in exported(name, every, tmp_path, None):
        check(bundle)
        assert bundle.passed, bundle.manifest.failures()


def test_every_network_says_where_its_weights_come_from() -> None:
    for name in NETWORKS.names():
        spec = NETWORKS.get(name)
        assert weights.bundled_path(spec, spec.default_scale).is_file() or weights.how_to_get(spec)
        assert bool(spec.importers) <= bool(spec.published or spec.name == "ncnet"), name


def test_one_network_of_each_task_is_recommended() -> None:
    specs = [NETWORKS.get(name) for name in NETWORKS.names()]
    chosen = [spec.task for spec in specs if spec.recommended]
    assert sorted(chosen) == sorted({spec.task for spec in specs})
    for spec in specs:
        assert not spec.recommended or weights.bundled_path(spec, spec.default_scale).is_file()

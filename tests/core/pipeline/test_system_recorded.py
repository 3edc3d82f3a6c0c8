"""What ``system.json`` says is checked against the manifests of its parts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from clearport.bundle.system import PartRecord, System
from clearport.pipeline.systems.verify import _recorded


def system(network: str, failures: list[str]) -> System:
    part = SimpleNamespace(folder="parts/step", manifest=SimpleNamespace(model=SimpleNamespace(name="sinstep")))
    record = SimpleNamespace(
        parts={"step": PartRecord(folder="parts/step", network=network)}, failures=lambda: failures
    )
    return cast("System", cast("Any", SimpleNamespace(record=record, parts={"step": part})))


def test_a_part_of_another_network_and_a_failed_proof_are_told() -> None:
    assert list(_recorded(system("sinstep", []))) == []
    (other,) = _recorded(system("ncnet", []))
    assert other == "parts.step.network: ncnet, and parts/step is of sinstep"
    (failed,) = _recorded(system("sinstep", ["tflite/fp32: picture: 20 dB"]))
    assert "the export recorded a failed proof" in failed

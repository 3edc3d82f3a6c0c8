"""Converts Vela's outputs to an estimate report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from clearport.registry import installed_versions
from clearport.runtime.devices.device import EstimateReport, Fallback
from clearport.runtime.devices.ethosu import price as vela_price
from clearport.runtime.devices.ethosu.compile import PACKAGE
from clearport.runtime.devices.ethosu.graph import FlatGraph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.runtime.devices.ethosu.chips import Chip
    from clearport.runtime.devices.ethosu.compile import Compiled

ACCELERATED = "ethos-u"
"""The custom code of the accelerator's operators."""
_AREAS = {"sram": "sram", "dram": "dram", "on_chip_flash": "on-chip flash", "off_chip_flash": "flash"}
_KIB, _GIB, _MIB = 1 << 10, 1 << 30, 1 << 20


def estimate(source: FlatGraph, compiled: Compiled, chip: Chip, facts: Mapping[str, Any]) -> EstimateReport:
    """Vela's estimate plus the modeled time of operators on the CPU; ``source`` is Vela's input file."""
    result = FlatGraph(compiled.file)
    left = [op for op in result.operators if result.kind(op) != ACCELERATED]
    bandwidth = _arena_bandwidth(compiled.summary)
    fallbacks = tuple(_fallback(result, op, compiled, chip, bandwidth) for op in left)
    fallback_ms = sum(f.priced_ms or 0.0 for f in fallbacks)
    versions = {name: said for name, said in installed_versions((PACKAGE,)).items() if said}
    return EstimateReport(
        kind="compiler-estimate",
        tool="Vela",
        tool_versions=versions,
        chip=f"{chip.title}, {chip.system}, {chip.memory}",
        unit_asked="npu",
        estimated_ms=compiled.npu_ms + fallback_ms,
        npu_ms=compiled.npu_ms,
        fallback_ms=fallback_ms,
        cycles=int(float(compiled.summary["cycles_total"])),
        operators_per_unit=_units(source, result, left),
        fallbacks=fallbacks,
        memory_bytes=_memory(compiled.summary),
        warnings=tuple(_warnings(compiled, chip, fallbacks)),
        facts={**_facts(compiled.summary, result, chip, bandwidth), **facts},
    )


def _fallback(graph: FlatGraph, op: Any, compiled: Compiled, chip: Chip, bandwidth: float) -> Fallback:
    layer = graph.name(int(op.outputs[0]))
    price = vela_price.price_ms(vela_price.work(graph, op), chip.host, bandwidth)
    return Fallback(graph.kind(op), layer, compiled.reasons.get(layer, "Vela gives no reason"), price)


def _units(source: FlatGraph, result: FlatGraph, left: list[Any]) -> dict[str, dict[str, int]]:
    """unit -> operator -> count, of Vela's input file."""
    everything = Counter(source.kind(op) for op in source.operators)
    on_cpu = Counter(result.kind(op) for op in left)
    units = {"npu": everything - on_cpu, "cpu": on_cpu}
    return {unit: dict(sorted(kinds.items())) for unit, kinds in units.items() if kinds}


def _arena_bandwidth(summary: Mapping[str, str]) -> float:
    """Bandwidth of the arena's memory in bytes per second."""
    area = "sram" if summary["feature_map_storage_area"].upper() == "SRAM" else "dram"
    return float(summary[f"{area}_bandwidth"]) * _GIB


def _memory(summary: Mapping[str, str]) -> dict[str, int]:
    used = {name: round(float(summary[f"{area}_memory_used"]) * _KIB) for area, name in _AREAS.items()}
    return {name: n for name, n in used.items() if n}


def _facts(summary: Mapping[str, str], result: FlatGraph, chip: Chip, bandwidth: float) -> dict[str, Any]:
    jobs = sum(result.kind(op) == ACCELERATED for op in result.operators)
    return {
        "system_config": chip.system,
        "memory_mode": chip.memory,
        "config_file": chip.config,
        "clock_mhz": float(summary["core_clock"]) / 1e6,
        "partitions": jobs,
        "macs": int(float(summary["nn_macs"])),
        "weights_bytes": int(float(summary["total_npu_encoded_weights"])),
        "fallback_price": (
            f"{chip.host.name} at {chip.host.clock_hz / 1e6:g} MHz, {chip.host.cycles_per_value:g} cycles a value, "
            f"{chip.host.macs_per_cycle:g} int8 multiply-adds a cycle, arena at {bandwidth / 1e9:.2f} GB/s; a model, "
            "not measured"
        ),
    }


def _warnings(compiled: Compiled, chip: Chip, fallbacks: tuple[Fallback, ...]) -> list[str]:
    said = []
    if chip.sram_bytes is not None and compiled.sram_bytes > chip.sram_bytes:
        share = chip.sram_bytes / compiled.sram_bytes
        said.append(
            f"the arena takes {compiled.sram_bytes / _MIB:.1f} MiB of SRAM and {chip.sram_of} has "
            f"{chip.sram_bytes / _MIB:.1f} MiB: it will not run there; a picture of about {share:.0%} of the pixels "
            "would (export with a smaller --size), or take a chip whose arena lies in DRAM, as ethos-u:u65-512"
        )
    if fallbacks:
        kinds = ", ".join(sorted({f.operator for f in fallbacks}))
        said.append(f"{kinds} run on the CPU: Vela counts them as 0; clearport adds a modeled time")
    return said

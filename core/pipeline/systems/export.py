"""From a system of the registry to a folder of proven parts, the program, and the proof of the whole."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport import problems
from clearport.base import Size, Skipped
from clearport.bundle import folder as bundle
from clearport.bundle import system as systems
from clearport.bundle.manifest import PaperRecord
from clearport.bundle.system import GOLDEN, PartRecord, RowRecord, System, SystemRecord
from clearport.disk.files import write_bytes
from clearport.disk.ours import PARTS
from clearport.errors import BadInput, CheckFailed
from clearport.graph import shapes
from clearport.pipeline.export import export_bundle
from clearport.pipeline.sources.contract import Contract
from clearport.pipeline.systems import examples, proof
from clearport.pipeline.systems.parts import in_torch, loaded, opened
from clearport.programs.interpreter import execute
from clearport.protocols import named, no_progress
from clearport.registry import NETWORKS, SYSTEMS
from clearport.reports.systems.report import write_reports
from clearport.runtime import tolerance
from clearport.runtime.usable import runners_of, too_large

if TYPE_CHECKING:
    from torch import nn

    from clearport.base import Float32
    from clearport.bundle.manifest import ArtifactRecord
    from clearport.models.system import SystemSpec
    from clearport.pipeline.sources.request import ExportRequest
    from clearport.pipeline.systems.parts import Ends
    from clearport.programs.program import Program
    from clearport.protocols import Progress

_AGREES = 1e-3
"""Tolerance of the program to the reference in PyTorch, both in float32, relative to an output's largest magnitude.
Iterations amplify float32 rounding; 3e-6 was measured for 20 steps of DDIM."""


@dataclass(frozen=True)
class Whole:
    """The system in PyTorch: its parts, their inputs, and the outputs."""

    modules: Mapping[str, nn.Module]
    ends: Mapping[str, Ends]
    program: Program
    calls: Mapping[str, Sequence[Mapping[str, Float32]]]
    golden: Mapping[str, Float32]
    wanted: Mapping[str, Float32]
    first: Mapping[str, Sequence[Mapping[str, Float32]]]


def export_system(request: ExportRequest, progress: Progress = no_progress) -> System:
    """Export every part, prove the parts and the whole; the folder appears at ``request.out`` when it is complete.

    Raises:
        BadInput: the request cannot be carried out; nothing was written.
        CheckFailed: the program's outputs differ from the reference in PyTorch; nothing was written.
    """
    spec: SystemSpec = SYSTEMS.get(str(request.network))
    _check(request, spec)
    size = request.size if isinstance(request.size, Size) else spec.size
    given = _weights(request, spec)
    with bundle.building(request.out, force=request.force) as folder, tempfile.TemporaryDirectory() as aside:
        progress("running the system in PyTorch", 0, 0)
        whole = whole_of(spec, size, given)
        for name, part in spec.parts.items():
            place = Path(aside) / name
            examples.save(whole.calls[name], whole.ends[name][0], place / "calibration")
            golden = place / "golden.npz"
            calls = whole.first[name]
            np.savez(golden, **examples.sample_of(calls[len(calls) // 2], whole.ends[name][0]))  # type: ignore[arg-type]
            own = replace(
                request,
                network=part.network,
                out=folder / PARTS / name,
                size=part.size or size,
                weights=given.get(name),
                calibration=place / "calibration",
                golden=golden,
                calibrated_on=examples.ABOUT,
                force=False,
            )
            export_bundle(own, named(progress, name))
        _save_golden(folder, whole)
        record = _record(spec, size, folder, whole.program)
        draft = systems.write(folder, record)
        rows, skipped = _rows(draft, whole, request.threads, progress)
        write_reports(systems.write(folder, record.model_copy(update={"rows": rows, "skipped": skipped})))
    return System.load(request.out)


def _check(request: ExportRequest, spec: SystemSpec) -> None:
    """Refuse options that systems do not support."""
    given = {
        "--scale": request.scale is not None,
        "--knob": bool(request.knobs),
        "--calibration": request.calibration is not None,
        "--contract": request.contract is not None or request.told != Contract(),
        "--requantize": request.requantize,
        "--size dynamic": request.size is None,
    }
    for option, asked in given.items():
        if asked:
            raise BadInput(f"{option}: {spec.name} is a system of several parts, which has no such option")
    fixed = all(part.size is not None for part in spec.parts.values())
    if fixed and isinstance(request.size, Size):
        raise BadInput(f"--size {request.size}: the parts of {spec.name} have sizes of their own; leave it out")
    if isinstance(request.size, Size):
        _check_size(spec, request.size)


def _check_size(spec: SystemSpec, size: Size) -> None:
    """Check that the parts accept pictures of the export size."""
    for name, part in spec.parts.items():
        network = NETWORKS.get(part.network)
        multiple, least = network.size_multiple, network.least_side
        fits = min(size.height, size.width) >= least and not (size.height % multiple or size.width % multiple)
        if part.size is None and not fits:
            raise BadInput(
                f"--size {size}: part {name} ({part.network}) needs sides of at least {least} pixels that are "
                f"multiples of {multiple}"
            )


def _weights(request: ExportRequest, spec: SystemSpec) -> dict[str, Path]:
    """Part -> file: ``--weights FILE`` where there is one network, else ``--weights PART=FILE``; parts that share
    their weights are given one. A file that exists may have a ``=`` in its name, unless a part is before it.
    """
    if request.weights is None:
        return {}
    name, equals, rest = str(request.weights).partition("=")
    families = {part: NETWORKS.get(each.network).family for part, each in spec.parts.items()}
    if rest and name in families:
        return {part: Path(rest) for part, family in families.items() if family == families[name]}
    if len(set(families.values())) == 1 and (not equals or request.weights.is_file()):
        return dict.fromkeys(spec.parts, request.weights)
    missing = f"; there is no file {request.weights}" if equals and not request.weights.is_file() else ""
    raise BadInput(f"--weights {request.weights}: expected PART=FILE, with a part of {', '.join(spec.parts)}{missing}")


def whole_of(spec: SystemSpec, size: Size, given: Mapping[str, Path]) -> Whole:
    """A system in PyTorch with bundled weights, or those ``given`` for a part.

    Raises:
        BadInput: there are no weights, or they do not fit.
        CheckFailed: the program's outputs differ from the reference.
    """
    import torch

    modules, ends = {}, {}
    for name, part in spec.parts.items():
        modules[name], ends[name] = loaded(part.network, given.get(name))
    program, parts = spec.program(size), in_torch(modules, ends)
    golden, *others = spec.examples(size)
    tracing = examples.Traced(parts)
    found = execute(program, tracing, golden)
    with torch.inference_mode():
        settings = {name: setting.default for name, setting in program.settings.items()}
        tensors = {name: torch.from_numpy(value) for name, value in golden.items()}
        wanted = {name: value.numpy() for name, value in spec.reference(modules, tensors, settings).items()}
    for output in program.outputs:
        off = float(np.abs(found[output.name] - wanted[output.name]).max())
        if not off <= _AGREES * float(np.abs(wanted[output.name]).max()):
            raise CheckFailed(f"{spec.name}: the program's {output.name} is off by {off:.3g} from the reference")
    calls = examples.traced(program, parts, others)
    return Whole(modules, ends, program, calls, golden, wanted, tracing.calls)


def _save_golden(folder: Path, whole: Whole) -> None:
    from safetensors.numpy import save

    tensors = {f"input.{name}": np.ascontiguousarray(value) for name, value in whole.golden.items()}
    tensors |= {f"output.{o.name}": np.ascontiguousarray(whole.wanted[o.name]) for o in whole.program.outputs}
    write_bytes(folder / GOLDEN, save(tensors))


def _record(spec: SystemSpec, size: Size, folder: Path, program: Program) -> SystemRecord:
    versions = bundle.Bundle.load(folder / PARTS / next(iter(spec.parts))).manifest.tool_versions
    return SystemRecord(
        name=spec.name,
        task=spec.task,
        about=spec.about,
        notice=spec.notice,
        paper=PaperRecord.of(spec.paper),
        size=str(size),
        parts={name: PartRecord(folder=f"{PARTS}/{name}", network=part.network) for name, part in spec.parts.items()},
        program=program,
        rows=(),
        tool_versions=versions,
    )


def _rows(
    system: System, whole: Whole, threads: int, progress: Progress
) -> tuple[tuple[RowRecord, ...], tuple[Skipped, ...]]:
    """The proof of the whole for each target and precision that all parts have."""
    rows: list[RowRecord] = []
    skipped: list[Skipped] = []
    keys = list(dict.fromkeys(artifact.key for part in system.parts.values() for artifact in part.artifacts))
    for number, key in enumerate(keys):
        progress("proving the whole", number, len(keys))
        found = _row(system, key, whole, threads)
        (skipped if isinstance(found, Skipped) else rows).append(found)  # type: ignore[arg-type]  # one of the two
    return tuple(rows), tuple(skipped)


def _row(system: System, key: str, whole: Whole, threads: int) -> RowRecord | Skipped:
    artifacts: dict[str, ArtifactRecord] = {}
    for name, part in system.parts.items():
        for artifact in part.artifacts:
            if artifact.key == key:
                artifacts[name] = artifact
        if name not in artifacts:
            why = next((s.reason for s in part.manifest.skipped if s.what == key), "it has no such file")
            return Skipped(key, f"part {name}: {why}")
    first = next(iter(artifacts.values()))
    for name, artifact in artifacts.items():
        if obstacle := _rounded(artifact) or _obstacle(artifact):
            return Skipped(key, f"not run as a whole: part {name}: {obstacle}")
    try:
        with opened(system, first.target, first.precision, first.variant, threads) as parts:
            found, method = execute(whole.program, parts, whole.golden), parts.method
            reports = proof.judged(whole.program, found, whole.wanted, first.precision, method)
    except problems.UNEXPECTED as error:
        return Skipped(key, problems.told(error, f"running the whole as {key}"))
    if first.precision in proof.LOSSY and not all(report.passed for report in reports):
        return Skipped(key, proof.refusal(reports))
    return RowRecord(
        target=first.target, precision=first.precision, variant=first.variant, method=method, parity=reports
    )


def _rounded(artifact: ArtifactRecord) -> str | None:
    """The reason that a float file with 8-bit images as outputs is not used in a system; None for others."""
    integers = [spec.name for spec in artifact.outputs if spec.dtype in tolerance.INTEGERS]
    if artifact.precision == "int8" or not integers:
        return None
    return f"its {integers[0]} is an 8-bit image, but tensors between parts must not be rounded; use tensors"


def _obstacle(artifact: ArtifactRecord) -> str | None:
    """The reason that a file is not run here in a program with iterations, or None."""
    size = shapes.size_of(shapes.lead(artifact.inputs)) or Size(1, 1)
    obstacles = []
    for runner, found in runners_of(artifact):
        obstacle = found or too_large(runner, size.height, size.width)
        if obstacle is None:
            return None
        obstacles.append(obstacle)
    return "; ".join(obstacles) or f"clearport has no runner for {artifact.target} files"

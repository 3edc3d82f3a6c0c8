"""The offer of a system to pages: its program, and the files of its parts that browsers run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.bundle.folder import verify_folder
from clearport.bundle.system import System
from clearport.errors import BadInput
from clearport.runtime.devices.browser.offer import ways_of
from clearport.runtime.devices.browser.page import Content, content_of
from clearport.runtime.devices.browser.wire import Offer, PartFile, Plan, SystemOffer, TilingRules, Way
from clearport.words import task_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from clearport.base import Artifact, TensorSpec
    from clearport.bundle.manifest import ArtifactRecord
    from clearport.bundle.system import RowRecord
    from clearport.programs.program import Input, Program

MOST_PIXELS = 1 << 22
"""Maximum photo size of a page, in pixels: all tensors of a program are float32, and a phone must hold several."""

_RGB = 3
_DTYPES = ("float32", "uint8", "int8")


def sound_system(folder: Path) -> System:
    """Load a system without changed files.

    Raises:
        BadInput: no such system, or a file was changed.
    """
    system = System.load(folder)
    wrong = [*system.verify_files(), *(w for part in system.parts.values() for w in verify_folder(part.folder))]
    if wrong:
        raise BadInput(f"{folder}: {wrong[0]}; a modified system is not served")
    return system


def system_offer(
    system: System, plan: Plan, targets: tuple[str, ...] = (), precisions: tuple[str, ...] = ()
) -> tuple[Offer, dict[str, Content]]:
    """The offer of a system to pages, and its files: those of its parts, and the golden tensors.

    Raises:
        BadInput: the page cannot show its inputs or outputs, or no browser runs the requested rows.
    """
    record = system.record
    if (why := next(unshowable(record.program), None)) is not None:
        raise BadInput(f"{system.folder}: the page of 'clearport serve' cannot show this system: {why}; run it instead")
    found: list[Way] = []
    left_out: list[Skipped] = list(record.skipped)
    contents: dict[str, Content] = {}
    for row in system.rows(targets, precisions):
        files = {name: part.find(row.target, row.precision, row.variant) for name, part in system.parts.items()}
        for way in _ways(system, row, files):
            (left_out if isinstance(way, Skipped) else found).append(way)  # type: ignore[arg-type]  # one of the two
        contents |= {
            _url(name, file): content_of(system.parts[name].path(file), file.path) for name, file in files.items()
        }
    if not found:
        reasons = "; ".join(sorted({f"{s.what}: {s.reason}" for s in left_out}))
        raise BadInput(f"{system.folder}: no browser runtime can run its files ({reasons})")
    golden = f"files/{record.golden}"
    contents = {way.url: contents[way.url] for each in found for way in each.parts.values()}
    contents[golden] = content_of(system.folder / record.golden, record.golden)
    parts = ", ".join(part.network for part in record.parts.values())
    offer = Offer(
        title=record.name,
        about=f"{task_title(record.task)}. {record.about} Its parts ({parts}) run here, in this browser.",
        tiling=TilingRules(scale=1, halo=0, multiple=1, whole_pixels=1),
        plan=plan,
        candidates=(),
        left_out=tuple(left_out),
        system=SystemOffer(
            program=record.program, golden=golden, notice=record.notice, most_pixels=MOST_PIXELS, ways=tuple(found)
        ),
    )
    return offer, contents


def unshowable(program: Program) -> Iterator[str]:
    """Reasons that the page cannot show a program: inputs without a control."""
    kinds = [each.kind for each in program.inputs]
    if kinds.count("points") > 1:
        yield f"it has {kinds.count('points')} inputs of kind points, but the page supports only one"
    for each in program.inputs:
        if why := _untaken(each, kinds):
            yield f"input {each.name!r} {why}"


def _untaken(wanted: Input, kinds: Sequence[str]) -> str | None:
    """The reason that the page cannot provide an input, or None."""
    if wanted.kind == "points" and "picture" not in kinds:
        return "has points, but there is no picture to click on"
    if wanted.kind == "picture" and (len(wanted.shape) != 4 or wanted.shape[1] != _RGB):
        return f"is a picture of shape {'x'.join(map(str, wanted.shape))}, but the page supports RGB (1x3xHxW) only"
    if wanted.kind == "noise" and not all(isinstance(axis, int) for axis in wanted.shape):
        return "is noise of dynamic size"
    return None


def _ways(system: System, row: RowRecord, files: Mapping[str, ArtifactRecord]) -> Iterator[Way | Skipped]:
    """Every configuration in which browsers run the files of a row, each with one runtime for all parts; or Skipped."""
    artifacts = {name: system.parts[name].artifact(file) for name, file in files.items()}
    offered = {name: ways_of(artifact) for name, artifact in artifacts.items()}
    for number, way in enumerate(next(iter(offered.values()))):
        reasons = [f"part {name}: {why}" for name, ways in offered.items() if (why := ways[number].obstacle)]
        reasons += [f"part {name}: {other}" for name in files if (other := _other_ends(system, name, artifacts[name]))]
        if reasons or way.runner is None:
            yield Skipped(way.what, "; ".join(dict.fromkeys(reasons)))
            continue
        yield Way(
            key=way.what,
            artifact=row.key,
            runner=way.runner,
            unit=way.unit,
            backend=way.backend,
            parts={name: _part(name, file, artifacts[name]) for name, file in files.items()},
            limits={report.output: report.tolerance for report in row.parity},
        )


def _other_ends(system: System, name: str, artifact: Artifact) -> str | None:
    """The reason that the page cannot pass the program's tensors to a file: another dtype, range or color order."""
    contract = system.parts[name].manifest.pixel_contract
    network = {spec.name: spec for spec in (*contract.inputs, *contract.outputs)}
    for spec in (*artifact.inputs, *artifact.outputs):
        if spec.dtype not in _DTYPES:
            return f"its {spec.name!r} is {spec.dtype}"
        if spec.is_picture and _meaning(spec) != _meaning(network[spec.name]):
            return f"its {spec.name!r} is a picture with another range or color order than the network's"
    return None


def _meaning(spec: TensorSpec) -> tuple[object, ...]:
    return spec.color, spec.value_range


def _part(name: str, file: ArtifactRecord, artifact: Artifact) -> PartFile:
    return PartFile(url=_url(name, file), inputs=artifact.inputs, outputs=artifact.outputs)


def _url(name: str, file: ArtifactRecord) -> str:
    return f"files/parts/{name}/{file.path}"

"""Which file to take: one for each place where the bundle's files run, by what passed and was measured in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.reports.content import Pick
from clearport.reports.figures import in_decibels
from clearport.reports.text import count, kilobytes, number
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.parity import NETWORKS

if TYPE_CHECKING:
    from clearport.bundle.bench_record import BenchRow
    from clearport.bundle.manifest import ArtifactRecord, Manifest

_WHY = {
    "tflite/int8": "Phones' CPUs are fastest in int8, and NPUs take it whole.",
    "tflite/fp16": "Half the size of fp32; GPUs of phones compute in float16.",
    "tflite/fp32": "Exact, and the largest.",
    "coreml/fp16": "The Neural Engine computes in float16.",
    "coreml/int8-weights": "Small, and the Neural Engine takes it: it computes in float16.",
    "coreml/int8": "Follows the scale table exactly, in float32, which Core ML runs on CPU and GPU alone.",
    "coreml/fp32": "Exact; Core ML runs it on CPU and GPU, never on the Neural Engine.",
    "ncnn/fp16": "ncnn runs it on any GPU with Vulkan, and on CPUs without further libraries; half the size of fp32.",
    "ncnn/fp32": "ncnn runs it on any GPU with Vulkan, and on CPUs without further libraries.",
}
_BETTER = {
    "tflite/int8": "on CPUs and NPUs",
    "tflite/fp16": "on a GPU, or where int8 costs too much quality",
    "tflite/fp32": "where every level counts",
    "coreml/fp16": "where quality counts more than size",
    "coreml/int8-weights": "for a smaller app",
    "coreml/int8": "to follow int8 elsewhere exactly",
    "coreml/fp32": "where every level counts",
    "ncnn/fp32": "where every level counts",
    "ncnn/fp16": "for a smaller file",
    "onnxruntime/int8": "where ONNX Runtime is there already",
    "openvino/int8": "on Intel's processors",
}


@dataclass(frozen=True)
class _Place:
    """Where files run: which targets, in the order of preference, and how they are told apart by measurement.

    ``wanted`` are keys of artifacts, the best first. ``family`` is that of the devices whose figures decide; ``here``:
    this machine's own figures do, too.
    """

    title: str
    wanted: tuple[str, ...]
    family: str
    here: bool = False


_CPU = ("openvino/int8", "onnxruntime/int8", "openvino/fp16", "openvino/fp32", "onnxruntime/fp32")
_PLACES = (
    _Place("Android", ("tflite/int8", "tflite/fp16", "tflite/fp32"), "adb"),
    _Place(
        "iPhone, iPad, Mac",
        tuple(f"coreml/{p}/{v}" for v in ("image", "tensor") for p in ("fp16", "int8-weights"))
        + tuple(f"coreml/{p}/{v}" for v in ("image", "tensor") for p in ("int8", "fp32")),
        "",
    ),
    _Place("Linux and Windows, CPU", _CPU, "ssh", here=True),
    _Place("Vulkan GPUs and small boards", ("ncnn/fp16", "ncnn/fp32"), ""),
)


def picks(manifest: Manifest) -> tuple[Pick, ...]:
    """One recommendation for each place that the bundle has files for."""
    found = ((place, [a for key in place.wanted for a in manifest.artifacts if a.key == key]) for place in _PLACES)
    return tuple(_pick(manifest, place, files) for place, files in found if files)


def chosen(manifest: Manifest) -> dict[str, str]:
    """Key of a recommended artifact -> the places that it is for."""
    places: dict[str, list[str]] = {}
    for pick in picks(manifest):
        if pick.artifact:
            places.setdefault(pick.artifact, []).append(pick.place)
    return {key: "; ".join(names) for key, names in places.items()}


def _pick(manifest: Manifest, place: _Place, files: Sequence[ArtifactRecord]) -> Pick:
    sound = [a for a in files if _sound(manifest, a)]
    if not sound:
        why = "; ".join(f"{a.key} {'failed a check' if a.parities else 'was not checked'}" for a in files)
        return Pick(place.title, "", "", (), f"None can be recommended: {why}.")
    ranked, how = _ranked(manifest, place, sound)
    best = ranked[0]
    words = " ".join(filter(None, (how, _WHY.get(f"{best.target}/{best.precision}", ""), _ends(best))))
    return Pick(place.title, best.key, best.path, _figures(manifest, place, best), words, _instead(ranked))


def _sound(manifest: Manifest, artifact: ArtifactRecord) -> bool:
    """Whether everything that was checked of it held, and something was."""
    gates = all(q.passed is not False for q in manifest.quality if q.subject == artifact.key)
    rows = [row.golden for row in manifest.device_rows if row.artifact == artifact.key]
    goldens = all(isinstance(golden, Skipped) or golden.passed for golden in rows)
    return bool(artifact.parities) and all(p.passed for p in artifact.parities) and gates and goldens


def _ranked(manifest: Manifest, place: _Place, sound: Sequence[ArtifactRecord]) -> tuple[list[ArtifactRecord], str]:
    """The best first, and what decided: a device of that kind, this machine, or else the order of preference."""
    on_device = {a.key: row for a in sound if (row := _best_row(manifest, place, a)) is not None}
    if on_device:
        order = _fastest_first(sound, {key: _median(row) for key, row in on_device.items()})
        device = on_device[order[0].key].device
        return order, f"The fastest of {_files(len(on_device))} measured on {device}."
    here = {a.key: _cost(a) for a in sound if isinstance(a.latency, LatencyReport)}
    if place.here and len(here) > 1:
        return _fastest_first(sound, here), f"The fastest of {_files(len(here))} for CPUs that were measured here."
    return list(sound), ""


def _files(n: int) -> str:
    return f"{count(n)} files" if n > 1 else "the files"


def _fastest_first(sound: Sequence[ArtifactRecord], ms: dict[str, float]) -> list[ArtifactRecord]:
    return sorted(sound, key=lambda a: ms.get(a.key, float("inf")))


def _best_row(manifest: Manifest, place: _Place, artifact: ArtifactRecord) -> BenchRow | None:
    """The fastest row of an artifact on a device of the place's family."""
    rows = [
        row
        for row in manifest.device_rows
        if place.family and row.device.split(":")[0] == place.family and row.artifact == artifact.key
    ]
    return min((row for row in rows if isinstance(row.cell, LatencyReport)), key=_median, default=None)


def _median(row: BenchRow) -> float:
    assert isinstance(row.cell, LatencyReport)
    return row.cell.median_ms


def _cost(artifact: ArtifactRecord) -> float:
    """CPU time where it is known, which a busy machine lengthens less than the wall clock."""
    assert isinstance(artifact.latency, LatencyReport)
    return artifact.latency.cpu_median_ms or artifact.latency.median_ms


def _figures(manifest: Manifest, place: _Place, artifact: ArtifactRecord) -> tuple[tuple[str, str], ...]:
    found = [("Size", f"{kilobytes(artifact.bytes)} kB"), (f"PSNR to {manifest.model.itself}", _to_pytorch(artifact))]
    row = _best_row(manifest, place, artifact)
    if row is not None and isinstance(row.cell, LatencyReport):
        found.append((f"On {row.device}", f"{number(row.cell.median_ms)} ms on the {row.cell.unit_ran}"))
    elif isinstance(artifact.latency, LatencyReport):
        ratio = artifact.latency.ratio
        share = f", {ratio.value:.2f} of {manifest.model.itself}'s time" if ratio is not None else ""
        found.append((f"Time here, {manifest.host.machine} CPU", f"{number(artifact.latency.median_ms)} ms{share}"))
    return (*found, *_quality(manifest, artifact))


def _to_pytorch(artifact: ArtifactRecord) -> str:
    reports = [p for p in artifact.parities if p.reference.startswith(NETWORKS)]
    if not reports:
        return "not measured"
    return in_decibels(reports[0])


def _quality(manifest: Manifest, artifact: ArtifactRecord) -> list[tuple[str, str]]:
    """What it loses against ground truth, once for each data set."""
    found = {
        q.data: (f"Change on {q.data}", f"{q.change:+.3f} {q.unit}".replace("-", "−").rstrip())
        for q in reversed(manifest.quality)
        if q.subject == artifact.key and q.change is not None
    }
    return list(reversed(found.values()))


def _ends(artifact: ArtifactRecord) -> str:
    return "Its ends are pictures: a CVPixelBuffer goes in as it is." if artifact.variant == "image" else ""


def _instead(ranked: Sequence[ArtifactRecord]) -> str:
    """The best one of another precision or target, and what for."""
    kind: Callable[[ArtifactRecord], str] = lambda a: f"{a.target}/{a.precision}"  # noqa: E731  used twice
    other = next((a for a in ranked if kind(a) != kind(ranked[0]) and kind(a) in _BETTER), None)
    return "" if other is None else f"{other.key} {_BETTER[kind(other)]}."

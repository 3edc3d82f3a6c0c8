"""Output of ``clearport inspect``, ``compare`` and ``kit``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from clearport.cli.show import number, print_json, print_parts, table

if TYPE_CHECKING:
    from clearport.base import TensorSpec
    from clearport.pipeline.formats.compared import Compared, OfFile
    from clearport.pipeline.formats.described import Described
    from clearport.pipeline.kit import KitMade

_MOST_LAYERS = 20


def show_described(found: Described, *, as_json: bool) -> None:
    """A file's inputs and outputs, operators, constants and work."""
    if as_json:
        print_json(_plain(found))
        return
    macs = "not stated in the file" if found.macs is None else f"{found.macs:,}"
    weights = ", ".join(f"{kind} {size / 1000:.1f} kB" for kind, size in sorted(found.weights.items()) if size)
    operators = ", ".join(f"{count} {name}" for name, count in sorted(found.operators.items(), key=_often))
    facts = [
        *(("input", _words(spec)) for spec in found.inputs),
        *(("output", _words(spec)) for spec in found.outputs),
        ("size", f"{found.bytes / 1000:.1f} kB"),
        ("constants", weights or "none"),
        ("multiply-accumulates", macs),
        ("operators", operators),
        *(("", remark) for remark in found.remarks),
    ]
    print_parts(table(f"{found.path} ({found.target})", ("", ""), facts))


def _often(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _words(spec: TensorSpec) -> str:
    shape = " x ".join(map(str, spec.shape)) or "of unknown shape"
    quant = "" if spec.scale is None else f", scale {spec.scale:.6g}, zero point {spec.zero_point}"
    return f"{spec.name}: {spec.dtype} {shape}{quant}"


def _plain(found: Described) -> dict[str, Any]:
    ends = {
        word: [
            {"name": s.name, "shape": list(s.shape), "dtype": s.dtype, "scale": s.scale, "zero_point": s.zero_point}
            for s in specs
        ]
        for word, specs in (("inputs", found.inputs), ("outputs", found.outputs))
    }
    return {
        "schema_version": 1,
        "path": str(found.path),
        "target": found.target,
        "bytes": found.bytes,
        **ends,
        "operators": dict(found.operators),
        "weights_bytes": dict(found.weights),
        "macs": found.macs,
        "remarks": list(found.remarks),
    }


def show_compared(found: Compared, *, as_json: bool) -> None:
    """Both files, their differences on each picture, and their latency."""
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    columns = ("", "file", "by", "kB", "operators", "ms")
    print_parts(table("", columns, [_file("A", found.a), _file("B", found.b)], columns[3:]))
    rows = [
        (p.picture, _decibels(p.psnr_db), p.max_levels, f"{p.mean_levels:.4f}", f"{p.equal_share:.2%}")
        for p in found.pictures
    ]
    print_parts(table("", ("picture", "dB", "max", "mean", "equal"), rows, ("dB", "max", "mean", "equal")))
    if found.layers:
        shown = found.layers[:_MOST_LAYERS]
        times = [(layer.name, number(layer.a_ms, 3), number(layer.b_ms, 3)) for layer in shown]
        print_parts(table("", ("layer", "A ms", "B ms"), times, ("A ms", "B ms")))
    for file, name in ((found.a, "A"), (found.b, "B")):
        if file.why_untimed:
            print_parts(Text(f"{name} was not timed: {file.why_untimed}", "dim"))
    said = f"B to A at {found.size}: {_decibels(found.psnr_db)} dB"
    if found.ratio is not None:
        value, low, high = found.ratio
        said += f", {value:.2f} of its time (95 %: {low:.2f} to {high:.2f})"
    print_parts(Text(said, "bold"))


def _decibels(value: float | None) -> str:
    return "equal" if value is None else f"{value:.2f}"


def _file(name: str, file: OfFile) -> tuple[Any, ...]:
    return name, file.word, file.runner, f"{file.bytes / 1000:.1f}", file.operators, number(file.median_ms)


def show_kit(made: KitMade, *, as_json: bool) -> None:
    """A kit's files, and the command of its self-test."""
    if as_json:
        print_json(asdict(made))
        return
    print_parts(f"{made.folder}  for {made.artifact}: {', '.join(made.files)}")
    if made.without_tiles:
        print_parts(Text(f"no golden test of several tiles: {made.without_tiles}", "yellow"))
    print_parts(Text(f"in that folder: {made.command}", "dim"))

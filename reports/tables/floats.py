"""Float layers of int8 files, and float32 layers of fp16 files, with reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.reports.cells import headed
from clearport.reports.content import Cell, Section, Table
from clearport.reports.text import percent
from clearport.words import counted

if TYPE_CHECKING:
    from clearport.bundle.manifest import Manifest, QuantizationRecord

_WIDER = ("neural-engine", "float16-arithmetic")
"""Rules of findings (``pipeline/lint/artifact.py``) on the type in which a file computes."""

_BY_CHOICE = "by choice: int8 would lose too much quality here for the time that it saves"
_NO_FORM = "has no int8 form, or its inputs are float already"


def floats(manifest: Manifest) -> Section:
    """The chapter on layers that compute in another type than the file's precision."""
    q = manifest.quantization
    tables = tuple(table for table in (_layers(q), _wider(manifest)) if table is not None)
    return Section("floats", "What is float, and why", _intro(q), tables=tables)


def _intro(q: QuantizationRecord | None) -> str:
    if q is None:
        return "Nothing in this bundle is quantized to int8 by a scale table."
    names = float_layers(q)
    if not names:
        said = "No layer of the int8 files is float: weights and activations are int8 from the input to the output."
    else:
        share = "" if q.float_share is None else f", with {percent(q.float_share)} % of the multiply-accumulates"
        said = f"{counted(len(names), 'layer')} of the int8 files {'is' if len(names) == 1 else 'are'} float{share}."
    if q.simulated_loss_db is not None:
        said += (
            " From its simulated error on the calibration photos, int8 is estimated to lose "
            f"{q.simulated_loss_db:.3f} dB against ground truth."
        )
    return said


def float_layers(q: QuantizationRecord | None) -> dict[str, str]:
    """The layers that are float in int8 files: name -> operator (empty: not recorded)."""
    return {} if q is None else {name: q.islands.get(name, "") for name in (*q.float_layers, *q.islands)}


def _layers(q: QuantizationRecord | None) -> Table | None:
    if q is None or not float_layers(q):
        return None
    rows = tuple(
        (
            Cell(name, code=True),
            Cell(operator or "–", code=bool(operator)),
            Cell(_BY_CHOICE if name in q.float_layers else f"{operator} {_NO_FORM}"),
        )
        for name, operator in float_layers(q).items()
    )
    note = (
        "The same layers are float in the int8 files of every target. An accelerator that computes in integers leaves "
        "them to a CPU. “clearport export --prefer speed” keeps only layers without an int8 form in float, “--prefer "
        "quality” more layers."
    )
    return Table(headed("Layer | Operator | Why it is float"), rows, "Float layers of the int8 files", note)


def _wider(manifest: Manifest) -> Table | None:
    """Findings on the type that files compute in, each once."""
    found: dict[tuple[str, str], list[str]] = {}
    for artifact in manifest.artifacts:
        for finding in artifact.lint:
            if finding.rule in _WIDER:
                found.setdefault((finding.message, finding.level), []).append(artifact.key)
    rows = tuple(
        (Cell(", ".join(keys), code=True), Cell(message, "bad" if level == "warning" else ""))
        for (message, level), keys in found.items()
    )
    return Table(headed("Files | Compute type"), rows, "Files that compute in another type") if rows else None

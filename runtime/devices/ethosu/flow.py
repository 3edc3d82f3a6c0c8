"""Compiles every form of a file for a chip and keeps the fastest that fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.errors import BadInput, RuntimeFailure
from clearport.runtime.devices.ethosu import rewrite as vela_rewrite
from clearport.runtime.devices.ethosu.compile import Compiled, compile_file
from clearport.runtime.devices.ethosu.graph import FlatGraph
from clearport.runtime.devices.ethosu.report import estimate

if TYPE_CHECKING:
    from clearport.runtime.devices.device import EstimateReport
    from clearport.runtime.devices.ethosu.chips import Chip


@dataclass(frozen=True)
class Choice:
    """A form of a file, compiled.

    Attributes:
        form: how the file was rewritten before compilation.
        given: the rewritten file.
        compiled: Vela's outputs.
        report: Vela's estimate.
        tried: form -> estimate in ms, or the reason that it could not be compiled.
    """

    form: vela_rewrite.Form
    given: Path
    compiled: Compiled
    report: EstimateReport
    tried: dict[str, float | str] = field(default_factory=dict)


def compile_best(path: Path, chip: Chip, folder: Path, timeout_s: float) -> Choice:
    """Compile a file of static shape, in the form with Vela's lowest estimate for ``chip``; ``folder`` keeps all files.

    Raises:
        BadInput: its shape is dynamic, or it is not a TFLite file.
        NotInstalled: Vela is missing.
        RuntimeFailure: Vela could not compile any form of it.
    """
    graph = FlatGraph(path)
    if graph.free:
        raise BadInput(f"{path}: Vela needs a fixed size: export with --size HEIGHTxWIDTH")
    made, failures = [], {}
    for number, form in enumerate(vela_rewrite.forms(graph)):
        place = folder / f"form{number}"
        try:
            made.append(_compile_form(path, form, chip, place, timeout_s))
        except RuntimeFailure as error:
            failures[form] = error
    if not made:
        raise next(iter(failures.values()))
    best = min(made, key=lambda choice: (not _fits(choice.compiled, chip), choice.report.estimated_ms))
    tried: dict[str, float | str] = {choice.form: round(choice.report.estimated_ms, 3) for choice in made}
    best.tried.update(tried | {form: str(error) for form, error in failures.items()})
    return best


def _compile_form(path: Path, form: vela_rewrite.Form, chip: Chip, folder: Path, timeout_s: float) -> Choice:
    graph = FlatGraph(path)
    vela_rewrite.rewrite(graph, form)
    folder.mkdir(parents=True)
    given = folder / path.name
    given.write_bytes(graph.to_bytes())
    compiled = compile_file(given, chip, folder / "fast", timeout_s)
    if not _fits(compiled, chip):
        # Vela uses all allowed memory; with a lower limit it may need less, and be slower.
        smaller = compile_file(given, chip, folder / "small", timeout_s, chip.sram_bytes)
        compiled = smaller if _fits(smaller, chip) else compiled
    return Choice(form, given, compiled, estimate(graph, compiled, chip, {"form": form}))


def _fits(compiled: Compiled, chip: Chip) -> bool:
    return chip.sram_bytes is None or compiled.sram_bytes <= chip.sram_bytes

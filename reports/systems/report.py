"""The report of a system: description, proof of the whole, program as text, and parts."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from clearport.disk.files import write_text
from clearport.programs.program import Repeat, Run
from clearport.reports import templates
from clearport.reports.figures import figures
from clearport.reports.html import hash_of
from clearport.reports.markdown import escape
from clearport.reports.systems import code
from clearport.reports.text import count, large
from clearport.words import task_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from clearport.bundle.system import System
    from clearport.programs.program import Step

_MODES = (1, 3, 4)
_MOST_PIXELS = 1 << 22
"""Maximum pixels of a shown golden picture; larger ones would make the page too large."""
COLUMNS = ("files of", "output", "proof", "against the reference in PyTorch", "allowed")


def write_reports(system: System) -> tuple[Path, Path]:
    """Write ``report.md`` and ``report.html`` of a system; returns both paths.

    Raises:
        BadInput: the folder cannot be written.
    """
    as_markdown, as_html = system.folder / "report.md", system.folder / "report.html"
    write_text(as_markdown, "\n".join(_markdown(system)) + "\n")
    style = templates.asset("page.css")
    page = (
        templates.environment()
        .get_template("system.html.j2")
        .render(
            record=system.record,
            title=task_title(system.record.task),
            verdict=verdict(system),
            passed=system.passed,
            columns=COLUMNS,
            rows=rows(system),
            parts=parts(system),
            pictures=pictures(system),
            quote=quote,
            program=list(told(system.record.program.steps)),
            code=code.python(system),
            style=Markup(style),  # noqa: S704 - the package's own file
            style_hash=hash_of(style),
        )
    )
    write_text(as_html, page)
    return as_markdown, as_html


def verdict(system: System) -> str:
    """One sentence on all checks."""
    reports = [report for row in system.record.rows for report in row.parity]
    failed = sum(not report.passed for report in reports)
    own = sum(not part.passed for part in system.parts.values())
    if not reports:
        return "The whole was not proven for any target and precision."
    if failed or own:
        return f"{failed} of {len(reports)} checks of the whole failed, and checks of {own} parts."
    return f"All {len(reports)} checks of the whole passed, and those of every part."


def rows(system: System) -> list[tuple[str, ...]]:
    """A line per output and row; refused rows have the reason instead of figures."""
    found: list[tuple[str, ...]] = [
        (
            row.key,
            report.output,
            "passed" if report.passed else "FAILED: " + "; ".join(report.failures),
            figures(report),
            str(report.tolerance),
        )
        for row in system.record.rows
        for report in row.parity
    ]
    return found + [(skipped.what, "", "left out", skipped.reason, "") for skipped in system.record.skipped]


def parts(system: System) -> list[tuple[str, ...]]:
    """Each part: its folder, network, cost, and checks."""
    found: list[tuple[str, ...]] = []
    for name, part in system.parts.items():
        model = part.manifest.model
        macs = f"{count(model.params)} parameters, {large(model.macs)} at {model.macs_size}"
        words = "every check passed" if part.passed else "checks failed"
        found.append((name, system.record.parts[name].folder, model.name, macs, words))
    return found


def pictures(system: System) -> list[tuple[str, str, int, int]]:
    """Name, ``data:`` URL, width and height of the golden pictures; empty if their file cannot be read."""
    from PIL import Image
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = system.folder / system.record.golden
    try:
        golden = load_file(path) if path.is_file() else {}  # reading a pipe would block
    except (OSError, SafetensorError, ValueError, KeyError, AttributeError):  # the last: dtypes that NumPy lacks
        return []
    ends = [(f"input.{each.name}", each) for each in system.record.program.inputs if each.kind == "picture"]
    ends += [(f"output.{each.name}", each) for each in system.record.program.outputs if each.kind == "picture"]  # type: ignore[misc]  # both have a range
    found = []
    for key, each in ends:
        value = golden.get(key)
        if value is None or value.ndim != 4 or value.shape[1] not in _MODES or not 0 < value[0, 0].size <= _MOST_PIXELS:
            continue
        unit = np.nan_to_num((value[0].transpose(1, 2, 0) - each.low) * (255.0 / (each.high - each.low)))
        levels = np.clip(np.rint(unit), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(levels.squeeze(2) if levels.shape[2] == 1 else levels).save(buffer, format="PNG")
        address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        found.append((key.replace(".", ": "), address, levels.shape[1], levels.shape[0]))
    return found


def told(steps: Sequence[Step], depth: int = 0) -> Iterator[str]:
    """A program as text, one line per step."""
    for step in steps:
        indent = "    " * depth
        if isinstance(step, Repeat):
            rows_of = "".join(f", {name} = row of {source}" for name, source in step.each.items())
            yield f"{indent}repeat {step.count} times (state: {', '.join(step.state) or 'none'}{rows_of}):"
            yield from told(step.steps, depth + 1)
        elif isinstance(step, Run):
            given = ", ".join(f"{name} = {value}" for name, value in step.inputs.items())
            yield f"{indent}{', '.join(step.outputs.values())} = part {step.part} ({given})"
        else:
            fields = step.model_dump(exclude={"do", "out"}, exclude_none=True)
            if step.do == "combine":
                fields["terms"] = " + ".join(f"{term.times} · {term.value}" for term in step.terms)
            given = ", ".join(f"{name} = {value}" for name, value in fields.items())
            yield f"{indent}{step.out} = {step.do} ({given})"


def _markdown(system: System) -> Iterator[str]:
    record = system.record
    yield from (f"# {escape(record.name)}", "", f"{task_title(record.task)}. {escape(record.about)}", "")
    yield from (f"**{escape(verdict(system))}**", "")
    if record.notice:
        yield from (f"> {escape(record.notice)}", "")
    yield from ("## The whole", "", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|")
    yield from ("| " + " | ".join(map(escape, row)) + " |" for row in rows(system))
    yield from ("", "## Its parts", "", "| part | folder | network | cost | |", "|---|---|---|---|---|")
    yield from ("| " + " | ".join(map(escape, row)) + " |" for row in parts(system))
    yield from ("", "## Its program", "", "```text")
    # names of tensors may have line breaks
    yield from (" ".join(line.splitlines()) for line in told(record.program.steps))
    yield "```"
    if python := code.python(system):
        yield from ("", "## Code", "", "```python", python.rstrip(), "```")

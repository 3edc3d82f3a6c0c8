"""Figures of ``clearport eval`` on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from clearport.cli.show import FAILED, PASSED, number, print_json, print_parts, table
from clearport.words import counted

if TYPE_CHECKING:
    from clearport.pipeline.evaluation.measured import MeasuredOutcome, MeasuredRow
    from clearport.pipeline.evaluation.rows import EvalOutcome, EvalRow
    from clearport.runtime.figures import Figure, Metric


_STATES = {"passed": PASSED, "failed": FAILED, "cannot tell": Text("cannot tell", "bold yellow"), None: Text("–")}


def show_quality(outcome: EvalOutcome | MeasuredOutcome, *, as_json: bool) -> None:
    """Quality of every artifact against ground truth."""
    from clearport.pipeline.evaluation.rows import EvalOutcome

    if as_json:
        print_json(outcome.to_dict())
        return
    if isinstance(outcome, EvalOutcome):
        _show_pairs(outcome)
    else:
        _show_measured(outcome)
    for skipped in outcome.skipped:
        print_parts(Text("skipped ", "yellow") + Text(f"{skipped.what}: {skipped.reason}", "dim"))
    for check in outcome.checks:
        if check.passed is False:
            print_parts(Text(f"{check.group}: {check.message}", "red"))
    print_parts(_gate(outcome))


def _show_pairs(outcome: EvalOutcome) -> None:
    columns = ("artifact", "RGB dB", "change", "interval", "worst", "tile", "Y dB", "change", "SSIM", "gate")
    rows = [_quality_row(row) for row in outcome.rows]
    print_parts(table(f"{outcome.data}, {counted(outcome.images, 'pair')}", columns, rows, columns[1:9]))
    print_parts(Text(_intervals(outcome), "dim"))
    print_parts(Text(outcome.protocol, "dim"))
    print_parts(Text(outcome.found, "dim"))
    if outcome.unusable:
        print_parts(Text(outcome.unusable, "yellow"))
    from clearport.pipeline.evaluation.rows import UNCUT

    if any(row.subject == UNCUT for row in outcome.rows):
        print_parts(Text(f"pytorch runs on the same tiles as the files, {UNCUT!r} whole pictures", "dim"))


def _show_measured(outcome: MeasuredOutcome) -> None:
    first, *others = (f"{m.name}{', ' * bool(m.unit)}{m.unit}" for m in outcome.metrics)
    columns = ["artifact", first, "interval", "change", "its interval", *others]
    rows = [_measured_row(row, outcome.metrics) for row in outcome.rows]
    title = f"{outcome.data}, {counted(outcome.images, 'example')}"
    print_parts(table(title, (*columns, "gate"), rows, columns[1:]))
    print_parts(Text("change, and in parentheses: to PyTorch fp32, paired by example", "dim"))
    print_parts(Text(outcome.protocol, "dim"))
    print_parts(Text(outcome.found, "dim"))


def _measured_row(row: MeasuredRow, metrics: tuple[Metric, ...]) -> tuple[Any, ...]:
    first, *others = zip(row.figures, metrics, strict=True)
    cells = [_with_change(found, metric.digits) for found, metric in others]
    return row.subject, *_cells(first[0], first[1].digits), *cells, _STATES[row.verdict]


def _with_change(found: Figure, digits: int) -> str:
    """A figure, and its change in parentheses."""
    value = number(found.value, digits)
    return value if found.change is None else f"{value} ({found.change:+.{digits}f})"


def _cells(found: Figure, digits: int) -> tuple[str, ...]:
    spans = [
        "–" if span is None else f"{span.low:.{digits}f}..{span.high:.{digits}f}"
        for span in (found.span, found.change_span)
    ]
    return number(found.value, digits), spans[0], number(found.change, digits), spans[1]


def _quality_row(row: EvalRow) -> tuple[Any, ...]:
    (rgb, change, *others), drop = [number(value, digits) for value, digits in row.figures()], row.drop
    spread = "–" if drop is None or drop.interval is None else f"{-drop.interval.high:z.3f}..{-drop.interval.low:z.3f}"
    extremes = (None, None) if drop is None else (-drop.worst_rgb_db, -drop.worst_tile.drop_db)
    return row.subject, rgb, change, spread, *(number(value, 2) for value in extremes), *others, _STATES[row.verdict]


def _intervals(outcome: EvalOutcome) -> str:
    """The legend of the change columns."""
    found = next((row.drop.interval for row in outcome.rows if row.drop and row.drop.interval), None)
    said = "change: to PyTorch fp32, paired by picture; worst: of any picture; tile: of any 64x64 pixels, dB RGB"
    return said + (f"; interval: {100 * found.confidence:.4g} % of the mean, {found.method}" if found else "")


def _gate(outcome: EvalOutcome | MeasuredOutcome) -> Text:
    """The verdict of the gate, with the artifacts that it does not cover."""
    failed = sum(check.passed is False for check in outcome.checks)
    held = sum(check.passed is True for check in outcome.checks)
    left_out = ", ".join(skipped.what for skipped in outcome.skipped)
    covers = f"; it does not cover {left_out} (--require TARGET/PRECISION makes that a failure)" if left_out else ""
    if failed:
        return Text(f"{failed} of {failed + held} checks failed", "bold red") + Text(covers, "not bold yellow")
    if not held:
        return Text(f"no gate was given{covers}", "dim")
    return Text(f"{counted(held, 'check')} held", "bold green") + Text(covers, "not bold yellow")

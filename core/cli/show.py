"""Output of commands: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from clearport.base import Skipped, Task
from clearport.cli.show_steps import steps_told
from clearport.pipeline.lint.artifact import RULE, TILES
from clearport.reports.figures import distance
from clearport.runtime.parity import NETWORKS
from clearport.words import counted, task_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord, LintFinding
    from clearport.pipeline.list import Inventory, NetworkRow, PartRow, SystemRow
    from clearport.pipeline.run import Restored
    from clearport.reports.junit import Check
    from clearport.runtime.latency.record import LatencyReport
    from clearport.runtime.parity import ParityReport

PASSED, FAILED, SKIPPED = Text("passed", "green"), Text("FAILED", "bold red"), Text("skipped", "yellow")


_WIDTH_OF_FILES = 140
_LEGEND = """dB, max, mean (levels of 255), equal: to what proves a file: {network} for float, the QDQ model for int8
wall ms, CPU ms: medians on this machine's CPU, measured briefly; CPU time sums all threads and varies less
of {short}: its share of the wall time of {network}, paired and interleaved"""


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_FILES)


def print_parts(*parts: Any) -> None:
    """Print with colors on a terminal, and at a fixed width into files."""
    console = _console()
    console.print(*parts, soft_wrap=not any(isinstance(part, Table) for part in parts))


def print_json(value: Any) -> None:
    """Print one JSON document in ASCII to standard output."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    print_parts(Text(json.dumps(value, indent=2, ensure_ascii=plain, allow_nan=False, default=str)))


def table(title: str, columns: Iterable[str], rows: Iterable[Sequence[Any]], numbers: Sequence[str] = ()) -> Table:
    """A table of strings or Text; the columns in ``numbers`` align right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="dim", pad_edge=False, box=None)
    for column in columns:
        justify: JustifyMethod = "right" if column in numbers else "left"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=not made.columns)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[str], spare: Sequence[str]
) -> None:
    """Print a table without title; columns in ``spare`` are dropped if the terminal is too narrow."""
    widths = [max(len(text) for text in (name, *(str(row[i]) for row in rows))) for i, name in enumerate(columns)]
    narrow = sum(widths) + 2 * (len(widths) - 1) > _console().width
    kept = [i for i, name in enumerate(columns) if not narrow or name not in spare]
    shown = [columns[i] for i in kept]
    print_parts(table("", shown, [[row[i] for i in kept] for row in rows], [name for name in numbers if name in shown]))
    if len(kept) < len(columns):
        print_parts(Text(f"a wider terminal shows {', '.join(spare)}, too", "dim"))


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash if missing."""
    return "–" if value is None else f"{value:.{digits}f}"


def show_inventory(found: Inventory, *, as_json: bool) -> None:
    """Networks, systems, targets and runners."""
    if as_json:
        print_json(asdict(found))
        return
    there = {n.task for n in found.networks}
    for task in (each for each in get_args(Task) if each in there):
        rows = [(_name(n), _scales(n.scales), n.weights, n.paper) for n in found.networks if n.task == task]
        print_parts(table(task_title(task), ("network", "scales", "weights", "paper"), rows))
        print_parts()
    systems = [(row.name, row.task, parts_told(row), row.about) for row in found.systems]
    print_parts(table("Systems of several networks", ("name", "task", "parts", "what"), systems))
    print_parts()
    print_parts(Text("* recommended; published weights: 'clearport list NETWORK' says where they are", "dim"))
    for title, serves, parts in (("Targets", "precisions", found.targets), ("Runtimes", "runs", found.runners)):
        print_parts()
        print_parts(table(title, ("name", "what", serves, "installed"), map(_part, parts)))


def parts_told(found: SystemRow) -> str:
    """The parts of a system and their networks."""
    return ", ".join(f"{part}: {network}" for part, network in found.parts.items())


def show_network(found: NetworkRow, *, as_json: bool) -> None:
    """The details of one network."""
    if as_json:
        print_json(asdict(found))
        return
    facts = [
        ("task", f"{found.task}, {_scales(found.scales)}"),
        ("paper", found.paper),
        ("weights", found.weights),
        ("published", found.published),
        *(("knob", f"{name}: {about}") for name, about in found.knobs.items()),
        ("train", found.train),
        *((f"quality {scale}", _quality_of(card)) for scale, card in found.cards.items()),
        *((f"note {scale}", str(card.get("note", ""))) for scale, card in found.cards.items()),
    ]
    print_parts(table(_name(found), ("", ""), [(name, text) for name, text in facts if text]))


def _name(network: NetworkRow) -> str:
    return f"{network.name} *" if network.recommended else network.name


def _quality_of(card: dict[str, Any]) -> str:
    sets = card.get("quality", {}).items()
    return "; ".join(f"{name}: {', '.join(f'{k} {v}' for k, v in figures.items())}" for name, figures in sets)


def _scales(scales: tuple[int, ...]) -> str:
    return ", ".join(f"x{scale}" for scale in scales)


def _part(row: PartRow) -> tuple[Any, ...]:
    if row.obstacle:
        state = Text(row.obstacle, "yellow")
    else:
        state = Text(", ".join(f"{name} {version}" for name, version in row.versions.items()), "green")
    return row.name, row.title, ", ".join(row.serves), state


def show_bundle(bundle: Bundle, *, as_json: bool) -> None:
    """The result of an export: parity and latency of every artifact, skipped ones, and the verdict."""
    if as_json:
        print_json(bundle.manifest.model_dump(mode="json"))
        return
    model = bundle.manifest.model
    title = f"{model.name} x{model.scale} at {model.size}"
    rows = [(a.key, *_parity(a), *_latency(a.latency), f"{a.bytes / 1000:.0f}") for a in bundle.artifacts]
    print_parts(Text(title, "bold"))
    if model.card:
        print_parts(Text(f"weights: {model.card['source']}", "dim"))
    short = "file" if model.from_onnx else "PyTorch"
    proof = ("artifact", "proof", f"dB to {short}", "dB", "max", "mean", "equal")
    columns = (*proof, "wall ms", "CPU ms", f"of {short}", "kB")
    print_table(columns, rows, columns[2:], ("max", "mean", "equal"))
    print_parts(Text(_LEGEND.format(network=model.itself, short=short), "dim"))
    for line, style in steps_told(bundle.artifacts):
        print_parts(Text(line, style))
    for reason, names in _untimed(bundle.artifacts).items():
        print_parts(Text(f"not timed: {', '.join(names)}: {reason}", "dim"))
    found = _warnings(bundle.manifest.artifacts).items()
    for said in (*_assumed(model.card), *(f"{', '.join(keys)}: {finding.message}" for finding, keys in found)):
        print_parts(Text("warning ", "yellow") + Text(said))
    for skipped in bundle.manifest.skipped:
        print_parts(Text("skipped ", "yellow") + Text(f"{skipped.what}: {skipped.reason}", "dim"))
    for said in dict.fromkeys(f.message for a in bundle.artifacts for f in a.lint if f.rule == "tiles"):
        print_parts(Text(said, "yellow"))
    for failure in bundle.manifest.failures():
        print_parts(Text(failure, "red"))
    verdict = Text("every check passed", "bold green") if bundle.passed else Text("checks failed", "bold red")
    print_parts(verdict + Text(f": {bundle.folder}/report.html", "not bold"))


def _assumed(card: Mapping[str, Any] | None) -> list[str]:
    """What was assumed of a user's network, and how to declare it."""
    found = (card or {}).get("found", {}).items()
    assumed = [f"{what} is {why}" for what, why in found if why.startswith("assumed: ")]
    return [f"{said}; declare it with --contract, or a picture's with --range" for said in assumed]


def _warnings(artifacts: Sequence[ArtifactRecord]) -> dict[LintFinding, list[str]]:
    """Warnings before deployment -> their files; NNAPI support is in the report."""
    found: dict[LintFinding, list[str]] = {}
    for artifact in artifacts:
        for finding in artifact.lint:
            if finding.level == "warning" and finding.rule not in {RULE, TILES}:
                found.setdefault(finding, []).append(artifact.key)
    return found


def _untimed(artifacts: Sequence[ArtifactRecord]) -> dict[str, list[str]]:
    """Reason -> artifacts that were not timed for it: a target if that holds for all of its files, else its files."""
    found: dict[str, list[str]] = {}
    for artifact in artifacts:
        if isinstance(artifact.latency, Skipped):
            reason = artifact.latency.reason
            same = all(_reason(a) == reason for a in artifacts if a.target == artifact.target)
            names = found.setdefault(reason, [])
            names += [name for name in [artifact.target if same else artifact.key] if name not in names]
    return found


def _reason(artifact: ArtifactRecord) -> str | None:
    return artifact.latency.reason if isinstance(artifact.latency, Skipped) else None


def _parity(artifact: ArtifactRecord) -> tuple[Any, ...]:
    parity = artifact.parity
    if isinstance(parity, Skipped):
        return SKIPPED, *("–",) * 5
    share = "–" if parity.exact_share is None else f"{parity.exact_share:.2%}"
    verdict = PASSED if all(report.passed for report in artifact.parities) else FAILED
    to_pytorch = next((_psnr(p) for p in artifact.parities if p.reference.startswith(NETWORKS)), "–")
    if parity.basis == "values":
        return verdict, to_pytorch, _psnr(parity), *("–",) * 3
    return verdict, to_pytorch, _psnr(parity), number(parity.max_abs), number(parity.mean_lsb, 4), share


def _psnr(parity: ParityReport) -> str:
    if parity.same is not None and parity.psnr_db is not None:
        return distance(parity)
    if parity.basis == "values" and parity.psnr_db is not None:
        return f"{number(parity.sqnr_db)} SQNR"
    return "equal" if parity.passed and parity.psnr_db is None else number(parity.psnr_db)


def _latency(latency: LatencyReport | Skipped) -> tuple[str, str, str]:
    if isinstance(latency, Skipped):
        return "–", "–", ""
    share = "" if latency.ratio is None else number(latency.ratio.value)
    return number(latency.median_ms, 1), number(latency.cpu_median_ms, 1), share


def show_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    """Checks, and the number of failed ones."""
    if as_json:
        print_json({"passed": all(c.passed is not False for c in checks), "checks": [asdict(c) for c in checks]})
        return
    made = [(PASSED if c.passed else FAILED, c.group, c.name, c.message) for c in checks if c.passed is not None]
    print_parts(table("Checks", ("", "what", "check", "outcome"), made))
    by_reason: dict[str, list[str]] = {}
    for check in checks:
        if check.passed is None:
            by_reason.setdefault(f"{check.name}: {check.message}", []).append(check.group)
    for reason, groups in by_reason.items():
        print_parts(SKIPPED + Text(f" {reason} ({', '.join(groups)})", "not bold dim"))
    failed = sum(c.passed is False for c in checks)
    left_out = sum(c.passed is None for c in checks)
    held = Text(f"{counted(len(checks) - left_out, 'check')} held", "bold green")
    verdict = Text(f"{failed} of {len(checks)} checks failed", "bold red") if failed else held
    print_parts(verdict + Text(f", {left_out} could not be made here" if left_out else "", "not bold"))


def show_restored(restored: Restored, *, as_json: bool) -> None:
    """The path of the restored picture."""
    if as_json:
        print_json(asdict(restored))
        return
    tiles = f"{restored.tiles} tile{'' if restored.tiles == 1 else 's'}"
    size = f"{restored.width}x{restored.height}, " if restored.width else ""
    how = f"{size}{tiles}, {restored.seconds:.1f} s by {restored.artifact}"
    print_parts(f"{restored.output}  {how} ({restored.method})")
    for given in restored.outputs:
        print_parts(f"{given.path}  {given.name} ({given.kind}): {given.words}")
    if restored.remark:
        print_parts(Text(restored.remark, "yellow"))

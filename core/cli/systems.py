"""``export``, ``verify``, ``run``, ``bench``, ``eval``, ``report`` and ``list`` for systems of several parts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from clearport.cli.show import FAILED, PASSED, number, parts_told, print_json, print_parts, table

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.bundle.system import System
    from clearport.pipeline.list import SystemRow
    from clearport.pipeline.sources.request import ExportRequest
    from clearport.pipeline.systems.bench import Times
    from clearport.pipeline.systems.run import Ran, SystemRequest


def export(request: ExportRequest, *, as_json: bool, quiet: bool) -> bool:
    """Export a system and show it; returns whether every check passed."""
    from clearport.cli.progress import progress_bar
    from clearport.pipeline.systems.export import export_system

    with progress_bar(quiet=quiet) as progress:
        system = export_system(request, progress)
    _show(system, as_json=as_json)
    return system.passed


def run(request: SystemRequest, *, as_json: bool, quiet: bool) -> None:
    """Run a system and show the written files."""
    from clearport.cli.progress import progress_bar
    from clearport.pipeline.systems.run import run_system

    with progress_bar(quiet=quiet) as progress:
        ran = run_system(request, progress)
    _show_ran(ran, as_json=as_json)


def bench(
    folder: Path,
    *,
    targets: tuple[str, ...],
    precisions: tuple[str, ...],
    runs: int,
    threads: int,
    json_file: Path | None,
    quiet: bool,
) -> None:
    """Time a system and its parts, and show the results."""
    from clearport.cli.progress import progress_bar
    from clearport.pipeline.systems.bench import bench_system

    with progress_bar(quiet=quiet) as progress:
        times = bench_system(
            folder,
            targets=targets,
            precisions=precisions,
            runs=runs,
            threads=threads,
            json_file=json_file,
            progress=progress,
        )
    _show_times(times)


def evaluate(
    folder: Path, data: Path, targets: tuple[str, ...], precisions: tuple[str, ...], *, as_json: bool, quiet: bool
) -> None:
    """Evaluate a matting system, and show the figures."""
    from clearport.cli.progress import progress_bar
    from clearport.pipeline.systems.evaluate import evaluate_system

    with progress_bar(quiet=quiet) as progress:
        outcome = evaluate_system(folder, data, targets, precisions, progress)
    if as_json:
        print_json(asdict(outcome))
        return
    columns = ("files of", "SAD", "MSE", "SAD unrefined", "MSE unrefined")
    rows = [
        (row.subject, *(number(v) for v in (row.sad, row.mse, row.rough_sad, row.rough_mse))) for row in outcome.rows
    ]
    print_parts(table(f"{outcome.data}, {outcome.pictures} composites", columns, rows, columns[1:]))
    print_parts(Text(outcome.protocol, "dim"))


def show_system(found: SystemRow, *, as_json: bool) -> None:
    """A system of the registry."""
    if as_json:
        print_json(asdict(found))
        return
    facts = [("what", found.about), ("paper", found.paper), ("parts", parts_told(found)), ("notice", found.notice)]
    facts += [("export", f"clearport export {found.name} --out out/{found.name}")]
    print_parts(table(found.name, ("", ""), [(name, text) for name, text in facts if text]))


def _show(system: System, *, as_json: bool) -> None:
    from clearport.reports.figures import figures

    if as_json:
        print_json(system.record.model_dump(mode="json"))
        return
    print_parts(Text(f"{system.record.name} at {system.record.size}", "bold"))
    for name, part in system.parts.items():
        passed = sum(all(report.passed for report in a.parities) for a in part.artifacts)
        print_parts(
            f"part {name}: {passed} of {len(part.artifacts)} files passed every check  {part.folder}/report.html"
        )
    rows = [
        (row.key, PASSED if report.passed else FAILED, report.output, figures(report))
        for row in system.record.rows
        for report in row.parity
    ]
    print_parts(table("The whole against PyTorch", ("files of", "proof", "output", "difference"), rows))
    for skipped in system.record.skipped:
        print_parts(Text("left out ", "yellow") + Text(f"{skipped.what}: {skipped.reason}", "dim"))
    for failure in system.record.failures():
        print_parts(Text(failure, "red"))
    if system.record.notice:
        print_parts(Text(system.record.notice, "yellow"))
    verdict = Text("every check passed", "bold green") if system.passed else Text("checks failed", "bold red")
    print_parts(verdict + Text(f": {system.folder}/report.html", "not bold"))


def _show_ran(ran: Ran, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(ran))
        return
    for given in ran.outputs:
        print_parts(f"{given.path}  {given.name} ({given.kind}): {given.words}")
    told = ", ".join(f"{name} {calls} times, {seconds:.1f} s" for name, (calls, seconds) in ran.calls.items())
    print_parts(Text(f"{ran.seconds:.1f} s by {ran.artifact} ({ran.method}): {told}", "dim"))
    if ran.notice:
        print_parts(Text(ran.notice, "yellow"))


def _show_times(times: Times) -> None:
    rows = []
    for row in times.rows:
        rows.append((row.artifact, "whole", "1", number(row.median_ms, 1), row.method))
        rows += [("", f"part {name}", str(p.calls), number(p.median_ms, 1), "") for name, p in row.parts.items()]
    columns = ("files of", "what", "runs", "median ms of one", "")
    print_parts(table(f"{times.system}, {times.cpu}", columns, rows, columns[2:4]))
    words = "wall time on the CPU seen by the program, including the transfer of tensors to the runtime's process"
    print_parts(Text(words, "dim"))

"""Writing one artifact format at one precision, or a skipped row."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from clearport import problems
from clearport.base import Artifact, Skipped
from clearport.disk.files import files_below
from clearport.errors import BadInput, UnsupportedOperator
from clearport.export.written import target_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from clearport.base import Graph, Options
    from clearport.pipeline.plan import Cell
    from clearport.quantized import QuantizedGraph

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""Errors of the output location, which affect all targets."""


def lower(
    cell: Cell, graph: Graph, quantized: QuantizedGraph | None, options: Options, folder: Path
) -> list[Artifact | Skipped]:
    """Run a target, with output in its folder below ``folder``.

    An unsupported operator, or any unexpected exception, is a ``Skipped`` row; partial output is removed.

    Raises:
        BadInput: the folder cannot be written.
        OSError: likewise.
    """
    place = folder / cell.target.name
    place.mkdir(exist_ok=True)
    before = set(files_below(place))
    made = _guarded(cell, lambda: cell.target.lower(target_graph(graph, quantized, cell.precision), options, place))
    if not any(isinstance(each, Artifact) for each in made):
        remove_new(place, before)
    return made


def _guarded(cell: Cell, work: Callable[[], Sequence[Artifact | Skipped]]) -> list[Artifact | Skipped]:
    what = f"{cell.target.name}/{cell.precision}"
    try:
        return list(work())
    except UnsupportedOperator as error:
        return [Skipped(what, str(error))]
    except BadInput:
        raise
    except problems.UNEXPECTED as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        return [Skipped(what, problems.told(error, f"writing {what}"))]


def remove_new(place: Path, before: set[Path]) -> None:
    """Remove files that were not there before, and folders that become empty, including ``place``."""
    for path in set(files_below(place)) - before:
        path.unlink()
    for path in (*sorted(place.rglob("*"), reverse=True), place):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()

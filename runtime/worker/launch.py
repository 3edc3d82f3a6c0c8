"""How a worker is started: a Python of this machine, or a local command that forwards to another machine."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

from clearport.runtime.worker import boot as worker_boot

_PACKAGES = ("clearport", "clearport.models", "clearport.quantize", "clearport.export", "clearport.runtime")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@dataclass(frozen=True)
class Launch:
    """The command of a ``Worker``, and the paths of its files on its machine.

    The worker's messages are binary: on another machine, nothing in between may be a terminal or translate line
    endings; and the worker must end when ``argv`` is killed (``worker.guard`` ensures that).

    Attributes:
        argv: a local command whose stdin and stdout are the worker's, and whose stderr is the runtime's output. It
            ends with the worker's exit code, or with 128 plus the number of the signal that ended it.
        path: the artifact's path there.
        plugin: the path there of the worker's plugin, for a runner that is not part of clearport.
        mark: bytes that precede the worker's first byte on stdout and stderr; anything before comes from a login shell.
    """

    argv: tuple[str, ...]
    path: str
    plugin: str | None = None
    mark: bytes = b""


def here(python: str, path: Path, plugin: Path | None) -> Launch:
    """A worker on this machine. Its Python needs numpy and a runtime, but not clearport."""
    return Launch(python_here(python), str(path), str(plugin.absolute()) if plugin else None)


def python_here(python: str, *module: str) -> tuple[str, ...]:
    """The command that runs ``main`` of a module of clearport, by default the worker's."""
    return (python, "-P", str(Path(worker_boot.__file__)), json.dumps(package_folders()), *module)


def worker_environment(threads: int) -> dict[str, str]:
    """Environment variables of a worker's process, besides ``TMPDIR``."""
    return {"PYTHONHASHSEED": "0", **dict.fromkeys(_THREAD_VARIABLES, str(threads))}


def package_folders() -> dict[str, str]:
    """clearport's packages -> their folders."""
    specs = {name: importlib.util.find_spec(name) for name in _PACKAGES}
    return {n: s.submodule_search_locations[0] for n, s in specs.items() if s and s.submodule_search_locations}

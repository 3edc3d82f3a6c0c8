"""How a worker is started: a Python of this machine, or a local command that is its voice on another."""

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
    """What a ``Worker`` starts, and where its files lie for it.

    The worker's messages are bytes: where it runs elsewhere, nothing between the two ends may be a terminal, or
    translate the ends of lines; and it has to end when ``argv`` is killed (``worker.guard`` sees to that).

    Attributes:
        argv: a local command whose stdin and stdout are those of the worker there, and whose stderr is what the
            runtime prints. It ends with the worker's exit code, or with 128 plus the number of the signal
            that ended it.
        path: where the artifact lies there.
        plugin: where the worker's plugin lies there, for a runner that is not part of clearport.
        mark: what comes before the worker's first byte on stdout and stderr: what is read before it is a login shell's.
    """

    argv: tuple[str, ...]
    path: str
    plugin: str | None = None
    mark: bytes = b""


def here(python: str, path: Path, plugin: Path | None) -> Launch:
    """A worker on this machine. Its Python needs numpy and a runtime, not clearport."""
    return Launch(python_here(python), str(path), str(plugin.absolute()) if plugin else None)


def python_here(python: str, *module: str) -> tuple[str, ...]:
    """The command that runs ``main`` of a module of ours, that of workers unless another is named."""
    return (python, "-P", str(Path(worker_boot.__file__)), json.dumps(package_folders()), *module)


def worker_environment(threads: int) -> dict[str, str]:
    """Environment variables that a worker's process starts with, besides ``TMPDIR``."""
    return {"PYTHONHASHSEED": "0", **dict.fromkeys(_THREAD_VARIABLES, str(threads))}


def package_folders() -> dict[str, str]:
    """Each of our packages and its folder, wherever they are installed."""
    specs = {name: importlib.util.find_spec(name) for name in _PACKAGES}
    return {n: s.submodule_search_locations[0] for n, s in specs.items() if s and s.submodule_search_locations}

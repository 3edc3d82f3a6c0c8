"""Creates the Python environments of other runtime versions, one folder each.

    python -m clearport.runtime.older.setup                      # all of them
    python -m clearport.runtime.older.setup onnxruntime-1.17     # this one
    python -m clearport.runtime.older.setup --python python3.11 tflite-runtime-2.14     # with another Python

They are in ``CLEARPORT_RUNTIMES``, by default ``~/.local/share/clearport/runtimes``. Complete ones are kept.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clearport.disk.files import explain
from clearport.disk.outputs import OutFolder, claimed
from clearport.errors import BadInput
from clearport.runtime.older.table import READY, RUNTIMES, VARIABLE, OtherRuntime, home


def set_up(runtime: OtherRuntime, python: str) -> None:
    """Create a runtime's environment unless it is complete; an incomplete one of clearport's is replaced.

    Raises:
        BadInput: no such Python, or no package for it; the folder cannot be written, has files that clearport did not
            write, or another process writes there.
    """
    if runtime.ready:
        return
    place = home() / runtime.name
    with claimed(OutFolder(place, VARIABLE)):
        _make(runtime, place, python)


def _make(runtime: OtherRuntime, place: Path, python: str) -> None:
    if runtime.ready:  # another process created it meanwhile
        return
    _clear(place)
    mark = place / READY
    mark.touch()  # first, so that the leftovers of a killed run are known as clearport's
    try:
        _run([python, "-m", "venv", str(place)], runtime, python)
        _run([str(runtime.python), "-m", "pip", "install", "--quiet", *runtime.packages], runtime, python)
    except BaseException:
        _clear(place)
        raise
    mark.write_text("\n".join(runtime.packages) + "\n", encoding="utf-8")


def _clear(place: Path) -> None:
    """Empty an environment that this module created, its marker file last."""
    there = sorted(place.iterdir(), key=lambda path: path.name == READY)
    if there and not (place / READY).is_file():
        raise BadInput(f"{place}: exists and was not created by clearport; move it away")
    for path in there:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _run(line: Sequence[str], runtime: OtherRuntime, python: str) -> None:
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BadInput(f"--python {python}: cannot be started: {error.strerror or error}") from error
    if done.returncode:
        last = [text for text in done.stderr.splitlines() if text.startswith("ERROR")] or [
            "",
            *done.stderr.splitlines(),
        ]
        raise BadInput(
            f"{runtime.name}: {' '.join(line[1:3])} failed: {last[-1].strip()}; if there is no package for this "
            "Python, name an older one: --python python3.11"
        )


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 if all requested environments exist, 2 if one fails; the others are created nevertheless."""
    names = [runtime.name for runtime in RUNTIMES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--python", default=sys.executable, help="the Python interpreter for the environments")
    given = parser.parse_args(words)
    unknown = sorted({*given.names} - {*names})
    if unknown:
        parser.error(f"unknown runtime {unknown[0]!r} (available: {', '.join(names)})")
    failed = False
    for runtime in RUNTIMES:
        if given.names and runtime.name not in given.names:
            continue
        try:
            set_up(runtime, given.python)
            sys.stdout.write(f"{runtime.name}: {runtime.python}\n")
        except (BadInput, OSError) as error:
            failed = True
            said = explain(error, home()) if isinstance(error, OSError) else error
            sys.stderr.write(f"error: {said}\n")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the sources of the site: ``python -m docs.generate FOLDER``; see the ``docs`` target of the Makefile."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.generate import (
    commands,
    devices,
    latency,
    networks,
    operators,
    python,
    recommendations,
    rounding,
    schemas,
    targets,
)

_DOCS = Path(__file__).parents[1]
_GENERATORS = (commands, devices, latency, networks, operators, python, recommendations, rounding, schemas, targets)


def generated() -> Iterator[tuple[str, str]]:
    """(path, text) of every generated page."""
    for generator in _GENERATORS:
        yield from generator.pages()


def write(folder: Path) -> int:
    """Write every page and Sphinx's configuration to ``folder``, which must not exist; the number of pages."""
    shutil.copytree(_DOCS / "pages", folder)
    shutil.copyfile(_DOCS / "conf.py", folder / "conf.py")
    shutil.copyfile(_DOCS.parent / "ARCHITECTURE.md", folder / "ARCHITECTURE.md")
    findings = (_DOCS.parent / "findings" / "README.md").read_text(encoding="utf-8")
    (folder / "findings.md").write_text(re.sub(r"\[(\w+)\]\(\1\.sh\)", r"`\1`", findings), encoding="utf-8")
    for path, text in generated():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return sum(1 for _ in folder.rglob("*.md"))


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]))} pages\n")

"""A page per target: its files, requirements, deviations of its runtimes, and code for apps."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clearport.registry import RUNNERS, TARGETS
from docs.generate.operators import RULES
from docs.generate.rounding import of_module
from docs.generate.text import block, code, contents, docstring, page, table

if TYPE_CHECKING:
    from clearport.protocols import Runner, Target

_QUIRKS = {
    "coreml": ("coreml",),
    "ncnn": ("ncnn",),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "tflite": ("litert",),
}


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of every page."""
    targets = [TARGETS.get(name) for name in TARGETS.names()]
    for target in targets:
        yield f"targets/{target.name}.md", _target(target)
    overview = table(
        ("target", "precisions", "packages"),
        (
            (f"[{t.title}]({t.name}.md)", ", ".join(map(code, t.precisions)), ", ".join(map(code, t.requires)))
            for t in targets
        ),
    )
    yield "targets/index.md", page("Targets", overview, contents(t.name for t in targets))


def _target(target: Target) -> str:
    module = importlib.import_module(TARGETS.module(target.name))
    runners = [runner for name in RUNNERS.names() if target.name in (runner := RUNNERS.get(name)).targets]
    return page(
        target.title,
        docstring(module),
        block(f"clearport export NETWORK --out out/NETWORK --target {target.name}", "sh"),
        "## Runtimes\n",
        table(("runtime", "units", "packages"), map(_runtime, runners)),
        _operators(target.name),
        _quirks(target.name),
    )


def _runtime(runner: Runner) -> tuple[str, str, str]:
    units = ", ".join(getattr(runner, "units", ("cpu",)))
    return runner.title, units, ", ".join(map(code, runner.requires))


def _operators(target: str) -> str:
    heading = "## Operators\n"
    if target not in RULES:
        return f"{heading}\nIt reads ONNX, so it has every [operator](../reference/operators.md) of the table.\n"
    return f"{heading}\nSee its column of the [table of operators](../reference/operators.md).\n"


def _quirks(target: str) -> str:
    tables = "\n".join(of_module(name) for name in _QUIRKS.get(target, ()))
    return f"## Known deviations\n\n{tables}" if tables else ""

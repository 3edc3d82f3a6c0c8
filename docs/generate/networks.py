"""A page per network and per task."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clearport.pipeline.list import NetworkRow, inventory
from clearport.registry import NETWORKS
from clearport.words import task_title
from docs.generate import latency
from docs.generate.text import block, code, contents, docstring, page, table

if TYPE_CHECKING:
    from clearport.model_spec import ModelSpec


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of every page."""
    rows = inventory().networks
    by_task: dict[str, list[NetworkRow]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
        yield f"networks/{row.name}.md", _network(row)
    for task, members in by_task.items():
        yield f"tasks/{task}.md", _task(task, members)
    listed = contents(row.name for row in rows)
    yield "networks/index.md", page("Networks", _overview(rows, ""), listed)
    yield "tasks/index.md", page("Tasks", contents(by_task))


def _overview(rows: list[NetworkRow] | tuple[NetworkRow, ...], folder: str) -> str:
    return table(
        ("network", "task", "scales", "parameters", "weights"),
        (
            (
                f"[{row.name}]({folder}{row.name}.md){' (recommended)' if row.recommended else ''}",
                row.task,
                _scales(row.scales),
                f"{_parameters(NETWORKS.get(row.name)):,}",
                row.weights,
            )
            for row in rows
        ),
    )


def _scales(scales: tuple[int, ...]) -> str:
    return ", ".join(f"x{scale}" for scale in scales)


def _parameters(spec: ModelSpec) -> int:
    return sum(parameter.numel() for parameter in spec.build(spec.default_scale).parameters())


def _task(task: str, rows: list[NetworkRow]) -> str:
    best = next((row for row in rows if row.recommended), rows[0])
    return page(
        task_title(task),
        f"Start with [{best.name}](../networks/{best.name}.md):\n",
        block(f"clearport export {best.name} --out out/{best.name}", "sh"),
        _overview(rows, "../networks/"),
    )


def _network(row: NetworkRow) -> str:
    spec: ModelSpec = NETWORKS.get(row.name)
    module = importlib.import_module(NETWORKS.module(row.name))
    export = f"clearport export {row.name} --out out/{row.name}"
    if not row.bundled:
        export += " --weights FILE"
    facts = [
        ("task", f"[{row.task}](../tasks/{row.task}.md)"),
        ("paper", f"[{spec.paper.title}]({row.paper})"),
        ("scales", f"{_scales(row.scales)} (default x{spec.default_scale})"),
        ("parameters", f"{_parameters(spec):,} at x{spec.default_scale}"),
        ("values", f"{spec.value_range[0]:g} to {spec.value_range[1]:g}"),
        ("sides", f"multiples of {spec.size_multiple}, at least {spec.least_side} pixels"),
        ("receptive field", _field(spec)),
        ("weights", row.weights + (f"; license {spec.license}" if row.bundled else "")),
        *((f"knob {code(name)}", about) for name, about in row.knobs.items()),
    ]
    return page(
        row.name,
        docstring(module),
        table(("", ""), facts),
        "## Use\n",
        block(f"{export}\n{row.train}", "sh"),
        f"## Published weights\n\n{row.published}\n" if row.published else "",
        latency.section(row.name),
        _cards(row.cards),
    )


def _field(spec: ModelSpec) -> str:
    if spec.whole_picture:
        return f"the whole picture; tiles overlap by {spec.halo} pixels"
    return f"{spec.halo} pixels to each side"


def _cards(cards: dict[str, dict[str, Any]]) -> str:
    if not cards:
        return ""
    parts = ["## Bundled weights\n"]
    for scale, card in cards.items():
        parts += [f"### {scale}\n", _values(card, "")]
    return "\n".join(parts) + "\n"


def _values(value: Any, indent: str) -> str:
    """A card's values as a nested list; long lists of names are counted."""
    if isinstance(value, dict):
        return "\n".join(_item(key, inner, indent) for key, inner in value.items())
    return "\n".join(f"{indent}- {_line(item)}" for item in value)


def _line(item: Any) -> str:
    """An entry of a list in one line."""
    if isinstance(item, dict):
        return "; ".join(f"{key.replace('_', ' ')}: {inner}" for key, inner in item.items())
    return str(item)


def _item(key: str, value: Any, indent: str) -> str:
    name = key.replace("_", " ")
    if isinstance(value, list) and (len(value) > 8 or not any(isinstance(item, dict) for item in value)):
        shown = ", ".join(map(str, value)) if len(value) <= 8 else f"{len(value)} entries"
        return f"{indent}- **{name}**: {shown}"
    if isinstance(value, (dict, list)):
        return f"{indent}- **{name}**:\n{_values(value, indent + '  ')}"
    return f"{indent}- **{name}**: {value}"

"""The source code of a system's kit: TypeScript, with ONNX Runtime Web."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.reports import templates
from clearport.reports.kits import KITS
from clearport.reports.markdown import escape

if TYPE_CHECKING:
    from clearport.bundle.system import RowRecord, System
    from clearport.programs.program import Input

COMMAND = KITS["typescript", "onnxruntime"].command
_TEMPLATES = {
    "system.ts": "system.ts",
    "selftest.ts": "selftest_system.ts",
    "package.json": "package.json",
    "tsconfig.json": "tsconfig.json",
    "README.md": "README_system.md",
}


def system_texts(system: System, row: RowRecord) -> dict[str, str]:
    """Name -> text of generated files for a system; the interpreter is the page's."""
    record = system.record
    name = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in record.name)
    inputs = [f"{each.name}: {_meaning(each)}" for each in record.program.inputs]
    outputs = [f"{each.name}, an output: {each.low:g} to {each.high:g}" for each in record.program.outputs]
    values = {
        "name": name,
        "network": name,
        "parts": ", ".join(record.parts),
        "ends": [*inputs, *outputs],
        "about": escape(record.about),
        "notice": escape(record.notice),
        "key": row.key,
        "licenses": escape(", ".join(dict.fromkeys(part.manifest.model.license for part in system.parts.values()))),
        "given": [
            f"{each.name}, // {{ shape, data: Float32Array }}: {_meaning(each)}" for each in record.program.inputs
        ],
        "command": COMMAND,
    }
    environment = templates.environment()
    return {
        file: environment.get_template(f"kits/{template}.j2").render(values) for file, template in _TEMPLATES.items()
    }


def _meaning(each: Input) -> str:
    """The meaning of an input's values."""
    shape = f"({', '.join(map(str, each.shape))})"
    words = {
        "picture": f"RGB, {each.low:g} to {each.high:g}",
        "noise": "unit variance, as of new Noise(seed).normal(count)",
        "points": "x and y in pixels of the picture, and 1 (foreground) or -1 (background)",
        "values": "numbers",
    }
    return f"{shape}, {words[each.kind]}"

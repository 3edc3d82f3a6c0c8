"""Only records and passes spell the names of operators: everybody else asks ``clearport.operators``."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import onnx.defs

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("core", "export", "models", "quantize", "reports", "runtime")
THEIRS = ("core/operators", "export/passes", "export/from_onnx")
"""Records, and what rewrites operators: ours, and those of foreign files."""
NAMES = {schema.name for schema in onnx.defs.get_all_schemas()}
ALLOWED = 60
"""What is left: quirks of runtimes, which are about one operator each; words of ncnn, OpenVINO and ONNX Runtime that
are the same as ONNX's; clamps; what builds a graph of its own."""


def spelled(source: str) -> Counter[str]:
    """Names of ONNX operators that are strings of their own in a file."""
    constants = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return Counter(node.value for node in constants if isinstance(node.value, str) and node.value in NAMES)


def test_the_counter_counts() -> None:
    source = '"""Conv"""\nif node.op_type in {"Conv", "MatMul"}: raise ValueError("Conv is no operator here")'
    assert spelled(source) == {"Conv": 2, "MatMul": 1}


def test_operators_are_named_by_records_and_passes_alone() -> None:
    found: Counter[str] = Counter()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(THEIRS):
                found[name] = spelled(path.read_text()).total()
    assert found.total() < ALLOWED, found.most_common(20)

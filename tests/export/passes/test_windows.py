"""Windows in steps and parts of products: what is left of them in the graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clearport.export.passes import order as passes
from clearport.export.passes.plain.attention import windows

from ..tflite.harness import after_conv, build, one
from .window_cases import HEADS, WINDOWS, table


def operators(case: object) -> Counter[str]:
    """How many of each operator the passes leave."""
    return Counter(node.op_type for node in passes.run(build(case)).model.graph)


@pytest.mark.parametrize("name", [name for name in WINDOWS if "backward" not in name])
def test_windows_are_slices_of_blocks(name: str) -> None:
    found = operators(WINDOWS[name])
    assert "Gather" not in found
    assert found["Concat"] <= 2
    assert found["Slice"] <= 6


def test_many_windows_take_as_many_operators_as_few() -> None:
    few, many = (
        operators(after_conv(one("Gather", "x i", axis=3), constants={"i": table(0, 2, count, 3, outer=False)}))
        for count in (2, 5)
    )
    assert few == many


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("step", [2, 3, 5])
def test_blocks_never_reach_past_the_end(step: int, outer: bool) -> None:
    for first in (0, 1, 4):
        for length in range(2, 9):
            for count in (2, 3):
                size = first + step * (count - 1) + length
                for rest in (0, 1, step):
                    found = windows.of_table(table(first, step, count, length, outer=outer), size + rest)
                    if found is None:  # only where a window is shorter than a step, and too near to both ends
                        assert length < step
                        assert first + length < step
                        continue
                    assert (found.step, found.count, found.length, found.outer) == (step, count, length, outer)
                    assert sum(part.kept for part in found.parts) == length
                    for part in found.parts:
                        assert 0 <= part.start <= size + rest - count * step


def test_irregular_tables_are_no_windows() -> None:
    irregular = table(0, 3, 3, 4, outer=False)
    irregular[1, 1] += 1
    assert windows.of_table(irregular, 12) is None
    assert windows.of_table(np.arange(4), 12) is None
    assert (
        windows.of_table(table(0, 1, 3, 4, outer=True), 12) is None
    )  # each a place apart: one Slice per place of a kernel


def test_query_key_and_value_are_products_of_their_own() -> None:
    found = operators(HEADS["query, key and value of one product"])
    assert found["MatMul"] == 5
    assert not {"Slice", "Gather", "Mul"} & set(found)


@pytest.mark.parametrize(("name", "products"), [("parts that share places", 1), ("a part and the whole", 1)])
def test_a_product_whose_parts_overlap_stays_whole(name: str, products: int) -> None:
    found = operators(HEADS[name])
    assert found["MatMul"] == products
    assert "Slice" in found

"""Messages on operators without a rule in a target."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearport.base import Options
from clearport.errors import UnsupportedOperator
from clearport.export.written import target_graph
from clearport.registry import TARGETS, missing

from .tflite.harness import SIZE, after_conv, build, i64, one


@pytest.mark.parametrize(
    ("name", "operator"), [("ncnn", "Mod"), ("tflite", "Mod"), ("coreml", "Mod"), ("coreai", "Mod")]
)
def test_arithmetic_on_sizes_without_a_rule_says_what_to_do(name: str, operator: str, tmp_path: Path) -> None:
    nodes = (("Shape", "x", "s", {}), ("Mod", "s m", "t", {}), ("Add", "s t", "u", {}), one("Reshape", "x u"))
    graph = build(after_conv(*nodes, constants={"m": i64(1, 1, 1, 1)}), "H", "W")
    target = TARGETS.get(name)
    if missing(target.requires):
        pytest.skip(f"{name} is not installed")
    with pytest.raises(UnsupportedOperator, match=f"operator {operator} .* give --size HEIGHTxWIDTH"):
        target.lower(target_graph(graph, None, "fp32"), Options(None, "float32"), tmp_path)


def test_other_operators_are_just_named(tmp_path: Path) -> None:
    graph = build(after_conv(one("Selu")))
    with pytest.raises(
        UnsupportedOperator, match=r"tflite: unsupported operator Selu of layer .*: no conversion rule$"
    ):
        TARGETS.get("tflite").lower(target_graph(graph, None, "fp32"), Options(SIZE, "float32"), tmp_path)


@pytest.mark.parametrize("name", ["ncnn", "tflite", "coreml"])
def test_all_operators_without_a_rule_are_named_at_once(name: str, tmp_path: Path) -> None:
    nodes = (("Tan", "x", "t", {}), ("Asin", "t", "a", {}), ("Tan", "a", "u", {}), one("Acosh", "u"))
    target = TARGETS.get(name)
    if missing(target.requires):
        pytest.skip(f"{name} is not installed")
    wanted = (
        f"{name}: unsupported operator Tan of layer 'Tan_t': no conversion rule; nor for Asin of 'Asin_a'; "
        "nor for Tan of 'Tan_u'; nor for Acosh of 'Acosh_restored'"
    )
    with pytest.raises(UnsupportedOperator) as caught:
        target.lower(target_graph(build(after_conv(*nodes)), None, "fp32"), Options(SIZE, "float32"), tmp_path)
    assert str(caught.value) == wanted

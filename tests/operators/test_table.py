"""The records themselves: what they name exists, and tests may add to them."""

from __future__ import annotations

import inspect

import onnx.defs
import onnx_ir as ir
import pytest

from clearport.operators import table
from clearport.operators.record import Operator, Rule, resolved
from clearport.registry import missing

RULES = [
    pytest.param(rule, id=f"{record.name}-{target}")
    for record in table.operators().values()
    for target, rule in (
        ("tflite", record.tflite),
        ("mil", record.mil),
        ("ncnn", record.ncnn),
        ("coreai", record.coreai),
    )
    if rule is not None
]


def test_every_record_is_of_an_operator_of_onnx() -> None:
    assert {name for name in table.operators() if not onnx.defs.has(name)} == set()
    assert {record.name for record in table.operators().values()} == set(table.operators())


@pytest.mark.skipif(bool(missing(("ai-edge-litert", "coremltools", "ncnn"))), reason="a target is not installed")
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_names_functions_that_take_its_settings(rule: Rule) -> None:
    takes = inspect.signature(resolved(rule.write)).parameters
    assert set(rule.settings) <= set(takes)
    needed = [name for name, parameter in takes.items() if parameter.default is parameter.empty]
    positional = 3 if "coreml" in str(rule.write) else 2
    assert set(needed[positional:]) <= set(rule.settings)
    for function in (rule.since, rule.fused):
        assert function is None or callable(resolved(function))


def test_an_operator_of_another_domain_is_unknown() -> None:
    mine = ir.node("Conv", [], domain="com.example")
    assert table.of(mine) == Operator("Conv", "other")
    assert table.of(ir.node("Conv", [])).kind == "convolution"


def test_records_of_a_test_come_and_go() -> None:
    assert not table.known("Sinh")
    with table.registered(Operator("Sinh", "unary"), Operator("Conv", "other")):
        assert table.operator("Sinh").elementwise
        assert table.operator("Conv").kind == "other"
    assert table.operator("Conv").kind == "convolution"
    with pytest.raises(KeyError):
        table.operator("Sinh")

"""Operators that OpenVINO's reader does not support are refused by name, not reported as internal errors."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from clearport.errors import UnsupportedOperator
from clearport.registry import missing

if missing(("openvino",)):
    pytest.skip("openvino is not installed", allow_module_level=True)

from clearport.export.openvino.target import _write


def test_an_operator_that_the_reader_does_not_know_is_named(tmp_path: Path) -> None:
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in ("x", "y")]
    node = onnx.helper.make_node("Foo", ["x"], ["y"], domain="bar")
    imports = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("bar", 1)]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=imports)
    with pytest.raises(UnsupportedOperator, match=r"openvino: unsupported operator bar.Foo .*No conversion rule found"):
        _write(model.SerializeToString(), tmp_path / "x.xml", half=False)

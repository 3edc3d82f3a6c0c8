"""``clearport lint`` on the command line: exit codes, JSON, the table, bad input, and no file left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from clearport.pipeline.lint.values import LintReport
from device_tests.conftest import called


def written(folder: Path, last: str, **attributes: Any) -> Path:
    """A convolution and one operator more, 24x32."""
    shape = [1, 3, 24, 32]
    nodes = [
        helper.make_node("Conv", ["image", "k"], ["x"], "/head/conv", pads=[1] * 4),
        helper.make_node(last, ["x"], ["restored"], "/tail/last", **attributes),
    ]
    ends = [[helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape)] for n in ("image", "restored")]
    kernel = numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32) / 9, "k")
    made = helper.make_model(
        helper.make_graph(nodes, "g", *ends, [kernel]), opset_imports=[helper.make_opsetid("", 17)]
    )
    made.ir_version = 8
    path = folder / "given.onnx"
    onnx.save(made, path)
    return path


def test_a_refusal_is_exit_code_1_in_the_table_and_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dilated = {"kernel_shape": [3, 3], "dilations": [2, 2], "pads": [2] * 4}
    path = written(tmp_path, "MaxPool", **dilated)  # ncnn's pools have no dilation
    monkeypatch.chdir(tmp_path)
    shown = called("lint", path, "--target", "ncnn", "--precision", "fp32")
    assert shown.code == 1
    assert "error" in shown.out
    assert "export would refuse 1 of these" in shown.out
    assert "/tail/last" in shown.out  # the name that the layer has in the file
    given = called("lint", path, "--target", "ncnn", "--precision", "fp32", "--json", "--quiet")
    report = LintReport.model_validate_json(given.out)
    assert (given.code, given.err, report.size) == (1, "", "24x32")
    (error,) = (finding for finding in report.findings if finding.level == "error")
    assert [(layer.operator, layer.module) for layer in error.layers] == [("MaxPool", "/tail/last")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_clean_network_is_exit_code_0(tmp_path: Path) -> None:
    done = called("lint", written(tmp_path, "Relu"), "--target", "onnxruntime", "--precision", "fp32", "--json", "-q")
    assert done.code == 0
    found = json.loads(done.out)
    assert {placement["unit"] for placement in found["placements"]} > {"browser WebNN"}
    assert not [finding for finding in found["findings"] if finding["level"] != "note"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere.onnx",), "nowhere.onnx"),
        (("ncnett",), "did you mean 'ncnet'"),
        (("ncnet", "--target", "tflight"), "unknown target"),
        (("ncnet", "--size", "big"), "expected HEIGHTxWIDTH"),
        (("ncnet", "--precision", "int4"), "unknown precision"),
        (("my_net.py",), "my_net.py:ATTRIBUTE"),
    ],
)
def test_bad_input_is_exit_code_2(words: tuple[str, ...], said: str) -> None:
    done = called("lint", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err

"""PyTorch's guard against rows of attention that are masked whole, whatever the mask."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from clearport.export.passes import order
from clearport.pipeline.sources.contract import Contract
from clearport.pipeline.sources.onnx_file import onnx_source
from clearport.protocols import no_progress

from ..tflite.harness import Case, after_conv, build, i64, one, onnxruntime, pictures, real

CAUSAL = np.triu(np.full((10, 10), -np.inf, np.float32), 1)
FIRST_ROW_OFF = np.where(np.arange(10)[:, None] == 0, np.float32(-np.inf), CAUSAL).astype(np.float32)
PRODUCT = [("Transpose", "x", "t", {"perm": [0, 1, 3, 2]}), ("MatMul", "x t", "a", {}), ("Mul", "a h", "m", {})]
GUARD = [
    ("IsNaN", "p", "q", {}), ("Where", "q z p", "g", {}), ("Slice", "g s e one", "c", {}),
    one("Reshape", "c o"),
]  # fmt: skip
MASKS: dict[str, list[tuple[str, str, str, dict[str, object]]]] = {
    "none": [("Softmax", "m", "p", {"axis": -1})],
    "causal": [("Add", "m causal", "w", {}), ("Softmax", "w", "p", {"axis": -1})],
    "a row off": [("Add", "m off", "w", {}), ("Softmax", "w", "p", {"axis": -1})],
    "a row not chosen": [("Where", "chosen m i", "w", {}), ("Softmax", "w", "p", {"axis": 3})],
    "computed": [("Greater", "m high", "k", {}), ("Where", "k m i", "w", {}), ("Softmax", "w", "p", {"axis": -1})],
    "computed, inverse": [
        ("Greater", "m low", "k", {}),
        ("Where", "k i m", "w", {}),
        ("Softmax", "w", "p", {"axis": -1}),
    ],
}


def guarded(mask: str) -> Case:
    held = {
        "h": np.float32(0.3), "causal": CAUSAL, "off": FIRST_ROW_OFF, "chosen": ~np.isneginf(FIRST_ROW_OFF),
        "i": np.float32(-np.inf), "high": np.float32(0.7), "low": np.float32(24), "z": np.float32(0),
        "s": i64(0), "e": i64(3), "one": i64(1), "o": i64(1, 3, 10, 10),
    }  # fmt: skip
    return after_conv(*PRODUCT, *MASKS[mask], *GUARD, constants=held)


@pytest.mark.parametrize("mask", MASKS)
def test_a_row_that_is_masked_whole_is_zero(mask: str) -> None:
    raw = build(guarded(mask))
    graph, image = order.run(raw), real(pictures()[0])
    wanted = onnxruntime(raw.model, image)
    np.testing.assert_allclose(onnxruntime(graph.model, image), wanted, atol=1e-6)
    rows = (wanted == 0).all(axis=3)
    assert rows.any() == (mask not in {"none", "causal"})
    kinds = {node.op_type for node in graph.model.graph}
    assert "Equal" not in kinds
    assert ("ReduceMax" in kinds) == mask.startswith("computed")


class Attending(nn.Module):
    """Attention of the pixels before each. The first sees none: 0 in PyTorch, and in the exporter's file the mean,
    since it writes a Boolean mask with the least float32, not with infinity.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(2).transpose(1, 2)[:, None]
        before = torch.ones(64, 64, dtype=torch.bool).tril(-1)
        made = nn.functional.scaled_dot_product_attention(rows, rows, rows, attn_mask=before)
        return made[:, 0].transpose(1, 2).reshape(x.shape)


def test_attention_as_the_exporter_writes_it_holds_no_comparison(tmp_path: Path) -> None:
    path = tmp_path / "attending.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Attending().eval(), (torch.rand(1, 3, 8, 8),), path, dynamo=True, opset_version=18)
    assert "IsNaN" in {node.op_type for node in onnx.load(path).graph.node}
    source = onnx_source(path, "attending", Contract(), 1)
    kinds = {node.op_type for node in source.graph(None, no_progress).model.graph}
    assert not kinds & {"IsNaN", "Equal", "Where"}

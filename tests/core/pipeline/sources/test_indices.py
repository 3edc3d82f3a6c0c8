"""Ranges of inputs that hold whole numbers: every row of the table that they choose from."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from clearport.pipeline.sources.contract import Contract, Ends
from clearport.pipeline.sources.module import module_source
from clearport.pipeline.sources.onnx_file import onnx_source

ROWS = 10


class Styled(nn.Module):
    """A picture, a style of ten, a step that no table knows, and a flag."""

    def __init__(self, offset: int = 0) -> None:
        super().__init__()
        self.offset = offset
        self.rows = nn.Embedding(ROWS, 8)
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, image: torch.Tensor, style: torch.Tensor, step: torch.Tensor, flag: torch.Tensor) -> torch.Tensor:
        moved = self.first(image) + self.rows(style + self.offset)[:, :, None, None] * flag
        restored: torch.Tensor = self.last(torch.relu(moved)) + torch.sin(step * 0.1)
        return restored


EXAMPLES = (torch.rand(1, 3, 16, 16), torch.tensor([3]), torch.tensor([1]), torch.tensor([True]))
NAMES = ["image", "style", "step", "flag"]


def _file(folder: Path, offset: int, *, dynamo: bool) -> Path:
    path = folder / "styled.onnx"
    network = Styled(offset).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, EXAMPLES, path, dynamo=dynamo, opset_version=18, input_names=NAMES)
    return path


@pytest.mark.parametrize("kind", ["module", "dynamo", "torchscript"])
def test_a_class_is_tried_with_every_row(kind: str, tmp_path: Path) -> None:
    if kind == "module":
        found = module_source((Styled().eval(), EXAMPLES), "styled", None, "a test", Contract()).found
    else:
        path = _file(tmp_path, 0, dynamo=kind == "dynamo")
        found = onnx_source(path, "styled", Contract(), 1).found
    spans = [spec.value_range for spec in found.traits.inputs[1:]]
    assert spans[0] == (0.0, ROWS - 1)
    assert spans[1] in {None, (0.0, 1.0)}
    assert found.how["range of style"] == f"it chooses one of {ROWS} rows"
    assert found.how["range of step"].startswith("assumed: 0 to 1")


def test_a_contract_is_kept_and_a_row_out_of_reach_is_not_assumed(tmp_path: Path) -> None:
    path = _file(tmp_path, 0, dynamo=True)
    found = onnx_source(path, "styled", Contract(inputs=(Ends(name="style", range=(2, 4)),)), 1).found
    assert found.traits.inputs[1].value_range == (2.0, 4.0)
    assert "range of style" not in found.how
    shifted = onnx_source(_file(tmp_path, 5, dynamo=True), "styled", Contract(), 1).found
    assert shifted.traits.inputs[1].value_range != (0.0, ROWS - 1)
    assert shifted.how["range of style"].startswith("assumed: 0 to 1")

"""Networks that want (picture - mean) / std, or BGR, take plain pictures after the pass, and compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clearport.base import Size, TensorSpec
from clearport.export.from_torch import export_graph
from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.model_spec import ModelSpec, Paper
from clearport.models import normalized

IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SIZE = Size(16, 24)


class Net(nn.Module):
    """A convolution, behind what ``first`` does."""

    def __init__(self, padding: int, first: str = "") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = first
        self.conv = nn.Conv2d(3, 3, 3, padding=padding)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if self.first == "skip":
            return self.conv(image) + image
        return self.conv(torch.sigmoid(image) if self.first else image)


def exported(module: nn.Module, **wanted: Any) -> tuple[Any, tuple[TensorSpec, ...]]:
    source = TensorSpec("image", (1, 3, "H", "W"), value_range=(0.0, 1.0), **wanted)
    shrunk = 0 if module.conv.padding[0] else 2
    restored = TensorSpec("restored", (1, 3, SIZE.height - shrunk, SIZE.width - shrunk), value_range=(0.0, 1.0))
    spec = ModelSpec(
        "net", "other", lambda _: None, (1,), 1, 1, Paper("x", "1"), value_range=(0.0, 1.0), inputs=(source,),
        outputs=(restored,),
    )  # fmt: skip
    return export_graph(module.eval(), spec, 1, SIZE), (source,)


@pytest.mark.parametrize(
    "wanted", [IMAGENET, {"color": "BGR"}, {**IMAGENET, "color": "BGR"}, {"std": (0.5,) * 3}], ids=str
)
@pytest.mark.parametrize(
    ("padding", "first", "added"),
    [(0, "", []), (1, "", ["Sub"]), (1, "activation", ["Conv"]), (1, "skip", ["Conv"])],
)
def test_it_computes_the_same_of_plain_pictures(
    wanted: dict[str, Any], padding: int, first: str, added: list[str]
) -> None:
    module = Net(padding, first)
    graph, inputs = exported(module, **wanted)
    assert (graph.input.mean, graph.input.std, graph.input.color) == ((), (), "RGB")
    feed = feeds.noise(graph.inputs, SIZE)
    with torch.inference_mode():
        plain = normalized.module(module, inputs)(torch.from_numpy(feed["image"]))
    (given,) = graphs.session(graph.model).run(None, feed)
    np.testing.assert_allclose(given, plain.numpy(), atol=2e-5)
    operators = [node.op_type for node in graph.model.graph]
    shifted = "mean" in wanted or first
    assert len(operators) == 1 + {"": 0, "activation": 1, "skip": 1}[first] + (len(added) if shifted else 0)


def test_a_network_that_wants_nothing_is_left_alone() -> None:
    graph, _ = exported(Net(1))
    assert [node.op_type for node in graph.model.graph] == ["Conv"]

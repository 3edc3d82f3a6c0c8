"""Files with bytes changed, taken away and put in: read, or refused with the name of the file, and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.base import TensorSpec
from clearport.errors import BadInput
from clearport.export.from_onnx.ends import End
from clearport.export.from_onnx.graph import graph_of
from clearport.export.from_onnx.plain import plain
from clearport.export.from_onnx.read import read
from tests.export.from_onnx.files import model, node

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 3)).astype(np.float32)
SOURCES = [
    model([node("Conv", "x k", "a", pads=[1] * 4), node("Clip", "a", "y", min=0.0, max=1.0)], 10, {"k": KERNEL}),
    model(
        [
            node("Resize", "x - s", "a", mode="linear"),
            node("Softmax", "a", "b", axis=1),
            node("Transpose", "b", "y", perm=[0, 1, 3, 2]),
        ],
        13,
        {"s": np.float32([1, 1, 2, 2])},
    ),
    model(
        [
            node("QuantizeLinear", "x xs xz", "a"),
            node("DequantizeLinear", "a xs xz", "b"),
            node("Split", "b", "c d", axis=3, num_outputs=2),
            node("Concat", "d c", "y", axis=1),
        ],
        21,
        {"xs": np.float32(0.01), "xz": np.uint8(7)},
    ),
]


def mutant(seed: int) -> bytes:
    """One of the files with some places changed."""
    draw = random.Random(seed)
    data = bytearray(draw.choice(SOURCES).SerializeToString())
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        at = draw.randrange(len(data) or 1)
        way = draw.randrange(4)
        if way == 0 and data:
            data[at] ^= 1 << draw.randrange(8)
        elif way == 1:
            del data[at : at + draw.randrange(1, 9)]
        elif way == 2:
            data[at:at] = draw.randbytes(draw.randrange(1, 9))
        else:
            data[at:at] = data[(start := draw.randrange(len(data) or 1)) : start + draw.randrange(1, 40)]
    return bytes(data)


def taken(path: Path) -> str:
    """What comes of reading a file: nothing, or the message of the refusal."""
    try:
        found = plain(read(path))
        graph_of(found, "given", [_spec(end) for end in found.inputs], [_spec(end) for end in found.outputs], 1)
    except BadInput as error:
        return str(error)
    return ""


def _spec(end: End) -> TensorSpec:
    return TensorSpec(end.name, tuple(n if isinstance(n, int) else 16 for n in end.shape), value_range=None)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_a_mutant_is_read_or_refused(first: int, tmp_path: Path) -> None:
    path, said = tmp_path / "given.onnx", []
    for seed in range(first, first + 100):
        path.write_bytes(mutant(seed))
        said.append(taken(path))
    assert all("given.onnx" in message for message in said if message)
    assert [message for message in said if "unexpected" in message] == []
    assert any(said)

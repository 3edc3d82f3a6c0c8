"""Frozen TensorFlow graphs: read without TensorFlow, and evaluated node by node to judge the networks."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.importers.tensorflow import Node, kernels, read_graph
from clearport.models.networks.super_resolution.espcn import SPEC as ESPCN
from clearport.models.networks.super_resolution.fsrcnn import SPEC as FSRCNN

LUMA = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
published = pytest.mark.parametrize("spec", [FSRCNN, ESPCN], ids=lambda spec: spec.name)


def varint(value: int) -> bytes:
    head = b""
    while value > 127:
        head, value = head + bytes([value & 127 | 128]), value >> 7
    return head + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def constant(name: str, shape: Sequence[int], values: Sequence[float], kind: int = 1) -> bytes:
    sizes = b"".join(field(2, field(1, n)) for n in shape)
    tensor = field(1, kind) + field(2, sizes) + field(4, struct.pack(f"<{len(values)}f", *values))
    attribute = field(1, b"value") + field(2, field(8, tensor))
    return field(1, field(1, name.encode()) + field(2, b"Const") + field(5, attribute))


def placed(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "graph.pb"
    path.write_bytes(data)
    return path


def evaluated(nodes: Sequence[Node], image: torch.Tensor) -> torch.Tensor:
    """The output of a graph, operation by operation, for luma (1, 1, H, W); tensors are NHWC as in the graph."""
    values: dict[str, torch.Tensor] = {}
    for node in nodes:
        read = [values[name] for name in node.inputs if name in values]
        if node.value is not None:
            values[node.name] = torch.tensor(node.value)
        elif node.op == "Placeholder":
            values[node.name] = image.permute(0, 2, 3, 1)
        elif node.op == "Conv2D":
            kernel = read[1].permute(3, 2, 0, 1)
            made = F.conv2d(read[0].permute(0, 3, 1, 2), kernel, padding="same")
            values[node.name] = made.permute(0, 2, 3, 1)
        elif node.op == "DepthToSpace":
            batch, height, width, _ = read[0].shape
            parts = read[0].reshape(batch, height, width, 3, 3, -1).permute(0, 1, 3, 2, 4, 5)
            values[node.name] = parts.reshape(batch, height * 3, width * 3, -1)
        elif node.op != "Const":
            values[node.name] = OPERATIONS[node.op](*read)
    return values["NCHW_output"]


OPERATIONS = {
    "Add": torch.add,
    "BiasAdd": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Abs": torch.abs,
    "Relu": torch.relu,
    "Tanh": torch.tanh,
    "Transpose": lambda x: x.permute(0, 3, 1, 2),
}


@published
def test_the_network_is_the_graph(spec: ModelSpec, shared: Path) -> None:
    path = shared / f"weights/{spec.name}/{spec.name}_x3.pb"
    nodes = read_graph(path)
    assert nodes is not None
    torch.manual_seed(0)
    image = 0.2 + 0.6 * F.interpolate(torch.rand(1, 3, 6, 7), size=(24, 28), mode="bicubic").clamp(0.0, 1.0)
    network = weights.load(spec, 3, path).module
    with torch.no_grad():
        luma = F.conv2d(image, LUMA)
        wanted = evaluated(nodes, luma)
        open_ended = network.train()(image)
        color = F.interpolate(image - luma, scale_factor=3.0, mode="bilinear", align_corners=False)
    # Sums of up to 600 products in another order, of values about 1.
    assert (F.conv2d(open_ended, LUMA) - wanted).abs().max() < 1e-5
    assert (open_ended - wanted - color).abs().max() < 1e-5
    assert (wanted - F.interpolate(luma, scale_factor=3.0)).abs().mean() < 0.05  # it does enlarge the picture


def test_constants_keep_names_and_shapes(tmp_path: Path) -> None:
    kernel = [float(i) for i in range(12)]
    path = placed(tmp_path, constant("f1", (2, 2, 1, 3), kernel) + constant("b1", (), [7.0]) + field(2, b""))
    nodes = read_graph(path)
    assert nodes is not None
    found = kernels(path, nodes, {"f1": "weight", "b1": "bias"})
    assert found["weight"].shape == (3, 1, 2, 2)
    assert found["weight"][1, 0, 1, 0] == kernel[(1 * 2 + 0) * 3 + 1]
    assert found["bias"].tolist() == [7.0]


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    assert read_graph(placed(tmp_path, b"")) is None
    assert read_graph(placed(tmp_path, b"PK\x03\x04 and so on")) is None
    assert read_graph(placed(tmp_path, b"\n\xff\xff\xff a text that begins with an empty line")) is None
    assert read_graph(tmp_path / "absent.pb") is None


def test_a_graph_of_another_network_is_refused(tmp_path: Path) -> None:
    path = placed(tmp_path, constant("f1", (1,), [1.0]) + constant("step", (1,), [1.0], kind=3))
    with pytest.raises(BadInput, match=r"without the constants f2, .*: not this network"):
        weights.load(ESPCN, 3, path)


@pytest.mark.parametrize(
    "damage",
    [
        constant("b", (3,), [1.0, 2.0]),
        constant("b", (1 << 40, 1 << 40), [1.0]),
        constant("b", [1] * 9, [1.0]),
        field(1, 5),
        field(1, b"\x0b"),
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        field(1, field(1, b"\xff\xfe")),
    ],
    ids=["too few", "huge", "many axes", "number", "group", "endless", "name"],
)
def test_damage_is_reported(damage: bytes, tmp_path: Path) -> None:
    path = placed(tmp_path, constant("a", (1,), [1.0]) + damage)
    with pytest.raises(BadInput, match=r"graph\.pb: damaged or truncated TensorFlow graph"):
        read_graph(path)


def test_any_cut_and_any_flipped_byte_is_an_error_or_a_graph(tmp_path: Path) -> None:
    whole = constant("a", (2,), [1.0, 2.0]) + constant("b", (1,), [3.0])
    for i in range(len(whole)):
        for data in (whole[:i], whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :]):
            try:
                nodes = read_graph(placed(tmp_path, data))
            except BadInput:
                continue
            assert nodes is None or len(nodes) <= 2

"""Faults planted into files of a bundle, whose checksums and manifest are then made right again.

What a writer or a converter might do wrong: a dead channel, a channel's scale, two channels in each other's place, a
flipped sign, one bias, a layer of zeros. Layers are those that hold weights: convolutions of every kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from clearport.bundle import folder as bundle
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import ArtifactRecord
from clearport.disk import files
from device_tests.fault_layers import LAYERS, Layer

Array = npt.NDArray[Any]
Random = np.random.Generator
TARGETS = ("onnxruntime", "openvino", "tflite")
"""Targets whose files faults are planted in."""


def dead_channel(layer: Layer, channel: int, other: int) -> None:
    del other
    layer.weight[channel] = 0
    if layer.bias is not None:
        layer.bias[channel] = 0


def wrong_scale(layer: Layer, channel: int, other: int) -> None:
    """A channel's weights count one and a half times: by their scale, where they have one."""
    del other
    if layer.scales is not None and layer.scales.size > 1:
        layer.scales[channel] *= 1.5
    else:
        limit = np.iinfo(layer.weight.dtype).max if layer.weight.dtype.kind == "i" else np.inf
        layer.weight[channel] = np.clip(layer.weight[channel].astype(np.float32) * 1.5, -limit, limit)


def swapped_channels(layer: Layer, channel: int, other: int) -> None:
    for array in filter(lambda a: a is not None, (layer.weight, layer.bias, layer.scales)):
        if array.size > 1:
            array[[channel, other]] = array[[other, channel]]


def flipped_sign(layer: Layer, channel: int, other: int) -> None:
    del other
    layer.weight[channel] *= -1


def wrong_bias(layer: Layer, channel: int, other: int) -> None:
    """That of another channel, with the other sign."""
    if layer.bias is not None:
        layer.bias[channel] = -layer.bias[other] - np.sign(layer.bias[other]) * np.abs(layer.bias).mean()


def zero_layer(layer: Layer, channel: int, other: int) -> None:
    del channel, other
    layer.weight[:] = 0


KINDS: dict[str, Callable[[Layer, int, int], None]] = {
    "dead channel": dead_channel,
    "wrong scale": wrong_scale,
    "swapped channels": swapped_channels,
    "flipped sign": flipped_sign,
    "wrong bias": wrong_bias,
    "zero layer": zero_layer,
}


def flipped_bias(layer: Layer, channel: int, other: int) -> None:
    """Of the whole layer."""
    del channel, other
    if layer.bias is not None:
        layer.bias *= -1


def transposed_kernel(layer: Layer, channel: int, other: int) -> None:
    """Height and width of each kernel in each other's place: the last two axes, or those before the last."""
    del channel, other
    axes = (2, 3) if layer.weight.shape[2] == layer.weight.shape[3] > 1 else (1, 2)
    if layer.weight.shape[axes[0]] == layer.weight.shape[axes[1]]:
        layer.weight[:] = np.swapaxes(layer.weight, *axes).copy()


LAYER_KINDS = {
    "wrong scale": wrong_scale,
    "permuted channel": swapped_channels,
    "flipped bias": flipped_bias,
    "transposed kernel": transposed_kernel,
}
"""What ``diagnose`` is tried on, beside ``round_twice``."""


def round_twice(path: Path, random: Random) -> str:
    """Round what a layer of a ``.onnx`` file writes to a coarser grid before its own; the tensor."""
    model = onnx.load(path)
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    rounded = [n for n in model.graph.node if n.op_type == "QuantizeLinear" and arrays[n.input[1]].size == 1]
    node = rounded[int(random.integers(len(rounded)))]
    scale = np.float32(1.4 * arrays[node.input[1]])
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(scale), f"{node.name}.coarse"))
    ends = [f"{node.name}.coarse", node.input[2]]
    place = list(model.graph.node).index(node)
    twice = [
        onnx.helper.make_node("QuantizeLinear", [node.input[0], *ends], [f"{node.name}.first"]),
        onnx.helper.make_node("DequantizeLinear", [f"{node.name}.first", *ends], [f"{node.name}.again"]),
    ]
    for number, new in enumerate(twice):
        model.graph.node.insert(place + number, new)
    node.input[0] = f"{node.name}.again"
    onnx.save(model, path)
    return node.output[0].removesuffix(".q")


@dataclass(frozen=True)
class Fault:
    """What was planted where: in several layers where a file keeps their numbers once."""

    artifact: str
    kind: str
    layers: tuple[str, ...]
    channel: int

    def __str__(self) -> str:
        return f"{self.artifact}: {self.kind} in {', '.join(self.layers)}, channel {self.channel}"


def plant(
    place: Bundle,
    record: ArtifactRecord,
    kind: str,
    random: Random,
    kinds: Mapping[str, Callable[[Layer, int, int], None]] = KINDS,
) -> Fault | None:
    """Plant a fault of a kind at a random place of an artifact; None where it would leave the file as it is."""
    path = place.folder / record.path
    read = LAYERS[record.target]
    layers, save = read(path)
    layer = layers[int(random.integers(len(layers)))]
    channel, other = (int(n) for n in random.choice(len(layer.weight), 2, replace=len(layer.weight) < 2))
    arrays = layer.arrays
    before = [array.copy() for array in arrays]
    kinds[kind](layer, channel, other)
    changed = [new for old, new in zip(before, arrays, strict=True) if not np.array_equal(old, new)]
    if not changed:
        return None
    save()
    shared = (each.name for each in layers if any(np.may_share_memory(a, b) for a in each.arrays for b in changed))
    return Fault(record.key, kind, tuple(shared), channel)


def sign_again(place: Bundle) -> Bundle:
    """Checksums and sizes of all files made right, as by somebody who knows the format."""
    records = tuple(
        a.model_copy(
            update={"sha256": files.digest(place.folder / a.path), "bytes": files.size_bytes(place.folder / a.path)}
        )
        for a in place.artifacts
    )
    return bundle.write(place.folder, place.manifest.model_copy(update={"artifacts": records}))

"""The state of one ncnn model under construction: what rules read from and write to.

ncnn has no batch: a value of ONNX shape (1, C, H, W) is a blob (C, H, W). Every tensor loses its first axis if its size
is 1, and keeps it otherwise (as for attention windows); a blob has at most four axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clearport.errors import BadInput, UnsupportedOperator
from clearport.export.half import fits_half, weighs
from clearport.export.ncnn.file import NcnnFile, Setting, plain, tagged
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array, Graph

Dims = tuple[int | None, ...]
"""Sizes of a blob's axes, outermost first; None if dynamic."""

TARGET_NAME = "ncnn"
FREE = -233
"""ncnn's value for an unspecified size, and for the end of an axis."""
_FEW = 256
"""Up to this many weights stay float32 in fp16 files: they cost nothing, and may be a tone curve's (iagc: 55 dB)."""
_TAGGED = 21
"""MemoryData's parameter: 0 if its data begin with a tag."""
_SIZE_KEYS = ((0,), (1, 0), (2, 1, 0), (2, 11, 1, 0))
"""Parameters with the sizes of a blob of one to four axes (Reshape, MemoryData, Input), outermost first."""


class Lowering:
    """The lowering of one graph into one model. ``half``: weights are stored as float16."""

    def __init__(self, graph: Graph, half: bool) -> None:
        self.graph = graph
        self.file = NcnnFile()
        self._half = half
        self._blobs: dict[str, str] = {}
        self._absorbed: set[str] = set()
        self._held: dict[tuple[str, Dims], str] = {}
        for value, spec in zip(graph.model.graph.inputs, graph.inputs, strict=True):
            dims = self.dims(value)
            if spec.kind == "index" or not 1 <= len(dims) <= len(_SIZE_KEYS):
                raise BadInput(
                    f"{TARGET_NAME}: unsupported input {spec.name!r} ({spec.kind}, shape {spec.shape}): blobs hold "
                    "real numbers on one to four axes"
                )
            sizes = sized([n if n is not None else FREE for n in dims])
            self._blobs[spec.name] = self.file.layer("Input", spec.name, (), spec.name, sizes)

    def absorbed(self, node: ir.Node) -> bool:
        """Whether the node was fused into a preceding operator."""
        return graphs.name_of(node.outputs[0]) in self._absorbed

    def dims(self, value: ir.Value) -> Dims:
        """The sizes of a value's blob."""
        shape = self.shape(value) or (1,)  # a scalar is a blob of size 1
        return shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape

    def shape(self, value: ir.Value) -> Dims:
        """The sizes of a value in the graph."""
        held = graphs.constant(value)
        if held is not None:
            return held.shape
        if value.shape is None:
            raise graphs.MalformedGraph(f"the rank of {value.name!r} is unknown")
        return tuple(n if isinstance(n, int) else None for n in value.shape)

    def whole(self, node: ir.Node, value: ir.Value) -> tuple[int, ...]:
        """The sizes of a value's blob, all of them known.

        Raises:
            UnsupportedOperator: the graph was made for any size.
        """
        return known(node, self.dims(value))

    def blob(self, node: ir.Node, index: int = 0) -> str:
        """The blob of a computed input.

        Raises:
            UnsupportedOperator: it is a constant, or a size computed from the picture's.
        """
        value = graphs.need(node, index)
        if graphs.constant(value) is not None:
            raise refuse(node, f"its input {index} is a constant")
        if graphs.name_of(value) not in self._blobs:
            raise refuse(node, f"its input {index} is computed from the input size: give --size HEIGHTxWIDTH")
        return self.of(value)

    def picture(self, node: ir.Node) -> str:
        """The blob of input 0, for spatial layers.

        Raises:
            UnsupportedOperator: it is not one picture (1, C, H, W): ncnn would take other axes for height and width.
        """
        blob, value = self.blob(node), graphs.need(node, 0)
        if len(self.shape(value)) != 4 or len(self.dims(value)) != 3:
            sizes = " x ".join("?" if n is None else str(n) for n in self.shape(value))
            raise refuse(node, f"its input is {sizes}: ncnn has no batch axis and expects one 4-D picture here")
        return blob

    def of(self, value: ir.Value) -> str:
        """The blob of a computed value."""
        return self._blobs[graphs.name_of(value)]

    def axis(self, node: ir.Node, value: ir.Value, axis: int) -> int:
        """The blob axis that corresponds to an axis of a tensor.

        Raises:
            UnsupportedOperator: the blob lacks this axis.
        """
        shape = self.shape(value)
        place = axis % len(shape) - (len(shape) - len(self.dims(value)))
        if place < 0:
            raise refuse(node, "it operates on the batch axis, which ncnn does not have")
        return place

    def write(
        self,
        node: ir.Node,
        kind: str,
        inputs: Sequence[str],
        settings: Mapping[int, Setting] | None = None,
        weights: Sequence[bytes] = (),
        gives: Dims | None = None,
    ) -> str:
        """Append the layer that computes the node's output; returns the name of its blob.

        ``gives`` are the sizes of the layer's own output if they may differ from the node's.
        """
        wanted = self.dims(node.outputs[0])
        if gives is not None and gives != wanted:
            raw = self.between(node, "raw", kind, inputs, settings, weights)
            kind, inputs, settings, weights = "Reshape", [raw], sized(known(node, wanted)), ()
        name = self._result(node)
        return self.bind(node, self.file.layer(kind, layer_of(node), inputs, name, settings, weights))

    def write_each(
        self, node: ir.Node, kind: str, settings: Mapping[int, Setting], weights: Sequence[bytes] = ()
    ) -> str:
        """Append a per-channel layer; a batch's channels are concatenated."""
        if self.count(node) == 1:
            return self.write(node, kind, [self.picture(node)], settings, weights)
        have = self.whole(node, graphs.need(node, 0))
        flat = self.reshaped(node, "pictures", self.blob(node), have, (have[0] * have[1], *have[2:]))
        after = known(node, self.shape(node.outputs[0]))
        return self.write(node, kind, [flat], settings, weights, (after[0] * after[1], *after[2:]))

    def count(self, node: ir.Node) -> int:
        """Batch size of input 0; 1 if unknown."""
        shape = self.shape(graphs.need(node, 0))
        return shape[0] or 1 if len(shape) == 4 else 1

    def between(
        self,
        node: ir.Node,
        what: str,
        kind: str,
        inputs: Sequence[str],
        settings: Mapping[int, Setting] | None = None,
        weights: Sequence[bytes] = (),
    ) -> str:
        """Append an intermediate layer of the node; ``what`` makes its name unique."""
        name = f"{graphs.name_of(node.outputs[0])}/{what}"
        return self.file.layer(kind, f"{layer_of(node)}/{what}", inputs, name, settings, weights)

    def bind(self, node: ir.Node, blob: str) -> str:
        """Register ``blob`` as the node's output."""
        self._blobs[graphs.name_of(node.outputs[0])] = blob
        return blob

    def absorb(self, follower: ir.Node) -> None:
        """Fuse ``follower``, the only consumer of the node, so that the node writes ``follower``'s output."""
        self._absorbed.add(graphs.name_of(follower.outputs[0]))
        self._blobs[graphs.name_of(follower.outputs[0])] = graphs.name_of(follower.outputs[0])

    def _result(self, node: ir.Node) -> str:
        follower = graphs.only_consumer(node.outputs[0])
        last = follower if follower is not None and self.absorbed(follower) else node
        return graphs.name_of(last.outputs[0])

    def reshaped(self, node: ir.Node, what: str, blob: str, have: Dims, want: Sequence[int]) -> str:
        """A blob reshaped to other sizes; the same blob if they are equal."""
        if have == tuple(want):
            return blob
        return self.between(node, what, "Reshape", [blob], sized(want))

    def weights(self, array: Array) -> bytes:
        """Weights as the file stores them."""
        return tagged(array, self._half and array.size > _FEW and fits_half(array))

    def operand(self, node: ir.Node, index: int, rank: int) -> str:
        """Input ``index`` as a blob of ``rank`` axes, so that it broadcasts against others of that rank as in ONNX."""
        value = graphs.need(node, index)
        held = graphs.constant(value)
        shape = self.shape(value)
        padding = rank - len(shape)
        want = (1,) * padding + shape if padding >= 0 else shape[-padding:]
        if padding < 0 and any(n != 1 for n in shape[:-padding]):
            raise refuse(node, f"an operand of shape {shape} does not broadcast to rank {rank}")
        if held is not None:
            key = graphs.name_of(value), want
            if key not in self._held:
                self._held[key] = self.memory(node, f"operand{index}", held.reshape(known(node, want)))
            return self._held[key]
        have = self.dims(value)
        return (
            self.of(value)
            if have == want
            else self.reshaped(node, f"operand{index}", self.of(value), have, known(node, want))
        )

    def memory(self, node: ir.Node, what: str, array: Array, *, exact: bool = False) -> str:
        """A blob with a constant; ``exact`` ones are float32 in every file."""
        if not 1 <= array.ndim <= len(_SIZE_KEYS):
            raise refuse(node, f"a constant of shape {array.shape}: ncnn supports ranks 1 to 4")
        sizes = sized(array.shape)
        if self._half and not exact and weighs(node):
            return self.between(node, what, "MemoryData", (), {**sizes, _TAGGED: 0}, [self.weights(array)])
        return self.between(node, what, "MemoryData", (), sizes, [plain(array)])


def sized(dims: Sequence[int]) -> dict[int, Setting]:
    """The parameters with a blob's sizes."""
    return dict(zip(_SIZE_KEYS[len(dims) - 1], dims, strict=True))


def known(node: ir.Node, dims: Dims) -> tuple[int, ...]:
    """Sizes, all of which are known.

    Raises:
        UnsupportedOperator: one depends on the size of the picture.
    """
    if any(n is None for n in dims):
        raise refuse(node, "it needs a fixed size: give --size HEIGHTxWIDTH")
    return tuple(n for n in dims if n is not None)


def layer_of(node: ir.Node) -> str:
    """A node's name, or else its output's name."""
    return node.name or graphs.name_of(node.outputs[0])


def refuse(node: ir.Node, why: str) -> UnsupportedOperator:
    """The error for a ``node`` that ncnn does not support."""
    return UnsupportedOperator(TARGET_NAME, node.op_type, layer_of(node), why)

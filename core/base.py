"""Value types that stages exchange.

Values are frozen: a stage creates a new value and never mutates its input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clearport.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    Array = npt.NDArray[Any]
    Float32 = npt.NDArray[np.float32]

Task = Literal[
    "super-resolution",
    "deraining",
    "low-light",
    "hdr",
    "watermarking",
    "deepfake-detection",
    "translation",
    "generation",
    "matting",
    "inversion",
    "other",
]
Precision = Literal["fp32", "fp16", "int8", "int8-weights", "int8a16"]
Layout = Literal["NCHW", "NHWC"]
IODType = Literal["uint8", "int8", "float32"]
Prefer = Literal["balanced", "quality", "speed"]
Scale = int | Fraction
"""Output size over input size."""
Kind = Literal["picture", "map", "vector", "scalar", "index", "state", "bits"]
Measure = Literal["pixels", "logits", "probabilities", "classes", "flow", "relative"]
Transfer = Literal["", "gamma-2.2"]

_MEASURES: dict[Kind, Measure] = {"picture": "pixels", "index": "classes", "bits": "classes"}
"""Default distance measure by kind; all other kinds use relative errors."""

USUAL_PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-weights")
PRECISIONS: tuple[Precision, ...] = (*USUAL_PRECISIONS, "int8a16")
"""``int8a16`` is written on request only: it is for Qualcomm's HTP, and no faster than fp32 on CPUs."""
FLOAT_PRECISIONS: frozenset[Precision] = frozenset({"fp32", "fp16"})
"""Precisions that are written from the float graph."""


@dataclass(frozen=True)
class Size:
    """A spatial size in pixels. ``Size.parse("360x640")`` reads HEIGHTxWIDTH."""

    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> Size | None:
        """``HEIGHTxWIDTH`` in pixels, or ``dynamic`` (None).

        Raises:
            BadInput: the text is neither.
        """
        if text.strip().lower() == "dynamic":
            return None
        match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text.lower().strip())
        if match is None:
            raise BadInput(f"--size {text!r}: expected HEIGHTxWIDTH in pixels, as in 360x640, or 'dynamic'")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


@dataclass(frozen=True)
class TensorSpec:
    """The contract of one input or output: its kind, and the meaning of its values.

    A real value is ``(q - zero_point) * scale`` for integer dtypes, and the number itself for floats.

    Attributes:
        name: the tensor's name in the file.
        shape: an int per axis, or a symbol such as ``"H"``, ``"2*H"`` or ``"H/8"`` for a dynamic axis.
        dtype: NumPy's dtype name.
        layout: the axis order of a 4-D tensor; meaningless for others.
        color: the channels of a picture: ``RGB``, ``BGR``, ``RGBA``, ``BGRA``, ``Y`` (luma or gray), ``YA``, or another
            word for other channels (``RAW``). A file and its graph expect these channels.
        value_range: minimum and maximum real value; for a picture, those of black and full intensity. None if no bounds
            are known; a picture always has a range.
        scale, zero_point: for integer dtypes that represent real values; an index has none.
        kind: ``picture``: (1, C, H, W) of intensities. ``map``: per-pixel values other than intensities (mask, depth,
            flow, curve). ``vector``: logits, an embedding. ``scalar``: one number. ``index``: class or token indices.
            ``state``: recurrent state for the next step. ``bits``: a vector of 0 and 1, as real values.
        measure: the distance measure between two such tensors; None: by ``kind`` (``judged_by``).
        mean, std: per channel, if the network expects ``(value - mean) / std`` of a picture. Export folds them in, so
            that files accept plain pictures; after the passes a graph has none.
        transfer: for high-dynamic-range maps, how values encode linear light: ``gamma-2.2``: light is
            ``value ** 2.2``, 1 at the upper end of the range (``pictures.light``). Its values have more than 8 bits.
        labels: class names, for logits or probabilities.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"
    layout: Layout = "NCHW"
    color: str = "RGB"
    value_range: tuple[float, float] | None = (0.0, 255.0)
    scale: float | None = None
    zero_point: int | None = None
    kind: Kind = "picture"
    measure: Measure | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    transfer: Transfer = ""
    labels: tuple[str, ...] = ()

    @property
    def span(self) -> tuple[float, float]:
        """``value_range``, which every picture has.

        Raises:
            ValueError: it has none.
        """
        if self.value_range is None:
            raise ValueError(f"{self.kind} {self.name!r} has no range of values")
        return self.value_range

    @property
    def pixel_step(self) -> float:
        """The real-valued distance between two neighboring 8-bit levels of a picture."""
        return (self.span[1] - self.span[0]) / 255.0

    @property
    def is_picture(self) -> bool:
        """Whether the tensor holds intensities, which 8-bit levels represent exactly."""
        return self.kind == "picture"

    @property
    def judged_by(self) -> Measure:
        """The distance measure: ``measure``, or the default of its kind."""
        return self.measure or _MEASURES.get(self.kind, "relative")

    @property
    def channels(self) -> int | None:
        """The size of the channel axis of a 4-D tensor; None for others, or if it is dynamic."""
        size = self.shape[3 if self.layout == "NHWC" else 1] if len(self.shape) == 4 else None
        return size if isinstance(size, int) else None

    @property
    def dynamic(self) -> bool:
        """Whether an axis is dynamic."""
        return any(isinstance(n, str) for n in self.shape)

    def with_dtype(self, dtype: str, scale: float | None, zero_point: int | None, layout: Layout) -> TensorSpec:
        """The same picture with another dtype and layout (which permutes the shape)."""
        shape = self.shape
        if layout != self.layout and len(shape) == 4:
            order = (0, 2, 3, 1) if layout == "NHWC" else (0, 3, 1, 2)
            shape = tuple(shape[i] for i in order)
        return replace(self, shape=shape, dtype=dtype, scale=scale, zero_point=zero_point, layout=layout)


def scale_word(scale: Scale) -> str:
    """A scale for messages and file names: ``3``, ``1.5``, or ``4-3`` for non-terminating decimals."""
    if isinstance(scale, int) or scale.denominator == 1:
        return str(int(scale))
    decimal = f"{float(scale):g}"
    return decimal if Fraction(decimal) == scale else f"{scale.numerator}-{scale.denominator}"


@dataclass(frozen=True)
class Origin:
    """Origin of a graph's layer in the user's source.

    Attributes:
        module: the module of the PyTorch network (``body.0.conv``; empty: the network itself), or the node of the file.
        file, line: the line of Python that computes it, where PyTorch recorded one outside its own modules; else ""
            and 0.
    """

    module: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Graph:
    """A checked float ONNX model in clearport's dialect, with the contract of its inputs and outputs.

    ``model`` is an ``onnx_ir.Model`` with static or symbolic H and W, NCHW, opset 20, initializers for every weight, no
    metadata of the machine that made it. ``inputs`` and ``outputs`` are in the
    model's order. Treat it as immutable: a pass works on a clone (``model.clone()``) and returns a new Graph.
    ``history`` names the passes that were applied, ``least_side`` is the smallest height and width in pixels, and
    ``credits`` has the network's ``task``, ``paper``, ``url`` and ``license``, if known. ``origins`` maps layer names
    to their origins, as far as known.
    """

    model: ir.Model
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    spec_name: str
    scale: Scale
    history: tuple[str, ...] = ()
    least_side: int = 8
    credits: Mapping[str, str] = field(default_factory=dict, hash=False)
    origins: Mapping[str, Origin] = field(default_factory=dict, hash=False, compare=False)

    @property
    def stem(self) -> str:
        """The base name of the network's files: ``<network>_x<scale>``."""
        return f"{self.spec_name}_x{scale_word(self.scale)}"

    @property
    def input(self) -> TensorSpec:
        """The first picture among the inputs, or the first input: it determines the network's size."""
        return next((spec for spec in self.inputs if spec.is_picture), self.inputs[0])

    @property
    def output(self) -> TensorSpec:
        """The first picture among the outputs, or the first output."""
        return next((spec for spec in self.outputs if spec.is_picture), self.outputs[0])


@dataclass(frozen=True)
class Options:
    """The user's export options that targets need."""

    size: Size | None = Size(360, 640)
    io: IODType = "uint8"


@dataclass(frozen=True)
class Artifact:
    """A file (or a folder such as an .mlpackage) that was written by a target.

    ``path`` is absolute while in memory; the bundle stores it relative. ``sha256`` is that of the file, or of the
    sorted listing of a folder (see ``clearport.disk.files.digest``). ``variant`` tells artifacts of the same target
    and precision apart (for example ``"image"`` and ``"tensor"`` of Core ML, ``"ort"`` of ONNX Runtime).
    """

    target: str
    precision: Precision
    path: Path
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tool_versions: Mapping[str, str]
    variant: str = ""

    @property
    def key(self) -> str:
        """``target/precision[/variant]``, unique in a bundle."""
        return "/".join(filter(None, (self.target, self.precision, self.variant)))


@dataclass(frozen=True)
class Skipped:
    """An artifact or measurement that was not made: a value with a reason, never a blank and never a pass."""

    what: str
    reason: str

"""What there is to know of an ONNX operator.

A family's file (``convolution.py``, ``pools.py`` ...) holds the records of its operators; the quantizer, the targets,
the passes and the sizes of a graph ask the record (``table.of(node)``) and name no operator themselves. Functions that
need heavy packages are named ``"module:function"`` and imported when they are first called.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fractions import Fraction

    import onnx_ir as ir

    from clearport.operators.case import Case
    from clearport.quantized import QParams

    Stride = Callable[[ir.Node, Fraction, Mapping[str, Fraction], int], Fraction]
    Test = Callable[[ir.Node], bool]

Function = str | Callable[..., Any]
"""A function, or where it is found: ``"module:function"``."""

Kind = Literal[
    "binary",  # element by element, of several operands that are broadcast
    "convolution",
    "matrix",
    "mover",  # every element of the output is one of an input
    "normalization",
    "other",
    "pool",
    "quantization",
    "reduction",
    "resize",
    "shape",  # writes the shape of a value
    "unary",  # element by element, of one operand
]


Place = Literal["htp", "webgpu", "webnn"]

PLACES: Mapping[Place, str] = {
    "htp": "docs/execution_providers/QNN-ExecutionProvider.md of onnxruntime-qnn, and its release notes up to 2.7.0",
    "webgpu": "onnxruntime/core/providers/webgpu/webgpu_execution_provider.cc of onnxruntime (003f772b)",
    "webnn": "js/web/docs/webnn-operators.md of onnxruntime (1aecb414)",
}
"""Accelerators that run a target's files and choose operators by themselves, and where it is written which they take:
Qualcomm's Hexagon, and in browsers the GPU and WebNN, all three by ONNX Runtime."""


def resolved(function: Function) -> Callable[..., Any]:
    """The function itself."""
    return _imported(function) if isinstance(function, str) else function


@functools.cache
def _imported(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _never(node: ir.Node) -> bool:
    del node
    return False


@dataclass(frozen=True)
class Rule:
    """How one target writes an operator.

    Attributes:
        write: called with the target's ``Lowering`` and the node (Core ML: and the name of the result).
        settings: keyword arguments of ``write``, such as the name of the target's kernel.
        since: Core ML: a function of the node that gives the first iOS whose operator set has what ``write`` writes.
        fused: ncnn: a function of the node that gives the settings with which the convolution before it computes it,
            or None.
    """

    write: Function
    settings: Mapping[str, Any] = field(default_factory=dict)
    since: Function | None = None
    fused: Function | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Write a node."""
        return resolved(self.write)(*arguments, **self.settings)


@dataclass(frozen=True)
class Int8:
    """The int8 form of an operator, the same on every target and in the QDQ model.

    Attributes:
        output: what decides the scale of the output. ``own``: its range, so that it saturates for a clamp that
            follows; ``shared``: it is that of the inputs; ``clamp``: the bounds of this clamp; ``anew``: the table.
        grid: the output's parameters where TFLite's specification fixes them.
        constants: inputs that must be constants.
        rounds_constants: whether constant operands are rounded like activations: int8, symmetric, one scale.
        when: what else must hold of a node.
    """

    output: Literal["own", "shared", "clamp", "anew"] = "own"
    grid: QParams | None = None
    constants: tuple[int, ...] = ()
    rounds_constants: bool = False
    when: Test | None = None

    @property
    def saturates(self) -> bool:
        """Whether the range of the output can do the work of a clamp that follows."""
        return self.output == "own" and self.grid is None


@dataclass(frozen=True)
class Kernel:
    """An operator of TFLite that no table of ``export/tflite`` knows.

    Attributes:
        name: as in the schema's ``BuiltinOperator``.
        versions: the first TFLite runtime that has its version 1, 2, 3 ...
        float32, int8: the first API level whose NNAPI takes it; None: none does.
        int8_version: its lowest version that takes int8.
    """

    name: str
    versions: tuple[str, ...]
    float32: int | None = None
    int8: int | None = None
    int8_version: int = 1


@dataclass(frozen=True)
class Operator:
    """One ONNX operator.

    Attributes:
        name: ONNX's.
        kind: the family of operators that it behaves like.
        int8: its int8 form; None: it computes in float.
        moves_data: whether every number that it gives is one that it took.
        homogeneous: whether f(s x) = s f(x) for s > 0, for each channel.
        jumps: whether its output jumps where its input hardly changes.
        combines: whether it adds or multiplies its operands.
        per_channel: whether it computes each channel from the same channel alone; a function of the node, None: no.
        transposed: of a convolution: the weight is (inputs, outputs of one group, height, width).
        not_data: inputs that say how, and are no data.
        stride: the stride of the output from that of the input; None: the same.
        reach: how far an output pixel looks (a function of ``reach.py``, or like them); None: as its kind says.
        fits_one_size: whether the node holds a spatial size as a constant.
        tflite, mil, ncnn, coreai: how these targets write it; None: they refuse it.
        kernels: TFLite's operators that only this record knows.
        reference: MIL operations that only this record knows -> how Core ML programs with it are evaluated.
        openvino: OpenVINO's operations for it, where somebody must know them.
        cases: small graphs that every target computes as ONNX Runtime does, or refuses as they say.
        elsewhere: accelerators that take it, each with what must hold of a node (``PLACES``).
        torch: computes it in PyTorch, called with the node and its operands (tensors, None where left out).
    """

    name: str
    kind: Kind
    int8: Int8 | None = None
    moves_data: bool = False
    homogeneous: bool = False
    jumps: bool = False
    combines: Literal["sum", "product"] | None = None
    per_channel: Test | None = None
    transposed: bool = False
    not_data: tuple[int, ...] = ()
    stride: Stride | None = None
    reach: Function | None = None
    fits_one_size: Test = _never
    tflite: Rule | None = None
    mil: Rule | None = None
    ncnn: Rule | None = None
    coreai: Rule | None = None
    kernels: tuple[Kernel, ...] = ()
    reference: Mapping[str, Function] = field(default_factory=dict)
    openvino: tuple[str, ...] = ()
    elsewhere: Mapping[Place, Test] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()
    torch: Rule | None = None

    @property
    def elementwise(self) -> bool:
        """Whether it computes each element from the same element of its operands."""
        return self.kind in {"unary", "binary"}

    @property
    def shares_scale(self) -> bool:
        """Whether its int8 output has the scale and zero point of its inputs."""
        return self.int8 is not None and self.int8.output == "shared"


def reaching(name: str) -> str:
    """The function ``name`` of ``reach.py``."""
    return f"clearport.operators.reach:{name}"


def tflite(place: str, **settings: Any) -> Rule:
    """The rule ``place`` (``file:function``) of ``export/tflite/ops_<file>.py``."""
    return Rule(f"clearport.export.tflite.ops_{place}", settings)


def mil(place: str, since: str | None = None, **settings: Any) -> Rule:
    """The rule ``place`` (``file:function``) of ``export/coreml``."""
    folder = "clearport.export.coreml"
    return Rule(f"{folder}.{place}", settings, since=since and f"{folder}.{since}")


def ncnn(place: str, fused: str | None = None, **settings: Any) -> Rule:
    """The rule ``place`` (``file:function``) of ``export/ncnn``."""
    folder = "clearport.export.ncnn"
    return Rule(f"{folder}.{place}", settings, fused=fused and f"{folder}.{fused}")


def in_torch(name: str, **settings: Any) -> Rule:
    """The form ``name`` of ``quantize/calibration/torch_form.py``."""
    return Rule(f"clearport.quantize.calibration.torch_form:{name}", settings)


def coreai(place: str, **settings: Any) -> Rule:
    """The rule ``place`` (``file:function``) of ``export/coreai``."""
    return Rule(f"clearport.export.coreai.{place}", settings)


def always(node: ir.Node) -> bool:
    """True of any node."""
    del node
    return True


def listed(*places: Place, **tests: Test) -> Mapping[Place, Test]:
    """``Operator.elsewhere``: places that take any node of an operator, and those that take some."""
    return {**dict.fromkeys(places, always), **tests}  # type: ignore[dict-item]  # keywords are places, too

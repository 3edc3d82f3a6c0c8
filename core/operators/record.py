"""The record type of an ONNX operator.

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
"""A function, or its import path ``"module:function"``."""

Kind = Literal[
    "binary",  # elementwise, several operands with broadcasting
    "convolution",
    "matrix",
    "mover",  # quantization-agnostic: every output element is an input element
    "normalization",
    "other",
    "pool",
    "quantization",
    "reduction",
    "resize",
    "shape",  # outputs a tensor's shape
    "unary",  # elementwise, one operand
]


Place = Literal["htp", "webgpu", "webnn"]

PLACES: Mapping[Place, str] = {
    "htp": "docs/execution_providers/QNN-ExecutionProvider.md of onnxruntime-qnn, and its release notes up to 2.7.0",
    "webgpu": "onnxruntime/core/providers/webgpu/webgpu_execution_provider.cc of onnxruntime (003f772b)",
    "webnn": "js/web/docs/webnn-operators.md of onnxruntime (1aecb414)",
}
"""Accelerators that partition graphs themselves -> documentation of their supported operators: Qualcomm's Hexagon, and
browser GPU and WebNN, all three through ONNX Runtime."""


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
    """Conversion rule of an operator for one target.

    Attributes:
        write: called with the target's ``Lowering`` and the node (Core ML: and the name of the result).
        settings: keyword arguments of ``write``, such as the name of the target's kernel.
        since: Core ML: a function of the node that returns the first iOS version with the operations that ``write``
            emits.
        fused: ncnn: a function of the node that returns the parameters that fuse it into the preceding convolution, or
            None.
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
        output: source of the output's scale. ``own``: the output's range, which also implements a following clamp by
            saturation; ``shared``: the inputs' scale; ``clamp``: the bounds of this clamp; ``anew``: the table.
        grid: the output's parameters where TFLite's specification fixes them.
        constants: inputs that must be constants.
        rounds_constants: whether constant operands are rounded like activations: int8, symmetric, one scale.
        when: further condition on the node.
    """

    output: Literal["own", "shared", "clamp", "anew"] = "own"
    grid: QParams | None = None
    constants: tuple[int, ...] = ()
    rounds_constants: bool = False
    when: Test | None = None

    @property
    def saturates(self) -> bool:
        """Whether the output's range can replace a following clamp."""
        return self.output == "own" and self.grid is None


@dataclass(frozen=True)
class Kernel:
    """A TFLite operator that the tables of ``export/tflite`` lack.

    Attributes:
        name: as in the schema's ``BuiltinOperator``.
        versions: the first TFLite runtimes that have its versions 1, 2, 3 ...
        float32, int8: the first API level whose NNAPI supports it; None: none.
        int8_version: its lowest version that supports int8.
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
        name: ONNX's name.
        kind: the family of operators with the same behavior.
        int8: its int8 form; None: it computes in float.
        moves_data: whether every output element is an unchanged input element.
        homogeneous: whether f(s x) = s f(x) for s > 0, for each channel.
        jumps: whether it is discontinuous: tiny changes of its input can change its output much.
        combines: whether it adds or multiplies its operands.
        per_channel: whether each output channel depends on the same input channel only; a function of the node, None:
            no.
        transposed: for convolutions: the weight is (inputs, outputs of one group, height, width).
        not_data: indices of inputs that are parameters (shapes, axes, pads), not data.
        stride: function from the input's stride to the output's; None: unchanged.
        reach: receptive field of an output pixel (a function of ``reach.py``, or similar); None: follows from ``kind``.
        fits_one_size: whether the node holds a spatial size as a constant.
        tflite, mil, ncnn, coreai: conversion rules of these targets; None: they refuse it.
        kernels: TFLite operators that only this record knows.
        reference: MIL operations that only this record knows -> their evaluators.
        openvino: OpenVINO's operations for it, if needed.
        cases: small graphs that every target computes like ONNX Runtime, or refuses as they say.
        elsewhere: accelerators that support it -> condition on the node (``PLACES``).
        torch: evaluates it in PyTorch, called with the node and its operands (tensors, None if omitted).
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
        """Whether it is elementwise."""
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
    """True for any node."""
    del node
    return True


def listed(*places: Place, **tests: Test) -> Mapping[Place, Test]:
    """``Operator.elsewhere`` from places that support any node of an operator, and places that support some nodes."""
    return {**dict.fromkeys(places, always), **tests}  # type: ignore[dict-item]  # keywords are places, too

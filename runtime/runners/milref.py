"""A reference evaluator of saved Core ML programs, for machines without Core ML.

It reads the ``.mlpackage`` from disk and computes its operators in PyTorch as their documentation specifies: evidence,
on any system, that the file encodes the right computation. It is not Core ML, and its latency is not that of any
device.

The image variant's inputs and outputs are uint8 RGB (1, H, W, 3); outputs are clipped to 0..255 and rounded. The tensor
variant's are float32 (1, 3, H, W).

Options:
    taps: int8 tensors to output additionally (``steps.taps``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.errors import RuntimeFailure
from clearport.runtime.coreml_reference.program import Feature, Name, Operation, Program, read
from clearport.runtime.steps import taps as tapped
from clearport.runtime.steps.taps import PREFIX, unsigned

if TYPE_CHECKING:
    from torch import Tensor

    from clearport.base import Array
    from clearport.runtime.steps.taps import Taps


class MilReference:
    """An opened package. Constants are expanded once, here. ``taps``: int8 tensors to output additionally."""

    def __init__(self, path: Path, threads: int, taps: Taps | None = None) -> None:
        import torch

        from clearport.runtime.coreml_reference.ops import rule_for

        torch.set_num_threads(threads)
        self._program: Program = read(path)
        steps = [(op, rule_for(op)) for op in self._program.operations]
        self._constants: dict[str, Any] = {}
        for op, rule in steps:
            if op.type.startswith("const"):
                self._constants[op.result.name] = _evaluate(op, rule, self._constants)
        self._steps = [(op, rule) for op, rule in steps if not op.type.startswith("const")]
        written = {op.result.name for op, _ in self._steps if op.type == "quantize"}
        named = {f"{_plain(name)}_int8": name for name in taps or ()}
        self._taps = {written_as: name for written_as, name in named.items() if written_as in written}
        self._last_use = _last_uses([op for op, _ in self._steps], (*self._program.returns, *self._taps))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One evaluation.

        Raises:
            RuntimeFailure: an input is missing, or its type or size is not one that the model declares.
        """
        import torch

        values = dict(self._constants)
        for feature in self._program.inputs:
            values[feature.name] = _take(feature, inputs, self._program.input_types[feature.name])
        with torch.inference_mode():
            for index, (op, rule) in enumerate(self._steps):
                values[op.result.name] = _evaluate(op, rule, values)
                for name in self._last_use.get(index, ()):
                    del values[name]
        return {
            **{f.name: _give(f, values[f.name]) for f in self._program.outputs},
            **{f"{PREFIX}{name}": unsigned(values[made].numpy()) for made, name in self._taps.items()},
        }

    @property
    def shown(self) -> list[str]:
        """The tensors that ``run`` returns besides the outputs."""
        return list(self._taps.values())

    def facts(self) -> dict[str, Any]:
        """Operation counts, the compute dtype and the specification version of the program."""
        computed = {op.result.dtype for op, _ in self._steps if op.type == "conv"}
        quantized = any(op.type == "quantize" for op, _ in self._steps)
        return {
            "unit": "reference evaluator on the CPU",
            "partitions": 1,
            "executed_precision": "int8 emulated" if quantized else ", ".join(sorted(computed)),
            "operators": dict(sorted(Counter(op.type for op, _ in self._steps).items())),
            "specification_version": self._program.specification,
            "metadata": dict(self._program.metadata),
        }


def _plain(name: str) -> str:
    """A name as written in Core ML programs."""
    return re.sub(r"\W", "_", name)


def _last_uses(operations: list[Operation], returns: tuple[str, ...]) -> dict[int, list[str]]:
    """Index of an operation -> values whose last consumer it is, so that they can be freed."""
    written = {op.result.name for op in operations}
    last: dict[str, int] = {}
    for index, op in enumerate(operations):
        for argument in (a for given in op.arguments.values() for a in given if isinstance(a, Name)):
            if argument.text in written and argument.text not in returns:
                last[argument.text] = index
    freed: dict[int, list[str]] = {}
    for name, index in last.items():
        freed.setdefault(index, []).append(name)
    return freed


def _evaluate(op: Operation, rule: Any, values: Mapping[str, Any]) -> Any:
    from clearport.runtime.coreml_reference.arguments import Arguments

    try:
        given = {key: [_resolve(argument, values) for argument in bound] for key, bound in op.arguments.items()}
        result = rule(Arguments(op, given))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise RuntimeFailure(f"{op.result.name!r} ({op.type}) cannot be evaluated: {error}") from error
    return result if isinstance(result, str) else _declared(op, result)


def _resolve(argument: Any, values: Mapping[str, Any]) -> Any:
    import torch

    if isinstance(argument, Name):
        return values[argument.text]
    return argument if isinstance(argument, str) else torch.from_numpy(np.array(argument))


def _declared(op: Operation, result: Tensor) -> Tensor:
    """``result`` in its declared dtype; raises if its shape differs from the declared one."""
    import torch

    declared = op.result.shape
    fits = result.dim() == len(declared) and all(d in {None, n} for d, n in zip(declared, result.shape, strict=True))
    if not fits:
        raise RuntimeFailure(
            f"{op.result.name!r} ({op.type}) is declared as {declared} and comes out as {tuple(result.shape)}"
        )
    dtype = getattr(torch, op.result.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise RuntimeFailure(
            f"{op.result.name!r} ({op.type}) is declared as {op.result.dtype!r}, which is no type here"
        )
    return result.to(dtype)


def _take(feature: Feature, inputs: Mapping[str, Array], dtype: str) -> Tensor:
    """An input as the program's tensor; images are (1, C, H, W)."""
    import torch

    if feature.name not in inputs:
        raise RuntimeFailure(f"input {feature.name!r} is missing; given: {', '.join(sorted(inputs)) or 'nothing'}")
    array = inputs[feature.name]
    expected = "uint8" if feature.picture else "int32" if dtype.startswith("int") else "float32"
    rank = len(feature.ranges)
    if array.dtype.name != expected or array.ndim != rank:
        raise RuntimeFailure(
            f"input {feature.name!r} must be {expected} with {rank} axes, not {array.dtype} {array.shape}"
        )
    planes = array.transpose(0, 3, 1, 2) if feature.picture else array
    if feature.color == "BGR":
        planes = planes[:, ::-1]
    if not all(low <= n <= high for n, (low, high) in zip(planes.shape, feature.ranges, strict=True)):
        raise RuntimeFailure(f"input {feature.name!r} of shape {array.shape}: the model takes {feature.ranges}")
    tensor: Tensor = torch.from_numpy(np.ascontiguousarray(planes)).to(getattr(torch, dtype))
    return tensor


def _give(feature: Feature, value: Tensor) -> Array:
    """An output as the model's caller sees it."""
    if not feature.picture:
        tensor: Array = value.numpy()
        return tensor
    planes = value.float().round().clamp(0, 255).byte().numpy()
    if feature.color == "BGR":
        planes = planes[:, ::-1]
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


class MilReferenceRunner:
    """The runner; see the module."""

    name = "milref"
    title = "Core ML program, reference evaluator"
    targets = ("coreml",)
    requires = ("coremltools", "torch")
    measures_latency = False
    method = "reference-evaluated"

    def hides(self, path: Path) -> str | None:
        """The reason that intermediate tensors cannot be read, or None."""
        del path
        return None

    def prepare(self) -> None:
        """Import what ``open`` needs, so that its time excludes imports."""
        from clearport.export.coreml.tools import messages
        from clearport.runtime.coreml_reference import ops as milref_ops

        messages("Model_pb2")
        del milref_ops

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> MilReference:
        """Read the package.

        Raises:
            RuntimeFailure: it is missing or damaged.
            UnsupportedOperator: an operation has no rule; the message names it.
        """
        return MilReference(path, threads, tapped.of(options))


RUNNER = MilReferenceRunner()

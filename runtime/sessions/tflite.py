"""Sessions of .tflite files; LiteRT's and TensorFlow's interpreters have the same Python interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clearport.runtime.sessions import tflite_taps
from clearport.runtime.steps.taps import PREFIX, unsigned

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.steps.taps import Taps

_HEAVY = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"})
_DELEGATE = "DELEGATE"


class TfliteSession:
    """A loaded model. ``bind`` and ``invoke`` exclude copies of inputs and outputs from a measurement.

    ``taps`` are tensors to output besides those of its contract (``tflite_taps``).
    """

    no_profile = (
        "LiteRT's Python API has no profiler; benchmark_model on a phone has one (--device adb:SERIAL "
        "--benchmark-model FILE)"
    )

    def __init__(self, interpreter: Any, taps: Taps | None = None) -> None:
        self._interpreter = interpreter
        self._interpreter.allocate_tensors()
        self._inputs = _by_name(interpreter, "inputs", interpreter.get_input_details())
        self._outputs = _by_name(interpreter, "outputs", interpreter.get_output_details())
        self._taps = tflite_taps.found(interpreter.get_output_details(), taps or {})

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """NHWC tensors by name; an input's H and W may be any size if they are dynamic in the file.

        Raises:
            ValueError: a name, shape or dtype differs from the file's.
        """
        self.bind(inputs)
        self.invoke()
        read = self._interpreter.get_tensor
        return {
            **{name: read(details["index"]) for name, details in self._outputs.items()},
            **{f"{PREFIX}{name}": self._tapped(details) for name, details in self._taps.items()},
        }

    def _tapped(self, details: Mapping[str, Any]) -> Array:
        stored = unsigned(self._interpreter.get_tensor(details["index"]))
        return tflite_taps.in_graph_order(stored, details["name"])

    @property
    def shown(self) -> list[str]:
        """The tensors that ``run`` returns besides the outputs."""
        return list(self._taps)

    def bind(self, inputs: Mapping[str, Array]) -> None:
        if set(inputs) != set(self._inputs):
            raise ValueError(f"the file's inputs are {sorted(self._inputs)}, not {sorted(inputs)}")
        resized = [self._fit(name, array) for name, array in inputs.items()]
        if any(resized):  # after all inputs are resized: their shapes must agree
            self._interpreter.allocate_tensors()
        for name, array in inputs.items():
            self._interpreter.set_tensor(self._inputs[name]["index"], array)

    def invoke(self) -> None:
        self._interpreter.invoke()

    def facts(self) -> dict[str, Any]:
        """The operators that XNNPACK runs, its number of partitions, and the operators outside of them."""
        plan = self._interpreter._get_ops_details()  # noqa: SLF001  the only way to see what a delegate took
        operators = [op for op in plan if op["op_name"] != _DELEGATE]
        partitions = [op for op in plan if op["op_name"] == _DELEGATE]
        taken = {index for partition in partitions for index in _covered(partition, operators)}
        outside = Counter(op["op_name"] for op in operators if op["index"] not in taken)
        return {
            "unit": "cpu",
            "delegate": "XNNPACK" if partitions else None,
            "partitions": max(len(partitions), 1),
            "operators": dict(sorted(Counter(op["op_name"] for op in operators).items())),
            "operators_outside": dict(sorted(outside.items())),
            "executed_precision": self._precision(operators),
        }

    def _fit(self, name: str, array: Array) -> bool:
        """Resize an input to the shape of ``array``; returns whether that changed it."""
        index, free = self._inputs[name]["index"], self._inputs[name]["shape_signature"]
        now = next(d for d in self._interpreter.get_input_details() if d["index"] == index)["shape"]
        if tuple(now) == array.shape:
            return False
        if len(free) != array.ndim or any(n not in {-1, m} for n, m in zip(free, array.shape, strict=True)):
            raise ValueError(f"{name}: the file expects shape {free.tolist()}, not {list(array.shape)}")
        self._interpreter.resize_tensor_input(index, array.shape)
        return True

    def _precision(self, operators: Sequence[Mapping[str, Any]]) -> str:
        dtypes = {d["index"]: d["dtype"] for d in self._interpreter.get_tensor_details()}
        kinds = {dtypes[op["outputs"][0]].__name__ for op in operators if op["op_name"] in _HEAVY}
        return "+".join(sorted(kinds)) or "unknown"


def _by_name(interpreter: Any, side: str, details: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Inputs or outputs by their names in the file's only signature, or by tensor names without one."""
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        return {d["name"]: d for d in details}
    runner = interpreter.get_signature_runner()
    found = runner.get_input_details() if side == "inputs" else runner.get_output_details()
    return dict(found)


def _covered(partition: Mapping[str, Any], operators: Sequence[Mapping[str, Any]]) -> set[int]:
    """The operators between a delegate partition's inputs and outputs, which it replaces."""
    writers = {output: op for op in operators for output in op["outputs"]}
    border = set(partition["inputs"])
    found: set[int] = set()
    todo = [t for t in partition["outputs"] if t in writers]
    while todo:
        op = writers[todo.pop()]
        if op["index"] not in found:
            found.add(op["index"])
            todo += [t for t in op["inputs"] if t not in border and t in writers]
    return found

"""Whether int8 kernels overflow on this CPU.

x86 CPUs without VNNI (Intel before Ice Lake, AMD before Zen 4) have no instruction that adds products of 8 bits in
32 bits. Kernels for them add pairs of products in 16 bits (``vpmaddubsw``), which saturates at 32767: two weights of
127 on white pixels give half of what they should. Both functions run one small convolution and look. They load the
runtime; ``onnxruntime_does`` leaves that to a process of its own.
"""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np

from clearport.errors import RuntimeFailure
from clearport.runtime.worker.launch import python_here

_WHITE = np.full((1, 16, 4, 4), 255, np.uint8)
_WEIGHTS = np.full((16, 16, 3, 3), 127, np.int8)
_SUM = _WEIGHTS[0].size * 127
"""What one output is for inputs of 1."""
_TIMEOUT_S = 60.0


@functools.cache
def in_onnxruntime() -> bool:
    """Whether a convolution with int8 weights overflows in a session with default options.

    True, to be safe, where the package ``onnx`` is missing, as beside another version of the runtime.
    """
    import onnxruntime as ort

    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return True
    constants = {"one": np.float32(1), "zero": np.uint8(0), "w": _WEIGHTS, "none": np.int8(0), "s": np.float32(_SUM)}
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", ["x", "one", "zero", "w", "one", "none", "s", "zero"], ["y"])],
        "white",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, _WHITE.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": _WHITE})
    return bool((np.asarray(found) != 255).any())


@functools.cache
def in_openvino() -> bool:
    """Whether a convolution between quantized values overflows on the CPU."""
    import openvino as ov

    try:
        from openvino import opset13 as op
    except ImportError:  # before 2025
        from openvino.runtime import opset13 as op

    def rounded(value: ov.Output, most: float) -> ov.Node:
        ends = [op.constant(np.float32(n)) for n in (0, most, 0, most)]
        return op.fake_quantize(value, *ends, levels=256)

    pixels = op.parameter(_WHITE.shape, np.float32)
    weights = op.multiply(op.convert(op.constant(_WEIGHTS), np.float32), op.constant(np.float32(1 / _SUM)))
    summed = op.convolution(rounded(pixels, 255), weights, [1, 1], [0, 0], [0, 0], [1, 1])
    compiled = ov.Core().compile_model(ov.Model([rounded(summed, 255)], [pixels]), "CPU")
    (found,) = compiled({0: _WHITE.astype(np.float32)}).values()
    return bool((np.asarray(found) < 254).any())


@functools.cache
def onnxruntime_does() -> bool:
    """``in_onnxruntime``, for processes that load no runtime.

    Raises:
        RuntimeFailure: ONNX Runtime cannot run the convolution.
    """
    command = python_here(sys.executable, __name__)
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        raise RuntimeFailure(f"onnxruntime: a small int8 convolution failed: {error}") from error
    return done.stdout.split() == ["True"]


def main() -> int:
    """Print whether int8 sums overflow in ONNX Runtime."""
    sys.stdout.write(f"{in_onnxruntime()}\n")
    return 0

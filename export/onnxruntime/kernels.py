"""The kernels with which ONNX Runtime runs a model, after its fusions."""

from __future__ import annotations

import tempfile
from pathlib import Path


def kernels(model: bytes) -> list[tuple[str, str]]:
    """The operators of an ONNX model after ONNX Runtime's optimizations, each with its output.

    An int8 convolution is a ``QLinearConv``; one that stays ``Conv`` computes in float.
    """
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # the processor-independent level
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found = onnx.load(path)
    return [(node.op_type, node.output[0]) for node in found.graph.node]

"""ONNX Runtime on an NVIDIA GPU: ``.onnx`` files, with the CPU for nodes that CUDA does not support.

The wheel ``onnxruntime-gpu`` installs into the same folder as ``onnxruntime``, so it needs a Python environment of its
own, whose interpreter ``CLEARPORT_ORT_CUDA_PYTHON`` names::

    python -m venv ortcuda && ortcuda/bin/pip install onnxruntime-gpu[cuda,cudnn]
    CLEARPORT_ORT_CUDA_PYTHON=ortcuda/bin/python clearport bench bundle --unit gpu
"""

from __future__ import annotations

from clearport.runtime.sessions.onnxruntime_gpu import GpuProvider, GpuRunner

RUNNER = GpuRunner(
    GpuProvider(
        name="onnxruntime_cuda",
        title="ONNX Runtime (CUDA)",
        method="ran on ONNX Runtime, CUDA",
        distribution="onnxruntime-gpu",
        provider="CUDAExecutionProvider",
        variable="CLEARPORT_ORT_CUDA_PYTHON",
        # TensorFloat-32 rounds factors to 10 mantissa bits: too few for parity.
        settings={"use_tf32": "0"},
    )
)

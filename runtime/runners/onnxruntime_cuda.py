"""ONNX Runtime on an NVIDIA GPU: ``.onnx`` files, with the CPU for the nodes that CUDA does not take.

The wheel ``onnxruntime-gpu`` brings it, and writes the same folder as ``onnxruntime``. So it lives in a Python of its
own, which ``CLEARPORT_ORT_CUDA_PYTHON`` names::

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
        # TensorFloat-32 keeps 10 bits of a product's factors: too few for parity.
        settings={"use_tf32": "0"},
    )
)

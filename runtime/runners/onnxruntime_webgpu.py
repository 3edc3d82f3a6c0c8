"""ONNX Runtime on any GPU through WebGPU: ``.onnx`` files, with the CPU for nodes that WebGPU does not support.

The wheel ``onnxruntime-webgpu`` installs into the same folder as ``onnxruntime``, so it needs a Python environment of
its own, whose interpreter ``CLEARPORT_ORT_WEBGPU_PYTHON`` names::

    python -m venv ortweb && ortweb/bin/pip install onnxruntime-webgpu
    CLEARPORT_ORT_WEBGPU_PYTHON=ortweb/bin/python clearport bench bundle --unit gpu
"""

from __future__ import annotations

from clearport.runtime.sessions.onnxruntime_gpu import GpuProvider, GpuRunner

RUNNER = GpuRunner(
    GpuProvider(
        name="onnxruntime_webgpu",
        title="ONNX Runtime (WebGPU)",
        method="ran on ONNX Runtime, WebGPU",
        distribution="onnxruntime-webgpu",
        provider="WebGpuExecutionProvider",
        variable="CLEARPORT_ORT_WEBGPU_PYTHON",
        webgpu=True,
    )
)

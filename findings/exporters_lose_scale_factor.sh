#!/usr/bin/env bash
# Packages: torch 2.13.0 (torch.onnx), executorch 1.5.1 (XNNPACK), onnxruntime 1.31.1
# Guess:    interpolate(scale_factor=s) samples alike in PyTorch and in the exported file.
# Happens:  PyTorch samples by s; two exporters keep the output's size only, and the runtime samples by the ratio of the sizes, which
#           is another where the size was rounded down. torch.onnx does so with antialias=True (30 rows by 0.25 are 7: 0.25
#           against 0.233), while without antialias it keeps s; ExecuTorch's XNNPACK partitioner does so for bilinear (16 by 0.7
#           are 11). On noise in 0..1 pixels are off by 0.08 and 0.3; the sizes are equal, so no check of shapes sees it. Where the
#           size is a whole multiple all agree.
# Matters:  the usual test picture has sides of 2^n, and hides it; the picture of a phone does not.
# Sources:  https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html (recompute_scale_factor);
#           https://docs.pytorch.org/executorch/stable/backends/xnnpack/xnnpack-overview.html names no such limit.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1 executorch==1.5.1
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import torch
import onnxruntime
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime

class Scale(torch.nn.Module):
    def __init__(self, scale, antialias):
        super().__init__()
        self.scale, self.antialias = scale, antialias

    def forward(self, x):
        return torch.nn.functional.interpolate(x, scale_factor=self.scale, mode="bilinear", antialias=self.antialias)

def by_onnx(module, x):
    program = torch.onnx.export(module, (x,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])

def by_executorch(module, x):
    lowered = to_edge_transform_and_lower(torch.export.export(module, (x,)), partitioner=[XnnpackPartitioner()])
    program = Runtime.get().load_program(lowered.to_executorch().buffer)
    return program.load_method("forward").execute([x])[0]

torch.manual_seed(0)
lines = []
for name, run, side, scale, antialias, wrong in (
        ("torch.onnx, antialias", by_onnx, 30, 0.25, True, True), ("torch.onnx, antialias", by_onnx, 32, 0.25, True, False),
        ("torch.onnx", by_onnx, 30, 0.25, False, False), ("ExecuTorch XNNPACK", by_executorch, 16, 0.7, False, True),
        ("ExecuTorch XNNPACK", by_executorch, 16, 0.5, False, False)):
    x = torch.rand(1, 3, side, side)
    module = Scale(scale, antialias).eval()
    want, got = module(x), run(module, x)
    assert want.shape == got.shape
    off = float((want - got).abs().max())
    print(f"{name}: {side} by {scale} to {got.shape[2]}, pixels off by {off:.1e}", flush=True)
    assert off > 0.03 if wrong else off < 1e-4
PY

#!/usr/bin/env bash
# Packages: torch 2.13.0 (CPU), onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.31.1
# Guess:    attention whose Boolean mask leaves nothing of a row gives 0 there in PyTorch, and in its ONNX file, which has
#           Where(IsNaN(Softmax)) behind the mask for just that.
# Happens:  the exporter writes the mask with the least float32 (-3.4e38) instead of minus infinity. The softmax of such a row is the same
#           for all keys and never NaN, so that the guard never acts: the row is the mean of all values, those that are masked included.
# Matters:  rows without a key are padding, the first step of a causal network that excludes itself, an empty window. Their numbers go on
#           into the next layers. A float32 mask of minus infinity is written as it is, without the guard: then the row is NaN in the file.
# Sources:  https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html: a Boolean mask fills
#           attn_bias with minus infinity.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - 2>/dev/null <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

KEYS = 6


class Attention(nn.Module):
    def __init__(self, boolean):
        super().__init__()
        seen = torch.ones(KEYS, KEYS, dtype=torch.bool).tril(-1)  # those before it: the first row sees none
        self.register_buffer("mask", seen if boolean else torch.zeros(KEYS, KEYS).masked_fill(~seen, float("-inf")))

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)


x = torch.rand(1, 1, KEYS, 4, generator=torch.Generator().manual_seed(0))
mean, found = x[0, 0].mean(dim=0).numpy(), {}
for boolean in (True, False):
    network = Attention(boolean).eval()
    torch.onnx.export(network, (x,), "net.onnx", dynamo=True, opset_version=18, input_names=["x"], verbose=False)
    onnx.checker.check_model("net.onnx")
    kinds = [node.op_type for node in onnx.load("net.onnx").graph.node]
    session = ort.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    wanted, made = network(x)[0, 0].numpy(), session.run(None, {"x": x.numpy()})[0][0, 0]
    others = float(np.abs(wanted[1:] - made[1:]).max())
    name = "Boolean mask" if boolean else "float mask of -inf"
    print(f"{name}: IsNaN in the file: {'IsNaN' in kinds}, first row in PyTorch {wanted[0]}, in ONNX Runtime {made[0]}")
    print(f"  other rows differ by up to {others:.1e}")
    found[boolean] = wanted[0], made[0], others, "IsNaN" in kinds
print(f"mean of all values: {mean}")
wanted, made, others, guarded = found[True]
assert guarded and others < 1e-5
assert not wanted.any(), "PyTorch gives something else now"
assert np.allclose(made, mean, atol=1e-6), "the file gives something else now"
wanted, made, others, guarded = found[False]
assert not guarded and not wanted.any() and np.isnan(made).all(), "a float mask is written otherwise now"
PY

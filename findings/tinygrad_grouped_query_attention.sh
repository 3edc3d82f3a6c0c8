#!/usr/bin/env bash
# Packages: tinygrad 0.14.0, onnx 1.23.2
# Guess:    Attention whose queries have more heads than keys and values shares each key head among consecutive query heads, as
#           ONNX and the paper about grouped queries define: heads 0 and 1 read key head 0, heads 2 and 3 key head 1.
# Happens:  tinygrad deals them out in turn: heads 0 and 2 read key head 0, heads 1 and 3 key head 1. Right with as many key heads
#           as query heads, and with a single one, which are the cases that most people try.
# Matters:  every head but the first and the last mixes values with another head's weights; shapes and sums look right.
# Sources:  https://onnx.ai/onnx/operators/onnx__Attention.html and its tests for grouped queries (attention_4d_gqa), which fail;
#           arXiv 2305.13245.
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 tinygrad==0.14.0
cd "$work"
venv/bin/python - <<'PY'
import os

os.environ["DEV"] = "PYTHON"  # tinygrad's own interpreter: needs no compiler

import numpy as np
from onnx import TensorProto, checker, helper, reference, save
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner

draw = np.random.default_rng(0)

def attention(q, k, v):
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v

for heads, shared in ((4, 4), (4, 1), (4, 2), (6, 2), (6, 3)):
    given = {name: draw.random((1, count, size, 4), np.float32) for name, count, size in (("q", heads, 3), ("k", shared, 5), ("v", shared, 5))}
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in given.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, given["q"].shape)
    graph = helper.make_graph([helper.make_node("Attention", list(given), ["y"])], "net", info, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    checker.check_model(model, full_check=True)
    save(model, "net.onnx")
    got = OnnxRunner("net.onnx")({name: Tensor(array) for name, array in given.items()})["y"].numpy()
    times = heads // shared
    right = attention(given["q"], np.repeat(given["k"], times, 1), np.repeat(given["v"], times, 1))
    dealt = attention(given["q"], np.tile(given["k"], (1, times, 1, 1)), np.tile(given["v"], (1, times, 1, 1)))
    assert np.allclose(reference.ReferenceEvaluator(model).run(None, given)[0], right, atol=1e-5)
    off = [float(np.abs(got[0, head] - right[0, head]).max()) for head in range(heads)]
    print(f"{heads} heads, {shared} of keys: off by head {[round(value, 3) for value in off]}; from heads dealt out {np.abs(got - dealt).max():.1e}")
    assert np.allclose(got, dealt, atol=1e-5)
    assert (max(off) > 0.05) == (1 < shared < heads), (heads, shared)
PY

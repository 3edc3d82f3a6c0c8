#!/usr/bin/env bash
# Packages: MNN 3.6.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    MNN's converter takes GridSample in the modes that it has, and refuses the others.
# Happens:  mode="bicubic" gives the bilinear result and padding_mode="reflection" that of "border", to the bit, without a word.
#           Bilinear and nearest with "zeros" or "border" are right.
# Matters:  warping frames and features (flow, deblurring, video super resolution) with cubic sampling or reflected borders loads,
#           runs, looks plausible, and is up to half of the range off.
# Sources:  https://onnx.ai/onnx/operators/onnx__GridSample.html
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen with the kernels for x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 MNN==3.6.1
cd "$work"
venv/bin/python - <<'PY'
import subprocess
import sys

import MNN
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, save

def both(node, kept, *arrays):
    """Values of ONNX Runtime, then of MNN."""
    given = [name for name in node.input if name and name not in {tensor.name for tensor in kept}]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in zip(given, arrays)]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph([node], "net", inputs, [output], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, "net.onnx")
    # the converter itself; mnnconvert, the script around it, installs further packages
    convert = "import sys, MNN, _tools; _tools.mnnconvert(sys.argv[1:])"
    words = ["x", "-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "net"]
    subprocess.run([sys.executable, "-c", convert, *words], check=True, stdout=subprocess.DEVNULL)
    net = MNN.nn.load_module_from_file("net.mnn", given, ["y"])
    tensors = [MNN.expr.const(a.ravel().tolist(), list(a.shape), MNN.expr.NCHW, MNN.expr.float) for a in arrays]
    made = MNN.expr.convert(net.forward(tensors)[0], MNN.expr.NCHW)
    right = ort.InferenceSession("net.onnx").run(None, dict(zip(given, arrays)))[0]
    got = np.array(made.read(), np.float32).reshape(right.shape)
    return right, got

draw = np.random.default_rng(0)
x = draw.random((1, 3, 12, 12), np.float32)
grid = draw.random((1, 12, 12, 2), np.float32) * 2.4 - 1.2  # a sixth of the points lie outside of the picture

def sampled(mode, padding):
    # ONNX calls the modes linear and cubic since opset 20; in opset 18 they have PyTorch's names
    return both(helper.make_node("GridSample", ["x", "grid"], ["y"], mode=mode, padding_mode=padding), [], x, grid)

seen = {}
for mode, padding in (("bilinear", "zeros"), ("bilinear", "border"), ("nearest", "border"), ("bicubic", "border"), ("bilinear", "reflection")):
    right, seen[mode, padding] = sampled(mode, padding)
    off = np.abs(right - seen[mode, padding])
    print(f"{mode}, {padding}: at most {off.max():.1e} off, more than 0.001 at {np.mean(off > 1e-3):.0%} of the values")
    assert (off.max() > 0.1) == ((mode, padding) in {("bicubic", "border"), ("bilinear", "reflection")}), (mode, padding)
for mode, padding in (("bicubic", "border"), ("bilinear", "reflection")):
    same = np.array_equal(seen[mode, padding], seen["bilinear", "border"])
    print(f"{mode}, {padding} is bilinear, border: {same}")
    assert same
PY

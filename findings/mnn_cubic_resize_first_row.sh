#!/usr/bin/env bash
# Packages: MNN 3.6.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    a cubic Resize as PyTorch exports it (half_pixel, a = -0.75), by 2, is the same picture in MNN.
# Happens:  the first row and the first column are wrong, by up to 0.96 for pixels of 0 to 1; all others are right. Shrinking and the
#           other coordinate modes have right borders. Another a (-0.5, what Pillow and TensorFlow use) is read over everywhere.
# Matters:  many super-resolution networks add their result to the bicubic picture: a bright or dark line at two sides of every
#           picture, and of every tile; a mean over the picture hardly shows it.
# Sources:  https://onnx.ai/onnx/operators/onnx__Resize.html
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
from onnx import TensorProto, checker, helper, numpy_helper, save

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

x = np.random.default_rng(0).random((1, 3, 12, 12), np.float32)

def resized(factor, **attributes):
    scales = numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "s")
    right, got = both(helper.make_node("Resize", ["x", "", "s"], ["y"], mode="cubic", **attributes), [scales], x)
    return np.abs(right - got).max(axis=(0, 1))

by_2 = resized(2)
print(f"half_pixel by 2: first row {by_2[0].max():.2f} off, first column {by_2[:, 0].max():.2f}, all others {by_2[1:, 1:].max():.1e}")
assert by_2[0].max() > 0.2 and by_2[:, 0].max() > 0.2 and by_2[1:, 1:].max() < 1e-4, "the first row and column used to be wrong, alone"

asymmetric, smaller = resized(2, coordinate_transformation_mode="asymmetric"), resized(0.5)
print(f"asymmetric by 2: {asymmetric.max():.1e} off; half_pixel by a half: {smaller.max():.1e}")
assert asymmetric.max() < 1e-4 and smaller.max() < 1e-4, "these used to be right"

other = resized(2, coordinate_transformation_mode="asymmetric", cubic_coeff_a=-0.5)
print(f"asymmetric by 2 with a = -0.5: {other.max():.3f} off, more than 0.001 at {np.mean(other > 1e-3):.0%} of the pixels")
assert other.max() > 0.02, "the coefficient used to be read over"
PY

#!/usr/bin/env bash
# Packages: apache-tvm 0.27.0.post1, onnx 1.23.2
# Guess:    a transposed convolution whose attribute output_shape asks for a size gets it, as ONNX defines, or is refused.
# Happens:  TVM's importer for ONNX reads over output_shape: 3x3 pixels with stride 2 and a window of 3 become 7x7 where the model
#           says 6x6, and in place of the pixels that the size would cut, all are there. Nothing is said; the model's own declared
#           output shape is not compared either. The same padding written as pads is right.
# Matters:  doubling a picture exactly is what output_shape is for. Behind such a layer sizes no longer match, or, where the layer
#           is last, every picture is one pixel larger and shifted by half of the padding.
# Sources:  https://onnx.ai/onnx/operators/onnx__ConvTranspose.html: "If output_shape is specified pads values are ignored", with
#           the equations for the padding that follows from it.
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 apache-tvm==0.27.0.post1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import tvm
from onnx import TensorProto, checker, helper, numpy_helper
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

draw = np.random.default_rng(0)
x = draw.random((1, 1, 3, 3), np.float32)
weight = numpy_helper.from_array(draw.random((1, 1, 3, 3), np.float32), "w")

def run(**attributes):
    info = lambda name, side: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, side, side))
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], **attributes)
    graph = helper.make_graph([node], "net", [info("x", 3)], [info("y", 6)], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    checker.check_model(model, full_check=True)
    module = relax.transform.LegalizeOps()(from_onnx(model))
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
    return machine["main"](tvm.runtime.tensor(x)).numpy()[0, 0]

whole = np.zeros((7, 7), np.float32)
kernel = numpy_helper.to_array(weight)[0, 0]
for row in range(3):
    for column in range(3):
        whole[2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += x[0, 0, row, column] * kernel

# ONNX: total padding = 2 * (3 - 1) + 3 - 6 = 1, of which the larger half lies at the start unless auto_pad is SAME_UPPER
for name, attributes in (("pads", {"pads": [1, 1, 0, 0]}), ("output_shape", {"output_shape": [6, 6]})):
    got = run(**attributes)
    print(f"{name} {attributes[name]}: {got.shape}, by the definition (6, 6)")
    if name == "pads":
        assert np.allclose(got, whole[1:, 1:], atol=1e-5)
    else:
        assert got.shape == (7, 7) and np.allclose(got, whole, atol=1e-5), "output_shape used to be read over"
PY

#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnx 1.23.2, ml_dtypes 0.6.0
# Guess:    a network with bfloat16 ends takes an array of ml_dtypes.bfloat16, the type that onnx, JAX and PyTorch's tools use for
#           it in numpy, and gives values back that numpy reads as what they are; or it is refused.
# Happens:  the output is an array of type float16 that holds bfloat16 bits: 4.0 reads as 2.25. The input depends on how the
#           request is made: compiled(...) takes the bits, infer(...) and infer_new_request(...) convert the values to float16 and
#           then take those bits for bfloat16: 1.0 becomes 0.0078. No error in either.
# Matters:  float16 and bfloat16 have the same size, so that nothing but the picture shows it. Reading an output right takes
#           .view(bfloat16); feeding it right takes compiled(...), or arrays of uint16 bits viewed as float16.
# Sources:  openvino.Type.bf16 has a numpy type (its to_dtype() is printed below); the documentation of CompiledModel says that
#           inputs may be numpy arrays and that outputs are.
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 ml_dtypes==0.6.0 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
from ml_dtypes import bfloat16
from onnx import checker, helper, numpy_helper

x = np.array([1, 2, 3, -0.5], bfloat16)
kind = helper.np_dtype_to_tensor_dtype(x.dtype)
info = [helper.make_tensor_value_info(name, kind, x.shape) for name in ("x", "y")]
two = numpy_helper.from_array(np.array(2, bfloat16), "two")
graph = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["y"])], "net", info[:1], info[1:], [two])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
checker.check_model(model, full_check=True)

core = ov.Core()
compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU")
print("ends:", compiled.input(0).element_type, compiled.output(0).element_type, "as numpy", compiled.output(0).element_type.to_dtype())

twice = (x.astype(np.float32) * 2).tolist()
called = np.array(compiled([x])[0])
print(f"2 * {x.tolist()} is {twice}; compiled(x) gives {called.dtype} {called.tolist()}, as bfloat16 {called.view(bfloat16).astype(float).tolist()}")
assert called.dtype == np.float16 and called.tolist() != twice
assert called.view(bfloat16).astype(float).tolist() == twice

misread = x.astype(np.float16).view(bfloat16).astype(np.float32)  # float16 values, bfloat16 bits
for name, result in (("infer_new_request", compiled.infer_new_request({0: x})), ("infer", compiled.create_infer_request().infer({0: x}))):
    got = np.array(result[0])
    seen = got.view(bfloat16).astype(np.float32)
    print(f"{name}(x) gives, read as bfloat16, {seen.tolist()}; 2 * {misread.tolist()} would")
    assert got.dtype == np.float16
    assert np.array_equal(seen, (misread * 2).astype(bfloat16).astype(np.float32)), name
PY

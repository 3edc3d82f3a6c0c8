#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    integers are added as integers: a sum of int32 is exact below 2^31, one of int64 below 2^63.
# Happens:  ReduceSum of int32 is added in float32: the sum of a Full HD picture near 255 is 0.2 % (a million) off, and
#           odd sums above 2^24 do not exist. int64 is computed in 32 bits: 2^31 + 1 becomes a negative value, and 2^40 + 1 becomes 1.
#           uint8 sums saturate at 255, where ONNX Runtime and numpy go on from 0. Nothing is said, and the output is still of the
#           type that the model declares.
# Matters:  counts, histograms and integer means of pictures, checksums, and indices into large tensors.
# Sources:  https://onnx.ai/onnx/operators/onnx__ReduceSum.html and onnx__Add.html take int32, int64 and uint8 as they take float.
#           OpenVINO's page of the CPU device lists INT32 among the precisions that it computes in, and not INT64: this explains the
#           second case, and makes the first one a surprise.
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import openvino as ov
from onnx import checker, helper

def both(op, *arrays, **attributes):
    """Values of ONNX Runtime, of OpenVINO."""
    names = ["a", "b"][: len(arrays)]
    kind = helper.np_dtype_to_tensor_dtype(arrays[0].dtype)
    info = [helper.make_tensor_value_info(name, kind, array.shape) for name, array in zip(names, arrays)]
    shape = () if op == "ReduceSum" else arrays[0].shape
    node = helper.make_node(op, names, ["y"], **attributes)
    graph = helper.make_graph([node], "net", info, [helper.make_tensor_value_info("y", kind, shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    core = ov.Core()
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    got = np.array(compiled(dict(enumerate(arrays)))[0])
    right = ort.InferenceSession(data).run(None, dict(zip(names, arrays)))[0]
    assert got.dtype == right.dtype == arrays[0].dtype
    return right, got

picture = np.full((1080, 1920), 255, np.int32)
picture[0, 0] = 254
right, got = both("ReduceSum", picture, keepdims=0)
print(f"sum of a Full HD picture in int32: ONNX Runtime {right}, OpenVINO {got}, {int(got) - int(right)} off")
assert right == picture.sum() and got != right
right, got = both("ReduceSum", np.array([2**24 + 1, 2, 3], np.int32), keepdims=0)
print(f"2^24 + 1 + 2 + 3: {right}, {got}")
assert right == 2**24 + 6 and got != right

right, got = both("Add", np.array([2**31, 2**40], np.int64), np.array([1, 1], np.int64))
print(f"int64, 2^31 + 1 and 2^40 + 1: {right.tolist()}, {got.tolist()}")
assert right.tolist() == [2**31 + 1, 2**40 + 1]
assert got.tolist() != right.tolist() and np.abs(got).max() < 2**31 + 1

right, got = both("Add", np.array([200, 100], np.uint8), np.array([100, 100], np.uint8))
print(f"uint8, 200 + 100 and 100 + 100: {right.tolist()}, {got.tolist()}")
assert right.tolist() == [44, 200] and got.tolist() == [255, 200]
PY

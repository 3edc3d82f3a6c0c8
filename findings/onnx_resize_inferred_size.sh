#!/usr/bin/env bash
# Packages: onnx 1.23.2, onnxruntime 1.31.1, openvino 2026.4.1
# Guess:    onnx's shape inference gives the size that a runtime computes: floor(30 * 0.7) is 21 for all of them.
# Happens:  the scale is stored as float32 (0.699999988). onnx multiplies it as a double and floors 20.9999996 to 20, in shape
#           inference and in its reference evaluator alike; ONNX Runtime and OpenVINO multiply in float32 and get 21, as PyTorch
#           does. Shape inference therefore declares a tensor that no runtime makes: 30 by 0.7, 40 by 0.7, 100 by 0.29.
# Matters:  tools that trust inferred shapes (writers of other formats, memory planners, checks of a declared output) work on a
#           picture that is a row short; ONNX Runtime only logs a warning about merging shapes.
# Sources:  https://onnx.ai/onnx/operators/onnx__Resize.html: output_dimension = floor(input_dimension * (roi_end - roi_start) *
#           scale), with no word about the precision of the product.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

for side, scale, short, right in ((30, 0.7, 20, 21), (40, 0.7, 27, 28), (100, 0.29, 28, 29), (40, 0.5, 20, 20)):
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest")], "net",
                              [info("x", [1, 1, side, side])], [info("y", [None] * 4)],
                              [numpy_helper.from_array(np.array([1, 1, scale, scale], np.float32), "s")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(model)
    x = np.zeros((1, 1, side, side), np.float32)
    inferred = shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim[3].dim_value
    sizes = {"inferred": inferred,
             "reference evaluator": ReferenceEvaluator(model).run(None, {"x": x})[0].shape[3],
             "ONNX Runtime": ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0].shape[3],
             "OpenVINO": ov.Core().compile_model(ov.Core().read_model(model.SerializeToString()), "CPU")(x)[0].shape[3]}
    print(side, "by", scale, sizes)
    assert list(sizes.values()) == [short, short, right, right]
PY

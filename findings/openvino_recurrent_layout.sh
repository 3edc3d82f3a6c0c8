#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1 (its forward pass without layout), onnx 1.23.2
# Guess:    LSTM, GRU and RNN with layout=1 take (batch, steps, features); a reader that does not know the attribute refuses it, as
#           ONNX Runtime 1.31.1 does.
# Happens:  OpenVINO reads over it: the batch is taken for time and time for the batch. The values are those of layout 0 on the
#           same input, and so is the outputs' shape, which is not the one that the model declares.
# Matters:  "batch first" is how most training code lays out sequences. With as many frames as sequences even the shape is right,
#           and each frame is computed from the other sequences.
# Sources:  https://onnx.ai/onnx/operators/onnx__LSTM.html (attribute layout, since operator set 14).
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
from onnx import TensorProto, checker, helper, numpy_helper

BATCH, STEPS, INPUTS, HIDDEN = 3, 4, 2, 5
x = np.random.default_rng(0).standard_normal((BATCH, STEPS, INPUTS)).astype(np.float32)

def made(op, gates, layout, sides):
    draw = np.random.default_rng(1)
    shapes = {"W": (1, gates * HIDDEN, INPUTS), "R": (1, gates * HIDDEN, HIDDEN)}
    kept = [numpy_helper.from_array(draw.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]
    node = helper.make_node(op, ["x", "W", "R"], ["y"], hidden_size=HIDDEN, layout=layout)
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    first, second = sides
    shape = (first, second, 1, HIDDEN) if layout else (first, 1, second, HIDDEN)
    graph = helper.make_graph([node], "net", [info("x", (first, second, INPUTS))], [info("y", shape)], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()

def by_openvino(data, values):
    core = ov.Core()
    return np.array(core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([values])[0])

for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    steps_first = np.ascontiguousarray(x.transpose(1, 0, 2))
    data = made(op, gates, 0, (STEPS, BATCH))
    right = ort.InferenceSession(data).run(None, {"x": steps_first})[0]
    assert np.allclose(by_openvino(data, steps_first), right, atol=1e-5), "layout 0 is right"
    right = right.transpose(2, 0, 1, 3)  # to (batch, steps, directions, features)
    got = by_openvino(made(op, gates, 1, (BATCH, STEPS)), x)
    print(f"{op}, layout 1: declared {right.shape}, got {got.shape}")
    assert got.shape == (BATCH, 1, STEPS, HIDDEN)
    assert np.array_equal(got, by_openvino(made(op, gates, 0, (BATCH, STEPS)), x)), "layout used to be read over"
    off = np.abs(got.reshape(right.shape) - right).max()
    print(f"    {off:.2f} off, of {np.abs(right).max():.2f}; equal to layout 0 on the same input")
    assert off > 0.1
    try:
        ort.InferenceSession(made(op, gates, 1, (BATCH, STEPS)))
    except Exception as error:  # noqa: BLE001
        print("    ONNX Runtime:", str(error).splitlines()[0][-90:])
    else:
        raise AssertionError("ONNX Runtime used to refuse layout 1")
PY

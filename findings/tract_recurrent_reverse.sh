#!/usr/bin/env bash
# Packages: tract 0.23.9, onnxruntime 1.31.1, onnx 1.23.2
# Guess:    a reader that takes LSTM, GRU and RNN with direction="reverse" runs them from the last step to the first.
# Happens:  tract runs them forward: the outputs are those of direction="forward", to the bit, without a word. Forward and
#           bidirectional are right, the latter's backward half included.
# Matters:  recurrent denoisers and burst networks read frames from both ends; exporters that write the backward pass as a node of
#           its own get a network whose output has the right shape and ignores the future.
# Sources:  https://onnx.ai/onnx/operators/onnx__LSTM.html (attribute direction).
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 tract==0.23.9
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import tract
from onnx import TensorProto, checker, helper, numpy_helper, save

draw = np.random.default_rng(0)
STEPS, BATCH, INPUTS, HIDDEN = 5, 1, 2, 3
x = draw.standard_normal((STEPS, BATCH, INPUTS)).astype(np.float32)

def both(op, gates, direction):
    """ONNX Runtime's values, tract's."""
    ways = 2 if direction == "bidirectional" else 1
    shapes = {"W": (ways, gates * HIDDEN, INPUTS), "R": (ways, gates * HIDDEN, HIDDEN)}
    draw = np.random.default_rng(1)
    kept = [numpy_helper.from_array(draw.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]
    node = helper.make_node(op, ["x", "W", "R"], ["y"], hidden_size=HIDDEN, direction=direction)
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "net", [info("x", x.shape)], [info("y", (STEPS, ways, BATCH, HIDDEN))], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, "net.onnx")
    ready = tract.onnx().load("net.onnx").into_model().into_runnable()
    return ort.InferenceSession("net.onnx").run(None, {"x": x})[0], ready.run([x])[0].to_numpy()

for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    seen = {direction: both(op, gates, direction) for direction in ("forward", "bidirectional", "reverse")}
    print(f"{op}: " + ", ".join(f"{direction} {np.abs(right - got).max():.1e} off" for direction, (right, got) in seen.items()))
    for direction, (right, got) in seen.items():
        assert (np.abs(right - got).max() > 0.05) == (direction == "reverse"), (op, direction)
    assert np.array_equal(seen["reverse"][1], seen["forward"][1]), op
print("reverse is forward, to the bit, for all three")
PY

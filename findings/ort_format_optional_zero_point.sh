#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1, onnx 1.23.2
# Guess:    a QDQ model that ONNX Runtime loads and runs can be converted to its own .ort format by its own converter.
# Happens:  the zero point of DequantizeLinear is optional, and a weight without it runs well. The converter, which by default
#           writes two files, writes the first and then ends with an error about input arguments and definitions: the second,
#           "with_runtime_opt", the one meant for NNAPI and Core ML, cannot be made. An explicit zero point of zeros, which changes
#           no value, cures it.
# Matters:  symmetric weights are where writers leave the zero point out; the error names a node without a name and no operator.
# Sources:  https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html: x_zero_point is optional;
#           https://onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html names no such limit.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import pathlib
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

def convert(name, explicit):
    rng, node = np.random.default_rng(0), helper.make_node
    info = lambda label: helper.make_tensor_value_info(label, TensorProto.FLOAT, [1, 16, 8, 8])
    constants = {"s": np.float32(0.01), "z": np.uint8(128), "w": rng.integers(-127, 128, (16, 16, 3, 3)).astype(np.int8),
                 "ws": np.full(16, 0.01, np.float32), "wz": np.zeros(16, np.int8), "t": np.float32(0.1)}
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["xq"]), node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
             node("DequantizeLinear", ["w", "ws"] + (["wz"] if explicit else []), ["wd"], axis=0),
             node("Conv", ["xd", "wd"], ["c"], pads=[1] * 4),
             node("QuantizeLinear", ["c", "t", "z"], ["cq"]), node("DequantizeLinear", ["cq", "t", "z"], ["y"])]
    used = {i for n in nodes for i in n.input}
    graph = helper.make_graph(nodes, "net", [info("x")], [info("y")],
                              [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items() if k in used])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(model, full_check=True)
    folder = pathlib.Path(name)
    folder.mkdir()
    onnx.save(model, folder / "net.onnx")
    x = rng.uniform(-1, 1, (1, 16, 8, 8)).astype(np.float32)
    ran = ort.InferenceSession(folder / "net.onnx").run(None, {"x": x})[0]
    done = subprocess.run([sys.executable, "-m", "onnxruntime.tools.convert_onnx_models_to_ort", str(folder / "net.onnx")],
                          capture_output=True, text=True)
    written = sorted(p.name for p in folder.glob("*.ort"))
    why = [line for line in done.stderr.splitlines() if "invalid model" in line][-1:]
    print(f"zero point {name}: runs; converter exit code {done.returncode}, wrote {written}", *why)
    return ran, done.returncode, written

left_out, given = convert("left out", False), convert("given", True)
np.testing.assert_array_equal(left_out[0], given[0])
assert given[1] == 0 and given[2] == ["net.ort", "net.with_runtime_opt.ort"]
assert left_out[1] != 0 and left_out[2] == ["net.ort"], "the converter used to fail"
PY

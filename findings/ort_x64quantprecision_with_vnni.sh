#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1 (CPU), onnx 1.23.2
# Guess:    session.x64quantprecision=1 may be set everywhere: it is there for CPUs whose int8 sums overflow, and does nothing on others.
# Happens:  On an x86 CPU with VNNI, whose sums are exact, the option still turns the int8 weights into uint8 ones, for which there are
#           slower kernels. The outputs are the same to the bit, in about twice the CPU time.
# Matters:  Whoever sets it once for all CPUs, as a guard for old ones, gives away most of what int8 gains on new ones: a network for super
#           resolution (NCNet) took 83 ms instead of 35.
# Sources:  onnxruntime_session_options_config_keys.h calls it a remedy for AVX2 and AVX512 without VNNI, and "Only effective with AVX2 or
#           AVX512 platforms"; that it should be left out with VNNI is not said.
set -euo pipefail
if [ "$(uname -sm)" != "Linux x86_64" ] || ! grep -q vnni /proc/cpuinfo; then
  echo "there is nothing to see here: it needs Linux on an x86 CPU with VNNI"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import statistics
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

rng, layers, width = np.random.default_rng(0), 4, 32
nodes, kept = [], {"step": np.float32(1 / 64), "half": np.uint8(128)}
for n in range(layers):
    kept[f"w{n}"] = rng.integers(-127, 128, (width, width, 3, 3)).astype(np.int8)
    kept[f"ws{n}"], kept[f"wz{n}"] = np.full(width, 2e-4, np.float32), np.zeros(width, np.int8)
    nodes += [
        helper.make_node("QuantizeLinear", [f"x{n}", "step", "half"], [f"q{n}"]),
        helper.make_node("DequantizeLinear", [f"q{n}", "step", "half"], [f"d{n}"]),
        helper.make_node("DequantizeLinear", [f"w{n}", f"ws{n}", f"wz{n}"], [f"k{n}"], axis=0),
        helper.make_node("Conv", [f"d{n}", f"k{n}"], [f"x{n + 1}"], pads=[1, 1, 1, 1]),
    ]
last = f"x{layers}"
nodes += [
    helper.make_node("QuantizeLinear", [last, "step", "half"], ["qy"]),
    helper.make_node("DequantizeLinear", ["qy", "step", "half"], ["y"]),
]
side = [1, width, 128, 128]
graph = helper.make_graph(
    nodes, "net", [helper.make_tensor_value_info("x0", TensorProto.FLOAT, side)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, side)],
    [numpy_helper.from_array(np.asarray(value), name) for name, value in kept.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
checker.check_model(model, full_check=True)


def opened(asked):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = f"kept{asked}.onnx"
    options.add_session_config_entry("session.x64quantprecision", asked)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def weights(asked):
    """The 8-bit dtypes of the kernels' weights in the graph that runs."""
    tensors = onnx.load(f"kept{asked}.onnx").graph.initializer
    return sorted({TensorProto.DataType.Name(t.data_type) for t in tensors if len(t.dims) == 4})


sessions = {asked: opened(asked) for asked in "01"}
x = rng.normal(size=side).astype(np.float32)
times, results = {asked: [] for asked in sessions}, {}
for _ in range(25):
    for asked, session in sessions.items():
        start = time.process_time()
        (results[asked],) = session.run(None, {"x0": x})
        times[asked].append(time.process_time() - start)
ms = {asked: 1000 * statistics.median(taken) for asked, taken in times.items()}
print(f"onnxruntime {ort.__version__}, four int8 convolutions of {width} channels at 128x128, one thread")
for asked in sessions:
    print(f"x64quantprecision={asked}: weights {', '.join(weights(asked))}, {ms[asked]:.1f} ms of CPU time")
print(f"same outputs: {np.array_equal(results['0'], results['1'])}, time with the option / without: {ms['1'] / ms['0']:.2f}")
assert np.array_equal(results["0"], results["1"]), "the outputs differ now"
assert weights("0") == ["INT8"] and weights("1") == ["UINT8"], "the weights are kept now"
assert ms["1"] > 1.3 * ms["0"], "the option costs no time now"
PY

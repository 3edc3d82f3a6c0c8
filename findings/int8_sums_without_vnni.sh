#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1 (CPU), openvino 2026.4.1, onnx 1.23.2
# Guess:    A full-range int8 model gives the same levels on every x86 CPU, up to roundings; the file is optimized when it is loaded, so that
#           the runtime takes what the CPU has.
# Happens:  On x86 CPUs with AVX2 and without VNNI (AMD before Zen 4, Intel before Ice Lake) both runtimes add pairs of uint8 x int8 products
#           in 16 bits, which saturate: a mean of white pixels is 0.506 instead of 1. ONNX Runtime has session.x64quantprecision=1 against
#           it, which .ort files ignore; written under that setting on such a CPU they are right, and hold other weights than elsewhere.
#           With the option, two convolutions that share their weights cannot be loaded: "Attempt to replace the existing tensor".
#           OpenVINO is right with LP_TRANSFORMS_MODE=False (float kernels), a property that it takes and does not list. With it a 1x1
#           convolution behind a Transpose is refused ("Incompatible MatMul matrix dimension"), unless ConstantFolding ran before.
# Matters:  A quantized network that was proven on a new server is wrong on an older one, with no warning: a network for super resolution
#           lost 1.7 dB on Set14 instead of 0.02.
# Sources:  https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html and, of older versions,
#           https://docs.openvino.ai/latest/pot_saturation_issue.html advise weights of 7 bits. ONNX Runtime's option stands in
#           onnxruntime_session_options_config_keys.h, which does not name .ort files; OpenVINO's property stands nowhere.
set -euo pipefail
if [ "$(uname -sm)" != "Linux x86_64" ] || ! grep -q ' avx2 ' /proc/cpuinfo || grep -q vnni /proc/cpuinfo; then
  echo "there is nothing to see here: it needs Linux on an x86 CPU with AVX2 and without VNNI"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, checker, helper, numpy_helper
from openvino.passes import ConstantFolding, Manager

constants = {
    "step": np.float32(1 / 255),
    "black": np.uint8(0),
    "w": np.full((8, 16, 3, 3), 127, np.int8),
    "ws": np.float32(1 / 127 / 144),
    "wz": np.int8(0),
}
steps = (
    ("QuantizeLinear", "x step black", "xq"),
    ("DequantizeLinear", "xq step black", "xd"),
    ("DequantizeLinear", "w ws wz", "wd"),
    ("Conv", "xd wd", "c"),
    ("QuantizeLinear", "c step black", "cq"),
    ("DequantizeLinear", "cq step black", "y"),
)
again = (
    ("Conv", "xd wd", "e"),
    ("QuantizeLinear", "e ws black", "eq"),
    ("DequantizeLinear", "eq ws black", "z"),
)


def save(path, steps, *outputs):
    graph = helper.make_graph(
        [helper.make_node(op, given.split(), [out]) for op, given, out in steps],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, 6, 6]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    onnx.save(model, path)


save("mean.onnx", steps, "y")
save("twice.onnx", steps + again, "y", "z")
white = np.ones((1, 16, 8, 8), np.float32)


def by_ort(path, saved="", **entries):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    for key, value in entries.items():
        options.add_session_config_entry(f"session.{key}", value)
    if saved:
        options.add_session_config_entry("session.save_model_format", "ORT")
        options.optimized_model_filepath = saved
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return float(session.run(None, {"x": white})[0].mean())


def by_openvino(**settings):
    core = ov.Core()
    return float(core.compile_model(core.read_model("mean.onnx"), "CPU", settings)(white)[0].mean())


found = {
    "onnxruntime, default": by_ort("mean.onnx", saved="plain.ort"),
    "onnxruntime, x64quantprecision": by_ort("mean.onnx", saved="precise.ort", x64quantprecision="1"),
    "onnxruntime, .ort, x64quantprecision": by_ort("plain.ort", x64quantprecision="1"),
    "onnxruntime, .ort written with it": by_ort("precise.ort"),
    "openvino, default": by_openvino(),
    "openvino, f32 asked for": by_openvino(INFERENCE_PRECISION_HINT="f32"),
    "openvino, LP_TRANSFORMS_MODE": by_openvino(LP_TRANSFORMS_MODE=False),
}
by_ort("twice.onnx")
found_error = ""
try:
    by_ort("twice.onnx", x64quantprecision="1")
except Exception as error:
    found_error = str(error)
assert "Attempt to replace the existing tensor" in found_error, "shared weights can be loaded now"
print("shared weights, x64quantprecision:", found_error[-200:].strip())
print("onnxruntime", ort.__version__, "openvino", ov.__version__)
for way, mean in found.items():
    print(f"{way:40s} {mean:.3f}")


def transposed(fold):
    """A mean of channels of the picture on its side, without int8 kernels."""
    kernel = numpy_helper.from_array(np.full((8, 16, 1, 1), 127, np.int8), "w")
    model = onnx.load("mean.onnx")
    nodes, held = model.graph.node, model.graph.initializer
    held.remove(next(each for each in held if each.name == "w"))
    held.append(kernel)
    nodes.insert(3, helper.make_node("Transpose", ["xd"], ["xt"], perm=[0, 1, 3, 2]))
    nodes[4].input[0] = "xt"
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 8, 8]))
    checker.check_model(model, full_check=True)
    read = ov.Core().read_model(model.SerializeToString())
    if fold:
        manager = Manager()
        manager.register_pass(ConstantFolding())
        manager.run_passes(read)
    return ov.Core().compile_model(read, "CPU", {"LP_TRANSFORMS_MODE": False})(white)[0]


assert transposed(fold=True).shape == (1, 8, 8, 8)
try:
    transposed(fold=False)
except Exception as error:
    found_error = str(error)
assert "Incompatible MatMul matrix dimension" in found_error, "a 1x1 convolution behind a Transpose is taken now"
print("1x1 convolution behind a Transpose, LP_TRANSFORMS_MODE:", found_error.split("failed at")[-1].strip()[:300])
right = {way for way, mean in found.items() if abs(mean - 1) < 1e-3}
expected = {"onnxruntime, x64quantprecision", "onnxruntime, .ort written with it", "openvino, LP_TRANSFORMS_MODE"}
assert right == expected, "other ways are right now"
assert all(abs(mean - 0.506) < 0.01 for way, mean in found.items() if way not in right)
PY

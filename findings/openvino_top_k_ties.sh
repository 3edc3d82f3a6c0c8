#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    TopK gives the lower index first where values are equal, as ONNX says and ONNX Runtime does: sorting by it is stable.
# Happens:  OpenVINO does so for k of 2 to 6. For k=1 on rows of 16 or more values, and for k of 7 or more, equal values come in an
#           order of its own, a full sort included: of rows with three levels most indices are elsewhere. The values are right, and
#           ArgMax, which asks the same as k=1, gives the first.
# Matters:  TopK is how topk, argsort and orders of tokens are exported. Whoever gathers another tensor by the indices gets other
#           pixels than ONNX Runtime or the specification, and only where values are equal: in flat or saturated parts of a
#           picture, and everywhere in int8.
# Sources:  https://onnx.ai/onnx/operators/onnx__TopK.html: "the element with the lower index will appear first".
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

def both(x, k):
    """Values and indices: ONNX Runtime's, OpenVINO's."""
    info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    shape = (*x.shape[:-1], k)
    graph = helper.make_graph(
        [helper.make_node("TopK", ["x", "k"], ["values", "indices"], axis=-1)], "net", [info("x", TensorProto.FLOAT, x.shape)],
        [info("values", TensorProto.FLOAT, shape), info("indices", TensorProto.INT64, shape)], [numpy_helper.from_array(np.array([k]), "k")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    core = ov.Core()
    got = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])
    return ort.InferenceSession(data).run(None, {"x": x}), [np.array(got[index]) for index in range(2)]

draw = np.random.default_rng(0)
for length in (8, 32, 256):
    x = draw.integers(0, 3, (64, length)).astype(np.float32)
    for k in (1, 2, 6, 7, length):
        right, got = both(x, k)
        stable = np.argsort(-x, axis=-1, kind="stable")[:, :k]
        assert np.array_equal(right[1], stable), "ONNX Runtime gives the lower index first"
        assert np.array_equal(right[0], got[0]), "the values are right"
        moved = float((got[1] != stable).mean())
        print(f"{k} of {length} values: {moved:.0%} of OpenVINO's indices are others")
        assert (moved > 0.1) == (k > 6 or (k == 1 and length > 8)), (length, k, moved)
PY

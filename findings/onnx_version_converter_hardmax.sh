#!/usr/bin/env bash
# Packages: onnx 1.23.2, onnxruntime 1.31.1
# Guess:    the version converter lifts what operator set 13 gave another meaning, as it does for Softmax and LogSoftmax: before, they
#           flattened their input to a matrix at ``axis``; since then they work along one axis.
# Happens:  Hardmax changed in the same way on the same day and is left as it is: the lifted model marks one value for each pixel
#           along the axis instead of one for the whole rest. For the last axis, where both meanings agree, nothing is wrong.
# Matters:  tools lift models before they read them. A map that marks the strongest place of a picture marks one in each column.
# Sources:  https://onnx.ai/onnx/operators/onnx__Hardmax.html (versions 11 and 13);
#           https://onnx.ai/onnx/api/version_converter.html: adapters convert between operator sets.
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, version_converter

x = np.random.default_rng(0).random((2, 3, 4, 5)).astype(np.float32)

def by_ort(model):
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]

for op in ("Softmax", "LogSoftmax", "Hardmax"):
    for axis in (1, 2, 3):
        info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
        graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], axis=axis)], "net", info[:1], info[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
        checker.check_model(model, full_check=True)
        lifted = version_converter.convert_version(model, 13)
        checker.check_model(lifted, full_check=True)
        before, after = by_ort(model), by_ort(lifted)
        print(f"{op}, axis {axis}: {np.abs(after - before).max():.1e} off after lifting, as {[node.op_type for node in lifted.graph.node]}")
        assert (np.abs(after - before).max() > 0.5) == (op == "Hardmax" and axis < 3), (op, axis)
        if op == "Hardmax":
            print(f"    values that are 1: {int(before.sum())} before, {int(after.sum())} after, of {x.size}")
            assert before.sum() == np.prod(x.shape[:axis]) and after.sum() == x.size / x.shape[axis]
PY

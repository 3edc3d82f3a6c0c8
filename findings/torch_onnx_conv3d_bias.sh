#!/usr/bin/env bash
# Packages: torch 2.13.0 (CPU), onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.31.1
# Guess:    torch.onnx.export(dynamo=True) writes Conv3d as it writes Conv1d and Conv2d; optimize=False only leaves constants unfolded.
# Happens:  without a bias each gets one of zeros, expanded to a computed shape. For Conv3d that shape has more than one axis, and ONNX
#           Runtime stops at the first run: "bias must be a 1D tensor of size output_channels". Conv1d and Conv2d are right, and so is
#           Conv3d with a bias, or with optimize=True (the default), which folds the zeros away.
# Matters:  whoever exports without the optimizer, to keep layers as they were written, gets video and volume networks that load and
#           cannot run; onnx's checker accepts the file.
# Sources:  https://onnx.ai/onnx/operators/onnx__Conv.html: B is an optional 1D bias of size M.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - 2>/dev/null <<'PY'
import onnx
import onnxruntime as ort
import torch
from torch import nn

def outcome(layer, x, optimize):
    torch.onnx.export(layer, (x,), "net.onnx", dynamo=True, optimize=optimize, verbose=False)
    onnx.checker.check_model("net.onnx")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession("net.onnx", options, providers=["CPUExecutionProvider"])
    try:
        y = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    except Exception as error:
        return "bias must be a 1D tensor" if "bias must be a 1D tensor" in str(error) else str(error)
    return "right" if torch.allclose(torch.from_numpy(y), layer(x), atol=1e-5) else "wrong"

for kind, axes in ((nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3)):
    for bias in (True, False):
        for optimize in (True, False):
            found = outcome(kind(3, 4, 3, bias=bias).eval(), torch.rand(1, 3, *[8] * axes), optimize)
            print(f"{kind.__name__}, bias={bias}, optimize={optimize}: {found}")
            fails = kind is nn.Conv3d and not bias and not optimize
            assert found == ("bias must be a 1D tensor" if fails else "right")
PY

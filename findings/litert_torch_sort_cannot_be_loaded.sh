#!/usr/bin/env bash
# Packages: litert-torch 0.10.0, torch 2.13.0, ai-edge-litert 2.3.0
# Guess:    what litert-torch converts without an error, the LiteRT of the same months loads; torch.topk becomes TFLite's TOPK_V2.
# Happens:  torch.topk and torch.sort are converted and exported without a word, as the builtin operator STABLEHLO_SORT, for which
#           LiteRT has no kernel: the interpreter refuses the file when it is opened. No operator in the file is TOPK_V2.
# Matters:  sparse attention, matching and detection heads use topk; the export looks done, and the app fails at its first start.
# Sources:  https://github.com/google-ai-edge/litert-torch/issues/555 (open: the conversion itself failed there, in an older version).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 litert-torch==0.10.0 ai-edge-litert==2.3.0
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import contextlib
import io

import litert_torch
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


class Best(torch.nn.Module):
    def forward(self, x):
        return torch.topk(x, 2, dim=-1).values


class Sorted(torch.nn.Module):
    def forward(self, x):
        return torch.sort(x, dim=-1).values


x = torch.tensor([[3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0]])
for network in (Best(), Sorted()):
    with contextlib.redirect_stdout(io.StringIO()):
        litert_torch.convert(network.eval(), (x,)).export("network.tflite")
    with open("network.tflite", "rb") as file:
        model = schema.ModelT.InitFromPackedBuf(file.read(), 0)
    operators = [NAMES[code.builtinCode] for code in model.operatorCodes]
    try:
        Interpreter("network.tflite").allocate_tensors()
        said = "loaded"
    except (RuntimeError, ValueError) as error:
        said = str(error).split(".")[0]
    print(f"{type(network).__name__}: operators {', '.join(sorted(operators))}; LiteRT: {said}")
    assert "STABLEHLO_SORT" in operators
    assert "TOPK_V2" not in operators
    assert said == "Didn't find op for builtin opcode 'STABLEHLO_SORT' version '1'"
PY

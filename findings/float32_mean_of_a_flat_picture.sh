#!/usr/bin/env bash
# Packages: ai-edge-litert 2.3.0, coreai-core 1.0.0b3
# Guess:    the float32 mean over a picture is right to six digits, as numpy's and PyTorch's are, whatever the picture.
# Happens:  LiteRT's MEAN and Core AI's reduce_mean add one pixel after another in float32: noise averages to six digits, but a flat
#           picture of 0.1 comes out 0.2 % off at 360x640 and 1.7 % at 1080x1920, in both to the same bit.
# Matters:  global pooling steers whole pictures (exposure, white balance, channel attention), and skies and walls are flat: the
#           error grows with the size of the picture, so tests on small ones pass, and it is a fault of the float32 file.
#           A mean over rows and then over columns is right.
# Sources:  neither https://ai.google.dev/edge/litert/models/ops_compatibility nor the docstring of coreai.authoring.reduce_mean says
#           how the sum is taken.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 coreai-core==1.0.0b3
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import asyncio
import os
import pathlib
import sys
import tempfile
from typing import Annotated

import coreai.authoring as ai
import coreai.runtime
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter

def litert(x, axes):
    def tensor(name, shape, kind, buffer):
        made = s.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), kind, buffer
        return made
    tensors, steps, data = [tensor("x", x.shape, s.TensorType.FLOAT32, 0)], [], [s.BufferT()]
    shape = list(x.shape)
    for number, axis in enumerate(axes):
        for a in axis:
            shape[a] = 1
        values, step, how = s.BufferT(), s.OperatorT(), s.ReducerOptionsT()
        values.data = np.frombuffer(np.int32(axis).tobytes(), np.uint8)
        data.append(values)
        tensors += [tensor(f"a{number}", [len(axis)], s.TensorType.INT32, len(data) - 1), tensor(f"y{number}", shape, s.TensorType.FLOAT32, 0)]
        how.keepDims = True
        step.opcodeIndex, step.inputs, step.outputs = 0, [2 * number, 2 * number + 1], [2 * number + 2]
        step.builtinOptionsType, step.builtinOptions = s.BuiltinOptions.ReducerOptions, how
        steps.append(step)
    code, graph, made = s.OperatorCodeT(), s.SubGraphT(), s.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.MEAN
    code.version = 1
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, steps, [0], [len(tensors) - 1]
    made.version, made.operatorCodes, made.subgraphs, made.buffers = 3, [code], [graph], data
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    interpreter = Interpreter(model_content=bytes(builder.Output()), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return interpreter.get_tensor(len(tensors) - 1).item()

async def core_ai(x, axes):
    module = ai.Module.create()
    with module:
        def body(x):
            for axis in axes:
                x = ai.reduce_mean(x, np.array(axis, np.int32))
            return x
        body.__annotations__ = {"x": Annotated[ai.Value, ai.TensorType(x.shape, np.float32)],
                                "return": Annotated[ai.Value, ai.TensorType((1, 1, 1, 1), np.float32, name="y")]}
        ai.graph(body, provided_name="main")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mean.aimodel"
        ai.AIProgram(module).save_asset(path)
        async with ai.AIModelAsset.load(path).executable() as model:
            result = await model.load_function("main")({"x": coreai.runtime.NDArray(x)})
            return np.array(result["y"].numpy()).item()

async def main():
    noise = np.random.default_rng(0).uniform(0, 1, (1, 1, 360, 640)).astype(np.float32)
    for name, x, least, most in (("noise 360x640", noise, 0, 1e-4), ("flat 360x640", np.full((1, 1, 360, 640), 0.1, np.float32), 5e-4, 5e-2),
                                 ("flat 1080x1920", np.full((1, 1, 1080, 1920), 0.1, np.float32), 5e-3, 0.2)):
        true = x.mean(dtype=np.float64)
        off = {"LiteRT": litert(x.reshape(*x.shape[2:], 1)[None], [[1, 2]]) / true - 1, "Core AI": await core_ai(x, [[2, 3]]) / true - 1,
               "LiteRT in two steps": litert(x.reshape(*x.shape[2:], 1)[None], [[2], [1]]) / true - 1,
               "Core AI in two steps": await core_ai(x, [[3], [2]]) / true - 1, "numpy": x.mean() / true - 1}
        print(name, {k: f"{100 * v:+.4f} %" for k, v in off.items()}, flush=True)
        for runtime in ("LiteRT", "Core AI"):
            assert least <= abs(off[runtime]) < most, f"{runtime} used to add in float32, one by one"
            assert abs(off[runtime + " in two steps"]) < 1e-4
        assert abs(off["numpy"]) < 1e-5

try:
    asyncio.run(main())
except BaseException:
    import traceback
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
os._exit(0)  # the beta may end otherwise after the right answer
PY

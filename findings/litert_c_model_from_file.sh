#!/usr/bin/env bash
# Packages: ai-edge-litert 2.3.0
# Guess:    LiteRtCreateModelFromFile(path, &model) of libLiteRt.so loads a file, as headers of LiteRT and bindings for other languages
#           declare it.
# Happens:  the library's function takes the environment first. The name is the same, and C links either: called the other way the
#           path is taken for the environment and the model's address for the path, and the answer is status 500 with "Could not
#           open ''", which reads as if the file were missing.
# Matters:  an app that is built with the headers of one release and ships the library of another links and starts, and fails on
#           every file.
# Sources:  litert/c/internal/litert_runtime_c_api.h in https://github.com/google-ai-edge/LiteRT has the form without; the Python package
#           ships no header.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import ctypes
import importlib.util
import pathlib

import flatbuffers
from ai_edge_litert import schema_py_generated as s


def tensor(name):
    made = s.TensorT()
    made.name, made.shape, made.type, made.buffer = name, [1, 4], s.TensorType.FLOAT32, 0
    return made


graph, model, code, relu = s.SubGraphT(), s.ModelT(), s.OperatorCodeT(), s.OperatorT()
code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.RELU
code.version = 1
relu.opcodeIndex, relu.inputs, relu.outputs = 0, [0], [1]
graph.tensors, graph.operators, graph.inputs, graph.outputs = [tensor("in"), tensor("out")], [relu], [0], [1]
model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [s.BufferT()]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), b"TFL3")
pathlib.Path("relu.tflite").write_bytes(builder.Output())

package = pathlib.Path(importlib.util.find_spec("ai_edge_litert").submodule_search_locations[0])
library = ctypes.CDLL(str(package / "libLiteRt.so"))
environment, old, new = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
assert library.LiteRtCreateEnvironment(0, None, ctypes.byref(environment)) == 0
by_old = library.LiteRtCreateModelFromFile(b"relu.tflite", ctypes.byref(old))
by_new = library.LiteRtCreateModelFromFile(environment, b"relu.tflite", ctypes.byref(new))
print(f"ai-edge-litert 2.3.0: without the environment status {by_old} and {'a' if old else 'no'} model, with it {by_new} and {'a' if new else 'no'} model")
assert (by_old, bool(old), by_new, bool(new)) == (500, False, 0, True), "the behavior has changed"
PY

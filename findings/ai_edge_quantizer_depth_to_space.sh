#!/usr/bin/env bash
# Packages: ai-edge-quantizer 0.10.0, ai-edge-litert 2.3.0
# Guess:    the full-integer recipe static_wi8_ai8 gives an integer file when LiteRT has int8 kernels for all its operators.
# Happens:  DEPTH_TO_SPACE, which only moves data and has an int8 kernel, is put between DEQUANTIZE and QUANTIZE and stays
#           float32, while its counterpart SPACE_TO_DEPTH is in the quantizer's list. Input and output of the file are int8, so nothing
#           shows from outside, and nothing is printed.
# Matters:  nearly every super-resolution network ends in this operator, at its largest size: four times the memory traffic there,
#           and an NPU that takes integer operators only hands the tail to the CPU.
# Sources:  the operators that a recipe reaches are in ai_edge_quantizer/algorithm_manager.py and default_policy.py; the README of
#           https://github.com/google-ai-edge/ai-edge-quantizer does not say what becomes of others. LiteRT's kernel is in
#           tflite/kernels/depth_to_space.cc.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 ai-edge-quantizer==0.10.0
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe

rng = np.random.default_rng(0)
BUFFERS = [s.BufferT()]

def tensor(name, shape, kind=s.TensorType.FLOAT32, data=None, scale=None):
    made = s.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), kind, 0
    if data is not None:
        held = s.BufferT()
        held.data = np.frombuffer(data.tobytes(), np.uint8)
        BUFFERS.append(held)
        made.buffer = len(BUFFERS) - 1
    if scale:
        made.quantization = s.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = np.float32([scale]), np.int64([0])
    return made

def operator(index, inputs, outputs, kind, options):
    made = s.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs, made.builtinOptionsType, made.builtinOptions = index, inputs, outputs, kind, options
    return made

def file(tensors, operators, kinds, given, got):
    graph, made, signature = s.SubGraphT(), s.ModelT(), s.SignatureDefT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, [given], [got]
    made.version, made.operatorCodes, made.subgraphs, made.buffers = 3, [], [graph], BUFFERS
    for kind in kinds:
        code = s.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        made.operatorCodes.append(code)
    ends = []
    for index in (given, got):
        end = s.TensorMapT()
        end.name, end.tensorIndex = tensors[index].name, index
        ends.append([end])
    signature.signatureKey, signature.subgraphIndex, signature.inputs, signature.outputs = "serving_default", 0, *ends
    made.signatureDefs = [signature]
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())

shuffle, conv = s.DepthToSpaceOptionsT(), s.Conv2DOptionsT()
shuffle.blockSize = 2
conv.padding, conv.strideW, conv.strideH, conv.dilationWFactor, conv.dilationHFactor = 0, 1, 1, 1, 1
weight, bias = rng.normal(0, 0.1, (12, 3, 3, 3)).astype(np.float32), rng.normal(0, 0.1, 12).astype(np.float32)
tensors = [tensor("x", (1, 16, 16, 3)), tensor("w", weight.shape, data=weight), tensor("b", bias.shape, data=bias),
           tensor("c", (1, 16, 16, 12)), tensor("y", (1, 32, 32, 3))]
operators = [operator(0, [0, 1, 2], [3], s.BuiltinOptions.Conv2DOptions, conv),
             operator(1, [3], [4], s.BuiltinOptions.DepthToSpaceOptions, shuffle)]
open("float.tflite", "wb").write(file(tensors, operators, [s.BuiltinOperator.CONV_2D, s.BuiltinOperator.DEPTH_TO_SPACE], 0, 4))
made = quantizer.Quantizer("float.tflite", recipe.static_wi8_ai8())
samples = [{"x": rng.random((1, 16, 16, 3)).astype(np.float32)} for _ in range(3)]
content = bytes(made.quantize(made.calibrate({"serving_default": samples})).quantized_model)

graph = s.ModelT.InitFromObj(s.Model.GetRootAs(content, 0))
names = {v: k for k, v in vars(s.BuiltinOperator).items() if isinstance(v, int)}
types = {v: k for k, v in vars(s.TensorType).items() if isinstance(v, int)}
kinds = lambda indices: [types[graph.subgraphs[0].tensors[i].type] for i in indices]
steps = [(names[graph.operatorCodes[o.opcodeIndex].builtinCode], kinds(o.inputs)[0], kinds(o.outputs)[0]) for o in graph.subgraphs[0].operators]
print(*steps, sep="\n")
assert steps == [("CONV_2D", "INT8", "INT8"), ("DEQUANTIZE", "INT8", "FLOAT32"), ("DEPTH_TO_SPACE", "FLOAT32", "FLOAT32"),
                 ("QUANTIZE", "FLOAT32", "INT8")], "the operator used to stay float"

# LiteRT's own int8 kernel takes it.
BUFFERS = [s.BufferT()]
tensors = [tensor("x", (1, 4, 4, 4), s.TensorType.INT8, scale=0.1), tensor("y", (1, 8, 8, 1), s.TensorType.INT8, scale=0.1)]
content = file(tensors, [operator(0, [0], [1], s.BuiltinOptions.DepthToSpaceOptions, shuffle)], [s.BuiltinOperator.DEPTH_TO_SPACE], 0, 1)
interpreter = Interpreter(model_content=content)
interpreter.allocate_tensors()
x = rng.integers(-128, 128, (1, 4, 4, 4)).astype(np.int8)
interpreter.set_tensor(0, x)
interpreter.invoke()
np.testing.assert_array_equal(interpreter.get_tensor(1)[0, :, :, 0], x[0].reshape(4, 4, 2, 2).transpose(0, 2, 1, 3).reshape(8, 8))
print("LiteRT's int8 kernel for DEPTH_TO_SPACE runs")
PY

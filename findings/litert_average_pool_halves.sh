#!/usr/bin/env bash
# Packages: ai-edge-litert 2.3.0, onnxruntime 1.31.1, onnx 1.23.2
# Guess:    an int8 average of 2x2 pixels is rounded in LiteRT as in ONNX Runtime's QDQ model: to the nearest, exact halves to even.
# Happens:  LiteRT rounds halves away from zero of the stored number. A quarter of all 2x2 averages are exact halves, and since
#           pictures are stored with zero point -128, all dark values are rounded towards black: their mean is 1/8 of a step too low.
#           No convolution shows this, since its sums hardly ever lie on halves.
# Matters:  channel attention and pyramids average over and over; a bias, unlike noise, is not averaged away. "Bit-exact but for ties"
#           is then a picture that is darker as a whole.
# Sources:  https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec (AVERAGE_POOL_2D: no rounding said);
#           tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h adds half of the count, with the sign of the sum.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import flatbuffers
import numpy as np
import onnxruntime as ort
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

SIDE, SCALE, ZERO = 32, 1 / 255, -128

def tflite():
    """AVERAGE_POOL_2D of 2x2 pixels in int8."""
    def tensor(name, side):
        made = s.TensorT()
        made.name, made.shape, made.type, made.buffer = name, [1, side, side, 1], s.TensorType.INT8, 0
        made.quantization = s.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = np.float32([SCALE]), np.int64([ZERO])
        return made
    code, step, graph, made, how = s.OperatorCodeT(), s.OperatorT(), s.SubGraphT(), s.ModelT(), s.Pool2DOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.AVERAGE_POOL_2D
    code.version = 2
    how.padding, how.strideH, how.strideW, how.filterHeight, how.filterWidth = s.Padding.VALID, 2, 2, 2, 2
    step.opcodeIndex, step.inputs, step.outputs = 0, [0], [1]
    step.builtinOptionsType, step.builtinOptions = s.BuiltinOptions.Pool2DOptions, how
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [tensor("x", SIDE), tensor("y", SIDE // 2)], [step], [0], [1]
    made.version, made.operatorCodes, made.subgraphs, made.buffers = 3, [code], [graph], [s.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())

def qdq():
    """The same as an ONNX model, uint8."""
    nodes = [helper.make_node("DequantizeLinear", ["x", "s", "z"], ["f"]),
             helper.make_node("AveragePool", ["f"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("QuantizeLinear", ["a", "s", "z"], ["y"])]
    ends = [helper.make_tensor_value_info(n, TensorProto.UINT8, [1, 1, side, side]) for n, side in (("x", SIDE), ("y", SIDE // 2))]
    constants = [numpy_helper.from_array(np.float32(SCALE), "s"), numpy_helper.from_array(np.uint8(0), "z")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()

generator = np.random.default_rng(0)
for name, low, high in (("dark", 0, 100), ("bright", 156, 256)):
    pixels = generator.integers(low, high, (SIDE, SIDE)).astype(np.uint8)
    interpreter = Interpreter(model_content=tflite())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (pixels.astype(int) + ZERO).astype(np.int8)[None, :, :, None])
    interpreter.invoke()
    phone = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().astype(int) - ZERO
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    desk = ort.InferenceSession(qdq(), options, providers=["CPUExecutionProvider"]).run(None, {"x": pixels[None, None]})[0].ravel().astype(int)
    exact = pixels.reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3)).ravel()
    halves = exact % 1 == 0.5
    print(f"{name}: {halves.sum()} of {exact.size} averages are halves; mean error of LiteRT {np.mean(phone - exact):+.3f}, "
          f"of ONNX Runtime {np.mean(desk - exact):+.3f} steps")
    np.testing.assert_array_equal(phone[~halves], np.rint(exact)[~halves])
    np.testing.assert_array_equal(desk[~halves], np.rint(exact)[~halves])
    up = -1 if name == "dark" else 1  # stored numbers are below zero in the dark
    assert (phone[halves] == exact[halves] + up * 0.5).all()
    assert abs(np.mean(desk - exact)) < 0.06
PY

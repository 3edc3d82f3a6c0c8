#!/usr/bin/env bash
# Packages: ethos-u-vela 5.2.0
# Guess:    Vela's estimate of inference time covers the file that it wrote, or says which part it leaves out.
# Happens:  an operator that the NPU does not take (DEPTH_TO_SPACE) stays on the CPU and costs nothing: total cycles, inference time and
#           memory of a network with it and without it are equal to the last digit, though its output is the largest tensor.
#           The summary file, which is what scripts read, has no column for it; only the text output counts "CPU operators".
# Matters:  super-resolution ends in this operator. On a Cortex-M its cost is not small, and the time that one compares boards by is
#           that of another network.
# Sources:  https://gitlab.arm.com/artificial-intelligence/ethos-u/ethos-u-vela (PERFORMANCE.md: columns of the summary;
#           SUPPORTED_OPS.md: operators).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 flatbuffers==25.12.19 ai-edge-litert==2.3.0 ethos-u-vela==5.2.0
cd "$work"
venv/bin/python - <<'PY'
import csv
import pathlib
import subprocess
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as s

def network(path, shuffled, side=64, channels=16):
    """One int8 convolution, with DEPTH_TO_SPACE behind it or not (made with ai-edge-litert's schema classes)."""
    buffers = [s.BufferT()]
    def tensor(name, shape, kind, scale, data=None):
        made = s.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), kind, 0
        made.quantization = s.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = np.float32(scale), np.zeros(len(scale), np.int64)
        if data is not None:
            held = s.BufferT()
            held.data = np.frombuffer(data.tobytes(), np.uint8)
            buffers.append(held)
            made.buffer = len(buffers) - 1
        return made
    def operator(index, inputs, outputs, kind, options):
        made = s.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs, made.builtinOptionsType, made.builtinOptions = index, inputs, outputs, kind, options
        return made
    weight = np.random.default_rng(0).integers(-127, 128, (channels, 3, 3, channels)).astype(np.int8)
    int8, int32 = s.TensorType.INT8, s.TensorType.INT32
    tensors = [tensor("x", (1, side, side, channels), int8, [1 / 128]), tensor("w", weight.shape, int8, [0.002] * channels, weight),
               tensor("b", (channels,), int32, [0.002 / 128] * channels, np.zeros(channels, np.int32)),
               tensor("c", (1, side, side, channels), int8, [1 / 128])]
    conv, shuffle = s.Conv2DOptionsT(), s.DepthToSpaceOptionsT()
    conv.padding, conv.strideW, conv.strideH, conv.dilationWFactor, conv.dilationHFactor = 0, 1, 1, 1, 1
    shuffle.blockSize = 2
    operators = [operator(0, [0, 1, 2], [3], s.BuiltinOptions.Conv2DOptions, conv)]
    if shuffled:
        tensors.append(tensor("y", (1, 2 * side, 2 * side, channels // 4), int8, [1 / 128]))
        operators.append(operator(1, [3], [4], s.BuiltinOptions.DepthToSpaceOptions, shuffle))
    graph, made = s.SubGraphT(), s.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, [0], [len(tensors) - 1]
    made.version, made.operatorCodes, made.subgraphs, made.buffers = 3, [], [graph], buffers
    for kind, version in ((s.BuiltinOperator.CONV_2D, 3), (s.BuiltinOperator.DEPTH_TO_SPACE, 1))[:len(operators)]:
        code = s.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = version
        made.operatorCodes.append(code)
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    pathlib.Path(path).write_bytes(bytes(builder.Output()))

def estimate(name, accelerator, shuffled):
    folder = pathlib.Path(f"{name}-{accelerator}")
    folder.mkdir()
    network(folder / "net.tflite", shuffled)
    vela = pathlib.Path(sys.executable).with_name("vela")
    done = subprocess.run([vela, folder / "net.tflite", "--accelerator-config", accelerator, "--output-dir", folder],
                          capture_output=True, text=True, check=True)
    counted = next(line for line in done.stdout.splitlines() if line.startswith("CPU operators"))
    row = next(csv.DictReader(open(next(folder.glob("*summary*.csv")))))
    return row, counted

for accelerator in ("ethos-u55-128", "ethos-u85-256"):
    (plain, _), (shuffled, counted) = estimate("plain", accelerator, False), estimate("shuffled", accelerator, True)
    for name, row in (("convolution", plain), ("convolution and DEPTH_TO_SPACE", shuffled)):
        print(f"{accelerator} {name}: {row['cycles_total']} cycles, {float(row['inference_time']) * 1e6:.1f} us, {row['sram_memory_used']} KiB of SRAM")
    print("   ", counted)
    assert "1 (50.0%)" in counted, "the operator used to fall to the CPU"
    assert not any("cpu" in column.lower() for column in shuffled), "the summary used to have no column for it"
    same = ("cycles_total", "cycles_npu", "inference_time", "sram_memory_used")
    assert [plain[k] for k in same] == [shuffled[k] for k in same], "it used to cost nothing"
PY

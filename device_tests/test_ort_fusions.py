"""ONNX Runtime with default settings computes what the int8 file says, whatever stands between two quantizations.

Its optimizer knows dozens of operators between DequantizeLinear and QuantizeLinear and replaces them by kernels of its
own. Those of int8 operators round in their own way; an operator that the table leaves in float must stay as it is.
"""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx_ir.passes import common

from clearport.base import Graph, TensorSpec
from clearport.graph import nodes as graphs
from clearport.quantize import qdq
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.placement import floats as placement
from clearport.quantized import QuantizedGraph

BODIES = {
    "Softmax over channels": "y = Softmax<axis=1>(x)",
    "Softmax over columns": "y = Softmax<axis=3>(x)",
    "Softmax behind Transpose": """a = Transpose<perm=[0,2,3,1]>(x) b = Softmax<axis=3>(a)
        y = Transpose<perm=[0,3,1,2]>(b)""",
    "Softmax before Reshape": """i = I{1,8,256} o = I{1,8,16,16} a = Reshape(x, i) b = Softmax<axis=2>(a)
        y = Reshape(b, o)""",
    "LogSoftmax": "y = LogSoftmax<axis=1>(x)",
    "Sigmoid": "y = Sigmoid(x)",
    "Tanh": "y = Tanh(x)",
    "LeakyRelu": "y = LeakyRelu<alpha=0.13>(x)",
    "PRelu": "y = PRelu(x, S)",
    "Relu of a part": "a = Sigmoid(x) b = Sub(x, a) y = Relu(b)",
    "Clip": "l = F{-0.1} h = F{0.2} y = Clip(x, l, h)",
    "Elu": "y = Elu(x)",
    "Gelu": "y = Gelu(x)",
    "HardSwish": "y = HardSwish(x)",
    "Softplus": "y = Softplus(x)",
    "Erf": "y = Erf(x)",
    "Exp": "y = Exp(x)",
    "Abs": "y = Abs(x)",
    "Neg": "y = Neg(x)",
    "Sqrt": "a = Sigmoid(x) y = Sqrt(a)",
    "AveragePool": "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[1,1]>(x)",
    "AveragePool, padding counted": "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)",
    "MaxPool": "y = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)",
    "GlobalAveragePool": "a = GlobalAveragePool(x) y = Mul(x, a)",
    "GlobalMaxPool": "a = GlobalMaxPool(x) y = Mul(x, a)",
    "ReduceMean of channels": "i = I{1} a = ReduceMean(x, i) y = Sub(x, a)",
    "ReduceSum of channels": "i = I{1} a = ReduceSum(x, i) y = Sub(x, a)",
    "ReduceMax of channels": "i = I{1} a = ReduceMax(x, i) y = Sub(x, a)",
    "Add": "a = Sigmoid(x) y = Add(x, a)",
    "Mul": "a = Sigmoid(x) y = Mul(x, a)",
    "Div": "a = Sigmoid(x) y = Div(x, a)",
    "Pow": "a = Sigmoid(x) h = F{1.7} y = Pow(a, h)",
    "Max": "a = Sigmoid(x) y = Max(x, a)",
    "Min": "a = Sigmoid(x) y = Min(x, a)",
    "Where": "h = F{0} c = Greater(x, h) a = Sigmoid(x) y = Where(c, x, a)",
    "Equal": "a = Relu(x) c = Equal(a, x) f = Cast<to=1>(c) y = Mul(x, f)",
    "ArgMax": "c = ArgMax<axis=1>(x) f = Cast<to=1>(c) y = Mul(x, f)",
    "Concat": "a = Sigmoid(x) b = Concat<axis=1>(x, a) y = Conv(b, U, A)",
    "Split": "p, q = Split<axis=1, num_outputs=2>(x) y = Concat<axis=1>(q, p)",
    "Slice": "s = I{2} e = I{10} a = I{2} t = I{1} y = Slice(x, s, e, a, t)",
    "Gather": "i = I{7,6,5,4,3,2,1,0} y = Gather<axis=1>(x, i)",
    "Transpose": "a = Transpose<perm=[0,1,3,2]>(x) y = Sub(a, x)",
    "Pad": 'p = I{0,0,1,1,0,0,1,1} y = Pad<mode="reflect">(x, p)',
    "Expand": "a = GlobalAveragePool(x) i = I{1,8,16,16} b = Expand(a, i) y = Mul(b, x)",
    "Resize nearest": """s = G{1,1,2,2}
        y = Resize<mode=\"nearest\", coordinate_transformation_mode=\"asymmetric\">(x, , s)""",
    "Resize linear": 's = G{1,1,2,2} y = Resize<mode="linear">(x, , s)',
    "Resize linear down": 's = G{1,1,0.5,0.5} y = Resize<mode="linear">(x, , s)',
    "Resize cubic": 's = G{1,1,2,2} y = Resize<mode="cubic">(x, , s)',
    "DepthToSpace": "a = DepthToSpace<blocksize=2>(x) y = SpaceToDepth<blocksize=2>(a)",
    "InstanceNormalization": "y = InstanceNormalization(x, N, N)",
    "LayerNormalization": """a = Transpose<perm=[0,2,3,1]>(x) b = LayerNormalization(a, N, N)
        y = Transpose<perm=[0,3,1,2]>(b)""",
    "LRN": "y = LRN<size=3>(x)",
    "LpNormalization": "y = LpNormalization<axis=1>(x)",
    "MatMul of two": "a = Sigmoid(x) y = MatMul(x, a)",
    "MatMul by a constant": "a = MatMul(x, K) y = Add(a, x)",
    "Gemm": "i = I{128,16} o = I{1,8,16,16} a = Reshape(x, i) b = Gemm(a, K, k) y = Reshape(b, o)",
    "Attention": """i = I{1,8,256} o = I{1,8,16,16} a = Reshape(x, i) t = Transpose<perm=[0,2,1]>(a) m = MatMul(a, t)
        b = Softmax<axis=2>(m) c = MatMul(b, a) y = Reshape(c, o)""",
    "ConvTranspose": "y = ConvTranspose<strides=[2,2]>(x, T, B)",
    "Conv of groups": "y = Conv<group=4, pads=[1,1,1,1]>(x, D, B)",
    "Conv, then Softmax": "a = Conv(x, R, B) y = Softmax<axis=1>(a)",
    "CumSum": "z = Z{2} y = CumSum(x, z)",
    "Identity": "y = Identity(x)",
    "HardSigmoid": "y = HardSigmoid(x)",
}
SHAPES = {
    "W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 1, 1], "C": [3], "S": [8, 1, 1], "N": [8], "M": [8], "K": [16, 16],
    "k": [16], "T": [8, 8, 2, 2], "D": [8, 2, 3, 3], "R": [8, 8, 1, 1], "U": [8, 16, 1, 1], "A": [8],
}  # fmt: skip


def graph_of(body: str) -> Graph:
    kinds = {"I": "int64[{n}]", "F": "float", "G": "float[{n}]", "Z": "int64"}

    def expand(found: re.Match[str]) -> str:
        count = found[2].count(",") + 1
        return f"= Constant<value = {kinds[found[1]].format(n=count)} {{{found[2]}}}>()"

    body = re.sub(r"= ([IFGZ])\{([^}]*)\}", expand, body)
    lines = f"x = Conv<pads=[1,1,1,1]>(image, W, B) {body} restored = Conv(y, V, C)"
    used = [name for name in SHAPES if re.search(rf"\b{name}\b", lines)]
    declared = "".join(f", float[{','.join(map(str, SHAPES[name]))}] {name}" for name in used)
    text = f"g (float[1,3,16,16] image{declared}) => (float[1,3,P,Q] restored) {{ {lines} }}"
    model = ir.from_onnx_text(f'<ir_version: 9, opset_import: ["" : {graphs.OPSET}]> {text}')
    generator = np.random.default_rng(0)
    for placeholder in list(model.graph.inputs)[1:]:
        name, placeholder.name = placeholder.name or "", None
        model.graph.inputs.remove(placeholder)
        array = generator.normal(scale=1 / np.sqrt(np.prod(SHAPES[name][1:]) or 1), size=SHAPES[name])
        array = array / 60 if name == "W" else 40 * array if name == "V" else array
        value = graphs.new_constant(model.graph, name, array.astype(np.float32))
        ir.convenience.replace_all_uses_with(placeholder, value)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    for index, node in enumerate(model.graph):
        node.name = f"node{index}"
    specs = (TensorSpec("image", (1, 3, 16, 16)), TensorSpec("restored", (1, 3, "P", "Q")))
    return graphs.check(Graph(model, specs[:1], specs[1:], "test", 1))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    y, x = np.mgrid[0:16, 0:16] / 16
    planes = [0.5 + 0.45 * np.sin(5 * x + c) * np.cos(7 * y + x) for c in range(3)]
    return np.rint(255 * np.clip(np.stack(planes, 2), 0, 1)).astype(np.uint8)


def outputs(model: ir.Model, image: np.ndarray, optimized: bool) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # as clearport opens it
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(graphs.to_bytes(model), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


def quantized_with(body: str, photo: np.ndarray, as_float: bool) -> QuantizedGraph:
    graph = graph_of(BODIES[body])
    inner = [placement.name_of(node) for node in graph.model.graph][1:-1]
    options = QuantizeOptions(
        equalization=(0.0,), search=False, compensate=False, floats=tuple(inner if as_float else ())
    )
    return quantize(graph, [photo], options)


def deviation(body: str, photo: np.ndarray, as_float: bool) -> np.ndarray:
    """The optimized session against the plain one, as a share of what the output spans."""
    model = qdq.to_qdq(quantized_with(body, photo, as_float))
    image = photo.transpose(2, 0, 1)[None].astype(np.float32)
    wanted, found = (outputs(model, image, optimized) for optimized in (False, True))
    return np.abs(found - wanted) / np.ptp(wanted)


@pytest.mark.parametrize("body", BODIES)
def test_what_is_float_stays_float(body: str, photo: np.ndarray) -> None:
    assert deviation(body, photo, as_float=True).max() < 1e-5, "sums in another order"


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_int8_kernels_round_as_the_file_says(body: str, photo: np.ndarray) -> None:
    """To a step here and there: kernels of their own round (pooling: 64 dB); fused float operators were at 54."""
    share = deviation(body, photo, as_float=False)
    assert 10 * np.log10(1 / max(np.square(share).mean(), 1e-12)) > 60

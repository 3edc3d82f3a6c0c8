"""Int8 networks with float inside, as files of every target: an island in the middle, and a float tail.

Each file is read back from disk by its runtime with default settings and compared with the QDQ model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from clearport.base import Artifact, Graph, Options, Size, TensorSpec
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.models import samples
from clearport.pictures.images import load_rgb
from clearport.quantize import qdq
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantized import QuantizedGraph
from clearport.registry import RUNNERS, TARGETS, missing
from clearport.runtime import parity, pixels

if TYPE_CHECKING:
    from clearport.base import Array

SIZE = Size(32, 48)
WIDTH = 8
HEAD = """
    a = Conv<pads=[1,1,1,1]>(image, W, B) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, V, C)
    lo = Constant<value = float {0.0}>() hi = Constant<value = float {255.0}>() one = Constant<value = float {8.0}>()
"""
BODIES = {
    "island": f"{HEAD} d = Abs(c) e = Add(d, one) f = Div(c, e) g = Conv<pads=[1,1,1,1]>(f, U, D)"
    "h = Add(g, image) restored = Clip(h, lo, hi)",
    "tail": f"{HEAD} d = Relu(c) g = Conv<pads=[1,1,1,1]>(d, U, D) restored = Clip(g, lo, hi)",
}
RUNNER_OF = {"tflite": "litert", "onnxruntime": "onnxruntime", "openvino": "openvino", "coreml": "milref"}
FILES = [(target, variant) for target, variants in (
    ("tflite", ("",)), ("onnxruntime", ("", "ort")), ("openvino", ("",)), ("coreml", ("tensor",)),
) for variant in variants]  # fmt: skip
LEAST_EXACT = 0.9
"""Share of equal pixels. Kernels round once where the model rounds twice; a weight of 8 bits would leave far fewer."""


@dataclass(frozen=True)
class Mixed:
    """A network, a photo and what the QDQ model makes of it."""

    graph: Graph
    quantized: QuantizedGraph
    photo: Array
    reference: parity.Reference


def written(body: str) -> Graph:
    """A graph from ONNX text with weights that differ in size between channels, as trained ones do."""
    text = f"g (float[1,3,{SIZE.height},{SIZE.width}] image) => (float[1,3,{SIZE.height},{SIZE.width}] restored)"
    shapes = {"W": (WIDTH, 3, 3, 3), "V": (WIDTH, WIDTH, 3, 3), "U": (3, WIDTH, 3, 3)}
    biases = {"B": WIDTH, "C": WIDTH, "D": 3}
    declared = "".join(f", float[{','.join(map(str, shape))}] {name}" for name, shape in shapes.items())
    declared += "".join(f", float[{count}] {name}" for name, count in biases.items())
    text = text.replace("image)", f"image{declared})", 1)
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 20]> {text} {{ {body} }}')
    generator = np.random.default_rng(1)
    for placeholder in list(model.graph.inputs)[1:]:
        name = placeholder.name or ""
        shape = shapes.get(name) or (biases[name],)
        array = generator.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))
        if len(shape) == 4:
            array *= np.exp(generator.normal(size=(shape[0], 1, 1, 1)))
        model.graph.inputs.remove(placeholder)
        placeholder.name = None
        ir.convenience.replace_all_uses_with(
            placeholder, graphs.new_constant(model.graph, name, array.astype(np.float32))
        )
    for node in model.graph:
        node.name = node.outputs[0].name
    shape = (1, 3, SIZE.height, SIZE.width)
    from clearport.export.passes import order as passes

    raw = Graph(model, (TensorSpec("image", shape),), (TensorSpec("restored", shape),), "mixed", 1)
    return passes.run(raw)


@pytest.fixture(scope="module", params=BODIES)
def mixed(request: pytest.FixtureRequest) -> Mixed:
    graph = written(BODIES[request.param])
    convolutions = [node.name or "" for node in graph.model.graph if node.op_type == "Conv"]
    floats = (convolutions[-1],) if request.param == "tail" else ()
    options = QuantizeOptions((0.0,), search=False, compensate=False, floats=floats)
    quantized = quantize(graph, [load_rgb(path) for path in samples.calibration()[:3]], options)
    assert len(quantized.table.entries) < len(list(graphs.values(quantized.graph))) + 6, "nothing stayed in float"
    photo = np.ascontiguousarray(load_rgb(samples.golden())[100 : 100 + SIZE.height, 200 : 200 + SIZE.width])
    image = pixels.to_tensor(photo, quantized.graph.input)
    wanted = graphs.session(qdq.to_qdq(quantized)).run(None, {"image": image})[0]
    return Mixed(graph, quantized, photo, parity.Reference.of("QDQ", wanted, quantized.graph.output))


@pytest.mark.parametrize(("target", "variant"), FILES)
def test_every_target_computes_the_float_part_in_float(mixed: Mixed, target: str, variant: str, tmp_path: Path) -> None:
    runner = RUNNERS.get(RUNNER_OF[target])
    if missing((*TARGETS.get(target).requires, *runner.requires)):
        pytest.skip(f"{target} or {runner.name} is not installed")
    made = TARGETS.get(target).lower(target_graph(mixed.graph, mixed.quantized, "int8"), Options(SIZE), tmp_path)
    (artifact,) = (a for a in made if isinstance(a, Artifact) and a.variant == variant)
    source, result = artifact.inputs[0], artifact.outputs[0]
    session = runner.open(artifact.path, 1, {})
    output = session.run({source.name: pixels.to_tensor(mixed.photo, source)})[result.name]
    report = parity.compare(output, artifact, mixed.reference, runner.method)
    assert report.failures == ()
    assert report.exact_share is not None
    assert report.exact_share >= LEAST_EXACT

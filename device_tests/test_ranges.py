"""Whatever is black: every target and precision gives the network's picture, and so does the quantized reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clearport.base import Artifact, Graph, IODType, Options, Precision, Size
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.model_spec import ModelSpec, Paper
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantized import QuantizedGraph
from clearport.registry import RUNNERS, TARGETS
from clearport.runtime import pixels
from clearport.runtime.usable import runners_of

SLOW = [pytest.param(ends, marks=pytest.mark.slow) for ends in [(0.0, 255.0), (0.0, 1.0), (-0.5, 0.5), (16.0, 235.0)]]
SIZE = Size(24, 32)
LEAST = {"fp32": 55.0, "fp16": 55.0, "int8": 45.0}
"""dB to PyTorch of a network of two layers, as 8-bit pictures where the file gives those (59 at best); a file that is
read with another black than its own is at 13."""

IN_PROCESS = frozenset({"onnxruntime", "openvino", "litert", "ncnn", "milref"})


class Residual(nn.Module):
    """Adds a little of what two convolutions see, and clamps to the range."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.head, self.tail = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        unit = (image - self.low) / (self.high - self.low)
        more = torch.tanh(self.tail(torch.relu(self.head(unit))))
        return (image + 0.2 * (self.high - self.low) * more).clamp(self.low, self.high)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    y, x = np.mgrid[0 : SIZE.height, 0 : SIZE.width] / SIZE.height
    planes = [0.5 + 0.45 * np.sin(5 * x + c) * np.cos(7 * y + x) for c in range(3)]
    return np.rint(255 * np.clip(np.stack(planes, 2), 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module", params=[(-1.0, 1.0), *SLOW], ids=str)
def network(request: pytest.FixtureRequest, photo: np.ndarray) -> tuple[Graph, QuantizedGraph, np.ndarray]:
    """Its graphs, and the levels that PyTorch gives."""
    low, high = request.param
    torch.manual_seed(0)
    module = Residual(low, high).eval()
    spec = ModelSpec("residual", "deraining", lambda _: module, (1,), 1, 2, Paper("", "0"), value_range=(low, high))
    graph = export_graph(module, spec, 1, SIZE)
    with torch.inference_mode():
        output = module(torch.from_numpy(pixels.to_tensor(photo, graph.input))).numpy()
    quantized = quantize(graph, [photo], QuantizeOptions(search=False, compensate=False))
    return graph, quantized, pixels.to_levels(output, graph.output)


def _precisions(target: str) -> list[Precision]:
    """Those of the float graph and of this quantized one; int8 weights have one of their own."""
    return [precision for precision in TARGETS.get(target).precisions if precision not in {"int8-weights", "int8a16"}]


def psnr(artifact: Artifact, runner: str, photo: np.ndarray, wanted: np.ndarray) -> float:
    source, result = artifact.inputs[0], artifact.outputs[0]
    session = RUNNERS.get(runner).open(artifact.path, 1, {})
    output = session.run({source.name: pixels.to_tensor(photo, source)})[result.name]
    error = np.square(pixels.to_levels(output, result) - wanted, dtype=np.float64).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


@pytest.mark.parametrize("io", ["uint8", "int8", "float32"])
@pytest.mark.parametrize("target", TARGETS.names())
def test_every_file_gives_the_network_s_picture(network, photo, target: str, io: IODType, tmp_path: Path) -> None:
    graph, quantized, wanted = network
    ran = 0
    for precision in _precisions(target):
        if io != "uint8" and precision != "int8":
            continue
        for artifact in TARGETS.get(target).lower(
            target_graph(graph, quantized, precision), Options(SIZE, io), tmp_path
        ):
            assert isinstance(artifact, Artifact), artifact
            for runner, obstacle in runners_of(artifact):
                if obstacle is None and runner.name in IN_PROCESS:
                    assert psnr(artifact, runner.name, photo, wanted) > LEAST[precision], artifact.key
                    ran += 1
    if not ran:
        pytest.skip(f"no runtime here for {target} files of these precisions")


def test_a_file_s_contract_is_that_of_the_graph_in_it(network, tmp_path: Path) -> None:
    graph, quantized, _ = network
    for target in TARGETS.names():
        for precision in _precisions(target):
            form = target_graph(graph, quantized, precision)
            for artifact in TARGETS.get(target).lower(form, Options(SIZE, "float32"), tmp_path):
                if artifact.variant == "image":
                    continue
                assert [s.value_range for s in artifact.inputs] == [form.graph.input.value_range], artifact.key
                assert [s.value_range for s in artifact.outputs] == [form.graph.output.value_range], artifact.key

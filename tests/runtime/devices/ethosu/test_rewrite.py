"""Files in Vela's words give the same integers as before: checked in LiteRT on files of a few operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearport.errors import BadInput
from clearport.export.tflite.file import FlatFile
from clearport.export.tflite.tensors import Quant, Tensor
from clearport.runtime.devices.ethosu import rewrite as vela_rewrite
from clearport.runtime.devices.ethosu.graph import FlatGraph, census

SAME, VALID = 0, 1
PLAIN = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": SAME}


class Builder:
    """A file with one input; every method appends an operator and gives its result."""

    def __init__(self, height: int, width: int, channels: int, seed: int) -> None:
        self.file, self.random = FlatFile("case"), np.random.default_rng(seed)
        self.source = self.file.tensor("in", (1, height, width, channels), "int8", Quant((0.5,), -3), ())

    def new(self, dims: tuple[int, ...], scale: float = 0.5, zero: int = -3) -> Tensor:
        return self.file.tensor(f"t{self.random.integers(1 << 60)}", dims, "int8", Quant((scale,), zero), ())

    def conv(self, x: Tensor, channels: int, *, groups: int = 1, repeat: int = 1) -> Tensor:
        """A 3x3 convolution; its first ``channels / repeat`` filters come ``repeat`` times."""
        depth, own = x.dims[3] // groups, channels // repeat
        kernel = np.tile(self.random.integers(-127, 128, (own, 3, 3, depth), np.int8), (repeat, 1, 1, 1))
        scales = np.tile(self.random.uniform(0.001, 0.01, own), repeat)
        bias = np.tile(self.random.integers(-500, 500, own, np.int32), repeat)
        weights = self.file.constant("w", kernel, Quant(tuple(scales.tolist())))
        biases = self.file.constant("b", bias, Quant(tuple((scales * 0.5).tolist())))
        result = self.new((*x.dims[:3], channels), 0.7, 5)
        self.file.operator("CONV_2D", [x, weights, biases], result, **PLAIN)
        return result

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        result = self.new(x.dims, 0.9, 1)
        self.file.operator("ADD", [x, y], result)
        return result

    def quantize(self, x: Tensor) -> Tensor:
        result = self.new(x.dims, 0.6, 2)
        self.file.operator("QUANTIZE", [x], result)
        return result

    def to_space(self, x: Tensor, block: int) -> Tensor:
        _, height, width, channels = x.dims
        result = self._same_scale(x, (1, height * block, width * block, channels // block**2))
        self.file.operator("DEPTH_TO_SPACE", [x], result, blockSize=block)
        return result

    def to_depth(self, x: Tensor, block: int) -> Tensor:
        _, height, width, channels = x.dims
        result = self._same_scale(x, (1, height // block, width // block, channels * block**2))
        self.file.operator("SPACE_TO_DEPTH", [x], result, blockSize=block)
        return result

    def pool(self, x: Tensor, kind: str, window: tuple[int, int], stride: tuple[int, int]) -> Tensor:
        sizes = [(n - w) // s + 1 for n, w, s in zip(x.dims[1:3], window, stride, strict=True)]
        result = self._same_scale(x, (1, *sizes, x.dims[3]))
        options = dict(zip(("filterHeight", "filterWidth", "strideH", "strideW"), (*window, *stride), strict=True))
        self.file.operator(kind, [x], result, padding=VALID, **options)
        return result

    def _same_scale(self, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        assert x.quant is not None
        return self.new(dims, x.quant.scale[0], x.quant.zero_point)

    def save(self, result: Tensor, folder: Path) -> Path:
        path = folder / "case.tflite"
        path.write_bytes(self.file.to_bytes({"in": self.source}, {"out": result}, {}))
        return path


def ran(path: Path) -> np.ndarray:
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    picture = np.random.default_rng(5).integers(-128, 128, source["shape"], np.int8)
    interpreter.set_tensor(source["index"], picture)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def reworded(path: Path, form: vela_rewrite.Form) -> tuple[FlatGraph, Path]:
    graph = FlatGraph(path)
    vela_rewrite.rewrite(graph, form)
    other = path.with_name("other.tflite")
    other.write_bytes(graph.to_bytes())
    return graph, other


def kinds(graph: FlatGraph) -> dict[str, int]:
    return census(graph, graph.operators)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    block=st.integers(2, 4),
    colors=st.integers(1, 3),
    tail=st.sampled_from(("conv", "add", "quantized add", "input")),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_to_space_in_rows_gives_the_same_integers(
    block: int, colors: int, tail: str, height: int, width: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    channels = colors * block**2
    made = Builder(height, width, channels if tail == "input" else 3, seed)
    x = made.source
    if tail != "input":
        x = made.conv(x, channels)
    if "add" in tail:
        x = made.add(x, made.conv(made.source, channels, repeat=block))
    if tail == "quantized add":
        x = made.quantize(x)
    path = made.save(made.quantize(made.to_space(x, block)), tmp_path_factory.mktemp("rows"))
    graph, other = reworded(path, "reworded")
    assert vela_rewrite.forms(FlatGraph(path)) == ("reworded",)
    assert "DEPTH_TO_SPACE" not in kinds(graph)
    np.testing.assert_array_equal(ran(path), ran(other))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(block=st.integers(2, 4), colors=st.integers(1, 3), height=st.integers(1, 4), width=st.integers(1, 4))
def test_to_depth_in_rows_gives_the_same_integers(
    block: int, colors: int, height: int, width: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = Builder(height * block, width * block, colors, 1)
    path = made.save(made.conv(made.to_depth(made.source, block), 4), tmp_path_factory.mktemp("depth"))
    graph, other = reworded(path, "reworded")
    assert "SPACE_TO_DEPTH" not in kinds(graph)
    np.testing.assert_array_equal(ran(path), ran(other))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(("AVERAGE_POOL_2D", "MAX_POOL_2D")),
    window=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(4, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(5, 21), st.integers(5, 21)),
)
def test_pools_of_wide_strides_give_the_same_integers(
    kind: str,
    window: tuple[int, int],
    stride: tuple[int, int],
    size: tuple[int, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = Builder(*size, 3, 2)
    path = made.save(made.pool(made.source, kind, window, stride), tmp_path_factory.mktemp("pool"))
    graph, other = reworded(path, "reworded")
    [pool] = [op for op in graph.operators if graph.kind(op) == kind]
    assert max(pool.builtinOptions.strideH, pool.builtinOptions.strideW) <= 3
    np.testing.assert_array_equal(ran(path), ran(other))


def test_groups_with_equal_weights_are_computed_once(tmp_path: Path) -> None:
    made = Builder(4, 5, 3, 3)
    x = made.add(made.conv(made.source, 27), made.conv(made.source, 27, repeat=3))
    path = made.save(made.to_space(x, 3), tmp_path)
    graph, other = reworded(path, "reworded")
    assert kinds(graph) == {"ADD": 3, "CONCATENATION": 1, "CONV_2D": 4, "RESHAPE": 1}
    np.testing.assert_array_equal(ran(path), ran(other))


def test_values_with_other_consumers_are_not_computed_twice(tmp_path: Path) -> None:
    made = Builder(4, 4, 3, 4)
    x = made.conv(made.source, 12)
    y = made.quantize(made.to_space(made.add(x, x), 2))
    path = made.save(y, tmp_path)
    graph, other = reworded(path, "reworded")
    assert kinds(graph) == {"ADD": 2, "CONCATENATION": 1, "CONV_2D": 1, "QUANTIZE": 1, "RESHAPE": 1, "SLICE": 2}
    np.testing.assert_array_equal(ran(path), ran(other))


def test_groups_become_dense_with_the_same_integers(tmp_path: Path) -> None:
    made = Builder(5, 5, 8, 6)
    path = made.save(made.conv(made.conv(made.source, 8, groups=4), 6, groups=2), tmp_path)
    assert vela_rewrite.forms(FlatGraph(path)) == ("as it is", "dense groups")
    graph, other = reworded(path, "dense groups")
    assert [graph.dims(int(op.inputs[1])) for op in graph.operators] == [(8, 3, 3, 8), (6, 3, 3, 8)]
    np.testing.assert_array_equal(ran(path), ran(other))


def test_a_file_without_any_of_it_stays_as_it_is(tmp_path: Path) -> None:
    made = Builder(4, 4, 3, 7)
    path = made.save(made.pool(made.conv(made.source, 4), "MAX_POOL_2D", (2, 2), (2, 2)), tmp_path)
    assert vela_rewrite.forms(FlatGraph(path)) == ("as it is",)
    graph, other = reworded(path, "as it is")
    assert kinds(graph) == {"CONV_2D": 1, "MAX_POOL_2D": 1}
    np.testing.assert_array_equal(ran(path), ran(other))


def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"what is this")
    with pytest.raises(BadInput, match="not a TFLite file"):
        FlatGraph(path)

"""The whole of quantization: the QDQ model, its kernels, and the quality that is promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from clearport.base import Graph
from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.quantize import qdq, scheme
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.placement import mixed
from clearport.quantized import QuantizedGraph, ScaleTable

SMALL = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    c = Conv<pads=[1,1,1,1]>(b, V, C)
    d = Add(c, image)
    lo = Constant<value = float {0.0}>()
    hi = Constant<value = float {255.0}>()
    restored = Clip(d, lo, hi)
"""
SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 3, 3], "C": [3]}


@pytest.fixture(scope="module")
def small(graph_of) -> Graph:
    return graph_of(SMALL, **SHAPES)


@pytest.fixture(scope="module")
def quantized(small: Graph, photos: list[np.ndarray]) -> QuantizedGraph:
    return quantize(small, photos)


def test_every_tensor_is_in_the_table_and_on_its_grid(quantized: QuantizedGraph) -> None:
    graph, table = quantized.graph, quantized.table
    assert all(graphs.name_of(value) in table for value in graphs.values(graph))
    assert not any(graphs.clamp_of(node) for node in graph.model.graph)
    for name, value in graph.model.graph.initializers.items():
        array = graphs.constant(value)
        assert (scheme.snapped(array, table[name]) == array).all()
    for node in graph.model.graph:
        if node.op_type == "Conv":
            source, weight, bias = (table[graphs.name_of(graphs.need(node, i))] for i in range(3))
            assert bias.dtype == "int32"
            np.testing.assert_allclose(bias.scale, np.float32(source.scale[0]) * np.float32(weight.scale), rtol=1e-6)


def test_the_same_photos_give_the_same_table_and_bytes(
    small: Graph, photos: list[np.ndarray], quantized: QuantizedGraph
) -> None:
    again = quantize(small, photos)
    assert again.table == quantized.table
    assert graphs.to_bytes(qdq.to_qdq(again)) == graphs.to_bytes(qdq.to_qdq(quantized))


def _optimized(model: object, path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graphs.to_bytes(model), options, providers=["CPUExecutionProvider"])


def test_onnx_runtime_fuses_everything_to_integer_kernels(quantized: QuantizedGraph, tmp_path: Path) -> None:
    _optimized(qdq.to_qdq(quantized, io="uint8"), tmp_path / "o.onnx")
    ran = Counter(node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node)
    assert ran["QLinearConv"] == 2
    assert ran["QLinearAdd"] == 1
    assert not {"Conv", "Add", "QuantizeLinear", "DequantizeLinear"} & set(ran)


def test_constant_operands_have_the_dtype_of_activations_and_are_fused(
    graph_of, photos: list[np.ndarray], tmp_path: Path
) -> None:
    """ONNX Runtime fuses no sum or product of a uint8 activation and an int8 constant."""
    body = "a = Conv<pads=[1,1,1,1]>(image, W, B) b = Mul(a, S) restored = Add(b, T)"
    graph = graph_of(body, W=[3, 3, 3, 3], B=[3], S=[1, 3, 1, 1], T=[1, 3, 1, 1])
    form = quantize(graph, photos, QuantizeOptions(equalization=(0.0,), search=False, compensate=False))
    dtypes = {
        activations: [
            value.const_value.numpy().dtype.name  # type: ignore[union-attr]
            for name, value in sorted(qdq.to_qdq(form, activations).graph.initializers.items())
            if name in {"S.q", "T.q", "W.q"}
        ]
        for activations in ("int8", "uint8")
    }
    assert dtypes == {"int8": ["int8"] * 3, "uint8": ["uint8", "uint8", "int8"]}
    _optimized(qdq.to_qdq(form, io="uint8"), tmp_path / "o.onnx")
    ran = Counter(node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node)
    assert {"QLinearConv", "QLinearMul", "QLinearAdd"} <= set(ran)
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16)).astype(np.float32)
    (one,), (other,) = (
        graphs.session(qdq.to_qdq(form, kind), as_written=True).run(None, {"image": picture})
        for kind in ("int8", "uint8")
    )
    assert np.array_equal(one, other)


def test_all_forms_give_the_same_pixels(quantized: QuantizedGraph) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)

    def run(activations: str, io: str) -> np.ndarray:
        session = graphs.session(qdq.to_qdq(quantized, activations, io))
        (result,) = session.run(["restored"], {"image": pixels if io == "uint8" else pixels.astype(np.float32)})
        return result

    floats = run("uint8", "float32")
    assert floats.dtype == np.float32
    assert (run("uint8", "uint8") == floats).all()
    assert np.abs(run("int8", "float32") - floats).max() <= 1.0


def test_free_scales_are_the_scales(quantized: QuantizedGraph) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
    names = [graphs.name_of(value) for value in graphs.values(quantized.graph)]
    given = qdq.parameters({name: quantized.table[name] for name in names})
    free = graphs.session(qdq.with_free_scales(quantized)).run(None, {"image": image, **given})[0]
    fixed = graphs.session(qdq.to_qdq(quantized)).run(None, {"image": image})[0]
    assert np.abs(free - fixed).max() <= quantized.table["restored"].scale[0]


def test_uint8_pixels_need_uint8_activations(quantized: QuantizedGraph) -> None:
    with pytest.raises(ValueError, match="uint8 pixels need uint8 activations"):
        qdq.to_qdq(quantized, "int8", "uint8")


def test_search_and_compensation_are_worth_their_time(small: Graph, photos: list[np.ndarray]) -> None:
    reference = graphs.session(small.model)
    image = photos[0][None, :16, 8:24].transpose(0, 3, 1, 2).astype(np.float32)
    (wanted,) = reference.run(None, {"image": image})

    def error(options: QuantizeOptions) -> float:
        model = qdq.to_qdq(quantize(small, photos, options))
        return float(np.square(graphs.session(model).run(None, {"image": image})[0] - wanted).mean())

    assert error(QuantizeOptions()) < error(QuantizeOptions((0.0,), search=False, compensate=False))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "at least one photo"),
        ([np.zeros((4, 4), np.uint8)], r"must be uint8 RGB \(H, W, 3\), got uint8 \(4, 4\)"),
        ([np.zeros((4, 4, 3), np.float32)], "got float32"),
    ],
)
def test_anything_but_a_photo_is_refused(small: Graph, images: list[np.ndarray], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        quantize(small, images)


def test_progress_tells_of_every_stage_and_reaches_its_end(small: Graph, photos: list[np.ndarray]) -> None:
    told: list[tuple[str, int, int]] = []
    quantize(small, photos, QuantizeOptions(progress=lambda *step: told.append(step)))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages[:4] == ["observing photos", "choosing the calibrator", "searching ranges", "rounding weights"]
    assert any(stage == "observing photos" and done == total for stage, done, total in told)
    assert all(0 <= done <= total for _, done, total in told)


@pytest.mark.parametrize("cores", [1, 3])
def test_the_number_of_cores_changes_nothing(
    small: Graph, photos: list[np.ndarray], quantized: QuantizedGraph, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearport.quantize.calibration.parallel.cores", lambda: cores)
    assert quantize(small, photos).table == quantized.table


def test_a_static_graph_with_sizes_inside_is_calibrated_at_its_size(graph_of, photos: list[np.ndarray]) -> None:
    graph = graph_of(
        "a = Conv<pads=[1,1,1,1]>(image, W, B) s = Constant<value_ints=[1,3,32,32]>() restored = Resize(a, , , s)",
        W=[3, 3, 3, 3], B=[3],
    )  # fmt: skip
    result = quantize(graph, [photos[0][:9], photos[1]])
    assert result.graph.model.graph.outputs[0].shape == graph.model.graph.outputs[0].shape
    assert table.operator("Resize").shares_scale


@pytest.fixture(scope="module")
def ncnet(shared: Path) -> tuple[Graph, QuantizedGraph]:
    """Published weights, calibrated on the photos that clearport brings."""
    from clearport.export.from_torch import export_graph
    from clearport.models import samples, weights
    from clearport.models.networks.super_resolution.ncnet import SPEC
    from clearport.pictures.images import load_rgb

    module = weights.load(SPEC, 3, shared / "weights/ncnet/ncnet_x3_fp32.pth").module
    graph = export_graph(module, SPEC, 3, None)
    return graph, quantize(graph, [load_rgb(path) for path in samples.calibration()])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most_db"), [("set5", 0.035), ("set14", 0.035)])
def test_ground_truth_loss_of_ncnet(
    ncnet: tuple[Graph, QuantizedGraph], shared: Path, name: str, most_db: float
) -> None:
    from clearport.models.metrics import psnr_db, to_levels
    from clearport.pictures.images import load_rgb

    sessions = [graphs.session(model) for model in (ncnet[0].model, qdq.to_qdq(ncnet[1]))]
    losses = []
    for path in sorted((shared / "data/sr" / name / "x3").glob("*_LR.png")):
        low, high = load_rgb(path), load_rgb(path.with_name(path.name.replace("_LR", "_HR")))
        image = low.transpose(2, 0, 1)[None].astype(np.float32)
        results = [to_levels(s.run(None, {"image": image})[0][0].transpose(1, 2, 0)) for s in sessions]
        height, width = (min(n) for n in zip(results[0].shape[:2], high.shape[:2], strict=True))
        scores = [psnr_db(r[:height, :width], high[:height, :width], 3) for r in results]
        losses.append(scores[0] - scores[1])
    assert np.mean(losses) <= most_db


def test_fidelity_of_ncnet_on_a_photo_it_was_not_calibrated_on(ncnet: tuple[Graph, QuantizedGraph]) -> None:
    from clearport.models import samples
    from clearport.pictures.images import load_rgb

    image = load_rgb(samples.golden()).transpose(2, 0, 1)[None].astype(np.float32)
    wanted, given = (graphs.session(m).run(None, {"image": image})[0] for m in (ncnet[0].model, qdq.to_qdq(ncnet[1])))
    psnr = 10 * np.log10(255**2 / np.square(wanted - given, dtype=np.float64).mean())
    assert psnr >= 52.0


def test_the_table_says_how_it_came_to_be(quantized: QuantizedGraph, photos: list[np.ndarray]) -> None:
    record = quantized.table.calibration
    how = {"calibrator", "adjusted", "simulated_psnr_db", "equalization", "rounding", "images"}
    assert set(record) == {*how, "islands", "prefer", "tail", "float_layers", "float_share", "simulated_loss_db"}
    assert (record["islands"], record["float_layers"]) == ({}, [])
    assert record["simulated_loss_db"] == pytest.approx(
        mixed.loss_db(record["simulated_psnr_db"], "super-resolution"), abs=1e-3
    )
    assert [entry["size"] for entry in record["images"]] == ["48x48"] * len(photos)
    assert isinstance(quantized.table, ScaleTable)


def test_no_loss_against_ground_truth_is_estimated_for_what_is_no_picture(
    small: Graph, photos: list[np.ndarray]
) -> None:
    graph = replace(small, outputs=(replace(small.output, kind="map", value_range=None),))
    record = quantize(graph, photos, QuantizeOptions(equalization=(0.0,))).table.calibration
    assert record["simulated_psnr_db"] > 0
    assert record["simulated_loss_db"] is None

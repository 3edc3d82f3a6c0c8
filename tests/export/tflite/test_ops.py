"""Every TFLite rule: a tiny graph, run by LiteRT, against ONNX Runtime on the same graph, in float and in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from clearport.base import Artifact, Options
from clearport.errors import UnsupportedOperator
from clearport.export.tflite.target import TARGET, emit
from clearport.export.tflite.weights import LARGEST_FACTOR
from clearport.export.written import target_graph
from clearport.quantize.flow import quantize
from clearport.quantize.qdq import to_qdq
from clearport.runtime.worker.worker import Worker

from ...operators.graphs import CASES, built
from ..any_case import CONVOLUTIONS, TRANSPOSED
from .harness import (
    PLAIN,
    SIZE,
    Case,
    after_conv,
    build,
    f32,
    i64,
    litert,
    nhwc,
    one,
    onnxruntime,
    pictures,
    real,
    report,
)

ALL = {name: (case, case.tflite) for name, case in CASES.items() if case.tflite is not None}
"""The cases that say what their files hold; ``tests/operators`` runs all of them on every target."""


@pytest.mark.parametrize("name", ALL)
def test_an_fp32_file_matches_its_case(name: str, tmp_path: Path) -> None:
    case, expected = ALL[name]
    graph = built(case)
    data, _, (result,) = emit(target_graph(graph, None, "fp32"), Options(SIZE, "float32"))
    image = real(pictures()[0])
    given, facts = litert(data, nhwc(image))
    wanted = nhwc(onnxruntime(graph.model, image))
    assert given.shape == wanted.shape == result.shape
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, wanted, atol=1e-4, rtol=1e-4)
    found = report(data, tmp_path)
    assert tuple(f.op for f in found.findings) == expected.ops
    assert tuple(facts["operators_outside"]) == expected.outside
    taken = expected.nnapi is not None or not expected.float_only
    assert (found.api_level is not None) is taken, found.refused(31)


@pytest.mark.parametrize("name", [name for name, (_, expected) in ALL.items() if not expected.float_only])
def test_an_int8_file_matches_its_case(name: str, tmp_path: Path) -> None:
    case, expected = ALL[name]
    graph = built(case)
    quantized = quantize(graph, pictures(), PLAIN)
    data, (source,), (result,) = emit(target_graph(graph, quantized, "int8"), Options(SIZE, "int8"))
    assert (source.dtype, source.zero_point, result.dtype) == ("int8", -128, "int8")
    picture = pictures()[0]
    given, facts = litert(data, (picture[None].astype(np.int16) - 128).astype(np.int8))
    wanted = onnxruntime(to_qdq(quantized, activations="uint8", io="uint8"), picture.transpose(2, 0, 1)[None])
    steps = np.abs(given.astype(int) + 128 - nhwc(wanted))
    assert steps.max() <= 3
    assert (steps == 0).mean() >= expected.min_exact
    assert facts["executed_precision"] == "int8"
    found = report(data, tmp_path)
    assert tuple(f.op for f in found.findings) == expected.int8_ops
    assert tuple(facts["operators_outside"]) == expected.outside_int8
    assert found.api_level == expected.nnapi, found.refused(31)


@pytest.mark.parametrize("gain", [1.0, 2.3])
@pytest.mark.parametrize("slope", [0.05, 0.1, 0.2, 0.013])
def test_a_leaky_relu_gives_every_level_as_the_qdq_model_does(slope: float, gain: float) -> None:
    """XNNPACK computes in fixed point, the model in float."""
    constants = {"w": gain * np.eye(3, dtype=np.float32)[:, :, None, None], "b": np.full(3, -0.8 * gain, np.float32)}
    graph = build(Case((("Conv", "image w b", "x", {}), one("LeakyRelu", alpha=slope)), constants))
    picture = (np.arange(10 * 12 * 3) % 256).astype(np.uint8).reshape(10, 12, 3)
    quantized = quantize(graph, [picture], PLAIN)
    data, _, _ = emit(target_graph(graph, quantized, "int8"), Options(SIZE, "int8"))
    given, facts = litert(data, (picture[None].astype(np.int16) - 128).astype(np.int8))
    wanted = onnxruntime(to_qdq(quantized, activations="uint8", io="uint8"), picture.transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(given.astype(int) + 128, nhwc(wanted))
    assert facts["operators_outside"] == {}


@pytest.mark.parametrize("gain", [1.097, 1.993, 3.307])
def test_a_change_of_scale_gives_every_level_as_the_qdq_model_does(gain: float, tmp_path: Path) -> None:
    """The steps of the image are those of pixels, and it meets what has larger ones."""
    eye = np.eye(3, dtype=np.float32)[:, :, None, None]
    constants = {"w": gain * eye, "b": np.zeros(3, np.float32), "v": np.concatenate([eye, 0 * eye], 1)}
    nodes = (("Conv", "image w b", "x", {}), ("Concat", "image x", "c", {"axis": 1}), ("Conv", "c v b", "restored", {}))
    picture = (np.arange(10 * 12 * 3) % 256).astype(np.uint8).reshape(10, 12, 3)
    quantized = quantize(build(Case(nodes, constants)), [picture], PLAIN)
    data, _, _ = emit(target_graph(quantized.graph, quantized, "int8"), Options(SIZE, "int8"))
    given, _ = litert(data, (picture[None].astype(np.int16) - 128).astype(np.int8))
    wanted = onnxruntime(to_qdq(quantized, activations="uint8", io="uint8"), picture.transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(given.astype(int) + 128, nhwc(wanted))
    ops = [found.op for found in report(data, tmp_path).findings]
    assert ops.count("MUL") == 1
    assert "QUANTIZE" not in ops


def check_float(case: Case) -> None:
    graph = build(case)
    data, _, _ = emit(target_graph(graph, None, "fp32"), Options(SIZE, "float32"))
    image = real(pictures()[0])
    given, _ = litert(data, nhwc(image))
    np.testing.assert_allclose(given, nhwc(onnxruntime(graph.model, image)), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(CONVOLUTIONS)
def test_any_window_of_a_convolution(case: Case) -> None:
    check_float(case)


@settings(max_examples=30, deadline=None)
@given(TRANSPOSED)
def test_any_transposed_convolution(case: Case) -> None:
    check_float(case)


REFUSED = {
    "no rule": (Case((one("Tan", "image"),)), "no conversion rule"),
    "CRD": (after_conv(one("DepthToSpace", blocksize=2, mode="CRD")), "DCR only"),
    "wrap": (
        after_conv(one("Pad", "x p", mode="wrap"), constants={"p": i64(0, 0, 1, 1, 0, 0, 1, 1)}),
        "a constant, by reflection or with the edge",
    ),
    "axes dropped": (
        after_conv(("ReduceMean", "x a", "m", {"keepdims": 0}), one("Relu", "m"), constants={"a": i64(1)}),
        "it drops axes",
    ),
    "computed size": (after_conv(("Shape", "x", "s", {}), one("Reshape", "x s")), "give --size HEIGHTxWIDTH"),
    "ceil": (after_conv(one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)), "ceil_mode"),
    "average": (
        after_conv(one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
        "excluded from the average",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_operators_that_tflite_lacks_are_refused_with_the_reason(name: str) -> None:
    case, reason = REFUSED[name]
    graph = build(case)
    with pytest.raises(UnsupportedOperator, match=reason) as caught:
        emit(target_graph(graph, None, "fp32"), Options(SIZE, "float32"))
    assert caught.value.op in {node[0] for node in case.nodes}
    assert caught.value.layer.startswith(f"{caught.value.op}_")


def test_a_dead_branch_opens_and_gives_what_the_qdq_model_gives(tmp_path: Path) -> None:
    """Weights of zero and a bias of nearly zero: XNNPACK would abort on the factor between their scales."""
    dead = (("Conv", "x wd bd", "d", {}), one("Add", "x d"))
    case = after_conv(*dead, constants={"wd": np.zeros((8, 8, 1, 1), np.float32), "bd": f32(*[1e-7] * 8)})
    quantized = quantize(build(case), pictures(), PLAIN)
    assert quantized.table["bd"].scale[0] / quantized.table["d"].scale[0] > LARGEST_FACTOR
    (artifact,) = TARGET.lower(target_graph(quantized.graph, quantized, "int8"), Options(SIZE, "int8"), tmp_path)
    assert isinstance(artifact, Artifact)
    picture = pictures()[0]
    with Worker("litert", artifact.path) as worker:
        given = worker.run({"image": (picture[None].astype(np.int16) - 128).astype(np.int8)})["restored"]
    wanted = onnxruntime(to_qdq(quantized, activations="uint8", io="uint8"), picture.transpose(2, 0, 1)[None])
    assert np.abs(given.astype(int) + 128 - nhwc(wanted)).max() <= 1


def test_sums_too_coarse_for_their_output_are_refused_in_int8() -> None:
    case = after_conv(one("Clip", "x low high"), constants={"low": np.float32(0), "high": np.float32(1e-5)})
    quantized = quantize(build(case), pictures(), PLAIN)
    with pytest.raises(UnsupportedOperator, match=r"operator Conv of layer .*XNNPACK aborts.*use fp32"):
        emit(target_graph(quantized.graph, quantized, "int8"), Options(SIZE))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_a_pad_of_nothing_writes_nothing(mode: str) -> None:
    nodes = (one("Pad", "image pads", mode=mode),)
    data, _, _ = emit(
        target_graph(build(Case(nodes, {"pads": i64(0, 0, 0, 0, 0, 0, 0, 0)})), None, "fp32"), Options(SIZE)
    )
    picture = pictures(1)[0]
    given, facts = litert(data, nhwc(real(picture)))
    np.testing.assert_array_equal(given, nhwc(real(picture)))
    assert not {"PAD", "MIRROR_PAD"} & set(facts["operators"])

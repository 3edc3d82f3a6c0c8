"""NNAPI's predicted support by operator, in files with one or a few operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearport.errors import BadInput
from clearport.export.tflite.file import FlatFile
from clearport.export.tflite.lint import nnapi
from clearport.export.tflite.tensors import Quant, Tensor

INT8 = Quant((0.5,), -128)
PLAIN = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
POOL = {"strideH": 1, "strideW": 1}
DIMS = (1, 8, 8, 4)


def tensor(file: FlatFile, quant: Quant | None = None, dims: tuple[int, ...] = DIMS) -> Tensor:
    return file.tensor("t", dims, "float32" if quant is None else "int8", quant, ())


def linted(file: FlatFile, folder: Path) -> nnapi.NnapiReport:
    path = folder / "case.tflite"
    first, last = file.tensor("in", DIMS, "float32", None, ()), file.tensor("out", DIMS, "float32", None, ())
    path.write_bytes(file.to_bytes({"in": first}, {"out": last}, {}))
    return nnapi.lint(path)


def kernel(file: FlatFile, *scales: float, bias: bool = True) -> list[Tensor]:
    """Kernel and bias of a convolution; float without scales."""
    quant = Quant(scales) if scales else None
    array = np.zeros((4, 3, 3, 4), np.int8 if scales else np.float32)
    kind = np.int32 if scales else np.float32
    return [file.constant("w", array, quant), *([file.constant("b", np.zeros(4, kind))] if bias else [])]


ONE: dict[str, tuple[str, Quant | None, Quant | None, dict[str, Any], int | None, str]] = {
    "add": ("ADD", INT8, INT8, {}, 27, ""),
    "sub": ("SUB", None, None, {}, 28, "SUB of FLOAT32"),
    "sub int8": ("SUB", INT8, INT8, {}, 29, "SUB of INT8"),
    "depth to space": ("DEPTH_TO_SPACE", INT8, INT8, {"blockSize": 2}, 27, ""),
    "tanh int8": ("TANH", INT8, INT8, {}, 29, "TANH of INT8"),
    "leaky relu": ("LEAKY_RELU", INT8, INT8, {"alpha": 0.1}, 29, "LEAKY_RELU of INT8"),
    "mean": ("MEAN", INT8, INT8, {"keepDims": True}, 29, "MEAN of INT8"),
    "mean of another scale": ("MEAN", INT8, Quant((0.4,), -128), {}, None, "another scale"),
    "mean of another zero point": ("MEAN", INT8, Quant((0.5,), 0), {}, None, "another scale"),
    "quantize": ("QUANTIZE", None, INT8, {}, 30, "QUANTIZE to INT8"),
    "dequantize": ("DEQUANTIZE", INT8, None, {}, 30, "asymmetric"),
    "dequantize symmetric": ("DEQUANTIZE", Quant((0.5,), 0), None, {}, 29, "DEQUANTIZE of INT8"),
    "average pool": ("AVERAGE_POOL_2D", INT8, INT8, POOL | {"filterHeight": 16, "filterWidth": 16}, 27, ""),
    "large average pool": ("AVERAGE_POOL_2D", INT8, INT8, POOL | {"filterHeight": 17, "filterWidth": 16}, None, "256"),
    "concat": ("CONCATENATION", INT8, INT8, {"axis": 3}, 27, ""),
    "concat and relu": ("CONCATENATION", None, None, {"axis": 3, "fusedActivationFunction": 1}, None, "fused"),
}


@pytest.mark.parametrize("name", ONE)
def test_one_operator(name: str, tmp_path: Path) -> None:
    op, given, own, options, api_level, reason = ONE[name]
    file = FlatFile("x")
    inputs = [tensor(file, given)] * (2 if op in {"ADD", "SUB"} else 1)
    file.operator(op, inputs, tensor(file, own), **options)
    (found,) = linted(file, tmp_path).findings
    assert (found.op, found.api_level) == (op, api_level)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("scales", "options", "bias", "api_level", "reason"),
    [
        ((), {}, True, 27, ""),
        ((0.1,), {}, True, 29, "INT8"),
        ((0.1, 0.2, 0.3, 0.4), {}, True, 29, "one scale per channel"),
        ((), {"dilationHFactor": 2}, True, 29, "dilation"),
        ((), {}, False, None, "without bias"),
    ],
)
def test_convolutions(
    scales: tuple[float, ...], options: dict[str, Any], bias: bool, api_level: int | None, reason: str, tmp_path: Path
) -> None:
    file = FlatFile("x")
    quant = INT8 if scales else None
    inputs = [tensor(file, quant), *kernel(file, *scales, bias=bias)]
    file.operator("CONV_2D", inputs, tensor(file, quant), **PLAIN | options)
    (found,) = linted(file, tmp_path).findings
    assert found.api_level == api_level
    assert reason in found.reason


@pytest.mark.parametrize(("half", "api_level"), [(False, 27), (True, 30)])
def test_resize_with_half_pixel_centers_needs_android_11(half: bool, api_level: int, tmp_path: Path) -> None:
    file = FlatFile("x")
    size = file.constant("size", np.array([16, 16], np.int32))
    file.operator("RESIZE_BILINEAR", [tensor(file), size], tensor(file), alignCorners=False, halfPixelCenters=half)
    assert linted(file, tmp_path).api_level == api_level


def test_a_float16_constant_needs_android_11(tmp_path: Path) -> None:
    file = FlatFile("x")
    file.operator("DEQUANTIZE", [file.constant("w", np.zeros(4, np.float16))], tensor(file))
    assert linted(file, tmp_path).api_level == 30


def test_five_axes_and_unknown_operators_are_never_taken(tmp_path: Path) -> None:
    file = FlatFile("x")
    wide = (1, 2, 2, 2, 2)
    file.operator("RELU", [tensor(file, dims=wide)], tensor(file, dims=wide))
    file.operator("GELU", [tensor(file)], tensor(file))
    report = linted(file, tmp_path)
    assert [f.reason for f in report.refused(31)] == ["a tensor of more than four axes", "NNAPI has no such operator"]
    assert report.api_level is None
    assert report.partitions(31) == 0


def test_mul_that_scales_up_is_refused_by_its_version(tmp_path: Path) -> None:
    file = FlatFile("x")
    file.operator("MUL", [tensor(file, Quant((1.0,)))] * 2, tensor(file, Quant((0.5,))))
    (found,) = linted(file, tmp_path).findings
    assert (found.version, found.api_level) == (3, None)
    assert found.reason == "version 3: NNAPI takes up to 2"


def chain(file: FlatFile, source: Tensor, *ops: str) -> Tensor:
    for op in ops:
        output = tensor(file)
        file.operator(op, [source], output)
        source = output
    return source


@pytest.mark.parametrize(
    ("ops", "partitions"),
    [
        (("RELU", "RELU"), 1),
        (("RELU", "GELU"), 1),
        (("RELU", "GELU", "RELU"), 2),
        (("GELU",), 0),
        (("RELU", "GELU", "RELU", "GELU", "GELU", "RELU"), 3),
    ],
)
def test_partitions_of_a_chain(ops: tuple[str, ...], partitions: int, tmp_path: Path) -> None:
    file = FlatFile("x")
    chain(file, tensor(file), *ops)
    assert linted(file, tmp_path).partitions(29) == partitions


def test_what_can_wait_for_the_cpu_is_one_partition(tmp_path: Path) -> None:
    file = FlatFile("x")
    source = tensor(file)
    left, right = chain(file, source, "GELU"), chain(file, source, "RELU")
    file.operator("ADD", [left, right], tensor(file))
    assert linted(file, tmp_path).partitions(29) == 1


def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "case.tflite"
    path.write_bytes(b"what is this")
    with pytest.raises(BadInput, match="not a TFLite file"):
        nnapi.lint(path)

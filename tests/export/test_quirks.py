"""Recorded deviations of runtimes, on the installed versions: a failing test means that one was fixed."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Callable

import numpy as np
import pytest

import clearport.export.quirks as package
from clearport.export.quirks import coreai as quirks_coreai
from clearport.export.quirks import litert as quirks_litert
from clearport.export.quirks import ncnn as quirks_ncnn
from clearport.export.quirks import onnxruntime as quirks_onnxruntime
from clearport.export.quirks import openvino as openvino_
from clearport.export.quirks.table import Quirk
from clearport.registry import missing
from clearport.runtime import overflow

from .quirks_seen import (
    RESIZE,
    changes_scales_in_fixed_point,
    computes_in_brain_float,
    copies_what_keeps_its_size,
    counts_a_window_more,
    cuts_the_bounds_of_clamps,
    gives_memory_away,
    leaves_a_rounding_out,
    multiplies_other_numbers,
    ncnn_gives,
    ncnn_places,
    openvino_differs,
    overflows,
    pads_int8_with_what_is_not_zero,
    places_in_fixed_point,
    raises_what_is_negative_otherwise,
    raises_zero,
    refuses_wrap,
    rounds_a_softmax,
    rounds_halves_of_averages_away,
)
from .small_values import drops_zero_points_of_small_values
from .tflite.harness import f32
from .ties import orders_equal_values_otherwise

TABLES = {
    module.name: importlib.import_module(f"clearport.export.quirks.{module.name}").QUIRKS
    for module in pkgutil.iter_modules(package.__path__)
    if module.name != "table"
}


CUBIC = {"mode": "cubic", "exclude_outside": 1}
HALF_PIXEL = {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"}
BEYOND = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "ceil_mode": 1, "count_include_pad": 1}
STILL_SO: dict[Quirk, Callable[[], bool]] = {
    openvino_.ANTIALIAS: lambda: openvino_differs(
        (11, 14), *RESIZE, constants={"s": f32(1, 1, 0.5, 0.5)}, mode="linear", antialias=1
    ),
    openvino_.EXCLUDE_OUTSIDE: lambda: openvino_differs((11, 14), *RESIZE, constants={"s": f32(1, 1, 2, 2)}, **CUBIC),
    openvino_.NEAREST_BORDERS: lambda: openvino_differs(
        (25, 35), *RESIZE, constants={"s": f32(1, 1, 0.7, 1.3)}, **HALF_PIXEL
    ),
    openvino_.KEPT_SIDE: lambda: openvino_differs(
        (20, 30), *RESIZE, constants={"s": f32(1, 1, 1.04, 1.5)}, mode="linear"
    ),
    openvino_.COUNTED_BEYOND: lambda: openvino_differs((11, 14), "AveragePool", "image", constants={}, **BEYOND),
    openvino_.COUNTED_INT8: pads_int8_with_what_is_not_zero,
    openvino_.CUT_BOUNDS: cuts_the_bounds_of_clamps,
    openvino_.PAD_WRAP: refuses_wrap,
    openvino_.LOST_ROUNDING: leaves_a_rounding_out,
    openvino_.TINY_ENDS: drops_zero_points_of_small_values,
    openvino_.UNSTABLE: orders_equal_values_otherwise,
    openvino_.OVERFLOW: lambda: overflows(overflow.in_openvino),
    quirks_onnxruntime.OVERFLOW: lambda: overflows(overflow.in_onnxruntime),
    openvino_.SHARED_VIEWS: gives_memory_away,
    openvino_.BRAIN_FLOAT: computes_in_brain_float,
    quirks_onnxruntime.FLOAT_BETWEEN_INT8: rounds_a_softmax,
    quirks_onnxruntime.SAME_SIZE: copies_what_keeps_its_size,
    quirks_litert.OWN_BILINEAR: places_in_fixed_point,
    quirks_litert.HALVES_OF_AVERAGES: rounds_halves_of_averages_away,
    quirks_litert.REQUANTIZED: changes_scales_in_fixed_point,
    openvino_.WINDOW_BEYOND: counts_a_window_more,
    quirks_coreai.RESHAPED_MATRIX: multiplies_other_numbers,
    quirks_ncnn.POWER_OF_ZERO: raises_zero,
    quirks_ncnn.POWER_OF_NEGATIVE: raises_what_is_negative_otherwise,
    quirks_ncnn.LOGARITHM_OF_ZERO: lambda: bool(np.isnan(ncnn_gives("UnaryOp 0=8", (0.0,))).any()),
    quirks_ncnn.NOT_A_NUMBER: lambda: bool(np.isfinite(ncnn_gives("Clip 0=0 1=1", (np.nan,))).any()),
    **dict.fromkeys(quirks_ncnn.INFINITIES, lambda: not np.isinf(ncnn_gives("UnaryOp 0=7", (100.0,))).any()),
    quirks_ncnn.BY_SIZE: lambda: bool(np.abs(ncnn_places("0=2 3=12 4=4") - ncnn_places("0=2 1=0.5 2=1.0")).max() > 0.1),
}
"""For what can be run here: whether the runtime still computes it so, if the writer does nothing."""

NOT_RUN = {
    openvino_.ASYMMETRIC: "about speed, not numbers",
    quirks_onnxruntime.FLOAT_WEIGHTS: "tests/quantize has it",
    quirks_litert.LEAKY_RELU: "tests/quantize has every level of it",
    quirks_litert.LARGE_FACTOR: "the process would abort",
    quirks_litert.CHANNEL_ORDER: "there is nothing to run",
    quirks_ncnn.NO_BATCH: "it would read memory that is not its own",
    quirks_ncnn.MULTIPLIED: "test_ncnn_multiplies has the arithmetic",
    **dict.fromkeys(TABLES["coreml"], "there is no Core ML outside macOS"),
}


@pytest.mark.parametrize("quirk", STILL_SO, ids=lambda quirk: f"{quirk.seen.split()[0]}, {quirk.name}")
def test_it_is_still_so(quirk: Quirk) -> None:
    if missing((quirk.seen.split()[0],)):
        pytest.skip(f"{quirk.seen} is not installed")
    assert STILL_SO[quirk](), f"mended: drop the record {quirk.name!r} and {quirk.how}"


def test_every_record_is_tried_or_says_why_not() -> None:
    known = set(itertools.chain.from_iterable(TABLES.values()))
    assert known == set(STILL_SO) | set(NOT_RUN)
    assert not set(STILL_SO) & set(NOT_RUN)
    assert set(TABLES) == {"openvino", "onnxruntime", "litert", "ncnn", "coreml", "coreai"}


def test_ncnn_multiplies_where_others_divide() -> None:
    if missing(("ncnn",)):
        pytest.skip("ncnn is not installed")
    x = np.arange(25, dtype=np.float32)
    factors = [np.float32(n) / np.float32(10) for n in range(11, 40)]
    apart = [f for f in factors if not np.array_equal(np.floor(x / f), np.floor(x * (np.float32(1) / f)))]
    assert apart
    found = ncnn_places(f"0=1 1={apart[0]!r} 2=1.0".replace("np.float32(", "").replace(")", ""))
    index = np.arange(len(found), dtype=np.float32)
    assert np.array_equal(found, np.minimum(np.floor(index * (np.float32(1) / apart[0])), 24))

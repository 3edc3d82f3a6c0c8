"""The arithmetic of the scheme, and the file of a scale table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clearport.errors import BadInput
from clearport.quantize import scheme, table
from clearport.quantized import QParams, ScaleTable

REAL = st.floats(-1e4, 1e4, width=32)


@given(REAL, REAL)
def test_a_range_holds_zero_and_both_ends(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    params = scheme.of_range(low, high)
    (scale,) = params.scale
    bottom, top = (-128 - params.zero_point) * scale, (127 - params.zero_point) * scale
    assert scheme.snapped(np.zeros(1, np.float32), params)[0] == 0.0
    assert scale == float(np.float32(scale))
    assert bottom <= min(low, 0) + 0.51 * scale
    assert top >= max(high, 0) - 0.51 * scale


@given(st.floats(2**-10, 1e4, width=32))
def test_a_clamp_to_zero_and_above_is_done_by_the_range(high: float) -> None:
    params = scheme.of_range(0.0, high)
    assert params.zero_point == -128
    assert params.scale[0] == pytest.approx(high / 255, rel=1e-6)
    cut = scheme.snapped(np.array([-5.0 * high, 2.0 * high], np.float32), params)
    assert cut.tolist() == pytest.approx([0.0, high], rel=1e-6)


def test_the_image_has_the_scale_of_a_pixel() -> None:
    assert scheme.of_range(0.0, 255.0) == QParams((1.0,), -128)
    assert scheme.of_range(0.0, 1.0) == QParams((float(np.float32(1 / 255)),), -128)


@given(REAL, REAL, hnp.arrays(np.int8, 20))
def test_levels_survive_the_way_to_real_values_and_back(a: float, b: float, levels: np.ndarray) -> None:
    params = scheme.of_range(min(a, b), max(a, b))
    assert (scheme.to_integers(scheme.to_real(levels, params), params) == levels).all()


@given(hnp.arrays(np.int32, (3,), elements=st.integers(-scheme.BIAS_HIGH, scheme.BIAS_HIGH)))
def test_biases_survive_being_stored_as_float32(levels: np.ndarray) -> None:
    params = QParams((1e-3, 0.7, 3e-6), 0, "int32", 0)
    assert (scheme.to_integers(scheme.to_real(levels, params), params) == levels).all()


@given(hnp.arrays(np.float32, (4, 9), elements=REAL))
def test_symmetric_levels_are_at_most_half_a_step_away(weight: np.ndarray) -> None:
    params = scheme.symmetric(np.abs(weight).max(axis=1), 0)
    steps = np.array(params.scale)[:, None]
    assert (np.abs(scheme.snapped(weight, params) - weight) <= 0.5001 * steps).all()
    assert np.abs(scheme.to_integers(weight, params).astype(int)).max() <= 127


ENTRIES = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.builds(
        QParams,
        st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=4).map(tuple),
        st.integers(-128, 127),
        st.sampled_from(["int8", "int32"]),
        st.integers(0, 3),
    ),
    max_size=4,
)


@given(entries=ENTRIES)
def test_a_table_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, QParams]) -> None:
    path = tmp_path_factory.mktemp("table") / "scales.json"
    table.save(path, ScaleTable(entries, {"calibrator": "min-max"}))
    loaded = table.load(path)
    assert dict(loaded.entries) == entries
    assert list(loaded.entries) == list(entries)
    assert loaded.calibration == {"calibrator": "min-max"}


def _good() -> dict[str, object]:
    text = table.dumps(ScaleTable({"a": QParams((0.5,), -128)}, {}))
    content: dict[str, object] = json.loads(text)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version"),
        ({"format": "other"}, "format"),
        ({"tensors": {"a": {"scale": [0.0], "zero_point": 0, "dtype": "int8", "axis": None}}}, "finite and positive"),
        ({"tensors": {"a": {"scale": [1.0], "zero_point": 128, "dtype": "int8", "axis": None}}}, "outside int8"),
        ({"tensors": {"a": {"scale": [1.0], "zero_point": 0, "dtype": "int4", "axis": None}}}, "dtype"),
        ({"more": 1}, "more"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "scales.json"
    path.write_text(json.dumps({**_good(), **change}))
    with pytest.raises(BadInput, match=message):
        table.load(path)


def test_a_file_that_is_missing_or_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        table.load(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text(json.dumps(_good())[:40])
    with pytest.raises(BadInput, match="not a scale table"):
        table.load(tmp_path / "cut.json")


def test_a_tensor_of_zeros_has_a_usual_scale() -> None:
    """TFLite's kernels abort where the scales of input, weight and output differ by 2^32."""
    assert scheme.of_range(0.0, 0.0) == scheme.of_range(0.0, 1e-20) == scheme.of_range(0.0, 1.0)


@given(REAL, REAL, st.integers(-128, 127))
def test_sixteen_bits_have_every_level_of_eight_and_the_same_ends(a: float, b: float, level: int) -> None:
    params = scheme.of_range(min(a, b), max(a, b))
    wide = scheme.wide(params)
    real = scheme.to_real(np.array([level], np.int8), params)
    assert scheme.to_integers(real, wide)[0] == (level + 128) * 257
    ends = scheme.to_integers(np.array([-np.inf, np.inf], np.float32), wide)
    assert scheme.to_real(ends, wide) == pytest.approx(
        scheme.to_real(np.array([-128, 127], np.int8), params), rel=1e-5, abs=wide.scale[0]
    )

"""TFLite metadata: what is written comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.base import TensorSpec
from clearport.export.tflite import metadata as tflite_metadata


@given(
    name=st.text(max_size=20),
    numbers=st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4),
    color=st.integers(0, 2),
    count=st.integers(0, 3),
)
def test_metadata_comes_back_as_it_was(name: str, numbers: tuple[float, ...], color: int, count: int) -> None:
    tensor = tflite_metadata.Described(name, name[::-1], *numbers, color)
    metadata = tflite_metadata.Metadata(name, "what", (tensor,) * count, (tensor,))
    assert tflite_metadata.unpack(tflite_metadata.pack(metadata)) == metadata


def test_foreign_metadata_is_refused() -> None:
    with pytest.raises(ValueError, match="identifier b'TFL3', expected b'M001'"):
        tflite_metadata.unpack(b"\x10\0\0\0TFL3" + bytes(20))


def test_metadata_maps_any_value_range() -> None:
    spec = TensorSpec("image", (1, 3, 8, 8), value_range=(-1.0, 1.0))
    tensor = tflite_metadata.Described.of(spec)
    assert (0 - tensor.mean) / tensor.std == pytest.approx(-1)
    assert (255 - tensor.mean) / tensor.std == pytest.approx(1)

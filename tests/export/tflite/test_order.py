"""Orders of axes in TFLite files, against numpy's own broadcasting and transposing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.export.tflite.order import NHWC, broadcasting, free_axes, native
from clearport.export.tflite.tensors import Tensor

SHAPE = (2, 3, 4, 5)


@given(st.integers(0, 4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_a_constant_broadcasts_over_nhwc_as_it_did_over_nchw(rank: int, ones: list[bool]) -> None:
    shape = [1 if one else n for one, n in zip(ones, SHAPE, strict=True)][4 - rank :]
    constant = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    image = np.zeros(SHAPE, np.float32)
    stored = broadcasting(constant)
    assert np.array_equal(image.transpose(NHWC) + stored, (image + constant).transpose(NHWC))
    assert stored.shape[0] > 1 or stored.ndim == 1


@pytest.mark.parametrize(("rank", "order"), [(0, ()), (2, (0, 1)), (4, (0, 2, 3, 1)), (5, (0, 1, 2, 3, 4))])
def test_only_rank_four_is_a_picture(rank: int, order: tuple[int, ...]) -> None:
    assert native(rank) == order


def test_height_and_width_stay_free_but_for_what_pooling_left() -> None:
    free = Tensor(0, "t", (1, 8, 8, 3), "float32", None, (False, True, True, False))
    fixed = Tensor(1, "u", (1, 8, 8, 3), "float32", None, ())
    assert free_axes([fixed, free], (1, 8, 8, 3)) == (False, True, True, False)
    assert free_axes([free], (1, 1, 8, 3)) == (False, False, True, False)
    assert free_axes([free], (1, 3, 8, 8), (0, 1, 2, 3)) == (False, False, True, True)
    assert not any(free_axes([fixed], (1, 8, 8, 3)))

"""An ncnn model in a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearport.registry import missing
from clearport.runtime.sessions.ncnn import NcnnSession

if missing(("ncnn",)):
    pytest.skip("ncnn is not installed", allow_module_level=True)

ABSOLUTE = "7767517\n2 2\nInput image 0 1 image\nAbsVal restored 1 1 image restored\n"
"""A model of one layer without weights."""


def test_a_picture_that_is_not_contiguous_is_read_before_its_copy_is_gone(tmp_path: Path) -> None:
    """Large enough that freed memory is given back to the system: reading it would end the process."""
    (tmp_path / "model.param").write_text(ABSOLUTE)
    (tmp_path / "model.bin").touch()
    picture = np.random.default_rng(0).normal(size=(1, 600, 800, 3)).astype(np.float32)
    found = NcnnSession(tmp_path, 1).run({"image": picture.transpose(0, 3, 1, 2)})["restored"]
    np.testing.assert_array_equal(found, np.abs(picture.transpose(0, 3, 1, 2)))

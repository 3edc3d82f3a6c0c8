"""Pictures of high dynamic range on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearport.disk.ours import is_radiance
from clearport.errors import BadInput
from clearport.pictures import light, radiance


def test_light_comes_back_to_the_precision_of_the_format(tmp_path: Path) -> None:
    given = np.random.default_rng(0).random((9, 40, 3), np.float32) ** 8
    radiance.save(tmp_path / "a.hdr", given)
    assert is_radiance(tmp_path / "a.hdr")
    found = radiance.load(tmp_path / "a.hdr")
    assert (np.abs(found - given) <= given.max(axis=2, keepdims=True) / 128).all()


@pytest.mark.parametrize("cut", [0, 3, 60, 200])
def test_damaged_files_are_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.hdr"
    radiance.save(path, np.random.default_rng(0).random((9, 40, 3), np.float32))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadInput, match=r"a\.hdr: not a readable Radiance picture"):
        radiance.load(path)


def test_the_transfer_function_and_its_inverse() -> None:
    values = np.linspace(0, 1, 101)
    assert light.encoded(light.linear(values)) == pytest.approx(values, abs=1e-5)
    assert light.mu_law(np.array([0.0, 1.0])) == pytest.approx([0.0, 1.0])
    assert light.psnr_db(np.zeros(4), np.full(4, 0.1)) == pytest.approx(20.0)

"""The bundled photos are what their table says they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearport.disk.files import size_bytes
from clearport.models import samples
from clearport.models.data.resize import bicubic_downscale, crop_to_multiple
from clearport.pictures.images import load_rgb

ALL = (*samples.SAMPLES, samples.GOLDEN)


def cut(sample: samples.Sample) -> np.ndarray:
    """Make a sample again from the photo that scikit-image carries."""
    skimage = pytest.importorskip("skimage")
    with Image.open(Path(skimage.__file__).parent / "data" / sample.source) as opened:
        photo = np.asarray(opened.convert("RGB"))  # the levels as stored: one of the photos has a color profile
    if sample.shrink > 1:
        photo = bicubic_downscale(crop_to_multiple(photo, sample.shrink), sample.shrink)
    top, left, height, width = sample.box
    return photo[top : top + height, left : left + width]


@pytest.mark.parametrize("sample", ALL, ids=lambda s: s.name)
def test_a_sample_is_the_cut_that_the_table_says(sample: samples.Sample) -> None:
    made = cut(sample)
    assert made.shape == (*sample.box[2:], 3)
    np.testing.assert_array_equal(load_rgb(samples._FOLDER / sample.name), made)


def test_the_terms_of_every_file_are_written_down() -> None:
    terms = (samples._FOLDER / "TERMS.md").read_text()
    files = {p.name for p in samples._FOLDER.iterdir()} - {"TERMS.md"}
    assert files == {sample.name for sample in ALL}
    for sample in ALL:
        row = next(line for line in terms.splitlines() if f"`{sample.name}`" in line)
        assert sample.source in row
        assert sample.terms in row


def test_the_golden_photo_is_unseen_by_calibration_and_has_the_default_size() -> None:
    assert samples.GOLDEN.source not in {sample.source for sample in samples.SAMPLES}
    assert load_rgb(samples.golden()).shape == (360, 640, 3)
    assert samples.golden() not in samples.calibration()


def test_the_samples_are_small() -> None:
    assert size_bytes(samples._FOLDER) < 2_000_000


def test_calibration_reaches_black_and_white_in_every_color() -> None:
    pictures = [load_rgb(path) for path in samples.calibration()]
    assert (np.min([p.min(axis=(0, 1)) for p in pictures], axis=0) == 0).all()
    assert (np.max([p.max(axis=(0, 1)) for p in pictures], axis=0) == 255).all()

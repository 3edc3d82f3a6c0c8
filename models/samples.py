"""Photos bundled with clearport, for calibration and for the golden picture; ``samples/TERMS.md`` has their licenses.

All of them are crops of public-domain photos from scikit-image, saved losslessly. ``SAMPLES`` defines them exactly: a
test recreates them and compares the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearport.errors import BadInput

_FOLDER = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Sample:
    """One bundled photo: ``source`` (a file of ``skimage.data``) downscaled by ``shrink``, then cropped.

    Attributes:
        name: file name in ``samples/``.
        source: file name in scikit-image's data folder.
        terms: license of the source.
        shrink: integer factor of antialiased bicubic downscaling; 1 for none.
        box: top, left, height and width of the crop, in pixels of the downscaled photo.
    """

    name: str
    source: str
    terms: str
    shrink: int
    box: tuple[int, int, int, int]


_STEFAN = "CC0, Stefan van der Walt"
_RACHEL = "CC0, Rachel Michetti"
_NASA = "public domain, NASA"
_SPACEX = "public domain, SpaceX"

GOLDEN = Sample("golden_rocket.png", "rocket.jpg", _SPACEX, 1, (67, 0, 360, 640))

SAMPLES = (
    Sample("astronaut.png", "astronaut.png", _NASA, 2, (0, 0, 256, 256)),
    Sample("astronaut_flag.png", "astronaut.png", _NASA, 1, (0, 0, 240, 320)),
    Sample("astronaut_helmet.png", "astronaut.png", _NASA, 1, (272, 192, 240, 320)),
    Sample("cat.png", "chelsea.png", _STEFAN, 2, (0, 0, 150, 225)),
    Sample("cat_eyes.png", "chelsea.png", _STEFAN, 1, (40, 80, 180, 320)),
    Sample("coffee.png", "coffee.png", _RACHEL, 2, (0, 0, 200, 300)),
    Sample("coffee_spoon.png", "coffee.png", _RACHEL, 1, (180, 200, 180, 320)),
    Sample("galaxies.png", "hubble_deep_field.jpg", _NASA, 2, (0, 100, 180, 320)),
)


def calibration() -> list[Path]:
    """The default calibration photos: sharp and soft, dark, bright, colored.

    Raises:
        BadInput: they are missing in the installation.
    """
    return [_existing(sample) for sample in SAMPLES]


def golden() -> Path:
    """The golden photo, 360x640, on which every artifact is compared; it is not among the calibration photos.

    Raises:
        BadInput: it is missing in the installation.
    """
    return _existing(GOLDEN)


def _existing(sample: Sample) -> Path:
    path = _FOLDER / sample.name
    if not path.is_file():
        raise BadInput(f"{path}: a photo bundled with clearport is missing; reinstall clearport")
    return path

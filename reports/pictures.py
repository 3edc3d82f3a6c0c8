"""The before and after pictures of a report: one crop of the golden pictures, small enough to embed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.pictures.images import load_rgb
from clearport.reports.embedded import Picture, embedded
from clearport.reports.text import percent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clearport.bundle.folder import Bundle
    from clearport.pictures.images import Image8

CROP_HEIGHT, CROP_WIDTH = 384, 512
AMPLIFIED = 32
_BLOCK = 16
_CLEAR = 4.0
"""Minimum mean gradient, in levels, of a block of ``_BLOCK`` pixels with visible detail."""


@dataclass(frozen=True)
class Comparison:
    """Content of the slider: ``before`` against one of ``after``, and the position of the crop in the golden picture.

    ``start`` is the initial position of the slider, in percent from the left.
    """

    before: Picture
    after: tuple[Picture, ...]
    difference: Picture | None
    caption: str
    start: int = 50


def comparison(bundle: Bundle) -> Comparison | str:
    """The most detailed crop of the golden pictures, before and after; or the reason for its absence."""
    contract = bundle.manifest.pixel_contract
    ends = shapes.lead(contract.inputs), shapes.lead(contract.outputs)
    scale = bundle.manifest.model.scale
    if not all(spec.is_picture and spec.color == "RGB" for spec in ends) or isinstance(scale, Fraction):
        return "its input and output are not RGB pictures related by an integer scale"
    try:
        source = load_rgb(bundle.path(bundle.golden("input")))
        restored = load_rgb(bundle.path(bundle.golden("float")))
    except BadInput as error:
        return str(error)
    if restored.shape != (source.shape[0] * scale, source.shape[1] * scale, 3):
        return f"the golden pictures are {source.shape[:2]} and {restored.shape[:2]} pixels, not a scale of {scale}"
    before = _upscaled(source, scale)
    top, left = _most_detailed(restored, scale)
    window = (slice(top, top + CROP_HEIGHT), slice(left, left + CROP_WIDTH))
    after, difference = [embedded("float", "fp32 network", restored[window])], None
    if any(golden.role == "int8" for golden in bundle.manifest.goldens):
        quantized = load_rgb(bundle.path(bundle.golden("int8")))
        if quantized.shape != restored.shape:
            return "the int8 golden picture has another size than the float one"
        after.insert(0, embedded("int8", "int8, as shipped", quantized[window]))
        difference = embedded(
            "difference", f"|fp32 − int8| × {AMPLIFIED}", _amplified(restored[window], quantized[window])
        )
    label = f"input, bicubic ×{scale}" if scale > 1 else "input"
    int8 = f" {_about_int8(bundle)}" if difference else ""
    height, width = restored[window].shape[:2]
    return Comparison(
        embedded("before", label, before[window]),
        tuple(after),
        difference,
        f"{width} × {height} pixels of the golden picture's {restored.shape[1]} × {restored.shape[0]}, "
        f"from x = {left}, y = {top}; lossless.{int8}",
        _middle_of_detail(restored[window]),
    )


def _about_int8(bundle: Bundle) -> str:
    """The agreement of the files with the picture of int8."""
    judged = {key for golden in bundle.manifest.goldens if golden.role == "int8" for key in golden.tolerances}
    shares = [
        parity.exact_share
        for artifact in bundle.manifest.artifacts
        if artifact.key in judged
        for parity in artifact.parities[:1]
        if parity.exact_share is not None
    ]
    told = f", which the int8 files reproduce in at least {percent(min(shares))} % of the pixels" if shares else ""
    return f"int8 is the quantized reference{told}."


def _upscaled(source: Image8, scale: int) -> Image8:
    import numpy as np
    from PIL import Image

    if scale == 1:
        return source
    height, width = source.shape[:2]
    large = Image.fromarray(source).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.uint8)


def _most_detailed(image: Image8, scale: int) -> tuple[int, int]:
    """Top left of the window with the largest detailed area, rather than the largest gradients."""
    blocks = _detail(image)
    tops = _starts(image.shape[0], CROP_HEIGHT, scale)
    lefts = _starts(image.shape[1], CROP_WIDTH, scale)

    def worth(at: tuple[int, int]) -> tuple[float, float]:
        top, left = (start // _BLOCK for start in at)
        seen = blocks[top : top + CROP_HEIGHT // _BLOCK, left : left + CROP_WIDTH // _BLOCK]
        return float((seen > _CLEAR).mean()), float(seen.mean())

    return max(((top, left) for top in tops for left in lefts), key=worth)


def _middle_of_detail(image: Image8) -> int:
    """The median horizontal position of detail, in percent of the width, limited to the inner part."""
    import numpy as np

    columns = np.cumsum((_detail(image) > _CLEAR).sum(axis=0))
    if columns[-1] == 0:
        return 50
    middle = (np.searchsorted(columns, columns[-1] / 2) + 0.5) / len(columns)
    return round(float(np.clip(middle, 0.2, 0.8)) * 100)


def _detail(image: Image8) -> npt.NDArray[np.float32]:
    """The mean gradient of each block, in levels."""
    import numpy as np

    gray = image.astype(np.float32).mean(axis=2)
    gradient = np.abs(np.diff(gray, axis=0, append=gray[-1:])) + np.abs(np.diff(gray, axis=1, append=gray[:, -1:]))
    return _means(gradient, _BLOCK)


def _means(values: npt.NDArray[np.float32], block: int) -> npt.NDArray[np.float32]:
    """Means over squares; incomplete ones at the border are left out, unless there are no others."""
    import numpy as np

    height, width = (max(n // block, 1) * block for n in values.shape)
    whole = values[:height, :width]
    if whole.shape != (height, width):
        return np.full((1, 1), whole.mean(), np.float32)
    means: npt.NDArray[np.float32] = whole.reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    return means


def _starts(length: int, window: int, scale: int) -> list[int]:
    last = max(0, length - window) // scale * scale
    return [*range(0, last, max(window // 8 // scale * scale, 1)), last]


def _amplified(a: Image8, b: Image8) -> Image8:
    import numpy as np

    difference: npt.NDArray[np.int16] = np.abs(a.astype(np.int16) - b.astype(np.int16)) * AMPLIFIED
    return np.minimum(difference, 255).astype(np.uint8)

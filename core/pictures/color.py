"""Conversion of pictures to sRGB according to their embedded ICC profile, by LittleCMS."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Color space of a profile -> mode of its pictures."""

_NEAR = 1
"""Tolerance in 8-bit levels for a profile to count as sRGB; its pictures are not converted."""


@dataclass(frozen=True)
class Converted:
    """A picture of mode L or RGB in sRGB, and a remark for the user (may be empty)."""

    picture: Image.Image
    remark: str = ""


def to_srgb(picture: Image.Image, profile: bytes | None) -> Converted:
    """Convert a picture of mode L, RGB, CMYK or LAB to sRGB (mode L or RGB); gray stays gray. RGB may be converted in
    place.

    The rendering intent is relative colorimetric with black point compensation. A profile that cannot be read, or that
    is for pictures of another kind, is ignored with a remark; without a profile, L and RGB are sRGB.
    """
    from PIL import ImageCms

    if profile:
        try:
            return _by_profile(picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
            plain = _without_profile(picture)
            return Converted(plain.picture, f"its color profile cannot be used and was ignored ({error})")
    return _without_profile(picture)


def _without_profile(picture: Image.Image) -> Converted:
    from PIL import ImageCms

    if picture.mode == "LAB":
        return Converted(_apply(picture, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))))
    if picture.mode == "CMYK":
        return Converted(picture.convert("RGB"), "CMYK without a color profile: its colors are approximate")
    return Converted(picture)


def _by_profile(picture: Image.Image, profile: ImageCms.ImageCmsProfile) -> Converted:
    space = _SPACES.get(profile.profile.xcolor_space.strip(), "")
    name = (profile.profile.profile_description or "its color profile").strip()
    if picture.mode == "L" and space == "RGB":
        picture = picture.convert("RGB")
    if picture.mode != space:
        plain = _without_profile(picture)
        return Converted(
            plain.picture, f"its color profile ({name}) is for {space or 'other'} pictures and was ignored"
        )
    if picture.mode in {"L", "RGB"} and _is_near_srgb(picture.mode, profile):
        return Converted(picture)
    return Converted(_apply(picture, profile), f"colors converted from {name} to sRGB")


def _is_near_srgb(mode: str, profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether no color of a lattice and no gray changes by more than ``_NEAR``."""
    import numpy as np
    from PIL import Image

    grays = np.arange(256, dtype=np.uint8)
    steps = np.linspace(0, 255, 16).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 1, 3)
    probe = grays[:, None] if mode == "L" else np.concatenate([np.repeat(grays[:, None, None], 3, 2), colors])
    seen = np.asarray(_apply(Image.fromarray(probe), profile)).astype(int)
    return bool(np.abs(seen - probe).max() <= _NEAR)


def _apply(picture: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        picture.mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if picture.mode == "RGB":
        ImageCms.applyTransform(picture, transform, inPlace=True)  # avoids a copy of large photos
        return picture
    found = ImageCms.applyTransform(picture, transform)
    assert found is not None  # None only for in-place conversion
    return found.getchannel("G") if picture.mode == "L" else found

"""Measurements of undescribed networks, on networks with known sizes, receptive fields and ranges."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.base import Size, TensorSpec
from clearport.errors import BadInput
from clearport.pipeline.sources import measure, ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clearport.base import Array

FREE = (TensorSpec("x", (1, 3, "H", "W"), value_range=(0.0, 1.0)),)


def candidate(network: Callable[[Array], Array]) -> measure.Candidate:
    def run(given: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": network(given["x"])}

    return measure.Candidate("known", FREE, run)


def blurred(image: Array) -> Array:
    """Each pixel is the mean of those up to 3 rows away; twice the size."""
    padded = np.pad(image, ((0, 0), (0, 0), (3, 3), (0, 0)))
    mean = sum(padded[:, :, i : i + image.shape[2]] for i in range(7)) / 7
    return np.asarray(mean.repeat(2, axis=2).repeat(2, axis=3))


def only_multiples(multiple: int, least: int = 0) -> Callable[[Array], Array]:
    def network(image: Array) -> Array:
        height, width = image.shape[2:]
        if height % multiple or width % multiple or min(height, width) < least:
            raise BadInput("not this size")
        return image

    return network


@pytest.mark.parametrize("multiple", [1, 2, 8, 64])
def test_the_multiple_of_sizes_is_found_by_trying(multiple: int) -> None:
    assert measure.sizes(candidate(only_multiples(multiple))).multiple == multiple


def test_a_size_that_comes_out_cut_is_no_size(tmp_path: object) -> None:
    """A network that drops what does not divide does not refuse; its output is another size."""
    found = measure.sizes(candidate(lambda x: x[:, :, : x.shape[2] // 4 * 4, : x.shape[3] // 4 * 4]))
    assert found.multiple == 4


def test_a_size_that_is_rounded_up_is_no_size() -> None:
    """67 and 68 pixels both become 68."""
    found = measure.sizes(candidate(lambda x: np.pad(x, [(0, 0), (0, 0), *[(0, n % 2) for n in x.shape[2:]]])))
    assert found.multiple == 2


def test_the_least_side_is_found() -> None:
    assert measure.sizes(candidate(only_multiples(2, least=20))).least == 24


def test_long_sides_are_tried_only_if_short_ones_are_rejected() -> None:
    """Attention over 256 x 256 pixels would need gigabytes."""
    tried: list[int] = []

    def even(image: Array) -> Array:
        tried.append(max(image.shape[2:]))
        return only_multiples(2)(image)

    assert measure.sizes(candidate(even)).multiple == 2
    assert max(tried) < measure.LONGEST


def test_a_network_of_no_size_is_refused() -> None:
    with pytest.raises(BadInput, match="accepts no size from 64 to 256"):
        measure.sizes(candidate(only_multiples(1, least=9999)))


def test_reach() -> None:
    known, size = candidate(blurred), Size(32, 32)
    assert measure.reach(known, "x", "y", size) == 3
    assert measure.reach(candidate(lambda x: x - x.mean()), "x", "y", size) is None


def unpadded(image: Array) -> Array:
    """The mean of 9 rows, of which none lies outside: twice the size, less 16 rows and columns."""
    mean = sum(image[:, :, i : image.shape[2] - 8 + i, 4:-4] for i in range(9)) / 9
    return np.asarray(mean.repeat(2, axis=2).repeat(2, axis=3))


def test_pixels_left_out_by_windows_without_padding_are_a_crop() -> None:
    known, law = candidate(unpadded), measure.Growth(Fraction(2), 16)
    assert measure.sizes(known).grown == {"y": (law, law)}
    assert measure.sizes(candidate(blurred)).grown["y"][0] == measure.Growth(Fraction(2))
    assert measure.reach(known, "x", "y", Size(32, 32), growth=law) == 4
    assert measure.seams(known, "y", 4, 1, 8, law) == 0
    assert measure.seams(known, "y", 3, 1, 8, law) > 0.01


@pytest.mark.parametrize(
    ("shape", "size", "step", "law"),
    [
        ((1, 3, 48, 96), Size(32, 64), Fraction(2, 3), (Fraction(3, 2), 0)),
        ((1, 3, 46, 62), Size(60, 76), Fraction(1), (Fraction(1), 14)),
        ((1, 3, 56, 56), Size(64, 64), Fraction(1, 2), (Fraction(2), 72)),  # 7/8 at this size only
        ((1, 3, 256, 256), Size(64, 64), Fraction(1), (Fraction(4), 0)),  # the operators do not tell a reshaped shuffle
        ((1, 3, 129, 97), Size(64, 48), Fraction(1, 2), (Fraction(2), -1)),
    ],
)
def test_one_size_and_the_operators_tell_the_same(
    shape: tuple[int, ...], size: Size, step: Fraction, law: tuple[Fraction, int]
) -> None:
    assert measure.growth_at(shape, size, (step, step)) == (measure.Growth(*law), measure.Growth(*law))


def test_a_height_with_another_scale_than_the_width_is_detected() -> None:
    height, width = measure.growth_at((1, 512, 1, 25), Size(32, 100), (Fraction(16), Fraction(4)))
    assert height != width


def test_a_network_that_draws_numbers_is_refused() -> None:
    generator = np.random.default_rng()
    with pytest.raises(BadInput, match="two runs on the same input"):
        drawing = candidate(lambda x: x + generator.normal(size=x.shape))
        measure.check_repeatable(drawing, Size(16, 16), drawing.run(drawing.filled(Size(16, 16))))


def test_the_same_numbers_are_run_once_and_others_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def run(given: Mapping[str, Array]) -> dict[str, Array]:
        seen.append(float(given["x"].flat[0]))
        return {"y": given["x"] * 2, "z": given["mask"]}

    once = measure.remembered(run)
    ones, mask = np.ones(4, np.float32), np.zeros(2, bool)
    for given in ({"x": ones, "mask": mask}, {"mask": mask, "x": ones.copy()}):
        np.testing.assert_array_equal(once(given)["y"], [2, 2, 2, 2])
    assert seen == [1]
    for other in ({"x": ones, "mask": ~mask}, {"x": ones * 3, "mask": mask}, {"x": ones.reshape(4, 1), "mask": mask}):
        once(other)
    assert seen == [1, 1, 3, 1]
    monkeypatch.setattr(measure, "REMEMBERED", 10)
    forgetful = measure.remembered(run)
    for _ in range(2):
        forgetful({"x": ones, "mask": mask})
    assert seen[4:] == [1, 1], "outputs that are too large are not kept"


PHOTO = np.clip(np.random.default_rng(0).normal(0.4, 0.2, (1, 3, 64, 64)), 0, 1).astype(np.float32)


def clamped(low: float, high: float) -> Callable[[int, tuple[float, float]], Array]:
    """A network with a clamp to its range, and a bias that only its range makes small."""

    def restore(_: int, taken: tuple[float, float]) -> Array:
        image = taken[0] + PHOTO * (taken[1] - taken[0])
        return np.asarray(np.clip(image + 0.02 * (high - low), low, high).astype(np.float32))

    return restore


@pytest.mark.parametrize("span", [ranges.UNIT, ranges.BYTES])
def test_ranges_are_those_in_which_photos_stay_photos(span: tuple[float, float]) -> None:
    taken, given = ranges.from_photos([PHOTO], clamped(*span))
    assert (taken.range, given.range) == (span, span)
    assert "photos are restored to photos" in given.why


def test_a_range_that_the_output_tells_is_the_input_s_unless_photos_deny_it() -> None:
    taken, given = ranges.from_photos([PHOTO], clamped(-1, 1), ranges.SIGNED)
    assert (taken.range, given.range) == (ranges.SIGNED, ranges.SIGNED)
    taken, _ = ranges.from_photos([PHOTO], lambda i, span: clamped(0, 255)(i, span) / 255, ranges.UNIT)
    assert taken.range == ranges.BYTES


def test_seams_are_seen() -> None:
    known = candidate(blurred)
    assert measure.seams(known, "y", 3, 1, 8) == 0
    assert measure.seams(known, "y", 2, 1, 8) > 0.01


def test_inputs_without_sides_are_not_cut() -> None:
    """A strength beside the picture, as (1, 1, 1, 1)."""
    strength = TensorSpec("sigma", (1, 1, 1, 1), kind="map", value_range=(0.0, 1.0))
    plain = candidate(blurred)

    def run(given: Mapping[str, Array]) -> dict[str, Array]:
        assert given["sigma"].shape == (1, 1, 1, 1)
        return {"y": plain.run({"x": given["x"]})["y"] * given["sigma"]}

    assert measure.seams(measure.Candidate("it", (*plain.inputs, strength), run), "y", 3, 1, 8) == 0


def test_what_is_no_picture_of_its_input_has_no_range() -> None:
    noise = np.random.default_rng(1).normal(size=PHOTO.shape).astype(np.float32) * 40
    taken, given = ranges.from_photos([PHOTO], lambda *_: noise)
    assert given.range is None
    assert taken.range == ranges.UNIT
    assert "assumed" in taken.why

"""Swift for Core AI files: of tensors, of images, and with several inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clearport.base import TensorSpec
from clearport.bundle.folder import Bundle
from clearport.reports.usage import usages
from tests.reports.test_usage import assert_parsed, contract


@pytest.fixture(scope="module")
def made(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    found: Bundle = make_bundle(tmp_path_factory.mktemp("usage") / "bundle")
    return found


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("sides", [(48, 48), ("H", "W")])
def test_swift_for_core_ai_is_swift(made: Bundle, dtype: str, sides: tuple[int | str, int | str]) -> None:
    artifact = made.artifacts[0]
    ends = {
        end: [replace(contract(dtype, (0.0, 255.0)), name=name, shape=(1, 3, *sides))]
        for end, name in (("inputs", "image"), ("outputs", "restored"))
    }
    as_coreai = artifact.model_copy(update={"target": "coreai", **ends})
    (usage,) = usages(made.manifest.model_copy(update={"artifacts": (as_coreai,)}))
    assert_parsed(usage)
    assert usage.title == "Swift for Core AI"
    assert 'loadFunction(named: "main")' in usage.code
    assert ("precondition(width == 48" in usage.code) == (sides == (48, 48))


def test_swift_for_images_of_core_ai_takes_pixel_buffers(made: Bundle) -> None:
    pixels = replace(contract("uint8", (0.0, 255.0)).with_dtype("uint8", 1.0, 0, "NHWC"), shape=(1, 32, 48, 3))
    ends = {"inputs": (pixels,), "outputs": (replace(pixels, name="restored", shape=(1, 96, 144, 3)),)}
    as_coreai = made.artifacts[0].model_copy(update={"target": "coreai", "variant": "image", **ends})
    (usage,) = usages(made.manifest.model_copy(update={"artifacts": (as_coreai,)}))
    assert_parsed(usage)
    assert "48 pixels wide and 32 high" in usage.code
    assert "inputs.insert(CVReadOnlyPixelBuffer(unsafeBuffer: picture)" in usage.code
    assert "map {" not in usage.code, "the file takes pixels as they are"


@pytest.mark.parametrize("images", [False, True])
def test_swift_for_core_ai_files_with_several_inputs_is_swift(made: Bundle, images: bool) -> None:
    """As for Core ML; quantized pictures are tensors, not images."""
    picture = contract("uint8", (0.0, 255.0))
    picture = replace(picture.with_dtype("uint8", 1.0, 0, "NHWC"), shape=(1, 48, 48, 3)) if images else picture
    given = (replace(picture, name="short"), replace(picture, name="long"))
    result = TensorSpec("hdr", (1, 3, 48, 48), kind="map", value_range=(0.0, 1.0))
    as_coreai = made.artifacts[0].model_copy(update={"target": "coreai", "inputs": given, "outputs": (result,)})
    contracts = made.manifest.pixel_contract.model_copy(update={"inputs": given, "outputs": (result,)})
    (usage,) = usages(made.manifest.model_copy(update={"artifacts": (as_coreai,), "pixel_contract": contracts}))
    assert_parsed(usage)
    kind = "CVReadOnlyPixelBuffer" if images else "NDArray"
    assert f"_ short: {kind}, _ long: {kind}, with network" in usage.code
    assert ("import CoreVideo" in usage.code) == images
    assert 'outputs.remove("hdr")?.ndArray' in usage.code

"""The reference evaluator, on programs that are written with coremltools alone: its meanings, and how it fails.

The operators that clearport writes are compared with ONNX Runtime in ``tests/export/coreml/test_ops.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.errors import ClearportError, RuntimeFailure, UnsupportedOperator
from clearport.registry import missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export.coreml.lowering import builder
from clearport.export.coreml.package import MODEL, WEIGHTS, Description, write
from clearport.export.coreml.tools import load, quiet
from clearport.runtime.coreml_reference.program import read
from clearport.runtime.runners.milref import RUNNER, MilReference

SHAPE = (1, 3, 4, 6)
NOTHING_SAID = Description("", "", "", "", {"image": ""}, {"restored": ""}, {})
RAMP = np.linspace(-3, 4, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
Body = Callable[[Any, Any], Any]


def package(path: Path, body: Body, kind: str = "TensorType", color: str = "RGB") -> Path:
    """A saved package of ``body(mb, image)``."""
    ct, mb = load(), builder()
    color_of = {"color_layout": getattr(ct.colorlayout, color)} if kind == "ImageType" else {}
    with quiet():

        @mb.program(input_specs=[mb.TensorSpec(shape=SHAPE)], opset_version=ct.target.iOS17)
        def program(image: Any) -> Any:
            result = body(mb, image)
            result.set_name("restored")
            return result

        if color_of:
            program.functions["main"].set_output_types([ct.ImageType(name="restored", **color_of)])
        model = ct.convert(
            program,
            inputs=[getattr(ct, kind)(name="image", shape=SHAPE, **color_of)],
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
            package_dir=str(path.with_name("converted.mlpackage")),
        )
    write(model, NOTHING_SAID, path)
    return path


def opened(path: Path) -> MilReference:
    return RUNNER.open(path, 1, {})


def weighted(mb: Any, image: Any) -> Any:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    return mb.conv(x=image, weight=weight, pad_type="valid", name="weighted")


def halves(mb: Any, image: Any) -> Any:
    return mb.cast(x=mb.cast(x=image, dtype="fp16", name="half"), dtype="fp32", name="back")


def quantized(mb: Any, image: Any) -> Any:
    stored = mb.quantize(input=image, scale=np.float32(0.5), zero_point=np.int8(3), output_dtype="int8", name="stored")
    return mb.dequantize(input=stored, scale=np.float32(0.5), zero_point=np.int8(3), name="back")


def unsigned(mb: Any, image: Any) -> Any:
    stored = mb.quantize(input=image, scale=np.float32(0.01), output_dtype="uint8", name="stored")
    return mb.dequantize(input=stored, scale=np.float32(0.01), name="back")


def unpacked(mb: Any, image: Any) -> Any:
    scale, zero_point = np.float32([0.1, 0.2, 0.3]), np.int8([1, -1, 0])
    data = np.arange(-6, 6, dtype=np.int8).reshape(4, 3, 1, 1)
    expanded = mb.constexpr_affine_dequantize(
        quantized_data=data, zero_point=zero_point, scale=scale, axis=np.int32(1), name="expanded"
    )
    return mb.conv(x=image, weight=expanded, name="weighted")


def silu(mb: Any, image: Any) -> Any:
    return mb.mul(x=image, y=mb.sigmoid(x=image, name="gate"), name="gated")


def moved(mb: Any, image: Any) -> Any:
    channels = mb.concat(values=(image, image, image, image), axis=1, name="channels")
    return mb.depth_to_space(x=channels, block_size=2, name="moved")


def by_hand_unpacked(x: np.ndarray) -> np.ndarray:
    data = np.arange(-6, 6).reshape(4, 3)
    weight = (data - np.array([1, -1, 0])) * np.float32([0.1, 0.2, 0.3])
    return np.einsum("oc,nchw->nohw", weight, x)


def by_hand_moved(x: np.ndarray) -> np.ndarray:
    """Input channel k goes to row k // 6, column k // 3 % 2 of the cell, color k % 3: all four are the same here."""
    return x.repeat(2, axis=2).repeat(2, axis=3)


MEANINGS: dict[str, tuple[Body, Callable[[np.ndarray], np.ndarray]]] = {
    "fp16 rounds": (halves, lambda x: x.astype(np.float16).astype(np.float32)),
    "quantize rounds halves to even and saturates": (
        quantized,
        lambda x: (np.clip(np.rint(x / np.float32(0.5)) + 3, -128, 127) - 3) * np.float32(0.5),
    ),
    "uint8 without a zero point": (
        unsigned,
        lambda x: np.clip(np.rint(x / np.float32(0.01)), 0, 255) * np.float32(0.01),
    ),
    "constants expand along their axis": (unpacked, by_hand_unpacked),
    "sigmoid and product are fused to silu": (silu, lambda x: x / (1 + np.exp(-x))),
    "depth to space takes colors innermost": (moved, by_hand_moved),
    "relu of a program without weights": (lambda mb, x: mb.relu(x=x, name="y"), lambda x: np.maximum(x, 0)),
}


@pytest.mark.parametrize("meaning", MEANINGS)
def test_meaning(meaning: str, tmp_path: Path) -> None:
    body, by_hand = MEANINGS[meaning]
    got = opened(package(tmp_path / "a.mlpackage", body)).run({"image": RAMP})["restored"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, by_hand(RAMP), rtol=2e-6, atol=1e-6)


def test_fp16_programs_round_after_every_operation(tmp_path: Path) -> None:
    def body(mb: Any, image: Any) -> Any:
        x = mb.cast(x=image, dtype="fp16", name="half")
        third = mb.mul(x=x, y=np.float16(1 / 3), name="third")
        return mb.cast(x=mb.mul(x=third, y=np.float16(3), name="again"), dtype="fp32", name="back")

    got = opened(package(tmp_path / "a.mlpackage", body)).run({"image": RAMP})["restored"]
    by_hand = (RAMP.astype(np.float16) * np.float16(1 / 3)) * np.float16(3)
    np.testing.assert_array_equal(got, by_hand.astype(np.float32))


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_pictures_keep_their_colors_and_are_rounded_and_clipped(color: str, tmp_path: Path) -> None:
    def body(mb: Any, image: Any) -> Any:
        return mb.add(x=image, y=np.float32([[[[-0.6]], [[0.0]], [[7.4]]]]), name="shifted")

    picture = np.random.default_rng(1).integers(0, 256, (1, 4, 6, 3), dtype=np.uint8)
    picture[0, 0, 0], picture[0, 0, 1] = 0, 255
    session = opened(package(tmp_path / "a.mlpackage", body, "ImageType", color))
    shift = np.array([-0.6, 0.0, 7.4]) if color == "RGB" else np.array([7.4, 0.0, -0.6])
    wanted = np.clip(np.rint(picture + shift), 0, 255).astype(np.uint8)
    got = session.run({"image": picture})["restored"]
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, wanted)


def test_facts(tmp_path: Path) -> None:
    facts = opened(package(tmp_path / "a.mlpackage", weighted)).facts()
    assert facts["operators"] == {"conv": 1}
    assert facts["executed_precision"] == "float32"
    assert facts["specification_version"] == 8


def test_the_runner_measures_no_latency_and_says_what_it_is() -> None:
    assert not RUNNER.measures_latency
    assert RUNNER.method == "reference-evaluated"


def test_an_operation_without_a_rule_is_named(tmp_path: Path) -> None:
    path = package(tmp_path / "a.mlpackage", lambda mb, x: mb.atanh(x=x, name="wave"))
    with pytest.raises(UnsupportedOperator, match="milref: unsupported operator atanh of layer 'restored'"):
        opened(path)


INPUTS = {
    "is missing": {"picture": RAMP},
    "must be float32": {"image": RAMP.astype(np.float64)},
    "with 4 axes": {"image": RAMP[0]},
    "the model takes": {"image": RAMP[:, :, :3]},
}


@pytest.mark.parametrize("why", INPUTS)
def test_inputs_that_do_not_fit_are_refused(why: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=why):
        opened(package(tmp_path / "a.mlpackage", weighted)).run(INPUTS[why])


def cut(path: Path, left: int) -> None:
    path.write_bytes(path.read_bytes()[:left])


def overwrite(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "weights cut in the data": (r"weight\.bin: truncated: 200 bytes, and .* ends at", lambda p: cut(p / WEIGHTS, 200)),
    "weights cut in the metadata": (r"truncated: 80 bytes, and a blob begins", lambda p: cut(p / WEIGHTS, 80)),
    "weights empty": (r"weight\.bin: truncated: 0 bytes", lambda p: cut(p / WEIGHTS, 0)),
    "weights gone": (r"weight\.bin: the weights cannot be read", lambda p: (p / WEIGHTS).unlink()),
    "no blob": (r"weight\.bin: damaged: there is no blob at 64", lambda p: overwrite(p / WEIGHTS, 64, b"\0\0\0\0")),
    "blob of another size": (r"damaged: the blob at 64 has 5 bytes", lambda p: overwrite(p / WEIGHTS, 72, b"\5\0\0\0")),
    "program cut": (r"model\.mlmodel: the model specification cannot be read", lambda p: cut(p / MODEL, 300)),
    "program empty": (r"model\.mlmodel: not an ML program", lambda p: cut(p / MODEL, 0)),
    "program gone": (r"model\.mlmodel: the model specification cannot be read", lambda p: (p / MODEL).unlink()),
    "no manifest": ("not an .mlpackage", lambda p: (p / "Manifest.json").unlink()),
    "manifest is not JSON": ("not an .mlpackage", lambda p: (p / "Manifest.json").write_text("{") and None),
    "manifest without items": ("not an .mlpackage", lambda p: (p / "Manifest.json").write_text("{}") and None),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_package_is_reported(damage: str, tmp_path: Path) -> None:
    said, spoil = DAMAGE[damage]
    path = package(tmp_path / "a.mlpackage", weighted)
    opened(path)
    spoil(path)
    with pytest.raises(RuntimeFailure, match=said):
        opened(path)


def test_no_cut_of_the_program_is_read_as_a_whole_one(tmp_path: Path) -> None:
    path = package(tmp_path / "a.mlpackage", weighted)
    whole = (path / MODEL).read_bytes()
    operations = len(read(path).operations)
    for left in range(0, len(whole), 37):
        (path / MODEL).write_bytes(whole[:left])
        with pytest.raises(RuntimeFailure):
            assert len(read(path).operations) == operations


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("whole") / "a.mlpackage", weighted)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_wrong_byte_of_the_program_is_read_or_reported(data: st.DataObject, whole: Path) -> None:
    content = (whole / MODEL).read_bytes()
    offset = data.draw(st.integers(0, len(content) - 1))
    spoiled = bytearray(content)
    spoiled[offset] = data.draw(st.integers(0, 255))
    (whole / MODEL).write_bytes(spoiled)
    try:
        with contextlib.suppress(ClearportError):
            opened(whole)
    finally:
        (whole / MODEL).write_bytes(content)

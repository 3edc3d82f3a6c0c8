"""Acceptance criteria: outputs beyond their range, faint outputs, and int8 against two references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from clearport.base import Artifact, Graph, Precision, Size, TensorSpec
from clearport.errors import BadInput
from clearport.models import samples
from clearport.pictures.probe import probe_picture
from clearport.pipeline.criteria import PHOTO, PROBE, References
from clearport.pipeline.goldens import make_goldens, probe_size
from clearport.pipeline.prove import network_artifact
from clearport.registry import NETWORKS
from clearport.runtime.parity import Reference
from tests.export.from_onnx.files import model, node

SIDE = 48
SPEC = TensorSpec("restored", (1, 3, SIDE, SIDE))
BYTES = SPEC.with_dtype("uint8", 1.0, 0, "NCHW")


def truth(low: float, high: float) -> np.ndarray:
    """What a network gives, (1, 3, H, W) float32: a smooth picture between two values."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    unit = np.stack([x, y, 0.5 + 0.5 * np.sin(7 * x) * np.cos(5 * y)])
    return (low + (high - low) * unit[None]).astype(np.float32)


def references(real: np.ndarray, int8: np.ndarray | None = None, name: str = PHOTO) -> References:
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    made = [(Reference.of("QDQ reference", int8, SPEC),)] * 2 if int8 is not None else []
    return References(name, {"restored": picture}, (Reference.of("PyTorch fp32", real, SPEC),), *made)


def failures(found: References, output: np.ndarray, precision: Precision, spec: TensorSpec = SPEC) -> list[str]:
    artifact = Artifact("toy", precision, Path("x"), "", (spec,), (spec,), {})
    reports = found.exam(artifact).judge({"restored": output}, artifact, "ran on Toy")
    return [text for report in reports for text in report.failures]


def quantized(real: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(real), 0, 255).astype(np.float32)


def test_a_correct_file_passes() -> None:
    real = truth(3, 250)
    found = references(real, quantized(real))
    for precision in ("fp32", "fp16", "int8-weights"):
        assert failures(found, real, precision) == []  # type: ignore[arg-type]
    assert failures(found, quantized(real).astype(np.uint8), "int8", BYTES) == []


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-128.0, 127.0), (-300.0, -10.0), (0.0, 65535.0)])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_output_that_leaves_its_range_is_no_proof(low: float, high: float, precision: Precision) -> None:
    """Clipped, both sides are equal: black, or white."""
    real = truth(low, high)
    found = references(real, quantized(real))
    output, spec = (quantized(real).astype(np.uint8), BYTES) if precision == "int8" else (real, SPEC)
    assert any("clipping loses" in text for text in failures(found, output, precision, spec))


def test_a_constant_picture_is_no_proof() -> None:
    real = np.full((1, 3, SIDE, SIDE), 77, np.float32)
    assert any("one color" in text for text in failures(references(real), real, "fp32"))


@pytest.mark.parametrize("precision", ["fp16", "int8-weights"])
def test_a_faint_output_is_judged_by_its_own_size(precision: Precision) -> None:
    """A residual of one hundredth of the range: 68 dB of the range, 28 dB of itself."""
    real = truth(127.5 - 1.28, 127.5 + 1.28)
    wrong = real + np.random.default_rng(0).normal(0, np.std(real) * 10 ** (-28 / 20), real.shape).astype(np.float32)
    said = failures(references(real), wrong, precision)
    assert any("relative to the picture's own variance" in text for text in said)
    assert not any("PSNR" in text for text in said)


def test_int8_is_no_worse_than_35_db_whatever_the_reference_is() -> None:
    """One black calibration picture: reference and file agree, and are 7.5 dB from PyTorch."""
    real = truth(3, 250)
    black = quantized(real / 9)
    said = failures(references(real, black), black.astype(np.uint8), "int8", BYTES)
    assert any("expected at least 35" in text for text in said)


def test_what_int8_does_to_the_probe_is_not_the_file_s_fault() -> None:
    real = truth(3, 250)
    worse = quantized(real + 9 * np.sign(np.sin(np.arange(SIDE))).astype(np.float32))
    found = references(real, worse, PROBE)
    assert failures(found, worse.astype(np.uint8), "int8", BYTES) == []
    shifted = np.clip(worse + 2, 0, 255).astype(np.uint8)
    assert any("block" in text for text in failures(found, shifted, "int8", BYTES))


@pytest.mark.parametrize("size", [Size(8, 8), Size(48, 64), Size(7, 131), Size(360, 640)])
def test_the_probe_reaches_black_and_white_and_is_the_same_every_time(size: Size) -> None:
    probe = probe_picture(size)
    assert probe.shape == (size.height, size.width, 3)
    assert np.array_equal(probe, probe_picture(size))
    assert probe.max() - probe.min() > 200
    assert samples.golden().is_file()


@pytest.mark.parametrize("name", ["ncnet", "mobilederain", "iagc"])
def test_a_free_size_gets_a_small_probe_that_the_network_takes(name: str) -> None:
    spec = NETWORKS.get(name)
    size = probe_size(spec, None)
    assert size.height % spec.size_multiple == 0
    assert spec.least_side <= size.height < 128
    assert probe_size(spec, Size(64, 96)) == Size(64, 96)


def test_steps_take_the_place_of_no_limit_where_nothing_else_is_left() -> None:
    """A manifest may lack PyTorch's output for a sample: then the QDQ model's limits are all that judge it."""
    real = truth(3, 250)
    found = references(real, quantized(real))
    artifact = Artifact("toy", "int8", Path("x"), "", (BYTES,), (BYTES,), {})
    exam = found.exam(artifact)
    worse = {"restored": np.clip(quantized(real) + 20, 0, 255).astype(np.uint8)}
    for own in (exam, replace(exam, beside=())):
        (near, *_) = own.by_steps().judge(worse, artifact, "ran on Toy")
        assert near.reference == "QDQ reference"
        assert near.passed == bool(own.beside)


def test_a_network_whose_output_is_not_finite_for_a_golden_picture_is_refused(tmp_path: Path) -> None:
    """Noise in range may not show it: black does."""
    made = model([node("Log", "x", "y")], 17, shape=(1, 3, 16, 16), result=(1, 3, 16, 16))
    ends = [TensorSpec(name, (1, 3, 16, 16), value_range=(0.0, 1.0)) for name in "xy"]
    path = tmp_path / "network.onnx"
    path.write_bytes(made.SerializeToString())
    graph = Graph(ir.from_proto(made), (ends[0],), (ends[1],), "logarithm", 1)
    pictures = {PHOTO: np.full((16, 16, 3), 9, np.uint8), PROBE: np.zeros((16, 16, 3), np.uint8)}
    with pytest.raises(BadInput, match="768 of 768 values of 'y' as NaN or infinite for the picture 'probe'"):
        make_goldens(pictures, graph, network_artifact(path, graph.inputs, graph.outputs), None, 1)

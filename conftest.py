"""Fixtures of both test folders: data that is not ours to ship, and a small bundle made without a converter."""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image
from skimage import data

from clearport.base import Artifact, Precision, Skipped, TensorSpec
from clearport.bundle import folder as bundle
from clearport.bundle.fields import LatencyCell
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import (
    BaselineRecord,
    GoldenRecord,
    HostRecord,
    Manifest,
    ModelRecord,
    PaperRecord,
    PixelContract,
    QualityRecord,
    QuantizationRecord,
)
from clearport.disk.files import digest
from clearport.pictures.images import save_png
from clearport.runtime.latency.stats import Ratio
from clearport.runtime.parity import ParityReport, Tolerance
from tests import kept_processes
from tests.latency_reports import latency_report

hypothesis.settings.register_profile(  # a busy machine is no reason to fail
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

MakeBundle = Callable[..., Bundle]
HEIGHT, WIDTH, SCALE = 48, 64, 3

_IMAGE = TensorSpec("image", (1, 3, HEIGHT, WIDTH))
_RESTORED = TensorSpec("restored", (1, 3, HEIGHT * SCALE, WIDTH * SCALE))
_BYTE = ("uint8", 1.0, 0)
_FILES: tuple[tuple[str, Precision, str, tuple[str, ...], float], ...] = (
    ("onnxruntime", "fp32", "", ("ncnet_x3_fp32.onnx",), 193.0),
    ("onnxruntime", "int8", "", ("ncnet_x3_int8.onnx",), 132.0),
    ("onnxruntime", "int8", "ort", ("ncnet_x3_int8_ort.ort",), 131.0),
    ("openvino", "int8", "", ("ncnet_x3_int8.openvino/model.xml", "ncnet_x3_int8.openvino/model.bin"), 41.0),
    ("tflite", "fp32", "", ("ncnet_x3_fp32.tflite",), 235.7),
    ("tflite", "int8", "", ("ncnet_x3_int8.tflite",), 75.1),
    ("coreml", "fp16", "image", ("a.mlpackage/Manifest.json", "a.mlpackage/Data/weights/weight.bin"), 0.0),
    ("coreml", "fp32", "tensor", ("b.mlpackage/Manifest.json", "b.mlpackage/Data/weights/weight.bin"), 0.0),
)


def pytest_collection_finish() -> None:
    """Leave modules and collected tests, which live to the end, out of every later look for cycles."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def logs_of_problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of logs while tests run, for subprocesses too: the developer's own is left alone."""
    state = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(state)
    return state / "clearport" / "problems"


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_disks() -> Iterator[None]:
    """Files of tests need not survive a power cut: thousands of writes do not wait for the disk; subprocesses do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache while tests run, one for all their processes: the developer's own is left alone."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    os.environ["CLEARPORT_CACHE"] = str(place)
    return place


@pytest.fixture(scope="session", autouse=True)
def conversions_once() -> Iterator[None]:
    """PyTorch's ONNX exporter parses its 500 conversions at every export: half of the time of a small one.

    Test processes do it once; each export still has a table of its own.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry  # noqa: PLC0415  few tests need PyTorch

    parse, parsed = ONNXRegistry.from_torchlib, {}

    def from_torchlib(opset_version: int = 18) -> ONNXRegistry:
        if opset_version not in parsed:
            parsed[opset_version] = parse(opset_version)
        table = copy.copy(parsed[opset_version])
        table.functions = {name: list(found) for name, found in table.functions.items()}
        return table

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ONNXRegistry, "from_torchlib", staticmethod(from_torchlib))
        yield


@pytest.fixture(scope="session", autouse=True)
def processes_kept(logs_of_problems: Path, own_cache: Path) -> Iterator[None]:
    """The processes of exports and proofs serve all tests of a test process."""
    with kept_processes.kept_processes():
        yield


@pytest.fixture
def own_processes() -> Iterator[None]:
    """The test's exports and proofs start their own processes, as for users."""
    with kept_processes.own_processes():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with evaluation data and published weights; the test is skipped where there is none."""
    place = os.environ.get("CLEARPORT_SHARED")
    if not place:
        pytest.skip("CLEARPORT_SHARED is unset: no evaluation data or published weights on this machine")
    return Path(place)


@pytest.fixture(scope="session")
def make_bundle() -> MakeBundle:
    """``make_bundle(folder, height=48, width=64, name="ncnet", wrong=False)``: a bundle with every kind of entry.

    Its pictures and files are real, its figures are made up. ``wrong`` makes one parity fail.
    """
    return _make


def _make(
    folder: Path, height: int = HEIGHT, width: int = WIDTH, name: str = "ncnet", *, wrong: bool = False
) -> Bundle:
    with bundle.building(folder) as place:
        bundle.write(place, _manifest(place, height, width, name, wrong=wrong))
    return Bundle.load(folder)


def _manifest(place: Path, height: int, width: int, name: str, *, wrong: bool) -> Manifest:
    for path in ("weights.safetensors", "scales.json", "reference_qdq.onnx"):
        (place / path).write_bytes(path.encode() * 7)
    artifacts = [_artifact(place, *made[:4]) for made in _FILES]
    latencies = [_latency(made[4]) for made in _FILES]
    records = [
        bundle.record(a, place, _parity(a, passed=not (wrong and a.key == "tflite/int8")), latency)
        for a, latency in zip(artifacts, latencies, strict=True)
    ]
    return Manifest(
        model=ModelRecord(
            name=name,
            task="super-resolution",
            scale=SCALE,
            params=52279,
            macs=12_037_000_000,
            macs_size="360x640",
            weights_sha256=digest(place / "weights.safetensors"),
            license="Apache-2.0",
            paper=PaperRecord(
                title="A title & its <subtitle>", arxiv="2204.08397", url="https://arxiv.org/abs/2204.08397"
            ),
            halo=14,
            whole_picture=False,
            size_multiple=1,
            size="360x640",
        ),
        pixel_contract=PixelContract(inputs=(_IMAGE,), outputs=(_RESTORED,)),
        artifacts=tuple(records),
        skipped=(Skipped("coreml/int8", "coremltools is not installed; to add it: pip install 'clearport[coreml]'"),),
        goldens=_goldens(place, height, width),
        quantization=QuantizationRecord(
            scheme="weights int8 symmetric per output channel, activations int8 asymmetric per tensor, bias int32",
            calibrator="moving average",
            images=8,
            images_sha256="5" * 64,
            table="scales.json",
            reference="reference_qdq.onnx",
        ),
        quality=(_quality("pytorch", 31.685, None), _quality("tflite/int8", 31.632, -0.053)),
        baseline=BaselineRecord(runtime="torch", version="2.13.0", latency=_latency(441.0, baseline=True)),
        tool_versions={"clearport": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.31.1"},
        host=HostRecord(
            cpu="A processor",
            cores=2,
            governor=None,
            load_start=0.4,
            load_end=1.2,
            memory_mib=7957,
            machine="x86_64",
            system="Linux 6.1",
            python="3.11.7",
            created="2026-01-02T03:04:05+00:00",
        ),
    )


def _artifact(place: Path, target: str, precision: Precision, variant: str, names: tuple[str, ...]) -> Artifact:
    for i, name in enumerate(names):
        path = place / target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{target} {precision} {variant} {i}".encode() * 50)
    specs: tuple[TensorSpec, ...] = (_IMAGE, _RESTORED)
    if precision == "int8":
        specs = tuple(s.with_dtype(*_BYTE, "NCHW" if target == "onnxruntime" else "NHWC") for s in specs)
    elif variant == "image":
        specs = tuple(s.with_dtype("uint8", None, None, "NHWC") for s in specs)
    elif target == "tflite":
        specs = tuple(s.with_dtype("float32", None, None, "NHWC") for s in specs)
    path = place / target / names[0].split("/")[0]
    return Artifact(target, precision, path, digest(path), specs[:1], specs[1:], {target: "1.0"}, variant)


def _parity(artifact: Artifact, *, passed: bool) -> ParityReport | Skipped:
    if artifact.key == "onnxruntime/int8/ort":
        return Skipped(artifact.key, "this runtime was built without the format")
    int8 = artifact.precision == "int8"
    report = ParityReport(
        passed=True,
        psnr_db=71.93 if int8 else 118.4,
        max_abs=3.0 if int8 else 0.0004,
        mean_lsb=0.0042 if int8 else 0.00002,
        exact_share=0.9961 if int8 else 1.0,
        method="reference-evaluated" if artifact.target == "coreml" else f"ran on {artifact.target}",
        reference="QDQ reference" if int8 else "PyTorch fp32",
        basis="8-bit pictures" if int8 else "real values",
        tolerance=Tolerance("made up", max_abs=25.0, mean_lsb=0.5, min_psnr_db=48.1),
    )
    if passed:
        return report
    failures = ("PSNR 31.02 dB, expected at least 48.1",)
    return replace(report, passed=False, psnr_db=31.02, max_abs=97.0, mean_lsb=3.1, exact_share=0.2, failures=failures)


def _latency(median_ms: float, *, baseline: bool = False) -> LatencyCell:
    if not median_ms:
        return Skipped("latency", "Core ML runs on macOS only")
    samples = [float(v) for v in np.round(median_ms * np.linspace(0.93, 1.09, 30), 4)]
    ratio = None if baseline else Ratio("pytorch", median_ms / 441, median_ms / 441 * 0.98, median_ms / 441 * 1.03)
    runtime = "torch" if baseline else "a runtime"
    return latency_report(samples, runtime=runtime, warmup=3, runs_per_round=3, ratio=ratio, cpu_ratio=ratio)


def _goldens(place: Path, height: int, width: int) -> tuple[GoldenRecord, ...]:
    """A part of scikit-image's astronaut (NASA, public domain), its enlargement, and that with small errors."""
    photo = Image.fromarray(data.astronaut())
    source = photo.resize((width, height), Image.Resampling.BICUBIC, box=(100, 20, 340, 200))
    large = np.asarray(source.resize((width * SCALE, height * SCALE), Image.Resampling.LANCZOS))
    noise = np.random.default_rng(3).integers(-1, 2, large.shape)
    pictures = {
        "input": np.asarray(source),
        "float": large,
        "int8": np.clip(large.astype(np.int16) + noise, 0, 255).astype(np.uint8),
    }
    for role, pixels in pictures.items():
        (place / "goldens").mkdir(exist_ok=True)
        save_png(place / f"goldens/{role}.png", pixels)
    protocol = "RGB, no border, 8 bit"
    tolerances = {"tflite/int8": Tolerance("made up", min_psnr_db=48.1)}
    return tuple(
        GoldenRecord(
            name=role,
            path=f"goldens/{role}.png",
            sha256=digest(place / f"goldens/{role}.png"),
            role=role,  # type: ignore[arg-type]  # the keys of the dictionary above
            protocol="" if role == "input" else protocol,
            tolerances=tolerances if role == "int8" else {},
        )
        for role in pictures
    )


def _quality(subject: str, value: float, change: float | None) -> QualityRecord:
    return QualityRecord(
        subject=subject,
        data="Set5",
        images=5,
        metric="PSNR",
        protocol="RGB, border 3, clipped and rounded to 8 bit",
        unit="dB",
        value=value,
        change=change,
        passed=None if change is None else True,
    )

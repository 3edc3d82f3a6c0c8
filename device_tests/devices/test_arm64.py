"""int8 files on emulated Arm processors: the same pixels as on x86, bit for bit, unless a network is named below."""

from __future__ import annotations

import platform
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearport.base import Artifact, Skipped
from clearport.errors import BadInput
from clearport.models import weights
from clearport.protocols import no_progress
from clearport.quantize.flow import QuantizeOptions
from clearport.registry import DEVICES, NETWORKS
from clearport.runtime.devices.device import Job, Row, Settings, SimulatedReport
from clearport.runtime.devices.qemu.arm64 import userland
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.latency.record import LatencyPlan
from clearport.runtime.worker.worker import Worker

from ..zoo import zoo

PROCESSORS = ("cortex-a53", "cortex-a76")
RUNNERS = {"tflite": "litert", "onnxruntime": "onnxruntime"}
BUNDLED = [n for n in NETWORKS.names() if weights.bundled_path(NETWORKS.get(n), NETWORKS.get(n).default_scale).exists()]
QUICK = {("ncnet", "cortex-a76")}
"""What every run of the tests compares; the others, and the processor without dot products, wait for ``make test-all``:
starting Python there takes seconds."""

FLOAT_PARTS = (0.004, 1)
INEXACT = {
    ("iagc", "onnxruntime"): (0.3, 10),
    ("ddn", "onnxruntime"): FLOAT_PARTS,
    ("quasisparse", "onnxruntime"): FLOAT_PARTS,
    ("snetvnet", "onnxruntime"): FLOAT_PARTS,
}
"""Network and target -> the mean and largest difference in 8-bit levels that are allowed, on noise.

IAGC averages whole channels and multiplies the picture by what comes of them. ONNX Runtime sums those averages in
float, in another order on Arm: they differ by 1e-7 of their size, one lies at an edge of its int8 steps, and the step
moves the whole picture (measured: mean 0.14, largest 7; without optimizations the same). LiteRT averages in integers.

It also rescales sums and resizes in float: on Arm one or two of some 50,000 sums, and 5 of 8,192 resized values, were
another int8 step (measured on the picture: mean up to 0.002, largest 1).
"""

SLOW = Settings(timeout_s=280.0)
"""Starting Python takes an emulated processor seconds, and on a busy machine a minute."""


@pytest.fixture(scope="module", autouse=True)
def _there() -> None:
    if platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip("the comparison is with x86")
    try:
        userland()
    except BadInput as error:
        pytest.skip(str(error))


def int8_files(name: str, folder: Path, photos: Path) -> list[Artifact]:
    """The int8 files of a bundled network. Ranges are not searched: what is compared does not depend on them."""
    with pytest.MonkeyPatch.context() as patch:
        simple = partial(QuantizeOptions, equalization=(0.0,), search=False, compensate=False)
        patch.setattr("clearport.pipeline.int8.QuantizeOptions", simple)
        options: dict[str, Any] = {"targets": tuple(RUNNERS), "precisions": ("int8",), "calibration": photos}
        bundle = zoo.exported(name, folder, **options)
    found = [bundle.artifact(record) for record in bundle.artifacts if record.variant != "ort"]  # the same kernels
    assert {artifact.target for artifact in found} == set(RUNNERS)
    return found


def jobs_of(artifacts: list[Artifact]) -> list[Job]:
    """Noise of a fixed seed, which meets more values than a picture does."""
    random = np.random.default_rng(0)
    return [Job(a, "cpu", {a.inputs[0].name: noise(random, a)}) for a in artifacts]


def noise(random: np.random.Generator, artifact: Artifact) -> np.ndarray[Any, Any]:
    spec = artifact.inputs[0]
    shape = [int(n) for n in spec.shape]
    return random.integers(0, 256, shape, np.uint8).view(spec.dtype)


def emulated(processor: str, jobs: list[Job], settings: Settings = SLOW) -> list[Row]:
    with DEVICES.get("qemu").open(f"qemu:{processor}", settings) as session:
        assert session.conditions() == Conditions()
        return list(session.measure(jobs, LatencyPlan(), no_progress))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "processor"),
    [
        pytest.param(name, processor, marks=[pytest.mark.slow] * ((name, processor) not in QUICK))
        for name in BUNDLED
        for processor in PROCESSORS
    ],
)
def test_int8_on_arm_is_int8_on_x86(name: str, processor: str, tmp_path: Path, few_photos: Path) -> None:
    jobs = jobs_of(int8_files(name, tmp_path, few_photos))
    here = {}
    for job in jobs:
        with Worker(RUNNERS[job.artifact.target], job.artifact.path) as worker:
            here[job.name] = worker.run(job.inputs)
    for row, job in zip(emulated(processor, jobs), jobs, strict=True):
        assert isinstance(row.cell, SimulatedReport), row.cell
        assert (row.device, row.cell.unit_ran) == (f"qemu:{processor}", "cpu")
        compare(row, here[job.name], INEXACT.get((name, job.artifact.target), (0.0, 0)))


def compare(row: Row, expected: dict[str, Any], limits: tuple[float, int]) -> None:
    assert set(row.outputs) == set(expected)
    for key, levels in expected.items():
        difference = np.abs(row.outputs[key].astype(int) - levels.astype(int))
        print(f"{row.key}: mean {difference.mean():.4f}, largest {difference.max()}")
        assert difference.mean() <= limits[0], row.key
        assert difference.max() <= limits[1], row.key


def test_what_cannot_run_there_says_why(tmp_path: Path, few_photos: Path) -> None:
    files = int8_files("ncnet", tmp_path, few_photos)
    gpu = Job(files[0], "gpu", {})
    broken = [Job(a, "cpu", {"nobody": np.zeros(1)}) for a in files if a.target == "tflite"]
    rows = emulated("cortex-a53", [gpu, *broken])
    reasons = [row.cell.reason for row in rows if isinstance(row.cell, Skipped)]
    assert reasons[0] == "QEMU emulates a processor, not a gpu"
    assert "the file" in reasons[1]


def test_an_unknown_processor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="qemu:cortex-a53, qemu:cortex-a76"):
        DEVICES.get("qemu").open("qemu:max", Settings())


def test_the_devices_are_listed_with_their_parts() -> None:
    found = {entry.address: entry for entry in DEVICES.get("qemu").found()}
    assert set(found) == {f"qemu:{name}" for name in PROCESSORS}
    assert all(
        entry.obstacle is None and {"numpy", "onnxruntime", "qemu"} <= set(entry.parts) for entry in found.values()
    )

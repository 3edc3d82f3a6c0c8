"""Rockchip's NPUs by chip: converts files with Rockchip's toolkit, and checks outputs in its simulator.

    clearport bench BUNDLE --device rknn:rk3588

Nothing is timed: the simulator's time is not the chip's. The toolkit needs a Python of its own (``rknn.toolkit``) and
is never imported here. Files are rewritten to a form that it supports (``rknn.form``), and ONNX Runtime proves that the
outputs are identical. int8 files keep clearport's scales, fp32 files run in float16. ``Settings.keep`` keeps the
``.rknn`` file, which an app on that chip loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Skipped
from clearport.disk.files import copy_file
from clearport.disk.leftovers import Scratch
from clearport.errors import BadInput, CheckFailed, RuntimeFailure
from clearport.protocols import Progress
from clearport.runtime.devices.device import Cell, Device, Found, Job, Row, Settings, SimulatedReport
from clearport.runtime.devices.rknn import toolkit as rknn_toolkit
from clearport.runtime.devices.rknn.form import OPSET, in_its_form
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.latency.record import LatencyPlan

RUNNER = "rknn"
PLUGIN = Path(__file__).with_name("worker.py")
_TOLD = ("partitions", "executed_precision", "left_to_cpu", "memory_kib", "optimization_level")


class RknnSession:
    """A chip; see ``clearport.runtime.devices.device.DeviceSession``."""

    def __init__(self, address: str, chip: str, python: str, settings: Settings, folder: Path) -> None:
        self._address, self._chip, self._python = address, chip, python
        self._settings, self._folder = settings, folder

    def facts(self) -> Mapping[str, Any]:
        return {"chip": self._chip, "title": f"Rockchip {rknn_toolkit.CHIPS[self._chip]}"}

    def conditions(self) -> Conditions:
        return Conditions()

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Convert and simulate every ONNX file; nothing is timed, so ``plan`` is ignored."""
        for number, job in enumerate(jobs):
            progress(f"simulating {job.name} on an {self._chip.upper()}", number, len(jobs))
            cell, outputs = self._cell(job, self._folder / str(number))
            yield Row(self._address, job.name, job.unit, RUNNER, cell, outputs)
        progress("simulated", len(jobs), len(jobs))

    def _cell(self, job: Job, folder: Path) -> tuple[Cell, Mapping[str, Array]]:
        what = f"{job.name} on {self._address}"
        if job.unit != "npu":
            return Skipped(what, f"a Rockchip NPU is an npu, not a {job.unit}"), {}
        if job.artifact.target != "onnxruntime" or job.artifact.path.suffix != ".onnx":
            return Skipped(what, "Rockchip's toolkit requires .onnx files"), {}
        if any(spec.dynamic for spec in job.artifact.inputs):
            return Skipped(what, "the toolkit needs a fixed size: export with --size HEIGHTxWIDTH"), {}
        try:
            return self._simulate(job, folder)
        except (BadInput, CheckFailed, RuntimeFailure) as error:
            return Skipped(what, refusal(str(error))), {}

    def _simulate(self, job: Job, folder: Path) -> tuple[Cell, Mapping[str, Array]]:
        form, facts = self._form(job, folder)
        options: dict[str, Any] = {"chip": self._chip}
        keep, made = self._settings.keep, folder / f"{job.artifact.path.stem}_{self._chip}.rknn"
        if keep is not None:
            options["keep"] = str(made)
        with Worker(
            RUNNER,
            form,
            timeout_s=self._settings.timeout_s,
            options=options,
            python=self._python,
            plugin=PLUGIN,
        ) as worker:
            outputs = worker.run(job.inputs)
            found = worker.facts()
        if keep is not None:
            kept = keep.absolute() / made.name
            copy_file(made, kept)
            facts["kept"] = str(kept)
        report = SimulatedReport(
            kind="simulated",
            runtime=RUNNER,
            runtime_versions=found["versions"],
            why=str(found["emulated"]),
            unit_asked=job.unit,
            unit_ran=found["unit"],
            operators_per_unit=found["operators_per_unit"],
            facts={key: found[key] for key in _TOLD} | facts,
        )
        return report, outputs

    def _form(self, job: Job, folder: Path) -> tuple[Path, dict[str, Any]]:
        """The file in the toolkit's form, and the proof that ONNX Runtime without fusions computes the same outputs.

        Raises:
            CheckFailed: the outputs differ.
        """
        import onnx

        folder.mkdir(parents=True)
        path = folder / job.artifact.path.name
        model = onnx.load(job.artifact.path)
        expected, version = self._evaluated(job.artifact.path, job)
        proof = f"bit-identical output to the file in the bundle, on ONNX Runtime {version}"
        for cut in (True, False):  # without the cut if this picture reaches the lowest level
            form = in_its_form(model, cut=cut)
            onnx.save(form.model, path)
            given, _ = self._evaluated(path, job)
            if all(np.array_equal(a, b) for a, b in zip(expected, given, strict=True)):
                return path, {"opset": OPSET, "lowest_level_cut": list(form.cut), "form_proof": proof}
        raise CheckFailed(f"{job.artifact.path}: in the toolkit's form its output in ONNX Runtime differs")

    def _evaluated(self, path: Path, job: Job) -> tuple[list[Array], str]:
        timeout_s = self._settings.timeout_s
        with Worker("onnxruntime", path, timeout_s=timeout_s, options={"optimize": False}) as worker:
            return list(worker.run(job.inputs).values()), worker.facts()["versions"]["onnxruntime"]


def refusal(message: str) -> str:
    """The worker's error message without the toolkit's tracebacks: its first line, and the toolkit's errors."""
    first, *quoted = message.splitlines()
    errors = [line.removeprefix("  | ").strip() for line in quoted if line.startswith("  | E RKNN")]
    return " | ".join((first, *errors))


class Rknn:
    """See ``clearport.runtime.devices.device.Device``."""

    name = rknn_toolkit.FAMILY
    title = "Rockchip NPUs (converted by Rockchip's toolkit and simulated)"

    def found(self) -> Sequence[Found]:
        there = rknn_toolkit.environment()
        if there.obstacle is not None:
            names = ", ".join(chip.upper() for chip in rknn_toolkit.CHIPS)
            return [Found(f"{self.name}:rk3588", f"Rockchip NPU ({names})", ("npu",), {}, there.obstacle)]
        parts = {rknn_toolkit.PACKAGE: there.version}
        return [
            Found(f"{self.name}:{chip}", f"Rockchip {title}", ("npu",), parts)
            for chip, title in rknn_toolkit.CHIPS.items()
        ]

    def check(self, address: str, settings: Settings) -> None:
        del settings
        rknn_toolkit.chip(address)

    @contextmanager
    def open(self, address: str, settings: Settings) -> Iterator[RknnSession]:
        chip = rknn_toolkit.chip(address)
        there = rknn_toolkit.environment()
        if there.obstacle is not None:
            raise BadInput(f"{address}: {there.obstacle}")
        with Scratch("rknn") as folder:
            yield RknnSession(address, chip, there.python, settings, folder)


DEVICE: Device = Rknn()

"""Arm Ethos-U: estimates for int8 TFLite files by Arm's compiler Vela. Nothing runs.

    clearport bench BUNDLE --device ethos-u:u85-1024

Addresses and assumed memories: ``ethosu.chips``. Before compilation, operators that Vela does not support are replaced
by equivalent ones (``ethosu.rewrite``), and LiteRT proves that the outputs are identical. ``Settings.keep`` keeps the
compiled ``_vela.tflite``, the file for the chip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Skipped
from clearport.disk.files import copy_file
from clearport.disk.leftovers import Scratch
from clearport.errors import BadInput, CheckFailed, NotInstalled, RuntimeFailure
from clearport.protocols import Progress
from clearport.registry import installed_versions, missing
from clearport.runtime.devices.device import Cell, Device, Found, Job, Row, Settings
from clearport.runtime.devices.ethosu import chips as vela_chips
from clearport.runtime.devices.ethosu.compile import EXTRA, PACKAGE
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.runtime.devices.device import EstimateReport
    from clearport.runtime.devices.ethosu.flow import Choice
    from clearport.runtime.latency.record import LatencyPlan

RUNNER = "vela"


class EthosUSession:
    """A chip; see ``clearport.runtime.devices.device.DeviceSession``."""

    def __init__(self, address: str, chip: vela_chips.Chip, settings: Settings, folder: Path) -> None:
        self._address, self._chip, self._settings, self._folder = address, chip, settings, folder

    def facts(self) -> Mapping[str, Any]:
        return {
            "chip": self._chip.title,
            "system_config": self._chip.system,
            "memory_mode": self._chip.memory,
            "config_file": self._chip.config,
            "host": self._chip.host.name,
        }

    def conditions(self) -> Conditions:
        return Conditions()

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Estimate every int8 TFLite file; nothing is timed, so ``plan`` is ignored."""
        for number, job in enumerate(jobs):
            progress(f"compiling {job.name} for {self._chip.accelerator}", number, len(jobs))
            yield Row(self._address, job.name, job.unit, RUNNER, self._cell(job, self._folder / str(number)))
        progress("compiled", len(jobs), len(jobs))

    def _cell(self, job: Job, folder: Path) -> Cell:
        what = f"{job.name} on {self._address}"
        if job.unit != "npu":
            return Skipped(what, f"an Ethos-U is an npu, not a {job.unit}")
        if (job.artifact.target, job.artifact.precision) != ("tflite", "int8"):
            return Skipped(what, "Vela compiles int8 TFLite files")
        try:
            return self._estimate(job, folder)
        except (BadInput, CheckFailed, RuntimeFailure) as error:
            return Skipped(what, str(error))

    def _estimate(self, job: Job, folder: Path) -> EstimateReport:
        from clearport.runtime.devices.ethosu.flow import compile_best

        choice = compile_best(job.artifact.path, self._chip, folder, self._settings.timeout_s)
        facts = {**choice.report.facts, "forms_tried": choice.tried, **self._proof(job, choice)}
        if self._settings.keep is not None:
            kept = self._settings.keep / f"{job.artifact.path.stem}_{self._chip.name}_vela.tflite"
            copy_file(choice.compiled.file, kept)
            facts["kept"] = str(kept)
        return replace(choice.report, facts=facts)

    def _proof(self, job: Job, choice: Choice) -> dict[str, str]:
        """Prove in LiteRT that the file and its compiled form have identical outputs.

        Raises:
            CheckFailed: the outputs differ.
        """
        if choice.form == "as it is" or not job.inputs:
            return {}
        results = []
        for path in (job.artifact.path, choice.given):
            with Worker("litert", path, timeout_s=self._settings.timeout_s) as worker:
                results.append(list(worker.run(job.inputs).values()))
        if not all(np.array_equal(a, b) for a, b in zip(*results, strict=True)):
            raise CheckFailed(f"{job.artifact.path}: rewritten as {choice.form!r}, its output in LiteRT differs")
        version = installed_versions(("ai-edge-litert",))["ai-edge-litert"]
        return {"form_proof": f"bit-identical output to the file in the bundle, on LiteRT {version}"}


class EthosU:
    """See ``clearport.runtime.devices.device.Device``."""

    name = vela_chips.FAMILY
    title = "Arm Ethos-U, estimated by its compiler Vela"

    def found(self) -> Sequence[Found]:
        version = installed_versions((PACKAGE,))[PACKAGE]
        parts = {PACKAGE: version} if version else {}
        obstacle = None if version else str(NotInstalled(PACKAGE, EXTRA))
        return [
            Found(f"{self.name}:{chip.name}", chip.title, ("npu",), parts, obstacle)
            for chip in vela_chips.CHIPS.values()
        ]

    def check(self, address: str, settings: Settings) -> None:
        del settings
        vela_chips.parse(address)

    @contextmanager
    def open(self, address: str, settings: Settings) -> Iterator[EthosUSession]:
        chip = vela_chips.parse(address)
        if missing((PACKAGE,)):
            raise NotInstalled(PACKAGE, EXTRA)
        with Scratch("vela") as folder:
            yield EthosUSession(address, chip, settings, folder)


DEVICE: Device = EthosU()

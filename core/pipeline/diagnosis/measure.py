"""The reference of a diagnosis: every int8 tensor with and without rounding, and its effect on the output."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.bundle.diagnosis import Layer
from clearport.operators import table
from clearport.pipeline.isolated.workers import REFERENCE_OPTIONS, TIMEOUT_S
from clearport.runtime import pixels
from clearport.runtime.parity import ratio_db
from clearport.runtime.steps import taps
from clearport.runtime.steps.reference import SWITCH
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array
    from clearport.graph.feeds import Sample
    from clearport.pipeline.diagnosis.steps import Steps

LOSS_VALUES = 2_000_000_000
"""Maximum number of computed values for rounding tensors one by one, over all runs, one per tensor."""


@dataclass(frozen=True)
class Loss:
    """Effect of rounding a tensor on the output: its share of the noise, and the output's PSNR gain without it (dB)."""

    share: float
    gain_db: float


@dataclass
class Truth:
    """The reference on one sample; use it as a context manager."""

    steps: Steps
    sample: Sample
    threads: int

    def __enter__(self) -> Truth:
        self._folder = tempfile.TemporaryDirectory()
        self._open: list[Worker] = []
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._open:
            worker.close()
        self._folder.cleanup()

    @property
    def inputs(self) -> dict[str, Array]:
        """The sample as feeds of the reference."""
        return pixels.tensors(self.sample, self.steps.contract[0])

    def levels(self, names: Sequence[str]) -> dict[str, Array]:
        """The reference's own levels of tensors."""
        grids = self.steps.reference.grids
        asked = {name: (grids[name].scale, grids[name].zero_point) for name in names}
        with self._worker(self.steps.path, {**REFERENCE_OPTIONS, "taps": asked}) as worker:
            found = worker.run(self.inputs)
        return {name: found[f"{taps.PREFIX}{name}"] for name in names}

    def unrounded(self, names: Sequence[str]) -> dict[str, Array]:
        """Tensors of the network without rounding, as real values."""
        path = Path(self._folder.name, "unrounded.onnx")
        outs = self.steps.reference.write_unrounded(path, names)
        with self._worker(path, REFERENCE_OPTIONS) as worker:
            found = worker.run(self.inputs)
        return {name: found[out] for name, out in outs.items()}

    def losses(self, count: int) -> dict[str, Loss]:
        """Effect on the outputs of rounding each tensor separately; empty if that would take too long.

        ``count`` is the number of values of all tensors together.
        """
        path = Path(self._folder.name, "switched.onnx")
        names = self.steps.reference.write_switched(path)
        own = [name for name in names if not self._moved(name)]
        if count * len(names) > LOSS_VALUES:
            return {}
        off = {SWITCH.format(name): np.array(False) for name in names}
        with self._worker(path, REFERENCE_OPTIONS) as worker:
            exact = worker.run({**self.inputs, **off})
            noise = {}
            for name in own:
                noise[name] = _noise(worker.run({**self.inputs, **off, SWITCH.format(name): np.array(True)}), exact)
        total = sum(noise.values())
        return {name: Loss(each / total, _gain(each / total)) for name, each in noise.items()} if total else {}

    def _moved(self, name: str) -> bool:
        """Whether a step only moves values that are on its grid already, without rounding."""
        reference, records = self.steps.reference, table.operators()
        moves = all(op in records and records[op].moves_data for op in reference.operators(name, reference.grids))
        grids = {reference.grids[source] for source in reference.sources(name, reference.grids)}
        return moves and grids == {reference.grids[name]}

    def _worker(self, path: Path, options: Mapping[str, object]) -> Worker:
        return Worker("onnxruntime", path, self.threads, TIMEOUT_S, options)


def _noise(given: Mapping[str, Array], exact: Mapping[str, Array]) -> float:
    return float(sum(np.mean((given[name] - exact[name]).astype(np.float64) ** 2) for name in exact))


def _gain(share: float) -> float:
    """Reduction of noise in dB when a share of it is removed."""
    return round(min(99.0, max(0.0, -10 * math.log10(max(1 - share, 1e-9)))), 3)


def layer_of(
    name: str, operators: tuple[str, ...], levels: Array, exact: Array, grid: tuple[float, int], loss: Loss | None
) -> Layer:
    """The record of a layer, without runtimes."""
    scale, zero = grid
    axes = tuple(axis for axis in range(levels.ndim) if axis != 1)
    flat = levels.min(axis=axes) == levels.max(axis=axes) if levels.ndim > 1 else np.zeros(0, bool)
    beyond = np.mean(levels == 255) + (np.mean(levels == 0) if zero else 0.0)
    return Layer(
        name=name,
        operators=operators,
        shape=tuple(levels.shape),
        low=float((int(levels.min()) - zero) * scale),
        high=float((int(levels.max()) - zero) * scale),
        clipped=float(beyond),
        dead=tuple(int(channel) for channel in np.flatnonzero(flat)),
        sqnr_db=sqnr(levels, exact, grid),
        loss_share=None if loss is None else loss.share,
        gain_db=None if loss is None else loss.gain_db,
    )


def sqnr(levels: Array, exact: Array, grid: tuple[float, int]) -> float | None:
    """SNR of levels against real values, in dB; None if there is no noise."""
    real = (levels.astype(np.float32) - np.float32(grid[1])) * np.float32(grid[0])
    noise = float(np.mean((real - exact).astype(np.float64) ** 2))
    return round(ratio_db(float(np.var(exact.astype(np.float64))), noise), 2) if noise else None

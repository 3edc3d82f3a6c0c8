"""Core AI by the runtime that Apple ships with ``coreai-core``: on Linux its CPU, on macOS 27 that of the system.

Options:
    unit: macOS only: what the system may use: ``all`` (default), ``cpu``, ``gpu`` or ``npu`` (the Neural Engine).
    taps: int8 tensors to show (``steps.taps``), off macOS.

Off macOS it proves what a file computes; it says nothing of the GPU and the Neural Engine, and its times are those of
no device.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.errors import BadInput, RuntimeFailure
from clearport.export.coreai import beta
from clearport.runtime.steps import taps as tapped
from clearport.runtime.steps.taps import PREFIX, unsigned

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.steps.taps import Taps

_ON_MACOS = sys.platform == "darwin"
_UNITS = {"cpu": "cpu", "gpu": "gpu", "npu": "neural_engine"}
"""clearport's words for units -> those of ``ComputeUnitKind``."""


class CoreAISession:
    """A loaded model. ``bind`` and ``invoke`` leave the copies out of a measurement. ``taps`` are tensors to show."""

    def __init__(self, path: Path, unit: str, taps: Taps | None = None) -> None:
        from coreai.authoring import AIModelAsset

        self._unit = unit
        self._loop = asyncio.new_event_loop()
        self._open = AsyncExitStack()
        asset = AIModelAsset.load(path)
        self._taps = taps or {}
        self._seen: dict[str, Array] = {}
        if self._taps:
            self._folder = tempfile.TemporaryDirectory(suffix=".aimodelx")
            watched = beta.watched(asset, Path(self._folder.name), self._taps, self._seen.__setitem__)
            self._function, self._model = self._loop.run_until_complete(watched)
        else:
            self._model = self._loop.run_until_complete(self._open.enter_async_context(asset.executable(_choice(unit))))
            self._function = self._model.load_function("main")
        self._bound: dict[str, Any] = {}
        self._metadata = beta.metadata(path)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference; tensors are as the file has them.

        Raises:
            RuntimeFailure: an input is missing, or its type or shape is not one that the model declares.
        """
        self.bind(inputs)
        self._seen.clear()
        made = self._loop.run_until_complete(self._function(self._bound))
        return {
            **{name: np.array(value.numpy()) for name, value in made.items()},
            **{f"{PREFIX}{name}": unsigned(levels) for name, levels in self._seen.items()},
        }

    @property
    def shown(self) -> list[str]:
        """The tensors that ``run`` may return beside the outputs: a run tells which of them the program computes."""
        return list(self._taps)

    def bind(self, inputs: Mapping[str, Array]) -> None:
        """Convert inputs to what Core AI takes."""
        from coreai.runtime import NDArray

        absent = [name for name in self._function.desc.input_names if name not in inputs]
        if absent:
            raise RuntimeFailure(f"input {absent[0]!r} is missing; given: {', '.join(sorted(inputs)) or 'nothing'}")
        for name, array in inputs.items():
            _check(name, array, self._function.desc.input_descriptor(name))
        self._bound = {name: NDArray(np.ascontiguousarray(array)) for name, array in inputs.items()}

    def invoke(self) -> None:
        """One inference on what was bound."""
        self._loop.run_until_complete(self._function(self._bound))

    def facts(self) -> dict[str, Any]:
        """Where it ran, and the file's own facts."""
        return {"unit": "cpu" if not _ON_MACOS else self._unit, "metadata": self._metadata}


def _choice(unit: str) -> Any:
    """What macOS may use; None: whatever it wants."""
    if unit == "all" or not _ON_MACOS:
        return None
    from coreai.runtime import ComputeUnitKind, SpecializationOptions

    if unit == "cpu":
        return SpecializationOptions.cpu_only()
    return SpecializationOptions.from_preferred_compute_unit_kind(getattr(ComputeUnitKind, _UNITS[unit])())


def _check(name: str, array: Array, declared: Any) -> None:
    fits = len(array.shape) == len(declared.shape) and all(
        want is None or want < 0 or want == have for want, have in zip(declared.shape, array.shape, strict=True)
    )
    if not fits or str(array.dtype) != declared.dtype:
        raise RuntimeFailure(
            f"input {name!r} is {array.dtype} {list(array.shape)}: the model takes {declared.dtype} {declared.shape}"
        )


class CoreAIRunner:
    """The runner; see the module."""

    name = "coreai"
    title = "Core AI" if _ON_MACOS else "Core AI (Apple's runtime for Linux, CPU)"
    targets = ("coreai",)
    units = ("cpu", "gpu", "npu") if _ON_MACOS else ("cpu",)
    requires = (beta.PACKAGE,)
    measures_latency = _ON_MACOS
    most_pixels = None if _ON_MACOS else 128 * 128
    method = "ran on Core AI" if _ON_MACOS else "ran on Apple's Core AI runtime for Linux (CPU)"

    def hides(self, path: Path) -> str | None:
        """Why tensors inside a file cannot be read; None: they can."""
        del path
        return "clearport reads them by the runtime for Linux only" if _ON_MACOS else None

    def unavailable(self) -> str | None:
        """Why this machine cannot run it, or None."""
        return beta.unusable()

    def prepare(self) -> None:
        """Import what ``open`` needs, so that its time is that of the model alone."""
        from coreai import authoring

        del authoring

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> CoreAISession:
        """Check the file's hash, and load it; Core AI chooses its own threads.

        Raises:
            RuntimeFailure: the file is damaged.
            BadInput: ``unit`` is not one of Core AI's.
        """
        del threads
        unit = options.get("unit", "all")
        if unit not in {"all", *self.units}:
            raise BadInput(f"unit {unit!r}: Core AI supports {', '.join(self.units)} here")
        wrong = beta.damage(path)
        if wrong is not None:
            raise RuntimeFailure(f"{path}: {wrong}")
        return CoreAISession(path, unit, tapped.of(options))


RUNNER = CoreAIRunner()

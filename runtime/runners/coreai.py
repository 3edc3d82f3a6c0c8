"""Core AI through the runtime in Apple's ``coreai-core``: the CPU on Linux, the system's units on macOS 27.

Options:
    unit: the units that macOS may use: ``all`` (default), ``cpu``, ``gpu`` or ``npu`` (the Neural Engine).
    taps: int8 tensors to output additionally (``steps.taps``); not on macOS.

Off macOS it proves a file's outputs. It is no evidence for the GPU or the Neural Engine, and its latency is not that of
any device.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import weakref
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
"""clearport's unit names -> members of ``ComputeUnitKind``."""


class CoreAISession:
    """A loaded model. ``bind`` and ``invoke`` exclude copies from a measurement. ``taps``: tensors to output
    additionally.
    """

    def __init__(self, path: Path, unit: str, taps: Taps | None = None) -> None:
        from coreai.authoring import AIModelAsset

        self._unit = unit
        self._loop = asyncio.new_event_loop()
        self._open = AsyncExitStack()
        weakref.finalize(self, _close, self._loop, self._open)
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
        """One inference; tensors have the file's dtypes and layouts.

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
        """Tensors that ``run`` may return besides the outputs; a run returns those that the program computes."""
        return list(self._taps)

    def bind(self, inputs: Mapping[str, Array]) -> None:
        """Convert inputs to Core AI tensors."""
        from coreai.runtime import NDArray

        absent = [name for name in self._function.desc.input_names if name not in inputs]
        if absent:
            raise RuntimeFailure(f"input {absent[0]!r} is missing; given: {', '.join(sorted(inputs)) or 'nothing'}")
        for name, array in inputs.items():
            _check(name, array, self._function.desc.input_descriptor(name))
        self._bound = {name: NDArray(np.ascontiguousarray(array)) for name, array in inputs.items()}

    def invoke(self) -> None:
        """One inference on the bound inputs."""
        self._loop.run_until_complete(self._function(self._bound))

    def facts(self) -> dict[str, Any]:
        """The units that ran it, and properties of the file."""
        return {"unit": "cpu" if not _ON_MACOS else self._unit, "metadata": self._metadata}


def _close(loop: asyncio.AbstractEventLoop, opened: AsyncExitStack) -> None:
    """Remove the compiled program of a dropped session from disk."""
    loop.run_until_complete(opened.aclose())
    loop.close()


def _choice(unit: str) -> Any:
    """The units that macOS may use; None: no restriction."""
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
        """The reason that intermediate tensors cannot be read, or None."""
        del path
        return "only the Linux runtime can output them" if _ON_MACOS else None

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        return beta.unusable()

    def prepare(self) -> None:
        """Import what ``open`` needs, so that its time excludes imports."""
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

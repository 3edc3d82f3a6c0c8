"""Core AI through the runtime in Apple's ``coreai-core``: the CPU on Linux, the system's units on macOS 27.

Options:
    unit: the units that macOS may use: ``all`` (default), ``cpu``, ``gpu`` or ``npu`` (the Neural Engine).
    taps: int8 tensors to output additionally (``steps.taps``); not on macOS.

Of the image variant, macOS runs ``main``, with images; elsewhere, where there are no images, its function ``tensors``
is run on their pixels. Either way, pictures are uint8 (1, H, W, 3), RGB, here.

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
        self._pictures = beta.has_images(path)
        function = beta.TENSORS if self._pictures and not _ON_MACOS else beta.MAIN
        self._taps = taps or {}
        self._seen: dict[str, Array] = {}
        if self._taps:
            self._folder = tempfile.TemporaryDirectory(suffix=".aimodelx")
            watched = beta.watched(asset, function, Path(self._folder.name), self._taps, self._seen.__setitem__)
            self._function, self._model = self._loop.run_until_complete(watched)
        else:
            self._model = self._loop.run_until_complete(self._open.enter_async_context(asset.executable(_choice(unit))))
            self._function = self._model.load_function(function)
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
            **{name: _returned(value, pictures=self._pictures) for name, value in made.items()},
            **{f"{PREFIX}{name}": unsigned(levels) for name, levels in self._seen.items()},
        }

    @property
    def shown(self) -> list[str]:
        """Tensors that ``run`` may return besides the outputs; a run returns those that the program computes."""
        return list(self._taps)

    def bind(self, inputs: Mapping[str, Array]) -> None:
        """Convert inputs to Core AI tensors and images."""

        absent = [name for name in self._function.desc.input_names if name not in inputs]
        if absent:
            raise RuntimeFailure(f"input {absent[0]!r} is missing; given: {', '.join(sorted(inputs)) or 'nothing'}")
        self._bound = {name: self._given(name, array) for name, array in inputs.items()}

    def _given(self, name: str, array: Array) -> Any:
        """An input as Core AI has it."""
        from coreai.runtime import NDArray

        if self._pictures and _is_picture(array):
            if _ON_MACOS:
                from PIL import Image

                return Image.fromarray(array[0])
            array = np.concatenate((array[0, ..., ::-1], np.full_like(array[0, ..., :1], 255)), axis=2)
        _check(name, array, self._function.desc.input_descriptor(name))
        return NDArray(np.ascontiguousarray(array))

    def invoke(self) -> None:
        """One inference on the bound inputs."""
        self._loop.run_until_complete(self._function(self._bound))

    def facts(self) -> dict[str, Any]:
        """The units that ran it, and properties of the file."""
        variant = beta.IMAGE if self._pictures else ""
        unit = self._unit if _ON_MACOS else "cpu"
        return {"unit": unit, "metadata": self._metadata, "method": RUNNER.method_of(variant)}


def _is_picture(array: Array) -> bool:
    """Whether an input is a picture of the image variant, uint8 (1, H, W, 3)."""
    return array.dtype == np.uint8 and array.ndim == 4 and array.shape[0] == 1 and array.shape[3] == 3


def _returned(value: Any, *, pictures: bool) -> Array:
    """An output as an array; images, and their pixels (H, W, 4) BGRA, as (1, H, W, 3) RGB."""
    if not hasattr(value, "numpy"):  # macOS returns images of PIL
        return np.array(value.convert("RGB"))[None]
    array = np.array(value.numpy())
    if pictures and array.dtype == np.uint8 and array.shape[2:] == (beta.IMAGE_CHANNELS,):
        return np.ascontiguousarray(array[None, ..., 2::-1])
    return array


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

    def method_of(self, variant: str) -> str:
        """``method`` for a variant: what was run of it."""
        if variant != beta.IMAGE or _ON_MACOS:
            return self.method
        return f"{self.method} by its function for pixels: {beta.NOT_RUN}"

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
            RuntimeFailure: the file is damaged, or another version of the package raised.
            BadInput: ``unit`` is not one of Core AI's.
        """
        del threads
        unit = options.get("unit", "all")
        if unit not in {"all", *self.units}:
            raise BadInput(f"unit {unit!r}: Core AI supports {', '.join(self.units)} here")
        wrong = beta.damage(path)
        if wrong is not None:
            raise RuntimeFailure(f"{path}: {wrong}")
        with beta.version_named():
            return CoreAISession(path, unit, tapped.of(options))


RUNNER = CoreAIRunner()

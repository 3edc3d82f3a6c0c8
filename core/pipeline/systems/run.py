"""Running a system on the user's inputs: pictures, clicks, noise."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size, TensorSpec
from clearport.bundle.system import System
from clearport.disk import ours
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput
from clearport.pictures.images import load_rgb
from clearport.pipeline.files.inputs import load_array, placed
from clearport.pipeline.files.outputs import Given, save_array
from clearport.pipeline.systems.parts import opened
from clearport.pipeline.systems.proof import spec_of
from clearport.programs.interpreter import choices, execute
from clearport.protocols import no_progress
from clearport.runtime import pixels
from clearport.runtime.tiling_png import save_strips

if TYPE_CHECKING:
    from clearport.base import Float32
    from clearport.programs.program import Input, Output, Program
    from clearport.protocols import Progress

_CLICK = re.compile(r"([+-]?)(\d{1,5}(?:\.\d+)?),(\d{1,5}(?:\.\d+)?)")


@dataclass(frozen=True)
class SystemRequest:
    """What to run; see ``clearport run --help``.

    ``inputs`` are pictures and arrays (``.npy``) in the order of the program's inputs, or ``NAME=FILE``; ``clicks`` are
    ``X,Y`` in pixels, with a leading minus for background; ``seed`` is the seed of the noise; ``settings`` are
    ``NAME=NUMBER``.
    """

    folder: Path
    inputs: tuple[str, ...]
    output: Path
    clicks: tuple[str, ...] = ()
    seed: int = 0
    settings: tuple[str, ...] = ()
    target: str = "tflite"
    precision: str = ""
    variant: str | None = None
    threads: int = 1


@dataclass(frozen=True)
class Ran:
    """The outputs, the total time, the number of runs and seconds of each part, and the system's notice."""

    output: Path
    outputs: tuple[Given, ...]
    seconds: float
    artifact: str
    method: str
    calls: Mapping[str, tuple[int, float]]
    notice: str = ""


def run_system(request: SystemRequest, progress: Progress = no_progress) -> Ran:
    """Run the program with the files of one target and precision, and write its outputs.

    Raises:
        BadInput: no such system, row, input or setting; a file was changed, or an output cannot be written.
        RuntimeFailure: a runtime failed on its file.
    """
    system = System.load(request.folder)
    row = system.row(request.target, request.precision, request.variant)
    program = system.record.program
    files = _assigned(program, request.inputs)
    settings = _settings(request.settings)
    choices(program, settings)
    where = _places(program.outputs, request.output)
    claims = [OutFile(path, "--output", "a file that clearport wrote", _ours(path)) for path in where.values()]
    with claimed(*claims, reads=(request.folder, *files.values())):
        system.check_files()
        inputs = _inputs(program, files, request)
        with opened(system, row.target, row.precision, row.variant, request.threads) as parts:
            began = time.monotonic()
            found = execute(program, parts, inputs, settings, lambda done, total: progress("rounds", done, total))
            seconds, method = time.monotonic() - began, parts.method
            calls = {name: (len(each), sum(each)) for name, each in parts.seconds.items()}
        for output in program.outputs:
            _check(output, found[output.name])  # check all of them before the first is written
        outputs = tuple(_save(output, found[output.name], where[output.name]) for output in program.outputs)
    return Ran(request.output, outputs, seconds, row.key, method, calls, system.record.notice)


def _settings(given: Sequence[str]) -> dict[str, int]:
    found = {}
    for each in given:
        name, _, number = each.partition("=")
        if not re.fullmatch(r"-?\d{1,9}", number):
            raise BadInput(f"--set {each}: expected NAME=NUMBER, as in squares=8")
        found[name] = int(number)
    return found


def _assigned(program: Program, given: Sequence[str]) -> dict[str, Path]:
    """Input -> file, in the program's order or by name; points and noise need none."""
    names = [each.name for each in program.inputs]
    ordered = [each.name for each in program.inputs if each.kind in {"picture", "values"}]
    told = ", ".join(f"{each.name} ({each.kind})" for each in program.inputs)
    return placed(given, names, ordered, f"{' '.join(given)}: one file too many: the inputs of this system are {told}")


def _inputs(program: Program, files: Mapping[str, Path], request: SystemRequest) -> dict[str, Float32]:
    found: dict[str, Float32] = {}
    generator = np.random.default_rng(request.seed)
    for each in program.inputs:
        if each.name in files:
            found[each.name] = _read(each, files[each.name])
        elif each.kind == "noise":
            found[each.name] = _noise(each, found, generator)
        elif each.kind == "points":
            found[each.name] = _points(request.clicks, found)
        elif each.default is None:
            raise BadInput(f"input {each.name!r} ({each.kind}) was not given{': ' if each.about else ''}{each.about}")
    if request.clicks and not any(each.kind == "points" for each in program.inputs):
        raise BadInput("--click: this system takes no clicks")
    return found


def _read(wanted: Input, path: Path) -> Float32:
    if wanted.kind == "picture" and path.suffix.lower() != ".npy":
        spec = TensorSpec(wanted.name, (1, 3, "H", "W"), value_range=(wanted.low, wanted.high))
        return pixels.to_tensor(load_rgb(path), spec)
    if path.suffix.lower() != ".npy":
        raise BadInput(f"{path}: input {wanted.name!r} is {wanted.kind}: give an array as .npy")
    array = load_array(path)
    if array.dtype.kind not in "fiu":
        raise BadInput(f"{path}: input {wanted.name!r} must be a numeric array; got {array.dtype}")
    return array.astype(np.float32)


def _noise(wanted: Input, found: Mapping[str, Float32], generator: np.random.Generator) -> Float32:
    free = [axis for axis in wanted.shape if not isinstance(axis, int)]
    if free:
        known = ", ".join(found) or "no other input"
        raise BadInput(f"input {wanted.name!r}: its size {free[0]} is dynamic: give it as an array (given: {known})")
    return generator.standard_normal([int(axis) for axis in wanted.shape], dtype=np.float32)


def _points(clicks: Sequence[str], found: Mapping[str, Float32]) -> Float32:
    """Points (N, 3) of clicks on the first picture."""
    if not clicks:
        raise BadInput("give at least one --click X,Y on the foreground (pixels from the top left)")
    picture = next((value for value in found.values() if value.ndim == 4), None)
    points = []
    for click in clicks:
        match = _CLICK.fullmatch(click.strip())
        if match is None:
            raise BadInput(f"--click {click}: expected X,Y in pixels for foreground, or -X,Y for background")
        x, y = float(match[2]), float(match[3])
        if picture is not None and not (x < picture.shape[3] and y < picture.shape[2]):
            raise BadInput(
                f"--click {click}: outside the picture, which is {picture.shape[3]}x{picture.shape[2]} pixels"
            )
        points.append((x, y, -1.0 if match[1] == "-" else 1.0))
    return np.array(points, np.float32)


def _places(outputs: Sequence[Output], output: Path) -> dict[str, Path]:
    """The file of each output: ``output`` for the first, files beside it for the others."""
    found = {}
    for number, each in enumerate(outputs):
        suffix = ".png" if each.kind == "picture" else ".npy"
        path = output if number == 0 else output.with_name(f"{output.stem}.{each.name}{suffix}")
        if path.suffix.lower() != suffix:
            raise BadInput(
                f"{output}: {each.name!r} is written as {suffix[1:].upper()}; give a name that ends in {suffix}"
            )
        found[each.name] = path
    return found


def _ours(path: Path) -> partial[bool] | type[bool]:
    return partial(ours.is_png, marked=True) if path.suffix.lower() == ".png" else ours.is_npy  # type: ignore[return-value]


def _check(output: Output, value: Float32) -> None:
    """Check that an output matches its declaration."""
    shape = "x".join(map(str, value.shape))
    if not value.size or not np.isfinite(value).all():
        what = "values that are not finite" if value.size else "no numbers"
        raise BadInput(f"output {output.name!r} ({shape}) holds {what}: the files or the program are damaged")
    if output.kind == "picture" and (value.ndim != 4 or value.shape[0] != 1 or value.shape[1] not in {1, 3, 4}):
        raise BadInput(f"output {output.name!r} is declared as a picture (1, 1, 3 or 4 channels, H, W), but is {shape}")


def _save(output: Output, value: Float32, path: Path) -> Given:
    if output.kind != "picture":
        save_array(path, value)
        words = f"{'x'.join(map(str, value.shape))}; from {value.min():.4g} to {value.max():.4g}"
        return Given(output.name, output.kind, path, words)
    picture = pixels.to_image(value, spec_of(output, value))
    height, width, channels = picture.shape
    save_strips(path, Size(height, width), [picture], channels)
    return Given(output.name, output.kind, path, f"{width}x{height}, {channels} channels", (height, width))

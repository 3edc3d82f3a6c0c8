"""The public Python interface, as ``clearport.<name>``: the commands, with values instead of tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clearport import given
from clearport.base import IODType, Prefer
from clearport.errors import BadInput
from clearport.protocols import no_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from clearport.bundle.folder import Bundle
    from clearport.models.training.options import Progress as TrainProgress
    from clearport.models.training.options import TrainOptions, TrainResult
    from clearport.pipeline.benching.values import BenchOutcome
    from clearport.pipeline.evaluation.limits import Limits
    from clearport.pipeline.evaluation.measured import MeasuredOutcome
    from clearport.pipeline.evaluation.rows import EvalOutcome
    from clearport.pipeline.run import Restored
    from clearport.protocols import Progress
    from clearport.quantize.trained.options import QatOptions
    from clearport.reports.junit import Check

    AnyPath = str | Path


def export(
    network: str | nn.Module,
    out: AnyPath,
    *,
    scale: int | None = None,
    size: str | None = None,
    targets: Sequence[str] = (),
    precisions: Sequence[str] = (),
    weights: AnyPath | None = None,
    knobs: Mapping[str, float] | None = None,
    calibration: AnyPath | None = None,
    contract: AnyPath | None = None,
    requantize: bool = False,
    io: IODType = "uint8",
    prefer: Prefer = "balanced",
    threads: int = 1,
    measure: bool = True,
    force: bool = False,
    cache: bool = True,
    progress: Progress = no_progress,
) -> Bundle:
    """Export a network to a verified bundle at ``out``; ``Bundle.passed`` says whether every check held.

    Args:
        network: a name of ``clearport list``, ``FILE.onnx``, ``FILE.pt2``, ``FILE.py:ATTRIBUTE``, or a module in
            eval mode; or a pair of a module and a tuple of example inputs, if it has several.
        out: folder of the bundle; it appears only when it is complete.
        scale: upscaling factor; None for the network's default.
        size: input size ``HEIGHTxWIDTH`` in pixels, or ``dynamic``; None: the network's own, or else 360x640.
        targets: names such as ``tflite``; empty for all.
        precisions: any of ``fp32``, ``fp16``, ``int8``, ``int8-weights`` (empty: all of these), ``int8a16``.
        weights: safetensors of ours, or a published file that the network has an importer for; None: the bundled ones.
        knobs: settings of the network that are fixed at export, such as ``{"dehaze": 0.5}``.
        calibration: folder of photos for int8 ranges; None: bundled photos.
        contract: inputs and outputs of your own network (TOML), as printed by ``clearport inspect``.
        requantize: convert an already quantized ONNX file back to float first.
        io: input and output dtype of int8 artifacts.
        prefer: ``quality`` keeps more layers of int8 artifacts in float where that helps, ``speed`` as few as possible.
        threads: CPU threads of every runtime.
        measure: whether to measure latency.
        force: replace a bundle that is already at ``out``.
        cache: reuse the quantized graph of an earlier export of the same network and photos (``CLEARPORT_CACHE``).

    Raises:
        BadInput: the request cannot be carried out; nothing was written.
        CheckFailed: the exported graph differs from the network; nothing was written.
    """
    from clearport.pipeline.export import export_bundle
    from clearport.pipeline.sources.request import ExportRequest

    request = ExportRequest(
        network=str(given.path("network", network)) if isinstance(network, str | Path) else network,
        out=given.path("out", out),
        scale=None if scale is None else given.count("scale", scale),
        size=given.size(size),
        targets=given.names("targets", targets),
        precisions=given.names("precisions", precisions),
        weights=given.path_or_none("weights", weights),
        knobs=given.settings("knobs", knobs),
        calibration=given.path_or_none("calibration", calibration),
        contract=given.path_or_none("contract", contract),
        requantize=requantize,
        io=io,
        prefer=prefer,
        threads=given.threads(threads),
        measure=measure,
        force=force,
        cache=cache,
    )
    return export_bundle(request, progress)


def load_bundle(folder: AnyPath) -> Bundle:
    """Read the manifest of a bundle.

    Raises:
        BadInput: there is no bundle, or its manifest cannot be used.
    """
    from clearport.bundle.folder import Bundle

    return Bundle.load(given.path("folder", folder))


def verify(
    folder: AnyPath, *, threads: int = 1, runtimes: Sequence[str] = (), progress: Progress = no_progress
) -> list[Check]:
    """Check a bundle or a system from disk: checksums, then every artifact on the golden pictures.

    A check that cannot run here has ``passed`` None and a reason. ``runtimes`` names other runtime versions, such as
    ``onnxruntime-1.17``, each installed in its own environment.

    Raises:
        BadInput: there is no bundle, or a runtime is not set up.
    """
    from clearport.pipeline.systems.verify import verify_any

    place, others = given.path("folder", folder), given.names("runtimes", runtimes)
    return verify_any(place, progress, given.threads(threads), runtimes=others)


def evaluate(
    folder: AnyPath,
    data: AnyPath,
    *,
    max_drop: float | None = None,
    min_psnr: float | None = None,
    limits: Limits | None = None,
    targets: Sequence[str] = (),
    precisions: Sequence[str] = (),
    held_back: bool = False,
    require: Sequence[str] = (),
    progress: Progress = no_progress,
) -> EvalOutcome | MeasuredOutcome:
    """PSNR and SSIM of every artifact on pairs of pictures, and its change to PyTorch fp32.

    Tasks with other figures (high dynamic range) give a ``MeasuredOutcome`` with those.

    Args:
        folder: the bundle.
        data: a folder with ``*_LR`` and ``*_HR`` files, with two folders such as ``low`` and ``high``, or of another
            layout of ``clearport train``.
        max_drop: largest accepted loss against PyTorch fp32, in dB RGB.
        min_psnr: smallest accepted PSNR, in dB RGB.
        limits: more gates (``clearport.pipeline.evaluation.limits.Limits``); the two above replace its own.
        targets, precisions: which artifacts; empty for all.
        held_back: only the pictures held out from training, as listed in the network's card.
        require: artifacts such as ``tflite/int8`` that must have been judged, or a check fails.

    Raises:
        BadInput: there is no bundle or there are no pairs.
    """
    from clearport.pipeline.eval import evaluate_bundle
    from clearport.pipeline.evaluation.limits import NO_LIMITS
    from clearport.pipeline.evaluation.rows import EvalRequest

    asked = {"max_drop": max_drop, "min_psnr": min_psnr}
    own = {name: given.number(name, value) for name, value in asked.items() if value is not None}
    request = EvalRequest(
        folder=given.path("folder", folder),
        data=given.path("data", data),
        limits=replace(limits or NO_LIMITS, **own),
        targets=given.names("targets", targets),
        precisions=given.names("precisions", precisions),
        held_back=held_back,
        require=given.names("require", require),
    )
    return evaluate_bundle(request, progress)


def bench(
    folder: AnyPath,
    *,
    devices: Sequence[str] = ("host",),
    units: Sequence[str] = (),
    threads: int = 1,
    runs: int = 50,
    seconds: float = 1.0,
    targets: Sequence[str] = (),
    precisions: Sequence[str] = (),
    progress: Progress = no_progress,
) -> BenchOutcome:
    """Run every artifact on every device, check it on the golden picture, and time it interleaved; milliseconds.

    Args:
        folder: the bundle.
        devices: addresses of ``clearport devices``.
        units: of ``cpu``, ``gpu``, ``npu``; empty for the first of each device.
        threads: CPU threads of every runtime.
        runs, seconds: the minimum number of timed runs and the minimum time of each artifact.
        targets, precisions: which artifacts; empty for all.

    Raises:
        BadInput: there is no bundle, or no such device, unit or artifact.
    """
    from clearport.pipeline.bench import bench_bundle
    from clearport.pipeline.benching.values import BenchRequest

    request = BenchRequest(
        given.path("folder", folder),
        devices=given.names("devices", devices),
        units=given.names("units", units),
        threads=given.threads(threads),
        runs=given.count("runs", runs),
        seconds=given.number("seconds", seconds),
        targets=given.names("targets", targets),
        precisions=given.names("precisions", precisions),
    )
    return bench_bundle(request, progress)


def restore(
    folder: AnyPath,
    picture: AnyPath | Sequence[AnyPath],
    output: AnyPath,
    *,
    target: str = "tflite",
    precision: str = "int8",
    variant: str | None = None,
    progress: Progress = no_progress,
) -> Restored:
    """Restore a picture file of any size with one artifact of a bundle, and write it as PNG.

    ``picture`` may be several files, in the order of the network's inputs or as ``NAME=FILE``, for networks with
    several inputs, or arrays (``.npy``); outputs other than pictures are written as ``.npy``.

    Raises:
        BadInput: no such bundle, artifact or input.
        RuntimeFailure: the runtime failed on the artifact.
    """
    from clearport.pipeline.run import RunRequest, restore_picture

    inputs = given.paths("picture", picture)
    place, out = given.path("folder", folder), given.path("output", output)
    request = RunRequest(place, inputs, out, target=target, precision=precision, variant=variant)
    return restore_picture(request, progress)


def train(
    options: TrainOptions | QatOptions, on_progress: Callable[[TrainProgress], None] | None = None
) -> TrainResult:
    """Train a network; see ``clearport.models.training.train``.

    With ``clearport.quantize.trained.options.QatOptions``, train its int8 form; see ``clearport.pipeline.qat``.

    Raises:
        BadInput: options, data, starting weights or checkpoint cannot be used.
    """
    from clearport.models.training.options import TrainOptions
    from clearport.models.training.train import train as run
    from clearport.quantize.trained.options import QatOptions

    if not isinstance(options, TrainOptions | QatOptions):
        raise BadInput(f"options: expected TrainOptions or QatOptions, got {type(options).__name__}")
    if isinstance(options, QatOptions):
        from clearport.pipeline.qat import train_int8

        return train_int8(options, on_progress) if on_progress is not None else train_int8(options)
    return run(options, on_progress) if on_progress is not None else run(options)

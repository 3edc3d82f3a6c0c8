"""Training of any network: on image pairs, on photos degraded on the fly, or without targets.

    train(options_for("ncnet", data=(Path("photos"),), out=Path("ncnet_x3.safetensors"), minutes=30))

The recipe is the usual one: random crops with flips and rotations, a weighted sum of losses, a learning rate with
warm-up and cosine decay to zero, and an exponential moving average (EMA) of the weights, which is what is validated
and saved. Two things differ: the default optimizer is ``soap`` (``adam`` is available), and convolutions are
overparameterized during training (``training.widen``). The length is given in steps, which makes a run bit-exactly
reproducible on one machine, or in minutes of wall time, to which the schedule adapts under any load.

``<out>.checkpoint`` holds everything needed to resume; it is replaced atomically, so a run can be killed at any moment.
``<out>.preview.png`` shows the network's outputs for validation images at the last validation.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.training import written as train_outputs
from clearport.models.training.judge import restore, units_of
from clearport.models.training.options import Progress, Tick, TrainOptions, TrainResult, options_for
from clearport.models.training.run import Run
from clearport.models.training.steps import Steps
from clearport.registry import NETWORKS
from clearport.signals import ending_signals

__all__ = ["Progress", "Tick", "TrainOptions", "TrainResult", "options_for", "restore", "train"]


def train(
    options: TrainOptions,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_tick: Callable[[Tick], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
) -> TrainResult:
    """Train a network; ``on_progress`` is called after every validation, ``on_tick`` about every second between them.

    ``on_note`` receives lines about the data and the initial weights before the first step.

    In the main thread, Ctrl-C, SIGTERM, SIGHUP and SIGQUIT end the run after the current step and save the checkpoint.

    Raises:
        BadInput: options, data, initial weights or checkpoint are unusable, or the outputs exist already or cannot be
            written; if the weights could not be written at the end, the message names the fallback path.
        CheckFailed: the loss is not finite.
    """
    spec: ModelSpec = NETWORKS.get(options.network)
    if spec.weights_of:
        raise BadInput(f"{spec.name} learns together with {spec.weights_of}: clearport train {spec.weights_of} ...")
    with train_outputs.held(options), torch.random.fork_rng(devices=[]):
        run = Run(options, spec, weights.checked_scale(spec, options.scale))
        for note in run.notes() if run.place.rank == 0 else ():
            on_note(note)
        if options.resume:
            run.restore()
        with interruptible() as interrupted:
            stopped = loop(run, interrupted, on_progress, on_tick)
        finished = run.share() >= 1.0
        if stopped and not finished:
            run.save_last_checkpoint()
        place = run.save_weights() if finished else options.out
        run.log.close()
    best = run.state.best_psnr_db if run.state.best_psnr_db > -math.inf else math.nan
    return TrainResult(finished, run.state.step, best, place, options.checkpoint, run.place.rank, units_of(spec))


def loop(
    run: Steps,
    interrupted: threading.Event,
    on_progress: Callable[[Progress], None],
    on_tick: Callable[[Tick], None],
) -> bool:
    """Train until the run is complete or interrupted; returns whether it was interrupted."""
    while run.share() < 1.0:
        if run.place.agree(float(interrupted.is_set())):
            return True
        run.advance()
        if run.state.step % run.options.validate_every == 0 or run.share() >= 1.0:
            progress = run.report()
            if run.place.rank == 0:
                on_progress(progress)
        elif run.place.rank == 0 and run.tick_is_due():
            on_tick(run.tick())
    return interrupted.is_set()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that is set by the termination signals, which then do not end the process."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def note(_signal: int, _frame: FrameType | None) -> None:
        interrupted.set()

    before = {number: signal.signal(number, note) for number in ending_signals()}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

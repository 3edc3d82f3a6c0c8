"""Training of any network: with pairs, on photos that are degraded as it goes, or without targets.

    train(options_for("ncnet", data=(Path("photos"),), out=Path("ncnet_x3.safetensors"), minutes=30))

The recipe is the field's plain one: random crops with flips and rotations, a sum of losses, a warm-up and a cosine
down to nothing, a moving average of the weights (EMA), which is what is judged and kept. Two things come on top: the
optimizer (``soap``; plain Adam can be had), and convolutions in training dress (``training.widen``). The length is
given in steps, which makes a run repeatable to the bit on one machine, or in minutes of wall time, which makes the
schedule fit whatever else the machine is doing.

While it runs, ``<out>.checkpoint`` holds everything that a later run needs to go on: it is replaced atomically, so
a run can be killed at any moment. ``<out>.preview.png`` shows held-back pictures, as they are at the last validation.
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

    ``on_note`` gets a line for everything that was read, before the first step: the data, and what it starts from.

    Called in the main thread, Ctrl-C, SIGTERM, SIGHUP and SIGQUIT end the run after the step in flight and save the
    checkpoint.

    Raises:
        BadInput: options, data, starting weights or checkpoint cannot be used, the outputs cannot be written or are
            there already, or could not be written at the end: then the message says where the weights are.
        CheckFailed: the loss is no longer a number.
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
    """Steps until the run is done or interrupted; returns whether it was interrupted."""
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
    """An event that the signals which end a command set instead of ending the process."""
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

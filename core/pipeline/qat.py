"""``clearport train NETWORK --qat``: the int8 form of a network's weights, trained, as a file that ``export`` takes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from clearport.errors import BadInput
from clearport.export.from_torch import export_graph
from clearport.models import attached, weights
from clearport.models.attached import Attached
from clearport.models.importers import checkpoint as weights_files
from clearport.models.training import checkpoint, written
from clearport.models.training.options import TrainResult, identity
from clearport.models.training.train import interruptible, loop
from clearport.pipeline import int8
from clearport.pipeline.isolated import kept
from clearport.pipeline.isolated.process import Isolated
from clearport.pipeline.plan import make_plan
from clearport.pipeline.sources.request import ExportRequest
from clearport.protocols import no_progress
from clearport.quantize import flow
from clearport.quantize.trained import learn
from clearport.quantize.trained.form import Form, form_of, of_text
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from clearport.base import Graph
    from clearport.model_spec import ModelSpec
    from clearport.models.training.options import Progress, Tick
    from clearport.protocols import Progress as Stages
    from clearport.quantize.trained.options import QatOptions
    from clearport.quantized import QuantizedGraph


def train_int8(
    options: QatOptions,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_tick: Callable[[Tick], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    stages: Stages = no_progress,
) -> TrainResult:
    """Quantize a network as an export would, train its integers, and write them with its float weights.

    ``on_progress`` is called after every validation, ``on_tick`` about every second between them, ``on_note`` with
    lines on what was read and what was reached, ``stages`` with the progress of the quantization. Ctrl-C and the other
    signals that end a command save the checkpoint, as in a float training.

    Raises:
        BadInput: options, data, weights or checkpoint cannot be used, or the outputs cannot be written or are there
            already.
        CheckFailed: the loss is no longer a number.
    """
    train = options.train
    spec: ModelSpec = NETWORKS.get(train.network)
    scale = weights.checked_scale(spec, train.scale)
    reads = [] if options.calibration is None else [options.calibration]
    with written.held(train, reads), torch.random.fork_rng(devices=[]):
        loaded = weights.load(spec, scale, train.start)
        data = learn.read(train, spec, scale)
        graph = _free_graph(loaded, spec, scale)
        trained = {**identity(train, scale), "prefer": options.prefer, "weights": loaded.sha256}
        saved = checkpoint.load(train.checkpoint, trained) if train.resume else None
        form = _start(options, scale, stages) if saved is None else _form_of(saved)
        run = learn.Learning(train, spec, data, flow.prepared(graph), form.on(graph))
        run.kept = {"trained": trained, "form": form.to_text(), "arrays": _tensors(form)}
        for note in (*data.notes, f"starts from {loaded.source}: int8 at {_words(run.before)}"):
            on_note(note)
        if saved is not None:
            run.restore(saved)
        with interruptible() as interrupted:
            stopped = loop(run, interrupted, on_progress, on_tick)
        finished = run.share() >= 1.0
        if stopped and not finished:
            run.save_last_checkpoint()
        if finished:
            on_note(_outcome(run))
            made = form.trained(graph, _noted(run, trained))
            written.save_or_keep(train.out, lambda out: _save(out, made, run, loaded, trained), _HERE)
        run.log.close()
    return TrainResult(finished, run.state.step, run.after.fidelity_db, train.out, train.checkpoint, 0, run.units)


_HERE = "the weights are here instead"


def _free_graph(loaded: weights.Loaded, spec: ModelSpec, scale: int) -> Graph:
    """The float graph for any size."""
    try:
        return export_graph(loaded.module, spec, scale, None)
    except BadInput as error:
        raise BadInput(f"--qat learns from crops, and so it needs a graph for any size: {error}") from error


def _start(options: QatOptions, scale: int, stages: Stages) -> Form:
    """The int8 form that an export of the same weights has, at its usual size.

    Raises:
        BadInput: it is a trained one, and options ask for what was decided then.
    """
    train = options.train
    known = None if train.start is None else attached.attached(train.start)
    if known is not None:
        form = of_text(known.text, known.arrays)
        int8.check_decided(form.decisions.table, options.prefer, options.calibration)
        return form
    request = ExportRequest(
        train.network,
        train.out,
        scale,
        precisions=("int8",),
        weights=train.start,
        calibration=options.calibration,
        prefer=options.prefer,
    )
    plan = make_plan(request, stages)
    with Isolated(kept.forms()) as isolated:
        photos = int8.photos_of(plan, stages)
        graph = plan.source.graph(plan.size, stages)
        return form_of(graph, int8.quantize(plan, graph, photos, isolated, stages, bounds=True))


def _outcome(run: learn.Learning) -> str:
    if not run.improved:
        return f"no validation was better than the start, which is kept: int8 at {_words(run.before)}"
    return f"int8 from {_words(run.before)} to {_words(run.after)}"


def _words(figures: learn.Figures) -> str:
    lost = "" if math.isnan(figures.loss_db) else f", {figures.loss_db:.3f} dB lost against ground truth"
    return f"{figures.fidelity_db:.2f} dB to the float network{lost}"


def _tensors(form: Form) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in form.arrays.items()}


def _form_of(saved: Mapping[str, Any]) -> Form:
    return of_text(saved["form"], {name: value.numpy() for name, value in saved["arrays"].items()})


def _noted(run: learn.Learning, trained: Mapping[str, Any]) -> QuantizedGraph:
    """The best form; its record says that it was trained, and how good it is, in place of what was simulated."""
    best = run.best()
    record = {
        **best.table.calibration,
        "rounding": "trained" if run.improved else best.table.calibration["rounding"],
        "simulated_psnr_db": round(run.after.fidelity_db, 2),
        "simulated_loss_db": None if math.isnan(run.after.loss_db) else round(run.after.loss_db, 3),
        "training": _about(run, trained),
    }
    return replace(best, table=replace(best.table, calibration=record))


def _about(run: learn.Learning, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe and figures of a training."""
    return {
        **trained,
        "loss": run.options.loss,
        "degradation": run.data.degradation,
        "data": [folder.name for folder in run.options.data],
        "steps_done": run.state.step,
        "validation": {
            "pictures": len(run.data.validation),
            "from": run.options.validation_data.name if run.options.validation_data else "held back",
            "before": _figures(run.before),
            "after": _figures(run.after),
        },
    }


def _figures(found: learn.Figures) -> dict[str, float | None]:
    lost = None if math.isnan(found.loss_db) else round(found.loss_db, 4)
    return {"psnr_to_float_db": round(found.fidelity_db, 3), "loss_to_truth_db": lost}


def _save(out: Path, form: Form, run: learn.Learning, loaded: weights.Loaded, trained: Mapping[str, Any]) -> None:
    """Write the float weights with the form, and their card with what was done."""
    state, words = attached.attach(loaded.module.state_dict(), Attached(form.to_text(), form.arrays))
    path = run.options.start or weights.bundled_path(run.spec, run.data.crops.scale)
    known = weights_files.opened(path).metadata
    weights.save_state(out, state, run.spec.name, run.data.crops.scale, {**known, **words})
    plain = {"network": run.spec.name, "scale": run.data.crops.scale, "training": {}}
    about = {**_about(run, trained), "minutes_taken": round(run.state.elapsed_s / 60.0, 1)}
    weights.save_card(out, {**plain, **loaded.card, "int8": {"source": loaded.source, **about}})

"""From a network to a verified bundle: the wiring of models, export, quantize, runtime and reports."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clearport import heap
from clearport.base import Artifact, Options, Size, Skipped
from clearport.bundle import folder as bundle
from clearport.bundle.folder import Bundle
from clearport.disk.files import write_bytes
from clearport.errors import BadInput
from clearport.export.onnxruntime.target import onnx_form
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.pictures.probe import probe_picture
from clearport.pipeline import int8
from clearport.pipeline.criteria import PHOTO, PROBE
from clearport.pipeline.diagnosis.steps import Steps
from clearport.pipeline.files import calibration
from clearport.pipeline.goldens import (
    Goldens,
    golden_picture,
    make_goldens,
    probe_size,
    save_goldens,
)
from clearport.pipeline.isolated import kept
from clearport.pipeline.isolated.guarded import forms_of
from clearport.pipeline.isolated.process import Isolated
from clearport.pipeline.isolated.workers import reused
from clearport.pipeline.latency import QUICK, Latencies, measure_all
from clearport.pipeline.plan import Plan, make_plan
from clearport.pipeline.prove import network_artifact, prove
from clearport.pipeline.record import Findings, Made, Proven, manifest_of
from clearport.pipeline.sources.request import ExportRequest
from clearport.pipeline.twins import Twins, make_twins
from clearport.protocols import no_progress
from clearport.quantize import footprint, table
from clearport.quantized import QuantizedGraph
from clearport.reports.html import write_reports
from clearport.runtime.side_by_side import side_by_side, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.base import Graph, Precision
    from clearport.graph.feeds import Sample
    from clearport.protocols import Progress

PROVING_MEMORY = 1.6e9
"""Memory limit of parallel proof workers, in bytes."""

WORKER_MEMORY = 2e8
"""Base memory of a worker, in bytes: Python and its runtime."""

SCALES, REFERENCE = "scales.json", "reference_qdq.onnx"


def export_bundle(request: ExportRequest, progress: Progress = no_progress) -> Bundle:
    """Export, prove and measure; the bundle appears at ``request.out`` when it is complete.

    A failed parity is recorded (``Bundle.passed`` is then false) and the bundle is kept for inspection.

    Raises:
        BadInput: the request cannot be carried out; nothing was written.
        CheckFailed: the exported graph differs from the network; nothing was written.
    """
    plan = make_plan(request, progress)
    with bundle.building(request.out, force=request.force) as folder, tempfile.TemporaryDirectory() as aside:
        with Isolated(kept.forms() if request.cache else None) as isolated:
            photos = int8.photos_of(plan, progress)
            made = _make(plan, photos, isolated, folder, progress)
            picture = golden_picture(plan.source.traits.task, plan.size)
            twins = make_twins(plan, made, picture, isolated, Path(aside))
        with reused():
            goldens = _goldens(plan, made, folder, progress)
            proven = _prove(made, goldens, twins, folder, request.threads, progress)
        saved = save_goldens(goldens, made.graph, folder, made.artifacts, progress)
        size, sample = goldens.size, goldens.photo.sample
        del goldens  # free the outputs of all references: a quarter of a gigabyte for a large network
        found = Findings(made, proven, saved, size, _latencies(plan, made, sample, progress))
        progress("writing the manifest and the reports", 0, 0)
        write_reports(bundle.write(folder, manifest_of(plan, found, folder, SCALES, REFERENCE)))
    return Bundle.load(request.out)


def _make(plan: Plan, photos: int8.Photos, isolated: Isolated, folder: Path, progress: Progress) -> Made:
    """The inputs of the proofs: graph, scale table, references and artifacts.

    A target without a rule for one of the network's operators, or that fails otherwise, is skipped with that reason.
    """
    graph = plan.source.graph(plan.size, progress)
    network = plan.source.keep(folder)
    heap.release()
    forms = _forms(plan, graph, photos, isolated, folder, progress)
    artifacts: list[Artifact] = []
    skipped = list(plan.skipped)
    for number, cell in enumerate(plan.cells):
        progress("writing artifacts", number, len(plan.cells))
        form = forms.get(cell.precision)
        if isinstance(form, Skipped):
            results: Sequence[Artifact | Skipped] = [replace(form, what=f"{cell.target.name}/{cell.precision}")]
        else:
            results = isolated.lower(cell, graph, form, plan.options, folder)
        artifacts += [result for result in results if isinstance(result, Artifact)]
        skipped += [result for result in results if isinstance(result, Skipped)]
    if not artifacts:
        raise BadInput("nothing could be exported: " + "; ".join(f"{s.what}: {s.reason}" for s in skipped))
    found = {artifact.key: isolated.lint(artifact, graph) for artifact in artifacts}
    quantized = forms.get("int8")
    form = None if isinstance(quantized, Skipped) else quantized
    return Made(graph, network, form, tuple(artifacts), tuple(skipped), found)


def _forms(
    plan: Plan, graph: Graph, photos: int8.Photos, isolated: Isolated, folder: Path, progress: Progress
) -> dict[Precision, QuantizedGraph | Skipped]:
    """The quantized forms of the graph that the plan needs, or the reason for their absence."""
    makers: dict[Precision, Callable[[], QuantizedGraph]] = {
        "int8": lambda: _quantized(plan, graph, photos, isolated, folder, progress),
        "int8-weights": lambda: isolated.round_weights(graph, photos.pixels, progress),
        "int8a16": lambda: int8.quantize(plan, graph, photos, isolated, progress, wide=True),
    }
    return forms_of(plan.rounded, makers)


def _quantized(
    plan: Plan, graph: Graph, photos: int8.Photos, isolated: Isolated, folder: Path, progress: Progress
) -> QuantizedGraph:
    """The int8 form; its scale table and its reference model are written."""
    quantized = int8.trained(plan, graph, progress) or int8.quantize(plan, graph, photos, isolated, progress)
    reference = graphs.to_bytes(onnx_form(target_graph(graph, quantized, "int8"), Options(io="float32"))[0])
    table.save(folder / SCALES, quantized.table)
    write_bytes(folder / REFERENCE, reference)
    return quantized


def _goldens(plan: Plan, made: Made, folder: Path, progress: Progress) -> Goldens:
    progress("running the references", 0, 0)
    form = made.quantized.graph if made.quantized else None
    reference = network_artifact(folder / REFERENCE, form.inputs, form.outputs) if form else None
    traits, size = plan.source.traits, plan.size
    pictures = {
        PHOTO: golden_picture(traits.task, size),
        PROBE: probe_picture(probe_size(traits, size)),
    }
    given = plan.request.golden
    photo = None if given is None else calibration.samples_of([given], traits.inputs, size)[0]
    return make_goldens(pictures, made.graph, made.network, reference, plan.request.threads, photo)


def _workers(graph: Graph, size: Size) -> int:
    """The number of workers that fit ``PROVING_MEMORY``; at least one."""
    activations = footprint.held(graph, footprint.per_pixel(graph)) * size.height * size.width
    return max(1, int(PROVING_MEMORY / (WORKER_MEMORY + 2 * activations)))


def _prove(
    made: Made, goldens: Goldens, twins: Twins, folder: Path, threads: int, progress: Progress
) -> tuple[Proven, ...]:
    with ExitStack() as opened:
        steps = opened.enter_context(Steps(folder / REFERENCE, threads)) if made.quantized else None
        small = opened.enter_context(Steps(twins.reference, threads)) if twins.reference else None
        jobs = [
            twins.proving(a, threads, small)
            or partial(prove, a, [found.exam(a) for found in goldens.all], threads, steps)
            for a in made.artifacts
        ]
        width = min(workers(threads), _workers(made.graph, goldens.size))

        def proven(done: int, total: int) -> None:
            heap.release(cycles=False)  # the tensors of the steps of one file: a third of a gigabyte
            progress("proving artifacts", done, total)

        found = side_by_side(jobs, width, proven)
    return tuple(
        Proven(artifact, proof.reports[0], proof.reports[1:], proof.replays, proof.steps)
        for artifact, proof in zip(made.artifacts, found, strict=True)
    )


def _latencies(plan: Plan, made: Made, sample: Sample, progress: Progress) -> Latencies:
    heap.release()
    request = plan.request
    timing = replace(QUICK, threads=request.threads) if request.measure else None
    return measure_all(made.network, made.artifacts, sample, timing, progress)

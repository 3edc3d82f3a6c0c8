"""``clearport lint``: predictions for a network on every target and accelerator, without an export.

All files of an export are written into a temporary folder, so that refusals are exactly those of an export. The scales
of int8 files come from a few photos, without a search, so that it takes seconds; layers that ``export`` would keep in
float for quality are not predicted.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from clearport import heap
from clearport.base import Size
from clearport.export import half_arithmetic
from clearport.export.onnxruntime.target import onnx_form
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.pipeline.isolated.process import Isolated
from clearport.pipeline.lint import attempts, network, on_chips, questions, remarks
from clearport.pipeline.lint.layers import Layers
from clearport.pipeline.lint.values import Finding, InHalf, LintReport
from clearport.pipeline.plan import make_plan
from clearport.pipeline.sources.foreign import cost_of
from clearport.protocols import no_progress

if TYPE_CHECKING:
    from clearport.pipeline.lint.attempts import Written
    from clearport.pipeline.plan import Plan
    from clearport.pipeline.sources.request import ExportRequest
    from clearport.protocols import Progress

_NO_SIZE = Size(256, 256)
"""The size for counting multiply-accumulates of files of dynamic size."""
_ORDER = {"error": 0, "warning": 1, "note": 2}


def lint_model(request: ExportRequest, progress: Progress = no_progress) -> LintReport:
    """Analyze a network as ``export`` would process it; no file is left behind.

    Raises:
        BadInput: the network cannot be read or exported at all, or the request cannot be carried out.
        CheckFailed: the exported graph does not compute what the network does.
    """
    plan = make_plan(request, progress)
    with tempfile.TemporaryDirectory() as aside, Isolated() as isolated:
        layers = Layers(plan.source.graph(plan.size, progress))
        heap.release()
        written = attempts.written(plan, layers.graph, isolated, Path(aside), progress)
        placements, unknown = questions.placements(plan, written, layers, Path(aside), progress)
        progress("float16 on a photo", 0, 0)
        in_half, half = _in_half(plan, layers)
        convolutions = _float_convolutions(plan, written, layers, isolated)
    tiles, cut = network.tiles(layers, plan.source.traits)
    in_float, floats = network.in_float(layers) if plan.quantizes else (None, [])
    names = {layer.name for layer in in_float.layers} if in_float is not None else set[str]()
    found = [
        *remarks.refusals(written.refused, layers),
        *remarks.left_out(placements, layers, names),
        *remarks.arenas(placements),
        *(floats + convolutions + half + cut),
        *_traps(plan, layers),
    ]
    cost = cost_of(layers.graph, plan.size or _NO_SIZE)
    return LintReport(
        network=layers.graph.stem,
        size=str(plan.size or "dynamic"),
        parameters=cost.params,
        macs=cost.macs,
        operators=dict(sorted(Counter(node.op_type for node in layers.nodes.values()).items())),
        placements=tuple(placements),
        in_float=in_float,
        in_half=in_half,
        tiles=tiles,
        findings=tuple(sorted(found, key=lambda finding: _ORDER[finding.level])),
        not_linted=(*(f"{skipped.what}: {skipped.reason}" for skipped in plan.skipped), *unknown),
    )


def _traps(plan: Plan, layers: Layers) -> list[Finding]:
    """Known problems of restoration networks."""
    return [
        *(network.clamps(layers) if plan.quantizes else ()),
        *network.quirks(layers, frozenset(cell.target.name for cell in plan.cells)),
        *network.forms(layers),
        *network.sizes(layers, plan.size, plan.source.traits),
    ]


def _in_half(plan: Plan, layers: Layers) -> tuple[InHalf | None, list[Finding]]:
    """The network in float16 arithmetic, if fp16 files were requested."""
    targets = tuple(f"{cell.target.name}/fp16" for cell in plan.cells if cell.precision == "fp16")
    if not targets:
        return None, []
    measured, odd = half_arithmetic.measured(layers.graph), half_arithmetic.layers(layers.graph)
    large, small = (tuple(map(layers.writing, names)) for names in (odd.too_large, odd.too_small))
    found = InHalf(
        psnr_db=round(measured.psnr_db, 1) if math.isfinite(measured.psnr_db) else None,
        fits=measured.fits,
        largest=measured.largest if math.isfinite(measured.largest) else None,
        too_large=large,
        too_small=small,
    )
    return found, list(remarks.of_half(found, measured, targets))


def _float_convolutions(plan: Plan, written: Written, layers: Layers, isolated: Isolated) -> list[Finding]:
    """Convolutions of the int8 file that ONNX Runtime computes in float, queried from ONNX Runtime itself."""
    quantized = written.quantized("int8")
    if quantized is None or not any(a.key == "onnxruntime/int8" for a in written.artifacts):
        return []
    model = onnx_form(target_graph(layers.graph, quantized, "int8"), plan.options)[0]
    found = on_chips.float_convolutions(isolated.kernels(graphs.to_bytes(model)), quantized, layers)
    if not found:
        return []
    return [
        Finding(
            level="warning",
            rule="float-convolution",
            where=("onnxruntime/int8",),
            layers=tuple(found),
            why="the installed ONNX Runtime computes it in float although it is int8 in the file: there is no integer "
            "kernel for it, or an operator is between it and the quantization of its output",
            todo="replace a ConvTranspose2d by a Conv2d (with PixelShuffle, for example), and let only a clamp to a "
            "range with 0 follow it",
        )
    ]

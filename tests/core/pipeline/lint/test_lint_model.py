"""``clearport lint`` finds planted problems with layer and line, and reports what export refuses as errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper
from torch import nn
from torch.nn import functional

import clearport
from clearport.base import FLOAT_PRECISIONS, PRECISIONS, Graph, Precision, Size, TensorSpec
from clearport.pipeline.lint import network, remarks, values
from clearport.pipeline.lint.layers import Layers
from clearport.pipeline.lint.model import lint_model
from clearport.pipeline.lint.values import Finding, LintReport
from clearport.pipeline.sources.request import ExportRequest
from clearport.pipeline.sources.source import Traits
from clearport.registry import NETWORKS, TARGETS
from device_tests.published import some_weights
from device_tests.zoo.zoo import small_size

HERE = Path(__file__).name


class Traps(nn.Module):
    """A network with typical problems of restoration networks; comments name the rule that must find a line."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.mirror = nn.Conv2d(8, 8, 3, padding=9, dilation=9, padding_mode="reflect")  # too many rows to copy each
        self.down = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.hot, self.cool = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.tail = nn.Conv2d(8, 12, 3, padding=1)
        self.hot.weight.data *= 1e7
        self.cool.weight.data /= 1e7

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raw = self.head(image)
        x = self.mirror(raw)  # reflection-padding
        gate = torch.exp(-torch.abs(x))  # float-in-int8
        x = x / (gate + 1)
        x = self.cool(torch.relu(self.hot(self.down(x))))  # float16-overflow
        x = x * torch.sigmoid(x.mean((2, 3), keepdim=True))  # whole-picture
        cut = raw.clamp(-0.1, 0.2)  # clamp-inside-the-range
        x = self.up(x) + cut + raw  # float-convolution
        shuffled = functional.pixel_shuffle(torch.softmax(self.tail(x), 1), 2)  # shuffle-order
        return shuffled.clamp(0, 1)


class Odd(nn.Module):
    """An operator supported only by targets that read ONNX."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = self.head(image)
        square = image[0, :1, :4, :4]
        return image + torch.linalg.det(square)  # refused by TFLite and ncnn


def linted(module: object, *targets: str, size: str = "64x64", **options: object) -> LintReport:
    request = ExportRequest(module, Path(), size=Size.parse(size), targets=targets)
    return lint_model(replace(request, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def traps() -> LintReport:
    return linted(Traps().eval(), "tflite", "onnxruntime")


def line_of(rule: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    (found,) = (number for number, line in enumerate(lines, 1) if line.endswith(f"  # {rule}"))
    return found


def of(report: LintReport, rule: str) -> Iterator[Finding]:
    return (finding for finding in report.findings if finding.rule == rule)


PLANTED = {
    "reflection-padding": ("warning", "mirror"),
    "float-in-int8": ("warning", ""),
    "float16-overflow": ("warning", "hot"),
    "whole-picture": ("warning", ""),
    "clamp-inside-the-range": ("warning", ""),
    "float-convolution": ("warning", "up"),
    "shuffle-order": ("warning", ""),
}


@pytest.mark.parametrize("rule", PLANTED)
def test_what_was_planted_is_found_at_its_line(traps: LintReport, rule: str) -> None:
    level, module = PLANTED[rule]
    layers = [(finding.level, layer) for finding in of(traps, rule) for layer in finding.layers]
    assert any(
        each == level and layer.module == module and layer.source.endswith(f"{HERE}:{line_of(rule)}")
        for each, layer in layers
    ), layers
    assert all(finding.why and finding.todo for finding in of(traps, rule))


def test_the_share_of_float_layers_is_reported(traps: LintReport) -> None:
    assert traps.in_float is not None
    assert {"Abs", "Exp", "Div", "Softmax"} <= {layer.operator for layer in traps.in_float.layers}
    assert traps.in_float.macs_share == 0.0  # no convolution among them
    assert traps.in_float.regions >= 2


def test_accelerators_say_what_they_take(traps: LintReport) -> None:
    webgpu = next(p for p in traps.placements if (p.artifact, p.unit) == ("onnxruntime/int8", "browser GPU (WebGPU)"))
    assert {"QuantizeLinear"} <= {left.operator for left in webgpu.left}
    assert webgpu.partitions > 2
    assert webgpu.taken + sum(left.count for left in webgpu.left) == webgpu.operators
    fp32 = next(p for p in traps.placements if (p.artifact, p.unit) == ("onnxruntime/fp32", "Qualcomm Hexagon (HTP)"))
    assert (fp32.taken, fp32.left, fp32.partitions) == (fp32.operators, (), 1)
    units = {placement.unit for placement in traps.placements if placement.artifact == "tflite/int8"}
    assert {"XNNPACK", "LiteRT GPU delegate", "Ethos-U55-256", "Ethos-U65-512", "Ethos-U85-1024"} <= units
    xnnpack = next(p for p in traps.placements if (p.artifact, p.unit) == ("tflite/fp32", "XNNPACK"))
    (mirrored,) = (left for left in xnnpack.left if left.operator == "MIRROR_PAD")
    assert [layer.module for layer in mirrored.layers] == ["mirror"]


@pytest.mark.parametrize("precision", sorted(set(PRECISIONS) - FLOAT_PRECISIONS - {"int8"}))  # as in the traps
def test_every_precision_can_be_linted(precision: Precision) -> None:
    target = next(name for name in TARGETS.names() if precision in TARGETS.get(name).precisions)
    report = linted(nn.Conv2d(3, 3, 3, padding=1).eval(), target, precisions=(precision,))
    assert not report.refused, report.findings


def test_findings_begin_with_errors(traps: LintReport) -> None:
    levels = [finding.level for finding in traps.findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    assert not traps.refused


def test_json_is_read_back_strictly(traps: LintReport) -> None:
    text = json.dumps(traps.model_dump(mode="json"), allow_nan=False)
    assert LintReport.model_validate_json(text) == traps
    with pytest.raises(ValueError, match="Extra inputs"):
        LintReport.model_validate_json(text.replace('"format"', '"form": 1, "format"', 1))


def test_tiling_and_rounding_at_the_ends_are_reported_with_their_cost() -> None:
    ends = [[helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 3, 64, 64])] for n in ("image", "restored")]
    made = helper.make_graph([helper.make_node("Relu", ["image"], ["restored"], "relu1")], "g", *ends)
    model = ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)]))
    specs = TensorSpec("image", (1, 3, 64, 64)), TensorSpec("restored", (1, 3, 64, 64))
    layers = Layers(Graph(model, specs[:1], specs[1:], "relu", 1))
    for partitions, level in ((1, "note"), (3, "warning")):  # rounding at the ends of a network parts nothing
        left = values.LeftOver(operator="DEQUANTIZE", count=1, reason="unknown", layers=())
        known = {"artifact": "tflite/int8", "basis": "compiled", "by": "Vela", "taken": 2, "operators": 3}
        placed = values.Placement(unit="Ethos-U55-256", partitions=partitions, left=(left,), **known)
        (remark,) = remarks.left_out([placed], layers, set())
        assert (remark.rule, remark.level) == ("rounding-to-int8", level)
    traits = Traits("relu", "other", 1, 16, False, 1, 1, "")

    (found, (note,)) = network.tiles(layers, traits)
    assert found.extra_share == pytest.approx(64**2 / 32**2 - 1)
    assert (note.rule, note.level) == ("reach", "note")
    (found, (warning,)) = network.tiles(layers, replace(traits, halo=32))
    assert (warning.rule, warning.level, found.extra_share) == ("reach", "warning", None)
    assert "--size 130x130" in warning.todo
    (found, (whole,)) = network.tiles(layers, replace(traits, whole_picture=True))
    assert (whole.rule, whole.level) == ("whole-picture", "warning")


@pytest.mark.slow
def test_a_network_that_suits_every_accelerator_has_notes_at_most() -> None:
    report = linted("ncnet", "tflite")
    assert all(p.taken == p.operators and p.partitions == 1 for p in report.placements if p.unit.startswith("Ethos"))
    levels = [p for p in report.placements if p.unit.startswith("NNAPI") and p.artifact == "tflite/int8"]
    assert (levels[-1].unit, levels[-1].taken) == ("NNAPI 30 to 35", levels[-1].operators)
    assert [finding.rule for finding in report.findings if finding.level != "note"] == []
    assert report.parameters > 50_000


def agree(module: object, folder: Path, *targets: str, size: str = "64x64", weights: Path | None = None) -> LintReport:
    """Lint's report, after checking that its errors are exactly the refusals of an export."""
    report = linted(module, *targets, size=size, precisions=("fp32",), weights=weights)
    errors = {where for finding in of(report, "refused") for where in finding.where}
    bundle = clearport.export(
        module,  # type: ignore[arg-type]
        folder / "out",
        size=size,
        targets=(*targets, "onnxruntime"),
        precisions=("fp32",),
        weights=weights,
        measure=False,
    )
    assert errors == {skipped.what for skipped in bundle.manifest.skipped}
    assert report.refused == bool(errors)
    return report


def test_errors_are_what_an_export_refuses(tmp_path: Path) -> None:
    report = agree(Odd().eval(), tmp_path, "tflite", "ncnn")
    refusals = of(report, "refused")
    assert {refused.where for refused in refusals} == {("tflite/fp32",), ("ncnn/fp32",)}
    for refused in refusals:
        (layer,) = refused.layers
        assert (refused.level, layer.operator) == ("error", "Det")
        assert layer.source.endswith(f":{line_of('refused by TFLite')}")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS.names())
def test_errors_are_what_an_export_refuses_of_every_network(name: str, tmp_path: Path) -> None:
    spec = NETWORKS.get(name)
    weights, size = some_weights(spec, tmp_path), str(small_size(spec))
    assert not agree(name, tmp_path, "tflite", "ncnn", size=size, weights=weights).refused

"""What quality costs: which files are drawn, and which of them none is better than."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.bundle.manifest import Manifest
from clearport.reports import markdown, plots
from clearport.reports.choice.pareto import INVISIBLE_DB, scatters
from clearport.reports.content import Point, Scatter, Spread, Spreads
from clearport.reports.page import page
from clearport.reports.tables.latency import spreads
from tests.device_rows import with_devices


@pytest.fixture(scope="module")
def manifest(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """With the distance of int8 files to PyTorch, which the fixture's manifest has not."""
    found: Manifest = make_bundle(tmp_path_factory.mktemp("pareto") / "bundle").manifest
    return changed(found, "int8", psnr_db=54.0)


def changed(manifest: Manifest, precision: str, **figures: Any) -> Manifest:
    def beside(a: Any) -> Any:
        if a.precision != precision or not a.parities:
            return a
        added = replace(a.parity, reference="PyTorch fp32", **figures)
        return a.model_copy(update={"cross_checks": (added,)})

    return manifest.model_copy(update={"artifacts": tuple(map(beside, manifest.artifacts))})


def best(plot: Scatter) -> list[str]:
    return sorted(point.label for point in plot.points if point.best)


def test_each_figure_of_quality_is_drawn_against_time_and_size(manifest: Manifest) -> None:
    time, size = scatters(manifest)  # two files against ground truth are needed for its plots
    assert (time.title, size.title) == ("Time and PSNR to PyTorch", "Size and PSNR to PyTorch")
    assert (time.x, size.x) == ("CPU time here, ms", "size, kB")
    assert {p.label for p in size.points} - {p.label for p in time.points} == {
        "coreml/fp16/image",
        "coreml/fp32/tensor",
    }
    assert time.points[-1].texts == ("75.9 ms", "54.0 dB")


def test_files_that_none_dominates_are_marked(manifest: Manifest) -> None:
    assert best(scatters(manifest)[0]) == ["onnxruntime/fp32", "openvino/int8"]


def test_invisible_differences_count_as_equal(manifest: Manifest) -> None:
    slow = changed(manifest, "fp32", psnr_db=140.0)
    heights = {p.label: p.y for p in scatters(slow)[0].points}
    assert heights["tflite/fp32"] == heights["onnxruntime/fp32"] == INVISIBLE_DB
    assert "tflite/fp32" not in best(scatters(slow)[0])


def test_a_failed_file_is_drawn_and_never_the_best(manifest: Manifest) -> None:
    def fail(a: Any) -> Any:
        failed = replace(a.parity, passed=False) if a.key == "openvino/int8" else a.parity
        return a.model_copy(update={"parity": failed})

    plot = scatters(manifest.model_copy(update={"artifacts": tuple(map(fail, manifest.artifacts))}))[0]
    point = next(p for p in plot.points if p.label == "openvino/int8")
    assert (point.best, point.remark) == (False, "failed a check")
    assert "tflite/int8" in best(plot)


def test_a_file_that_was_proven_with_other_pictures_is_not_compared(manifest: Manifest) -> None:
    method = "ran on Apple's Core AI runtime for Linux (CPU), its twin for 64x64 pictures"
    found = scatters(changed(manifest, "int8", psnr_db=99.0, method=method))[0]
    assert {p.remark for p in found.points if "int8" in p.label} == {"at 64x64"}
    assert not any("int8" in label for label in best(found))


def test_loss_against_ground_truth_has_plots_of_its_own(manifest: Manifest) -> None:
    more = next(q for q in manifest.quality if q.change is not None).model_copy(
        update={"subject": "openvino/int8", "change": -0.1}
    )
    found = scatters(manifest.model_copy(update={"quality": (*manifest.quality, more)}))
    assert [plot.title for plot in found[2:]] == [f"{x} and change against ground truth" for x in ("Time", "Size")]
    assert [(p.label, p.y, p.texts[1]) for p in found[2].points] == [
        ("openvino/int8", -0.1, "−0.100 dB"),
        ("tflite/int8", -0.053, "−0.053 dB"),
    ]


def test_less_than_what_is_shown_makes_no_file_better(manifest: Manifest) -> None:
    found = next(q for q in manifest.quality if q.change is not None)
    changes = {"openvino/int8": 0.0001, "onnxruntime/int8": 0.0004, "tflite/int8": -0.02}
    rows = tuple(found.model_copy(update={"subject": key, "change": change}) for key, change in changes.items())
    plot = scatters(manifest.model_copy(update={"quality": rows}))[2]
    assert [(p.label, p.texts[1], p.best) for p in plot.points] == [
        ("onnxruntime/int8", "0.000 dB", False),
        ("openvino/int8", "0.000 dB", True),
        ("tflite/int8", "−0.020 dB", False),
    ]


def test_one_file_is_not_compared_with_itself(manifest: Manifest) -> None:
    only = manifest.model_copy(update={"artifacts": manifest.artifacts[:1]})
    assert scatters(only) == ()
    assert "cost" not in {section.name for section in page(only).sections}


def test_markdown_has_the_points_as_a_table(manifest: Manifest) -> None:
    said = markdown.markdown(page(manifest), manifest)
    assert "| `openvino/int8` | 41.4 ms | 54.0 dB | none is better in both |" in said


def test_samples_of_this_machine_and_of_devices_stand_apart(manifest: Manifest) -> None:
    here, phone = spreads(with_devices(manifest))
    assert (here.title, phone.title) == ("On this machine", "On phone")
    assert here.spreads[0].label == "pytorch"
    assert [s.label for s in phone.spreads] == ["tflite/int8, npu", "tflite/fp32, npu"]
    for spread in here.spreads:
        assert spread.least <= spread.median <= spread.p90
        assert len(spread.samples) == 30


places = st.lists(st.tuples(st.floats(0.001, 1e5), st.floats(-2, 150), st.booleans()), min_size=2, max_size=24)


@given(places, st.sampled_from([None, 100.0]))
def test_points_are_within_their_plot(found: list[tuple[float, float, bool]], most: float | None) -> None:
    shown = [min(y, most) if most else y for _, y, _ in found]
    points = tuple(
        Point(f"t{i}/int8", "t", x, y, ("", ""), b) for i, ((x, _, b), y) in enumerate(zip(found, shown, strict=True))
    )
    drawing = plots.draw_scatter(Scatter("s", "x", "y", points, ("t",), "", most))
    assert len(drawing.points) == len(points)
    assert all(0 <= p.at <= 100 and plots.SCATTER_TOP <= p.y <= plots.SCATTER_BOTTOM for p in drawing.points)
    assert [p.number for p in drawing.best] == list(range(1, len(drawing.best) + 1))
    levels = [tick.at for tick in drawing.up]
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], 2 <= len(levels) <= 7) == (plots.SCATTER_BOTTOM, True)
    assert len({tick.text for tick in drawing.up}) == len(levels)
    at = [(round(p.at / 100 * 420), p.y + p.shift) for p in drawing.best]
    assert not any(abs(a[0] - b[0]) < 15 and abs(a[1] - b[1]) < 13 for i, a in enumerate(at) for b in at[:i])


def test_higher_is_drawn_higher() -> None:
    points = tuple(Point(f"t/{p}", "t", 1.0, y, ("", ""), False) for p, y in (("int8", 50.0), ("fp32", 100.0)))
    low, high = sorted(plots.draw_scatter(Scatter("s", "x", "y", points, ("t",), "", 100.0)).points, key=lambda p: p.y)
    assert (low.shape, high.shape) == ("triangle", "circle")
    assert low.y == plots.SCATTER_TOP


@given(st.lists(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=300), min_size=1, max_size=4))
def test_samples_are_within_their_axis_or_counted(found: list[list[float]]) -> None:
    rows = tuple(
        Spread(str(i), "g", tuple(v), min(v), *map(float, np.percentile(v, (50, 90)))) for i, v in enumerate(found)
    )
    for row in plots.draw_spreads(Spreads("s", "ms", rows, ("g",))).rows:
        assert all(0 <= x <= 100 for x in (*row.samples, row.least, row.median, row.p90))
        assert len(row.samples) <= plots.MOST_SAMPLES
        assert row.beyond <= len(row.spread.samples)

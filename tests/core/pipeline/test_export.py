"""Decisions of an export before and during writing, without converters."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from clearport.base import USUAL_PRECISIONS, Size, Skipped
from clearport.errors import BadInput, UnsupportedOperator
from clearport.pictures.images import save_png
from clearport.pipeline.export import _make
from clearport.pipeline.goldens import fit
from clearport.pipeline.int8 import Photos, _source, photos_of
from clearport.pipeline.isolated.process import Isolated
from clearport.pipeline.lower import lower
from clearport.pipeline.plan import Cell, make_plan
from clearport.pipeline.sources.request import ExportRequest
from clearport.protocols import no_progress
from clearport.quantize.flow import QuantizeOptions
from clearport.registry import TARGETS


def _request(**options: object) -> ExportRequest:
    return replace(ExportRequest("ncnet", Path("nowhere"), size=Size(16, 16)), **options)  # type: ignore[arg-type]


class _Refusing:
    """A target that has no rule for anything."""

    name = "refusing"
    title = "Refusing"
    precisions = ("fp32",)
    requires: tuple[str, ...] = ()

    def lower(self, *_: object) -> list[object]:
        raise UnsupportedOperator("refusing", "Conv", "conv1")


def test_sixteen_bit_activations_are_made_where_they_are_named() -> None:
    assert "int8a16" not in make_plan(_request()).rounded
    plan = make_plan(_request(precisions=("int8a16",)))
    assert [(cell.target.name, cell.precision) for cell in plan.cells] == [("onnxruntime", "int8a16")]
    assert (plan.rounded, plan.quantizes) == (("int8a16",), False)
    assert any(row.what == "tflite/int8a16" and "is written in fp32, fp16, int8" in row.reason for row in plan.skipped)


def test_all_targets_and_precisions_by_default() -> None:
    plan = make_plan(_request())
    wanted = [(name, p) for name in TARGETS.names() for p in TARGETS.get(name).precisions if p in USUAL_PRECISIONS]
    assert [(cell.target.name, cell.precision) for cell in plan.cells] == wanted
    assert plan.quantizes
    assert plan.skipped == ()


def test_no_scale_table_where_nothing_is_quantized() -> None:
    assert not make_plan(_request(precisions=("fp32", "fp16"))).quantizes


def test_a_precision_that_a_target_lacks_is_skipped_with_its_reason() -> None:
    plan = make_plan(_request(targets=("onnxruntime",), precisions=("fp16", "fp32")))
    assert plan.skipped == (Skipped("onnxruntime/fp16", "ONNX Runtime is written in fp32, int8, int8a16"),)
    assert [cell.precision for cell in plan.cells] == ["fp32"]


def test_a_missing_package_skips_its_target_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearport.pipeline.list.missing", lambda names: tuple(n for n in names if n == "openvino"))
    plan = make_plan(_request())
    reason = "openvino is not installed; to add it: pip install 'clearport[openvino]'"
    assert plan.skipped == (Skipped("openvino", reason),)
    with pytest.raises(BadInput, match="nothing to export: openvino"):
        make_plan(_request(targets=("openvino",)))


def test_an_operator_without_a_rule_skips_the_cell(tmp_path: Path) -> None:
    plan = make_plan(_request(targets=("onnxruntime",), precisions=("fp32",)))
    cell = Cell(_Refusing(), "fp32")  # type: ignore[arg-type]
    (skipped,) = lower(cell, None, None, plan.options, tmp_path)  # type: ignore[arg-type]
    assert skipped == Skipped(
        "refusing/fp32", "refusing: unsupported operator Conv of layer 'conv1': no conversion rule"
    )
    assert list(tmp_path.iterdir()) == []  # --force would take an empty folder in a bundle for somebody else's


class _Determinant(nn.Module):
    """A determinant: ncnn has no such layer."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * torch.linalg.det(image[:, :, :3, :3]).mean()


def test_where_nothing_can_be_written_the_export_says_why(tmp_path: Path) -> None:
    odd = make_plan(replace(_request(targets=("ncnn",), precisions=("fp32",)), network=_Determinant().eval()))
    with Isolated() as isolated, pytest.raises(BadInput, match=r"nothing could be exported: ncnn/fp32: .*Det"):
        _make(odd, Photos([], []), isolated, tmp_path, no_progress)


def test_a_quantizer_that_fails_costs_the_int8_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearport.pipeline.int8.QuantizeOptions", partial(QuantizeOptions, equalization=("odd",)))
    plan = make_plan(_request(targets=("onnxruntime",)))
    photos = Photos([], [np.full((16, 16, 3), 9, np.uint8)])
    with Isolated() as isolated:
        made = _make(plan, photos, isolated, tmp_path, no_progress)
    assert {artifact.precision for artifact in made.artifacts} == {"fp32"}
    assert made.quantized is None
    (skipped,) = made.skipped
    assert skipped.what == "onnxruntime/int8"
    assert re.search(r"unexpected TypeError: ufunc .*\(traceback: ", skipped.reason)
    assert not (tmp_path / "scales.json").exists()


def test_of_many_calibration_photos_some_are_read_and_the_middle_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for number in range(70):
        save_png(folder / f"{number:02}.png", np.full((400, 700, 3) if number == 0 else (8, 9, 3), number, np.uint8))
    told: list[str] = []
    plan = make_plan(_request(targets=("onnxruntime",), calibration=folder))
    photos = photos_of(plan, lambda stage, *_: told.append(stage))
    assert len(photos.paths) == len(photos.pixels) == 64
    assert photos.paths == photos_of(plan, no_progress).paths
    assert "reading 64 of 70 calibration pictures" in told
    assert _source(photos) == "64 of the 70 photos of the folder given with --calibration"
    assert [int(pixels.max()) for pixels in photos.pixels] == [int(path.stem) for path in photos.paths]
    assert max(pixels.size for pixels in photos.pixels) <= 180 * 320 * 3


@given(
    have=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    want=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_the_golden_picture_fits_every_size(have: tuple[int, int], want: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*have, 3), dtype=np.uint8)
    fitted = fit(picture, Size(*want))
    assert fitted.shape == (*want, 3)
    assert fitted.flags["C_CONTIGUOUS"]
    if have == want:
        assert np.array_equal(fitted, picture)
    assert np.array_equal(fit(picture, None), picture)


def test_the_middle_of_a_larger_picture_is_taken() -> None:
    picture = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    assert np.array_equal(fit(picture, Size(1, 1)), picture[2:3, 2:3])


def test_registries_list_only_folders_with_the_expected_module() -> None:
    assert TARGETS.names() == ("coreai", "coreml", "ncnn", "onnxruntime", "openvino", "tflite")
    assert "passes" not in TARGETS.names(), "a folder without a target.py"

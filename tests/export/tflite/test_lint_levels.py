"""The prediction for each API level, on files of a few operators and on random ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearport.export.tflite.file import FlatFile
from clearport.export.tflite.lint import levels, nnapi
from clearport.export.tflite.tensors import Quant, Tensor

INT8 = Quant((0.5,), -128)
DIMS = (1, 8, 8, 4)
KINDS = {"RELU": 27, "SUB": 29, "QUANTIZE": 30, "GELU": None, "ADD": 27}
"""What the files are made of -> the first API level that takes it in int8."""


def linted(file: FlatFile, folder: Path) -> nnapi.NnapiReport:
    path = folder / "case.tflite"
    first, last = file.tensor("in", DIMS, "int8", INT8, ()), file.tensor("out", DIMS, "int8", INT8, ())
    path.write_bytes(file.to_bytes({"in": first}, {"out": last}, {}))
    return nnapi.lint(path)


def chain(*kinds: str) -> FlatFile:
    file = FlatFile("chain")
    source = file.tensor("t", DIMS, "int8", INT8, ())
    for kind in kinds:
        output = file.tensor("t", DIMS, "int8", INT8, ())
        inputs: list[Tensor] = [source, source] if kind in {"ADD", "SUB"} else [source]
        file.operator(kind, inputs, output)
        source = output
    return file


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=8))
def test_every_level_accounts_for_every_operator(kinds: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    report = linted(chain(*kinds), tmp_path_factory.mktemp("levels"))
    predictions = levels.predict(report)
    assert [p.api_level for p in predictions] == list(range(27, 36))
    for prediction in predictions:
        taken = [(level := KINDS[kind]) is not None and level <= prediction.api_level for kind in kinds]
        assert prediction.operators == len(kinds)
        assert sum(prediction.taken.values()) == sum(taken)
        assert [left.index for left in prediction.left] == [i for i, is_taken in enumerate(taken) if not is_taken]
        assert all(left.reasons and all(left.reasons) for left in prediction.left)
        runs = sum(is_taken and not before for before, is_taken in zip([False, *taken], taken, strict=False))
        assert prediction.partitions == runs


def test_levels_of_the_same_outcome_are_one_line(tmp_path: Path) -> None:
    report = linted(chain("RELU", "SUB", "QUANTIZE"), tmp_path)
    said = levels.describe(levels.predict(report))
    assert said == (
        "NNAPI by API level, predicted: "
        "27 to 28: 1 of 3 operators in one part, not 1 QUANTIZE (QUANTIZE to INT8), 1 SUB (SUB of INT8); "
        "29: 2 of 3 operators in one part, not 1 QUANTIZE (QUANTIZE to INT8); 30 to 35: all 3 operators in one part"
    )


def test_a_level_names_all_that_it_lacks(tmp_path: Path) -> None:
    file = FlatFile("resize")
    source, output = file.tensor("t", DIMS, "int8", INT8, ()), file.tensor("t", (1, 8, 16, 4), "int8", INT8, ())
    size = file.constant("size", np.array([8, 16], np.int32))
    file.operator("RESIZE_BILINEAR", [source, size], output, alignCorners=False, halfPixelCenters=True)
    by_level = {p.api_level: p for p in levels.predict(linted(file, tmp_path))}
    [early], [late] = by_level[28].left, by_level[29].left
    assert set(early.reasons) == {
        "RESIZE_BILINEAR of INT8",
        "half_pixel_centers or align_corners",
        "RESIZE_BILINEAR to another height than width",
    }
    assert late.reasons == ("half_pixel_centers or align_corners",)
    assert by_level[30].left == ()
    assert levels.describe([by_level[28]]).startswith(
        "NNAPI by API level, predicted: 28: none of 1 operators at all, not"
    )

"""Core ML and Core AI beside each other, and what is float in files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clearport.base import Skipped
from clearport.bundle.manifest import ArtifactRecord, LintFinding, Manifest
from clearport.pipeline.lint.artifact import HALF_RULE
from clearport.reports.content import Section
from clearport.reports.page import page
from clearport.reports.tables.apple import apple
from clearport.reports.tables.floats import floats
from clearport.runtime.steps.report import StepsReport

METHOD = "ran on Apple's Core AI runtime for Linux (CPU), its twin for 64x64 pictures"
STEPS = StepsReport(True, METHOD, "photo", 10, 1000, 1, 0, 1, "conv1", 0, 1.0)


@pytest.fixture(scope="module")
def manifest(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    found: Manifest = make_bundle(tmp_path_factory.mktemp("apple") / "bundle").manifest
    return found


@pytest.fixture(scope="module")
def both(manifest: Manifest) -> Manifest:
    """With Core AI files in two precisions, made of the TFLite ones."""
    plain, quantized = (next(a for a in manifest.artifacts if a.key == f"tflite/{p}") for p in ("fp32", "int8"))
    report = replace(quantized.parity, method=METHOD)  # type: ignore[type-var]  # it was measured
    to_pytorch = replace(report, reference="PyTorch fp32", psnr_db=50.8)
    untimed = Skipped("latency", "clearport has no runner that can time coreai files")
    added = (
        plain.model_copy(update={"target": "coreai", "latency": untimed}),
        quantized.model_copy(
            update={
                "target": "coreai",
                "parity": report,
                "cross_checks": (to_pytorch,),
                "steps": (STEPS,),
                "latency": untimed,
            }
        ),
    )
    return manifest.model_copy(update={"artifacts": (*manifest.artifacts, *added)})


def rows(section: Section) -> dict[str, dict[str, str]]:
    (table,) = section.tables
    titles = [column.title for column in table.columns]
    return {
        f"{row[0].text} {row[1].text}": dict(zip(titles, (cell.text for cell in row), strict=True))
        for row in table.rows
    }


def test_one_format_alone_is_not_compared(manifest: Manifest) -> None:
    assert apple(manifest) is None


def test_both_stand_side_by_side_by_precision(both: Manifest) -> None:
    section = apple(both)
    assert section is not None
    assert section in page(both).sections
    found = rows(section)
    assert list(found) == ["fp32 Core ML tensor", "fp32 Core AI", "fp16 Core ML image", "int8 Core AI"]
    assert found["fp32 Core ML tensor"]["Proven by"] == "reference-evaluated"
    assert found["int8 Core AI"]["Proven by"] == METHOD
    assert found["int8 Core AI"]["PSNR to PyTorch"] == "50.8 dB"
    assert found["int8 Core AI"]["To the quantized model"] == "71.9 dB"
    assert found["int8 Core AI"]["int8 steps"] == "all 10 proven separately"
    assert [row["Systems"] for row in found.values()] == [f"from iOS {n} on" for n in ("15", "27", "15", "27")]
    assert "the function “tensors” is run" in section.tables[0].note
    assert "images need CoreVideo, which only Apple's systems have" in section.tables[0].note
    assert "Time, ms" not in found["int8 Core AI"]  # nothing was timed


def test_failed_steps_are_reported(both: Manifest) -> None:
    def fail(a: ArtifactRecord) -> ArtifactRecord:
        return a.model_copy(update={"steps": tuple(replace(s, passed=False) for s in a.steps)})

    section = apple(both.model_copy(update={"artifacts": tuple(map(fail, both.artifacts))}))
    assert section is not None
    assert rows(section)["int8 Core AI"]["int8 steps"] == "not all: see Parity"


def test_float_layers_are_reported_with_their_share(manifest: Manifest) -> None:
    assert manifest.quantization is not None
    mixed = manifest.quantization.model_copy(
        update={
            "islands": {"div1": "Div", "add9": "Add"},
            "float_layers": ("conv9", "add9"),
            "float_share": 0.031,
            "simulated_loss_db": 0.12,
        }
    )
    section = floats(manifest.model_copy(update={"quantization": mixed}))
    assert section.intro == (
        "3 layers of the int8 files are float, with 3.10 % of the multiply-accumulates. From its simulated "
        "error on the calibration photos, int8 is estimated to lose 0.120 dB against ground truth."
    )
    told = {row[0].text: (row[1].text, row[2].text.partition(":")[0]) for row in section.tables[0].rows}
    assert told == {
        "conv9": ("–", "by choice"),
        "add9": ("Add", "by choice"),
        "div1": ("Div", "Div has no int8 form, or its inputs are float already"),
    }


def test_the_absence_of_float_layers_is_reported_too(manifest: Manifest) -> None:
    assert floats(manifest).intro.startswith("No layer of the int8 files is float")
    assert floats(manifest.model_copy(update={"quantization": None})).intro.startswith("Nothing in this bundle")


def test_files_that_compute_in_another_type_are_named(manifest: Manifest) -> None:
    found = LintFinding(level="warning", rule=HALF_RULE, message="in float16 it overflows")
    first = manifest.artifacts[0].model_copy(update={"lint": (found,)})
    (table,) = floats(manifest.model_copy(update={"artifacts": (first, *manifest.artifacts[1:])})).tables
    assert [[cell.text for cell in row] for row in table.rows] == [[first.key, "in float16 it overflows"]]
    assert table.rows[0][1].tone == "bad"

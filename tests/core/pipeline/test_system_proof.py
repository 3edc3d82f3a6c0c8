"""Limits of a system's proof, and outputs that never pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clearport.base import Artifact, Precision, TensorSpec
from clearport.errors import BadInput
from clearport.pipeline.systems import proof, verify
from clearport.pipeline.systems.parts import InFiles
from clearport.programs.program import Crop, Input, Output, Program, Repeat, Run, Table

PROGRAM = Program(
    inputs=(Input(name="x", kind="noise", shape=(1, 3, 32, 32)),),
    outputs=(Output(name="picture", kind="picture", low=-1.0, high=1.0),),
    steps=(Run(part="step", inputs={"x": "x"}, outputs={"y": "picture"}),),
)
STEP = Run(part="step", inputs={"x": "picture"}, outputs={"y": "picture"})
LOOP = PROGRAM.model_copy(update={"steps": (*PROGRAM.steps, Repeat(count=19, state=("picture",), steps=(STEP,)))})
TRUE = np.random.default_rng(0).uniform(-1.0, 1.0, (1, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("precision", "runs", "least"),
    [
        ("fp32", 20, None),
        ("fp16", 1, 55.0),
        ("fp16", 20, 55.0 - 13.0103),
        ("int8-weights", 4, 45.0 - 6.0206),
        ("int8-weights", 20, 35.0),
        ("int8", 1, 35.0),
        ("int8", 20, 35.0),
    ],
)
def test_powers_of_errors_add_up_to_the_limit_of_int8(precision: Precision, runs: int, least: float | None) -> None:
    found = proof.limits_of(precision, PROGRAM.outputs[0], TRUE, runs)
    assert found.min_psnr_db == (None if least is None else pytest.approx(least, abs=1e-3))
    if precision == "fp32":
        assert (found.max_abs, found.min_exact_share) == (1.0, 0.99)


def verdict(off: np.ndarray, precision: Precision) -> bool:
    (report,) = proof.judged(LOOP, {"picture": off}, {"picture": TRUE}, precision, "ran on LiteRT")
    assert report.method == "ran on LiteRT"
    assert report.passed or "picture: " in proof.refusal([report])
    return report.passed


def test_a_whole_is_judged_by_the_pictures_that_are_written() -> None:
    noise = np.random.default_rng(1).standard_normal(TRUE.shape).astype(np.float32)
    assert verdict(TRUE + np.float32(1e-6), "fp32")
    assert not verdict(TRUE + np.float32(0.02), "fp32")
    assert verdict(TRUE + 0.005 * noise, "fp16")
    assert not verdict(TRUE + 0.03 * noise, "fp16")  # 37 dB
    assert verdict(TRUE + 0.02 * noise, "int8")
    assert not verdict(TRUE + 0.1 * noise, "int8")


def test_runs_beside_each_other_ease_no_limit() -> None:
    """Nineteen more runs whose outputs nobody takes: 52 dB would pass behind twenty runs, and not behind one."""
    beside = Repeat(count=19, steps=(STEP.model_copy(update={"outputs": {"y": "unused"}}),))
    program = PROGRAM.model_copy(update={"steps": (*PROGRAM.steps, beside)})
    off = TRUE + 0.005 * np.random.default_rng(1).standard_normal(TRUE.shape).astype(np.float32)
    passed = [proof.judged(each, {"picture": off}, {"picture": TRUE}, "fp16", "")[0].passed for each in (LOOP, program)]
    assert passed == [True, False]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_no_number_and_another_shape_never_pass(precision: Precision) -> None:
    assert not verdict(np.where(TRUE > 0.9, np.nan, TRUE).astype(np.float32), precision)
    assert not verdict(TRUE[:, :, :16], precision)


def test_no_number_in_the_reference_passes_nothing() -> None:
    values = replace_kind(PROGRAM)
    unknown = np.where(TRUE > 0.9, np.nan, TRUE).astype(np.float32)
    for program in (PROGRAM, values):
        (report,) = proof.judged(program, {"picture": TRUE}, {"picture": unknown}, "fp32", "")
        assert report.failures == ("NaN or infinity in the reference",)


def replace_kind(program: Program) -> Program:
    """The same, whose output is no picture."""
    return program.model_copy(update={"outputs": (Output(name="picture", kind="values"),)})


class Part:
    """A part that returns its input."""

    method = "ran on LiteRT"

    def __call__(self, part: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert part == "step"
        return {"y": inputs["x"]}


@pytest.mark.parametrize(
    ("side", "obstacle", "passed"), [(32, "", True), (64, "", False), (32, "nothing here runs it", None)]
)
def test_only_a_part_that_cannot_be_opened_is_undecided(
    monkeypatch: pytest.MonkeyPatch, side: int, obstacle: str, passed: bool | None
) -> None:
    """A program that fails on its golden inputs has failed its proof."""

    @contextmanager
    def opened(*_: object) -> Iterator[Part]:
        if obstacle:
            raise BadInput(obstacle)
        yield Part()

    crop = Crop(out="cut", value="picture", place="place", side=side)
    tables = {"place": Table(shape=(2,), values=(0.0, 0.0))}
    program = PROGRAM.model_copy(update={"steps": (*PROGRAM.steps, crop), "tables": tables})
    system = SimpleNamespace(record=SimpleNamespace(program=program))
    row = SimpleNamespace(key="tflite/fp32", target="tflite", precision="fp32", variant="")
    monkeypatch.setattr(verify, "opened", opened)
    check = verify.whole_again(system, row, {"x": TRUE}, {"picture": TRUE}, 1)  # type: ignore[arg-type]  # records
    assert check.passed is passed
    assert obstacle in check.message


class Doubling:
    """A worker whose file takes and gives a picture in its own range and order of colors."""

    def outputs(self, inputs: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
        assert inputs["image"].dtype == np.uint8
        self.seen = inputs["image"]
        return {names[0]: inputs["image"].astype(np.float32)}


def test_files_with_another_range_and_order_of_colors_get_and_give_what_the_network_does() -> None:
    plain = TensorSpec("image", (1, 3, 2, 2), value_range=(-1.0, 1.0))
    image = TensorSpec("image", (1, 3, 2, 2), "uint8", color="BGR", scale=1.0, zero_point=0)
    given = TensorSpec("out", (1, 3, 2, 2), color="BGR")
    artifact = Artifact("coreml", "fp16", Path(), "", (image,), (given,), {}, "image")
    worker = Doubling()
    contract = {"image": plain, "out": replace(plain, name="out")}
    parts = InFiles({"step": (worker, artifact)}, {"step": contract}, "")  # type: ignore[dict-item]  # no process
    value = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(1, 3, 2, 2)
    np.testing.assert_allclose(parts("step", {"image": value})["out"], value, atol=1.0 / 255.0)
    np.testing.assert_array_equal(worker.seen[0, 2], np.rint((value[0, 0] + 1.0) * 127.5))

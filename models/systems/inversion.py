"""Inversion of a photo in stages, and an edit: codes with which a generator reproduces the photo, moved along a
direction.

    picture ── to 128x128 ── part encode ── codes ── part generate ── made
    picture, made ── part refine ── added to the codes ── part generate ── made      as often as the setting ``stages``
    codes + amount/10 x direction ── part generate ── edited

A direction (1, 12, 512) separates the codes of pictures with and without a property (InterFaceGAN, GANSpace, SeFa); it
is specific to a generator, and zero by default. The program's steps for one picture are those that
``childgan`` takes for two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from clearport.base import Size
from clearport.models import samples
from clearport.models.layers.inversion.stages import SIDE, STYLES
from clearport.models.layers.inversion.stylegan import CODE
from clearport.models.networks.inversion.e2style import PAPER
from clearport.models.system import Part, SystemSpec
from clearport.pictures.images import load_rgb
from clearport.programs.program import Combine, Input, Output, Program, Repeat, Resize, Run, Setting, Term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Float32
    from clearport.models.system import Modules, Tensors
    from clearport.programs.program import Step

PARTS = {
    "encode": Part("e2style", Size(SIDE, SIDE)),
    "refine": Part("e2refine", Size(SIDE, SIDE)),
    "generate": Part("stylegen", Size(SIDE, SIDE)),
}
STAGES = Setting(default=2, low=0, high=4, about="stages after the first")
DIRECTION = Input(
    name="direction", kind="values", shape=(1, STYLES, CODE), default=0.0, about="what the codes are moved along"
)
AMOUNT = Setting(default=10, low=-100, high=100, about="tenths of the direction")
PEOPLE = (
    "Faces of real people: only with the consent of everyone who is shown. A picture that comes out was drawn by a "
    "generator and is no photo of anybody: say so wherever it is shown, and draw no conclusion from it."
)


def photo(name: str) -> Input:
    """An input of a photo, of any size."""
    return Input(
        name=name,
        kind="picture",
        shape=(1, 3, f"{name}_h", f"{name}_w"),
        low=-1.0,
        high=1.0,
        about="what the generator draws, framed as it draws it, and square",
    )


def inverted(picture: str, codes: str, made: str) -> tuple[Step, ...]:
    """Steps that compute the codes of a picture and their reconstruction, under these names."""
    small = f"{picture}_small"
    draw = Run(part="generate", inputs={"codes": codes}, outputs={"picture": made})
    stage = (
        Run(part="refine", inputs={"image": small, "made": made}, outputs={"change": "change"}),
        Combine(out=codes, terms=(Term(value=codes), Term(value="change"))),
        draw,
    )
    return (
        Resize(out=small, value=picture, size=(SIDE, SIDE)),
        Run(part="encode", inputs={"image": small}, outputs={"codes": codes}),
        draw,
        Repeat(count="stages", state=(codes, made), steps=stage),
    )


def moved(codes: str, amount: str) -> tuple[Step, ...]:
    """Steps that move codes along the direction by tenths of it."""
    return (
        Combine(out="strength", terms=(Term(value=amount, times=0.1),)),
        Combine(out=codes, terms=(Term(value=codes), Term(value="direction", times="strength"))),
    )


def program(size: Size) -> Program:
    """The program; all parts have fixed sizes."""
    del size
    return Program(
        inputs=(photo("picture"), DIRECTION),
        outputs=(
            Output(name="edited", kind="picture", low=-1.0, high=1.0),
            Output(name="made", kind="picture", low=-1.0, high=1.0),
            Output(name="codes", kind="values"),
        ),
        settings={"stages": STAGES, "amount": AMOUNT},
        steps=(
            *inverted("picture", "codes", "made"),
            *moved("codes", "amount"),
            Run(part="generate", inputs={"codes": "codes"}, outputs={"picture": "edited"}),
        ),
    )


def codes_of(modules: Modules, picture: torch.Tensor, stages: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The codes of a picture (1, 3, h, w) and their reconstruction, in PyTorch."""
    small = F.interpolate(picture, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    codes = modules["encode"](small)
    made = modules["generate"](codes)
    for _ in range(stages):
        codes = codes + modules["refine"](small, made)
        made = modules["generate"](codes)
    return codes, made


def reference(modules: Modules, inputs: Tensors, settings: Mapping[str, int]) -> Tensors:
    """The same computation in PyTorch."""
    codes, made = codes_of(modules, inputs["picture"], settings["stages"])
    codes = codes + settings["amount"] / 10.0 * inputs["direction"]
    return {"edited": modules["generate"](codes), "made": made, "codes": codes}


def pictures() -> list[Float32]:
    """Square crops of the bundled photos, (1, 3, 160, 160) in -1..1, without faces."""
    photos = [load_rgb(path) for path in (samples.golden(), *samples.calibration())]
    return [(np.float32(2.0 / 255.0) * one[:160, :160].transpose(2, 0, 1)[None] - np.float32(1.0)) for one in photos]


def direction(seed: int) -> Float32:
    """A random direction, with a fifth of the typical distance of codes."""
    return np.float32(0.2) * np.random.default_rng(seed).standard_normal((1, STYLES, CODE), dtype=np.float32)


def examples(size: Size) -> Sequence[Mapping[str, Float32]]:
    """Bundled photos, and random directions."""
    del size
    return [{"picture": one, "direction": direction(number)} for number, one in enumerate(pictures())]


SYSTEM = SystemSpec(
    name="inversion",
    task="inversion",
    about="The codes of a generator that give a picture, found in stages, and the picture moved along a direction.",
    parts=PARTS,
    size=Size(SIDE, SIDE),
    program=program,
    reference=reference,
    examples=examples,
    paper=PAPER,
    notice=PEOPLE,
)

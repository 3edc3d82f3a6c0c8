"""ChildGAN (arXiv 2108.11080) as arithmetic on codes: both parents inverted, their codes mixed, and moved along an age.

    father ── inverted in stages ── codes ──┐
    mother ── inverted in stages ── codes ──┴── mixed, each third in its own share ── + age/10 x direction ── generate

What a generator's styles govern goes from coarse to fine: pose and the shape of a face, its features, its colors. Each
third of the 12 codes has its own share of the father, in hundredths. No code of the paper was found: it fuses semantic
vectors of single features, made orthogonal, by rules of heredity; they belong to one generator and its faces. Here they
are directions that the user brings: orthogonal to each other, added to one, and weighted as the user wants.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from clearport.base import Size
from clearport.model_spec import Paper
from clearport.models.layers.inversion.stages import SIDE, STYLES
from clearport.models.system import SystemSpec
from clearport.models.systems import inversion
from clearport.models.systems.inversion import AMOUNT, DIRECTION, PARTS, PEOPLE, STAGES, inverted, moved, photo
from clearport.programs.program import Channels, Combine, Concat, Output, Program, Run, Setting, Term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Float32
    from clearport.models.system import Modules, Tensors
    from clearport.programs.program import Step

THIRDS = ("shape", "features", "colors")
"""Thirds of the codes, from coarse to fine."""
_EACH = STYLES // len(THIRDS)


def mixed(name: str, first: int) -> tuple[Step, ...]:
    """Steps that mix some codes of both parents by the setting ``name``."""
    ends = {parent: f"{parent}_{name}" for parent in ("father", "mother")}
    return (
        *(Channels(out=end, value=f"{parent}_codes", first=first, count=_EACH) for parent, end in ends.items()),
        Combine(out="share", terms=(Term(value=name, times=0.01),)),
        Combine(out="rest", terms=(Term(value=name, times=-0.01),), plus=1.0),
        Combine(
            out=f"mixed_{name}",
            terms=(Term(value=ends["father"], times="share"), Term(value=ends["mother"], times="rest")),
        ),
    )


def program(size: Size) -> Program:
    """The program; all parts have fixed sizes."""
    del size
    shares = {
        name: Setting(default=50, low=0, high=100, about=f"hundredths of the {name} that are the father's")
        for name in THIRDS
    }
    return Program(
        inputs=(photo("father"), photo("mother"), DIRECTION.model_copy(update={"about": "from older to younger"})),
        outputs=(Output(name="child", kind="picture", low=-1.0, high=1.0), Output(name="codes", kind="values")),
        settings={"stages": STAGES, **shares, "age": AMOUNT},
        steps=(
            *inverted("father", "father_codes", "father_made"),
            *inverted("mother", "mother_codes", "mother_made"),
            *(step for number, name in enumerate(THIRDS) for step in mixed(name, number * _EACH)),
            Concat(out="codes", values=tuple(f"mixed_{name}" for name in THIRDS)),
            *moved("codes", "age"),
            Run(part="generate", inputs={"codes": "codes"}, outputs={"picture": "child"}),
        ),
    )


def reference(modules: Modules, inputs: Tensors, settings: Mapping[str, int]) -> Tensors:
    """The same computation in PyTorch."""
    father, mother = (inversion.codes_of(modules, inputs[name], settings["stages"])[0] for name in ("father", "mother"))
    share = torch.tensor([settings[name] / 100.0 for name in THIRDS]).repeat_interleave(_EACH)[None, :, None]
    codes = mother.lerp(father, share) + settings["age"] / 10.0 * inputs["direction"]
    return {"child": modules["generate"](codes), "codes": codes}


def examples(size: Size) -> Sequence[Mapping[str, Float32]]:
    """Pairs of bundled photos, and random directions."""
    del size
    photos = inversion.pictures()
    return [
        {"father": one, "mother": other, "direction": inversion.direction(number)}
        for number, (one, other) in enumerate(pairwise(photos))
    ]


SYSTEM = SystemSpec(
    name="childgan",
    task="inversion",
    about="A picture between two: both inverted, their codes mixed in three shares, and moved along an age.",
    parts=PARTS,
    size=Size(SIDE, SIDE),
    program=program,
    reference=reference,
    examples=examples,
    paper=Paper("Heredity-aware Child Face Image Generation with Latent Space Disentanglement", "2108.11080"),
    notice=f"{PEOPLE} It does not predict what anybody's children look like.",
)

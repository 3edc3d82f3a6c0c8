"""SinDiffusion as a system: noise to a picture like the photo on which ``sinstep`` was trained, in 20 steps of DDIM.

Deterministic DDIM (arXiv 2010.02502): in each iteration the network predicts the noise in x, the picture without it is
clipped to -1..1, and the next x is that picture with less of the same noise. With a the picture's share of the variance
in x, and b that of the next iteration,

    picture = clip((x - sqrt(1 - a) noise) / sqrt(a))
    x = sqrt(b) picture + sqrt(1 - b) (x - sqrt(a) picture) / sqrt(1 - a)

so that an iteration is two sums with factors from a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from clearport.base import Size
from clearport.models.degradations.diffusion import WIDTH
from clearport.models.layers.diffusion import STEPS, embedding, kept
from clearport.models.networks.generation import sinstep
from clearport.models.system import Part, SystemSpec
from clearport.programs.program import Combine, Input, Output, Program, Repeat, Run, Table, Term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, Float32
    from clearport.models.system import Modules, Tensors

ROUNDS = 20


def times(rounds: int) -> list[int]:
    """The used steps of the schedule, from noise to picture."""
    return [round(step) for step in np.linspace(STEPS - 1, 0, rounds)]


def program(size: Size) -> Program:
    """The loop; its factors are computed in float64."""
    steps = times(ROUNDS)
    a = kept().astype(np.float64)[steps]
    b = np.append(a[1:], 1.0)
    back = np.sqrt((1.0 - b) / (1.0 - a))
    factors = {
        "of_noisy": 1.0 / np.sqrt(a),
        "of_noise": -np.sqrt((1.0 - a) / a),
        "next_clean": np.sqrt(b) - np.sqrt(a) * back,
        "next_noisy": back,
    }
    tables = {name: _table(values) for name, values in factors.items()}
    tables["times"] = _table(np.stack([embedding(step, WIDTH) for step in steps]))
    body = (
        Run(part="step", inputs={"noisy": "picture", "time": "time"}, outputs={"noise": "noise"}),
        Combine(
            out="clean", terms=(Term(value="picture", times="p"), Term(value="noise", times="q")), low=-1.0, high=1.0
        ),
        Combine(out="picture", terms=(Term(value="clean", times="r"), Term(value="picture", times="s"))),
    )
    rows = {"time": "times", "p": "of_noisy", "q": "of_noise", "r": "next_clean", "s": "next_noisy"}
    return Program(
        inputs=(
            Input(
                name="picture",
                kind="noise",
                shape=(1, 3, size.height, size.width),
                about="noise of unit variance; it determines the picture",
            ),
        ),
        outputs=(Output(name="picture", kind="picture", low=-1.0, high=1.0),),
        tables=tables,
        steps=(Repeat(count=ROUNDS, each=rows, state=("picture",), steps=body),),
    )


def _table(values: Array) -> Table:
    return Table(shape=values.shape, values=tuple(float(np.float32(value)) for value in values.reshape(-1)))


def reference(modules: Modules, inputs: Tensors, settings: Mapping[str, int]) -> Tensors:
    """DDIM in the notation of its paper."""
    del settings
    x, shares = inputs["picture"], torch.from_numpy(kept())
    steps = times(ROUNDS)
    for number, step in enumerate(steps):
        now = shares[step]
        after = shares[steps[number + 1]] if number + 1 < len(steps) else torch.tensor(1.0)
        noise = modules["step"](x, torch.from_numpy(embedding(step, WIDTH)))
        picture = ((x - (1.0 - now).sqrt() * noise) / now.sqrt()).clamp(-1.0, 1.0)
        noise = (x - now.sqrt() * picture) / (1.0 - now).sqrt()
        x = after.sqrt() * picture + (1.0 - after).sqrt() * noise
    return {"picture": x}


def examples(size: Size) -> Sequence[Mapping[str, Float32]]:
    """Noise."""
    return [
        {"picture": np.random.default_rng(seed).standard_normal((1, 3, size.height, size.width), dtype=np.float32)}
        for seed in range(3)
    ]


SYSTEM = SystemSpec(
    name="sindiffusion",
    task="generation",
    about="Pictures like its single training photo, from noise in 20 steps of DDIM.",
    parts={"step": Part("sinstep")},
    size=Size(128, 128),
    program=program,
    reference=reference,
    examples=examples,
    paper=sinstep.SPEC.paper,
)

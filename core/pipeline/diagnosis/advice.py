"""Diagnosis of a layer's error, with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.runtime.steps.report import MOST_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.bundle.diagnosis import Layer, Seen

_FEW = 0.5
"""Share of a layer's channels below which they are named: what concerns more concerns the layer."""
_SHOWN = 8

_ROUNDING = (
    "the runtime's kernel rounds twice or in fixed point: nothing is wrong with the file. If the end suffers, use "
    "another delegate or runtime, or keep the layer in float"
)
_CHANNELS = (
    "these channels' weights, scales or bias in the file are not those of the scale table: export again; if that does "
    "not help, the target's writer is wrong for this operator"
)
_LAYER = (
    "it is another layer: a kernel or axis transposed, another padding or stride, another layer's weights, or another "
    "scale of its input or output. Export again; if that does not help, the target's writer is wrong for this "
    "operator, or the runtime computes it otherwise"
)


def advise(seen: Seen, layer: Layer, others: Sequence[str]) -> tuple[str, str]:
    """Why a layer deviates from the reference, and a remedy; ``others`` are runtimes in which it does not."""
    operators = " and ".join(layer.operators)
    same = f" ({', '.join(others)}: no error there)" if others else ""
    if seen.levels <= MOST_LEVELS:
        return (
            f"{operators}: {seen.off:.2%} of the values are rounded to a neighboring level, and are no ties{same}",
            _ROUNDING,
        )
    if seen.channels and len(seen.channels) <= _FEW * layer.shape[1]:
        named = ", ".join(map(str, seen.channels[:_SHOWN])) + (" ..." if len(seen.channels) > _SHOWN else "")
        return (
            f"{operators}: channels {named} are up to {seen.levels} levels off, all others are right{same}",
            _CHANNELS,
        )
    return (
        f"{operators}: {seen.differing:.1%} of the values are wrong, by up to {seen.levels} levels{same}",
        _LAYER,
    )

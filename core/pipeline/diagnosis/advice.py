"""Diagnosis of a layer's error, with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.runtime.steps.report import MOST_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.bundle.diagnosis import Layer, Seen

_FEW = 0.5
"""Maximum share of a layer's channels that are listed; above it the error is the whole layer's."""
_SHOWN = 8

_ROUNDING = (
    "the runtime's kernel rounds twice or in fixed point: the file is right. If the output suffers, use another "
    "delegate or runtime, or keep the layer in float"
)
_CHANNELS = (
    "these channels' weights, scales or bias in the file differ from the scale table: export again; if that does not "
    "help, the target's writer has a bug in this operator"
)
_LAYER = (
    "it computes something else: a transposed kernel or axis, another padding or stride, another layer's weights, or "
    "a wrong input or output scale. Export again; if that does not help, the target's writer or the runtime has a "
    "bug in this operator"
)


def advise(seen: Seen, layer: Layer, others: Sequence[str]) -> tuple[str, str]:
    """Why a layer deviates from the reference, and a remedy; ``others`` are runtimes in which it does not."""
    operators = " and ".join(layer.operators)
    same = f" ({', '.join(others)}: no error there)" if others else ""
    if seen.levels <= MOST_LEVELS:
        return (
            f"{operators}: {seen.off:.2%} of the values are rounded to a neighboring level without being ties{same}",
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

"""NEGCUT's generator, 24 wide: see ``negcut``."""

from __future__ import annotations

from dataclasses import replace

from clearport.models.networks.translation import negcut


def build(scale: int) -> negcut.Negcut:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return negcut.Negcut(24, negcut.BLOCKS).eval()


SPEC = replace(negcut.SPEC, name="negcutwide", build=build)

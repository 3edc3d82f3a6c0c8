"""The analysis of a network as an editable contract file, and as JSON values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import TensorSpec
    from clearport.pipeline.sources.foreign import Description


def text(found: Description) -> str:
    """The text of a contract file; comments say how each fact was determined."""
    traits = found.traits
    lines = [f'name = "{traits.name}"', f'task = "{traits.task}"', f"license = {json.dumps(traits.license)}", ""]
    for what, specs in (("inputs", traits.inputs), ("outputs", traits.outputs)):
        for spec in specs:
            lines += [f"[[{what}]]", *_lines(spec), ""]
    lines += ["[tiles]", *(f"{key} = {json.dumps(value)}" for key, value in _tiles(found).items()), ""]
    return "\n".join([*(f"# {key}: {why}" for key, why in found.how.items()), *lines])


def _lines(spec: TensorSpec) -> list[str]:
    shape = " x ".join(map(str, spec.shape))
    return [f"# {shape}, {spec.dtype}", *(f"{key} = {json.dumps(value)}" for key, value in _said(spec).items())]


def _said(spec: TensorSpec) -> Mapping[str, Any]:
    said: Mapping[str, Any] = {
        "name": spec.name,
        "kind": spec.kind,
        "color": spec.color if spec.is_picture else None,
        "range": list(spec.value_range) if spec.value_range else None,
        "mean": list(spec.mean) or None,
        "std": list(spec.std) or None,
        "measure": spec.measure,
    }
    return {key: value for key, value in said.items() if value is not None}


def _tiles(found: Description) -> Mapping[str, Any]:
    traits = found.traits
    return {
        "halo": traits.halo,
        "whole_picture": traits.whole_picture,
        "multiple": traits.size_multiple,
        "least_side": traits.least_side,
    }


def values(found: Description) -> dict[str, Any]:
    """The same as JSON values, with shapes."""
    traits = found.traits
    ends = {
        key: [{"shape": list(spec.shape), "dtype": spec.dtype, **_said(spec)} for spec in specs]
        for key, specs in (("inputs", traits.inputs), ("outputs", traits.outputs))
    }
    return {
        "name": traits.name,
        "task": traits.task,
        "license": traits.license,
        "scale": str(traits.scale),
        "crop": traits.crop,
        "size": None if traits.size is None else str(traits.size),
        **ends,
        "tiles": _tiles(found),
        "found": dict(found.how),
    }

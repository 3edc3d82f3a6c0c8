"""Matches the tensors of a file to a network; on failure, explains the differences and suggests a network that fits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clearport.errors import ClearportError
from clearport.model_spec import ModelSpec
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    import torch

    from clearport.models.importers.checkpoint import Opened

    State = Mapping[str, torch.Tensor]

_MOST_LISTED = 4
_COUNTED = "num_batches_tracked"
"""Batch normalization's counter, not needed for inference; old files lack it."""


@dataclass(frozen=True)
class Reading:
    """One way to read a file for a network.

    Attributes:
        tensors: tensors by the network's names, as far as known.
        importer: description of the importer that recognized the file; empty for unchanged names.
        place: description of the tensors' location in the file.
        others: locations of tensors that fit as well but were not used.
    """

    tensors: State
    importer: str
    place: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fit:
    """How tensors fit a network; ``shared`` is the number of tensors with matching name and shape."""

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    shapes: tuple[str, ...]
    infinite: tuple[str, ...]
    shared: int

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, unexpected or of another shape."""
        return not (self.missing or self.unknown or self.shapes or self.infinite)

    def wrong(self) -> str:
        """A description of all mismatches, with the first few names."""
        parts = [
            _listed(self.missing, "is missing", "missing"),
            _listed(self.unknown, "is unknown", "unknown"),
            _listed(self.shapes, "", "of other shapes"),
            _listed(self.infinite, "has values that are not finite", "not finite"),
        ]
        return "; ".join(part for part in parts if part)


def _listed(names: Sequence[str], says: str, kind: str) -> str:
    named = ", ".join(f"{name} {says}".strip() for name in names[:_MOST_LISTED])
    more = f" and {len(names) - _MOST_LISTED} more ({len(names)} {kind})" if len(names) > _MOST_LISTED else ""
    return f"{named}{more}"


def readings(spec: ModelSpec, scale: int, opened: Opened) -> Iterator[Reading]:
    """Every way to read a file as weights of a network, preferred first."""
    for source in opened.sources:
        place = source.named.place if source.named is not None else ""
        for importer in spec.importers:
            found = importer(source, scale)
            if found is not None:
                yield Reading(found, f"{importer.__name__.replace('_', ' ')}", place)
        if source.tensors is not None:
            yield Reading(source.tensors, "", place)


def best(ways: Iterator[Reading], own: State) -> tuple[Reading, Fit] | None:
    """The first reading that completely fits ``own`` (a network's state dict), else the nearest; None without any."""
    judged = [(way, fit_of(way.tensors, own)) for way in ways]
    whole = [way for way, fit in judged if fit.complete]
    if whole:
        others = dict.fromkeys(way.place or "its outermost tensors" for way in whole[1:] if way.place != whole[0].place)
        return replace(whole[0], others=tuple(others)), fit_of(whole[0].tensors, own)
    return max(judged, key=lambda one: _nearness(one[1]), default=None)


def _nearness(fit: Fit) -> tuple[int, int, int]:
    return fit.shared, len(fit.shapes), -len(fit.unknown)


def fit_of(state: State, own: State) -> Fit:
    """How ``state`` fits a network whose state dict is ``own``."""
    import torch

    shared = [key for key in own if key in state]
    alike = [key for key in shared if state[key].shape == own[key].shape]
    others = [key for key in shared if state[key].shape != own[key].shape]
    return Fit(
        missing=tuple(key for key in own if key not in state and not key.endswith(_COUNTED)),
        unknown=tuple(key for key in state if key not in own and not key.endswith(_COUNTED)),
        shapes=tuple(f"{key} is {list(state[key].shape)} instead of {list(own[key].shape)}" for key in others),
        infinite=tuple(key for key in shared if not torch.isfinite(state[key]).all()),
        shared=len(alike),
    )


def completed(state: State, own: State) -> State:
    """``state`` (which fits) with exactly the counters of ``own``."""
    return {key: state.get(key, value) for key, value in own.items()}


def what_fits(opened: Opened, spec: ModelSpec, scale: int) -> str:
    """The scale of the network, or the other network, that the file fits, as the end of a message; may be empty."""
    scales = [other for other in spec.scales if other != scale and _fits(opened, spec, other)]
    if scales:
        return f". These are weights of {spec.name} x{scales[0]}: add --scale {scales[0]}"
    for name in NETWORKS.names():
        other: ModelSpec = NETWORKS.get(name)
        found = [n for n in other.scales if other.name != spec.name and _fits(opened, other, n)]
        if found:
            return f". They fit {other.name} x{found[0]}"
    return ""


def _fits(opened: Opened, spec: ModelSpec, scale: int) -> bool:
    try:
        found = best(readings(spec, scale, opened), _shapes(spec, scale))
    except ClearportError:  # the importer recognized the format, but refused this file
        return False
    return found is not None and found[1].complete


def _shapes(spec: ModelSpec, scale: int) -> State:
    """The state dict of a fresh network."""
    import torch

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        built: Any = spec.build(scale)
    state: State = built.state_dict()
    return state

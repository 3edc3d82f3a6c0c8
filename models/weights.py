"""Weights on disk: the bundled ones, the user's own, and published files in foreign formats.

Weights are written as safetensors with string metadata (``network``, ``scale``, ...) and a card, a JSON object, beside
it (``<name>.json``). Files are read by ``checkpoint``, with the network's names or those of one of its importers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.base import Task
from clearport.disk.files import file_sha256, write_bytes, write_text
from clearport.disk.json_files import read_json
from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import knobs, modes
from clearport.models.importers import checkpoint
from clearport.models.importers import fit as weights_fit
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    import torch
    from torch import nn

State = Mapping[str, "torch.Tensor"]

_FOLDER = Path(__file__).parent / "weights"
_MOST_NAMED = 4
SHARED: frozenset[Task] = frozenset({"watermarking", "matting", "inversion"})
"""Tasks whose networks share a weights file; networks of other tasks need not be imported for that."""


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, in eval mode.

    Attributes:
        module: the ``torch.nn.Module``.
        sha256: checksum of the weights file.
        source: description of the weights for a report.
        card: the file's card (training, data and license, quality), or its metadata; may be empty.
    """

    module: nn.Module
    sha256: str
    source: str
    card: Mapping[str, Any]


@dataclass(frozen=True)
class Read:
    """Tensors by a network's names, and their source.

    Attributes:
        tensors: by name, for ``load_state_dict`` if all fit.
        opened: the file.
        reading: how it was read.
    """

    tensors: State
    opened: checkpoint.Opened
    reading: weights_fit.Reading

    @property
    def words(self) -> str:
        """The format of the file, its used tensors, and others that would have fit as well."""
        reading = self.reading
        form = reading.importer or self.opened.form
        place = f", its {reading.place}" if reading.place else ""
        others = f", preferred to {', '.join(reading.others)}" if reading.others else ""
        return f"{form}{place}{others}"


@dataclass(frozen=True)
class Start:
    """Initial weights of a training: ``words`` describe the file; ``taken`` and ``fresh`` are names of tensors."""

    words: str
    taken: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        if not self.fresh:
            return f"starts from {self.words}: all {len(self.taken)} tensors"
        named = ", ".join(self.fresh[:_MOST_NAMED]) + (", ..." if len(self.fresh) > _MOST_NAMED else "")
        return f"starts from {self.words}: {len(self.taken)} tensors; {len(self.fresh)} stay fresh ({named})"


def bundled_path(spec: ModelSpec, scale: int) -> Path:
    """The path of a network's bundled weights, which need not exist."""
    return _FOLDER / f"{spec.family}_x{scale}.safetensors"


def card_path(weights: Path) -> Path:
    """The path of the card of a weights file."""
    return weights.with_suffix(".json")


def checked_scale(spec: ModelSpec, scale: int | None) -> int:
    """``scale``, or the network's default for None.

    Raises:
        BadInput: the network cannot be built for it.
    """
    chosen = spec.default_scale if scale is None else scale
    if chosen not in spec.scales:
        known = ", ".join(str(s) for s in spec.scales)
        raise BadInput(f"--scale {chosen}: {spec.name} supports {known}")
    return chosen


def load(spec: ModelSpec, scale: int, path: Path | None = None) -> Loaded:
    """Build the network and fill it from ``path``, or from the bundled weights for None.

    Raises: BadInput: the file is missing, damaged, a pickle with more than tensors, of an unknown format, or does not
        fit the network (the message names keys and shapes). Or the network is built in training mode with an effect.
    """
    checked_scale(spec, scale)
    if path is None and not bundled_path(spec, scale).is_file():
        raise BadInput(f"no bundled weights for {spec.name} x{scale}: {how_to_get(spec)}")
    file = path or bundled_path(spec, scale)
    module: nn.Module = spec.build(scale)
    found = read(spec, scale, file, module.state_dict())
    metadata = found.opened.metadata
    module.load_state_dict(dict(found.tensors))
    knobs.turn(module, spec, knobs.from_metadata(spec, metadata))
    modes.check_eval(module, spec.name)
    source = f"bundled weights of {spec.name} x{scale}" if path is None else f"{file.name} ({found.words})"
    return Loaded(module.eval(), file_sha256(file), source, read_card(file) or metadata)


def how_to_get(spec: ModelSpec) -> str:
    """Remedy for a network without bundled weights."""
    train = f"train them: clearport train {spec.family} --data PHOTOS --out {spec.family}.safetensors"
    return f"give published ones with --weights FILE ({spec.published}), or {train}" if spec.published else train


def save(path: Path, module: nn.Module, network: str, scale: int, metadata: Mapping[str, str]) -> None:
    """Write the state dict of ``module`` as safetensors; the same weights and metadata give the same bytes.

    Raises:
        BadInput: the path cannot be written.
    """
    save_state(path, module.state_dict(), network, scale, metadata)


def save_state(path: Path, state: State, network: str, scale: int, metadata: Mapping[str, str]) -> None:
    """``save`` for tensors by name.

    Raises:
        BadInput: the place cannot be written.
    """
    words = {"format": "pt", "network": network, "scale": str(scale), **metadata}
    write_bytes(path, _to_safetensors(state, words))


def _to_safetensors(state: State, metadata: Mapping[str, str]) -> bytes:
    """The safetensors format, float32 only. The safetensors package shuffles the metadata from run to run."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    data = bytearray()
    for key, value in sorted(state.items()):
        begin = len(data)
        data += value.detach().float().contiguous().numpy().astype("<f4").tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of 8 bytes
    return struct.pack("<Q", len(text)) + text + bytes(data)


def save_card(weights: Path, card: Mapping[str, Any]) -> None:
    """Write the card of a weights file beside it."""
    write_text(card_path(weights), json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def start_from(module: nn.Module, spec: ModelSpec, scale: int, path: Path, *, partial: bool = False) -> Start:
    """Load initial weights into ``module``, with the readers and importers of ``load``.

    Args:
        module: the network at ``scale``, with fresh weights; changed in place.
        spec: the network.
        scale: its scale.
        path: the file.
        partial: load tensors with matching name and shape from weights of the network at any scale, and leave the rest
            fresh. Tensors of other networks are never loaded.

    Raises:
        BadInput: the file cannot be read, or does not fit (completely, unless ``partial``).
    """
    own = module.state_dict()
    try:
        found = read(spec, scale, path, own)
        taken = dict(found.tensors)
    except BadInput as error:
        if not partial:
            raise BadInput(f"{error}; to load only the fitting tensors, add --start-partial") from error
        found = _nearest_scale(spec, scale, path)
        taken = {key: value for key, value in found.tensors.items() if key in own and own[key].shape == value.shape}
    module.load_state_dict({**own, **taken})
    return Start(f"{path.name} ({found.words})", tuple(taken), tuple(key for key in own if key not in taken))


def _nearest_scale(spec: ModelSpec, scale: int, path: Path) -> Read:
    """The weights in ``path``, read for the scale of the network that they fit completely, else for this scale.

    Raises:
        BadInput: the file cannot be read.
    """
    opened = checkpoint.opened(path)
    if opened.metadata.get("network", spec.name) != spec.name:
        raise BadInput(f"{path}: weights of {opened.metadata['network']}; expected those of {spec.name}")
    for other in spec.scales:
        readings = weights_fit.readings(spec, other, opened)
        best = weights_fit.best(readings, spec.build(other).state_dict())
        if best is not None and best[1].complete:
            return Read(best[0].tensors, opened, best[0])
    best = weights_fit.best(weights_fit.readings(spec, scale, opened), spec.build(scale).state_dict())
    hint = weights_fit.what_fits(opened, spec, scale)
    if best is None or not best[1].shared or hint:
        raise BadInput(f"{path}: none of its tensors fits this network{hint}")
    return Read(best[0].tensors, opened, best[0])


def read(spec: ModelSpec, scale: int, path: Path, own: State) -> Read:
    """The tensors in ``path`` by the network's names and shapes (those of ``own``, its state dict).

    Raises:
        BadInput: as for ``load``.
    """
    opened = checkpoint.opened(path)
    _check_metadata(opened.metadata, spec, scale, path)
    best = weights_fit.best(weights_fit.readings(spec, scale, opened), own)
    if best is None:
        raise BadInput(f"{path}: not a known weights file; expected safetensors or a PyTorch state dict")
    reading, fit = best
    if not fit.complete:
        hint = weights_fit.what_fits(opened, spec, scale)
        raise BadInput(f"{path}: does not fit {spec.name} x{scale}: {fit.wrong()}{hint}")
    return Read(weights_fit.completed(reading.tensors, own), opened, reading)


def _check_metadata(metadata: Mapping[str, str], spec: ModelSpec, scale: int, path: Path) -> None:
    network, found = metadata.get("network", spec.name), metadata.get("scale", str(scale))
    if network in {spec.name, *_partners(spec)} and found == str(scale):
        return
    advice = f"; add --scale {found}" if network == spec.name else ""
    raise BadInput(f"{path}: weights of {network} x{found}, expected those of {spec.name} x{scale}{advice}")


def _partners(spec: ModelSpec) -> list[str]:
    """The networks of the same task that share its weights file."""
    names = NETWORKS.names() if spec.task in SHARED else ()
    return [name for name in names if NETWORKS.get(name).family == spec.family]


def read_card(weights: Path) -> dict[str, Any]:
    """The card beside a weights file; empty if there is none.

    Raises:
        BadInput: it is not a JSON object.
    """
    path = card_path(weights)
    if not path.is_file():
        return {}
    card = read_json(path, f"readable JSON, the card of {weights.name}")
    if not isinstance(card, dict):
        raise BadInput(f"{path}: the card of {weights.name} should be a JSON object")
    return card

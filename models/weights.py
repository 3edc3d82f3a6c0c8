"""Weights on disk: the bundled ones, the user's own, and published files in foreign formats.

What is written is safetensors with string metadata (``network``, ``scale``, ...) and a card, a JSON object, beside
it (``<name>.json``). What is read is told apart by content, never by suffix: safetensors, a PyTorch archive (read
with ``weights_only=True``, so that nothing in it is run), or whatever an importer of the network recognises.
"""

from __future__ import annotations

import json
import pickle
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.base import BadInput, ModelSpec
from clearport.files import explain, file_sha256, write_bytes, write_text
from clearport.json_files import read_json
from clearport.models import knobs

if TYPE_CHECKING:
    import torch
    from torch import nn

State = Mapping[str, "torch.Tensor"]

_FOLDER = Path(__file__).parent / "weights"
_ZIP_MAGIC = b"PK\x03\x04"
_MOST_LISTED = 4


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, in eval mode.

    Attributes:
        module: the ``torch.nn.Module``.
        sha256: of the weights file.
        source: what the weights are, in words for a report.
        card: the file's card (training, data and its terms, quality), or what its metadata says; may be empty.
    """

    module: nn.Module
    sha256: str
    source: str
    card: Mapping[str, Any]


def bundled_path(spec: ModelSpec, scale: int) -> Path:
    """Where the bundled weights of a network are, whether they exist or not."""
    return _FOLDER / f"{spec.name}_x{scale}.safetensors"


def card_path(weights: Path) -> Path:
    """Where the card of a weights file is."""
    return weights.with_suffix(".json")


def checked_scale(spec: ModelSpec, scale: int | None) -> int:
    """``scale``, or the network's default for None.

    Raises:
        BadInput: the network cannot be built for it.
    """
    chosen = spec.default_scale if scale is None else scale
    if chosen not in spec.scales:
        known = ", ".join(str(s) for s in spec.scales)
        raise BadInput(f"--scale {chosen}: {spec.name} is made for {known}")
    return chosen


def load(spec: ModelSpec, scale: int, path: Path | None = None) -> Loaded:
    """Build the network and fill it from ``path``, or from the bundled weights for None.

    Raises:
        BadInput: the file is missing, is damaged, holds a pickle that is more than tensors, is of no format
            that is known, or does not fit the network; the message names the keys and shapes that do not.
    """
    checked_scale(spec, scale)
    if path is None and not bundled_path(spec, scale).is_file():
        raise BadInput(f"there are no bundled weights of {spec.name} x{scale}: {how_to_get(spec)}")
    file = path or bundled_path(spec, scale)
    state, form, metadata = read(spec, scale, file)
    _check_metadata(metadata, spec, scale, file)
    module: nn.Module = spec.build(scale)
    _check_fit(state, module.state_dict(), f"{spec.name} x{scale}", file)
    module.load_state_dict(dict(state))
    knobs.turn(module, spec, knobs.from_metadata(spec, metadata))
    source = f"bundled weights of {spec.name} x{scale}" if path is None else f"{file.name} ({form})"
    return Loaded(module.eval(), file_sha256(file), source, read_card(file) or metadata)


def how_to_get(spec: ModelSpec) -> str:
    """What to do where a network has no bundled weights."""
    train = f"train them: clearport train {spec.name} --data PHOTOS --out {spec.name}.safetensors"
    return f"give published ones with --weights FILE ({spec.published}), or {train}" if spec.published else train


def save(path: Path, module: nn.Module, network: str, scale: int, metadata: Mapping[str, str]) -> None:
    """Write the state dict of ``module`` as safetensors; the same weights and metadata give the same bytes.

    Raises:
        BadInput: the place cannot be written.
    """
    words = {"format": "pt", "network": network, "scale": str(scale), **metadata}
    write_bytes(path, _to_safetensors(module.state_dict(), words))


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


def start_from(module: nn.Module, path: Path) -> tuple[str, ...]:
    """Fill those tensors of ``module`` that the file has in the same shape; returns the keys that stay fresh.

    Raises:
        BadInput: the file cannot be read, or nothing in it fits.
    """
    state, _ = _read_plain(path)
    own = module.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise BadInput(f"{path}: none of its tensors fits this network, so there is nothing to start from")
    module.load_state_dict({**own, **fitting})
    return tuple(key for key in own if key not in fitting)


def read(spec: ModelSpec, scale: int, path: Path) -> tuple[State, str, Mapping[str, str]]:
    """The state dict in ``path`` in the network's own key names, the name of its format, and its metadata.

    Raises:
        BadInput: as for ``load``.
    """
    if not path.is_file():
        raise BadInput(f"{path}: expected a weights file, and there is none at this path")
    for importer in spec.importers:
        found = importer(path, scale)
        if found is not None:
            return found, importer.__name__.replace("_", " "), {}
    state, metadata = _read_plain(path)
    return state, "safetensors" if is_safetensors(path) else "PyTorch state dict", metadata


def _read_plain(path: Path) -> tuple[State, Mapping[str, str]]:
    if not path.is_file():
        raise BadInput(f"{path}: expected a weights file, and there is none at this path")
    if is_safetensors(path):
        return _read_safetensors(path)
    return read_pytorch(path), {}


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as safetensors do: the length of a JSON object, then that object."""
    head = _head(path, 9)
    return len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] < 100_000_000


def _head(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise explain(error, path) from error


def _read_safetensors(path: Path) -> tuple[State, Mapping[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise BadInput(f"{path}: damaged or truncated safetensors file ({error}); fetch or train it again") from error


def is_pytorch(path: Path) -> bool:
    """Whether the file begins as a PyTorch archive or as a pickle."""
    head = _head(path, 4)
    return head == _ZIP_MAGIC or (head[:1] == b"\x80" and not is_safetensors(path))


def read_pytorch(path: Path) -> State:
    """The state dict of a ``.pth`` file, also where it is wrapped as ``state_dict``, ``params`` or ``model``.

    Raises:
        BadInput: it is no PyTorch file, is damaged, or holds anything but tensors.
    """
    if not is_pytorch(path):
        raise BadInput(f"{path}: not a weights file that is known; expected safetensors or a PyTorch state dict")
    return _unwrapped(open_archive(path), path)


def open_archive(path: Path) -> Any:
    """What ``torch.save`` wrote to ``path``: tensors, numbers, strings and containers of them, and nothing that runs.

    Raises:
        BadInput: it is damaged, or a pickle of something else.
    """
    import torch

    try:
        with path.open("rb") as file, warnings.catch_warnings():  # given a path, torch would go by its suffix
            warnings.simplefilter("ignore")  # about pickles that torch did not write, which it then refuses
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"{path}: a pickle that is more than tensors, which could run code, or a damaged one; it was not opened. "
            "Save only the state dict: torch.save(model.state_dict(), path), or as safetensors"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, IndexError) as error:
        why = (str(error).splitlines() or ["it ends too early"])[0]
        raise BadInput(f"{path}: damaged or truncated PyTorch file ({why})") from error


def _unwrapped(found: Any, path: Path) -> State:
    import torch

    for key in ("state_dict", "params_ema", "params", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise BadInput(f"{path}: expected a state dict (names and tensors), found {type(found).__name__}")
    return {str(key): value for key, value in found.items()}


def _check_metadata(metadata: Mapping[str, str], spec: ModelSpec, scale: int, path: Path) -> None:
    wanted = {"network": spec.name, "scale": str(scale)}
    for key, value in wanted.items():
        if metadata.get(key, value) != value:
            found = f"{metadata.get('network', '?')} x{metadata.get('scale', '?')}"
            raise BadInput(f"{path}: weights of {found}, expected those of {spec.name} x{scale}")


def _check_fit(state: State, own: State, network: str, path: Path) -> None:
    """Raises BadInput unless names, shapes and values fit."""
    import torch

    wrong = [f"{key} is missing" for key in own if key not in state]
    wrong += [f"{key} is unknown" for key in state if key not in own]
    shared = [key for key in own if key in state]
    wrong += [
        f"{key} is {list(state[key].shape)} instead of {list(own[key].shape)}"
        for key in shared
        if state[key].shape != own[key].shape
    ]
    wrong += [f"{key} holds numbers that are not finite" for key in shared if not torch.isfinite(state[key]).all()]
    if wrong:
        more = f" and {len(wrong) - _MOST_LISTED} more" if len(wrong) > _MOST_LISTED else ""
        raise BadInput(f"{path}: does not fit {network}: {'; '.join(wrong[:_MOST_LISTED])}{more}")


def read_card(weights: Path) -> dict[str, Any]:
    """The card beside a weights file; empty where there is none.

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

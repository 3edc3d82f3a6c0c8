"""Reads any weights file as named tensors, without its containers and prefixes.

Formats are detected by content, not by suffix: safetensors, or a PyTorch archive, read with ``weights_only=True``, so
that no code in it is run. Trainers put tensors into containers (``state_dict``, ``params_ema``, ``netG``, ...), and
wrappers add prefixes to names (``module.`` of DataParallel, ``_orig_mod.`` of ``torch.compile``, ``model.`` of
Lightning). This module lists the sets of tensors in a file, moving averages first, since authors publish and measure
these; ``models/importers/fit.py`` decides which of them matches a network.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.disk.files import explain
from clearport.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    State = Mapping[str, torch.Tensor]

_ZIP_MAGIC = b"PK\x03\x04"
_AVERAGES = "params_ema ema state_dict_ema model_ema ema_model ema_state_dict generator_ema netG_ema net_g_ema g_ema"
_AVERAGES += " net_ema shadow best average"
_PLAIN = "params state_dict model_state_dict model_state model network net generator netG net_g g weights module"
_CONTAINERS = {name: rank for rank, name in enumerate((*_AVERAGES.split(), "", *_PLAIN.split()))}
"""Container -> rank, lower is preferred; the empty name stands for tensors outside containers."""

_WRAPPERS = "ema_model. model_ema. ema. generator_ema. netG_ema. net_ema. "
_WRAPPERS += "module. model. net. network. generator. netG. net_g."
_COUNTERS = frozenset({"total_ops", "total_params", "n_averaged", "_extra_state"})
"""Names of counters that thop and averaged models store with the weights."""

ATTACHED = "clearport.int8:"
"""What the names of tensors begin with that are no weights of a network (``models.attached``)."""

_DEEPEST = 5
_MOST_SETS = 200
_MOST_PARTS = 4
"""Maximum number of name prefixes of a file with several networks; with more, it is one network."""


@dataclass(frozen=True)
class Named:
    """One set of tensors of a file.

    Attributes:
        tensors: by name, without wrappers and counters.
        place: description of its location in the file; empty if the file has nothing else.
    """

    tensors: State
    place: str = ""


@dataclass(frozen=True)
class Source:
    """The input of an importer: one way to read a weights file.

    Attributes:
        path: the file.
        named: a set of its tensors; None for other formats, which the importer reads from ``path``.
    """

    path: Path
    named: Named | None = None

    @property
    def tensors(self) -> State | None:
        """The named tensors, or None."""
        return None if self.named is None else self.named.tensors


@dataclass(frozen=True)
class Opened:
    """A weights file: ``sources`` are the ways to read it, preferred first; at least one."""

    form: str
    metadata: Mapping[str, str]
    sources: tuple[Source, ...]


def opened(path: Path) -> Opened:
    """Open a weights file.

    Raises:
        BadInput: the file is missing or damaged, has no tensors, or is a pickle of more than tensors.
    """
    if not path.is_file():
        found = "this is a folder: name the file in it" if path.is_dir() else "there is none at this path"
        raise BadInput(f"{path}: expected a weights file, and {found}")
    if is_safetensors(path):
        state, metadata = read_safetensors(path)
        plain = {key: value for key, value in state.items() if not key.startswith(ATTACHED)}
        words = {key: value for key, value in metadata.items() if key != ATTACHED}
        return Opened("safetensors", words, _sources(path, plain))
    if is_pytorch(path):
        return Opened("PyTorch state dict", {}, _sources(path, open_archive(path)))
    _check_download(path)
    return Opened("", {}, (Source(path),))


def _check_download(path: Path) -> None:
    """Refuse files that a failed download leaves in place of weights.

    Raises:
        BadInput: it is a Git LFS pointer or a web page.
    """
    head = _head(path, 512).lstrip()
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise BadInput(f"{path}: a Git LFS pointer, not the weights: fetch them with 'git lfs pull'")
    if re.match(rb"(<!--.*?-->\s*)?<(!doctype html|html)\b", head, re.IGNORECASE | re.DOTALL):
        raise BadInput(
            f"{path}: a web page instead of weights, such as a login or confirmation page: open the link in a "
            "browser, and save the file itself"
        )


def _sources(path: Path, found: Any) -> tuple[Source, ...]:
    sets = []
    for held in _containers(found, ""):
        odd = [key for key, value in held.tensors.items() if not _is_plain(value)]
        if odd:
            raise BadInput(f"{path}: {odd[0]} is sparse, quantized, complex or without data; save plain float tensors")
        sets += list(_unwrapped(held))
    if not sets:
        raise BadInput(f"{path}: expected a state dict (names and tensors), found {_described(found)}")
    return tuple(Source(path, named) for named in sets[:_MOST_SETS])


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether it is dense, real and has data."""
    import torch

    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
    return plain and tensor.device.type == "cpu"


def _described(found: Any) -> str:
    if isinstance(found, Mapping) and found:
        return "none in " + ", ".join(sorted(str(key) for key in found)[:8])
    return type(found).__name__


def _containers(found: Any, place: str, depth: int = 0) -> Iterator[Named]:
    """Every mapping with tensors in ``found``, preferred first."""
    import torch

    if not isinstance(found, Mapping) or depth > _DEEPEST:
        return
    tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    inner = {str(key): value for key, value in found.items() if isinstance(value, Mapping)}
    for name in sorted((*inner, ""), key=lambda name: _CONTAINERS.get(name, len(_CONTAINERS))):
        if name:
            yield from _containers(inner[name], f"{place}/{name}" if place else name, depth + 1)
        elif tensors:
            yield Named(_without_counters(tensors), place)


def _without_counters(state: State) -> State:
    return {key: value for key, value in state.items() if key.rpartition(".")[2] not in _COUNTERS}


def _unwrapped(named: Named, depth: int = 0) -> Iterator[Named]:
    """``named`` as it is, then without wrappers' prefixes, in any nesting."""
    tensors = _renamed(named.tensors, "_orig_mod.", "")
    yield Named(tensors, named.place)
    if depth < _DEEPEST:
        for wrapper in _wrappers_of(tensors):
            inner = {key.removeprefix(wrapper): value for key, value in tensors.items() if key.startswith(wrapper)}
            if inner:
                yield from _unwrapped(Named(inner, f"{named.place} {wrapper}*".strip()), depth + 1)
    if any(".module." in key for key in tensors):
        yield Named(_renamed(tensors, ".module.", "."), named.place)


def _wrappers_of(tensors: State) -> list[str]:
    """Prefixes of known wrappers, then any common prefix of all names or of one part of the file."""
    known = _WRAPPERS.split()
    first = dict.fromkeys(f"{key.partition('.')[0]}." for key in tensors if "." in key)
    shared = [word for word in first if word not in known and len(first) <= _MOST_PARTS]
    return known + shared


def _renamed(state: State, old: str, new: str) -> State:
    """``state`` with the prefix ``old`` replaced by ``new``; unchanged if names would collide."""
    changed = {key.replace(old, new): value for key, value in state.items()}
    return changed if len(changed) == len(state) else state


def is_safetensors(path: Path) -> bool:
    """Whether the file begins like safetensors: the length of a JSON object, then that object."""
    head = _head(path, 9)
    return len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] < 100_000_000


def _head(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise explain(error, path) from error


def read_safetensors(path: Path) -> tuple[State, Mapping[str, str]]:
    """All tensors of a safetensors file, and its metadata.

    Raises:
        BadInput: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise BadInput(f"{path}: damaged or truncated safetensors file ({error}); fetch or train it again") from error


def is_pytorch(path: Path) -> bool:
    """Whether the file begins like a PyTorch archive or a pickle."""
    head = _head(path, 4)
    return head == _ZIP_MAGIC or (head[:1] == b"\x80" and not is_safetensors(path))


def open_archive(path: Path) -> Any:
    """Load a file of ``torch.save``: tensors, numbers, strings and containers of them; no code is run.

    Raises:
        BadInput: it is damaged, or a pickle of other objects.
    """
    import torch

    try:
        with path.open("rb") as file, warnings.catch_warnings():  # given a path, torch would use its suffix
            warnings.simplefilter("ignore")  # warnings about pickles not written by torch, which it then refuses
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"{path}: a pickle with more than tensors{_culprit(error)}, which could run code, or a damaged one; it "
            "was not opened. Save only the state dict: torch.save(model.state_dict(), path), or as safetensors"
        ) from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise BadInput(
                f"{path}: a TorchScript program, which is code and was not opened. "
                "Save the state dict: torch.save(model.state_dict(), path), or as safetensors"
            ) from error
        why = (str(error).splitlines() or ["it ends too early"])[0]
        raise BadInput(f"{path}: damaged or truncated PyTorch file ({why})") from error
    except (OSError, EOFError, ValueError, KeyError, AttributeError, IndexError, TypeError) as error:
        why = (str(error).splitlines() or ["it ends too early"])[0]
        raise BadInput(f"{path}: damaged or truncated PyTorch file ({why})") from error


def _culprit(error: Exception) -> str:
    """The class that PyTorch refused to load, from its message."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({found[1]})" if found else ""

"""The contract of a user's network, for facts that cannot be measured: a small TOML file, or equivalent options.

``clearport inspect`` prints the measured contract as such a file. Everything in it is optional; its statements are
trusted, and everything else is measured. The schema is ``contract.schema.json``, made by ``schema()``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clearport.base import Kind, Measure, Task, TensorSpec
from clearport.disk.json_files import read_bytes, schema_text
from clearport.errors import BadInput
from clearport.model_spec import Paper

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_ID = "https://clearport.invalid/contract-1.schema.json"
Number = Annotated[float, Field(allow_inf_nan=False)]
Span = tuple[Number, Number]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ends(_Part):
    """An input or output.

    ``range``: values of black and full intensity. ``mean`` and ``std``: per channel, if the network expects
    ``(value - mean) / std``; its exported files then include that and accept plain pictures.
    """

    name: str
    kind: Kind | None = None
    color: Literal["RGB", "BGR", "RGBA", "BGRA", "Y", "YA", "RAW", ""] | None = None
    range: Span | None = None
    mean: tuple[Number, ...] = ()
    std: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()
    measure: Measure | None = None


class PaperTold(_Part):
    """The paper of the architecture: arXiv identifier or DOI."""

    title: str
    arxiv: str


class Tiles(_Part):
    """How pictures may be tiled: see ``ModelSpec``."""

    halo: Annotated[int, Field(ge=0, le=4096)] | None = None
    whole_picture: bool | None = None
    multiple: Annotated[int, Field(ge=1, le=1024)] | None = None
    least_side: Annotated[int, Field(ge=1, le=4096)] | None = None


class Contract(_Part):
    """The declared facts about a network."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] | None = None
    task: Task | None = None
    license: str | None = None
    paper: PaperTold | None = None
    inputs: tuple[Ends, ...] = ()
    outputs: tuple[Ends, ...] = ()
    tiles: Tiles = Tiles()


def read(path: Path) -> Contract:
    """Read a contract file.

    Raises:
        BadInput: it is missing, is not TOML, or has unknown fields.
    """
    try:
        return Contract.model_validate(tomllib.loads(read_bytes(path).decode("utf-8")))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5]]
        raise BadInput(f"{path}: not a contract: {'; '.join(found)}; 'clearport inspect' prints a valid one") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise BadInput(f"{path}: not a TOML file: {error}") from error


def merged(file: Contract, told: Contract) -> Contract:
    """A contract file merged with options; an input or output without a name in ``told`` is the first picture."""
    said = {key: value for key, value in told if key not in {"inputs", "outputs"} and value not in {None, Tiles()}}
    ends = {key: _merged(getattr(file, key), getattr(told, key)) for key in ("inputs", "outputs")}
    return file.model_copy(update={**said, **ends})


def _merged(file: Sequence[Ends], told: Sequence[Ends]) -> tuple[Ends, ...]:
    found = {end.name: end for end in file}
    for end in told:
        first = end.name or next(iter(found), "")
        given = {key: value for key, value in end.model_dump(exclude_defaults=True).items() if key != "name"}
        found[first] = found.get(first, Ends(name=first)).model_copy(update=given)
    return tuple(found.values())


def applied(specs: Sequence[TensorSpec], ends: Sequence[Ends], what: str) -> tuple[TensorSpec, ...]:
    """Inputs or outputs with the contract's declarations; one without a name is the first picture, else the first
    tensor.

    Raises:
        BadInput: unknown name, or a declaration that contradicts the shape.
    """
    known = {spec.name: spec for spec in specs}
    for end in ends:
        name = end.name or next((s.name for s in specs if s.is_picture), specs[0].name)
        if name not in known:
            raise BadInput(f"the contract names {what} {name!r} (available: {', '.join(known)})")
        known[name] = _with(known[name], end)
    return tuple(known.values())


def _with(spec: TensorSpec, end: Ends) -> TensorSpec:
    kind = end.kind or spec.kind
    given: dict[str, Any] = {"kind": kind}
    if end.range is not None:
        if not end.range[0] < end.range[1]:
            raise BadInput(f"{spec.name}: range {end.range}: expected two ascending numbers")
        given["value_range"] = end.range
    elif kind != spec.kind:
        given["value_range"] = (0.0, 1.0) if kind == "picture" else None
    for key in ("color", "measure"):
        if getattr(end, key) is not None:
            given[key] = getattr(end, key)
    for key in ("mean", "std"):
        values = getattr(end, key)
        if values and len(values) != (spec.channels or 0):
            raise BadInput(f"{spec.name}: {key} has {len(values)} values for {spec.channels} channels")
        if values:
            given[key] = values
    return replace(spec, **given)


def paper_of(contract: Contract) -> Paper | None:
    """The paper that a contract names."""
    return Paper(contract.paper.title, contract.paper.arxiv) if contract.paper else None


def schema() -> str:
    """The JSON schema of contract files; ``make schemas`` writes it again."""
    return schema_text(Contract, SCHEMA_ID, "Contract of a network of the user's")

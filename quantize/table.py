"""The scale table as a JSON file; floats come back exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from clearport.disk.files import write_text
from clearport.disk.json_files import read_model
from clearport.errors import BadInput
from clearport.quantized import QParams, ScaleTable

VERSION = 1


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: list[float]
    zero_point: int
    dtype: Literal["int8", "int32"]
    axis: int | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["clearport scale table"]
    version: Literal[1]
    calibration: dict[str, Any]
    tensors: dict[str, _Entry]


def dumps(table: ScaleTable) -> str:
    """The table as text: one line per tensor, in the graph's order."""
    head = {"format": "clearport scale table", "version": VERSION, "calibration": dict(table.calibration)}
    lines = ",\n".join(
        f"    {json.dumps(name)}: {_Entry(**_fields(params)).model_dump_json()}"
        for name, params in table.entries.items()
    )
    return f'{json.dumps(head, indent=2)[:-2]},\n  "tensors": {{\n{lines}\n  }}\n}}\n'


def _fields(params: QParams) -> dict[str, Any]:
    return {"scale": list(params.scale), "zero_point": params.zero_point, "dtype": params.dtype, "axis": params.axis}


def save(path: Path, table: ScaleTable) -> None:
    """Write the table, atomically.

    Raises:
        BadInput: the path cannot be written.
    """
    write_text(path, dumps(table))


def load(path: Path) -> ScaleTable:
    """Read a table.

    Raises:
        BadInput: the file is missing, is not a scale table, has another version, or has an invalid entry.
    """
    try:
        content = read_model(path, _File, f"a scale table of version {VERSION}")
        entries = {name: QParams(tuple(e.scale), e.zero_point, e.dtype, e.axis) for name, e in content.tensors.items()}
    except ValueError as error:
        raise BadInput(f"{path}: not a valid scale table: {error}") from error
    return ScaleTable(entries, content.calibration)

"""The file of ``clearport bench --json`` as frozen pydantic models: one file for all devices, with raw samples.

An unknown field, a missing field and a value of another type are errors. Missing measurements are a ``Skipped`` with a
reason; every other cell has a ``kind``: ``measured``, ``compiler-estimate`` or ``simulated``. The JSON schema for other
languages is ``core/bundle/bench.schema.json``, made by ``schema()``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from clearport.base import Skipped
from clearport.bundle.fields import Count, Finite, Latency, ParityCell, ScaleField, Sha256, SkippedCell, Text
from clearport.disk.files import write_text
from clearport.disk.json_files import read_model, schema_text
from clearport.disk.ours import read_json
from clearport.errors import BadInput
from clearport.runtime.devices.device import EstimateReport, SimulatedReport, Unit
from clearport.runtime.latency.compare import Outcome
from clearport.runtime.latency.conditions import Conditions

SCHEMA_VERSION: Literal[2] = 2
SCHEMA_ID = "https://clearport.invalid/bench-2.schema.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


def _kind(value: Any) -> str:
    if isinstance(value, Skipped) or (isinstance(value, Mapping) and "reason" in value):
        return "skipped"
    found = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return str(found)


DeviceCell = Annotated[
    Annotated[Latency, Tag("measured")]
    | Annotated[EstimateReport, Tag("compiler-estimate")]
    | Annotated[SimulatedReport, Tag("simulated")]
    | SkippedCell,
    Discriminator(_kind),
]


class BenchedModel(_Record):
    """The network whose artifacts were measured, and its input size (``size``, HEIGHTxWIDTH in pixels)."""

    name: Text
    scale: ScaleField
    size: Text
    input_size: Text
    macs: Count
    weights_sha256: Sha256


class BenchPlan(_Record):
    """The measurement settings; see ``LatencyPlan``."""

    threads: Annotated[int, Field(ge=1)]
    runs: Annotated[int, Field(ge=1)]
    seconds: Annotated[Finite, Field(ge=0)]
    sustained_s: Annotated[Finite, Field(ge=0)] = 0.0
    pin: tuple[Count, ...] = ()


class BenchedDevice(_Record):
    """A device, its self-reported facts, temperature and load; ``lost`` is the reason if it was lost."""

    address: Text
    facts: Mapping[str, Any]
    before: Conditions
    after: Conditions
    lost: str | None = None


class BenchRow(_Record):
    """The result of one artifact on one unit of one device by one runner.

    ``sha256`` is that of the artifact; ``golden`` compares the device's output for the golden picture with the expected
    one.
    """

    device: Text
    artifact: Text
    sha256: str
    unit: Unit
    runner: str
    cell: DeviceCell
    golden: ParityCell

    @property
    def key(self) -> str:
        """``device artifact unit runner``, unique in a record."""
        return " ".join((self.device, self.artifact, self.unit, self.runner))


class Comparison(_Record):
    """A row against the row of an older record; see ``clearport.runtime.latency.compare.Verdict``."""

    device: Text
    artifact: Text
    unit: Unit
    runner: str
    outcome: Outcome
    ratio: Finite | None
    low: Finite | None
    high: Finite | None
    basis: str
    why: str


class Compared(_Record):
    """The result of ``bench --compare``; ``created`` is the time of the older record.

    ``max_slowdown`` is the gate, if any, and ``failures`` the rows that fail it. ``missing`` are rows of the older
    record without a counterpart.
    """

    created: Text
    same_model: bool
    comparisons: tuple[Comparison, ...]
    missing: tuple[str, ...]
    max_slowdown: Finite | None = None
    failures: tuple[str, ...] = ()


class BenchRecord(_Record):
    """The whole file."""

    schema_version: Literal[2] = SCHEMA_VERSION
    clearport: Text
    created: Text
    model: BenchedModel
    plan: BenchPlan
    devices: tuple[BenchedDevice, ...]
    rows: tuple[BenchRow, ...]
    compared: Compared | None = None

    def to_json(self) -> str:
        """The text of the file."""
        plain = self.model_dump(mode="json")
        return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write ``to_json`` to a file, atomically."""
        write_text(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> BenchRecord:
        """Read a file that ``clearport bench --json`` wrote.

        Raises:
            BadInput: it is not one.
        """
        if not os.path.lexists(path):
            raise BadInput(f"{path}: no such file")
        noted = read_json(path)
        if isinstance(noted, dict) and "clearport" in noted and "error" in noted:
            raise BadInput(f"{path}: the run that wrote it has no rows: {noted['error']}")
        return read_model(path, cls, f"a record of 'clearport bench --json' of version {SCHEMA_VERSION}")


def schema() -> str:
    """The JSON schema, as the text of ``core/bundle/bench.schema.json``; ``make schemas`` writes it again."""
    return schema_text(BenchRecord, SCHEMA_ID, "Record of clearport bench")

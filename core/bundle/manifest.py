"""``manifest.json`` of a bundle as frozen pydantic models.

Rules for the whole file:

- An unknown field, a missing field and a value of another type are errors.
- Missing measurements are a ``Skipped`` with a reason, never a null and never a pass.
- Values that vary between runs on the same inputs are in ``latency``, ``host``, ``devices`` and ``device_rows``;
  ``replays`` differ from machine to machine.
- Paths are relative, with ``/``, and stay inside the bundle.

The JSON schema for other languages is ``core/bundle/manifest.schema.json``, made by ``schema()``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearport.base import Kind, Precision, Skipped, Task
from clearport.bundle.bench_record import BenchedDevice, BenchRow
from clearport.bundle.fields import (
    MOST_SIDE,
    Count,
    Finite,
    LatencyCell,
    ParityCell,
    RelativePath,
    ScaleField,
    Sha256,
    Specs,
    Text,
    Versions,
)
from clearport.bundle.files import ONNX_NETWORK, WEIGHTS
from clearport.bundle.replays import ReplayRecord
from clearport.disk.json_files import schema_text
from clearport.runtime.parity import ParityReport, Tolerance
from clearport.runtime.steps.report import StepsReport

if TYPE_CHECKING:
    from clearport.model_spec import Paper

SCHEMA_VERSION: Literal[1] = 1
SCHEMA_ID = "https://clearport.invalid/manifest-1.schema.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class PaperRecord(_Record):
    """Where the architecture comes from."""

    title: Text
    arxiv: Text
    url: Text

    @classmethod
    def of(cls, paper: Paper) -> PaperRecord:
        """What a network says of its source."""
        return cls(title=paper.title, arxiv=paper.arxiv, url=paper.url)


class ModelRecord(_Record):
    """The network and its weights.

    ``reference`` is the file of the bundle with the network itself, the reference of all artifacts, and
    ``weights_sha256`` its checksum. ``params`` is the number of parameters, ``macs`` the multiply-accumulates for one
    input of ``macs_size`` (HEIGHTxWIDTH in pixels). ``size`` is the input size that the artifacts were made for, or
    ``dynamic``; height and width are multiples of ``size_multiple``. ``halo`` is the number of input pixels on each
    side that an output pixel depends on; ``whole_picture`` says that it depends on all of them (null: written before
    that was recorded). An output side is ``scale`` times the input's less ``crop`` pixels, which windows without
    padding leave out of both borders together. ``card`` describes the training of the weights, if known.
    """

    name: Text
    task: Task
    scale: ScaleField
    params: Count
    macs: Count
    macs_size: Annotated[str, Field(pattern=r"^\d{1,5}x\d{1,5}$")]
    weights_sha256: Sha256
    reference: RelativePath = WEIGHTS
    license: Text
    paper: PaperRecord | None = None
    halo: Annotated[int, Field(ge=0, le=MOST_SIDE)]
    whole_picture: bool | None = None
    size_multiple: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    size: Annotated[str, Field(pattern=r"^(\d{1,5}x\d{1,5}|dynamic)$")]
    card: Mapping[str, Any] | None = None
    crop: Annotated[int, Field(ge=-MOST_SIDE, le=MOST_SIDE)] = 0

    @property
    def from_onnx(self) -> bool:
        """Whether the network itself is an ONNX file rather than a PyTorch file."""
        return self.reference == ONNX_NETWORK

    @property
    def itself(self) -> str:
        """The name of the network's format in tables."""
        return "the ONNX file" if self.from_onnx else "PyTorch"


class PixelContract(_Record):
    """Inputs and outputs of the float network; each artifact has its own ``inputs`` and ``outputs``."""

    inputs: Specs
    outputs: Specs


class LintFinding(_Record):
    """A remark on a file's accelerator support."""

    level: Literal["note", "warning", "error"]
    rule: Text
    message: Text
    layer: str = ""


class ArtifactRecord(_Record):
    """A file (or a folder such as an .mlpackage) of the bundle, and its proofs.

    ``sha256`` is that of the file, or of the sorted listing of the folder; ``bytes`` sums all of its files.
    ``cross_checks`` are further parities: by other runtimes, to other references, on the probe. ``steps`` are proofs of
    an int8 file's steps, by each runtime that shows the tensors inside. ``replays`` are the proven outputs, with the
    conditions under which they must be reproduced.
    """

    target: Text
    precision: Precision
    variant: str = ""
    path: RelativePath
    sha256: Sha256
    bytes: Count
    inputs: Specs
    outputs: Specs
    tool_versions: Versions
    parity: ParityCell
    cross_checks: tuple[ParityCell, ...] = ()
    latency: LatencyCell
    lint: tuple[LintFinding, ...] = ()
    replays: tuple[ReplayRecord, ...] = ()
    steps: tuple[StepsReport, ...] = ()

    @property
    def key(self) -> str:
        """``target/precision[/variant]``, unique in a bundle."""
        return "/".join(filter(None, (self.target, self.precision, self.variant)))

    @property
    def parities(self) -> tuple[ParityReport, ...]:
        """Every measured parity."""
        return tuple(p for p in (self.parity, *self.cross_checks) if isinstance(p, ParityReport))

    def holds(self, path: str) -> bool:
        """Whether a path of the bundle is this artifact's file, or is in its folder."""
        return path == self.path or path.startswith(f"{self.path}/")


class GoldenRecord(_Record):
    """A tensor that proves an artifact: an input or an expected output.

    ``float`` is PyTorch's output and ``int8`` that of the quantized reference; ``tensor`` is the name of the input or
    output (empty: the only one), ``kind`` what it is. Pictures are uint8, as PNG; pictures with more than four
    channels (H, W, C) and other tensors (real values in the network's shape) are in a safetensors file under ``name``.
    ``input`` names the first input of the sample that it belongs to. ``tolerances`` has one entry per artifact key that
    is judged against it; ``protocol`` names its PSNR. ``values`` is a safetensors file of the bundle: under ``name``,
    PyTorch's output in 8-bit levels before rounding and clipping, float32 (pixels, C), at the pixels that
    ``clearport.runtime.parity.positions`` gives; ``value_tolerances`` are those of real values.
    """

    name: Text
    path: RelativePath
    sha256: Sha256
    role: Literal["input", "float", "int8"]
    protocol: str = ""
    tolerances: Mapping[str, Tolerance] = Field(default_factory=dict)
    input: Text = "input"
    values: RelativePath | None = None
    value_tolerances: Mapping[str, Tolerance] = Field(default_factory=dict)
    tensor: str = ""
    kind: Kind = "picture"


class QuantizationRecord(_Record):
    """Provenance of the scale table. ``table`` and ``reference`` are files of the bundle.

    ``islands`` are the nodes that stay float because their operator has no int8 form (node -> operator),
    ``float_layers`` those that stay float because int8 loses too much there; ``float_share`` is their share (0..1) of
    the multiply-accumulates. ``simulated_psnr_db`` is int8 to float on held-out photos, ``simulated_loss_db`` what that
    is estimated to cost against ground truth (null: not known, or no output is a picture).
    """

    scheme: Text
    calibrator: Text
    islands: dict[str, str] = {}
    float_layers: tuple[str, ...] = ()
    float_share: Annotated[Finite, Field(ge=0, le=1)] | None = None
    simulated_psnr_db: float | None = None
    simulated_loss_db: Finite | None = None
    images: Annotated[int, Field(ge=1)]
    images_sha256: Sha256
    table: RelativePath
    reference: RelativePath


class QualityRecord(_Record):
    """One figure against ground truth. ``subject`` is an artifact key or ``pytorch``.

    ``change`` is the difference to PyTorch fp32 in the same metric, ``passed`` whether a gate held (null: no gate).
    """

    subject: Text
    data: Text
    images: Annotated[int, Field(ge=1)]
    metric: Text
    protocol: Text
    unit: str
    value: Finite
    change: Finite | None = None
    passed: bool | None = None


class BaselineRecord(_Record):
    """PyTorch itself on the same input, timed in the same interleaved run as the artifacts."""

    runtime: Text
    version: Text
    latency: LatencyCell


class HostRecord(_Record):
    """The machine that made the bundle and measured the latencies, and when (``created``, ISO 8601 in UTC)."""

    cpu: str
    cores: Count
    governor: str | None
    load_start: Finite | None
    load_end: Finite | None
    memory_mib: Count
    machine: str
    system: str
    python: str
    created: Text


class Manifest(_Record):
    """``manifest.json``. ``files`` has the SHA-256 of every file but itself, SHA256SUMS and the reports.

    ``device_rows`` are the results of ``clearport bench --record`` on ``devices``.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    model: ModelRecord
    pixel_contract: PixelContract
    artifacts: tuple[ArtifactRecord, ...]
    skipped: tuple[Skipped, ...]
    goldens: tuple[GoldenRecord, ...]
    quantization: QuantizationRecord | None
    quality: tuple[QualityRecord, ...] = ()
    baseline: BaselineRecord
    tool_versions: Versions
    host: HostRecord
    devices: tuple[BenchedDevice, ...] = ()
    device_rows: tuple[BenchRow, ...] = ()
    files: Mapping[RelativePath, Sha256] = Field(default_factory=dict)

    def failures(self) -> list[str]:
        """Every failed check, one sentence each; empty if all passed."""
        parity = [
            f"{a.key}: parity failed ({p.method}): {'; '.join(p.failures) or 'outside its tolerance'}"
            for a in self.artifacts
            for p in a.parities
            if not p.passed
        ]
        quality = [
            f"{q.subject}: {q.metric} on {q.data} is {q.value:g} {q.unit}".rstrip() + ", outside the gate"
            for q in self.quality
            if q.passed is False
        ]
        return parity + quality


def to_json(manifest: Manifest) -> str:
    """The manifest as the text of ``manifest.json``: sorted keys, two spaces, one newline at the end."""
    plain = manifest.model_dump(mode="json")
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> str:
    """The JSON schema of ``manifest.json``; ``make schemas`` writes it again."""
    return schema_text(Manifest, SCHEMA_ID, "Manifest of a clearport bundle")

"""What ``clearport serve`` offers to a page, and what a page may send back: every field checked, every size bounded.

``runtime/web/src/wire.ts`` is the other end.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clearport.base import Skipped, TensorSpec
from clearport.programs.program import Program
from clearport.runtime.latency.stats import Ratio
from clearport.runtime.parity import Tolerance

SCHEMA_VERSION: Literal[1] = 1
MOST_SAMPLES = 5000

Unit = Literal["cpu", "gpu", "npu"]
Backend = Literal["wasm", "webgpu", "webnn"]
Runner = Literal["litert-js", "onnxruntime-web"]

Word = Annotated[str, Field(max_length=120)]
Text = Annotated[str, Field(max_length=2000)]
Ms = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Words = Annotated[dict[Word, Word], Field(max_length=16)]
Counts = Annotated[dict[Word, Count], Field(max_length=200)]
Samples = Annotated[tuple[Ms, ...], Field(max_length=MOST_SAMPLES)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class Plan(_Wire):
    """How to measure; see ``clearport.runtime.latency.record.LatencyPlan``.

    ``at_once`` candidates are loaded together at most and take turns. ``max_seconds`` is of each of them; it ends the
    rounds once there are ``least_rounds``.
    """

    rounds: int
    least_rounds: int
    runs: int
    warmup: int
    min_seconds: float
    max_seconds: float
    threads: int
    timeout_s: float
    at_once: int


class Judge(_Wire):
    """A golden picture at its address, and how far an output may be from it."""

    golden: str
    tolerance: Tolerance


class Candidate(_Wire):
    """One artifact in one runtime on one backend. Addresses are relative to the page's own.

    ``golden`` is the picture that its output is judged by, within ``tolerance``; ``others`` judge it, too. Where
    ``input_url`` is there, the raw tensor at that address goes in instead of the golden input, and the raw output is
    sent to ``output_url``.
    ``baseline`` is the key of the candidate that its time is put in relation to.
    """

    key: str
    artifact: str
    sha256: str
    runner: Runner
    unit: Unit
    backend: Backend
    url: str
    bytes: int
    input: TensorSpec
    output: TensorSpec
    golden: str | None = None
    tolerance: Tolerance | None = None
    others: tuple[Judge, ...] = ()
    input_url: str | None = None
    output_url: str | None = None
    baseline: str | None = None


class TilingRules(_Wire):
    """How pictures are cut; see ``clearport.runtime.tiling.Tiling``."""

    scale: int
    halo: int
    multiple: int
    whole_pixels: int


class PartFile(_Wire):
    """The file of a system's part at its address, and its tensors."""

    url: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Way(_Wire):
    """The files of all parts of a system for one target and precision, in one runtime on one backend.

    ``limits``: output of the program -> how far it may be from the golden one.
    """

    key: str
    artifact: str
    runner: Runner
    unit: Unit
    backend: Backend
    parts: dict[str, PartFile]
    limits: dict[str, Tolerance]


class SystemOffer(_Wire):
    """Several networks and the program that runs them, for photos of ``most_pixels``.

    ``golden`` is the address of a safetensors file with the inputs and outputs of the proof.
    """

    program: Program
    golden: str
    notice: str
    most_pixels: int
    ways: tuple[Way, ...]


class Offer(_Wire):
    """What a page has to run, and what the same device sent before (``done``: key -> row).

    A ``system`` is offered without candidates: the page runs it, and sends nothing back.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    title: str
    about: str
    whole_picture: bool = False
    tiling: TilingRules
    plan: Plan
    candidates: tuple[Candidate, ...]
    left_out: tuple[Skipped, ...] = ()
    golden_input: str | None = None
    automatic: bool = False
    done: dict[str, StoredRow] = Field(default_factory=dict)
    system: SystemOffer | None = None


class DeviceFacts(_Wire):
    """What a device and its browser say of themselves. ``missing``: capability -> why it is not there."""

    user_agent: Annotated[str, Field(max_length=500)]
    browser: Word
    platform: Word
    model: Word
    mobile: bool
    cores: Annotated[int, Field(ge=1, le=4096)]
    memory_gib: Annotated[float, Field(ge=0, le=1e6)] | None
    screen: Word
    gpu: Annotated[str, Field(max_length=300)] | None
    gpu_emulated: Annotated[str, Field(max_length=350)] | None
    battery: Word | None
    secure: bool
    isolated: bool
    wasm_threads: bool
    jspi: bool
    webgpu: bool
    webnn: bool
    clock_step_ms: Ms
    missing: Annotated[dict[Word, Text], Field(max_length=16)]

    @property
    def title(self) -> str:
        """``Pixel 8, Chrome 142``: what people call it."""
        return ", ".join(filter(None, (self.model or self.platform, self.browser)))


class ParityFigures(_Wire):
    """The output against a golden picture, both 8 bits; ``psnr_db`` and ``sqnr_db`` are None where they are equal.

    See ``clearport.runtime.parity.ParityReport``; the last three are None in records of earlier versions.
    """

    psnr_db: Annotated[float, Field(ge=0, le=200)] | None
    max_abs: Annotated[float, Field(ge=0, le=255)]
    mean_lsb: Annotated[float, Field(ge=0, le=255)]
    exact_share: Annotated[float, Field(ge=0, le=1)]
    block_lsb: Annotated[float, Field(ge=0, le=255)] | None = None
    grid_lsb: Annotated[float, Field(ge=0, le=255)] | None = None
    sqnr_db: Annotated[float, Field(ge=-200, le=200)] | None = None


class Reference(_Wire):
    """The candidate ``key`` took turns with the one of a row: its samples in the same rounds, as many in each."""

    key: Word
    samples_ms: Samples


class MeasuredRow(_Wire):
    """A candidate that ran.

    ``samples_ms`` holds ``runs_per_round`` samples of each round; it is empty where the unit is ``emulated``: its clock
    is no latency. ``others`` are the figures of the candidate's other judges,
    in their order. ``clock_step_ms`` is the smallest step of the browser's clock; a sample is the mean of
    ``inferences_per_sample``. ``heap_mib`` is the size of the WebAssembly heap, which never shrinks.
    """

    outcome: Literal["measured"]
    key: Word
    runtime_versions: Words
    unit_ran: Word
    threads: Annotated[int, Field(ge=1, le=4096)]
    init_ms: Ms
    first_inference_ms: Ms
    warmup: Annotated[int, Field(ge=1, le=10**6)]
    runs_per_round: Annotated[int, Field(ge=1, le=10**6)]
    inferences_per_sample: Annotated[int, Field(ge=1, le=10**6)]
    samples_ms: Samples
    clock_step_ms: Ms
    heap_mib: Annotated[float, Field(ge=0, le=1e6)] | None
    emulated: Annotated[str, Field(max_length=350)] | None
    operators_per_unit: Annotated[dict[Word, Counts], Field(max_length=8)]
    parity: ParityFigures | None
    others: Annotated[tuple[ParityFigures, ...], Field(max_length=8)] = ()
    reference: Reference | None = None
    facts: Annotated[dict[Word, str | float | bool], Field(max_length=16)]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if self.reference is not None:
            counts = {len(self.samples_ms), len(self.reference.samples_ms)}
            if len(counts) > 1 or not self.samples_ms or len(self.samples_ms) % self.runs_per_round:
                raise ValueError("the samples of the row and of its reference are not of the same rounds")
        return self


class SkippedRow(_Wire):
    """A candidate that did not run, and why."""

    outcome: Literal["skipped"]
    key: Word
    reason: Text


SentRow = Annotated[MeasuredRow | SkippedRow, Field(discriminator="outcome")]


class _Kept(_Wire):
    """What the server adds: of which file the row is, when it came (ISO 8601, UTC), and whether it is as it must be."""

    sha256: Word
    received: Word
    passed: bool | None
    failures: tuple[str, ...]


class StoredMeasured(MeasuredRow, _Kept):
    """A measured row in a record.

    ``summary`` holds its figures in ms, by name; ``ratio`` is its time relative to its reference's, paired per round.
    """

    summary: dict[Word, float]
    ratio: Ratio | None = None


class StoredSkipped(SkippedRow, _Kept):
    """A skipped row in a record."""


StoredRow = Annotated[StoredMeasured | StoredSkipped, Field(discriminator="outcome")]


class RunState(_Wire):
    """A page begins to measure ``rows`` candidates, or has done so (0: the user stopped it)."""

    state: Literal["begins", "ends"]
    rows: Annotated[int, Field(ge=0, le=10_000)]


Offer.model_rebuild()

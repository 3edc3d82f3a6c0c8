"""Messages between ``clearport serve`` and its page: every field is validated, every size bounded.

``runtime/web/src/wire.ts`` is the page's side.
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

    At most ``at_once`` candidates are loaded together and measured interleaved. ``max_seconds`` per candidate ends the
    rounds after at least ``least_rounds``.
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
    """The URL of a golden picture, and the tolerance of the output."""

    golden: str
    tolerance: Tolerance


class Candidate(_Wire):
    """One artifact in one runtime on one backend. URLs are relative to the page's.

    The output is compared with ``golden``, within ``tolerance``, and with ``others``. If ``input_url`` is set, the raw
    tensor at that URL is the input instead of the golden one, and the raw output is sent to ``output_url``.
    ``baseline`` is the key of the candidate to which its time is compared.
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
    """How pictures are tiled; see ``clearport.runtime.tiling.Tiling``."""

    scale: int
    halo: int
    multiple: int
    whole_pixels: int


class PartFile(_Wire):
    """The URL of the file of a system's part, and its tensors."""

    url: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Way(_Wire):
    """The files of all parts of a system for one target and precision, in one runtime on one backend.

    ``limits``: output of the program -> tolerance against the golden one.
    """

    key: str
    artifact: str
    runner: Runner
    unit: Unit
    backend: Backend
    parts: dict[str, PartFile]
    limits: dict[str, Tolerance]


class SystemOffer(_Wire):
    """Several networks and the program that runs them, for photos of up to ``most_pixels``.

    ``golden`` is the URL of a safetensors file with the inputs and outputs of the proof.
    """

    program: Program
    golden: str
    notice: str
    most_pixels: int
    ways: tuple[Way, ...]


class Offer(_Wire):
    """What a page runs, and the earlier results of the same device (``done``: key -> row).

    A ``system`` is offered without candidates: the page runs it and sends no results.
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
    """Facts of a device and its browser. ``missing``: capability -> reason of its absence."""

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
        """A title such as ``Pixel 8, Chrome 142``."""
        return ", ".join(filter(None, (self.model or self.platform, self.browser)))


class ParityFigures(_Wire):
    """The output against a golden picture, both 8-bit; ``psnr_db`` and ``sqnr_db`` are None if they are equal.

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
    """Samples of the baseline ``key``, from the same rounds as the row's and equally many per round."""

    key: Word
    samples_ms: Samples


class MeasuredRow(_Wire):
    """A candidate that ran.

    ``samples_ms`` has ``runs_per_round`` samples per round; it is empty if the unit is ``emulated``, since its times
    are not latency. ``others`` are the figures of the candidate's other golden pictures, in order. ``clock_step_ms`` is
    the resolution of the browser's clock; a sample is the mean of ``inferences_per_sample`` inferences. ``heap_mib`` is
    the size of the WebAssembly heap, which never shrinks.
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
    """A candidate that did not run, and the reason."""

    outcome: Literal["skipped"]
    key: Word
    reason: Text


SentRow = Annotated[MeasuredRow | SkippedRow, Field(discriminator="outcome")]


class _Kept(_Wire):
    """Fields that the server adds: the row's file, the time of receipt (ISO 8601, UTC), and whether it passed."""

    sha256: Word
    received: Word
    passed: bool | None
    failures: tuple[str, ...]


class StoredMeasured(MeasuredRow, _Kept):
    """A measured row in a record.

    ``summary``: name -> statistic in ms; ``ratio`` is its time relative to the baseline's, paired per round.
    """

    summary: dict[Word, float]
    ratio: Ratio | None = None


class StoredSkipped(SkippedRow, _Kept):
    """A skipped row in a record."""


StoredRow = Annotated[StoredMeasured | StoredSkipped, Field(discriminator="outcome")]


class RunState(_Wire):
    """A page begins to measure ``rows`` candidates, or has finished (0: stopped by the user)."""

    state: Literal["begins", "ends"]
    rows: Annotated[int, Field(ge=0, le=10_000)]


Offer.model_rebuild()

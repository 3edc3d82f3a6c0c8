"""The output of ``clearport lint``, as frozen pydantic models; ``lint.schema.json`` is their JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearport.disk.json_files import schema_text

SCHEMA_ID = "https://clearport.invalid/lint-1.schema.json"

Level = Literal["error", "warning", "note"]
Basis = Literal["measured", "compiled", "predicted"]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(_Part):
    """A layer of the exported graph.

    ``module`` is its module in the PyTorch network, or its node in the ONNX file; ``source`` is ``FILE:LINE`` of its
    Python code; both are empty if unknown.
    """

    name: str
    operator: str
    module: str = ""
    source: str = ""


class Finding(_Part):
    """One remark.

    Attributes:
        level: ``error``: ``export`` refuses it; ``warning``: it costs speed, quality or size; ``note``: good to know.
        rule: the rule's name.
        where: affected files (``tflite/int8``) or accelerators; empty: the network itself.
        layers: the layers that cause it; empty if it concerns the whole network.
        why: the problem.
        todo: the remedy.
    """

    level: Level
    rule: str
    where: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()
    why: str
    todo: str


class LeftOver(_Part):
    """Operators of one type (in the file) that an accelerator leaves to the CPU, and the reason."""

    operator: str
    count: int
    reason: str
    layers: tuple[Layer, ...]


class Placement(_Part):
    """A file on an accelerator.

    Attributes:
        artifact: ``tflite/int8``.
        unit: the accelerator.
        taken, operators: number of supported operators, and of all operators.
        partitions: number of partitions.
        left: the unsupported operators.
        basis: ``measured``: queried from the runtime here; ``compiled``: by the chip's compiler; ``predicted``: from
            the runtime's published rules or documents.
        by: the source: the runtime or compiler with its version, or the document.
        remark: further facts.
        memory: the reason that the network does not fit into the accelerator's memory; empty if it does, or if unknown.
    """

    artifact: str
    unit: str
    taken: int
    operators: int
    partitions: int
    left: tuple[LeftOver, ...] = ()
    basis: Basis
    by: str
    remark: str = ""
    memory: str = ""


class InFloat(_Part):
    """Mandatory float layers of int8 files.

    Attributes:
        layers: the layers.
        macs_share: their share (0..1) of the multiply-accumulates.
        regions: number of float regions.
    """

    layers: tuple[Layer, ...]
    macs_share: Finite
    regions: int


class InHalf(_Part):
    """The network with every value in float16 (emulated on a photo, dark and noisy too).

    Attributes:
        psnr_db: PSNR to float32 on the worst picture; None if values are not finite, or nothing changes.
        fits: whether that is within the limit of fp16 files, without overflow.
        largest: the largest magnitude of any value.
        too_large: layers with values that overflow float16 (over 65504).
        too_small: layers with mostly subnormal values in float16 (below 6e-5).
    """

    psnr_db: Finite | None
    fits: bool
    largest: Finite | None
    too_large: tuple[Layer, ...] = ()
    too_small: tuple[Layer, ...] = ()


class Tiles(_Part):
    """Tiling of pictures for the network.

    Attributes:
        halo: input pixels on each side that an output pixel depends on.
        whole_picture: whether it depends on all of them.
        multiple: sides must be multiples of this.
        extra_share: pixels computed in addition, as a share of those kept, for tiles of the linted size; None if tiles
            of that size are impossible.
    """

    halo: int
    whole_picture: bool
    multiple: int
    extra_share: Finite | None


class LintReport(_Part):
    """All findings on a network."""

    format: Literal["clearport lint"] = "clearport lint"
    version: Literal[1] = 1
    network: str
    size: str
    parameters: int
    macs: int
    operators: Mapping[str, int]
    placements: tuple[Placement, ...]
    in_float: InFloat | None
    in_half: InHalf | None
    tiles: Tiles
    findings: tuple[Finding, ...]
    not_linted: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether ``export`` would refuse something."""
        return any(finding.level == "error" for finding in self.findings)


def schema() -> str:
    """The JSON schema, as the text of ``lint.schema.json``; ``make schemas`` writes it again."""
    return schema_text(LintReport, SCHEMA_ID, "What clearport lint says", "serialization")

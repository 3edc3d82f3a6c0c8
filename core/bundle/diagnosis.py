"""The output of ``clearport diagnose``, as frozen pydantic models; ``diagnosis.schema.json`` is their JSON schema."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from clearport.disk.json_files import schema_text

SCHEMA_ID = "https://clearport.invalid/diagnosis-1.schema.json"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(_Part):
    """An int8 tensor of the network, and the step that computes it, in the QDQ model.

    Attributes:
        name: name of the tensor.
        operators: operators between it and the preceding int8 tensors, last one first.
        shape: its shape for the golden picture.
        low, high: its smallest and largest real value.
        clipped: share (0..1) of values that saturate at an end of the int8 range that is not a clamp of the network:
            the upper end, and the lower one if it is not zero.
        dead: channels with a constant value.
        sqnr_db: signal to noise of all rounding up to here, against the network without rounding; None: no noise.
        loss_share: share (0..1) of the output's noise that is due to rounding this tensor alone; None: not measured,
            or the tensor is only moved.
        gain_db: gain in the output's PSNR without this tensor's rounding; None likewise.
    """

    name: str
    operators: tuple[str, ...]
    shape: tuple[int, ...]
    low: Finite
    high: Finite
    clipped: Share
    dead: tuple[int, ...]
    sqnr_db: Finite | None
    loss_share: Share | None = None
    gain_db: Finite | None = None


class Seen(_Part):
    """A layer in a runtime.

    Attributes:
        name: name of the layer.
        levels: largest own error: difference to the reference's step on the runtime's own inputs, in int8 levels.
        differing: share (0..1) of values with an own error.
        off: share (0..1) of values whose own error is not a rounding tie.
        own_db: signal to own error; None: no error.
        sqnr_db: signal to all error up to here, own and inherited, against the network without rounding; None: none.
        channels: channels with the largest own error, if only some have one above one level.
        passed: whether the own error is within the limits of a proof by steps.
    """

    name: str
    levels: int
    differing: Share
    off: Share
    own_db: Finite | None
    sqnr_db: Finite | None
    channels: tuple[int, ...] = ()
    passed: bool


class Witness(_Part):
    """A file in a runtime.

    Attributes:
        artifact: the file's key.
        runtime: the runtime and its options.
        layers: the layers that the runtime outputs, in the order of the network.
        parted: the first layer with an own error, preferably above one level; empty: none.
        wrong: whether that error is above one level, which rounding alone cannot cause.
        why, todo: the cause of that layer's error, and a remedy.
        also: further layers with own errors.
        remark: limits of the findings: reading tensors changes the output, or the runtime failed.
    """

    artifact: str
    runtime: str
    layers: tuple[Seen, ...] = ()
    parted: str = ""
    wrong: bool = False
    why: str = ""
    todo: str = ""
    also: tuple[str, ...] = ()
    remark: str = ""


class Diagnosis(_Part):
    """Every int8 layer of a bundle, in every runtime that outputs it.

    Attributes:
        network: its name and scale.
        picture: the golden picture (``photo`` or ``probe``) and its size.
        layers: in the order of the network.
        witnesses: one per file and runtime.
        unseen: files and runtimes that could not be examined -> the reason.
        remark: what was not measured, and the reason.
    """

    network: str
    picture: str
    layers: tuple[Layer, ...]
    witnesses: tuple[Witness, ...]
    unseen: dict[str, str] = {}
    remark: str = ""

    @property
    def wrong(self) -> bool:
        """Whether a runtime has a wrong layer, not just one with other rounding."""
        return any(witness.wrong for witness in self.witnesses)


def schema() -> str:
    """The JSON schema, as the text of ``core/bundle/diagnosis.schema.json``; ``make schemas`` writes it again."""
    return schema_text(Diagnosis, SCHEMA_ID, "What clearport diagnose says")

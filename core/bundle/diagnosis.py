"""What ``clearport diagnose`` says, as frozen pydantic models; ``diagnosis.schema.json`` is their JSON schema."""

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
        name: the tensor.
        operators: those between it and the int8 tensors before it, the last one first.
        shape: on the picture.
        low, high: the smallest and largest real value.
        clipped: share of the values that saturate at an end of the int8 range that is not a clamp of the network: the
            upper one, and the lower one if it is not zero.
        dead: channels that have one value everywhere.
        sqnr_db: signal to noise of all rounding up to here, against the network without rounding; None: no noise.
        loss_share: share of the output's noise that rounding this tensor alone causes; None: not measured, or it is
            not rounded but moved.
        gain_db: what the output's PSNR would gain without this tensor's rounding; None likewise.
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
        name: the layer's.
        levels: largest own error: the difference to the reference's step on the runtime's own inputs, in int8 levels.
        differing: share of the values with an own error.
        off: share of the values whose own error is no tie.
        own_db: signal to own error; None: there is none.
        sqnr_db: signal to all error up to here, own and inherited, against the network without rounding; None: none.
        channels: those with the largest own error, if only some have one of more than a level.
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
        runtime: the runtime, and how it was asked.
        layers: those that the runtime shows, in the order of the network.
        parted: the first layer with an error of its own, of more than a level if there is one; empty: none.
        wrong: whether that is an error of more than a level: rounding alone makes none.
        why, todo: what is the matter with that layer, and what to do.
        also: further layers with errors of their own.
        remark: what limits the findings: reading tensors changes the output, or the runtime failed.
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
    """Every int8 layer of a bundle, in every runtime that shows it.

    Attributes:
        network: its name and scale.
        picture: the golden picture (``photo`` or ``probe``) and its size.
        layers: in the order of the network.
        witnesses: one for each file and runtime.
        unseen: files and runtimes that could not be looked into, and why.
        remark: what was not measured, and why.
    """

    network: str
    picture: str
    layers: tuple[Layer, ...]
    witnesses: tuple[Witness, ...]
    unseen: dict[str, str] = {}
    remark: str = ""

    @property
    def wrong(self) -> bool:
        """Whether a runtime has a layer that is wrong, not only rounded otherwise."""
        return any(witness.wrong for witness in self.witnesses)


def schema() -> str:
    """The JSON schema, as the text of ``core/bundle/diagnosis.schema.json``; ``make schemas`` writes it again."""
    return schema_text(Diagnosis, SCHEMA_ID, "What clearport diagnose says")

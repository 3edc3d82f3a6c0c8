"""The common interface of networks from any origin: a ``Source``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clearport.base import Artifact, Graph, Precision, Scale, Size, Task, TensorSpec
    from clearport.model_spec import Paper
    from clearport.models.cost import Cost
    from clearport.protocols import Progress


@dataclass(frozen=True)
class Traits:
    """The properties of a network that the stages need.

    Attributes:
        name: base name of its files and its bundle.
        task: its restoration task.
        scale: output pixels per input pixel, along each axis.
        crop: output pixels that unpadded windows remove, both borders together: a side is ``scale`` times the input's
            minus ``crop``. Negative if outputs are larger.
        halo, whole_picture, size_multiple, least_side, value_range, inputs, outputs: see ``ModelSpec``.
        license: SPDX name or words.
        paper: where the architecture comes from, where that is known.
        size: the one input size that it takes; None where it takes any.
        precisions: what it can be exported in; empty: everything.
    """

    name: str
    task: Task
    scale: Scale
    halo: int
    whole_picture: bool
    size_multiple: int
    least_side: int
    license: str
    paper: Paper | None = None
    size: Size | None = None
    precisions: tuple[Precision, ...] = ()
    crop: int = 0
    value_range: tuple[float, float] = (0.0, 255.0)
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True)
class About:
    """What a bundle says of where a network comes from; ``notes`` are sentences that the user should read."""

    card: Mapping[str, Any]
    license: str
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Rounded:
    """What a network that was quantized already rounds to 8 bits.

    Attributes:
        ranges: value of its graph, least and greatest real value.
        floats: nodes that it computes in float.
    """

    ranges: tuple[tuple[str, float, float], ...]
    floats: tuple[str, ...]


class Source(Protocol):
    """A network that can be exported.

    The order of calls is ``graph``, ``keep``, and then the rest.
    """

    @property
    def traits(self) -> Traits:
        """What is known of it before anything heavy is done."""
        ...

    @property
    def own(self) -> bool:
        """Whether it is one of clearport's networks."""
        ...

    def graph(self, size: Size | None, progress: Progress) -> Graph:
        """The network for an input size, or for any (None), proven to compute what the network does.

        Raises:
            BadInput: it cannot be exported so.
            CheckFailed: the graph is not the network.
        """
        ...

    def keep(self, folder: Path) -> Artifact:
        """Write the file that the bundle keeps, and by which it is verified without anything of the user's.

        It is what float parity is measured against, as an artifact that a runner of clearport runs.
        """
        ...

    def rounded(self, graph: Graph) -> Rounded | None:
        """What the network rounds already, which is then its scale table; None where it is to be calibrated."""
        ...

    def cost(self, size: Size) -> Cost:
        """Parameters, and multiply-accumulates for one input of ``size``."""
        ...

    def about(self) -> About:
        """For the manifest."""
        ...

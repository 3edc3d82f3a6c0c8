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
    from clearport.quantized import QuantizedGraph


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
        license: SPDX identifier or free text.
        paper: paper of the architecture, if known.
        size: its fixed input size; None if dynamic.
        precisions: supported export precisions; empty: all.
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
    """A network's origin for the manifest; ``notes`` are messages to the user."""

    card: Mapping[str, Any]
    license: str
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Rounded:
    """The roundings of an already quantized network.

    Attributes:
        ranges: value of its graph -> minimum and maximum real value.
        floats: nodes that compute in float.
    """

    ranges: tuple[tuple[str, float, float], ...]
    floats: tuple[str, ...]


class Source(Protocol):
    """A network that can be exported.

    The order of calls is ``graph``, ``keep``, and then the rest.
    """

    @property
    def traits(self) -> Traits:
        """Its properties, known before any expensive step."""
        ...

    @property
    def own(self) -> bool:
        """Whether it is one of clearport's networks."""
        ...

    def graph(self, size: Size | None, progress: Progress) -> Graph:
        """The graph for an input size, or of dynamic size (None), checked against the network.

        Raises:
            BadInput: it cannot be exported like that.
            CheckFailed: the graph does not compute what the network does.
        """
        ...

    def keep(self, folder: Path) -> Artifact:
        """Write the bundle's file of the network, so that the bundle can be verified without the user's code.

        Returns it as an artifact for clearport's runners: the reference of float parity.
        """
        ...

    def rounded(self, graph: Graph) -> Rounded | None:
        """The roundings of an already quantized network, which form its scale table; None if it must be calibrated."""
        ...

    def trained(self, graph: Graph) -> QuantizedGraph | None:
        """The int8 form that was trained with its weights (``clearport train --qat``); None where it has none.

        Raises:
            BadInput: it has one, which does not belong to this network.
        """
        ...

    def cost(self, size: Size) -> Cost:
        """Parameters, and multiply-accumulates for one input of ``size``."""
        ...

    def about(self) -> About:
        """For the manifest."""
        ...

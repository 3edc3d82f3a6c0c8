"""Descriptions of registered networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearport.base import Task, TensorSpec


@dataclass(frozen=True)
class Paper:
    """The source of an architecture; ``arxiv`` is its arXiv number, or a DOI (10. ...) if it has none."""

    title: str
    arxiv: str

    @property
    def url(self) -> str:
        place = "https://doi.org" if self.arxiv.startswith("10.") else "https://arxiv.org/abs"
        return f"{place}/{self.arxiv}"


@dataclass(frozen=True)
class Knob:
    """A number that the user may set at export, in ``low``..``high``; ``default`` otherwise."""

    default: float
    low: float
    high: float
    about: str


@dataclass(frozen=True)
class ModelSpec:
    """The description of a network for the other stages. A model file defines one as ``SPEC``.

    Attributes:
        name: registry key, lower case.
        task: what it restores.
        build: ``build(scale)`` makes the ``torch.nn.Module`` in eval mode with fresh weights; it maps a
            float32 (B, 3, H, W) RGB image in ``value_range`` to (B, 3, H*scale, W*scale) in the same range.
        scales: the scales that can be built; ``(1,)`` for networks that keep the size.
        default_scale: the scale used by default.
        size_multiple: height and width must be multiples of this.
        least_side: the smallest height and width that it accepts.
        halo: input pixels on each side that an output pixel depends on (for tiling without seams). With
            ``whole_picture``, or if the receptive field is too large, the overlap that hides differences.
        whole_picture: an output pixel depends on every input pixel (global pooling, attention), so that tiles of
            a picture can differ in tone.
        value_range: real values of black and full intensity, at both ends.
        license: SPDX name of the license of the bundled weights.
        importers: published formats, each ``importer(checkpoint.Source, scale) -> state dict | None`` (not mine).
        published: source and terms of published weights, as text; empty if there are none.
        recipe: training options that differ from the defaults of ``TrainOptions`` (its field names).
        recommended: whether it is the recommended network of its task.
        knobs: settings that are fixed at export, each an attribute (a float) of the module.
        inputs, outputs: the module's inputs and outputs, in order, if not one RGB picture each. Sides that follow from
            the size of the export are symbols: ``H``, ``2*W``, ``H/8``. ``mean``, ``std`` and ``color`` are as the
            module expects.
        weights_of: the network whose weights file this one shares, if they are trained together; empty: its own file.
    """

    name: str
    task: Task
    build: Callable[[int], Any]
    scales: tuple[int, ...]
    default_scale: int
    halo: int
    paper: Paper
    size_multiple: int = 1
    least_side: int = 8
    value_range: tuple[float, float] = (0.0, 255.0)
    license: str = "Apache-2.0"
    importers: tuple[Callable[[Any, int], Mapping[str, Any] | None], ...] = ()
    whole_picture: bool = False
    published: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recommended: bool = False
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    weights_of: str = ""

    @property
    def family(self) -> str:
        """The name that its weights file goes by."""
        return self.weights_of or self.name

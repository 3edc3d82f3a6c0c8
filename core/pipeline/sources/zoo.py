"""A network of clearport's own, by its name in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from clearport.bundle.folder import WEIGHTS
from clearport.errors import BadInput
from clearport.export.from_torch import deployed, export_graph
from clearport.graph import shapes
from clearport.models import attached, cost, knobs, normalized, weights
from clearport.pipeline.prove import network_artifact
from clearport.pipeline.sources.source import About, Traits
from clearport.quantize.trained.form import of_text
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clearport.base import Artifact, Graph, Size
    from clearport.model_spec import ModelSpec
    from clearport.pipeline.sources.request import ExportRequest
    from clearport.protocols import Progress
    from clearport.quantized import QuantizedGraph


@dataclass(frozen=True)
class ZooSource:
    """A network of ``models/networks`` at one of its scales, with bundled weights or the user's (``path``)."""

    spec: ModelSpec
    scale: int
    path: Path | None
    knobs: Mapping[str, float]
    own: bool = True

    @cached_property
    def traits(self) -> Traits:
        spec = self.spec
        return Traits(
            name=spec.name,
            task=spec.task,
            scale=self.scale,
            halo=spec.halo,
            whole_picture=spec.whole_picture,
            size_multiple=spec.size_multiple,
            least_side=spec.least_side,
            license=spec.license,
            paper=spec.paper,
            value_range=spec.value_range,
            inputs=spec.inputs,
            outputs=spec.outputs,
        )

    @cached_property
    def _loaded(self) -> weights.Loaded:
        loaded = weights.load(self.spec, self.scale, self.path)
        knobs.turn(loaded.module, self.spec, self.knobs)
        return loaded

    def graph(self, size: Size | None, progress: Progress) -> Graph:
        progress("loading weights", 0, 0)
        module = self._loaded.module
        progress("exporting the graph", 0, 0)
        return export_graph(module, self.spec, self.scale, size)

    def keep(self, folder: Path) -> Artifact:
        about = {"source_sha256": self._loaded.sha256, **knobs.to_metadata(self.knobs)}
        weights.save(folder / WEIGHTS, self._loaded.module, self.spec.name, self.scale, about)
        inputs, outputs = shapes.contract(self.spec, self.scale)
        return network_artifact(folder / WEIGHTS, tuple(map(normalized.plain, inputs)), outputs)

    def rounded(self, graph: Graph) -> None:
        del graph

    def trained(self, graph: Graph) -> QuantizedGraph | None:
        found = None if self.path is None else attached.attached(self.path)
        if found is None:
            return None
        assert self.path is not None
        if self.knobs:
            raise BadInput(f"{self.path}: its int8 form was trained without --knob: leave the option out")
        try:
            return of_text(found.text, found.arrays).on(graph)
        except BadInput as error:
            raise BadInput(
                f"{self.path}: its int8 form does not fit {graph.stem}: {error}; {attached.AGAIN}"
            ) from error

    def cost(self, size: Size) -> cost.Cost:
        return cost.cost(deployed(self._loaded.module), size, self.spec.inputs)

    def about(self) -> About:
        loaded = self._loaded
        own = self.path is None
        card = {"source": loaded.source, **loaded.card, **({"knobs": dict(self.knobs)} if self.knobs else {})}
        given = str(loaded.card.get("license", "that of the weights given with --weights"))
        return About(card, self.spec.license if own else given)


def zoo_source(request: ExportRequest) -> ZooSource:
    """clearport's own network of a request.

    Raises:
        BadInput: unknown network, scale or knob.
    """
    spec: ModelSpec = NETWORKS.get(str(request.network))
    scale = weights.checked_scale(spec, request.scale)
    return ZooSource(spec, scale, request.weights, knobs.parse(spec, request.knobs))

"""The parts of a system as callables for its program: in PyTorch, or as files in workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import BadInput
from clearport.export.from_torch import deployed
from clearport.graph import shapes
from clearport.models import normalized, weights
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.pipeline.run import usable_runner
from clearport.registry import NETWORKS
from clearport.runtime import pixels

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from clearport.base import Artifact, Float32, TensorSpec
    from clearport.bundle.system import System
    from clearport.model_spec import ModelSpec
    from clearport.programs.interpreter import Parts
    from clearport.runtime.worker.worker import Worker

    Ends = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]


@dataclass(frozen=True)
class InFiles:
    """Files of one target and precision, each open in a worker.

    ``contracts``: part -> inputs and outputs of its network, from which a file's may differ in range or color order
    (Core ML's images). ``seconds``: part -> time of each call.
    """

    workers: Mapping[str, tuple[Worker, Artifact]]
    contracts: Mapping[str, Mapping[str, TensorSpec]]
    method: str
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, part: str, inputs: Mapping[str, Float32]) -> dict[str, Float32]:
        """Real values in and out, NCHW."""
        (worker, artifact), network = self.workers[part], self.contracts[part]
        began = time.perf_counter()
        given = {
            spec.name: pixels.of_values(_moved(inputs[spec.name], network[spec.name], spec), spec)
            for spec in artifact.inputs
        }
        found = worker.outputs(given, [spec.name for spec in artifact.outputs])
        made = {
            spec.name: _moved(pixels.to_values(found[spec.name], spec), spec, network[spec.name])
            for spec in artifact.outputs
        }
        self.seconds.setdefault(part, []).append(time.perf_counter() - began)
        return made


def _moved(value: Float32, given: TensorSpec, wanted: TensorSpec) -> Float32:
    """A picture (1, C, H, W) converted to the range and color order of another contract; anything else unchanged."""
    if not given.is_picture:
        return value
    if given.color.startswith("BGR") != wanted.color.startswith("BGR"):
        value = value[:, [2, 1, 0, *range(3, value.shape[1])]]
    if given.span == wanted.span:
        return value
    low, step = given.span[0], wanted.pixel_step / given.pixel_step
    return np.asarray((value - np.float32(low)) * np.float32(step) + np.float32(wanted.span[0]), np.float32)


@contextmanager
def opened(system: System, target: str, precision: str, variant: str, threads: int) -> Iterator[InFiles]:
    """Open the files of a row.

    Raises:
        BadInput: a part has no such file, it was changed, or no runtime here runs it.
        RuntimeFailure: a runtime refused its file.
    """
    with ExitStack() as stack:
        workers, contracts, methods = {}, {}, []
        for name, part in system.parts.items():
            record = part.find(target, precision, variant)
            if changed := [mismatch for mismatch in part.verify_files() if record.holds(mismatch.path)]:
                raise BadInput(f"{part.folder}: {changed[0]}; for the full list: clearport verify {system.folder}")
            artifact = part.artifact(record)
            runner, method = usable_runner(artifact)
            methods.append(method)
            contract = part.manifest.pixel_contract
            contracts[name] = {spec.name: spec for spec in (*contract.inputs, *contract.outputs)}
            workers[name] = (stack.enter_context(open_worker(runner, artifact, threads, TIMEOUT_S)), artifact)
        yield InFiles(workers, contracts, ", ".join(dict.fromkeys(methods)))


def loaded(network: str, path: Path | None) -> tuple[nn.Module, Ends]:
    """A network of the registry in the form of its files, with bundled weights or those at ``path``, and its contract.

    Training branches are collapsed, and its pictures are plain: it applies mean, standard deviation and color order
    itself.

    Raises:
        BadInput: there are no weights, or they do not fit.
    """
    spec: ModelSpec = NETWORKS.get(network)
    inputs, outputs = shapes.contract(spec, 1)
    module = normalized.module(deployed(weights.load(spec, 1, path).module), inputs)
    return module.eval(), (tuple(map(normalized.plain, inputs)), outputs)


def in_torch(modules: Mapping[str, nn.Module], ends: Mapping[str, Ends]) -> Parts:
    """The parts in PyTorch."""
    import torch

    def call(part: str, inputs: Mapping[str, Float32]) -> dict[str, Float32]:
        taken, given = ends[part]
        with torch.inference_mode():
            found = modules[part](*(torch.from_numpy(np.ascontiguousarray(inputs[spec.name])) for spec in taken))
        outputs = found if isinstance(found, tuple | list) else (found,)
        return {spec.name: output.numpy() for spec, output in zip(given, outputs, strict=True)}

    return call

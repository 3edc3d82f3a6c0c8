"""Evaluation of tasks whose quality is not the PSNR of a picture: examples from a folder, and scores of outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from clearport.errors import BadInput
from clearport.models.data.layouts import find_layout
from clearport.registry import Registry
from clearport.runtime import pixels, tiling
from clearport.words import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from clearport.base import Array, Artifact, Task
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.runtime.figures import Metric, Score
    from clearport.runtime.worker.worker import Worker

JUDGES = Registry("clearport.pipeline.evaluation.tasks", "*.py", "JUDGE", "judge")


@dataclass(frozen=True)
class Example:
    """An example: ``load`` reads the network's inputs and the ground truth.

    ``group`` identifies correlated examples: a scene, a video.
    """

    name: str
    group: str
    load: Callable[[], tuple[Any, Any]]


@dataclass(frozen=True)
class Found:
    """The examples of a folder, and a line that describes the selection."""

    examples: tuple[Example, ...]
    line: str


def of_photos(
    folder: Path, held_back: Collection[str] | None, load: Callable[[Path, int], tuple[Any, Any]], what: str
) -> Found:
    """An example per photo of a folder, or only those held out from a network's training.

    Args:
        folder: photos in any layout.
        held_back: groups of the network's card; None for all photos.
        load: makes an example from a photo; the photo's number is the random seed.
        what: description for ``Found.line``, with ``{}`` for the number of photos.

    Raises:
        BadInput: there are none.
    """
    entries = [e for e in find_layout(folder, 1, "photos").entries if held_back is None or e.group in held_back]
    photos = [(entry.group, entry.high) for entry in entries if entry.high is not None]
    if not photos:
        raise BadInput(f"{folder}: the network's card lists no held-out picture of this folder")
    made = tuple(Example(group, group, partial(load, path, n)) for n, (group, path) in enumerate(photos))
    return Found(made, f"{folder.resolve().name}: {what.format(counted(len(made), 'photo'))}")


@dataclass(frozen=True)
class Opened:
    """An artifact open in a worker; ``network`` is the bundle's file of weights."""

    worker: Worker
    artifact: Artifact
    cutting: tiling.Tiling
    network: Path

    def at_once(self, sample: Sample) -> dict[str, Array]:
        """Real values of every output, NCHW."""
        names = [spec.name for spec in self.artifact.outputs]
        given = self.worker.outputs(pixels.tensors(sample, self.artifact.inputs), names)
        return {spec.name: pixels.to_values(given[spec.name], spec) for spec in self.artifact.outputs}

    def in_tiles(self, picture: Image8) -> Array:
        """The first output (H, W, C) for pictures of any size, concatenated along the channels."""
        return tiling.restore(picture, tiling.engine(self.worker, self.artifact), self.cutting)


class Judge(Protocol):
    """The evaluation of a task. ``evaluation/tasks/<task>.py`` defines one as ``JUDGE``.

    Attributes:
        metrics: the first one is gated by ``--max-drop`` and ``--min-psnr``.
        groups: name of the resampled groups: ``scenes``, ``videos``.
    """

    metrics: Sequence[Metric]
    groups: str

    def examples(self, folder: Path, held_back: Collection[str] | None) -> Found:
        """The examples in a folder.

        Raises:
            BadInput: no such folder, or it has no usable examples.
        """
        ...

    def score(self, opened: Opened, given: Any, truth: Any) -> Score:
        """Run an artifact on one example, and score its outputs."""
        ...


def judge_of(task: Task) -> Judge | None:
    """The judge of a task; None for tasks evaluated on pairs of pictures (``pipeline.eval``)."""
    name = task.replace("-", "_")
    found: Judge | None = JUDGES.get(name) if name in JUDGES.names() else None
    return found

"""What there is: networks, targets, runners, and which packages they want."""

from __future__ import annotations

from dataclasses import dataclass

from clearport.base import ModelSpec, Runner, Target
from clearport.pipeline_prove import obstacle_of
from clearport.registry import NETWORKS, RUNNERS, TARGETS, installed_versions, missing


@dataclass(frozen=True)
class NetworkRow:
    """A network; ``bundled`` are the scales that have weights in the project."""

    name: str
    task: str
    scales: tuple[int, ...]
    bundled: tuple[int, ...]
    paper: str


@dataclass(frozen=True)
class PartRow:
    """A target or a runner; ``obstacle`` is why it cannot be used here and what to do (empty: it can)."""

    name: str
    title: str
    serves: tuple[str, ...]
    versions: dict[str, str | None]
    obstacle: str


@dataclass(frozen=True)
class Inventory:
    """Everything that ``clearport list`` shows."""

    networks: tuple[NetworkRow, ...]
    targets: tuple[PartRow, ...]
    runners: tuple[PartRow, ...]


def inventory() -> Inventory:
    """Look at the registries and at what is installed; imports no runtime."""
    return Inventory(
        networks=tuple(_network(NETWORKS.get(name)) for name in NETWORKS.names()),
        targets=tuple(_target(TARGETS.get(name)) for name in TARGETS.names()),
        runners=tuple(_runner(RUNNERS.get(name)) for name in RUNNERS.names()),
    )


def _network(spec: ModelSpec) -> NetworkRow:
    from clearport.models.weights import bundled_path

    bundled = tuple(scale for scale in spec.scales if bundled_path(spec, scale).is_file())
    return NetworkRow(spec.name, spec.task, spec.scales, bundled, spec.paper.url)


def _target(target: Target) -> PartRow:
    absent = missing(target.requires)
    obstacle = f"needs {', '.join(absent)}: pip install 'clearport[{target.name}]'" if absent else ""
    return PartRow(target.name, target.title, target.precisions, installed_versions(target.requires), obstacle)


def _runner(runner: Runner) -> PartRow:
    versions = installed_versions(runner.requires)
    return PartRow(runner.name, runner.title, runner.targets, versions, obstacle_of(runner) or "")

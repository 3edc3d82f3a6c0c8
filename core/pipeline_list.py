"""What there is: networks, targets, runners, and which packages they want."""

from __future__ import annotations

from dataclasses import dataclass

from clearport.base import ModelSpec, Runner, Target
from clearport.registry import NETWORKS, RUNNERS, TARGETS, installed_versions


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
    """A target or a runner; ``missing`` are the packages to install, and ``install`` the line that does it."""

    name: str
    title: str
    serves: tuple[str, ...]
    versions: dict[str, str | None]
    install: str

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name, found in self.versions.items() if found is None)


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
    versions = installed_versions(target.requires)
    return PartRow(target.name, target.title, target.precisions, versions, f"pip install 'clearport[{target.name}]'")


def _runner(runner: Runner) -> PartRow:
    versions = installed_versions(runner.requires)
    return PartRow(runner.name, runner.title, runner.targets, versions, f"pip install {' '.join(runner.requires)}")

"""Listing of networks, targets, runners, and the packages that they require."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.model_spec import ModelSpec
from clearport.protocols import Runner, Target
from clearport.registry import NETWORKS, RUNNERS, SYSTEMS, TARGETS, installed_versions, missing
from clearport.runtime.usable import obstacle_of

if TYPE_CHECKING:
    from clearport.models.system import SystemSpec


@dataclass(frozen=True)
class NetworkRow:
    """A network.

    ``bundled`` are the scales with bundled weights, and ``cards`` their cards; ``published`` is the source of published
    ones; ``train`` is the training command.
    """

    name: str
    task: str
    recommended: bool
    scales: tuple[int, ...]
    bundled: tuple[int, ...]
    paper: str
    importable: bool
    published: str
    train: str
    knobs: dict[str, str]
    cards: dict[str, dict[str, Any]]

    @property
    def weights(self) -> str:
        """A short description of the weights' source."""
        ways = [f"bundled {', '.join(f'x{scale}' for scale in self.bundled)}"] if self.bundled else []
        ways += ["published ones"] if self.importable else []
        return ", ".join(ways) or "train your own"


@dataclass(frozen=True)
class PartRow:
    """A target or a runner; ``obstacle`` is the reason why it cannot be used here and a remedy (empty: usable)."""

    name: str
    title: str
    serves: tuple[str, ...]
    versions: dict[str, str | None]
    obstacle: str


@dataclass(frozen=True)
class SystemRow:
    """A system of several networks: part -> network."""

    name: str
    task: str
    about: str
    parts: dict[str, str]
    paper: str
    notice: str


@dataclass(frozen=True)
class Inventory:
    """Everything that ``clearport list`` shows."""

    networks: tuple[NetworkRow, ...]
    systems: tuple[SystemRow, ...]
    targets: tuple[PartRow, ...]
    runners: tuple[PartRow, ...]


def inventory() -> Inventory:
    """Inspect the registries and installed packages; imports no runtime."""
    return Inventory(
        networks=tuple(_network(NETWORKS.get(name)) for name in NETWORKS.names()),
        systems=tuple(system(name) for name in SYSTEMS.names()),
        targets=tuple(_target(TARGETS.get(name)) for name in TARGETS.names()),
        runners=tuple(_runner(RUNNERS.get(name)) for name in RUNNERS.names()),
    )


def network(name: str) -> NetworkRow:
    """One network.

    Raises:
        BadInput: unknown name.
    """
    return _network(NETWORKS.get(name))


def system(name: str) -> SystemRow:
    """One system.

    Raises:
        BadInput: unknown name.
    """
    spec: SystemSpec = SYSTEMS.get(name)
    parts = {part: each.network for part, each in spec.parts.items()}
    return SystemRow(spec.name, spec.task, spec.about, parts, spec.paper.url, spec.notice)


def _network(spec: ModelSpec) -> NetworkRow:
    from clearport.models.weights import bundled_path, read_card

    bundled = tuple(scale for scale in spec.scales if bundled_path(spec, scale).is_file())
    return NetworkRow(
        name=spec.name,
        task=spec.task,
        recommended=spec.recommended,
        scales=spec.scales,
        bundled=bundled,
        paper=spec.paper.url,
        importable=bool(spec.published),
        published=spec.published,
        train=f"clearport train {spec.family} --data FOLDER --out {spec.family}.safetensors",
        knobs={name: f"{knob.about}: {knob.low:g} to {knob.high:g}" for name, knob in spec.knobs.items()},
        cards={f"x{scale}": read_card(bundled_path(spec, scale)) for scale in bundled},
    )


def lacks(target: Target) -> str | None:
    """The reason why a target cannot be written here, with a remedy; None: it can."""
    absent = missing(target.requires)
    if not absent:
        return None
    unavailable = getattr(target, "unavailable", lambda: None)()
    return unavailable or f"{', '.join(absent)} is not installed; to add it: pip install 'clearport[{target.name}]'"


def _target(target: Target) -> PartRow:
    versions = installed_versions(target.requires)
    return PartRow(target.name, target.title, target.precisions, versions, lacks(target) or "")


def _runner(runner: Runner) -> PartRow:
    versions = installed_versions(runner.requires)
    return PartRow(runner.name, runner.title, runner.targets, versions, obstacle_of(runner) or "")

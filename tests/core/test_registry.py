"""Discovery by file."""

from __future__ import annotations

import pytest

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.protocols import Runner, Target
from clearport.registry import NETWORKS, RUNNERS, TARGETS, Registry, installed_versions, missing


@pytest.mark.parametrize("registry", [NETWORKS, TARGETS, RUNNERS], ids=lambda r: r.kind)
def test_every_file_defines_its_object(registry: Registry) -> None:
    assert registry.names()
    for name in registry.names():
        found = registry.get(name)
        assert found.name == name
        assert isinstance(found, (ModelSpec, Target, Runner))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"unknown network 'ncnett'; did you mean 'ncnet'\? \(available: .*ncnet"):
        NETWORKS.get("ncnett")


def test_every_runner_serves_a_target() -> None:
    for name in RUNNERS.names():
        assert set(RUNNERS.get(name).targets) <= {*TARGETS.names(), "torch"}


def test_installed_and_missing_packages() -> None:
    assert missing(("numpy", "no-such-package-here")) == ("no-such-package-here",)
    assert installed_versions(("numpy",))["numpy"]

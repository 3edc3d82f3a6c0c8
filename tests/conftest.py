"""Shared fixtures. ``shared`` is the folder that CLEARPORT_SHARED names: data and weights that are not ours to ship."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with evaluation data and published weights; the test is skipped where there is none."""
    place = os.environ.get("CLEARPORT_SHARED")
    if not place:
        pytest.skip("CLEARPORT_SHARED is unset: no evaluation data or published weights on this machine")
    return Path(place)

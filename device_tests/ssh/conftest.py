"""A board on loopback for a whole file of tests, and what runs there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clearport.bundle.folder import Bundle
from clearport.pipeline.benching.jobs import candidates_of, jobs_for
from clearport.pipeline.benching.values import BenchRequest
from clearport.runtime.devices.device import Job
from device_tests.ssh.sshd import Board, board


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with board(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def small(int8_pair: Bundle) -> Bundle:
    """NCNet, int8, for the two runtimes that boards have."""
    return int8_pair


@pytest.fixture(scope="module")
def jobs(small: Bundle) -> list[Job]:
    return jobs_for(candidates_of(small, BenchRequest(small.folder)), False, "cpu")

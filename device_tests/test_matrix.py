"""Models x targets x precisions x devices: each file is run where it was asked for, and its golden picture checked.

    pytest device_tests/test_matrix.py --device adb:SERIAL --device ssh:me@board --network all

Without options: NCNet on this machine. What cannot run is skipped with the device's reason; at the end stands what ran.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clearport
from clearport.base import USUAL_PRECISIONS, Skipped
from clearport.pipeline.bench import bench_bundle
from clearport.pipeline.benching.values import BenchRequest
from clearport.registry import NETWORKS, TARGETS
from clearport.runtime.devices.device import Settings

if TYPE_CHECKING:
    from clearport.bundle.bench_record import BenchRow

SIZE = "64x64"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    option = metafunc.config.getoption
    networks = option("--network") or ["ncnet"]
    names = list(NETWORKS.names()) if "all" in networks else networks
    cells = [
        (target, precision)
        for target in TARGETS.names()
        for precision in USUAL_PRECISIONS
        if precision in TARGETS.get(target).precisions
    ]
    metafunc.parametrize("network", names)
    metafunc.parametrize("device", option("--device") or ["host"])
    metafunc.parametrize(("target", "precision"), cells, ids=lambda part: part)


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    option = request.config.getoption
    settings = Settings(
        python=option("--python-there"), known_hosts=option("--known-hosts"), identity=option("--identity")
    )
    units = tuple(option("--unit") or ())

    @lru_cache
    def export(network: str) -> Path:
        folder = tmp_path_factory.mktemp("matrix") / network
        if network == "ncnet":
            return shutil.copytree(request.getfixturevalue("exported").folder, folder)
        return clearport.export(network, folder, size=SIZE, measure=False).folder

    @lru_cache
    def bench(network: str, device: str) -> tuple[BenchRow, ...]:
        request = BenchRequest(export(network), (device,), units, runs=6, seconds=0.0, settings=settings)
        return bench_bundle(request).rows

    return bench


def test_the_file_gives_its_golden_picture(measured, network: str, device: str, target: str, precision: str) -> None:
    rows = [row for row in measured(network, device) if row.artifact.split("/")[:2] == [target, precision]]
    if not rows:
        pytest.skip(f"{network} has no {target}/{precision} file (see 'Left out' in its report)")
    reasons = [row.cell.reason for row in rows if isinstance(row.cell, Skipped)]
    if len(reasons) == len(rows):
        pytest.skip("; ".join(dict.fromkeys(reasons)))
    for row in rows:
        if not isinstance(row.cell, Skipped) and not isinstance(row.golden, Skipped):
            assert row.golden.passed, (row.key, row.golden.failures)

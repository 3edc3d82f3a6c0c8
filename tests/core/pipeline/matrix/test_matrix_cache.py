"""The cache of a matrix: hits, rebuilds and eviction, also with two concurrent matrices."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from clearport.bundle.matrix_record import MatrixRow, to_json
from clearport.errors import BadInput
from clearport.pipeline.matrix import cache
from clearport.pipeline.matrix.build import build, without_bundle
from clearport.pipeline.matrix.matrix import MatrixRequest, build_matrix
from clearport.pipeline.matrix.plan import Job
from clearport.protocols import no_progress
from tests.core.pipeline.matrix.test_plan import jobs_of

KEY = "a" * 64


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return jobs_of(tmp_path, "[models.ncnet]\ntargets = ['tflite']\nprecisions = ['fp32']")[0]


def entered(folder: Path, row: MatrixRow) -> Path:
    """An entry with a row and no bundle."""
    place = folder / row.key
    place.mkdir(parents=True)
    (place / cache.ROW).write_text(to_json(row))
    return place


def test_a_failure_is_built_again_and_a_refusal_is_not(tmp_path: Path, job: Job) -> None:
    refused, failed = without_bundle(job, KEY, "refused", "so"), without_bundle(job, "b" * 64, "failed", "it hung")
    for row in (refused, failed):
        entered(tmp_path / "cache", row)
        assert cache.found(tmp_path / "cache", row.key) == row
    assert cache.kept(tmp_path / "cache", refused.key) == refused
    assert cache.kept(tmp_path / "cache", failed.key) is None


def test_an_entry_in_use_stays_for_other_matrices(tmp_path: Path, job: Job) -> None:
    long_ago = time.time() - (cache.KEPT_DAYS + 1) * 86400
    place = entered(tmp_path / "cache", without_bundle(job, KEY, "refused", "so"))
    os.utime(place, (long_ago, long_ago))
    assert cache.kept(place.parent, KEY) is not None
    cache.tidy(place.parent)  # of another matrix, which does not use it
    assert place.is_dir()


def test_only_entries_that_nothing_used_for_long_go(tmp_path: Path) -> None:
    long_ago = time.time() - (cache.KEPT_DAYS + 1) * 86400
    rows = {letter * 64: {"key": letter * 64} for letter in "abc"}
    rows |= {"d" * 64: {"key": "a" * 64}, "e" * 64: {}, "mine": {"key": "mine"}}
    for name, row in rows.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / cache.ROW).write_text(json.dumps(row))
    (tmp_path / ("b" * 64) / "notes.txt").write_text("mine")
    (tmp_path / ("f" * 64)).mkdir()
    for place in tmp_path.iterdir():
        os.utime(place, (long_ago, long_ago))
    os.utime(tmp_path / ("c" * 64))
    cache.tidy(tmp_path)
    assert {place.name for place in tmp_path.iterdir()} == {*(letter * 64 for letter in "bcdef"), "mine"}


def test_a_build_of_another_matrix_is_awaited_and_reused(tmp_path: Path, job: Job) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    theirs = without_bundle(job, KEY, "refused", "theirs")
    with ThreadPoolExecutor(1) as pool:
        with cache.building(folder, KEY):
            absent = replace(job, network=str(tmp_path / "gone.onnx"))
            mine = pool.submit(build, absent, absent.places, KEY, folder / KEY, no_progress)
            time.sleep(0.3)
            assert not mine.done()
            entered(folder, theirs)
        assert mine.result() == theirs
    assert [place.name for place in folder.iterdir()] == [KEY]


def test_a_cache_among_the_photos_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    jobs_of(tmp_path, "calibration = 'photos'\n[models.ncnet]")
    with pytest.raises(BadInput, match="--cache would overwrite the input"):
        build_matrix(MatrixRequest(tmp_path / "zoo.toml", tmp_path / "out", tmp_path / "photos"), None)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "photos").iterdir())

"""Export's warnings on pictures larger than a file's size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clearport.base import Artifact, TensorSpec
from clearport.bundle.folder import Bundle
from clearport.cli.show import show_bundle
from clearport.pipeline.lint.artifact import tiles
from clearport.pipeline.sources.source import Traits

NETWORK = Traits("ncnet", "super-resolution", 1, 64, False, 1, 8, "")


def artifact(shape: tuple[int | str, ...]) -> Artifact:
    spec = TensorSpec("image", shape, layout="NHWC")
    return Artifact("tflite", "int8", Path("a.tflite"), "", (spec,), (spec,), {})


@pytest.mark.parametrize(
    ("size", "whole", "level", "words"),
    [
        (
            (64, 64),
            True,
            "warning",
            "larger than 64x64 cannot be tiled .* --size 272x272 restores pictures of any size",
        ),
        ((64, 640), False, "warning", "larger than 64x640 cannot be tiled .* --size 272x640 "),
        ((144, 144), True, "note", "larger than 144x144 are processed in tiles that may differ in tone"),
        ((144, 144), False, "", ""),
        (("H", "W"), True, "", ""),
    ],
)
def test_each_kind_of_network_and_size(size: Any, whole: bool, level: str, words: str) -> None:
    network = replace(NETWORK, size_multiple=8, whole_picture=whole)
    found = tiles(artifact((1, *size, 3)), network)
    assert [f.level for f in found] == ([level] if level else [])
    for finding in found:
        assert re.search(words, finding.message)


def test_it_is_reported_once_on_the_terminal(
    make_bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_bundle(tmp_path / "bundle")
    network = replace(NETWORK, scale=3)
    artifacts = tuple(a.model_copy(update={"lint": tiles(artifact((1, 64, 64, 3)), network)}) for a in made.artifacts)
    show_bundle(Bundle(made.folder, made.manifest.model_copy(update={"artifacts": artifacts})), as_json=False)
    assert capsys.readouterr().out.count("cannot be tiled") == 1

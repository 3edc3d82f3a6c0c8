"""Inconsistent manifests are bad input; the message names file and field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearport.bundle import folder as bundle
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pipeline.verify import check_artifact

Edit = Callable[[dict[str, Any]], None]


def edit_manifest(folder: Path, edit: Edit) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_wrong_size_in_the_manifest(copied: Bundle) -> None:
    edit_manifest(copied.folder, lambda m: m["artifacts"][5].update(bytes=1))
    found = bundle.verify_folder(copied.folder)
    assert any("artifact tflite/int8" in str(m) and "bytes" in m.problem for m in found)
    lying = Bundle.load(copied.folder)
    with pytest.raises(BadInput, match="the manifest says 1"):
        lying.path(lying.artifacts[5])


def test_a_bundle_without_goldens_is_not_verified(copied: Bundle) -> None:
    """Nothing can fail where nothing is compared."""
    edit_manifest(copied.folder, lambda m: m.update(goldens=[]))
    bare = Bundle.load(copied.folder)
    for record in bare.artifacts:
        (check,) = check_artifact(bare, record, 1)
        assert (check.passed, check.message) == (False, "the bundle has no golden picture to prove it with")


LIES: dict[str, tuple[Edit, str]] = {
    "checksum of an artifact": (
        lambda m: m["artifacts"][0].update(sha256="0" * 64),
        r"artifacts\.0\.sha256.*onnxruntime/fp32",
    ),
    "no checksum": (lambda m: m["artifacts"][0].update(sha256="abc"), r"artifacts\.0\.sha256"),
    "file that is not listed": (lambda m: m["files"].pop("tflite/ncnet_x3_int8.tflite"), r"artifacts\.5\.sha256"),
    "checksum of a golden picture": (lambda m: m["goldens"][1].update(sha256="0" * 64), r"goldens\.1\.sha256"),
    "unknown target": (lambda m: m["artifacts"][2].update(target="tflight"), r"artifacts\.2\.target.*'tflight'"),
    "unknown precision": (lambda m: m["artifacts"][2].update(precision="int4"), r"artifacts\.2\.precision"),
    "the same artifact twice": (lambda m: m["artifacts"].append(m["artifacts"][0]), r"artifacts\.8.*twice"),
    "two artifacts in one file": (
        lambda m: m["artifacts"][2].update({k: m["artifacts"][1][k] for k in ("path", "sha256")}),
        r"artifacts\.2\.path.*onnxruntime/int8 already",
    ),
    "absolute path": (lambda m: m["artifacts"][0].update(path="/etc/passwd"), r"artifacts\.0\.path.*relative"),
    "path that climbs": (lambda m: m["artifacts"][0].update(path="a/../../b"), r"artifacts\.0\.path.*relative"),
    "path of a listed file": (lambda m: m["files"].update({"../x": "0" * 64}), r"files.*relative"),
    "negative size": (lambda m: m["artifacts"][0].update(bytes=-1), r"artifacts\.0\.bytes"),
    "number as text": (lambda m: m["model"].update(params="52279"), r"model\.params"),
    "unknown field": (lambda m: m["model"].update(color="red"), r"model\.color"),
    "missing field": (lambda m: m["model"].pop("halo"), r"model\.halo"),
    "another schema version": (lambda m: m.update(schema_version=2), r"schema_version"),
    "unknown dtype": (
        lambda m: m["artifacts"][0]["inputs"][0].update(dtype="int4"),
        r"artifacts\.0\.inputs\.0.*'int4'",
    ),
    "empty shape": (lambda m: m["artifacts"][0]["inputs"][0].update(shape=[]), r"artifacts\.0\.inputs\.0.*shape"),
    "range upside down": (
        lambda m: m["pixel_contract"]["inputs"][0].update(value_range=[255.0, 0.0]),
        r"pixel_contract\.inputs\.0.*value_range",
    ),
    "a side that no picture has": (
        lambda m: m["artifacts"][0]["inputs"][0].update(shape=[1, 3, 10**9, 64]),
        r"artifacts\.0\.inputs\.0.*shape",
    ),
    "two pictures at once": (
        lambda m: m["artifacts"][0]["inputs"][0].update(shape=[2, 3, 48, 64]),
        r"artifacts\.0\.inputs\.0.*shape",
    ),
    "a scale that no network has": (lambda m: m["model"].update(scale=10**6), r"model\.scale"),
    "another scale than the files'": (lambda m: m["model"].update(scale=2), r"pixel_contract\.outputs\.0.*scale 2"),
    "another border than the files'": (
        lambda m: m["model"].update(crop=6),
        r"pixel_contract\.outputs\.0.*scale 3 less 6",
    ),
    "a step that is no pixel's": (
        lambda m: m["artifacts"][1]["inputs"][0].update(scale=1e6),
        r"artifacts\.1\.inputs\.0.*scale 1000000",
    ),
    "a zero that no byte holds": (
        lambda m: m["artifacts"][1]["outputs"][0].update(zero_point=700),
        r"artifacts\.1\.outputs\.0.*zero point 700",
    ),
    "an artifact of another size": (
        lambda m: (
            m["artifacts"][0]["inputs"][0].update(shape=[1, 3, 24, 32]),
            m["artifacts"][0]["outputs"][0].update(shape=[1, 3, 72, 96]),
        ),
        r"artifacts\.0\.inputs\.0: height 24",
    ),
    "a multiple that does not divide the size": (
        lambda m: m["model"].update(size_multiple=5),
        r"height 48 is not a multiple",
    ),
    "an endless halo": (lambda m: m["model"].update(halo=10**9), r"model\.halo"),
    "parity without a verdict": (lambda m: m["artifacts"][0]["parity"].pop("passed"), r"artifacts\.0\.parity\.passed"),
    "null instead of a reason": (lambda m: m["artifacts"][0].update(latency=None), r"artifacts\.0\.latency"),
    "tolerance of nothing": (
        lambda m: m["goldens"][2].update(tolerances={"x/y": {"reason": ""}}),
        r"goldens\.2.*'x/y'",
    ),
    "weights of another network": (lambda m: m["model"].update(weights_sha256="0" * 64), r"model\.weights_sha256"),
    "scale table that is not there": (lambda m: m["quantization"].update(table="t.json"), r"quantization\.table"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_contradicts_its_files_is_bad_input_that_names_file_and_field(copied: Bundle, lie: str) -> None:
    edit, message = LIES[lie]
    edit_manifest(copied.folder, edit)
    with pytest.raises(BadInput, match=rf"manifest\.json: .*{message}"):
        Bundle.load(copied.folder)

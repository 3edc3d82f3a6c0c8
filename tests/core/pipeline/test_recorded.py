"""A manifest's statements are checked against the bundle's network, files and goldens, whatever its checksums say."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import clearport
from clearport.base import Precision
from clearport.bundle.folder import Bundle, verify_folder
from clearport.errors import BadInput
from clearport.pipeline.kit import KitRequest, write_kit
from clearport.pipeline.recorded import recorded_checks
from clearport.pipeline.verify import check_artifact

Edit = Callable[[dict[str, Any]], object]


def bundle_of(precision: Precision, place: Path) -> Path:
    clearport.export("ncnet", place, size="16x16", targets=("onnxruntime",), precisions=(precision,), measure=False)
    return place


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of("fp32", tmp_path_factory.mktemp("recorded") / "bundle")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of("int8", tmp_path_factory.mktemp("recorded") / "int8")


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def edited(folder: Path, edit: Edit) -> Bundle:
    """The bundle with an edited manifest, whose checksum is right."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    lines = [line for line in (folder / "SHA256SUMS").read_text().splitlines() if not line.endswith("  manifest.json")]
    lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  manifest.json")
    (folder / "SHA256SUMS").write_text("\n".join(sorted(lines, key=lambda line: line[66:])) + "\n")
    return Bundle.load(folder)


def test_a_manifest_as_exported_has_nothing_against_it(exported: Path) -> None:
    bundle = Bundle.load(exported)
    assert recorded_checks(bundle) == []
    assert all(check.passed is not False for check in check_artifact(bundle, bundle.artifacts[0], 1))


def without_artifacts(told: dict[str, Any]) -> None:
    told["artifacts"] = []
    for golden in told["goldens"]:
        golden |= {"tolerances": {}, "value_tolerances": {}}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: m["model"].update(halo=0), "model.halo: 0 pixels, and ncnet needs 7"),
        (lambda m: m["model"].update(name="abpn"), "model: abpn x3, and weights.safetensors is of ncnet x3"),
        (lambda m: m["model"].update(task="deraining"), "model.task: deraining"),
        (lambda m: m["model"].update(whole_picture=True), "model.whole_picture: True"),
        (without_artifacts, "lists no artifact"),
    ],
)
def test_what_the_network_contradicts_is_found(copied: Path, edit: Edit, said: str) -> None:
    assert any(said in check.message for check in recorded_checks(edited(copied, edit)))


def lost_probe(told: dict[str, Any]) -> None:
    told["goldens"] = [golden for golden in told["goldens"] if golden["input"] == "input"]


def lost_values(told: dict[str, Any]) -> None:
    for golden in told["goldens"]:
        golden |= {"values": None, "value_tolerances": {}}


def failed(told: dict[str, Any]) -> None:
    told["artifacts"][0]["parity"] |= {"passed": False, "failures": ["PSNR 20 dB"]}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lost_probe, "the export proved it on the probe, which the bundle's goldens lack"),
        (lost_values, "the export proved it on PyTorch's real values for the photo"),
        (failed, "the export recorded a failed proof: PSNR 20 dB"),
    ],
)
def test_a_proof_that_the_goldens_no_longer_allow_fails(copied: Path, edit: Edit, said: str) -> None:
    bundle = edited(copied, edit)
    found = check_artifact(bundle, bundle.artifacts[0], 1)
    assert any(check.passed is False and said in check.message for check in found)


def test_files_that_no_part_names_are_told(copied: Path) -> None:
    (check,) = recorded_checks(edited(copied, lost_values))
    assert "goldens/values.safetensors" in check.message


def test_normalization_in_a_manifest_is_a_contradiction(copied: Path) -> None:
    def normalized(told: dict[str, Any]) -> None:
        told["artifacts"][0]["inputs"][0] |= {"mean": [1.0, 1.0, 1.0], "std": [1.0, 1.0, 1.0]}

    with pytest.raises(BadInput, match=r"artifacts\.0\.inputs\.0: mean and std"):
        edited(copied, normalized)


def test_a_missing_list_of_checksums_is_said_once(copied: Path, tmp_path: Path) -> None:
    (copied / "SHA256SUMS").unlink()
    (only,) = verify_folder(copied)
    assert only.path == "SHA256SUMS"
    assert "the file is missing" in only.problem
    with pytest.raises(BadInput, match="SHA256SUMS"):
        write_kit(KitRequest(copied, "python", tmp_path / "kit", "onnxruntime"))
    (copied / "weights.safetensors").write_bytes(b"changed")
    assert {found.path for found in verify_folder(copied)} == {"SHA256SUMS", "weights.safetensors"}


@pytest.mark.parametrize("edit", ["emptied", "a scale", "a zero point", "another tensor"])
def test_a_scale_table_that_no_file_follows_is_found(edit: str, quantized: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(quantized, tmp_path / "bundle"))
    assert recorded_checks(Bundle.load(folder)) == []
    path = folder / "scales.json"
    content = json.loads(path.read_text())
    tensors = content["tensors"]
    name = next(each for each, entry in tensors.items() if entry["axis"] is None)
    if edit == "emptied":
        tensors.clear()
    elif edit == "a scale":
        tensors[name]["scale"][0] *= 1.01
    elif edit == "a zero point":
        tensors[name]["zero_point"] += 1
    else:
        tensors["nothing"] = tensors[name]
    path.write_text(json.dumps(content))
    (found,) = recorded_checks(Bundle.load(folder))
    assert found.passed is False
    assert "scales.json and reference_qdq.onnx differ in the scales of " in found.message


class Drawn(nn.Module):
    """Codes (1, 12, 8), which have as many axes as a stored picture, to a picture (1, 3, 16, 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(8, 64)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return self.rows(codes).reshape(1, 3, 16, 16).sigmoid()


def test_a_picture_made_from_codes_has_the_size_of_its_contract(tmp_path: Path) -> None:
    network = (Drawn().eval(), (torch.rand(1, 12, 8),))
    bundle = clearport.export(
        network, tmp_path / "drawn", targets=("onnxruntime",), precisions=("fp32",), measure=False
    )
    assert all(check.passed is not False for check in check_artifact(bundle, bundle.artifacts[0], 1))

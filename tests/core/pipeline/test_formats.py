"""Description of files without running them, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clearport.errors import BadInput
from clearport.pipeline.formats.read import READERS, described


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_damaged_or_missing_files_are_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file or folder"):
        described(tmp_path / f"none{suffix}")
    place = tmp_path / f"bad{suffix}"
    place.write_bytes(b"\x08\x01 neither of these formats")
    with pytest.raises(BadInput, match="bad"):
        described(place)


def test_a_format_that_is_not_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"expected \.onnx, \.tflite, \.mlpackage"):
        described(tmp_path / "a.pb")


def test_a_document_type_in_an_ir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<!DOCTYPE net><net version="11"><layers/><edges/></net>')
    with pytest.raises(BadInput, match="it has a DOCTYPE"):
        described(tmp_path / "a.xml")


def test_ncnn_without_a_contract_has_names_and_operators_alone(tmp_path: Path) -> None:
    layers = ["Input in0 0 1 in0 0=8 1=8 2=3", "ReLU relu 1 1 in0 out0"]
    (tmp_path / "a.param").write_text("7767517\n2 2\n" + "\n".join(layers) + "\n")
    (tmp_path / "a.bin").write_bytes(b"")
    found = described(tmp_path / "a.param")
    assert ([s.name for s in found.inputs], [s.name for s in found.outputs]) == (["in0"], ["out0"])
    assert dict(found.operators) == {"Input": 1, "ReLU": 1}
    assert found.macs is None
    (tmp_path / "a.json").write_text(json.dumps({"input": {"name": "in0", "shape": [1, 3, 8, 8]}}))
    assert described(tmp_path / "a.param").inputs[0].shape == (1, 3, 8, 8)

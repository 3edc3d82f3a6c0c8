"""The support matrix for people, and README's table, which is made from the committed one."""

from __future__ import annotations

from pathlib import Path

from clearport.bundle.matrix_record import MatrixCell, MatrixRecord, MatrixRow, read_record
from clearport.reports import matrix
from device_tests.zoo import readme

HOSTILE = '<script>alert("1")</script> | `x` *y*'


def record_of(*cells: MatrixCell) -> MatrixRecord:
    row = MatrixRow(name="net_x2", label="net", network="net", scale="2", size="dynamic", key="0" * 64, cells=cells)
    return MatrixRecord(rows=(row,))


def cell(**fields: object) -> MatrixCell:
    return MatrixCell.model_validate({"target": "tflite", "precision": "int8", "status": "proven", **fields})


def test_the_worst_variant_and_the_least_figure_are_shown() -> None:
    both = record_of(cell(psnr_db=51.25), cell(variant="b", psnr_db=40.04))
    assert [mark.text for mark in matrix.marks(both.rows[0], "tflite")] == ["✓ int8 40.0"]
    mixed = record_of(cell(psnr_db=51.25), cell(variant="b", status="failed", reason="PSNR 20 dB"))
    assert [mark.text for mark in matrix.marks(mixed.rows[0], "tflite")] == ["✗ int8"]
    assert matrix.title(mixed) == "1 export, 2 files: 1 proven, 1 failed"
    assert "verdict bad" in matrix.html(mixed)
    assert [mark.text for mark in matrix.marks(record_of(cell(equal=True)).rows[0], "tflite")] == ["✓ int8 ="]
    assert [mark.text for mark in matrix.marks(record_of(cell()).rows[0], "tflite")] == ["✓ int8"]


def test_a_reason_is_reported_once_and_never_becomes_markup() -> None:
    refused = [cell(target=name, status="refused", reason=HOSTILE) for name in ("tflite", "ncnn")]
    record = record_of(*refused, cell(target="coreml", status="unproven", reason="no runtime"))
    assert [(reason.status, reason.cells) for reason in matrix.reasons(record)] == [
        ("refused", "net_x2: tflite/int8, ncnn/int8"),
        ("unproven", "net_x2: coreml/int8"),
    ]
    assert "<script>" not in matrix.html(record)
    assert matrix.html(record).count("&lt;script&gt;") == 1
    assert "\\<script\\>" in matrix.markdown(record)


def test_readme_has_the_table_of_the_committed_matrix() -> None:
    text = (Path(readme.ROOT) / "README.md").read_text()
    assert readme.rewritten(text, read_record(readme.RECORD)) == text, "make tables"

"""Writes the support table of README.md from the record of a matrix, between the two marks.

python -m device_tests.zoo.readme out/zoo/matrix.json      # keeps the record as device_tests/zoo/matrix.json, too
"""

from __future__ import annotations

import sys
from pathlib import Path

from clearport.bundle.matrix_record import MatrixRecord, read_record
from clearport.reports.matrix import table, title

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "device_tests" / "zoo" / "matrix.json"
BEGIN, END = "<!-- support: begin; written by 'make tables' -->\n", "<!-- support: end -->\n"


def block(record: MatrixRecord) -> str:
    """What stands between the marks."""
    return "\n".join(["", *table(record), "", f"{title(record)}.", "", ""])


def rewritten(readme: str, record: MatrixRecord) -> str:
    """The text of README.md with the table of a record."""
    before, mark, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit("README.md lacks the marks of the support table")
    return before + BEGIN + block(record) + END + after


if __name__ == "__main__":
    record = read_record(Path(sys.argv[1]))
    RECORD.write_bytes(Path(sys.argv[1]).read_bytes())
    path = ROOT / "README.md"
    path.write_text(rewritten(path.read_text(), record))

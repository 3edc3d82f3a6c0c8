"""Checks as Markdown, for the summary of a CI job."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clearport.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.reports.junit import Check

_MARKS = {True: "✅ passed", False: "❌ **failed**", None: "– not made"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#!~])")


def job_summary(title: str, checks: Sequence[Check]) -> str:
    """A verdict, and a table with failures first; texts from files are escaped."""
    failed = sum(check.passed is False for check in checks)
    left = sum(check.passed is None for check in checks)
    verdict = (
        f"❌ {failed} of {counted(len(checks), 'check')} failed" if failed else f"✅ {len(checks) - left} checks held"
    )
    order = sorted(checks, key=lambda check: (check.passed is not False, check.passed is None))
    rows = [f"| {_MARKS[c.passed]} | {_plain(c.group)} | {_plain(c.name)} | {_plain(c.message)} |" for c in order]
    said = f"{verdict}{f', {left} could not be made here' if left else ''}"
    return "\n".join(
        [f"## {_plain(title)}", "", said, "", "| | what | check | outcome |", "|---|---|---|---|", *rows, ""]
    )


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))

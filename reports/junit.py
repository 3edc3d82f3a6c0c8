"""JUnit XML, as CI systems read it, from a list of checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from clearport.files import write_text

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Check:
    """Something that was checked. ``passed`` is None where it could not be, and ``message`` then says why.

    ``group`` is what was looked at, such as an artifact key; ``name`` what was asked of it.
    """

    name: str
    passed: bool | None
    message: str = ""
    seconds: float = 0.0
    group: str = ""


def junit_xml(suite: str, checks: Sequence[Check]) -> str:
    """The checks as one JUnit test suite; characters that XML cannot hold become U+FFFD."""
    failed = sum(check.passed is False for check in checks)
    skipped = sum(check.passed is None for check in checks)
    counts = {
        "name": _clean(suite),
        "tests": str(len(checks)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(skipped),
        "time": f"{sum(check.seconds for check in checks):.3f}",
    }
    root = ET.Element("testsuites", counts)
    parent = ET.SubElement(root, "testsuite", counts)
    for check in checks:
        _add(parent, suite, check)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def write_junit(path: Path, suite: str, checks: Sequence[Check]) -> None:
    """Write ``junit_xml`` to a file, atomically.

    Raises:
        BadInput: the file cannot be written.
    """
    write_text(path, '<?xml version="1.0" encoding="UTF-8"?>\n' + junit_xml(suite, checks))


def _add(parent: ET.Element, suite: str, check: Check) -> None:
    case = ET.SubElement(
        parent,
        "testcase",
        classname=_clean(check.group or suite),
        name=_clean(check.name),
        time=f"{check.seconds:.3f}",
    )
    message = _clean(check.message)
    if check.passed is None:
        ET.SubElement(case, "skipped", message=message)
    elif not check.passed:
        ET.SubElement(case, "failure", message=message.partition("\n")[0]).text = message
    elif message:
        ET.SubElement(case, "system-out").text = message


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

"""JUnit XML, as CI systems read it, from a list of checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from xml.etree import ElementTree as ET

from clearport.disk.files import is_stream, write_text
from clearport.disk.ours import JUNIT_HEAD, is_junit
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Check:
    """A check. ``passed`` is None if it could not be made, with the reason in ``message``.

    ``group`` is its subject, such as an artifact key; ``name`` the check. ``broken``: the check failed to finish, for
    a reason other than the files or this machine's runtimes. ``undecided``: the figures do not suffice for a decision,
    which counts as not passed.
    """

    name: str
    passed: bool | None
    message: str = ""
    seconds: float = 0.0
    group: str = ""
    broken: bool = False
    undecided: bool = False


def junit_xml(suite: str, checks: Sequence[Check]) -> str:
    """The checks as one JUnit test suite; characters that XML cannot hold become U+FFFD."""
    failed = sum(check.passed is False and not check.broken for check in checks)
    skipped = sum(check.passed is None for check in checks)
    counts = {
        "name": _clean(suite),
        "tests": str(len(checks)),
        "failures": str(failed),
        "errors": str(sum(check.broken for check in checks)),
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
    write_text(path, JUNIT_HEAD.decode() + junit_xml(suite, checks).removeprefix("<testsuites "))


class JunitFile:
    """A JUnit file that reflects the state of the run at any time, however the run ends.

    Until there are checks it holds an error, so that an earlier run's file is not mistaken for this run's outcome.
    Use it as a context manager; an exception that leaves the block becomes an error in the file, beside the checks that
    are there by then. With None for the path nothing is written.

    Raises:
        BadInput: the file cannot be written.
    """

    def __init__(self, path: Path | None, suite: str) -> None:
        self._path, self._suite = path, suite
        self.checks: tuple[Check, ...] = ()

    def __enter__(self) -> JunitFile:
        self._write("this run did not finish: it was killed, or is still running")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self._write("")
            return
        with suppress(BadInput):  # the first error is reported
            self._write(str(error) or "interrupted")

    def _write(self, broken: str) -> None:
        if self._path is None or (is_stream(self._path) and broken and not self.checks):
            return  # a stream cannot be rewritten
        wrong = (Check("run", False, broken, group=self._suite, broken=True),) if broken else ()
        write_junit(self._path, self._suite, (*self.checks, *wrong))


def note_failure(path: Path, error: str) -> None:
    """Write that a run failed before it began; a file that is not clearport's JUnit report is not changed."""
    wanted = OutFile(path, "--junit", "a JUnit report of clearport", is_junit)
    with suppress(BadInput), claimed(wanted), suppress(_Failed), JunitFile(path, "clearport"):
        raise _Failed(error)


class _Failed(Exception):
    pass


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
        kind = "error" if check.broken else "failure"
        ET.SubElement(case, kind, message=message.partition("\n")[0]).text = message
    elif message:
        ET.SubElement(case, "system-out").text = message


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

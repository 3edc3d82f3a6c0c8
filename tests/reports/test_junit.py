"""JUnit XML: well-formed whatever the texts are, and the counts are right."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from clearport.reports.junit import Check, junit_xml, write_junit

CHECKS = (
    Check("parity", True, "71.93 dB", 1.25, "tflite/int8"),
    Check("parity", False, "31.02 dB, expected at least 48.1\nsecond line", 0.5, "coreml/int8"),
    Check("parity", None, "openvino is not installed", group="openvino/int8"),
)


def test_counts_and_cases(tmp_path: Path) -> None:
    write_junit(tmp_path / "out.xml", "clearport eval", CHECKS)
    suite = ET.parse(tmp_path / "out.xml").getroot()[0]
    assert suite.tag == "testsuite"
    assert [suite.get(k) for k in ("tests", "failures", "errors", "skipped", "time")] == ["3", "1", "0", "1", "1.750"]
    passed, failed, skipped = suite
    assert (passed.get("classname"), passed.get("name"), passed.get("time")) == ("tflite/int8", "parity", "1.250")
    assert passed.findtext("system-out") == "71.93 dB"
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("message") == "31.02 dB, expected at least 48.1"
    assert failure.text == CHECKS[1].message
    reason = skipped.find("skipped")
    assert reason is not None
    assert reason.get("message") == "openvino is not installed"


@given(st.text(), st.text(), st.sampled_from([True, False, None]))
def test_any_text_is_written_as_well_formed_xml(name: str, message: str, passed: bool | None) -> None:
    root = ET.fromstring(junit_xml(name, [Check(name, passed, message, group=name)]).encode("utf-8", "replace"))
    assert len(root.findall(".//testcase")) == 1
    assert len(root.findall(".//failure")) == (passed is False)

"""Parsing of LiteRT's log on its NPU path, and the Python that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearport.errors import BadInput
from clearport.runtime.runners import litert_npu as run_litert_npu
from clearport.runtime.sessions import qnn_library

SAID = (
    "INFO: [compiler_plugin.cc:742] Partitioned subgraph<0>, selected {} ops, from a total of 12 ops. "
    "resulted in {} partitions.\n"
)
RAN = "INFO: [invocation_context.cc:293] Using Intel OpenVINO device: CPU\n"


@pytest.mark.parametrize(
    ("said", "partitions", "device"),
    [
        (SAID.format(12, 1) + RAN, 1, "CPU"),
        (SAID.format(9, 2) + RAN, 0, "CPU"),
        (SAID.format(12, 1), 0, "none"),
        ("INFO: nothing of the kind\n", 0, "none"),
    ],
)
def test_only_a_whole_file_that_was_dispatched_counts(said: str, partitions: int, device: str) -> None:
    assert run_litert_npu.evidence(said) == {"partitions": partitions, "device": device}


def test_the_python_of_the_environment_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch()
    monkeypatch.setenv(run_litert_npu.VARIABLE, str(python))
    assert run_litert_npu.interpreter() == str(python)
    assert run_litert_npu.RUNNER.unavailable() is None
    python.unlink()
    with pytest.raises(BadInput, match="no such file"):
        run_litert_npu.interpreter()


def test_another_openvino_is_no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(run_litert_npu.VARIABLE, raising=False)
    versions = {"openvino": "2026.4.1", "ai-edge-litert": "2.3.0"}
    monkeypatch.setattr(run_litert_npu, "installed_versions", lambda _: versions)
    assert run_litert_npu.interpreter() is None
    assert run_litert_npu.VARIABLE in str(run_litert_npu.RUNNER.unavailable())
    versions["openvino"] = "2026.3.1"
    assert run_litert_npu.interpreter() is not None


@pytest.mark.parametrize(("text", "number"), [("v73", 73), ("V81", 81), ("68", 68)])
def test_architectures(text: str, number: int) -> None:
    assert qnn_library.architecture(text) == number


@pytest.mark.parametrize("text", ["v42", "", "v", "seventy-three", "v73.1"])
def test_architectures_that_are_none(text: str) -> None:
    with pytest.raises(BadInput, match="unknown HTP architecture"):
        qnn_library.architecture(text)

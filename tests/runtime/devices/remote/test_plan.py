"""Which runtimes of a device a job goes to, and what its time is put in relation to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clearport.base import Artifact, Skipped
from clearport.runtime.devices.device import Job
from clearport.runtime.devices.remote.plan import Entry, baselines_of, entries_of, fitting


def job(target: str, precision: Any = "int8", **more: Any) -> Job:
    artifact = Artifact(target, precision, Path("x"), "0" * 64, (), (), {})
    return Job(artifact, **{"unit": "cpu", "inputs": {}, **more})


def test_a_cpu_job_goes_to_the_first_runtime_that_the_device_has() -> None:
    (found,) = entries_of(job("tflite"), {"litert": None}, ())
    assert found == Entry(job("tflite"), "litert", "tflite/int8")


def test_runtimes_that_are_missing_are_the_reason() -> None:
    assert list(entries_of(job("tflite"), {"litert": "ai-edge-litert is missing"}, ())) == [
        Skipped("", "ai-edge-litert is missing")
    ]


def test_each_requested_runtime_has_its_own_row() -> None:
    asked = ("onnxruntime", "litert")
    assert list(entries_of(job("onnxruntime"), {"onnxruntime": "no wheel"}, asked)) == [
        Skipped("onnxruntime", "no wheel")
    ]
    (nobody,) = entries_of(job("openvino"), {}, asked)
    assert nobody == Skipped("", "no runner of onnxruntime, litert takes openvino files to the cpu of a device")


def test_runners_that_only_check_and_pytorch_stay_here() -> None:
    assert "tensorflow" not in fitting(job("tflite"), ())
    for unit in ("cpu", "gpu"):
        (torch,) = entries_of(job("torch", "fp32", unit=unit), {}, ())
        assert isinstance(torch, Skipped)
        assert "PyTorch is measured on this machine only" in torch.reason


def test_a_baseline_is_the_job_that_is_named_by_the_same_runner_if_there_is_one() -> None:
    first, second = (Entry(job("tflite", label="old"), runner, f"old {runner}") for runner in ("a", "b"))
    mine = Entry(job("tflite", baseline="old"), "b", "new b")
    other = Entry(job("tflite", baseline="old"), "c", "new c")
    lonely = Entry(job("tflite", baseline="gone"), "a", "lonely")
    assert baselines_of([mine, other, lonely], [first, second, mine]) == {"new b": second, "new c": first}

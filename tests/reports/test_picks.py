"""Which file a report recommends: what passed, by what was measured in the bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clearport.bundle.manifest import Manifest
from clearport.reports import markdown
from clearport.reports.page import page
from clearport.reports.picks import chosen, picks
from clearport.runtime.latency.record import LatencyReport
from tests.device_rows import bench_row
from tests.latency_reports import latency_report


@pytest.fixture(scope="module")
def manifest(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    found: Manifest = make_bundle(tmp_path_factory.mktemp("picks") / "bundle").manifest
    return found


def taken(manifest: Manifest) -> dict[str, str]:
    return {pick.place: pick.artifact for pick in picks(manifest)}


def with_artifacts(manifest: Manifest, change: Any) -> Manifest:
    return manifest.model_copy(update={"artifacts": tuple(change(a) for a in manifest.artifacts)})


def failing(manifest: Manifest, *keys: str) -> Manifest:
    def change(artifact: Any) -> Any:
        if artifact.key not in keys:
            return artifact
        parity = replace(artifact.parity, passed=False, failures=("too far",))
        return artifact.model_copy(update={"parity": parity})

    return with_artifacts(manifest, change)


def test_one_file_for_each_place_that_there_are_files_for(manifest: Manifest) -> None:
    assert taken(manifest) == {
        "Android": "tflite/int8",
        "iPhone, iPad, Mac": "coreml/fp16/image",
        "Linux and Windows, CPU": "openvino/int8",
    }
    assert chosen(manifest)["tflite/int8"] == "Android"


def test_figures_are_those_of_the_bundle(manifest: Manifest) -> None:
    android, phone, linux = picks(manifest)
    figures = dict(android.figures)
    record = next(a for a in manifest.artifacts if a.key == "tflite/int8")
    assert figures["Size"] == f"{record.bytes / 1000:.1f} kB"
    assert figures["Time here, x86_64 CPU"] == "75.9 ms, 0.17 of PyTorch's time"
    assert figures["Change on Set5"] == "−0.053 dB"
    assert not any(label.startswith("Time") for label, _ in phone.figures)
    assert "fastest of 3 files for CPUs that were measured here" in linux.reason
    assert linux.instead.startswith("onnxruntime/int8 ")


def test_what_failed_is_never_recommended(manifest: Manifest) -> None:
    assert taken(failing(manifest, "tflite/int8"))["Android"] == "tflite/fp32"
    android = picks(failing(manifest, "tflite/int8", "tflite/fp32"))[0]
    assert (android.artifact, android.file, android.figures) == ("", "", ())
    assert android.reason == "None can be recommended: tflite/int8 failed a check; tflite/fp32 failed a check."
    assert "tflite/int8" not in chosen(failing(manifest, "tflite/int8"))


def test_a_failed_gate_counts_too(manifest: Manifest) -> None:
    gates = tuple(q.model_copy(update={"passed": q.subject != "tflite/int8"}) for q in manifest.quality)
    assert taken(manifest.model_copy(update={"quality": gates}))["Android"] == "tflite/fp32"


def test_the_fastest_here_is_taken_where_files_run_as_here(manifest: Manifest) -> None:
    def change(artifact: Any) -> Any:
        fast = artifact.key == "onnxruntime/fp32"
        return artifact.model_copy(update={"latency": latency_report([5.0] * 6)}) if fast else artifact

    assert taken(with_artifacts(manifest, change))["Linux and Windows, CPU"] == "onnxruntime/fp32"
    assert taken(with_artifacts(manifest, change))["Android"] == "tflite/int8"


def test_a_phone_that_was_measured_decides_for_phones(manifest: Manifest) -> None:
    rows = tuple(
        bench_row(device="adb:PIXEL", artifact=key, cell=latency_report([ms] * 6, unit_asked="gpu", unit_ran="gpu"))
        for key, ms in (("tflite/fp32", 4.0), ("tflite/int8", 9.0))
    )
    android = picks(manifest.model_copy(update={"device_rows": rows}))[0]
    assert android.artifact == "tflite/fp32"
    assert "fastest of 2 files measured on adb:PIXEL" in android.reason
    assert dict(android.figures)["On adb:PIXEL"] == "4.00 ms on the gpu"
    assert isinstance(rows[0].cell, LatencyReport)


def test_markdown_begins_with_it(manifest: Manifest) -> None:
    lines = markdown.markdown(page(manifest), manifest).splitlines()
    assert lines.index("## Which file to take") < lines.index("## The network")
    assert any(line.startswith("- **Android**: `tflite/ncnet_x3_int8.tflite` (tflite/int8).") for line in lines)


def test_a_bundle_without_files_recommends_nothing(manifest: Manifest) -> None:
    empty = manifest.model_copy(update={"artifacts": ()})
    assert picks(empty) == ()
    assert "Which file to take" not in markdown.markdown(page(empty), empty)

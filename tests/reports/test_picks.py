"""Recommended files of a report: passed checks, and measurements in the bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clearport.bundle.bench_record import BenchedDevice
from clearport.bundle.manifest import LintFinding, Manifest
from clearport.pipeline.lint.artifact import HALF_RULE, RULE
from clearport.reports import markdown
from clearport.reports.choice import picks as rules
from clearport.reports.choice.pareto import scatters
from clearport.reports.choice.picks import chosen, picks
from clearport.reports.choice.places import OF_A_FILE, PLACES, WHY
from clearport.reports.content import Pick
from clearport.reports.figures import distance, figures
from clearport.reports.page import page
from clearport.reports.tables.general import glance
from clearport.runtime.devices.device import EstimateReport
from clearport.runtime.latency.conditions import Conditions
from tests.device_rows import bench_row, with_devices
from tests.latency_reports import latency_report

PC, PHONE, GPU, NPU = "PC with Intel or AMD, CPU", "Android, CPU", "Android, GPU", "Android, NPU"
MICRO, BOARD = "Microcontroller, Ethos-U NPU", "Board with an Arm CPU"


@pytest.fixture(scope="module")
def manifest(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    found: Manifest = make_bundle(tmp_path_factory.mktemp("picks") / "bundle").manifest
    return found


def by_place(manifest: Manifest) -> dict[str, Pick]:
    return {pick.place: pick for pick in picks(manifest)}


def taken(manifest: Manifest) -> dict[str, str]:
    return {place: pick.artifact for place, pick in by_place(manifest).items()}


def with_artifacts(manifest: Manifest, change: Any) -> Manifest:
    return manifest.model_copy(update={"artifacts": tuple(change(a) for a in manifest.artifacts)})


def failing(manifest: Manifest, *keys: str) -> Manifest:
    def change(artifact: Any) -> Any:
        if artifact.key not in keys:
            return artifact
        parity = replace(artifact.parity, passed=False, failures=("too far",))
        return artifact.model_copy(update={"parity": parity})

    return with_artifacts(manifest, change)


def measured(manifest: Manifest, device: str, ms: dict[str, float], unit: str, **facts: Any) -> Manifest:
    """``manifest`` with rows of one device."""
    rows = tuple(
        bench_row(device=device, artifact=key, cell=latency_report([value] * 6, unit_asked=unit, unit_ran=unit))
        for key, value in ms.items()
    )
    found = BenchedDevice(address=device, facts=facts, before=Conditions(), after=Conditions())
    return manifest.model_copy(update={"device_rows": rows, "devices": (found,)})


def test_one_file_for_each_place_that_there_are_files_for(manifest: Manifest) -> None:
    assert taken(manifest) == {
        PHONE: "tflite/int8",
        GPU: "tflite/fp32",
        NPU: "tflite/int8",
        "iPhone, iPad, Mac": "coreml/fp16/image",
        PC: "openvino/int8",
        BOARD: "tflite/int8",
        "Browser": "tflite/int8",
        MICRO: "tflite/int8",
    }
    assert chosen(manifest)["tflite/int8"] == f"{PHONE}; {NPU}; {BOARD}; Browser; {MICRO}"


def test_every_place_says_why_and_every_second_choice_what_for() -> None:
    assert {place.title for place in PLACES} == set(WHY)
    kinds = {"/".join(key.split("/")[:2]) for place in PLACES for key in place.wanted}
    assert kinds - set(OF_A_FILE) == {"openvino/fp16", "openvino/fp32"}
    assert (rules.HALF_RULE, rules.NNAPI_RULE) == (HALF_RULE, RULE)


def test_figures_are_those_of_the_bundle(manifest: Manifest) -> None:
    found = by_place(manifest)
    phone, pc = dict(found[PHONE].figures), dict(found[PC].figures)
    record = next(a for a in manifest.artifacts if a.key == "tflite/int8")
    assert phone["Size"] == f"{record.bytes / 1000:.1f} kB"
    assert (phone["Time there"], phone["Time on this x86_64 CPU"]) == ("not measured", "75.9 ms")
    assert phone["Change on Set5"] == "−0.053 dB"
    assert (pc["Time here, CPU time"], pc["Of PyTorch's time"]) == ("41.4 ms", "0.09")
    assert "fastest of 4 files measured here" in found[PC].reason
    assert found[PC].unmeasured == ""


def test_of_several_outputs_the_worst_is_reported(manifest: Manifest) -> None:
    def second(artifact: Any) -> Any:
        if artifact.key != "tflite/fp32":
            return artifact
        worse = replace(artifact.parity, basis="values", output="mask", psnr_db=70.0, sqnr_db=61.5)
        elsewhere = replace(worse, sqnr_db=3.0, method="ran on something else")
        return artifact.model_copy(update={"cross_checks": (worse, elsewhere)})

    figures = dict(by_place(with_artifacts(manifest, second))[GPU].figures)
    assert figures["SQNR to PyTorch"] == "61.5 dB"


def test_for_class_indices_the_share_is_reported_instead_of_a_ratio(manifest: Manifest) -> None:
    base = next(a for a in manifest.artifacts if a.key == "tflite/fp32").parity

    def classes(artifact: Any) -> Any:
        report = replace(base, basis="values", output="mask", psnr_db=20.0, sqnr_db=None, top1=0.99999)
        return artifact.model_copy(update={"parity": report, "cross_checks": ()})

    changed = with_artifacts(manifest, classes)
    assert dict(by_place(changed)[GPU].figures)["Share equal to PyTorch"] == "> 99.99 %"
    assert all(plot.y == "share equal to PyTorch, %" for plot in scatters(changed) if "ground" not in plot.y)
    assert all(figures(artifact.parity) == "> 99.99 % equal" for artifact in changed.artifacts)
    shown = [row[3].text for row in glance(changed).rows]
    assert shown == ["> 99.99 % equal"] * len(shown)


def test_files_that_were_not_compared_are_not_equal(manifest: Manifest) -> None:
    unfit = replace(manifest.artifacts[0].parity, psnr_db=None, max_abs=None, mean_lsb=None, exact_share=None)
    assert (figures(unfit), distance(unfit)) == ("not compared", "not compared")


def test_the_time_of_a_cpu_is_no_time_of_a_gpu(manifest: Manifest) -> None:
    for place in (GPU, NPU, MICRO):
        figures = dict(by_place(manifest)[place].figures)
        assert figures["Time"] == "not measured"
        assert not any("ms" in text for text in figures.values())


def test_missing_measurements_name_the_command_that_makes_them(manifest: Manifest) -> None:
    found = by_place(manifest)
    assert found[PHONE].unmeasured == "clearport bench . --device adb:SERIAL --record"
    assert found["iPhone, iPad, Mac"].unmeasured == "clearport bench . --record"


def test_failed_files_are_never_recommended(manifest: Manifest) -> None:
    one = by_place(failing(manifest, "tflite/int8"))[PHONE]
    assert one.artifact == "tflite/fp32"
    assert "Not tflite/int8: it failed a check." in one.reason
    both = by_place(failing(manifest, "tflite/int8", "tflite/fp32"))[PHONE]
    assert (both.artifact, both.file, both.figures) == ("", "", ())
    assert both.reason == "None can be recommended: tflite/int8 failed a check; tflite/fp32 failed a check."
    assert "tflite/int8" not in chosen(failing(manifest, "tflite/int8"))


def test_a_failed_gate_counts_too(manifest: Manifest) -> None:
    gates = tuple(q.model_copy(update={"passed": q.subject != "tflite/int8"}) for q in manifest.quality)
    assert taken(manifest.model_copy(update={"quality": gates}))[PHONE] == "tflite/fp32"


@pytest.mark.parametrize(("change", "wanted"), [(-0.29, "tflite/int8"), (-0.31, "tflite/fp32")])
def test_a_file_that_loses_too_much_comes_after_others(manifest: Manifest, change: float, wanted: str) -> None:
    worse = tuple(q.model_copy(update={"change": change}) if q.change is not None else q for q in manifest.quality)
    found = manifest.model_copy(update={"quality": worse})
    pick = by_place(found)[PHONE]
    assert pick.artifact == wanted
    assert ("loses 0.31 dB against ground truth" in pick.reason) == (wanted == "tflite/fp32")
    assert taken(found)[MICRO] == "tflite/int8"  # it takes nothing else, and the report says what it costs
    assert ("But it loses 0.31 dB" in by_place(found)[MICRO].reason) == (wanted == "tflite/fp32")


def test_fp16_that_float16_spoils_is_not_for_gpus(manifest: Manifest) -> None:
    def change(artifact: Any) -> Any:
        if artifact.key != "tflite/int8":
            return artifact
        spoiled = LintFinding(level="warning", rule=HALF_RULE, message="it overflows")
        return artifact.model_copy(update={"precision": "fp16", "lint": (spoiled,)})

    found = by_place(with_artifacts(manifest, change))
    assert found[GPU].artifact == "tflite/fp32"
    assert "Not tflite/fp16: it does not hold in float16 arithmetic." in found[GPU].reason
    assert found[PHONE].artifact == "tflite/fp16"  # CPUs compute it in float32


def test_the_fastest_here_is_taken_where_files_run_as_here(manifest: Manifest) -> None:
    def change(artifact: Any) -> Any:
        fast = artifact.key == "onnxruntime/fp32"
        return artifact.model_copy(update={"latency": latency_report([5.0] * 6)}) if fast else artifact

    assert taken(with_artifacts(manifest, change))[PC] == "onnxruntime/fp32"
    assert taken(with_artifacts(manifest, change))[PHONE] == "tflite/int8"
    arm = manifest.host.model_copy(update={"machine": "aarch64"})
    there = by_place(with_artifacts(manifest, change).model_copy(update={"host": arm}))
    assert (there[PC].artifact, there[BOARD].artifact) == ("openvino/int8", "onnxruntime/fp32")
    assert there[PC].unmeasured == "clearport bench . --record"


def test_a_phone_that_was_measured_decides_for_phones(manifest: Manifest) -> None:
    found = by_place(measured(manifest, "adb:PIXEL", {"tflite/fp32": 4.0, "tflite/int8": 9.0}, "cpu"))
    assert found[PHONE].artifact == "tflite/fp32"
    assert "fastest of 2 files measured on adb:PIXEL" in found[PHONE].reason
    assert dict(found[PHONE].figures)["Time on adb:PIXEL, cpu"] == "4.00 ms"
    assert found[PHONE].unmeasured == ""
    assert dict(found[GPU].figures)["Time"] == "not measured"  # it was the phone's CPU


@pytest.mark.parametrize(("machine", "decides"), [("aarch64", BOARD), ("x86_64", PC)])
def test_a_board_counts_for_its_own_processor(manifest: Manifest, machine: str, decides: str) -> None:
    found = by_place(measured(manifest, "ssh:pi@board", {"onnxruntime/int8": 1.0}, "cpu", machine=machine))
    assert found[decides].artifact == "onnxruntime/int8"
    assert [p for p in (BOARD, PC) if "Time on ssh:pi@board, cpu" in dict(found[p].figures)] == [decides]


def test_an_estimate_is_labeled_as_one(manifest: Manifest) -> None:
    rows = with_devices(manifest).device_rows
    estimate = next(row for row in rows if isinstance(row.cell, EstimateReport))
    moved = estimate.model_copy(update={"device": "ethos-u:u55-256"})
    pick = by_place(manifest.model_copy(update={"device_rows": (moved,)}))[MICRO]
    assert dict(pick.figures)["Estimated for ethos-u:u55-256, nothing ran"] == "~131 ms"
    assert "Its compiler leaves RESIZE_BILINEAR (up) to the CPU." in pick.reason
    assert "The only file compiled for ethos-u:u55-256." in pick.reason
    assert "But it has a warning of its compiler: no board has that much SRAM." in pick.reason


def test_float_layers_are_reported_where_integers_are_wanted(manifest: Manifest) -> None:
    assert "No layer of it is float" in by_place(manifest)[NPU].reason
    assert manifest.quantization is not None
    mixed = manifest.quantization.model_copy(update={"islands": {"div1": "Div"}, "float_layers": ("conv9",)})
    reason = by_place(manifest.model_copy(update={"quantization": mixed}))[NPU].reason
    assert "2 layers of it are float, which most NPUs leave to the CPU: conv9, Div (div1)." in reason
    assert "float" not in by_place(manifest.model_copy(update={"quantization": mixed}))["Browser"].reason


def test_the_nnapi_prediction_is_reported_where_no_npu_ran(manifest: Manifest) -> None:
    said = "NNAPI is predicted to take all 12 operators from API level 30 on, in one part"
    findings = tuple(LintFinding(level="note", rule=RULE, message=message) for message in (said, "more"))
    linted = with_artifacts(manifest, lambda a: a.model_copy(update={"lint": findings}))
    assert [place for place, pick in by_place(linted).items() if f"{said}." in pick.reason] == [NPU]
    ran = measured(linted, "adb:PIXEL", {"tflite/int8": 3.0}, "npu")
    assert said not in by_place(ran)[NPU].reason


def test_markdown_begins_with_it(manifest: Manifest) -> None:
    lines = markdown.markdown(page(manifest), manifest).splitlines()
    assert lines.index("## Which file to take") < lines.index("## The network")
    assert any(line.startswith("- **Android, CPU**: `tflite/ncnet_x3_int8.tflite` (tflite/int8).") for line in lines)


def test_the_answer_names_each_file_once(manifest: Manifest) -> None:
    files = [file for file, _, _ in page(manifest).answer]
    assert files[0] == "tflite/ncnet_x3_int8.tflite"
    assert len(set(files)) == len(files) == 4


def test_caveats_say_what_is_missing(manifest: Manifest) -> None:
    assert page(manifest).caveats == (
        "Core ML files were proven by clearport's evaluator, not by Apple's runtime: that needs a Mac",
    )
    untimed = with_artifacts(manifest, lambda a: a.model_copy(update={"latency": manifest.artifacts[-1].latency}))
    blind = page(untimed.model_copy(update={"quality": ()})).caveats
    assert "Quality against ground truth was not measured: clearport eval . --data PAIRS --record" in blind
    assert "No latency was measured: clearport bench . --record" in blind
    busy = manifest.host.model_copy(update={"load_start": 6.6})
    assert "load average 6.6 on 2 cores" in page(manifest.model_copy(update={"host": busy})).caveats[0]


def test_a_bundle_without_files_recommends_nothing(manifest: Manifest) -> None:
    empty = manifest.model_copy(update={"artifacts": ()})
    assert picks(empty) == ()
    assert page(empty).caveats == ()
    assert "Which file to take" not in markdown.markdown(page(empty), empty)

"""The offer of a system to a page, and refusals with reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearport.bundle import system as systems
from clearport.bundle.system import PartRecord, RowRecord, System, SystemRecord
from clearport.disk.files import write_bytes
from clearport.errors import BadInput
from clearport.pipeline.serve import Served, ServeRequest, serve_bundle
from clearport.pipeline.systems.serve import system_offer, unshowable
from clearport.programs.program import Program
from clearport.runtime.devices.browser.offer import plan_of
from clearport.runtime.devices.browser.page import unbuilt
from clearport.runtime.latency.record import LatencyPlan
from clearport.runtime.parity import ParityReport
from clearport.runtime.tolerance import Tolerance

PICTURE = {"name": "picture", "kind": "picture", "shape": [1, 3, "h", "w"]}
STEP = {"do": "run", "part": "enlarge", "inputs": {"image": "picture"}, "outputs": {"restored": "larger"}}
PLAN = plan_of(LatencyPlan())
KEYS = ("tflite/fp32", "tflite/int8", "onnxruntime/int8/ort", "openvino/int8")


def program(inputs: list[dict[str, Any]], **fields: Any) -> Program:
    plain = {"inputs": inputs, "outputs": [{"name": "larger", "kind": "picture"}], "steps": [STEP]}
    return Program.model_validate_json(json.dumps({**plain, **fields}))


def row(key: str) -> RowRecord:
    limits = Tolerance("a test", max_abs=3.0)
    report = ParityReport(True, 60.0, 1.0, 0.1, 0.99, "ran", "PyTorch", "8-bit pictures", limits, output="larger")
    target, precision, *variant = key.split("/")
    return RowRecord(
        target=target,
        precision=precision,  # type: ignore[arg-type]  # one of them
        variant="".join(variant),
        method="ran",
        parity=(report,),
    )


@pytest.fixture
def made(make_bundle: Any, tmp_path: Path) -> System:
    make_bundle(tmp_path / "made" / "parts" / "enlarge")
    write_bytes(tmp_path / "made" / "golden.safetensors", b"golden")
    record = SystemRecord(
        name="made",
        task="matting",
        about="A test.",
        notice="Mind it.",
        size="4x4",
        parts={"enlarge": PartRecord(folder="parts/enlarge", network="ncnet")},
        program=program([PICTURE]),
        rows=tuple(map(row, KEYS)),
        tool_versions={},
    )
    return systems.write(tmp_path / "made", record)


def test_every_row_that_browsers_run_is_offered_with_its_limits(made: System) -> None:
    offer, contents = system_offer(made, PLAN)
    assert offer.system is not None
    assert [way.key for way in offer.system.ways] == [
        "tflite/fp32 litert-js wasm",
        "tflite/fp32 litert-js webgpu",
        "tflite/int8 litert-js wasm",
        "tflite/int8 litert-js webgpu",
        "onnxruntime/int8/ort onnxruntime-web wasm",
    ]
    reasons = {skipped.what: skipped.reason for skipped in offer.left_out}
    assert reasons["openvino/int8"] == "part enlarge: no browser runtime accepts openvino files"
    assert "optimized for the CPU" in reasons["onnxruntime/int8/ort onnxruntime-web webgpu"]
    way = offer.system.ways[2]
    assert way.limits["larger"].max_abs == 3.0
    assert {part.url for each in offer.system.ways for part in each.parts.values()} == {
        name for name in contents if name != offer.system.golden
    }
    assert contents[way.parts["enlarge"].url].source == made.parts["enlarge"].path(
        made.parts["enlarge"].find("tflite", "int8")
    )
    assert (offer.system.notice, offer.candidates) == ("Mind it.", ())
    some, _ = system_offer(made, PLAN, ("onnxruntime",))
    assert some.system is not None
    assert [each.artifact for each in some.system.ways] == ["onnxruntime/int8/ort"]


POINTS = {"name": "clicks", "kind": "points", "shape": ["n", 3]}
VALUES = {"name": "direction", "kind": "values", "shape": [1, 3, 8, 8]}


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ([PICTURE, POINTS, {**POINTS, "name": "more"}], "has 2 inputs of kind points"),
        ([{**PICTURE, "shape": [1, 1, "h", "w"]}], "of shape 1x1xhxw, but the page supports RGB"),
        ([{**PICTURE, "kind": "noise"}], "is noise of dynamic size"),
        ([POINTS, {**PICTURE, "kind": "noise", "shape": [1, 3, 8, 8]}], "there is no picture to click on"),
    ],
)
def test_a_program_that_the_page_cannot_show_is_refused(inputs: list[dict[str, Any]], why: str) -> None:
    assert why in "; ".join(unshowable(program(inputs)))
    assert list(unshowable(program([PICTURE, {**PICTURE, "name": "second"}, POINTS, VALUES]))) == []


def test_a_system_that_the_page_cannot_show_is_refused(made: System) -> None:
    record = made.record.model_copy(update={"program": program([{**PICTURE, "shape": [1, 1, "h", "w"]}])})
    with pytest.raises(BadInput, match="cannot show this system: input 'picture' is a picture of shape 1x1xhxw"):
        system_offer(System(made.folder, record, made.parts), PLAN)


def request(system: System, **options: Any) -> ServeRequest:
    return ServeRequest(system.folder, port=0, **options)


def test_files_that_are_not_served_are_reported(made: System, tmp_path: Path) -> None:
    for options, why in (
        ({"records": tmp_path / "records"}, r"whose page sends no records; .*parts/PART"),
        ({"targets": ("openvino",)}, r"no browser runtime can run its files .openvino/int8: part enlarge: no browser"),
        ({"targets": ("ncnn",)}, "no row of the whole matches"),
    ):
        with pytest.raises(BadInput, match=why):
            serve_bundle(request(made, **options), lambda _: None, lambda _: None)
    path = made.parts["enlarge"].path(made.parts["enlarge"].find("tflite", "int8"))
    path.write_bytes(b"changed")
    with pytest.raises(BadInput, match="a modified system is not served"):
        serve_bundle(request(made), lambda _: None, lambda _: None)
    assert not (tmp_path / "records").exists()


class Enough(Exception):
    pass


def test_a_system_is_served_and_keeps_no_records(made: System) -> None:
    if (why := unbuilt()) is not None:
        pytest.skip(why)
    seen: list[Served] = []

    def started(served: Served) -> None:
        seen.append(served)
        raise Enough

    with pytest.raises(Enough):
        serve_bundle(request(made), started, lambda _: None)
    assert (seen[0].title, seen[0].candidates, seen[0].records) == ("made", 5, None)
    assert sorted(path.name for path in made.folder.parent.iterdir()) == ["made"]

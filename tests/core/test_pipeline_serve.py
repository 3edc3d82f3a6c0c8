"""What browsers are offered of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clearport.base import BadInput
from clearport.bundle import Bundle
from clearport.pipeline_serve import ServeRequest, offer_of, serve_bundle
from clearport.runtime.latency_stats import LEAST_ROUNDS


@pytest.fixture
def made(make_bundle: Any, tmp_path: Path) -> Bundle:
    bundle: Bundle = make_bundle(tmp_path / "bundle")
    return bundle


def request(bundle: Bundle, **options: Any) -> ServeRequest:
    return ServeRequest(bundle.folder, bundle.folder.parent / "records", **options)


def test_every_file_that_browsers_run_is_offered_and_the_others_have_a_reason(made: Bundle) -> None:
    offer, contents = offer_of(made, request(made))
    assert [c.key for c in offer.candidates] == [
        "onnxruntime/fp32 onnxruntime-web wasm",
        "onnxruntime/fp32 onnxruntime-web webgpu",
        "onnxruntime/fp32 onnxruntime-web webnn",
        "onnxruntime/int8 onnxruntime-web wasm",
        "onnxruntime/int8 onnxruntime-web webgpu",
        "onnxruntime/int8 onnxruntime-web webnn",
        "onnxruntime/int8/ort onnxruntime-web wasm",
        "tflite/fp32 litert-js wasm",
        "tflite/fp32 litert-js webgpu",
        "tflite/int8 litert-js wasm",
        "tflite/int8 litert-js webgpu",
    ]
    reasons = {s.what: s.reason for s in offer.left_out}
    assert reasons["openvino/int8"] == "no runtime for browsers takes openvino files"
    assert "coreml/fp16/image" in reasons
    served = {"goldens/input.png", "goldens/float.png", "goldens/int8.png"} | {
        a.path for a in made.artifacts if a.target in ("tflite", "onnxruntime")
    }
    assert set(contents) == {f"files/{path}" for path in served}


def test_candidates_are_judged_as_the_manifest_says(made: Bundle) -> None:
    offer, _ = offer_of(made, request(made))
    judged = {c.key: (c.golden, c.tolerance) for c in offer.candidates}
    golden = made.golden("int8")
    assert judged["tflite/int8 litert-js wasm"] == ("files/goldens/int8.png", golden.tolerances["tflite/int8"])
    assert judged["tflite/fp32 litert-js wasm"] == (None, None)
    assert offer.golden_input == "files/goldens/input.png"
    assert (offer.tiling.scale, offer.tiling.halo) == (3, made.manifest.model.halo)


def test_the_plan_is_what_was_asked_for(made: Bundle) -> None:
    offer, _ = offer_of(made, request(made, runs=35, seconds=0.5, threads=4, targets=("tflite",)))
    assert (offer.plan.rounds, offer.plan.runs, offer.plan.min_seconds, offer.plan.threads) == (7, 5, 0.5, 4)
    assert {c.artifact for c in offer.candidates} == {"tflite/fp32", "tflite/int8"}


@pytest.mark.parametrize("runs", [1, 3, 50])
def test_there_are_rounds_enough_for_an_interval(made: Bundle, runs: int) -> None:
    plan = offer_of(made, request(made, runs=runs))[0].plan
    assert plan.rounds * plan.runs >= runs
    assert plan.rounds >= plan.least_rounds == LEAST_ROUNDS


def test_times_are_put_in_relation_to_the_fp32_file_in_the_same_runtime_and_backend(made: Bundle) -> None:
    offer, _ = offer_of(made, request(made))
    baselines = {c.key: c.baseline for c in offer.candidates}
    assert baselines["tflite/int8 litert-js webgpu"] == "tflite/fp32 litert-js webgpu"
    assert baselines["onnxruntime/int8/ort onnxruntime-web wasm"] == "onnxruntime/fp32 onnxruntime-web wasm"
    assert baselines["tflite/fp32 litert-js wasm"] is None
    assert set(baselines.values()) - {None} <= set(baselines)
    without, _ = offer_of(made, request(made, precisions=("int8",)))
    assert {c.baseline for c in without.candidates} == {None}


def test_a_bundle_that_no_browser_runs_is_refused_with_the_reasons(made: Bundle) -> None:
    with pytest.raises(BadInput, match=r"browsers run none of its files.*no runtime for browsers takes coreml files"):
        offer_of(made, request(made, targets=("coreml",)))


def test_a_bundle_that_was_changed_is_not_served(made: Bundle) -> None:
    (made.folder / "goldens" / "int8.png").write_bytes(b"another picture")
    with pytest.raises(BadInput, match="not as it was written"):
        serve_bundle(request(made), lambda _: None, lambda _: None)

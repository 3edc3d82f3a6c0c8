"""The offer of a bundle to browsers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from clearport.base import Artifact
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pipeline.run import tiling_of
from clearport.pipeline.serve import ServeRequest, _tls, offer_of, serve_bundle
from clearport.runtime.latency.stats import LEAST_ROUNDS
from clearport.runtime.tolerance import widest_for


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
    assert reasons["openvino/int8"] == "no browser runtime accepts openvino files"
    assert "coreml/fp16/image" in reasons
    served = {"goldens/input.png", "goldens/float.png", "goldens/int8.png"} | {
        a.path for a in made.artifacts if a.target in ("tflite", "onnxruntime")
    }
    assert set(contents) == {f"files/{path}" for path in served}


def test_candidates_are_judged_as_the_manifest_says(made: Bundle) -> None:
    offer, _ = offer_of(made, request(made))
    judged = {c.key: (c.golden, c.tolerance) for c in offer.candidates}
    golden = made.golden("int8")
    picture, limits = judged["tflite/int8 litert-js wasm"]
    assert picture == "files/goldens/int8.png"
    assert limits is not None
    assert limits.min_psnr_db == golden.tolerances["tflite/int8"].min_psnr_db
    assert limits == limits.within(widest_for("int8", made.find("tflite", "int8").outputs[0])), (
        "and no wider than stated"
    )
    others = {c.key: c.others for c in offer.candidates}
    (network,) = others["tflite/int8 litert-js wasm"]
    assert (network.golden, network.tolerance.min_psnr_db) == ("files/goldens/float.png", 35.0)
    assert judged["tflite/fp32 litert-js wasm"] == (None, None)
    assert offer.golden_input == "files/goldens/input.png"
    assert (offer.tiling.scale, offer.tiling.halo) == (3, made.manifest.model.halo)


def test_the_plan_is_the_requested_one(made: Bundle) -> None:
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


OFFER = """
import sys
from pathlib import Path
from clearport.bundle.folder import Bundle
from clearport.pipeline.serve import ServeRequest, offer_of
folder = Path(sys.argv[1])
offer, _ = offer_of(Bundle.load(folder), ServeRequest(folder, folder))
print(offer.whole_picture, "torch" in sys.modules)
"""


def told(bundle: Bundle) -> list[str]:
    """Whether the network of a bundle is said to look at the whole picture, and whether PyTorch was needed to tell."""
    words = [sys.executable, "-c", OFFER, str(bundle.folder)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def with_model(bundle: Bundle, **changes: Any) -> Bundle:
    """The bundle with another record of its network; without the keys whose value is None."""
    path = bundle.folder / "manifest.json"
    content = json.loads(path.read_text())
    content["model"] = {k: v for k, v in (content["model"] | changes).items() if v is not None}
    path.write_text(json.dumps(content))
    return Bundle.load(bundle.folder)


@pytest.mark.parametrize("whole", [True, False])
def test_the_manifest_says_whether_the_network_looks_at_the_whole_picture(made: Bundle, whole: bool) -> None:
    assert told(with_model(made, whole_picture=whole)) == [str(whole), "False"]


@pytest.mark.parametrize(("network", "whole"), [("ncnet", False), ("graspp", True)])
def test_of_a_bundle_from_before_that_was_recorded_the_network_is_asked(
    made: Bundle, network: str, whole: bool
) -> None:
    old = with_model(made, name=network, whole_picture=None)
    assert "whole_picture" not in json.loads((old.folder / "manifest.json").read_text())["model"]
    offer, _ = offer_of(old, request(old))
    assert offer.whole_picture is whole
    free = artifact_of_any_size(old)
    assert (tiling_of(old, free).whole_pixels > 1 << 20) is whole


def artifact_of_any_size(bundle: Bundle) -> Artifact:
    artifact = bundle.artifact(bundle.find("tflite", "fp32", ""))
    shape = (1, "H", "W", 3) if artifact.inputs[0].layout == "NHWC" else (1, 3, "H", "W")
    return replace(artifact, inputs=(replace(artifact.inputs[0], shape=shape),))


def test_a_bundle_that_no_browser_runs_is_refused_with_the_reasons(made: Bundle) -> None:
    with pytest.raises(
        BadInput, match=r"no browser runtime can run its files.*no browser runtime accepts coreml files"
    ):
        offer_of(made, request(made, targets=("coreml",)))


def test_a_bundle_that_was_changed_is_not_served(made: Bundle) -> None:
    (made.folder / "goldens" / "int8.png").write_bytes(b"another picture")
    with pytest.raises(BadInput, match="a modified bundle is not served"):
        serve_bundle(request(made), lambda _: None, lambda _: None)


def test_a_certificate_that_cannot_be_used_is_refused_without_waiting(made: Bundle, tmp_path: Path) -> None:
    pipe, folder, empty = tmp_path / "pipe", tmp_path / "folder", tmp_path / "empty.pem"
    os.mkfifo(pipe)
    folder.mkdir()
    empty.touch()
    for certificate, said in (
        (tmp_path / "none.pem", r"none\.pem: no such file"),
        (pipe, "pipe: expected a regular file"),
        (folder, "folder: it is a folder"),
        (empty, r"empty\.pem: not a certificate"),
    ):
        with pytest.raises(BadInput, match=said):
            _tls(request(made, certificate=certificate))
    with pytest.raises(BadInput, match="pipe: expected a regular file"):
        _tls(request(made, certificate=empty, key=pipe))


def test_a_key_with_a_passphrase_is_refused_without_a_question(made: Bundle, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=9999))
    (tmp_path / "cert.pem").write_bytes(unsigned.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    closed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "key.pem").write_bytes(closed)
    with pytest.raises(BadInput, match=r"key\.pem: the private key has a passphrase"):
        _tls(request(made, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"))


def test_a_file_that_was_changed_since_the_offer_is_known(made: Bundle) -> None:
    _, contents = offer_of(made, request(made))
    path, content = next((name, found) for name, found in contents.items() if name.endswith("int8.tflite"))
    assert not content.changed
    place = made.folder / path.removeprefix("files/")
    place.write_bytes(b"other")
    assert content.changed
    place.unlink()
    assert content.changed

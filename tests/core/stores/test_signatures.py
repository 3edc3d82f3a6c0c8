"""Signatures: creation, verification (also by OpenSSF's tool) and refusal; the bill of materials."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from clearport.bundle.folder import Bundle, building, verify_folder
from clearport.errors import BadInput
from clearport.pipeline.stores.bom import write_bom
from clearport.pipeline.stores.pull import PullRequest, pull_bundle
from clearport.pipeline.stores.push import PushRequest, push_bundle
from clearport.pipeline.stores.sign import check_signature, sign_bundle
from clearport.pipeline.verify import verify_bundle
from tests.core.stores.conftest import clearport

Keys = tuple[Path, Path]


def keys(folder: Path, name: str, curve: ec.EllipticCurve) -> Keys:
    """A pair of private and public key."""
    private = ec.generate_private_key(curve)
    secret, known = folder / f"{name}.key", folder / f"{name}.pub"
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    secret.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    known.write_bytes(private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return secret, known


@pytest.fixture(params=[ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Keys:
    return keys(tmp_path, "mine", request.param)


@pytest.fixture
def mine(tmp_path: Path) -> Keys:
    return keys(tmp_path, "mine", ec.SECP256R1())


def model_signing(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-W", "ignore", "-m", "model_signing", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_a_signature_holds_and_the_bundle_verifies_with_it(own: Bundle, pair: Keys) -> None:
    secret, known = pair
    assert sign_bundle(own.folder, secret) == own.folder / "model.sig"
    assert verify_folder(own.folder) == []
    assert check_signature(own.folder, known).passed
    (own.folder / "report.md").write_text("made again")
    assert check_signature(own.folder, known).passed


def test_openssf_tool_takes_ours(own: Bundle, mine: Keys) -> None:
    secret, known = mine
    signature = sign_bundle(own.folder, secret)
    (own.folder / "report.md").write_text("made again")
    words = ("verify", "key", own.folder, "--signature", signature, "--public_key", known)
    done = model_signing(*words)
    assert (done.returncode, "Verification succeeded" in done.stdout) == (0, True), done.stderr
    (own.folder / "scales.json").write_bytes(b"another")
    assert model_signing(*words).returncode == 1


def test_we_take_those_of_openssf_tool(own: Bundle, mine: Keys) -> None:
    secret, known = mine
    signature = own.folder / "model.sig"
    done = model_signing("sign", "key", own.folder, "--signature", signature, "--private_key", secret)
    assert done.returncode == 0, done.stderr
    assert verify_folder(own.folder) == []
    assert check_signature(own.folder, known).passed


def test_errors_of_a_signature_are_reported(own: Bundle, mine: Keys, tmp_path: Path) -> None:
    secret, known = mine
    others = keys(tmp_path, "others", ec.SECP256R1())[1]
    assert "no such signature" in check_signature(own.folder, known).message
    signature = sign_bundle(own.folder, secret)
    assert "it was made with another key" in check_signature(own.folder, others).message
    good = json.loads(signature.read_text())
    bad = json.loads(signature.read_text())
    bad["dsseEnvelope"]["payload"] = "AA" + bad["dsseEnvelope"]["payload"][2:]
    signature.write_text(json.dumps(bad))
    assert "the signature does not match the signed files" in check_signature(own.folder, known).message
    signature.write_text("{}")
    assert "not a signature of OpenSSF model signing" in check_signature(own.folder, known).message
    signature.write_text(json.dumps(good))
    (own.folder / "scales.json").write_bytes(b"another")
    found = check_signature(own.folder, known)
    assert (found.passed, "changed since: scales.json" in found.message) == (False, True)


def test_the_command_leaves_with_one_for_a_wrong_signature_and_two_for_a_wrong_key(
    own: Bundle, mine: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, known = mine
    others = keys(tmp_path, "others", ec.SECP256R1())[1]
    assert clearport(capsys, monkeypatch, "sign", own.folder, "--key", secret)[0] == 0
    words = ("verify", own.folder, "--json", "--quiet", "--signed-by", others)
    code, said = clearport(capsys, monkeypatch, *words)
    wrong = next(check for check in json.loads(said)["checks"] if check["name"] == "signature")
    assert (code, wrong["passed"], "it was made with another key" in wrong["message"]) == (1, False, True)
    code, said = clearport(capsys, monkeypatch, "verify", own.folder, "--signed-by", secret, "--quiet")
    assert (code, "not a public key in PEM" in said) == (2, True)
    code, said = clearport(capsys, monkeypatch, "verify", own.folder, "--signature", own.folder / "model.sig")
    assert (code, "--signature needs --signed-by PUBLIC_KEY" in said) == (2, True)
    code, said = clearport(capsys, monkeypatch, "sign", own.folder, "--key", known)
    assert (code, "not a readable private key in PEM" in said) == (2, True)


def test_verify_says_what_nobody_asked_for_and_what_is_not_there(own: Bundle, mine: Keys, tmp_path: Path) -> None:
    sign_bundle(own.folder, mine[0])
    push_bundle(PushRequest(own.folder, f"{tmp_path}/store"))
    part = pull_bundle(PullRequest(f"{tmp_path}/store/ncnet", tmp_path / "part", ("openvino",))).folder
    said = next(check.message for check in verify_bundle(part) if check.name == "checksums")
    assert "it has a signature (model.sig), which --signed-by PUBLIC_KEY checks" in said
    assert f"ncnet@1.0.0 of {tmp_path}/store, without onnxruntime/fp32, onnxruntime/int8" in said


def test_a_signature_beside_the_bundle(own: Bundle, mine: Keys, tmp_path: Path) -> None:
    place = sign_bundle(own.folder, mine[0], tmp_path / "ncnet.sig")
    assert not (own.folder / "model.sig").exists()
    assert check_signature(own.folder, mine[1], place).passed


def test_a_part_that_was_pulled_has_the_signature_of_the_whole(own: Bundle, mine: Keys, tmp_path: Path) -> None:
    secret, known = mine
    sign_bundle(own.folder, secret)
    push_bundle(PushRequest(own.folder, f"{tmp_path}/store"))
    part = pull_bundle(PullRequest(f"{tmp_path}/store/ncnet", tmp_path / "part", ("tflite",), ("int8",))).folder
    assert check_signature(part, known).passed
    (part / "scales.json").unlink()
    assert "missing: scales.json" in check_signature(part, known).message


def test_a_signed_bundle_is_replaced_by_force_and_other_files_of_that_name_are_not(own: Bundle, mine: Keys) -> None:
    sign_bundle(own.folder, mine[0])
    with building(own.folder, force=True) as place:
        (place / "new").write_text("new")
    assert [path.name for path in own.folder.iterdir()] == ["new"]


def test_a_file_that_is_no_signature_is_left_alone(own: Bundle, mine: Keys) -> None:
    (own.folder / "model.sig").write_text("mine")
    with pytest.raises(BadInput, match="a file is there that is not a signature"):
        sign_bundle(own.folder, mine[0])
    with (
        pytest.raises(BadInput, match=r"changed or added files \(model.sig\)"),
        building(own.folder, force=True),
    ):
        pass


def test_only_what_is_sound_is_signed_and_only_by_keys_of_the_format(own: Bundle, mine: Keys, tmp_path: Path) -> None:
    wrong = tmp_path / "ed.key"
    private = ed25519.Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    wrong.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    with pytest.raises(BadInput, match=r"expected an elliptic-curve key on P-256, P-384 or P-521"):
        sign_bundle(own.folder, wrong)
    (own.folder / "scales.json").write_bytes(b"another")
    with pytest.raises(BadInput, match="not signed, because the bundle was changed"):
        sign_bundle(own.folder, mine[0])


def test_an_encrypted_key_wants_its_password(own: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    secret = tmp_path / "secret.key"
    locked = serialization.BestAvailableEncryption(b"word")
    secret.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(BadInput, match="CLEARPORT_KEY_PASSWORD gives the password"):
        sign_bundle(own.folder, secret)
    monkeypatch.setenv("CLEARPORT_KEY_PASSWORD", "word")
    assert sign_bundle(own.folder, secret).is_file()


def test_bill_of_materials(own: Bundle, tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion  # its validator compiles grammars for seconds
    from cyclonedx.validation.json import JsonStrictValidator

    text = write_bom(own.folder, None)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    network = found["metadata"]["component"]
    assert network["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert network["modelCard"]["modelParameters"]["task"] == "super-resolution"
    assert any(m["value"] == "31.685 dB" for m in network["modelCard"]["quantitativeAnalysis"]["performanceMetrics"])
    hashes = {c["name"]: c["hashes"][0]["content"] for c in found["components"] if c["type"] == "file"}
    assert hashes == dict(own.manifest.files)
    assert write_bom(own.folder, None) == text
    for _ in range(2):  # ours is replaced
        assert write_bom(own.folder, tmp_path / "x.cdx.json") == str(tmp_path / "x.cdx.json")
    assert (tmp_path / "x.cdx.json").read_text() == text

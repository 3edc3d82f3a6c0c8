"""Signing and verifying bundles in the format of OpenSSF model signing 1.0.

A sigstore bundle holds a DSSE envelope around an in-toto statement, whose predicate
``https://model_signing/signature/v1.0`` has the SHA-256 of every file. The reports are excluded, since they are made
from the rest; the statement tells ``model_signing verify key`` so. Keys are ECDSA on P-256, P-384 or P-521, in PEM.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from clearport.bundle.files import MANIFEST, PULLED, REPORTS, SIGNATURE, SUMS, listed
from clearport.disk.files import file_sha256
from clearport.disk.json_files import parse_json, read_bytes, read_text
from clearport.errors import BadInput, CheckFailed, NotInstalled

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://model_signing/signature/v1.0"
PASSWORD = "CLEARPORT_KEY_PASSWORD"  # noqa: S105  the name of the variable
"""Variable with the password of an encrypted private key."""

_IGNORED = (SIGNATURE, *REPORTS, PULLED, ".git", ".gitattributes", ".github", ".gitignore")
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_MOST_KEY = 1 << 16


def signed(folder: Path, key: Path) -> str:
    """The signature of every file of a bundle, as text, with the private key in a PEM file.

    Raises:
        BadInput: the key cannot be used, or a file cannot be read.
        NotInstalled: cryptography is missing.
    """
    private = _private(key)
    payload = json.dumps(_statement(folder)).encode()
    made = private.sign(_encoded(payload), _ecdsa(private.public_key()))
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _hint(private.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(made).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle, indent=1) + "\n"


def check(folder: Path, signature: Path, key: Path, left_out: Collection[str] = ()) -> str:
    """Verify that the owner of a public key signed the files of a bundle; returns a description.

    Files of ``left_out`` may be missing.

    Raises:
        CheckFailed: no such signature, or it is for another key or other files.
        BadInput: the key cannot be used.
        NotInstalled: cryptography is missing.
    """
    public = _public(key)
    if not os.path.lexists(signature):
        raise CheckFailed(f"{signature}: no such signature")
    try:
        payload = _opened(parse_json(read_text(signature), f"{signature}: not a signature"), public)
        told = _resources(parse_json(payload.decode(), "its statement"))
    except (KeyError, TypeError, IndexError, ValueError, BadInput) as error:
        raise CheckFailed(f"{signature}: not a signature of OpenSSF model signing 1.0 ({error!r:.200})") from error
    _same(folder, told, left_out)
    return f"{len(told)} files are as the owner of {key.name} signed them"


def _statement(folder: Path) -> dict[str, Any]:
    names = sorted([*listed(folder), SUMS])
    digests = [file_sha256(folder / name) for name in names]
    return {
        "_type": STATEMENT,
        "subject": [{"name": folder.absolute().name, "digest": {"sha256": _root(digests)}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(_IGNORED),
            },
            "resources": [
                {"name": name, "algorithm": "sha256", "digest": digest}
                for name, digest in zip(names, digests, strict=True)
            ],
        },
    }


def _root(digests: Collection[str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _opened(bundle: Any, public: EllipticCurvePublicKey) -> bytes:
    """The payload of an envelope, after its signature was verified."""
    from cryptography.exceptions import InvalidSignature

    envelope = bundle["dsseEnvelope"]
    if (bundle["mediaType"], envelope["payloadType"]) != (MEDIA_TYPE, PAYLOAD_TYPE):
        raise ValueError("wrong media type or payload type")
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        made = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not base64: {error}") from error
    try:
        public.verify(made, _encoded(payload), _ecdsa(public))
    except InvalidSignature as error:
        other = bundle["verificationMaterial"].get("publicKey", {}).get("hint") not in {None, _hint(public)}
        why = "it was made with another key" if other else "the signature does not match the signed files"
        raise CheckFailed(f"invalid signature: {why}") from error
    return payload


def _resources(statement: Any) -> Mapping[str, str]:
    if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
        raise ValueError("wrong statement type")
    resources = statement["predicate"]["resources"]
    if any(resource["algorithm"] != "sha256" for resource in resources):
        raise ValueError("files are signed with a hash other than SHA-256")
    if _root([resource["digest"] for resource in resources]) != statement["subject"][0]["digest"]["sha256"]:
        raise ValueError("its overall digest does not match its files")
    return {resource["name"]: resource["digest"] for resource in resources}


def _same(folder: Path, told: Mapping[str, str], left_out: Collection[str]) -> None:
    there = {name: file_sha256(folder / name) for name in (*listed(folder), SUMS) if (folder / name).is_file()}
    wrong = [name for name in sorted(told) if name in there and there[name] != told[name]]
    missing = [name for name in sorted(told) if name not in there and name not in left_out and name not in _IGNORED]
    extra = sorted(set(there) - set(told))
    for names, what in ((wrong, "changed since"), (missing, "missing"), (extra, "not signed")):
        if names:
            raise CheckFailed(f"the signature is for other files: {what}: {', '.join(names[:5])}")
    if MANIFEST not in told:
        raise CheckFailed(f"the signature does not cover {MANIFEST}")


def _private(path: Path) -> EllipticCurvePrivateKey:
    serialization, ec = _cryptography()
    password = os.environ.get(PASSWORD)
    try:
        key = serialization.load_pem_private_key(read_bytes(path, _MOST_KEY), password.encode() if password else None)
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"{path}: not a readable private key in PEM ({error}); {PASSWORD} gives the password of an encrypted one"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadInput(f"{path}: {_wanted()}")
    _check_curve(path, key.curve.name)
    private: EllipticCurvePrivateKey = key
    return private


def _public(path: Path) -> EllipticCurvePublicKey:
    serialization, ec = _cryptography()
    try:
        key = serialization.load_pem_public_key(read_bytes(path, _MOST_KEY))
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path}: not a public key in PEM ({error})") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadInput(f"{path}: {_wanted()}")
    _check_curve(path, key.curve.name)
    public: EllipticCurvePublicKey = key
    return public


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise NotInstalled("cryptography", "sign") from error
    return serialization, ec


def _check_curve(path: Path, curve: str) -> None:
    if curve not in _CURVES:
        raise BadInput(f"{path}: {_wanted()}")


def _wanted() -> str:
    return (
        "expected an elliptic-curve key on P-256, P-384 or P-521; "
        "openssl ecparam -name prime256v1 -genkey -noout -out key.pem makes one"
    )


def _hint(public: EllipticCurvePublicKey) -> str:
    """The key's name in the format: SHA-256 of its PEM."""
    serialization, _ = _cryptography()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _ecdsa(public: EllipticCurvePublicKey) -> ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    size = public.curve.key_size
    kinds: Mapping[int, HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    return ec.ECDSA(kinds[size])

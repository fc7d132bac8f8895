"""The signed form in which Reference Values travel: named, versioned, expiring.

A manifest is canonical JSON (RFC 8785) in a DSSE envelope. Its versions count up: who has seen one never goes
back to an older one, nor to another of the same number (``memory``). What a manifest says holds only after
``open_manifest`` (a trusted key signed these bytes) and ``admit`` (it is in time, and not older than known).

Source: DSSE v1.0.2 (secure-systems-lab/dsse), ``protocol.md`` and ``envelope.md``; RFC 8785; RFC 8032.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.decoding import strictjson
from assay.reference.values import LARGEST_DOCUMENT, Measured, canonical, parse_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

SCHEMA: Final = "assay/reference/v1"
PAYLOAD_TYPE: Final = "application/vnd.assay.reference+json"
LARGEST_ENVELOPE: Final = 2 * LARGEST_DOCUMENT
MAX_SIGNATURES: Final = 8
MAX_VERSION: Final = (1 << 53) - 1
"""The largest integer that JSON carries exactly."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,126}[a-z0-9]|[a-z0-9]")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_MEMBERS = {"schema", "name", "version", "issued", "expires", "tool", "values"}

SigningKey = Ed25519PrivateKey | EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key whose word about Reference Values is taken.

    Attributes:
        key: Ed25519, or ECDSA on P-256 with SHA-256.
        key_id: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.
    """

    key: Ed25519PublicKey | EllipticCurvePublicKey
    key_id: str

    @classmethod
    def load(cls, data: bytes) -> TrustedKey:
        """Load a public key from PEM or DER.

        Raises:
            ReferenceValueError: ``reference.key.unreadable``, ``reference.key.kind``.
        """
        load = load_pem_public_key if data.lstrip().startswith(b"-----") else load_der_public_key
        try:
            return cls.of(load(data))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ReferenceValueError(
                "reference.key.unreadable", "The file does not hold a public key in PEM or DER."
            ) from error

    @classmethod
    def of(cls, key: object) -> TrustedKey:
        """Take a key that was loaded.

        Raises:
            ReferenceValueError: ``reference.key.kind`` for another kind than Ed25519 and P-256.
        """
        if not isinstance(key, (Ed25519PublicKey, EllipticCurvePublicKey)) or (
            isinstance(key, EllipticCurvePublicKey) and key.curve.name != "secp256r1"
        ):
            raise _wrong_kind()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(key, hashlib.sha256(spki).hexdigest())

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Tell whether it made a signature: 64 bytes for Ed25519, DER for P-256."""
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, signed)
            else:
                self.key.verify(signature, signed, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Manifest:
    """Reference Values under a name.

    Attributes:
        name: What they are the values of; lower case, at most 128 characters.
        version: Counts up from 1.
        issued: When they were signed, whole seconds, UTC.
        expires: From when on they must not be used.
        values: The values and where they come from.
        tool: What computed them.
    """

    name: str
    version: int
    issued: datetime
    expires: datetime
    values: Measured
    tool: str

    def encode(self) -> bytes:
        """Return the canonical bytes that are signed.

        Raises:
            ReferenceValueError: ``reference.manifest.malformed``; ``reference.values.*`` for values that
                nobody could read again.
        """
        document = {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "issued": self.issued.astimezone(UTC).strftime(_TIME),
            "expires": self.expires.astimezone(UTC).strftime(_TIME),
            "tool": self.tool,
            "values": self.values.to_json(),
        }
        _read(document)
        return canonical(document)


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest that a trusted key signed. Whether it may be used now is for ``memory.admit`` to say.

    Attributes:
        manifest: What it says.
        key_id: Of the trusted key.
        digest: SHA-256 of the signed payload, 32 bytes.
    """

    manifest: Manifest
    key_id: str
    digest: bytes


def load_signing_key(data: bytes) -> SigningKey:
    """Load an unencrypted private key from PEM.

    Raises:
        ReferenceValueError: ``reference.key.unreadable``, ``reference.key.kind``.
    """
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ReferenceValueError(
            "reference.key.unreadable", "The file does not hold a private key in PEM without a password."
        ) from error
    if isinstance(key, (Ed25519PrivateKey, EllipticCurvePrivateKey)):
        TrustedKey.of(key.public_key())
        return key
    raise _wrong_kind()


def sign(manifest: Manifest, key: SigningKey) -> bytes:
    """Return the envelope of a manifest, JSON.

    Raises:
        ReferenceValueError: as ``Manifest.encode``; ``reference.key.kind``.
    """
    trusted = TrustedKey.of(key.public_key())
    payload = manifest.encode()
    signed = _authenticated(payload)
    signature = key.sign(signed) if isinstance(key, Ed25519PrivateKey) else key.sign(signed, ECDSA(SHA256()))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": trusted.key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return canonical(envelope) + b"\n"


def is_envelope(data: bytes) -> bool:
    """Tell whether bytes look like a signed manifest; decides which reader they get, nothing else."""
    return data.lstrip()[:1] == b"{" and b'"payloadType"' in data[:LARGEST_ENVELOPE]


def open_manifest(data: bytes, trusted: Sequence[TrustedKey]) -> SignedManifest:
    """Verify an envelope and read what it holds.

    Args:
        data: The envelope, at most 2 MiB.
        trusted: The keys whose word is taken; one of them must have signed.

    Raises:
        ReferenceValueError: ``reference.manifest.envelope``, ``reference.manifest.untrusted`` when no trusted
            key signed, ``reference.manifest.signature`` when a signature under a trusted key's name is wrong,
            ``reference.manifest.not_canonical``, ``reference.manifest.malformed``, ``reference.values.*``.
    """
    payload, signatures = _envelope(data)
    signed = _authenticated(payload)
    keys = {key.key_id: key for key in trusted}
    found = [(keys[key_id], signature) for key_id, signature in signatures if key_id in keys]
    if not found:
        raise ReferenceValueError(
            "reference.manifest.untrusted",
            "None of the keys that are trusted for Reference Values signed this manifest.",
            action="Name the key of whoever signed it, if you trust it: --trust KEY.pem.",
        )
    if not all(key.verifies(signature, signed) for key, signature in found):
        _refuse("signature", "A signature under the name of a trusted key is wrong.")
    manifest = _parse(payload)
    return SignedManifest(manifest, found[0][0].key_id, hashlib.sha256(payload).digest())


def read_unverified(data: bytes) -> Manifest:
    """Read what an envelope holds without asking who signed it: to show it, for nothing else.

    Raises:
        ReferenceValueError: as ``open_manifest``, but for what concerns signatures.
    """
    return _parse(_envelope(data)[0])


def _envelope(data: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    document = _object(data)
    if document.keys() != {"payload", "payloadType", "signatures"} or document["payloadType"] != PAYLOAD_TYPE:
        _refuse("envelope", "The file is not a signed manifest of Reference Values.")
    signatures = document["signatures"]
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        _refuse("envelope", f"A signed manifest has between 1 and {MAX_SIGNATURES} signatures.")
    return _unbase64(document["payload"]), [_signature(each) for each in signatures]


def _object(data: bytes) -> dict[str, Any]:
    try:
        return strictjson.parse_object(data, max_bytes=LARGEST_ENVELOPE)
    except EvidenceError as error:
        raise ReferenceValueError("reference.manifest.envelope", error.message) from error


def _signature(document: Any) -> tuple[str, bytes]:
    if not isinstance(document, dict) or document.keys() != {"keyid", "sig"}:
        _refuse("envelope", "A signature does not have the members that it must have.")
    if not isinstance(document["keyid"], str):
        _refuse("envelope", "The name of a key is not a text.")
    return document["keyid"], _unbase64(document["sig"])


def _unbase64(text: Any) -> bytes:
    if not isinstance(text, str):
        _refuse("envelope", "A part of the envelope is not base64.")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        _refuse("envelope", "A part of the envelope is not base64.")
    if base64.b64encode(data).decode() != text:
        _refuse("envelope", "A part of the envelope is base64 with bits left over.")
    return data


def _authenticated(payload: bytes) -> bytes:
    """Return what DSSE signs: type and payload, each with its length."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _parse(payload: bytes) -> Manifest:
    document = parse_document(payload)
    if canonical(document) != payload:
        _refuse("not_canonical", "The manifest is not canonical JSON: it has another spelling.")
    return _read(document)


def _read(document: Mapping[str, Any]) -> Manifest:
    if document.keys() != _MEMBERS or document["schema"] != SCHEMA:
        _refuse("malformed", f"The manifest is not of the form {SCHEMA}.")
    name, version, tool = document["name"], document["version"], document["tool"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        _refuse(
            "malformed", "The name of a manifest is lower case, of letters, digits, dot, dash, underscore."
        )
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        _refuse("malformed", "The version of a manifest counts up from 1.")
    if not isinstance(tool, str) or len(tool) > 128 or not isinstance(document["values"], dict):
        _refuse("malformed", "The manifest has no values, or does not name what computed them.")
    issued, expires = _time(document["issued"]), _time(document["expires"])
    if issued >= expires:
        _refuse("malformed", "The manifest expires before it was issued.")
    return Manifest(name, version, issued, expires, Measured.from_json(document["values"]), tool)


def _time(text: Any) -> datetime:
    if not isinstance(text, str):
        _refuse("malformed", "A time of the manifest is not a text.")
    try:
        found = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        _refuse("malformed", "A time of the manifest is not of the form 2026-01-31T00:00:00Z.")
    if found.strftime(_TIME) != text:
        _refuse("malformed", "A time of the manifest is not of the form 2026-01-31T00:00:00Z.")
    return found


def _wrong_kind() -> ReferenceValueError:
    return ReferenceValueError(
        "reference.key.kind", "Reference Values are signed with Ed25519 or ECDSA on P-256."
    )


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.manifest.{code}", message)

"""Endorsements of Azure's container VM as Microsoft makes them, under an authority of our own."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from assay.evidence.decoding.cbor import Tag, encode

NOW = datetime(2026, 5, 1, tzinfo=UTC)
FEED = "ContainerPlat-AMD-UVM"
USAGE = "1.3.6.1.4.1.311.76.59.1.2"
KEYS = {
    name: ec.derive_private_key(index, ec.SECP256R1())
    for index, name in enumerate(("root", "middle", "leaf", "other"), start=31)
}


@cache
def certificate(
    name: str, issuer: str, *, authority: bool = False, usage: str | None = None, signed_by: str | None = None
) -> bytes:
    subject, parent = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer))
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    found = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent)
        .public_key(KEYS[name].public_key())
        .serial_number(9)
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
                **dict.fromkeys(others, False),
            ),
            critical=True,
        )
    )
    if usage is not None:
        purposes = [x509.ObjectIdentifier(each) for each in usage.split()]
        found = found.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return found.sign(KEYS[signed_by or issuer], SHA256()).public_bytes(Encoding.DER)


def chain(**leaf: Any) -> list[bytes]:
    return [
        certificate("leaf", "middle", **{"usage": f"1.3.6.1.4.1.311.76.59.1.1 {USAGE}", **leaf}),
        certificate("middle", "root", authority=True),
        certificate("root", "root", authority=True),
    ]


def issuer(der: bytes | None = None, usage: str = USAGE) -> str:
    digest = hashlib.sha256(chain()[2] if der is None else der).digest()
    return f"did:x509:0:sha256:{base64.urlsafe_b64encode(digest).decode().rstrip('=')}::eku:{usage}"


def payload(**changes: Any) -> bytes:
    members = {
        "x-ms-sevsnpvm-launchmeasurement": "ab" * 48,
        "x-ms-sevsnpvm-guestsvn": "104",
        "x-ms-sevsnpvm-guestsvn-int": 104,
    }
    members |= {f"x-ms-sevsnpvm-{name}": value for name, value in changes.items()}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def endorsement(content: bytes | None = None, *, signed_by: str = "leaf", **changes: Any) -> bytes:
    """Return a message; keyword arguments change its header: ``h33=[...]``, ``iss=...``; None leaves out."""
    content = payload() if content is None else content
    headers: dict[int | str, Any] = {
        1: -7,
        3: "application/json",
        33: chain(),
        34: [-16, hashlib.sha256(chain()[0]).digest()],
        "iss": issuer(),
        "feed": FEED,
        "signingtime": Tag(1, 1777000000),
    }
    headers |= {int(name[1:]) if name[0] == "h" else name: value for name, value in changes.items()}
    protected = encode({name: value for name, value in headers.items() if value is not None})
    signed = encode(["Signature1", protected, b"", content])
    r, s = decode_dss_signature(KEYS[signed_by].sign(signed, ec.ECDSA(SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return encode(Tag(18, [protected, {"timestamp": b"unsigned"}, content, signature]))

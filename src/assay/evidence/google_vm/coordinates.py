"""The JSON of vaportpm on Google Compute Engine, made the attestation container that go-tpm-tools writes.

    pcrs.sha256               PCR values by index, hexadecimal
    ak_pubkeys.ecc_p256       the attestation key by its coordinates, hexadecimal
    attestation.tpm.ecc_p256  {attest_data: TPMS_ATTEST, signature: ECDSA signature in DER}, hexadecimal
    attestation.gcp           {ak_cert_chain: PEM, the attestation key's certificate first}

Nothing in it is signed but the quote and the certificates, and the container is judged by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.evidence.decoding.canonical import canonical_hex
from assay.evidence.decoding.pem import certificates_of
from assay.evidence.decoding.strictjson import member, mistyped
from assay.evidence.google_vm.protobuf import encode_bytes, encode_varint

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIND: Final = "ecc_p256"
_BANK: Final = "sha256"
_SHA256: Final = 0x000B
_ECDSA: Final = 0x0018
_SCALAR: Final = 32
_MOST_ATTEST: Final = 1024
_MOST_SIGNATURE: Final = 80
_MOST_CERTIFICATES: Final = 5
_INDICES: Final = {str(index): index for index in range(24)}


def container_of(found: dict[str, Any]) -> bytes:
    """Return the container, in binary form.

    Args:
        found: The decoded JSON.

    Raises:
        JsonError: ``json.type`` or ``json.missing_member``.
        PemError: The chain is no strict PEM, or has too many certificates.
    """
    attestation = member(found, "attestation", dict)
    quote = member(member(attestation, "tpm", dict), _KIND, dict)
    chain = member(member(attestation, "gcp", dict), "ak_cert_chain", str)
    leaf, *issuers = certificates_of(chain, most=_MOST_CERTIFICATES)
    quoted = b"".join(
        (
            encode_bytes(1, _hex(quote, "attest_data", _MOST_ATTEST)),
            encode_bytes(2, _signature(_hex(quote, "signature", _MOST_SIGNATURE))),
            encode_bytes(3, _pcrs(member(member(found, "pcrs", dict), _BANK, dict))),
        )
    )
    return b"".join(
        (
            encode_bytes(1, _public(member(member(found, "ak_pubkeys", dict), _KIND, dict))),
            encode_bytes(2, quoted),
            encode_bytes(6, leaf),
            *(encode_bytes(7, der) for der in issuers),
        )
    )


def _public(coordinates: dict[str, Any]) -> bytes:
    x, y = (int.from_bytes(_hex(coordinates, name, _SCALAR), "big") for name in ("x", "y"))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise mistyped("The coordinates of the attestation key are no point of P-256.") from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _signature(der: bytes) -> bytes:
    try:
        scalars = [each.to_bytes(_SCALAR, "big") for each in decode_dss_signature(der)]
    except (ValueError, OverflowError):
        raise mistyped("The signature of the quote is no ECDSA signature on P-256.") from None
    sized = b"".join(len(each).to_bytes(2, "big") + each for each in scalars)
    return _ECDSA.to_bytes(2, "big") + _SHA256.to_bytes(2, "big") + sized


def _pcrs(values: Mapping[str, Any]) -> bytes:
    """Return the values in the order of their indices, of which each has one spelling."""
    if not values.keys() <= _INDICES.keys():
        raise mistyped("The PCR values have an index that no PCR has.")
    entries = (
        encode_varint(1 << 3) + encode_varint(index) + encode_bytes(2, _hex(values, text, _SCALAR))
        for text, index in _INDICES.items()
        if text in values
    )
    return (
        encode_varint(1 << 3) + encode_varint(_SHA256) + b"".join(encode_bytes(2, each) for each in entries)
    )


def _hex(found: Mapping[str, Any], name: str, most: int) -> bytes:
    text = member(dict(found), name, str)
    value = canonical_hex(text) if len(text) <= 2 * most else None
    if not value:
        raise mistyped(f"Member {name} is not lower-case hexadecimal text of 1 to {most} bytes.")
    return value

"""Writing CoRIMs: Reference Values in the form that other verifiers take, and signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import ALGORITHM, CONTENT_TYPE, TAG_SIGN1, Sign1
from assay.evidence.decoding.cbor import Tag
from assay.evidence.decoding.cbor import encode as encode_cbor
from assay.reference.corim.model import (
    COMID,
    CONTENT,
    CORIM,
    DIGESTS,
    META,
    NOT_AFTER,
    TIME,
    VALIDITY,
    refuse,
)
from assay.reference.values import valid_until

if TYPE_CHECKING:
    from assay.reference.manifest import SigningKey
    from assay.reference.values import Measured

_ALGORITHM_OF: Final = {32: 1, 48: 7, 64: 8}


def encode(measured: Measured, *, tag_id: str, vendor: str, model: str) -> bytes:
    """Write Reference Values as a CoRIM: one CoMID, one environment, one measurement for each value.

    It says until when it holds where the values say so.

    Raises:
        ReferenceValueError: ``reference.corim.digest`` for a value that is no digest by its size;
            ``reference.values.malformed`` for values that do not say in a known form until when they hold.
    """
    measurements = [
        {0: name, 1: {DIGESTS: [[_algorithm(value), value]]}}
        for name, allowed in sorted(measured.registers.items())
        for value in sorted(allowed)
    ]
    environment = {0: {1: vendor, 2: model}}
    comid = {1: {0: f"{tag_id}/comid"}, 4: {0: [[environment, measurements]]}}
    end = valid_until(measured)
    validity = {} if end is None else {VALIDITY: {NOT_AFTER: Tag(TIME, int(end.timestamp()))}}
    return encode_cbor(Tag(CORIM, {0: tag_id, 1: [Tag(COMID, encode_cbor(comid))], **validity}))


def sign(data: bytes, key: SigningKey, *, signer: str) -> bytes:
    """Return a CoRIM as a signed message, COSE_Sign1 under tag 18: ES256 or EdDSA by the kind of the key.

    Args:
        data: The CoRIM.
        key: P-256 or Ed25519.
        signer: Who signs, as text.
    """
    elliptic = isinstance(key, EllipticCurvePrivateKey)
    algorithm = Algorithm.ES256 if elliptic else Algorithm.EDDSA
    meta = encode_cbor({0: {0: signer}})
    headers: dict[int | str | bytes, Any] = {ALGORITHM: int(algorithm), CONTENT_TYPE: CONTENT[0], META: meta}
    protected = encode_cbor(headers)
    unsigned = Sign1(protected, headers, {}, data, b"", tagged=True)
    message = unsigned.signed()
    if isinstance(key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ECDSA(SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        signature = key.sign(message)
    return encode_cbor(Tag(TAG_SIGN1, [protected, {}, data, signature]))


def _algorithm(value: bytes) -> int:
    found = _ALGORITHM_OF.get(len(value))
    if found is None:
        refuse("digest", "A value is not a digest of 32, 48 or 64 bytes, so that a CoRIM cannot say it.")
    return found

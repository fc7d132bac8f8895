"""Collateral: what Intel publishes about platforms, as bytes, unverified.

Nothing here is trusted or even parsed; verification happens over exactly these bytes. Two forms can be read:
the bundle of one JSON object that several verifiers share, and the answers of Intel's Provisioning
Certification Service (PCS API v3 and v4), from which the signed inner value is cut out as raw bytes.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from assay.errors import EndorsementError
from assay.evidence.decoding.strictjson import JsonError, octets, parse_object, raw_members
from assay.evidence.records import field, record

MAX_BUNDLE_BYTES = 2 << 20
MAX_PART_BYTES = 1 << 20

_TEXT_PARTS = (
    "pck_crl_issuer_chain",
    "tcb_info_issuer_chain",
    "tcb_info",
    "qe_identity_issuer_chain",
    "qe_identity",
)
_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END X509 CRL-----\s*")
_BYTE_PARTS = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")


@record
class Collateral:
    """The documents that a DCAP verification needs besides the quote.

    Attributes:
        root_ca_crl: The root CA's revocation list, DER.
        pck_crl: The revocation list of the CA that issued the PCK certificate, DER.
        pck_crl_issuer_chain: That CA and the root, PEM.
        tcb_info: The signed inner JSON value of the TCB info, raw bytes.
        tcb_info_signature: ECDSA P-256 over ``tcb_info``, r and s, 64 bytes.
        tcb_info_issuer_chain: TCB signing certificate and root, PEM.
        qe_identity: The signed inner JSON value of the QE identity, raw bytes.
        qe_identity_signature: ECDSA P-256 over ``qe_identity``, r and s, 64 bytes.
        qe_identity_issuer_chain: TCB signing certificate and root, PEM.

    Raises:
        EndorsementError: ``endorsements.collateral.malformed`` when a part is not bytes or longer than 1 MiB.
    """

    root_ca_crl: bytes
    pck_crl: bytes
    pck_crl_issuer_chain: bytes
    tcb_info: bytes
    tcb_info_signature: bytes
    tcb_info_issuer_chain: bytes
    qe_identity: bytes
    qe_identity_signature: bytes
    qe_identity_issuer_chain: bytes
    _digest: bytes = field(init=False, repr=False, compare=False, default=b"")

    def __post_init__(self) -> None:
        seal = hashlib.sha256()
        for name in self.__match_args__:
            value = getattr(self, name)
            # Exactly bytes: the digest below stands for these parts as long as the object lives.
            if type(value) is not bytes or len(value) > MAX_PART_BYTES:
                raise _malformed(f"Part {name} of the collateral is not at most {MAX_PART_BYTES} bytes.")
            seal.update(len(value).to_bytes(4, "big"))
            seal.update(value)
        object.__setattr__(self, "_digest", seal.digest())

    @property
    def digest(self) -> bytes:
        """SHA-256 over all parts, each preceded by its length (unsigned 32-bit, big-endian), 32 bytes."""
        return self._digest

    @classmethod
    def from_bundle_json(cls, data: bytes) -> Collateral:
        """Read the bundle: one JSON object.

        Its parts are strings: CRLs and signatures in hexadecimal of either case, or arrays of numbers.
        Rust programs write both.

        Members besides the nine parts (``pck_certificate_chain``) are ignored: the quote carries its own
        chain.

        Raises:
            EndorsementError: ``endorsements.collateral.malformed``.
        """
        try:
            members = parse_object(data, max_bytes=MAX_BUNDLE_BYTES)
            parts = {name: _string(members, name).encode("utf-8") for name in _TEXT_PARTS}
            parts |= {name: _binary(members, name) for name in _BYTE_PARTS}
        except JsonError as error:
            raise _malformed(f"This is no collateral bundle: {error.message}") from None
        except UnicodeEncodeError:
            raise _malformed("This is no collateral bundle: a member holds half a character.") from None
        return cls(**parts)

    def to_bundle_json(self) -> bytes:
        """Return the bundle that ``from_bundle_json`` reads."""
        found = {name: getattr(self, name).decode("utf-8") for name in _TEXT_PARTS}
        found |= {name: getattr(self, name).hex() for name in _BYTE_PARTS}
        return json.dumps(found, indent=2).encode()

    @classmethod
    def from_pcs(
        cls,
        *,
        tcb_info: bytes,
        tcb_info_issuer_chain: str | bytes,
        qe_identity: bytes,
        qe_identity_issuer_chain: str | bytes,
        pck_crl: bytes,
        pck_crl_issuer_chain: str | bytes,
        root_ca_crl: bytes,
    ) -> Collateral:
        """Assemble collateral from the answers of the Provisioning Certification Service.

        Args:
            tcb_info: Body of ``/tcb``: ``{"tcbInfo": {...}, "signature": "..."}``.
            tcb_info_issuer_chain: Header ``TCB-Info-Issuer-Chain``, URL-encoded or decoded PEM.
            qe_identity: Body of ``/qe/identity``: ``{"enclaveIdentity": {...}, "signature": "..."}``.
            qe_identity_issuer_chain: Header ``SGX-Enclave-Identity-Issuer-Chain``, the same.
            pck_crl: Body of ``/pckcrl?encoding=der``, DER, PEM or hexadecimal.
            pck_crl_issuer_chain: Header ``SGX-PCK-CRL-Issuer-Chain``, the same.
            root_ca_crl: The root's CRL, DER, PEM or hexadecimal.

        Raises:
            EndorsementError: ``endorsements.collateral.malformed``.
        """
        info, info_signature = signed_member(tcb_info, "tcbInfo")
        identity, identity_signature = signed_member(qe_identity, "enclaveIdentity")
        return cls(
            root_ca_crl=_der(root_ca_crl, "root_ca_crl"),
            pck_crl=_der(pck_crl, "pck_crl"),
            pck_crl_issuer_chain=_chain(pck_crl_issuer_chain),
            tcb_info=info,
            tcb_info_signature=info_signature,
            tcb_info_issuer_chain=_chain(tcb_info_issuer_chain),
            qe_identity=identity,
            qe_identity_signature=identity_signature,
            qe_identity_issuer_chain=_chain(qe_identity_issuer_chain),
        )


def signed_member(answer: bytes, name: str) -> tuple[bytes, bytes]:
    """Cut the signed value out of an answer ``{name: value, "signature": hex}``.

    Returns:
        The raw bytes of the value, and the 64 bytes of the signature.

    Raises:
        EndorsementError: ``endorsements.collateral.malformed``.
    """
    try:
        members = raw_members(answer, max_bytes=MAX_PART_BYTES)
        signature = parse_object(answer, max_bytes=MAX_PART_BYTES).get("signature")
    except JsonError as error:
        raise _malformed(f"This is no signed answer: {error.message}") from None
    if name not in members or type(signature) is not str:
        raise _malformed(f"The answer has no member {name}, or no signature.")
    return members[name], _unhex(signature, "signature")


def _malformed(message: str) -> EndorsementError:
    return EndorsementError("endorsements.collateral.malformed", message)


def _string(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if type(value) is not str:
        raise _malformed(f"Member {name} is missing, or no string.")
    return value


def _binary(members: dict[str, Any], name: str) -> bytes:
    value = members.get(name)
    if type(value) is not list:
        return _unhex(_string(members, name), name)
    try:
        return octets(value, MAX_PART_BYTES)
    except JsonError:
        raise _malformed(f"{name} is no array of bytes.") from None


def _unhex(text: str, name: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) * 2 != len(text):
        raise _malformed(f"{name} is not hexadecimal.")
    return found


def _der(data: bytes, name: str) -> bytes:
    """Return a CRL as DER from any of the three forms in which it is published."""
    if data[:1] == b"\x30":  # a SEQUENCE; hexadecimal would begin with the digit 3
        return data
    armoured = _PEM_CRL.fullmatch(data)
    try:
        if armoured is not None:
            return binascii.a2b_base64(armoured[1].translate(None, b"\r\n"), strict_mode=True)
        if data:
            return _unhex(data.strip().decode("ascii"), name)
    except (EndorsementError, UnicodeDecodeError, binascii.Error):
        pass
    raise _malformed(f"{name} is neither DER nor PEM nor hexadecimal.")


def _chain(text: str | bytes) -> bytes:
    raw = text.encode("utf-8") if isinstance(text, str) else text
    return unquote_to_bytes(raw) if b"%" in raw else raw

"""Evidence that a binary structure carries: dstack's attestations, certificates, Open Enclave's reports.

    attestation   dstack's VersionedAttestation, for every platform that it has
    certificate   DER or PEM with a dstack extension, with Open Enclave's (1.2.840.113556.10.1.1: a quote),
                  with that of interoperable RA-TLS (2.23.133.5.4.9: CBOR tag 60000 around a quote and
                  claims), with Gramine's own (1.2.840.113741.1337.6: a quote), or with a Nitro document in
                  hexadecimal as a DNS name
    enclave       a quote behind Open Enclave's header, as ``oe_get_report`` gives it
    tsm           a map in CBOR of what configfs-tsm gave: provider, report, and the table of certificates

Each ``open_*`` returns pieces of evidence, or None when the bytes do not look like its thing; what looks like
it and is malformed is refused by its own parser. A carrier proves nothing about what it holds.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError
from assay.verification.opened import Opened, noted, unrecognised
from assay.verification.recognition import recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.evidence.dstack import Attestation

MAX_CERTIFICATE_BYTES: Final = 1 << 16
_OPEN_ENCLAVE: Final = bytes.fromhex("2a864886f7140a0101")
_OPEN_ENCLAVE_HEADER: Final = (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
_TAGGED_EVIDENCE: Final = bytes.fromhex("678105050409")
_QUOTE_AND_CLAIMS: Final = 60_000
_GRAMINE: Final = (
    bytes.fromhex("2a864886f84d8a3906"),
    bytes.fromhex("06092a864886f84d8a3906"),  # as Gramine writes it: tag and length are in it once more
)
_SUBJECT_ALTERNATIVE_NAME: Final = bytes.fromhex("551d11")
_EXTENSIONS: Final = 0xA3
_DNS_NAME: Final = 0x82
_DER: Final = b"\x30\x82"  # as every certificate begins that is within the limit and holds evidence
_OCTET_STRINGS: Final = (b"\x04\x82", b"\x04\x83")  # a quote of version 4 goes on with a zero
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_LINES: Final = re.compile(rb"[\s#A-Za-z][\t\r\n -~]*\n")
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2}){512,}")
_PLATFORMS: Final = {"sev-snp": "snp", "nitro-enclave": "nitro", "aws-nitro-tpm": "nitro-tpm"}
_KEY_APART: Final = "from a certificate, whose key is not compared with it"
_TEES: Final = ("tdx", "sgx")
_PROVIDERS: Final = {"sev_guest": "snp", "tdx_guest": "tdx"}
_CBOR_MAPS: Final = range(0xA2, 0xB8)


# --- dstack


def open_dstack(data: bytes) -> tuple[Opened, ...] | None:
    """Open a VersionedAttestation; raises as ``open_attestation`` does."""
    from assay.evidence.dstack.versioned import looks_versioned, open_attestation  # noqa: PLC0415 - this form alone

    return _of_attestation(data, open_attestation(data)) if looks_versioned(data) else None


def _of_attestation(data: bytes, found: Attestation) -> tuple[Opened, ...]:
    from assay.evidence.dstack.presented import from_versioned  # noqa: PLC0415 - this form alone

    form = f"{len(found.evidence)} bytes, from a dstack attestation"
    if found.variant == "tdx":
        presented = from_versioned(found)
        return (Opened(found.evidence, "tdx", form, presented),)
    if found.variant == "gcp-tdx":
        # Two quotes of one machine, which their verifier takes together.
        return (Opened(data, "gcp-tdx", f"two quotes, {form}", attestation=found),)
    beside = {f"certificate {at}": each for at, each in enumerate(found.certificates, 1)}
    platform = _PLATFORMS[found.variant]
    return (Opened(found.evidence, platform, form, attestation=found, beside=beside),)


# --- certificates


def open_certificate(data: bytes) -> tuple[Opened, ...] | None:
    """Open a certificate, DER or PEM, of a chain the first; lines of plain text may stand before its PEM.

    Raises:
        EvidenceError: ``verification.certificate.no_evidence``, ``verification.certificate.malformed``, or
            the codes of what is inside.
    """
    at = data.find(_PEM)
    if at >= 0 and _is_commentary(data[:at]):
        der = _first_of(data[at:])
    elif data.startswith(_DER) and len(data) <= MAX_CERTIFICATE_BYTES:
        der = data
    else:
        return None
    return _of_certificate(der)


def _is_commentary(before: bytes) -> bool:
    """Return whether what stands before PEM is nothing, or lines that tools write there for people."""
    return not before.strip() or (_LINES.fullmatch(before) is not None and b"-----" not in before)


def _first_of(data: bytes) -> bytes:
    block = data.removeprefix(_PEM).partition(b"-----END CERTIFICATE-----")[0]
    try:
        return binascii.a2b_base64(b"".join(block.split()), strict_mode=True)
    except (binascii.Error, ValueError):
        raise _bad("its base64 is damaged") from None


def _bad(why: str) -> EvidenceError:
    return EvidenceError("verification.certificate.malformed", f"The certificate cannot be read: {why}.")


def _of_certificate(der: bytes) -> tuple[Opened, ...]:
    from assay.evidence.dstack.certificate import Extension, parse_certificate  # noqa: PLC0415 - this form alone

    parsed = parse_certificate(der)
    attestation = parsed.extensions.get(Extension.ATTESTATION)
    if attestation is not None:
        return _in_certificate(attestation, parsed.spki)
    if Extension.QUOTE in parsed.extensions:
        from assay.evidence.dstack.presented import from_certificate  # noqa: PLC0415 - the same

        presented = from_certificate(der)
        form = f"{len(presented.quote)} bytes, from a certificate of dstack"
        return (Opened(presented.quote, "tdx", form, presented),)
    extensions = _extensions(der)
    for found in (
        _open_enclave_quote(extensions),
        _tagged_quote(extensions),
        *map(extensions.get, _GRAMINE),
        _nitro_document(extensions),
    ):
        platform = recognise(found) if found is not None else None
        if found is not None and platform is not None:
            return (Opened(found, platform, f"{len(found)} bytes, {_KEY_APART}"),)
    raise EvidenceError(
        "verification.certificate.no_evidence",
        "The certificate carries no evidence that Assay knows.",
        action="Certificates that vouch for evidence are given with --endorsements.",
    )


def _in_certificate(data: bytes, spki: bytes) -> tuple[Opened, ...]:
    from assay.evidence.dstack.versioned import open_attestation  # noqa: PLC0415 - this form alone

    (found,) = _of_attestation(data, replace(open_attestation(data), spki=spki))
    return (replace(found, form=f"{found.form} in a certificate"),)


def _extensions(der: bytes) -> dict[bytes, bytes]:
    """Return a certificate's extensions by the content of their OID, whatever its key and signature are."""
    from assay.evidence.decoding import der as words  # noqa: PLC0415 - this form alone

    tbs = words.DerReader(der).enter().enter()
    while tbs.more() and tbs.peek() != _EXTENSIONS:
        tbs.span(tbs.peek())
    if not tbs.more():
        return {}
    found: dict[bytes, bytes] = {}
    reader = tbs.enter(_EXTENSIONS).enter()
    while reader.more():
        extension = reader.enter()
        oid = extension.value(words.OBJECT_IDENTIFIER)
        if extension.peek() == words.BOOLEAN:
            extension.boolean()
        value = extension.value(words.OCTET_STRING)
        if oid in found:
            raise _bad("it has an extension twice")
        found[oid] = value
    return found


def _open_enclave_quote(extensions: Mapping[bytes, bytes]) -> bytes | None:
    """Return the quote in Open Enclave's extension: as it is, in an OCTET STRING, or behind a header."""
    value = extensions.get(_OPEN_ENCLAVE)
    if value is None:
        return None
    if value.startswith(_OPEN_ENCLAVE_HEADER):
        if not behind_header(value):
            raise _bad("the size of the quote in it is not the one that is stated")
        return behind_header(value)
    if value[:2] in _OCTET_STRINGS:
        from assay.evidence.decoding.der import OCTET_STRING, DerReader  # noqa: PLC0415 - this form alone

        reader = DerReader(value)
        value = reader.value(OCTET_STRING)
        reader.finish()
    return value


def behind_header(data: bytes) -> bytes:
    """Return what stands behind Open Enclave's header; nothing for another header or another size."""
    size = int.from_bytes(data[8:16], "little")
    return data[16:] if data.startswith(_OPEN_ENCLAVE_HEADER) and len(data) == 16 + size else b""


def _tagged_quote(extensions: Mapping[bytes, bytes]) -> bytes | None:
    """Return the quote of interoperable RA-TLS; the claims that its report data commit to are left."""
    value = extensions.get(_TAGGED_EVIDENCE)
    if value is None:
        return None
    from assay.evidence.decoding.cbor import CborError, Tag, decode  # noqa: PLC0415 - this form alone

    try:
        found = decode(value, max_bytes=MAX_CERTIFICATE_BYTES)
    except CborError:
        return None  # the extension is there for other wrappers, too
    parts = found.value if type(found) is Tag and found.number == _QUOTE_AND_CLAIMS else None
    return parts[0] if type(parts) is list and [type(each) for each in parts] == [bytes, bytes] else None


def _nitro_document(extensions: Mapping[bytes, bytes]) -> bytes | None:
    """Return the document that stands in hexadecimal among the DNS names."""
    found = extensions.get(_SUBJECT_ALTERNATIVE_NAME)
    if found is None:
        return None
    from assay.evidence.decoding.der import DerReader  # noqa: PLC0415 - this form alone

    reader = DerReader(found).enter()
    while reader.more():
        tag = reader.peek()
        name = reader.value(tag)
        text = _HEX.match(name) if tag == _DNS_NAME else None
        if text is not None:
            return bytes.fromhex(text.group().decode())
    return None


# --- Open Enclave's report


def open_enclave(data: bytes) -> tuple[Opened, ...] | None:
    """Open the report of an Open Enclave: its header, and the quote that the header states the size of."""
    quote = behind_header(data)
    platform = recognise(quote)
    if platform not in _TEES:
        return None
    return (Opened(quote, platform, f"{len(quote)} bytes, from a report of Open Enclave"),)


# --- configfs-tsm


def open_tsm(data: bytes, again: Callable[[bytes], tuple[Opened, ...]]) -> tuple[Opened, ...] | None:
    """Open the CBOR form of a configfs-tsm report; its JSON is opened where that of the provider is.

    Args:
        data: The map.
        again: Opens the report in it.

    Raises:
        EvidenceError: ``verification.evidence.unrecognised`` when it is not what its provider gives.
    """
    if not data or data[0] not in _CBOR_MAPS or b"outblob" not in data:
        return None
    from assay.evidence.decoding.cbor import CborError, decode  # noqa: PLC0415 - this form alone

    try:
        found = decode(data, max_bytes=len(data))
    except CborError:
        return None
    provider, report, table = (found.get(name) for name in ("provider", "outblob", "auxblob"))
    platform = _PROVIDERS.get(provider.strip()) if type(provider) is str else None
    whole = [each for each in (report, table) if each is not None]
    if platform is None or report is None or {type(each) for each in whole} != {bytes}:
        raise unrecognised("The answer of configfs-tsm has no report of a provider that is known here.")
    parts = again(b"".join(whole) if platform == "snp" else report)
    if [part.platform for part in parts] != [platform]:
        raise unrecognised("The answer of configfs-tsm holds another report than its provider gives.")
    read = {"provider", "outblob", *(["auxblob"] if platform == "snp" else [])}
    left = [str(name) for name, value in found.items() if name not in read and value not in (None, b"")]
    return noted(tuple([replace(part, form=f"{part.form}, from a guest's answer") for part in parts]), left)

"""Evidence inside of other things: dstack's attestations, certificates, message wrappers, bundles.

    attestation   dstack's VersionedAttestation, for every platform that it has
    certificate   DER or PEM with a dstack extension, with Open Enclave's (1.2.840.113556.10.1.1: a quote),
                  with that of interoperable RA-TLS (2.23.133.5.4.9: CBOR tag 60000 around a quote and
                  claims), with Gramine's own (1.2.840.113741.1337.6: a quote), or with a Nitro document in
                  hexadecimal as a DNS name
    enclave       a quote behind Open Enclave's header, as ``oe_get_report`` gives it
    octets        a list of numbers in JSON: the bytes of any of these, as some languages write them
    wrapper       a conceptual message wrapper in JSON or CBOR, collections and tunnels included; ratsd's
                  token around one
    bundle        JSON with an NRAS answer as ``token`` and a TDX quote as ``tdx.quote_b64``
    quote         JSON with a DCAP quote alone: ``quote`` of the Confidential Containers attesters (with the
                  log in ``cc_eventlog``) and of Intel Trust Authority's client (there also inside of ``tdx``
                  or ``sgx``), as text or a list of numbers; ``outblob`` of configfs-tsm; or a dstack guest's
                  answer that lost its event log
    vouched       JSON with ``evidence`` and ``endorsements`` in base64, as confidential containers on Azure
                  get it from their host: a report, and what vouches for it; the same as ``SnpReport`` and
                  ``VcekCertChain``, and that in base64 once more as the ``report`` of a request to Azure
                  Attestation
    report        what ``reports`` opens: the attestation reports of inference services
    envelope      what ``envelopes`` opens: evidence with the name of a platform on it

Each ``open_*`` returns pieces of evidence, or None when the bytes do not look like its thing; what looks like
it and is malformed is refused by its own parser. A container proves nothing about what it holds.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.verification.opened import MAX_PARTS, Opened, noted, unrecognised
from assay.verification.recognition import recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.evidence.dstack import Attestation
    from assay.evidence.eat.cmw import Cmw
    from assay.verification.firmware_log import CcelData

    Again = Callable[[bytes], tuple[Opened, ...]]

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
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2}){512,}")
_CBOR_RECORD: Final = (0x82, 0x83, 0xDA)
_CBOR_MAPS: Final = range(0xA1, 0xC0)
_COLLECTION: Final = "__cmwc_t"
_PLATFORMS: Final = {"sev-snp": "snp", "nitro-enclave": "nitro", "aws-nitro-tpm": "nitro-tpm"}
_TEES: Final = ("tdx", "sgx")
_VOUCHED: Final = (("evidence", "endorsements"), ("SnpReport", "VcekCertChain"))
_TDX_PROVIDER: Final = "tdx_guest"
_KEY_APART: Final = "from a certificate, whose key is not compared with it"


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
    """Open a certificate, DER or PEM, of a chain the first.

    Raises:
        EvidenceError: ``verification.certificate.no_evidence``, ``verification.certificate.malformed``, or
            the codes of what is inside.
    """
    if data.lstrip().startswith(_PEM):
        der = _first_of(data)
    elif data.startswith(_DER) and len(data) <= MAX_CERTIFICATE_BYTES:
        der = data
    else:
        return None
    return _of_certificate(der)


def _first_of(data: bytes) -> bytes:
    block = data.lstrip().removeprefix(_PEM).partition(b"-----END CERTIFICATE-----")[0]
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
        if not _behind_header(value):
            raise _bad("the size of the quote in it is not the one that is stated")
        return _behind_header(value)
    if value[:2] in _OCTET_STRINGS:
        from assay.evidence.decoding.der import OCTET_STRING, DerReader  # noqa: PLC0415 - this form alone

        reader = DerReader(value)
        value = reader.value(OCTET_STRING)
        reader.finish()
    return value


def _behind_header(data: bytes) -> bytes:
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
    quote = _behind_header(data)
    platform = recognise(quote)
    if platform not in _TEES:
        return None
    return (Opened(quote, platform, f"{len(quote)} bytes, from a report of Open Enclave"),)


# --- wrappers


def open_wrapper(data: bytes, again: Again) -> tuple[Opened, ...] | None:
    """Open a wrapper in CBOR; one in JSON is opened by ``open_json``.

    Args:
        data: The wrapper.
        again: Opens what a record holds.

    Raises:
        EatError: ``cmw.*``.
        EvidenceError: As ``again`` does.
    """
    first = data[0] if data else 0
    if first not in _CBOR_RECORD and first not in _CBOR_MAPS:
        return None
    from assay.evidence.eat.cmw import decode_cbor  # noqa: PLC0415 - this form alone
    from assay.evidence.eat.errors import EatError  # noqa: PLC0415 - the same

    try:
        found = decode_cbor(data)
    except EatError:
        return None  # many things are CBOR, or begin like it
    return _of_wrapper(found, again)


def _of_wrapper(cmw: Cmw, again: Again) -> tuple[Opened, ...]:
    from assay.evidence.eat import cmw as words  # noqa: PLC0415 - this form alone

    named = [("", cmw)] if isinstance(cmw, words.Record) else list(_labelled(cmw, ""))
    parts: list[Opened] = []
    beside: dict[str, bytes] = {}
    left: list[str] = []
    for label, record in named:
        if record.indicator and not record.is_evidence:
            if record.indicator & words.ENDORSEMENTS:
                beside[label] = record.value
            else:
                left.append(label)
            continue
        found = again(record.value)
        parts += [replace(each, name=_joined(label, each.name)) for each in found]
        _bounded(parts)
    if not parts:
        raise unrecognised("The wrapper holds no evidence.")
    form = "from a message wrapper"
    return noted(
        tuple(
            [replace(each, form=f"{each.form}, {form}", beside={**beside, **each.beside}) for each in parts]
        ),
        left,
    )


def _labelled(collection: Any, above: str) -> Any:
    for label, entry in collection.entries.items():
        name = _joined(above, str(label))
        if hasattr(entry, "entries"):
            yield from _labelled(entry, name)
        else:
            yield name, entry


def _joined(outer: str, inner: str) -> str:
    return f"{outer}/{inner}" if outer and inner else outer or inner


def _bounded(parts: list[Opened]) -> None:
    if len(parts) > MAX_PARTS:
        raise EvidenceError(
            "verification.evidence.several", f"The file holds more than {MAX_PARTS} pieces of evidence."
        )


# --- JSON


def open_json(found: Any, data: bytes, again: Again) -> tuple[Opened, ...] | None:
    """Open a wrapper, a bundle, or an answer of a dstack guest around an attestation, decoded from JSON.

    Args:
        found: The decoded document.
        data: Its text.
        again: Opens what is inside.

    Raises:
        EatError: ``cmw.*``.
        EvidenceError: As ``again`` does.
    """
    if type(found) is list:
        octets = _octets(found)
        if octets:
            return tuple(
                [replace(each, form=f"{each.form}, from a list of numbers") for each in again(octets)]
            )
        record = len(found) in (2, 3) and type(found[0]) in (str, int) and type(found[1]) is str
        return _json_wrapper(data, again) if record else None
    return _json_object(found, data, again) if type(found) is dict else None


def _json_object(found: dict[str, Any], data: bytes, again: Again) -> tuple[Opened, ...] | None:
    if type(found.get("cmw")) is str:
        inner = again(_base64(found["cmw"]))
        form = "in a token of ratsd"
        return noted(
            tuple([replace(each, form=f"{each.form}, {form}") for each in inner]), found.keys() - {"cmw"}
        )
    if _COLLECTION in found or _all_records(found):
        return _json_wrapper(data, again)
    if type(found.get("tdx")) is dict and type(found["tdx"].get("quote_b64")) is str and "token" in found:
        return _gpu_and_tdx(found, again)
    for names in _VOUCHED:
        if "platform" not in found and {type(found.get(name)) for name in names} == {str}:
            return _vouched(found, names, again)
    if type(found.get("attestation")) is str:
        return open_dstack(_unhex(found["attestation"]))
    return _reports(found, again) or _quote_alone(found) or _asked(found, again)


def _reports(found: dict[str, Any], again: Again) -> tuple[Opened, ...] | None:
    from assay.verification import envelopes, reports  # noqa: PLC0415 - these forms alone

    if reports.looks_like_report(found):
        return reports.open_report(found)
    if reports.looks_like_reports(found):
        return reports.open_reports(found, again)
    if reports.looks_like_predicate(found):
        return reports.open_predicate(found, again)
    return envelopes.open_envelope(found, again) if envelopes.looks_like_envelope(found) else None


def _quote_alone(found: dict[str, Any]) -> tuple[Opened, ...] | None:
    """Open the JSON around one DCAP quote; of what stands beside it the firmware's log alone is read."""
    if len(found) == 1:
        (word, inner), *_ = found.items()
        if word in _TEES and type(inner) is dict:
            found = inner
    text = found.get("outblob") if found.get("provider") == _TDX_PROVIDER else found.get("quote")
    if type(text) is not str:
        quote = _octets(text)
    else:
        quote = _unhex(text.removeprefix("0x"))
        if quote and "event_log" in found:
            return None  # a whole answer of dstack's: in hexadecimal, with the log that explains it
        quote = quote or from_text(text)
    quote = _behind_header(quote) or quote
    platform = recognise(quote)
    if platform not in _TEES:
        return None
    log = _firmware_log(found.get("cc_eventlog")) if platform == "tdx" else None
    read = {"quote", "outblob", "provider", *(["cc_eventlog"] if log else [])}
    form = f"{len(quote)} bytes, from JSON{' with an event log' if log else ''}"
    left = [name for name, value in found.items() if name not in read and value is not None]
    return noted((Opened(quote, platform, form, firmware_log=log),), left)


def _firmware_log(text: Any) -> CcelData | None:
    """Return the log in base64 that came with a quote; None where none came, or nothing that explains it."""
    if type(text) is not str or not text:
        return None
    from assay.verification.firmware_log import CcelData  # noqa: PLC0415 - this form alone

    try:
        data = binascii.a2b_base64(text.encode("utf-8", "surrogatepass"), strict_mode=True)
    except binascii.Error:
        raise EvidenceError(
            "verification.log.base64", "The event log beside the quote is not base64."
        ) from None
    return CcelData.of_guest(data)


def _octets(values: Any) -> bytes:
    """Return what a list of numbers stands for, as some languages write bytes; nothing for anything else."""
    octets = type(values) is list and all(type(each) is int and 0 <= each < 256 for each in values)
    return bytes(values) if octets else b""


def _all_records(found: dict[str, Any]) -> bool:
    return bool(found) and all(
        type(each) is list and len(each) in (2, 3) and type(each[0]) in (str, int) and type(each[1]) is str
        for each in found.values()
    )


def _json_wrapper(data: bytes, again: Again) -> tuple[Opened, ...]:
    from assay.evidence.eat.cmw import decode_json  # noqa: PLC0415 - this form alone

    return _of_wrapper(decode_json(data), again)


def _vouched(found: dict[str, Any], names: tuple[str, str], again: Again) -> tuple[Opened, ...]:
    evidence, endorsements = (_base64(found[name]) for name in names)
    parts = tuple(
        replace(part, form=f"{part.form}, with {names[1]}", beside={**part.beside, names[1]: endorsements})
        for part in again(evidence)
    )
    return noted(parts, found.keys() - set(names))


def _asked(found: dict[str, Any], again: Again) -> tuple[Opened, ...] | None:
    """Open the report in a request to Azure Attestation: JSON once more, in base64."""
    text = found.get("report")
    inner = from_text(text) if type(text) is str else b""
    if not inner.startswith(b"{"):
        return None
    parts = tuple(replace(part, form=f"{part.form}, in a request to a service") for part in again(inner))
    return noted(parts, [name for name, value in found.items() if name != "report" and value is not None])


def _gpu_and_tdx(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    token = found["token"]
    if type(token) is not str:
        raise unrecognised("The token of a bundle of GPU and TDX is not text.")
    machine = again(_base64(found["tdx"]["quote_b64"]))
    devices = again(token.encode("utf-8", "surrogatepass"))
    parts = [replace(each, name="tdx") for each in machine] + [
        replace(each, name="token") for each in devices
    ]
    _bounded(parts)
    left = [
        *(found.keys() - {"tdx", "token"}),
        *(f"tdx.{name}" for name in found["tdx"].keys() - {"quote_b64"}),
    ]
    return noted(tuple(parts), left)


def from_text(text: str) -> bytes:
    """Return what hexadecimal or base64 stands for; nothing for text that is neither."""
    try:
        return _unhex(text.removeprefix("0x")) or _base64(text)
    except EvidenceError:
        return b""


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _base64(text: str) -> bytes:
    try:
        plain = text.encode("ascii").translate(bytes.maketrans(b"-_", b"+/"))
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise unrecognised("A member of a bundle is not base64.") from None

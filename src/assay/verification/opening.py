"""Finding evidence in what a person has at hand: raw, as text, in an answer, a wrapper, a bundle of several.

Recognition only routes. Nothing is trusted for the form it came in, and a wrong guess ends in a refusal.
"""

from __future__ import annotations

import binascii
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.verification.firmware_log import CcelData
from assay.verification.opened import Bundle, Opened, noted, unrecognised
from assay.verification.recognition import TPM_MAGIC, recognise

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.evidence.dstack import Presented

MAX_EVIDENCE_BYTES: Final = 1 << 20
MAX_TPM_EVIDENCE_BYTES: Final = 80 << 20
"""A TPM's evidence holds its logs, which are long; its container bounds each of them."""
MAX_LOG_BYTES: Final = 4 << 20
MAX_DEPTH: Final = 3
"""How deep evidence may lie in wrappings."""
_JSON_STARTS: Final = (b"{", b"[")
_READ: Final[dict[str, frozenset[str]]] = {
    "app_cert": frozenset(
        {
            *("app_cert", "tcb_info", "vm_config", "key_provider_info"),
            *("app_id", "instance_id", "mr_aggregated", "compose_hash"),
        }
    ),
    "attestation": frozenset({"attestation"}),
    "quote": frozenset({"quote", "event_log", "report_data", "vm_config"}),
}
"""A member by which a dstack guest's answer is known, to what is read of it; the first not empty counts."""
_UTF_8: Final = b"\xef\xbb\xbf"
"""What some editors and shells put before text; no evidence begins with it."""
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_SIGNATURE: Final = b"Spec ID Event03\0"  # behind the head of a log's first event
_SIGNATURE_AT: Final = 32


def open_evidence(data: bytes) -> Opened:
    """Return the one piece of evidence that a file holds.

    Args:
        data: As ``open_bundle`` takes it.

    Raises:
        EvidenceError: ``verification.evidence.several`` when it holds more; otherwise as ``open_bundle``.
    """
    found = open_bundle(data).parts
    if len(found) > 1:
        raise EvidenceError(
            "verification.evidence.several", f"The file holds {len(found)} pieces of evidence, not one."
        )
    return found[0]


def open_bundle(data: bytes) -> Bundle:
    """Return all the evidence that a file holds.

    Args:
        data: Evidence of any format, its hexadecimal text, base64 or array of numbers, a dstack guest's
            answer (GetQuote, Info, attestation), an SNP guest device's, the JSON or CBOR of a configfs-tsm
            report, or one of ``containers`` or ``projects``.

    Raises:
        EvidenceError: ``verification.evidence.oversized``, ``verification.evidence.unrecognised``, those of
            ``no_evidence``, or the codes of the container's own parser.
    """
    most = MAX_TPM_EVIDENCE_BYTES if data.startswith(TPM_MAGIC) else MAX_EVIDENCE_BYTES
    if len(data) > most:
        from assay.verification import no_evidence  # noqa: PLC0415 - where it is none

        no_evidence.refuse_known(data)
        no_evidence.refuse_read(data)
        raise EvidenceError(
            "verification.evidence.oversized",
            f"The file has {len(data)} bytes; evidence of its kind has at most {most}.",
        )
    if not data:
        raise unrecognised("The file is empty.")
    found = _named(_open(data.removeprefix(_UTF_8), MAX_DEPTH))
    form = found[0].form if len(found) == 1 else f"{len(found)} pieces of evidence in {len(data)} bytes"
    return Bundle(form, found)


def _open(data: bytes, depth: int) -> tuple[Opened, ...]:
    from assay.verification import carriers, containers, no_evidence, projects  # noqa: PLC0415 - where none lies open

    def again(inner: bytes) -> tuple[Opened, ...]:
        if depth == 0:
            raise unrecognised("The evidence lies in more wrappings than are opened.")
        return _open(inner, depth - 1)

    for decode, note in _TEXTS:
        found = decode(data)
        if found is None:
            continue
        platform = recognise(found)
        if platform is not None:
            return (Opened(found, platform, f"{len(found)} bytes{note}"),)
        no_evidence.refuse_known(found)
        for inside in (
            carriers.open_dstack(found),
            carriers.open_certificate(found),
            carriers.open_enclave(found),
            carriers.open_tsm(found, again),
            containers.open_wrapper(found, again),
            projects.open_of_project(found),
            _json_in_text(found, note, again) if found is not data else None,
        ):
            if inside is not None:
                return inside
        no_evidence.refuse_read(found)
    if data.lstrip()[:1] in _JSON_STARTS:
        return _open_json(data, again)
    raise unrecognised()


def _open_json(data: bytes, again: Callable[[bytes], tuple[Opened, ...]]) -> tuple[Opened, ...]:
    from assay.evidence.decoding import strictjson  # noqa: PLC0415 - needed for these formats alone
    from assay.verification import containers, no_evidence  # noqa: PLC0415 - the same

    document = strictjson.parse(data, max_bytes=MAX_EVIDENCE_BYTES)
    inside = containers.open_json(document, data, again)
    if inside is not None:
        return inside
    no_evidence.refuse_known_json(document)
    if type(document) is not dict:
        raise unrecognised("The file is a JSON list, and no record of a message wrapper.")
    return _of_answer(document, data)


def _json_in_text(
    found: bytes, note: str, again: Callable[[bytes], tuple[Opened, ...]]
) -> tuple[Opened, ...] | None:
    """Open JSON that was written as hexadecimal or base64 once more."""
    if found.lstrip()[:1] not in _JSON_STARTS:
        return None
    return tuple([replace(each, form=f"{each.form}{note}") for each in again(found)])


def _of_answer(found: dict[str, Any], data: bytes) -> tuple[Opened, ...]:
    presented = _answer(data)
    quote = presented.quote
    form = f"{len(quote)} bytes, from a dstack guest's answer"
    read = next((read for sign, read in _READ.items() if found.get(sign)), _READ["quote"])
    left = [name for name, value in found.items() if name not in read and value not in (None, "")]
    return noted((Opened(quote, recognise(quote) or "tdx", form, presented),), left)


def _named(parts: tuple[Opened, ...]) -> tuple[Opened, ...]:
    """Give each of several pieces a name of its own."""
    if len(parts) == 1:
        return parts
    found: dict[str, Opened] = {}
    for part in parts:
        name = wanted = part.name or part.platform
        times = 1
        while name in found:  # what is numbered here may be what its sender called another one
            times += 1
            name = f"{wanted} ({times})"
        found[name] = replace(part, name=name)
    return tuple(found.values())


def open_event_log(data: bytes, quote: bytes) -> Presented | CcelData:
    """Return the event log that a file holds, to be verified against a quote.

    Args:
        data: A dstack event log or answer (JSON), or the data of a CCEL table, also as hexadecimal text or
            base64.
        quote: The quote that the log shall explain.

    Raises:
        EvidenceError: ``verification.log.oversized``, or the codes of the log's own parser.
    """
    if len(data) > MAX_LOG_BYTES:
        raise EvidenceError(
            "verification.log.oversized",
            f"The event log has {len(data)} bytes; {MAX_LOG_BYTES} is the limit.",
        )
    start = data.lstrip()[:1]
    if start not in _JSON_STARTS:
        return CcelData.whole(_table(data))
    from assay.evidence.dstack import Presented  # noqa: PLC0415 - needed for this format alone

    if start == b"[":
        return Presented(quote=quote, log=data)
    found = _answer(data, quote)
    if _same_quote(found.quote, quote):
        return replace(found, quote=quote)
    # Key and statements belong to the other quote; only the log itself is held against this one.
    return replace(found, quote=quote, spki=None, stated={})


def _table(data: bytes) -> bytes:
    """Return a CCEL table out of its text; what is no text of one is returned as it is."""
    for decode in (_from_hex, _from_base64):
        found = decode(data)
        if found is not None and found[_SIGNATURE_AT:].startswith(_SIGNATURE):
            return found
    return data


def _answer(data: bytes, quote: bytes | None = None) -> Presented:
    """Take a dstack answer apart, whichever of the known ones it is."""
    from assay.evidence.decoding import strictjson  # noqa: PLC0415 - needed for this format alone
    from assay.evidence.dstack import from_get_quote, from_info, from_tcb_info  # noqa: PLC0415 - the same

    members = strictjson.parse_object(data, max_bytes=MAX_LOG_BYTES)
    if "app_cert" in members:
        return from_info(data)
    if "quote" in members or "attestation" in members:
        return from_get_quote(data)
    if quote is not None and "event_log" in members:
        return from_tcb_info(data, quote)
    raise EvidenceError(
        "verification.answer.unrecognised",
        "The JSON holds no evidence that Assay knows; an answer of a dstack guest has a member quote,"
        " attestation or app_cert.",
    )


def _same_quote(one: bytes, other: bytes) -> bool:
    return one.rstrip(b"\0") == other.rstrip(b"\0")


def _from_hex(data: bytes) -> bytes | None:
    try:
        return binascii.unhexlify(_unwrapped(data).removeprefix(b"0x"))
    except (binascii.Error, ValueError):
        return None


def _from_base64(data: bytes) -> bytes | None:
    """Take base64 of either alphabet; the URL-safe one may go without its padding."""
    text = _unwrapped(data)
    if b"-" in text or b"_" in text:
        if b"+" in text or b"/" in text:
            return None
        text = text.translate(_URL_SAFE) + (b"" if text.endswith(b"=") else b"=" * (-len(text) % 4))
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def _unwrapped(data: bytes) -> bytes:
    """Return text without line ends (``xxd -p`` folds hexadecimal, too) and without the quotes of ``jq``."""
    text = b"".join(data.split())
    return text[1:-1] if text[:1] == text[-1:] == b'"' else text


def _from_carrier(data: bytes) -> bytes | None:
    """Take an SNP report out of its guest device's answer, or out of what configfs-tsm gives as JSON."""
    from assay.evidence.snp.carriers import unwrap  # noqa: PLC0415 - where nothing simpler fits

    try:
        found = unwrap(data)
    except EvidenceError:
        return None  # it is something else, or nothing
    return None if found is data else found


def _from_text_format(data: bytes) -> bytes | None:
    """Take the binary form of a Google VM's attestation out of its text form; a malformed one is refused."""
    from assay.evidence.google_vm.textproto import looks_like_text, to_binary  # noqa: PLC0415 - this form alone

    return to_binary(data) if looks_like_text(data) else None


def _as_it_is(data: bytes) -> bytes | None:
    return data


_TEXTS: Final = (
    (_as_it_is, ""),
    (_from_hex, ", from hexadecimal text"),
    (_from_base64, ", from base64"),
    (_from_carrier, ", from a guest's answer"),
    (_from_text_format, ", from the text form of a protobuf message"),
)

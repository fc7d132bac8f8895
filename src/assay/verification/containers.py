"""Evidence inside of other things: message wrappers, bundles, and JSON of many makes.

    octets        a list of numbers in JSON: the bytes of any of these, as some languages write them
    wrapper       a conceptual message wrapper in JSON or CBOR, collections and tunnels included; ratsd's
                  token around one
    bundle        JSON with an NRAS answer as ``token`` and a TDX quote as ``tdx.quote_b64``
    quote         JSON with a DCAP quote alone: ``quote`` of the Confidential Containers attesters (with the
                  log in ``cc_eventlog``) and of Intel Trust Authority's client (there also inside of ``tdx``
                  or ``sgx``), as text or a list of numbers; ``outblob`` of configfs-tsm; or a dstack guest's
                  answer that lost its event log, or has its quote in base64
    document      JSON with a Nitro document in hexadecimal or base64, as services of enclaves answer and as
                  requests to AWS's key service hold it
    cloud TPM     the JSON of vaportpm: {nonce, pcrs, ak_pubkeys, attestation: {tpm, gcp or nitro}}
    vouched       what ``hosts`` opens: a report and what vouches for it; also in base64 once more as the
                  ``report`` of a request to Azure Attestation
    request       what ``services`` opens: requests to attestation services, and their answers
    report        what ``reports`` opens: the attestation reports of inference services
    envelope      what ``envelopes`` opens: evidence with the name of a platform on it

Each ``open_*`` returns pieces of evidence, or None when the bytes do not look like its thing; what looks like
it and is malformed is refused by its own parser. A container proves nothing about what it holds.
"""

from __future__ import annotations

import binascii
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.verification.carriers import behind_header, open_dstack
from assay.verification.opened import MAX_PARTS, Opened, noted, unrecognised
from assay.verification.recognition import recognise

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.evidence.dstack import Presented
    from assay.evidence.eat.cmw import Cmw
    from assay.verification.firmware_log import CcelData

    Again = Callable[[bytes], tuple[Opened, ...]]

_CBOR_RECORD: Final = (0x82, 0x83, 0xDA)
_CBOR_MAPS: Final = range(0xA1, 0xC0)
_COLLECTION: Final = "__cmwc_t"
_TEES: Final = ("tdx", "sgx")
_NITRO: Final = ("nitro", "nitro-tpm")
_DOCUMENTS: Final = ("attestation", "attestation_doc", "attestation_document", "AttestationDocument")
_EXPLAINED: Final = ("event_log", "vm_config", "report_data")
_TDX_PROVIDER: Final = "tdx_guest"


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
        inner = again(from_base64(found["cmw"]))
        form = "in a token of ratsd"
        return noted(
            tuple([replace(each, form=f"{each.form}, {form}") for each in inner]), found.keys() - {"cmw"}
        )
    if _COLLECTION in found or _all_records(found):
        return _json_wrapper(data, again)
    if type(found.get("tdx")) is dict and type(found["tdx"].get("quote_b64")) is str and "token" in found:
        return _gpu_and_tdx(found, again)
    from assay.verification import hosts, services  # noqa: PLC0415 - these forms alone

    vouched = hosts.open_vouched(found, again) or _document_alone(found) or _cloud_tpm(found)
    if vouched is not None:
        return vouched
    if type(found.get("attestation")) is str:
        inside = open_dstack(_unhex(found["attestation"]))
        left = [name for name, value in found.items() if name != "attestation" and value not in (None, "")]
        return None if inside is None else noted(inside, left)
    return (
        _reports(found, again)
        or _quote_alone(found)
        or _asked(found, again)
        or services.open_service(found, again)
    )


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
    read = {"outblob", "provider"} if found.get("provider") == _TDX_PROVIDER else {"quote"}
    text = found.get("outblob" if "outblob" in read else "quote")
    if type(text) is not str:
        quote = _octets(text)
    else:
        quote = _unhex(text.removeprefix("0x"))
        if quote and "event_log" in found:
            return None  # a whole answer of dstack's: in hexadecimal, with the log that explains it
        quote = quote or from_text(text)
    quote = behind_header(quote) or quote
    platform = recognise(quote)
    if platform not in _TEES:
        return None
    log = _firmware_log(found.get("cc_eventlog")) if platform == "tdx" else None
    presented = _guests_answer(found, quote) if platform == "tdx" else None
    form = f"{len(quote)} bytes, from JSON{' with an event log' if log or presented else ''}"
    read.update(["cc_eventlog"] if log else [])
    read.update(_EXPLAINED if presented else ())
    left = [name for name, value in found.items() if name not in read and value is not None]
    return noted((Opened(quote, platform, form, presented, firmware_log=log),), left)


def _guests_answer(found: dict[str, Any], quote: bytes) -> Presented | None:
    """Return a dstack guest's answer whose quote is in base64; None where no event log is with it."""
    log = found.get("event_log")
    if type(log) is not str or not log.startswith("["):
        return None
    from assay.evidence.dstack import from_get_quote  # noqa: PLC0415 - this form alone

    answer = {name: found[name] for name in _EXPLAINED if name in found}
    return from_get_quote(json.dumps({**answer, "quote": quote.hex()}).encode())


def _document_alone(found: dict[str, Any]) -> tuple[Opened, ...] | None:
    """Open the JSON around a Nitro document, which is signed as a whole: nothing beside it is needed."""
    for word in _DOCUMENTS:
        text = found.get(word)
        document = from_text(text) if type(text) is str else b""
        platform = recognise(document)
        if platform in _NITRO:
            form = f"{len(document)} bytes, from JSON"
            return noted((Opened(document, platform, form),), found.keys() - {word})
    return None


def _cloud_tpm(found: dict[str, Any]) -> tuple[Opened, ...] | None:
    """Open the JSON of vaportpm: a Google VM's quote, or a NitroTPM's document with a quote that is left."""
    inner = found.get("attestation")
    if type(inner) is not dict or type(inner.get("tpm")) is not dict:
        return None
    if "gcp" in inner:
        from assay.evidence.google_vm.coordinates import container_of  # noqa: PLC0415 - this form alone

        container = container_of(found)
        form = f"{len(container)} bytes, from the JSON of a cloud's TPM"
        read = {"attestation", "pcrs", "ak_pubkeys"}
        left = [f"attestation.{name}" for name in inner.keys() - {"tpm", "gcp"}]
        return noted((Opened(container, "gcp-vtpm", form),), [*(found.keys() - read), *left])
    named = inner.get("nitro")
    parts = _document_alone({"attestation": named.get("document")}) if type(named) is dict else None
    left = [f"attestation.{name}" for name in inner.keys() - {"nitro"}]
    return parts and noted(parts, [*(found.keys() - {"attestation"}), *left])


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
    machine = again(from_base64(found["tdx"]["quote_b64"]))
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
        return _unhex(text.removeprefix("0x")) or from_base64(text)
    except EvidenceError:
        return b""


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def from_base64(text: str) -> bytes:
    """Return what base64 of either alphabet stands for, padded or not.

    Raises:
        EvidenceError: ``verification.evidence.unrecognised``.
    """
    try:
        plain = text.encode("ascii").translate(bytes.maketrans(b"-_", b"+/"))
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise unrecognised("A member of a bundle is not base64.") from None

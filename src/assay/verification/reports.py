"""The attestation reports of inference services: quote, event log and evidence of GPUs in one JSON.

    report     ``{"intel_quote": hex, "nvidia_payload": ..., "event_log": ..., "info": {...}, ...}``: a dstack
               guest's quote with what explains it, and the evidence of its GPUs as NVIDIA's service takes it
    reports    ``{"gateway_attestation": report, "model_attestations": [report, ...]}``, with one report in it

    predicate  ``{"format": "https://tinfoil.sh/predicate/...", "body": base64}``, of gzip or bare; from
               version 3 on ``{"format": ..., "cpu": {"platform": ..., "report": base64}, "gpu": {"evidences":
               [...]}}``

A report becomes pieces, each for its own verifier. Services of this kind let the quote's report data be the
signing address, filled up to 32 bytes with zeros, or SHA-256 of address and TLS fingerprint, and behind that
the 32-byte nonce that the GPUs answered as well. Which report data are the right ones is the Relying Party's
word. Members that no verifier looks at are listed as such (``Opened.unverified``).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.decoding import strictjson
from assay.verification.containers import from_text
from assay.verification.opened import Opened, noted, several_machines, unrecognised
from assay.verification.recognition import recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from assay.evidence.dstack import Presented

    Again = Callable[[bytes], tuple[Opened, ...]]

QUOTE: Final = "intel_quote"
GPUS: Final = "nvidia_payload"
MAX_INFO_BYTES: Final = 1 << 20
MAX_REPORTS: Final = 64
_GATEWAY: Final = "gateway_attestation"
_MODELS: Final = "model_attestations"
_DEVICES: Final = ("nvidia-gpu", "nras")
_STATED: Final = ("app_id", "instance_id", "mr_aggregated", "compose_hash")
_REGISTERS: Final = ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")
_ADDRESS_BYTES: Final = (20, 32)  # of a key on secp256k1, and an Ed25519 key itself
_NONCES: Final = ("request_nonce", "nonce")
_HALF: Final = 32
_PREDICATE: Final = "https://tinfoil.sh/predicate/"
_GZIP: Final = b"\x1f\x8b"
_MAX_BODY_BYTES: Final = 1 << 20


def looks_like_report(found: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is the report of one machine."""
    return QUOTE in found


def looks_like_reports(found: Mapping[str, Any]) -> bool:
    """Return whether a JSON object holds such reports."""
    return _GATEWAY in found or _MODELS in found


def open_reports(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    """Open the one report among those of a gateway and of models.

    Raises:
        EvidenceError: ``verification.report.several`` when there is more than one: each is of a machine of
            its own, and nothing here ties them to each other. ``verification.report.member``; or as
            ``open_report``.
    """
    models = found.get(_MODELS)
    if models is not None and (type(models) is not list or len(models) > MAX_REPORTS):
        raise EvidenceError(
            "verification.report.member", f"Member {_MODELS} is not a list of at most {MAX_REPORTS}."
        )
    named = [
        (_GATEWAY, found.get(_GATEWAY)),
        *((f"{_MODELS}[{at}]", each) for at, each in enumerate(models or ())),
    ]
    reports = [(name, each) for name, each in named if each not in (None, {})]
    if len(reports) > 1:
        raise several_machines([name for name, _ in reports])
    if not reports:
        raise unrecognised("The file holds no attestation report.")
    name, report = reports[0]
    if type(report) is not dict or not looks_like_report(report):
        raise EvidenceError(
            "verification.report.member", f"Member {name} is no attestation report with a member {QUOTE}."
        )
    return noted(again(_text(report)), found.keys() - {_GATEWAY, _MODELS})


def open_report(found: dict[str, Any]) -> tuple[Opened, ...]:
    """Open the report of one machine: its quote, and the evidence of its GPUs where there is some.

    Raises:
        EvidenceError: ``verification.report.quote``, ``verification.report.gpu``,
            ``verification.report.member``, ``verification.report.contradiction``; ``json.*``, ``dstack.*``.
    """
    quote = _quote(found[QUOTE])
    read = {QUOTE} | _tied(found, quote)
    presented, looked_at, rest = _presented(found, quote)
    form = "from an attestation report"
    parts = [Opened(quote, "tdx", f"{len(quote)} bytes, {form}", presented, name=QUOTE)]
    devices = _devices(found.get(GPUS))
    if devices is not None:
        evidence, platform = devices
        parts.append(Opened(evidence, platform, f"{len(evidence)} bytes, {form}", name=GPUS))
        read.add(GPUS)
    return noted(tuple(parts), [*(found.keys() - read - looked_at), *rest])


def looks_like_predicate(found: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a statement with evidence, by the address of its form."""
    form = found.get("format")
    return type(form) is str and form.startswith(_PREDICATE) and ("body" in found or "cpu" in found)


def open_predicate(found: dict[str, Any], again: Again) -> tuple[Opened, ...]:
    """Open such a statement: a machine's evidence, and that of its GPUs where there is some.

    Raises:
        EvidenceError: ``verification.report.member``, ``verification.envelope.platform``; or as ``again``
            does.
    """
    if "cpu" not in found:
        return noted(again(_body(found["body"])), found.keys() - {"format", "body"})
    from assay.verification.envelopes import looks_like_envelope, open_envelope  # noqa: PLC0415 - this form alone

    machine, devices = found["cpu"], found.get("gpu")
    said = machine if type(machine) is dict else {}
    named = {"platform": said.get("platform"), "evidence": said.get("report")}
    if not looks_like_envelope(named):
        raise EvidenceError(
            "verification.report.member", "Member cpu of the report names no platform, or holds no evidence."
        )
    parts = [replace(each, name="cpu") for each in open_envelope(named, again)]
    left = {f"cpu.{name}" for name in said.keys() - {"platform", "report"}}
    if devices:
        if type(devices) is not dict or type(devices.get("evidences")) is not list:
            raise EvidenceError("verification.report.member", "Member gpu of the report is no list of GPUs.")
        parts += [replace(each, name="gpu") for each in again(_text(devices["evidences"]))]
        left |= {f"gpu.{name}" for name in devices.keys() - {"evidences"}}
    return noted(tuple(parts), [*(found.keys() - {"format", "cpu", "gpu"}), *left])


def _body(text: Any) -> bytes:
    """Return what a statement holds, decompressed when it is compressed, and never more than 1 MiB."""
    body = from_text(text) if type(text) is str else b""
    if not body.startswith(_GZIP):
        return body
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    with suppress(zlib.error):
        body = unpacker.decompress(body, _MAX_BODY_BYTES)
    if not unpacker.eof or unpacker.unused_data:
        raise EvidenceError(
            "verification.report.member", "Member body of the report is no gzip of at most 1 MiB."
        )
    return body


def _quote(text: Any) -> bytes:
    quote = from_text(text) if type(text) is str else b""
    if recognise(quote) != "tdx":
        raise EvidenceError(
            "verification.report.quote",
            f"Member {QUOTE} of the report is no TDX quote, in hexadecimal or base64.",
        )
    return quote


def _devices(payload: Any) -> tuple[bytes, str] | None:
    """Return the evidence of the GPUs and whose it is; None where the member is empty."""
    if payload in (None, "", {}, []):
        return None
    evidence = payload.encode("utf-8", "surrogatepass") if type(payload) is str else _text(payload)
    platform = recognise(evidence)
    if platform not in _DEVICES:
        raise EvidenceError(
            "verification.report.gpu", f"Member {GPUS} of the report is no evidence of GPUs that Assay knows."
        )
    return evidence, platform


def _presented(found: dict[str, Any], quote: bytes) -> tuple[Presented | None, set[str], list[str]]:
    """Return what explains the quote, the members it was taken from, and those below ``info`` that are left.

    Without an event log nothing can be explained, and neither ``info`` nor the rest is looked at.
    """
    info, tcb = _objects(found)
    log = found.get("event_log") or None
    inner = tcb.get("event_log") or None
    if log is None and inner is None:
        return None, set(), []
    looked_at = {"event_log", "report_data", "vm_config"} & found.keys()
    rest = [f"info.{name}" for name in info.keys() - {*_STATED, "tcb_info", "key_provider_info", "vm_config"}]
    known = {*_REGISTERS, *_STATED, "report_data", "app_compose", *([] if log else ["event_log"])}
    rest += [f"info.tcb_info.{name}" for name in tcb.keys() - known]
    if info:
        looked_at.add("info")
    presented = _of_answer({**found, "event_log": _log_text(log or inner)}, info, tcb, quote)
    return presented, looked_at, rest


def _of_answer(
    answer: Mapping[str, Any], info: Mapping[str, Any], tcb: Mapping[str, Any], quote: bytes
) -> Presented:
    from assay.evidence.dstack import from_get_quote, from_tcb_info  # noqa: PLC0415 - for reports alone

    plain = {name: answer[name] for name in ("event_log", "report_data", "vm_config") if name in answer}
    whole = from_get_quote(_text({**plain, "quote": quote.hex()}))
    said = from_tcb_info(_text({**tcb, "event_log": []}), quote)
    besides = from_tcb_info(
        _text({"event_log": [], **{name: info[name] for name in _STATED if name in info}}), quote
    )
    config = _config(info.get("vm_config"))
    stated: dict[str, bytes] = {}
    for name, value in _all(whole.stated, said.stated, besides.stated, _provider(info)):
        if stated.setdefault(name, value) != value:
            raise EvidenceError(
                "verification.report.contradiction", f"The report states two values of {name}."
            )
    if config is not None and whole.vm_config not in (None, config):
        raise EvidenceError("verification.report.contradiction", "The report states two values of vm_config.")
    return replace(whole, app_compose=said.app_compose, vm_config=whole.vm_config or config, stated=stated)


def _all(*maps: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for each in maps:
        yield from each.items()


def _provider(info: Mapping[str, Any]) -> dict[str, bytes]:
    found = _config(info.get("key_provider_info"))
    return {} if found is None else {"key_provider_info": found}


def _config(text: Any) -> bytes | None:
    if text in (None, ""):
        return None
    if type(text) is not str:
        raise EvidenceError("verification.report.member", "A member of the report's info is not text.")
    return text.encode("utf-8", "surrogatepass")


def _log_text(log: Any) -> str:
    """Return the event log as the guest writes it: JSON in a text."""
    if type(log) is str:
        return log
    if type(log) is not list:
        raise EvidenceError(
            "verification.report.member", "Member event_log of the report is neither text nor a list."
        )
    return _text(log).decode()


def _objects(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return ``info`` and its ``tcb_info``, each an object or the JSON text of one; empty where absent."""
    info = _object(found.get("info"), "info")
    return info, _object(info.get("tcb_info"), "info.tcb_info")


def _object(value: Any, name: str) -> dict[str, Any]:
    if value in (None, ""):
        return {}
    if type(value) is str:
        return strictjson.parse_object(value.encode("utf-8", "surrogatepass"), max_bytes=MAX_INFO_BYTES)
    if type(value) is not dict:
        raise EvidenceError(
            "verification.report.member", f"Member {name} of the report is neither an object nor its text."
        )
    return value


def _tied(found: Mapping[str, Any], quote: bytes) -> set[str]:
    """Return the members that the quote's report data hold: they are as authentic as the quote."""
    from assay.evidence.dcap.quote import QuoteError, parse_quote  # noqa: PLC0415 - for reports alone

    try:
        report_data = parse_quote(quote, "tdx").body.report_data
    except QuoteError:
        return set()  # its verifier says why
    tied = {name for name in _NONCES if _hex(found.get(name)) == report_data[_HALF:]}
    address, fingerprint = _hex(found.get("signing_address")), _hex(found.get("tls_cert_fingerprint"))
    if len(address) not in _ADDRESS_BYTES:
        return tied
    if report_data[:_HALF] == address.ljust(_HALF, b"\0"):
        tied.add("signing_address")
    elif fingerprint and report_data[:_HALF] == hashlib.sha256(address + fingerprint).digest():
        tied |= {"signing_address", "tls_cert_fingerprint"}
    return tied


def _text(value: Any) -> bytes:
    """Write a decoded part of the document again: no signature is over JSON here, only over what it holds."""
    return json.dumps(value).encode()


def _hex(text: Any) -> bytes:
    if type(text) is not str:
        return b""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return b""

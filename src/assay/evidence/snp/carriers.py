"""Where reports travel: the guest device's answer, and JSON of several kinds.

    configfs-tsm   its files: {provider, outblob, auxblob}, base64
    fields         each field of the report by itself, which ``fields`` puts together
    base64         {attestation_report, cert_chain: {vcek, ask, ark}}: a report, and certificates in DER; also
                   {sev_snp: {attestation_report, vek_cert}}

``unwrap`` takes the report, and the certificate table where there is one, out of each. Nothing of the
wrapping is trusted, and none of it is kept.
"""

from __future__ import annotations

import binascii
from typing import Any, Final

from assay.errors import EvidenceError
from assay.evidence.decoding.strictjson import member, mistyped, parse_object
from assay.evidence.snp.fields import report_of
from assay.evidence.snp.report import REPORT_BYTES, stated_key
from assay.evidence.snp.table import ARK, ASK, MAX_TABLE_BYTES, VCEK, VLEK, encode_table

MAX_JSON_BYTES: Final = 2 * (REPORT_BYTES + MAX_TABLE_BYTES)
_HEADER: Final = 32
_RESPONSE: Final = bytes(4) + REPORT_BYTES.to_bytes(4, "little") + bytes(_HEADER - 8)
_MAX_RESPONSE: Final = 4096
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_PROVIDER: Final = "sev_guest"
_REPORT: Final = "attestation_report"
_CHAIN: Final = "cert_chain"
_SIGNER: Final = "vek_cert"
_NAMED: Final = "sev_snp"
_CHAIN_MEMBERS: Final = {"vcek", "ask", "ark"}


class CarrierError(EvidenceError):
    """The bytes carry no report.

    Codes: ``snp.carrier.malformed``, ``snp.carrier.provider``; and those of the JSON decoder.
    """


def unwrap(data: bytes) -> bytes:
    """Return a report, with its certificate table if it came with one.

    Args:
        data: MSG_REPORT_RSP (ABI: status and size, 24 zeros, report, zeros up to 4,096 bytes); the JSON form
            of a configfs-tsm report, ``outblob`` and ``auxblob`` in base64 or its URL-safe form; a report in
            fields, as Trustee's clients send it, or as base64 with its certificates; or a report itself,
            which is returned as it is.

    Raises:
        CarrierError: It has the beginning of one of them, and is not it.
        JsonError: It begins as JSON, and is not; or its fields are not those of a report.
    """
    if data.startswith(_RESPONSE):
        report, rest = data[_HEADER : _HEADER + REPORT_BYTES], data[_HEADER + REPORT_BYTES :]
        if len(data) > _MAX_RESPONSE or len(report) < REPORT_BYTES or any(rest):
            raise CarrierError(
                "snp.carrier.malformed", "An answer of the guest device is not one report and zeros."
            )
        return report
    if not data.startswith(b"{"):
        return data
    members = parse_object(data, max_bytes=MAX_JSON_BYTES)
    if members.keys() == {_NAMED} and type(members[_NAMED]) is dict:
        members = members[_NAMED]
    if type(members.get(_REPORT)) is str:
        return _report_and_chain(members)
    if _REPORT in members:
        return report_of(members)
    if member(members, "provider", str).strip() != _PROVIDER:
        raise CarrierError("snp.carrier.provider", f"The report is not from the provider {_PROVIDER}.")
    aux = members.get("auxblob")
    return _blob(members.get("outblob")) + (_blob(aux) if aux else b"")


def _report_and_chain(members: dict[str, Any]) -> bytes:
    """Return a report, and its certificates as the table that an extended report has."""
    if not (members.keys() <= {_REPORT, _CHAIN} or members.keys() == {_REPORT, _SIGNER}):
        raise mistyped("A report in JSON has other members than it should.")
    report = _blob(members[_REPORT])
    if len(report) != REPORT_BYTES:
        raise CarrierError("snp.carrier.malformed", f"A report in JSON is not {REPORT_BYTES} bytes.")
    chain = {"vcek": members[_SIGNER]} if _SIGNER in members else members.get(_CHAIN)
    if chain is None:
        return report
    if type(chain) is not dict or not chain.keys() <= _CHAIN_MEMBERS:
        raise mistyped("The certificates of a report in JSON have other members than they should.")
    # The member is called so for either kind of key; the report says which of them signed it.
    signer = VLEK if stated_key(report) == "vlek" else VCEK
    given = {signer: chain.get("vcek"), ASK: chain.get("ask"), ARK: chain.get("ark")}
    contents = {guid: _blob(text) for guid, text in given.items() if text is not None}
    return report + (encode_table(contents) if contents else b"")


def _blob(value: object) -> bytes:
    if not isinstance(value, str):
        raise CarrierError("snp.carrier.malformed", "A part of a report in JSON is not base64.")
    text = value.encode("ascii", "replace").translate(_URL_SAFE)
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error as error:
        raise CarrierError(
            "snp.carrier.malformed", f"A part of a report in JSON is not base64: {error}."
        ) from None

"""The text form of the attestation container, of ``gotpm attest --format textproto``, made its binary form.

A field is its name and a value: ``name: "bytes"``, ``name: 7``, ``name: WORD``, ``name: {...}``. Names and
numbers are those of go-tpm-tools, go-sev-guest and go-tdx-guest. What becomes of it is read by ``container``,
which is strict; here comments, lists and extensions are refused, because no tool writes them.

Source: Protocol Buffers documentation, "Text Format Language"; ``attest.proto``, ``tpm.proto``,
``sevsnp.proto``, ``tdx.proto``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.google_vm.protobuf import encode_bytes, encode_varint, malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST: Final = re.compile(rb'\s*ak_pub:\s*"')
_TOKEN: Final = re.compile(
    rb'\s*(?:([A-Za-z][A-Za-z0-9_]*)|([0-9]{1,20}|"[^"\\\n]*(?:\\.[^"\\\n]*)*")|([:{},;]))', re.DOTALL
)
_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_PLAIN: Final = {
    each[:1]: each[1:]
    for each in (b"a\a", b"b\b", b"f\f", b"n\n", b"r\r", b"t\t", b"v\v", b"\\\\", b"''", b'""', b"??")
}
_MOST_NUMBER: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class _Message:
    fields: Mapping[str, tuple[int, Any]]


def _message(names: str, **kinds: Any) -> _Message:
    """Return a message of fields numbered from one: ``#`` marks a number, ``-`` a number that is not used."""
    fields = {}
    for number, name in enumerate(names.split(), 1):
        plain = name.rstrip("#")
        fields[plain] = number, kinds.get(plain, int if plain != name else bytes)
    return _Message(fields)


_BANKS: Final = {"SHA1": 0x4, "SHA256": 0xB, "SHA384": 0xC, "SHA512": 0xD}
_PCRS: Final = _message("hash pcrs", hash=_BANKS, pcrs=_message("key# value"))
_QUOTE: Final = _message("quote raw_sig pcrs", pcrs=_PCRS)
_INSTANCE: Final = _message("zone project_id project_number# instance_name instance_id#")
_SNP_REPORT: Final = _message(
    "version# guest_svn# policy# family_id image_id vmpl# signature_algo# current_tcb# platform_info#"
    " signer_info# report_data measurement host_data id_key_digest author_key_digest report_id report_id_ma"
    " reported_tcb# chip_id committed_tcb# current_build# current_minor# current_major# committed_build#"
    " committed_minor# committed_major# launch_tcb# signature cpuid1eax_fms# launch_mit_vector#"
    " current_mit_vector#"
)
_SNP: Final = _message(
    "report certificate_chain product",
    report=_SNP_REPORT,
    certificate_chain=_message(
        "vcek_cert ask_cert ark_cert firmware_cert - vlek_cert extras", extras=_message("key value")
    ),
    product=_message(
        "name stepping# machine_stepping",
        name={
            f"SEV_PRODUCT_{name}": number
            for number, name in enumerate(("UNKNOWN", "MILAN", "GENOA", "TURIN"))
        },
        machine_stepping=_message("value#"),
    ),
)
_QE: Final = _message(
    "qe_report qe_report_signature qe_auth_data pck_certificate_chain_data",
    qe_report=_message(
        "cpu_svn misc_select# reserved1 attributes mr_enclave reserved2 mr_signer reserved3 isv_prod_id#"
        " isv_svn# reserved4 report_data"
    ),
    qe_auth_data=_message("parsed_data_size# data"),
    pck_certificate_chain_data=_message("certificate_data_type# size# pck_cert_chain"),
)
_TDX: Final = _message(
    "header td_quote_body signed_data_size# signed_data extra_bytes",
    header=_message("version# attestation_key_type# tee_type# qe_svn pce_svn qe_vendor_id user_data"),
    td_quote_body=_message(
        "tee_tcb_svn mr_seam mr_signer_seam seam_attributes td_attributes xfam mr_td mr_config_id mr_owner"
        " mr_owner_config rtmrs report_data"
    ),
    signed_data=_message(
        "signature ecdsa_attestation_key certification_data",
        certification_data=_message(
            "certificate_data_type# size# qe_report_certification_data", qe_report_certification_data=_QE
        ),
    ),
)
_ATTESTATION: Final = _message(
    "ak_pub quotes event_log instance_info canonical_event_log ak_cert intermediate_certs"
    " sev_snp_attestation tdx_attestation",
    quotes=_QUOTE,
    instance_info=_INSTANCE,
    sev_snp_attestation=_SNP,
    tdx_attestation=_TDX,
)


def looks_like_text(data: bytes) -> bool:
    """Return whether the bytes begin as the text form does, with the attestation key."""
    return _FIRST.match(data) is not None


def to_binary(data: bytes) -> bytes:
    """Return the binary form of a container in text form.

    Raises:
        ProtobufError: ``protobuf.malformed``: it is no text form, or has a field that is not known.
    """
    return _Text(data).message(_ATTESTATION, inner=False)


class _Text:
    """The text form, read token by token; how deep it is read is bounded by the depth of the messages."""

    def __init__(self, data: bytes) -> None:
        self._data = data.rstrip()
        self._at = 0

    def message(self, kind: _Message, *, inner: bool) -> bytes:
        """Read the fields of a message, to the brace that ends it or to the end of the text."""
        found = bytearray()
        while inner or self._at < len(self._data):
            name, _, mark = self._next()
            if inner and mark == b"}":
                break
            number, value = kind.fields.get(name.decode("ascii"), (0, None))
            if not number:
                raise malformed("The text form has a field that is not known.")
            found += self._field(number, value)
            self._skip_separator()
        return bytes(found)

    def _field(self, number: int, kind: Any) -> bytes:
        word, value, mark = self._next()
        if mark == b":":
            word, value, mark = self._next()
        elif mark != b"{":
            raise malformed("A field of the text form has no value.")
        if isinstance(kind, _Message):
            if mark != b"{":
                raise malformed("A field of the text form is no message.")
            return encode_bytes(number, self.message(kind, inner=True))
        if kind is bytes and value[:1] == b'"':
            return encode_bytes(number, _unescaped(value[1:-1]))
        if kind is int and value[:1].isdigit():
            stated = int(value)
        else:
            stated = kind.get(word.decode("ascii"), _MOST_NUMBER) if isinstance(kind, dict) else _MOST_NUMBER
        if stated >= _MOST_NUMBER:
            raise malformed("A field of the text form has a value of another kind.")
        return encode_varint(number << 3) + encode_varint(stated)

    def _next(self) -> tuple[bytes, bytes, bytes]:
        """Return the next token as name or word, value, or mark; the other two are empty."""
        found = _TOKEN.match(self._data, self._at)
        if found is None:
            raise malformed("The text form cannot be read.")
        self._at = found.end()
        name, value, mark = found.groups(b"")
        return name, value, mark

    def _skip_separator(self) -> None:
        found = _TOKEN.match(self._data, self._at)
        if found is not None and found.group(3) in (b",", b";"):
            self._at = found.end()


def _unescaped(text: bytes) -> bytes:
    return _ESCAPE.sub(_meant, text)


def _meant(found: re.Match[bytes]) -> bytes:
    word = found.group(1)
    if word[:1] in (b"u", b"U") and len(word) > 1:
        try:
            return chr(int(word[1:], 16)).encode("utf-8")
        except (ValueError, OverflowError):
            raise malformed("A text has an escape of no character.") from None
    if word[:1] == b"x" and len(word) > 1:
        return bytes([int(word[1:], 16)])
    if word[0] in b"01234567":
        if (value := int(word, 8)) > 0xFF:
            raise malformed("A text has an escape of no byte.")
        return bytes([value])
    if word not in _PLAIN:
        raise malformed("A text has an escape that is not known.")
    return _PLAIN[word]

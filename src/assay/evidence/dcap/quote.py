"""Quotes in formats 3, 4 and 5, taken apart and nothing else.

All integers are little-endian. Source: SGX ECDSA and TDX DCAP quoting library APIs, appendix A.

    header, 48 bytes
       0   2  version: 3, 4, 5               8   2  QE SVN   (3; zero from 4 on)
       2   2  attestation key type: 2       10   2  PCE SVN  (3; zero from 4 on)
       4   4  TEE type: 0 SGX, 0x81 TDX     12  16  QE vendor id
              (3: reserved, zero)           28  20  user data
    body descriptor, 6 bytes, format 5 only
       0   2  type: 1 SGX, 2 TD report 1.0, 3 TD report 1.5        2   4  size of the body
    body: 384 (SGX), 584 (TD 1.0), 648 (TD 1.5) bytes
    signature section
       0   4  its size, without these four bytes
       4  64  signature over everything before this section, r and s
      68  64  attestation key, X and Y
     132   6  type (6) and size of what follows, from format 4 on only
         384  report of the quoting enclave
          64  signature of the PCK key over that report
           2  size of QE authentication data, then the data
           6  type (5) and size of the certification data, then the PCK chain as PEM
    padding: zeros, in real quotes 0, 70, 307 or 3065 of them
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Literal, NamedTuple

from assay.errors import EvidenceError
from assay.evidence.dcap import checks
from assay.evidence.sgx.report import SGX_REPORT_BYTES, SgxReport, reserved_is_zero
from assay.evidence.tdx.report import TD_REPORT_15_BYTES, TD_REPORT_BYTES, TdReport

if TYPE_CHECKING:
    from assay.evidence.ledger import CheckSpec

Platform = Literal["tdx", "sgx"]

MAX_QUOTE_BYTES = 1 << 17
HEADER_BYTES = 48
QE_VENDOR_INTEL = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")

_HEADER = Struct("<HHI4s16s")
_DESCRIPTOR = Struct("<HI")
_SIZE_32 = Struct("<I")
_SIZE_16 = Struct("<H")
_ECDSA_P256 = 2
_NO_SVNS = bytes(4)
_TEE_SGX, _TEE_TDX = 0, 0x81
_TYPE_PCK_CHAIN, _TYPE_QE_REPORT = 5, 6
# What a quoting enclave writes that does not hold the platform's PCK chain.
_WITHOUT_CHAIN = {**dict.fromkeys((1, 2, 3), "the PPID"), 4: "the PCK certificate alone"}
_KEY_AND_SIGNATURE = 128
_BODIES: dict[int, tuple[Platform, int]] = {
    1: ("sgx", SGX_REPORT_BYTES),
    2: ("tdx", TD_REPORT_BYTES),
    3: ("tdx", TD_REPORT_15_BYTES),
}


class QuoteError(EvidenceError):
    """A quote cannot be read; says which check failed, and why.

    Codes: ``dcap.quote.truncated``, ``.oversized``, ``.length``, ``.version``, ``.body_type``, ``.key_type``,
    ``.tee_type``, ``.platform``, ``.vendor``, ``.reserved``, ``.certification_type``, ``.trailing``.
    """

    def __init__(self, spec: CheckSpec, code: str, message: str) -> None:
        super().__init__(code, message)
        self.spec = spec

    def __reduce__(self) -> tuple[type[QuoteError], tuple[CheckSpec, str, str]]:
        return (QuoteError, (self.spec, self.code, self.message))


class Quote(NamedTuple):
    """One quote, taken apart; nothing about it is verified.

    Attributes:
        data: The whole input.
        version: 3, 4 or 5.
        body: The report of the TD or enclave.
        signed_end: Offset behind what the attestation key signed: header, descriptor, body.
        section: Offset of the quote's signature.
        qe_report_at: Offset of the QE's report.
        auth: Offsets of the QE authentication data, start and end.
        chain: Offsets of the PCK chain, start and end.
        end: Offset behind the declared length; zeros follow.
    """

    data: bytes
    version: int
    body: TdReport | SgxReport
    signed_end: int
    section: int
    qe_report_at: int
    auth: tuple[int, int]
    chain: tuple[int, int]
    end: int

    @property
    def signed(self) -> bytes:
        """What the attestation key signed."""
        return self.data[: self.signed_end]

    @property
    def signature(self) -> bytes:
        """The quote's signature, r and s, 64 bytes."""
        return self.data[self.section : self.section + 64]

    @property
    def attestation_key(self) -> bytes:
        """The attestation key, X and Y, 64 bytes."""
        return self.data[self.section + 64 : self.section + 128]

    @property
    def qe_report_bytes(self) -> bytes:
        """The QE's report, 384 bytes: what the PCK key signed."""
        return self.data[self.qe_report_at : self.qe_report_at + SGX_REPORT_BYTES]

    @property
    def qe_report_signature(self) -> bytes:
        """The PCK key's signature over the QE's report, r and s, 64 bytes."""
        start = self.qe_report_at + SGX_REPORT_BYTES
        return self.data[start : start + 64]

    @property
    def endorsed(self) -> bytes:
        """Everything from the attestation key to the end: what vouches for that key."""
        return self.data[self.section + 64 : self.end]


def parse_quote(data: bytes, platform: Platform) -> Quote:
    """Take a quote apart.

    Args:
        data: The quote, at most 128 KiB, with or without zero padding behind it.
        platform: What the caller asked for; the input does not choose.

    Raises:
        QuoteError: Some part is not as the format demands.
    """
    size = len(data)
    if size > MAX_QUOTE_BYTES:
        raise QuoteError(
            checks.QUOTE_LAYOUT, "dcap.quote.oversized", f"The quote is longer than {MAX_QUOTE_BYTES} bytes."
        )
    if size < HEADER_BYTES + 6:
        raise _truncated(size, HEADER_BYTES + 6)
    version, body_at, body_size = _header(data, platform)
    signed_end = body_at + body_size
    section = signed_end + 4
    if size < section:
        raise _truncated(size, section)
    (section_size,) = _SIZE_32.unpack_from(data, signed_end)
    end = section + section_size
    if size < end:
        raise _truncated(size, end)
    qe_report_at, auth, chain = _signature_section(data, version, section, end)
    if data[end:] != bytes(size - end):
        raise QuoteError(
            checks.QUOTE_TRAILING,
            "dcap.quote.trailing",
            "Bytes that are not zero follow the declared length.",
        )
    reports = [qe_report_at] if platform == "tdx" else [qe_report_at, body_at]
    if not all(reserved_is_zero(data, at) for at in reports):
        raise QuoteError(
            checks.QUOTE_RESERVED, "dcap.quote.reserved", "Reserved bytes of a report are not zero."
        )
    return Quote(
        data,
        version,
        _report(data, platform, body_at, body_size),
        signed_end,
        section,
        qe_report_at,
        auth,
        chain,
        end,
    )


def _report(data: bytes, platform: Platform, at: int, size: int) -> TdReport | SgxReport:
    return TdReport.unpack(data, at, size) if platform == "tdx" else SgxReport.unpack(data, at)


def _header(data: bytes, platform: Platform) -> tuple[int, int, int]:
    """Check the header and return version, offset and size of the body."""
    version, key_type, tee, svns, vendor = _HEADER.unpack_from(data)
    body_at, kind, body_size = _body(data, version, tee)
    if key_type != _ECDSA_P256:
        raise QuoteError(
            checks.QUOTE_KEY_TYPE, "dcap.quote.key_type", f"The attestation key has type {key_type}, not 2."
        )
    if kind != platform:
        raise QuoteError(
            checks.QUOTE_PLATFORM,
            "dcap.quote.platform",
            f"This is a quote of {kind}, but {platform} was asked for.",
        )
    if vendor != QE_VENDOR_INTEL:
        raise QuoteError(
            checks.QUOTE_VENDOR, "dcap.quote.vendor", "The vendor of the quoting enclave is not Intel."
        )
    if version != 3 and svns != _NO_SVNS:
        raise QuoteError(
            checks.QUOTE_RESERVED, "dcap.quote.reserved", "Reserved bytes of the header are not zero."
        )
    return version, body_at, body_size


def _truncated(size: int, needed: int) -> QuoteError:
    return QuoteError(
        checks.QUOTE_LAYOUT, "dcap.quote.truncated", f"The quote has {size} bytes where {needed} are needed."
    )


def _body(data: bytes, version: int, tee: int) -> tuple[int, Platform, int]:
    """Return offset, platform and size of the body."""
    if version == 5:
        kind, size = _DESCRIPTOR.unpack_from(data, HEADER_BYTES)
        known = _BODIES.get(kind)
        if known is None:
            raise QuoteError(
                checks.QUOTE_VERSION, "dcap.quote.body_type", f"Body type {kind} is not 1, 2 or 3."
            )
        platform, body_size = known
        if size != body_size:
            raise QuoteError(
                checks.QUOTE_LAYOUT,
                "dcap.quote.length",
                f"A body of type {kind} has {body_size} bytes, not {size}.",
            )
        expected = _TEE_TDX if platform == "tdx" else _TEE_SGX
        if tee != expected:
            raise _tee(tee)
        return HEADER_BYTES + 6, platform, body_size
    if version == 4:
        if tee == _TEE_TDX:
            return HEADER_BYTES, "tdx", TD_REPORT_BYTES
        if tee == _TEE_SGX:
            return HEADER_BYTES, "sgx", SGX_REPORT_BYTES
        raise _tee(tee)
    if version == 3:
        if tee != 0:
            raise QuoteError(
                checks.QUOTE_RESERVED, "dcap.quote.reserved", "Reserved bytes of the header are not zero."
            )
        return HEADER_BYTES, "sgx", SGX_REPORT_BYTES
    raise QuoteError(checks.QUOTE_VERSION, "dcap.quote.version", f"Quote version {version} is not 3, 4 or 5.")


def _tee(tee: int) -> QuoteError:
    return QuoteError(
        checks.QUOTE_PLATFORM,
        "dcap.quote.tee_type",
        f"TEE type 0x{tee:x} does not go with the body of the quote.",
    )


def _signature_section(
    data: bytes, version: int, start: int, end: int
) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Return the offsets of QE report, authentication data and chain; every length must fit exactly."""
    at = start + _KEY_AND_SIGNATURE
    if version >= 4:
        outer_type, outer_size = _field(data, at, end)
        at += 6
        if outer_type != _TYPE_QE_REPORT:
            raise _certification("outer", outer_type, _TYPE_QE_REPORT)
        if at + outer_size != end:
            raise _misfit("outer certification data")
    auth_at = at + SGX_REPORT_BYTES + 64
    if auth_at + 2 > end:
        raise _misfit("QE report")
    (auth_size,) = _SIZE_16.unpack_from(data, auth_at)
    auth = (auth_at + 2, auth_at + 2 + auth_size)
    inner_type, inner_size = _field(data, auth[1], end)
    if inner_type != _TYPE_PCK_CHAIN:
        raise _certification("inner", inner_type, _TYPE_PCK_CHAIN)
    chain = (auth[1] + 6, auth[1] + 6 + inner_size)
    if chain[1] != end:
        raise _misfit("inner certification data")
    return at, auth, chain


def _field(data: bytes, at: int, end: int) -> tuple[int, int]:
    if at + 6 > end:
        raise _misfit("certification header")
    kind, size = _DESCRIPTOR.unpack_from(data, at)
    return kind, size


def _misfit(what: str) -> QuoteError:
    return QuoteError(
        checks.QUOTE_LAYOUT, "dcap.quote.length", f"The {what} does not end where the signature section says."
    )


def _certification(where: str, found: int, needed: int) -> QuoteError:
    held = _WITHOUT_CHAIN.get(found) if needed == _TYPE_PCK_CHAIN else None
    advice = (
        f" It holds {held}: set up a provisioning service (PCCS) where quotes are made, so that they carry"
        " the PCK chain."
        if held
        else ""
    )
    return QuoteError(
        checks.QUOTE_CERTIFICATION,
        "dcap.quote.certification_type",
        f"The {where} certification data has type {found}, not {needed}.{advice}",
    )

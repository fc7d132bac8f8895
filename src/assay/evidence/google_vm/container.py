"""The attestation container of go-tpm-tools: a protobuf message ``attest.Attestation``, read into its parts.

    1  attestation key, TPMT_PUBLIC         5  canonical event log
    2  quotes, one for each bank            6  certificate of the attestation key, DER
    3  event log of the firmware            7  certificates between it and the root, DER
    4  instance information                 8  an SNP report, 9  a TD quote, both taken apart into fields

A quote is message (1), TPMT_SIGNATURE (2) and PCR values (3): the bank's algorithm (1) and a map of index to
value (2). Nothing in a container is signed as such.

Source: go-tpm-tools, ``attest.proto`` and ``tpm.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.google_vm import checks
from assay.evidence.google_vm.errors import GoogleVmError
from assay.evidence.google_vm.protobuf import (
    ProtobufError,
    malformed,
    many_bytes,
    one_bytes,
    one_int,
    read_message,
    spans_of,
)
from assay.evidence.google_vm.snp_report import SnpPart, snp_part
from assay.evidence.google_vm.td_quote import td_quote

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONTAINER_BYTES: Final = 8 << 20
"""Largest container: two logs of the largest size; 30 KiB in the field."""
MAX_QUOTES: Final = 4
MAX_INTERMEDIATES: Final = 4
MAX_PCRS: Final = 24
_MAX_TEXT: Final = 128
_BANKS: Final = frozenset(map(int, Algorithm))

_ATTESTATION: Final = dict.fromkeys(range(1, 10), bytes)
_FIRMWARE_LOG, _CANONICAL_LOG = 3, 5
_SNP, _TD = 8, 9
_QUOTE: Final = {1: bytes, 2: bytes, 3: bytes}
_PCRS: Final = {1: int, 2: bytes}
_ENTRY: Final = {1: int, 2: bytes}
_INSTANCE: Final = {1: bytes, 2: bytes, 3: int, 4: bytes, 5: int}


@dataclass(frozen=True, slots=True)
class BankQuote:
    """A quote of the vTPM over one bank, as it travels.

    Attributes:
        message: The TPMS_ATTEST structure.
        signature: The TPMT_SIGNATURE over it.
        bank: TPM algorithm number of the bank as stated beside the values.
        pcrs: PCR values by index.
    """

    message: bytes
    signature: bytes
    bank: int
    pcrs: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class StatedInstance:
    """The instance that the container states, unauthenticated: zone, project, project number, name, id."""

    zone: str
    project_id: str
    project_number: int
    instance_name: str
    instance_id: int


@dataclass(frozen=True, slots=True)
class GoogleVmEvidence:
    """The parts of a Google Cloud VM's evidence; nothing about them is verified.

    Attributes:
        ak_public: The attestation key: TPMT_PUBLIC, TPM2B_PUBLIC, or SubjectPublicKeyInfo in DER.
        quotes: The vTPM's quotes, at most one for each bank.
        event_log: The firmware's event log; empty for none.
        canonical_log: The canonical event log of what ran after it; empty for none.
        ak_certificate: The attestation key's certificate, DER.
        ak_intermediates: The certificates between it and the root, DER, in any order.
        instance: What the container says of the instance.
        td_quote: The TD quote of a confidential VM with TDX.
        snp: The report of a confidential VM with SEV-SNP, and what vouches for it.
    """

    ak_public: bytes
    quotes: tuple[BankQuote, ...]
    event_log: bytes = b""
    canonical_log: bytes = b""
    ak_certificate: bytes | None = None
    ak_intermediates: tuple[bytes, ...] = ()
    instance: StatedInstance | None = None
    td_quote: bytes | None = None
    snp: SnpPart | None = None

    def quotes_of(self, bank: Algorithm) -> tuple[BankQuote, list[BankQuote]]:
        """Return the quote of one bank, and the others.

        Raises:
            GoogleVmError: ``google_vm.container.bank`` when there is none of it, two of one bank, or one of
                an unknown bank.
        """
        if len(self.quotes) == 1 and self.quotes[0].bank == bank:
            return self.quotes[0], []
        banks = [quote.bank for quote in self.quotes]
        if len(set(banks)) != len(banks) or not _BANKS.issuperset(banks) or int(bank) not in banks:
            raise GoogleVmError(
                checks.CONTAINER,
                "google_vm.container.bank",
                f"There is no {bank.name} quote, two of one bank, or one of an unknown bank.",
            )
        own = self.quotes[banks.index(int(bank))]
        return own, [quote for quote in self.quotes if quote is not own]


def read_container(data: bytes) -> GoogleVmEvidence:
    """Read a container.

    Args:
        data: The message, at most 8 MiB.

    Raises:
        GoogleVmError: ``google_vm.container.layout``; ``google_vm.container.tees`` when it holds a report of
            two TEEs: a VM runs in one.
    """
    try:
        if len(data) > MAX_CONTAINER_BYTES:
            raise ProtobufError(  # noqa: TRY301 - one way out for all that is wrong with a container
                "protobuf.oversized", f"It has more than {MAX_CONTAINER_BYTES} bytes."
            )
        found = read_message(data, _ATTESTATION)
        if _SNP in found and _TD in found:
            raise GoogleVmError(
                checks.CONTAINER,
                "google_vm.container.tees",
                "The container holds an SNP report and a TD quote; a VM runs in one TEE.",
            )
        stated, quoted, reported = one_bytes(found, 4), one_bytes(found, _TD), one_bytes(found, _SNP)
        return GoogleVmEvidence(
            ak_public=one_bytes(found, 1),
            quotes=tuple([_quote(item) for item in many_bytes(found, 2, MAX_QUOTES)]),
            event_log=one_bytes(found, _FIRMWARE_LOG),
            canonical_log=one_bytes(found, _CANONICAL_LOG),
            ak_certificate=one_bytes(found, 6) or None,
            ak_intermediates=many_bytes(found, 7, MAX_INTERMEDIATES),
            instance=_instance(stated) if stated else None,
            td_quote=td_quote(quoted) if quoted else None,
            snp=snp_part(reported) if reported else None,
        )
    except ProtobufError as error:
        raise GoogleVmError(
            checks.CONTAINER,
            "google_vm.container.layout",
            f"The evidence is no attestation of a Google Cloud VM: {error.message}",
        ) from None


def tee_span(data: bytes) -> tuple[int, int]:
    """Return where the fields of the TEE's report or quote stand in a container that was read before."""
    return _span(data, frozenset({_SNP, _TD}))


def log_spans(data: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where the firmware's log and the canonical log stand in a container that was read before."""
    return _span(data, frozenset({_FIRMWARE_LOG})), _span(data, frozenset({_CANONICAL_LOG}))


def _span(data: bytes, numbers: frozenset[int]) -> tuple[int, int]:
    """Return where the content of a field stands; the same bytes can stand in another one as well."""
    for number, start, end in spans_of(data):
        if number in numbers:
            return end - len(one_bytes(read_message(data[start:end], _ATTESTATION), number)), end
    return 0, 0


def _quote(data: bytes) -> BankQuote:
    found = read_message(data, _QUOTE)
    values = read_message(one_bytes(found, 3), _PCRS)
    pcrs: dict[int, bytes] = {}
    for item in many_bytes(values, 2, MAX_PCRS):
        entry = read_message(item, _ENTRY)
        index = one_int(entry, 1) if entry.get(1) != [0] else 0  # maps write their key out, even zero
        if index in pcrs or index >= MAX_PCRS:
            raise malformed(f"PCR {index} stands twice, or does not exist.")
        pcrs[index] = one_bytes(entry, 2)
    return BankQuote(one_bytes(found, 1), one_bytes(found, 2), one_int(values, 1), MappingProxyType(pcrs))


def _instance(data: bytes) -> StatedInstance:
    found = read_message(data, _INSTANCE)
    return StatedInstance(
        _text(one_bytes(found, 1)),
        _text(one_bytes(found, 2)),
        one_int(found, 3),
        _text(one_bytes(found, 4)),
        one_int(found, 5),
    )


def _text(value: bytes) -> str:
    try:
        found = value.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("A text is not UTF-8.") from None
    if len(found) > _MAX_TEXT or not found.isprintable():
        raise malformed(f"A text has more than {_MAX_TEXT} characters, or odd ones.")
    return found

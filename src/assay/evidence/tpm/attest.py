"""TPMS_ATTEST of a quote: what a TPM signs when it states its PCRs. All integers are big-endian.

Source: TCG TPM 2.0 Library, part 2, sections 10.12.8 (TPMS_ATTEST), 10.12.1 (TPMS_QUOTE_INFO), 10.11.1
(TPMS_CLOCK_INFO), 10.6.2 (TPMS_PCR_SELECTION), 10.9.7 (TPML_PCR_SELECTION).
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Literal, NamedTuple

from assay.errors import EvidenceError

MAX_ATTEST_BYTES = 1024
"""Largest TPMS_ATTEST read: the largest name, 64 bytes of data, eight banks and a digest take 330 bytes."""
MAX_EXTRA_DATA = 64
"""TPM2B_DATA holds at most a TPMT_HA; every TPM in use caps qualifying data at 64 bytes of digest."""
MAX_NAME_BYTES = 68
MAX_DIGEST_BYTES = 64
MAX_BANKS = 8
MAX_SELECT_BYTES = 4
"""TPM_MAX PCR select: 24 PCRs in 3 bytes everywhere; 4 bytes leave room for 32."""

MAGIC = 0xFF544347
TYPE_QUOTE = 0x8018

_HEAD = Struct(">IHH")
_U16 = Struct(">H")
_CLOCK = Struct(">QIIBQI")
_SELECTION = Struct(">HB")
# What follows extraData in a quote of one bank of 24 PCRs, up to its digest: clock to firmware version, one
# selection of three bytes, size of the digest.
_ONE_BANK = Struct(">QIIBQIHB3sH")
_THREE = 3

Part = Literal["layout", "magic", "type"]


class AttestError(EvidenceError):
    """A TPMS_ATTEST that is no quote.

    Attributes:
        part: Which check it fails: the layout, the magic number or the type.
    """

    def __init__(self, part: Part, code: str, message: str) -> None:
        super().__init__(code, message)
        self.part: Part = part


class BankSelection(NamedTuple):
    """The PCRs that a quote covers in one bank.

    Attributes:
        algorithm: TPM algorithm number of the bank; not necessarily one that is known here.
        pcrs: Indices in ascending order.
    """

    algorithm: int
    pcrs: tuple[int, ...]


class Attest(NamedTuple):
    """A decoded quote; nothing in it is authenticated.

    Attributes:
        qualified_signer: Qualified name of the signing key: u16 hash algorithm and digest, or empty.
        extra_data: What the caller of TPM2_Quote gave as qualifying data, at most 64 bytes.
        clock: Milliseconds that the TPM has been powered, since it was last cleared.
        reset_count: TPM resets since it was last cleared.
        restart_count: TPM restarts and resumes since the last reset.
        safe: False when the clock may have gone back since the TPM was last powered down in order.
        firmware_version: Vendor's number of the TPM firmware.
        selections: The banks and PCRs, in the signed order.
        pcr_digest: Digest over the selected PCRs.
    """

    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    selections: tuple[BankSelection, ...]
    pcr_digest: bytes

    @classmethod
    def parse(cls, data: bytes) -> Attest:
        """Decode a TPMS_ATTEST of type quote, to its last byte.

        Args:
            data: The structure without a size in front, at most ``MAX_ATTEST_BYTES``.

        Raises:
            AttestError: It is no well-formed quote; ``part`` says which check fails.
        """
        size = len(data)
        if not _HEAD.size <= size <= MAX_ATTEST_BYTES:
            raise _layout("size", f"A TPMS_ATTEST has {_HEAD.size} to {MAX_ATTEST_BYTES} bytes, not {size}.")
        magic, kind, signer_size = _HEAD.unpack_from(data)
        if magic != MAGIC:
            raise AttestError(
                "magic", "tpm.attest.magic", f"The magic number is 0x{magic:08x}: no TPM made this structure."
            )
        if kind != TYPE_QUOTE:
            raise AttestError(
                "type", "tpm.attest.type", f"The attestation is of type 0x{kind:04x}, no quote (0x8018)."
            )
        at = _HEAD.size + signer_size
        signer = data[_HEAD.size : at]
        extra, at = _sized(data, at, MAX_EXTRA_DATA, "extraData")
        if signer_size > MAX_NAME_BYTES or size < at + _CLOCK.size:
            raise _layout("truncated", "The quote ends before its clock and PCR selection.")
        return _make(cls, (signer, extra, *_rest(data, at)))


_make = tuple.__new__  # what the class's own constructor calls, without the step in between


def _rest(data: bytes, at: int) -> tuple[int, int, int, bool, int, tuple[BankSelection, ...], bytes]:
    """Read what follows extraData: from the clock to the last byte."""
    size = len(data)
    digest_at = at + _ONE_BANK.size
    if digest_at <= size <= digest_at + MAX_DIGEST_BYTES:
        # Nearly every quote is of one bank of 24 PCRs: one step reads it. How another one differs, or is
        # malformed, the steps below find out.
        clock, resets, restarts, safe, firmware, banks, algorithm, select, bitmap, rest = (
            _ONE_BANK.unpack_from(data, at)
        )
        if banks == 1 and select == _THREE and rest == size - digest_at and safe <= 1:
            selected = (_bank(algorithm, bitmap),)
            return clock, resets, restarts, safe == 1, firmware, selected, data[digest_at:]
    clock, resets, restarts, safe, firmware, banks = _CLOCK.unpack_from(data, at)
    if safe > 1:
        raise _layout("safe", f"The clock's safe flag is {safe}, neither YES nor NO.")
    if banks > MAX_BANKS:
        raise _layout("banks", f"The quote selects {banks} banks, more than {MAX_BANKS}.")
    at += _CLOCK.size
    selections = []
    for _ in range(banks):
        selection, at = _selection(data, at)
        selections.append(selection)
    digest, at = _sized(data, at, MAX_DIGEST_BYTES, "pcrDigest")
    if at != size:
        raise _layout("trailing", f"{size - at} bytes follow the quote.")
    return clock, resets, restarts, safe == 1, firmware, tuple(selections), digest


def _layout(code: str, message: str) -> AttestError:
    return AttestError("layout", f"tpm.attest.{code}", message)


def _sized(data: bytes, at: int, limit: int, name: str) -> tuple[bytes, int]:
    """Read a TPM2B: its bytes and the offset behind them."""
    if len(data) < at + 2:
        raise _layout("truncated", f"The quote ends before its {name}.")
    (size,) = _U16.unpack_from(data, at)
    end = at + 2 + size
    if size > limit or end > len(data):
        raise _layout("truncated", f"The quote's {name} has {size} bytes: too many, or more than there are.")
    return data[at + 2 : end], end


def _selection(data: bytes, at: int) -> tuple[BankSelection, int]:
    if len(data) < at + _SELECTION.size:
        raise _layout("truncated", "The quote ends inside its PCR selection.")
    algorithm, size = _SELECTION.unpack_from(data, at)
    at += _SELECTION.size
    if not 1 <= size <= MAX_SELECT_BYTES or len(data) < at + size:
        raise _layout("selection", f"A PCR selection has {size} bytes: not 1 to 4, or more than there are.")
    return _bank(algorithm, data[at : at + size]), at + size


@lru_cache(maxsize=256)
def _bank(algorithm: int, bitmap: bytes) -> BankSelection:
    """Return the selection of a bank; shared, because quotes select the same few PCRs over and over."""
    return BankSelection(algorithm, indices(bitmap))


# By place in a bitmap and value of the byte there: the PCRs that it names.
_NAMED = tuple(
    tuple(tuple(8 * place + bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
    for place in range(MAX_SELECT_BYTES)
)


def indices(bitmap: bytes) -> tuple[int, ...]:
    """Return the PCRs that a selection's bitmap of at most four bytes names, ascending."""
    found: tuple[int, ...] = ()
    for named, byte in zip(_NAMED, bitmap, strict=False):
        found += named[byte]
    return found

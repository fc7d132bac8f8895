"""The quote of a Keylime agent: what its TPM signed, the signature and the registers in one text.

    r base64(TPMS_ATTEST) : base64(TPMT_SIGNATURE) : base64(registers)

The registers are in the layout that ``tpm2_quote`` writes them in, little-endian: a selection (u32 count of
banks, then 16 places of 8 bytes: u16 bank, u8 size, 4 bytes of bits, one of padding), u32 count of lists, and
for each list u32 count of values and 8 places of 66 bytes (u16 size, 64 bytes). Places without a value are
zeros. Nothing in it is signed but the first of the three. The key that signed it is not in the text: the
agent's registrar has it.

Source: Keylime, REST API of the agent, ``quotes/integrity``; tpm2-tools, ``pcr_fwrite_serialized``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.canonical import canonical_base64
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.tpm.attest import indices
from assay.evidence.tpm.container import MAX_PCRS, TpmEvidence
from assay.verification.opened import Opened, unrecognised

if TYPE_CHECKING:
    from assay.errors import EvidenceError

_MAX_TEXT: Final = 16384
_BANKS: Final = 16
_BANK: Final = 8
_SELECTION: Final = 4 + _BANKS * _BANK
_VALUES: Final = 8
_VALUE: Final = 66
_LIST: Final = 4 + _VALUES * _VALUE


def open_keylime(data: bytes) -> tuple[Opened, ...]:
    """Open such a text as the container of a TPM's evidence.

    Raises:
        EvidenceError: ``verification.evidence.unrecognised`` when it has other parts than it should.
    """
    texts = data[1:].strip().split(b":") if len(data) <= _MAX_TEXT else []
    parts = [canonical_base64(text) for text in texts]
    if len(parts) != 3 or not all(parts):
        raise unrecognised("The quote of a Keylime agent is not three parts in base64.")
    attest, signature, registers = (part or b"" for part in parts)
    bank, pcrs = _registers(registers)
    evidence = TpmEvidence(attest, signature, bank, pcrs).encode()
    form = f"{len(attest)} bytes, from the quote of a Keylime agent"
    return (Opened(evidence, "tpm", form),)


def _registers(blob: bytes) -> tuple[Algorithm, dict[int, bytes]]:
    bank, selected = _selected(blob[:_SELECTION])
    lists = _number(blob, _SELECTION)
    start = _SELECTION + 4
    if len(blob) != start + lists * _LIST:
        raise _other("they have another size than they state")
    values: list[bytes] = []
    for at in range(start, len(blob), _LIST):
        values += _values(blob[at : at + _LIST], bank.size)
    if len(values) != len(selected):
        raise _other(f"they are {len(values)}, and {len(selected)} are selected")
    return bank, dict(zip(selected, values, strict=True))


def _selected(selection: bytes) -> tuple[Algorithm, tuple[int, ...]]:
    banks = _number(selection, 0)
    end = 4 + banks * _BANK
    if len(selection) != _SELECTION or banks > _BANKS or any(selection[end:]):
        raise _other("their selection cannot be read")
    found: list[tuple[int, tuple[int, ...]]] = []
    for at in range(4, end, _BANK):
        size, bits = selection[at + 2], selection[at + 3 : at + _BANK]
        if not 1 <= size <= 4 or any(bits[size:]):
            raise _other("their selection cannot be read")
        found.append((int.from_bytes(selection[at : at + 2], "little"), indices(bits[:size])))
    filled = [each for each in found if each[1]]
    if len(filled) != 1:
        raise _other("they are of several banks, or none")
    number, pcrs = filled[0]
    if number not in _ALGORITHMS or pcrs[-1] >= MAX_PCRS:
        raise _other("they are of a bank that is not known, or of a register that no TPM has")
    return _ALGORITHMS[number], pcrs


def _values(values: bytes, size: int) -> list[bytes]:
    count = _number(values, 0)
    end = 4 + count * _VALUE
    if count > _VALUES or any(values[end:]):
        raise _other("a list of them cannot be read")
    found = []
    for at in range(4, end, _VALUE):
        if int.from_bytes(values[at : at + 2], "little") != size or any(values[at + 2 + size : at + _VALUE]):
            raise _other("one of them is not of its bank's size")
        found.append(values[at + 2 : at + 2 + size])
    return found


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _other(why: str) -> EvidenceError:
    return unrecognised(f"The registers in the quote of a Keylime agent cannot be read: {why}.")


_ALGORITHMS: Final = {int(algorithm): algorithm for algorithm in Algorithm}

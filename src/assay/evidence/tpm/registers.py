"""The PCR values presented with a quote, against its signed selection and digest.

Values that were found to be those of a signed digest are compared the next time, not hashed.

Source: TCG TPM 2.0 Library, part 2, sections 10.6.2 (TPMS_PCR_SELECTION) and 10.12.1 (TPMS_QUOTE_INFO).
"""

from __future__ import annotations

import hmac
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from assay.evidence.facts import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.eventlog.algorithms import Algorithm
    from assay.evidence.facts import FactCache
    from assay.evidence.ledger import Check
    from assay.evidence.tpm.attest import Attest, BankSelection
    from assay.evidence.tpm.quote_checks import QuoteSpecs


class _Quoted(NamedTuple):
    """PCR values that were found to be those of a signed digest; true whoever signed it, and always.

    Attributes:
        algorithm: The hash of the digest.
        selections: What was selected with it.
        bank: The bank that the values were presented as.
        pcrs: The values by ascending index; nobody can change them.
        indices: Their indices.
    """

    algorithm: Algorithm
    selections: tuple[BankSelection, ...]
    bank: Algorithm
    pcrs: MappingProxyType[int, bytes]
    indices: frozenset[int]


_SHELF = "tpm.registers"
_ANY_TIME = ALWAYS.start


def compare_registers(
    noted: list[Check],
    specs: QuoteSpecs,
    quote: Attest,
    algorithm: Algorithm,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    relied: frozenset[int],
    banks: frozenset[Algorithm],
    facts: FactCache | None,
) -> MappingProxyType[int, bytes]:
    """Compare the values presented with what was signed.

    Args:
        noted: Gets what is no plain success.
        specs: The checks.
        quote: The quote.
        algorithm: The hash of its signature, which its digest is made with as well.
        bank: The bank that the values were presented as.
        pcrs: The values presented.
        relied: PCRs that the quote must cover.
        banks: The banks accepted.
        facts: Where values are remembered.

    Returns:
        A copy of the values by ascending index: nobody else can change it.
    """
    shelf = facts.shelf(_SHELF) if facts is not None else None
    known: _Quoted | None = shelf.get(quote.pcr_digest, _ANY_TIME) if shelf is not None else None
    if (
        known is not None
        and known.algorithm is algorithm
        and known.selections == quote.selections
        and known.bank is bank
        and known.pcrs == pcrs
        and bank in banks
        and relied <= known.indices
    ):
        return known.pcrs
    before = len(noted)
    # A view copies itself in one step; ``dict`` would ask it for one entry after the other.
    found = pcrs.copy() if type(pcrs) is MappingProxyType else dict(pcrs)
    indices = tuple(found)
    if len(quote.selections) != 1 or quote.selections[0].pcrs != indices:  # the signed order is ascending
        found = dict(sorted(found.items()))
        indices = tuple(found)
    defect = selection_defect(quote, bank, found, indices, relied)
    if defect is not None:
        noted.append(specs.selection.failed(f"{specs.selection.id}.{defect[0]}", defect[1]))
    if bank not in banks:
        reason = f"The bank is {bank.name}, which is not accepted here."
        noted.append(specs.bank.failed(specs.bank.id, reason))
    if defect is None and not hmac.compare_digest(
        algorithm.digest(b"".join([*found.values()])), quote.pcr_digest
    ):
        reason = "The PCR values presented are not those that were signed."
        noted.append(specs.digest.failed(specs.digest.id, reason))
    values = MappingProxyType(found)
    if shelf is not None and len(noted) == before:
        fact = _Quoted(algorithm, quote.selections, bank, values, frozenset(indices))
        shelf.put(quote.pcr_digest, ALWAYS, fact)
    return values


def selection_defect(
    quote: Attest,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    indices: tuple[int, ...],
    relied: frozenset[int],
) -> tuple[str, str] | None:
    """Compare the signed selection with the values presented.

    Args:
        quote: The quote.
        bank: The bank that the values were presented as.
        pcrs: The values presented, by ascending index.
        indices: Their indices, ascending.
        relied: PCRs that the quote must cover.

    Returns:
        What is wrong, as a short word, and why; None when nothing is.
    """
    selections = quote.selections
    if len(selections) > 1:
        if len({selection.algorithm for selection in selections}) != len(selections):
            return "duplicate", "The quote selects the same bank twice."
        selections = tuple([selection for selection in selections if selection.pcrs])
    if not selections or not selections[0].pcrs:
        return "empty", "The quote covers no PCR."
    if len(selections) > 1:
        return "banks", "The quote covers more than one bank."
    return _presented_defect(selections[0], bank, pcrs, indices, relied)


def _presented_defect(
    signed: BankSelection,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    indices: tuple[int, ...],
    relied: frozenset[int],
) -> tuple[str, str] | None:
    if signed.algorithm != bank:
        return (
            "bank",
            f"The PCRs are presented as {bank.name}; the quote covers bank 0x{signed.algorithm:04x}.",
        )
    if signed.pcrs != indices:
        return "indices", f"The quote covers PCRs {signed.pcrs}; others are presented."
    # The signed PCRs are those presented. A difference with a dictionary looks up what is relied on; a subset
    # of a tuple would make a set of the tuple first.
    missing = relied.difference(pcrs) if relied else relied
    if missing:
        return "relied", f"The quote does not cover PCRs {sorted(missing)}."
    if {*map(len, pcrs.values())} != {bank.size}:
        return "size", f"A PCR value is not of the {bank.size} bytes of {bank.name}."
    return None

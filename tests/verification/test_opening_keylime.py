"""The quote of a Keylime agent: opened as a TPM's evidence that lacks its key."""

from __future__ import annotations

from base64 import b64encode

import pytest

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.evidence.ledger import Outcome
from assay.evidence.tpm.container import TpmEvidence
from assay.verification.opening import open_bundle, open_evidence
from support import vectors
from support.tpm_scenes import draft, judge

SHA256 = Algorithm.SHA256
MADE = draft()
PUBLIC = MADE.public
INDICES = sorted(MADE.pcrs)


def bank(number: int, indices: list[int], size: int = 3) -> bytes:
    bits = sum(1 << index for index in indices).to_bytes(4, "little")
    return number.to_bytes(2, "little") + bytes([size]) + bits + b"\0"


def selection(*banks: bytes, count: int | None = None) -> bytes:
    stated = len(banks) if count is None else count
    return stated.to_bytes(4, "little") + b"".join(banks).ljust(128, b"\0")


def value(data: bytes, stated: int | None = None) -> bytes:
    return (len(data) if stated is None else stated).to_bytes(2, "little") + data.ljust(64, b"\0")


def values(*found: bytes, count: int | None = None) -> bytes:
    stated = len(found) if count is None else count
    return stated.to_bytes(4, "little") + b"".join(found).ljust(8 * 66, b"\0")


def registers(*lists: bytes, selected: bytes | None = None, count: int | None = None) -> bytes:
    head = selection(bank(SHA256, INDICES)) if selected is None else selected
    stated = len(lists) if count is None else count
    return head + stated.to_bytes(4, "little") + b"".join(lists)


def filled() -> list[bytes]:
    found = [value(MADE.pcrs[index]) for index in INDICES]
    return [values(*found[at : at + 8]) for at in range(0, len(found), 8)]


def text(blob: bytes, *, signature: bytes | None = None) -> bytes:
    parts = (MADE.quote.attest(), MADE.quote.signature() if signature is None else signature, blob)
    return b"r" + b":".join(b64encode(part) for part in parts)


def code(data: bytes) -> str:
    with pytest.raises(EvidenceError) as refused:
        open_bundle(data)
    return refused.value.code


def test_the_quote_holds_under_a_key_that_is_given():
    found = open_evidence(text(registers(*filled())) + b"\n")
    assert (found.platform, found.unverified) == ("tpm", ())
    assert found.form == f"{len(MADE.quote.attest())} bytes, from the quote of a Keylime agent"
    pieces = TpmEvidence.parse(found.evidence)
    assert (pieces.bank, dict(pieces.pcrs)) == (SHA256, MADE.pcrs)
    assert (pieces.public, pieces.certificates) == (b"", ())
    assert judge(found.evidence, given=PUBLIC).bound
    alone = judge(found.evidence)
    assert not alone.authentic
    missing = alone.ledger["tpm.ak.trust"]
    assert (missing.outcome, missing.code) == (Outcome.NOT_CHECKED, "tpm.ak.trust.missing")


def test_the_longest_text_is_opened():
    whole = text(registers(*filled()))
    assert open_evidence(whole.ljust(16384)) == open_evidence(whole)


def test_registers_under_the_wrong_index_are_not_those_that_were_signed():
    other = [*INDICES[:-1], INDICES[-1] + 1]
    blob = registers(*filled(), selected=selection(bank(SHA256, other)))
    result = judge(open_evidence(text(blob)).evidence, given=PUBLIC)
    assert [check.id for check in result.ledger.failed()] == ["tpm.quote.selection"]


def test_an_empty_bank_beside_the_one_that_is_quoted_says_nothing():
    both = selection(bank(Algorithm.SHA1, []), bank(SHA256, INDICES))
    found = open_evidence(text(registers(*filled(), selected=both)))
    assert judge(found.evidence, given=PUBLIC).bound


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_selection_has_one_to_four_bytes(size):
    blob = registers(values(value(FIRST)), selected=selection(bank(SHA256, [0], size)))
    assert dict(TpmEvidence.parse(open_evidence(text(blob)).evidence).pcrs) == {0: FIRST}


def test_all_places_of_a_selection_may_hold_a_bank():
    places = [bank(SHA256, INDICES), *[bank(Algorithm.SHA1, [])] * 15]
    assert open_evidence(text(registers(*filled(), selected=selection(*places)))).platform == "tpm"
    with pytest.raises(EvidenceError, match="their selection cannot be read"):
        open_evidence(text(registers(*filled(), selected=selection(*places, count=17))))


FIRST = MADE.pcrs[INDICES[0]]
MALFORMED = {
    "no registers": b"\0",
    "no bank where one is counted": selection(count=1)[:4],
    "garbage in a place that is not counted": registers(
        values(value(FIRST), b"\1" * 66, count=1), selected=selection(bank(SHA256, [0]))
    ),
    "a selection cut off": selection(bank(SHA256, INDICES))[:-1],
    "no count of lists": selection(bank(SHA256, INDICES)),
    "more banks than places": registers(*filled(), selected=selection(bank(SHA256, INDICES), count=17)),
    "a bank in a place that is not counted": registers(
        *filled(), selected=selection(bank(SHA256, INDICES), bank(Algorithm.SHA1, []), count=1)
    ),
    "two banks": registers(
        *filled(), selected=selection(bank(SHA256, INDICES), bank(Algorithm.SHA1, INDICES))
    ),
    "no bank": registers(selected=selection()),
    "nothing selected": registers(selected=selection(bank(SHA256, []))),
    "an unknown bank": registers(*filled(), selected=selection(bank(0x7777, INDICES))),
    "a selection of no bytes": registers(*filled(), selected=selection(bank(SHA256, INDICES, 0))),
    "a selection of five bytes": registers(*filled(), selected=selection(bank(SHA256, INDICES, 5))),
    "a bit behind the selection": registers(*filled(), selected=selection(bank(SHA256, [*INDICES, 24]))),
    "a register that no TPM has": registers(
        *filled()[:-1],
        values(*[value(FIRST)] * ((len(INDICES) - 1) % 8 + 1)),
        selected=selection(bank(SHA256, [*INDICES[:-1], 24], 4)),
    ),
    "a list cut off": registers(*filled())[:-1],
    "a byte behind the lists": registers(*filled()) + b"\0",
    "a list more than counted": registers(*filled(), values(), count=len(filled())),
    "a value less than selected": registers(*filled()[:-1]),
    "more values than places": registers(*filled()[:-1], values(count=9)),
    "a value in a place that is not counted": registers(
        *filled()[:-1], values(*[value(FIRST)] * 8, count=(len(INDICES) - 1) % 8)
    ),
    "a value of another size": registers(values(value(FIRST, 20)), selected=selection(bank(SHA256, [0]))),
    "bytes behind a value": registers(
        values(value(FIRST + b"\1", 32)), selected=selection(bank(SHA256, [0]))
    ),
}


@pytest.mark.parametrize("blob", MALFORMED.values(), ids=MALFORMED.keys())
def test_registers_that_cannot_be_read_are_refused(blob):
    with pytest.raises(EvidenceError, match="registers in the quote of a Keylime agent") as refused:
        open_bundle(text(blob))
    assert refused.value.code == "verification.evidence.unrecognised"


def test_a_text_of_other_parts_is_refused():
    whole = text(registers(*filled()))
    first, second, third = whole.split(b":")
    for data in (
        b":".join((first, second)),
        whole + b":",
        whole + b":" + third,
        b":".join((first, b"", third)),
        b":".join((first, second[:-1] + b"!", third)),
        b":".join((first, second + b"\n", third)),
        whole.ljust(16385),
    ):
        with pytest.raises(EvidenceError, match="not three parts in base64") as refused:
            open_bundle(data)
        assert refused.value.code == "verification.evidence.unrecognised"
    for data in (whole[1:], b"d" + whole[1:], whole.replace(b"/1RDR4AY", b"/1RDR4AX", 1)):
        assert code(data) == "verification.evidence.unrecognised"


def test_a_real_one():
    """Of the manual: over a register of the bank of SHA-1, which is not relied on; its key is nowhere."""
    found = open_evidence(vectors.read("tpm-ima/keylime/api_docs_quote.txt"))
    pieces = TpmEvidence.parse(found.evidence)
    assert (found.platform, pieces.bank, list(pieces.pcrs)) == ("tpm", Algorithm.SHA1, [16])
    ledger = judge(found.evidence, banks=frozenset({Algorithm.SHA1})).ledger
    assert not ledger.failed()
    assert ledger["tpm.ak.trust"].code == "tpm.ak.trust.missing"

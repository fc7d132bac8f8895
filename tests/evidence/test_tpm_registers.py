"""PCR values that were found to be those of a signed digest are compared the next time, and never less.

Each test verifies a quote, so that its values are remembered, and then one that differs in a single respect.
"""

from __future__ import annotations

import pytest

from assay.evidence.eventlog import Algorithm
from assay.evidence.facts import FactCache
from assay.evidence.tpm.quote import STRONG, verify_quote
from assay.evidence.tpm.quote_checks import QuoteSpecs
from assay.evidence.verification import Expected
from assay.simulator.tpm.device import bitmap, spki
from support.tpm_scenes import NONCE, ak, machine

SPECS = QuoteSpecs.of("test.quote")
ALL_BANKS = STRONG | {Algorithm.SHA1}


class Session:
    """Quotes of one machine, verified with one memory of facts."""

    def __init__(self, bank: Algorithm = Algorithm.SHA256) -> None:
        self.draft = machine().evidence(NONCE, bank=bank)
        self.facts = FactCache()

    def verify(self, *, pcrs=None, bank=None, relied=frozenset(), banks=STRONG):
        return verify_quote(
            self.draft.quote.attest(),
            self.draft.quote.signature(),
            specs=SPECS,
            key=spki(ak("p256")),
            bank=bank or self.draft.bank,
            pcrs=self.draft.pcrs if pcrs is None else pcrs,
            relied=relied,
            nonce=Expected(NONCE),
            banks=banks,
            facts=self.facts,
        )


@pytest.fixture
def session() -> Session:
    found = Session()
    assert found.verify().claims is not None
    return found


def failures(outcome) -> list[str]:
    assert outcome.claims is None
    return [check.code for check in outcome.checks if check.outcome == "failed"]


def test_the_same_values_pass_again_and_say_the_same(session):
    first, again = session.verify(), session.verify()
    assert first == again
    assert dict(again.claims.pcrs) == session.draft.pcrs
    assert len(session.facts.shelf("tpm.registers")) == 1


def test_values_in_another_order_pass_and_are_told_in_ascending_order(session):
    turned = dict(reversed(session.draft.pcrs.items()))
    assert list(session.verify(pcrs=turned).claims.pcrs) == sorted(turned)


def test_another_value_is_refused(session):
    values = session.draft.pcrs | {7: bytes(32)}
    assert failures(session.verify(pcrs=values)) == ["test.quote.pcr_digest"]


def test_values_that_were_refused_are_refused_again():
    session = Session()
    values = session.draft.pcrs | {7: bytes(32)}
    for _ in range(2):
        assert failures(session.verify(pcrs=values)) == ["test.quote.pcr_digest"]
    assert not len(session.facts.shelf("tpm.registers"))


def test_values_of_a_quote_that_its_key_did_not_sign_are_not_remembered():
    session = Session()
    session.draft.quote.key = ak("rsa")
    assert session.verify().claims is None
    assert not len(session.facts.shelf("tpm.registers"))


def test_a_value_that_is_missing_is_refused(session):
    values = {index: value for index, value in session.draft.pcrs.items() if index != 7}
    assert failures(session.verify(pcrs=values)) == ["test.quote.selection.indices"]


def test_a_signed_selection_of_other_registers_is_refused(session):
    # The digest is that of the values presented, yet the quote says that they are of other registers.
    chosen = (*range(10), 11, 14)
    session.draft.quote.selections = [(int(Algorithm.SHA256), bitmap(chosen))]
    assert failures(session.verify()) == ["test.quote.selection.indices"]


def test_values_presented_as_another_bank_are_refused(session):
    found = session.verify(bank=Algorithm.SHA3_256)
    assert failures(found) == ["test.quote.selection.bank"]


def test_a_register_that_is_relied_on_and_not_covered_is_refused(session):
    assert session.verify(relied=frozenset({0, 7})).claims is not None
    assert failures(session.verify(relied=frozenset({0, 15}))) == ["test.quote.selection.relied"]


def test_a_bank_that_another_call_accepted_is_refused():
    session = Session(Algorithm.SHA1)
    assert session.verify(banks=ALL_BANKS).claims is not None
    assert failures(session.verify()) == ["test.quote.bank"]


def test_a_digest_of_another_hash_than_the_signatures_is_refused(session):
    session.draft.quote.algorithm = Algorithm.SHA384
    assert failures(session.verify()) == ["test.quote.pcr_digest"]


def test_what_the_caller_does_with_its_values_changes_nothing_that_is_remembered(session):
    claims = session.verify().claims
    before = dict(claims.pcrs)
    session.draft.pcrs[7] = bytes(32)
    assert dict(claims.pcrs) == before
    assert failures(session.verify()) == ["test.quote.pcr_digest"]
    with pytest.raises(TypeError):
        claims.pcrs[7] = bytes(32)

"""A bare GPU report, and what vouches for it among the files at hand."""

from __future__ import annotations

from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.nvidia import checks
from assay.evidence.verification import Expected
from assay.verification.formats import format_of
from assay.verification.materials import Materials
from assay.verification.recognition import recognise
from assay.verification.terms import Given, Terms
from support.nvidia_scenes import NONCE, NOW, STRANGER, roots, scene


def given() -> Given:
    return Given(roots=roots(), now=NOW, binding=Expected(NONCE), facts=FactCache(), terms=Terms())


def verified(files: dict[str, bytes]):
    """Verify a bare report with what is found for it among files."""
    form = format_of("nvidia-gpu")
    report = scene().report.sign()
    first = form.verify(report, None, given())
    endorsements = form.endorse(Materials.of(files), first, given())
    return first, form.verify(report, endorsements, given())


def test_the_chain_is_found_among_the_files():
    first, second = verified({"a.txt": b"-", "b.pem": STRANGER_CHAIN, "c.pem": scene().report.pem()})
    assert [need.kind for need in first.needs] == ["chain"]
    assert second.ledger[checks.REPORT_SIGNATURE.id].outcome is Outcome.PASSED
    assert {need.kind for need in second.needs} == {"ocsp", "rim"}


def test_a_chain_to_another_root_is_passed_over():
    first, second = verified({"b.pem": STRANGER_CHAIN, "c.pem": b"-----BEGIN CERTIFICATE-----\n"})
    assert not first.ledger.failed()
    assert second.ledger == first.ledger


STRANGER_CHAIN = b"".join(issued.pem() for issued in scene().report.chain[:-1]) + STRANGER.device_root.pem()


def test_what_the_vendors_command_and_service_take_is_known():
    assert recognise(b'{"arch": "HOPPER", "nonce": "00", "evidence_list": []}') == "nvidia-gpu"
    assert recognise(b'{"evidence_list": []}') is None
    assert recognise(b'{"evidences": [], "result_code": 0, "result_message": "OK"}') == "nvidia-gpu"
    assert recognise(b'{"evidences": []}') is None

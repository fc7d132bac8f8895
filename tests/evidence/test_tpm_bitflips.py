"""Bit-flip maps of a real quote, a real log of firmware and a real IMA log.

Every accepted flip lies in a region that the result itself declares unsigned. For logs the claims that are
left are the same digests in the same order.
"""

from __future__ import annotations

import json

import pytest

from assay.evidence.eventlog import Algorithm, LogSpecs, verify_boot_log
from assay.evidence.facts import FactCache
from assay.evidence.ima import ImaSpecs, verify_ima
from assay.evidence.tpm.container import TpmEvidence
from assay.evidence.verification import Expected
from support import vectors
from support.bit_flips import every, flipped
from support.tpm_scenes import judge

if not vectors.present():
    pytest.skip("the real vectors are not here", allow_module_level=True)

SHA256 = Algorithm.SHA256
LOG, IMA = LogSpecs.of("flip.log"), ImaSpecs.of("flip.ima")


def test_no_flip_in_a_real_quote_is_accepted():
    pieces = TpmEvidence.from_json(vectors.read("tpm-ima/coco-trustee/tpm_evidence.json"))
    key, facts = pieces.public, FactCache()
    data = TpmEvidence(pieces.attest, pieces.signature, pieces.bank, pieces.pcrs).encode()
    nonce = Expected(bytes.fromhex(judge(data, given=key).decoded["extra_data"]))
    assert judge(data, given=key, binding=nonce, facts=facts).bound
    tried = accepted = 0
    for _, spoilt in flipped(data, every):
        tried += 1
        accepted += judge(spoilt, given=key, binding=nonce, facts=facts).bound
    assert accepted == 0
    vectors.note(f"bit flips of a TPM quote with its PCRs: {tried} tried, {accepted} accepted")


def test_every_accepted_flip_in_a_real_log_is_in_a_declared_region():
    where = "tpm-ima/immune-guard/good-1"
    data = vectors.read(f"{where}.eventlog.bin")
    values = json.loads(vectors.read(f"{where}.pcrs.json"))["sha256"]
    pcrs = {int(index): bytes.fromhex(value) for index, value in values.items()}
    explained = frozenset(range(8))

    def run(log: bytes):
        return verify_boot_log(log, b"", specs=LOG, bank=SHA256, pcrs=pcrs, explained=explained)

    digests = [(event.register, event.digest) for event in run(data).claims.events]
    tried = accepted = 0
    # Each bit of the first 600 bytes, then one bit of every eleventh byte: a flip costs half a millisecond.
    for at, spoilt in flipped(data, lambda position: position < 8 * 600):
        tried += 1
        accepted += accepts(run(spoilt), at, digests)
    for at in range(600, len(data), 11):
        spoilt = bytearray(data)
        spoilt[at] ^= 1 << at % 8
        tried += 1
        accepted += accepts(run(bytes(spoilt)), at, digests)
    assert 0 < accepted < tried
    vectors.note(
        f"bit flips of a firmware's log: {tried} tried, {accepted} accepted, all in declared regions"
    )


def accepts(outcome, at: int, digests: list) -> bool:
    if outcome.claims is None:
        return False
    assert any(region.start <= at < region.end for region in outcome.unsigned), at
    assert [(event.register, event.digest) for event in outcome.claims.events] == digests
    return True


def test_no_flip_in_a_real_ima_log_is_accepted_but_in_pending_entries():
    where = "tpm-ima/immune-guard/h12ssl"
    values = json.loads(vectors.read(f"{where}.pcrs.json"))["sha256"]
    pcrs = {10: bytes.fromhex(values["10"])}
    log = vectors.read(f"{where}.ima.bin")
    # A shorter log of the same machine: its first entries, and the PCR that they make.
    entries = verify_ima(log, specs=IMA, bank=SHA256, pcrs=pcrs).claims.entries
    value, end = bytes(32), 0
    for entry in list(entries)[:40]:
        value = SHA256.digest(value + SHA256.digest(entry.data))
    pcrs = {10: value}
    for size in range(len(log)):
        if verify_ima(log[:size], specs=IMA, bank=SHA256, pcrs=pcrs).claims:
            end = size
            break
    pending_end = end + 4 + 20 + 4 + 6 + 4
    pending_end += int.from_bytes(log[pending_end - 4 : pending_end], "little")
    data = log[:pending_end]
    assert verify_ima(data, specs=IMA, bank=SHA256, pcrs=pcrs).claims.pending == 1
    tried = accepted = 0
    for at, spoilt in flipped(data, every):
        outcome = verify_ima(spoilt, specs=IMA, bank=SHA256, pcrs=pcrs)
        tried += 1
        if outcome.claims is not None:
            accepted += 1
            assert at >= end
            assert [(region.start, region.end) for region in outcome.unsigned] == [(end, pending_end)]
    vectors.note(f"bit flips of an IMA log: {tried} tried, {accepted} accepted, all in a pending entry")

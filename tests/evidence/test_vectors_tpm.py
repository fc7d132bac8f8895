"""Every case and every entry of the family tpm-ima, and the logs of gcp-vtpm, reach their stated result.

A result is stated in words and fields. Each is mapped here, explicitly, to what this package says; a word or
a field without an entry fails the test, and so does a kind of vector without a checker.
"""

from __future__ import annotations

import base64
import json
import struct
from collections import Counter
from datetime import UTC, datetime
from pathlib import PurePosixPath

import cbor2
import pytest

from assay.errors import EvidenceError
from assay.evidence.decoding.pem import certificates
from assay.evidence.eventlog import Algorithm, LogSpecs, parse_boot_log, parse_cel, verify_boot_log
from assay.evidence.eventlog.boot import startup_locality
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.eventlog.replay import replay_pcrs
from assay.evidence.facts import FactCache
from assay.evidence.ima import FilePolicy, ImaLog, ImaSpecs, appraise_files, from_ascii, verify_ima
from assay.evidence.ima.entries import digest_algorithm, frames
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.tpm.attest import Attest
from assay.evidence.tpm.container import TpmEvidence
from assay.evidence.tpm.quote import STRONG, verify_quote
from assay.evidence.tpm.quote_checks import QuoteSpecs
from assay.evidence.tpm.registers import selection_defect
from assay.evidence.tpm.signature import TpmSignature
from assay.evidence.tpm.verify import TpmEndorsements, verify_tpm
from assay.evidence.verification import Unchecked
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import issue_defect
from support import vectors

if not vectors.present():
    pytest.skip("the real vectors are not here", allow_module_level=True)

FAMILY = "tpm-ima"
OPEN = Unchecked("the vectors state no session")
QUOTE, LOG, IMA = QuoteSpecs.of("vector.quote"), LogSpecs.of("vector.log"), ImaSpecs.of("vector.ima")
SHA1, SHA256 = Algorithm.SHA1, Algorithm.SHA256
NOWHERE = 0xFFFFFFFF
"""Windows ends its logs with an event of no register; the manifest's own parser stopped before it."""


def b64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def bank_of(name: str) -> Algorithm:
    return Algorithm[name.upper()]


def quoted(name: str) -> dict[Algorithm, dict[int, bytes]]:
    """Return the PCR values that were archived with a quote, by bank."""
    return {
        bank_of(bank): {int(index): bytes.fromhex(value) for index, value in values.items()}
        for bank, values in json.loads(vectors.read(name)).items()
    }


def sibling(entry: dict, ending: str) -> str:
    path = PurePosixPath(entry["file"])
    return str(path.with_name(path.name.split(".")[0] + ending))


# --- TCG logs


@pytest.mark.parametrize("family", [FAMILY, "gcp-vtpm"])
def test_every_firmware_log_replays_as_stated(family):
    found = vectors.entries(family, "tcg-eventlog")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        firmware_log(entry)
        vectors.record(family, "tcg-eventlog")


def firmware_log(entry: dict) -> None:
    name, stated = entry["file"], dict(entry["expected"]["key_fields"])
    data = vectors.read(name)
    if stated["log_bytes_used"] > entry["bytes"]:
        # The manifest's own parser read on behind the end of what is no log.
        with pytest.raises(EvidenceError, match="ends inside the event"):
            parse_boot_log(data)
        return
    log = parse_boot_log(data)
    ours = [event for event in log.events if event.register != NOWHERE]
    agile = bool(log.header_end)
    extended = [event for event in ours if event.extended]
    kinds = Counter(f"{event.kind:#x}" for event in ours)
    kinds["0x3"] += agile
    assert stated.pop("events") == len(ours) + agile
    assert stated.pop("agile") is agile
    assert stated.pop("log_bytes_used") == (ours[-1].end if ours else 0)
    assert stated.pop("algs") == ([a.name.lower() for a in log.algorithms] if extended else [])
    assert stated.pop("event_types") == {kind: count for kind, count in kinds.items() if count}
    locality = startup_locality(log.events) or 0
    for bank, values in stated.pop("replayed").items():
        replayed_as_stated(data, bank_of(bank), values, locality)
    matches = stated.pop("pcr_match", {})
    for bank, match in matches.items():
        matched_as_stated(entry, data, bank_of(bank), match)
    result = entry["expected"]["result"]
    assert result == "replayed" or result == f"replayed; PCR match {json.dumps(matches)}"
    assert not stated, f"{name} states what no one checks: {stated}"


def replayed_as_stated(data: bytes, bank: Algorithm, stated: dict, locality: int) -> None:
    values = {int(index): bytes.fromhex(value) for index, value in stated.items()}
    log = parse_boot_log(data)
    assert replay_pcrs(log.extensions(bank), bank, locality=locality) == values
    outcome = verify_boot_log(data, b"", specs=LOG, bank=bank, pcrs=values, explained=frozenset(values))
    failed = [check.code for check in outcome.checks if check.outcome is Outcome.FAILED]
    # Logs that were cut short, and old firmware of virtual machines, lack separators of some PCRs.
    separated = {event.register for event in log.events if event.kind == EventType.SEPARATOR}
    complete = separated >= values.keys() & set(range(8))
    assert failed == ([] if complete else ["vector.log.separators.missing"])
    if outcome.claims:
        assert outcome.claims.startup_locality == (locality if 0 in values else None)


def matched_as_stated(entry: dict, data: bytes, bank: Algorithm, stated: dict) -> None:
    values = quoted(sibling(entry, ".pcrs.json"))[bank]
    wrong = {int(index) for index, match in stated.items() if not match}
    for explained, right in ((wrong, False), ({int(index) for index in stated} - wrong, True)):
        if not explained:
            continue
        outcome = verify_boot_log(
            data, b"", specs=LOG, bank=bank, pcrs=values, explained=frozenset(explained)
        )
        assert (outcome.claims is not None) is right
        codes = [check.code for check in outcome.checks if check.outcome is Outcome.FAILED]
        assert codes == ([] if right else ["vector.log.replay.mismatch"])


# --- Canonical logs


def test_every_canonical_log_is_read_and_proves_its_content():
    found = vectors.entries("gcp-vtpm", "cel")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        assert entry["expected"]["result"] == "data (not independently verified)"
        assert entry["expected"]["key_fields"] == {}
        records = parse_cel(vectors.read(entry["file"]))
        assert [record.number for record in records] == list(range(len(records)))
        for record in records:
            assert [record.contradicts(algorithm) for algorithm, _ in record.digests] == [False]
            record.nested()
        vectors.record("gcp-vtpm", "cel")


def test_the_launchers_log_names_the_image():
    records = parse_cel(vectors.read("gcp-vtpm/go-tpm-tools/cel.bin"))
    assert {(record.pcr, record.register, record.kind) for record in records} == {(False, 4, 80)}
    nested = [record.nested() for record in records]
    assert nested[0][1].endswith(b"/gpu/cuda-vector-add:latest")
    assert nested[-1] == (8, b"")


# --- Quotes


FIELDS = {
    "type": lambda quote: "0x8018",
    "qualifiedSigner": lambda quote: quote.qualified_signer.hex(),
    "extraData": lambda quote: quote.extra_data.hex(),
    "clock": lambda quote: quote.clock,
    "resetCount": lambda quote: quote.reset_count,
    "restartCount": lambda quote: quote.restart_count,
    "safe": lambda quote: int(quote.safe),
    "firmwareVersion": lambda quote: f"{quote.firmware_version:016x}",
    "pcrSelect": lambda quote: [
        [Algorithm(selection.algorithm).name.lower(), list(selection.pcrs)] for selection in quote.selections
    ],
    "pcrDigest": lambda quote: quote.pcr_digest.hex(),
}
DIGEST = {"PCR digest matches": True, "PCR digest MISMATCH/partial": None}
SELECTION = {0: "empty", 1: None, 2: "banks", 3: "banks"}
"""What is wrong with a selection of that many banks."""


def read_as_stated(attest: bytes, stated: dict) -> Attest:
    """Compare a quote with what is stated of it, and take those fields out."""
    quote = Attest.parse(attest)
    assert stated.pop("_len") == len(attest)
    for name, field in FIELDS.items():
        assert stated.pop(name) == field(quote), name
    return quote


def test_every_quote_without_its_key_is_read_and_proves_nothing():
    found = vectors.entries(FAMILY, "tpms-attest")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        archived_quote(entry)
        vectors.record(FAMILY, "tpms-attest")


def archived_quote(entry: dict) -> None:
    stated = dict(entry["expected"]["key_fields"])
    attest = vectors.read(entry["file"])
    quote = read_as_stated(attest, stated)
    head, _, digest = entry["expected"]["result"].partition("; ")
    assert head == "TPM quote: signature UNVERIFIABLE (AK public not archived)"
    assert stated.pop("signature_ok") is None
    signature = vectors.read(sibling(entry, ".quote.sig"))
    banks = quoted(sibling(entry, ".pcrs.json"))
    algorithm = TpmSignature.parse(signature).algorithm
    complete = all(
        set(selection.pcrs) <= banks.get(Algorithm(selection.algorithm), {}).keys()
        for selection in quote.selections
    )
    assert stated.pop("pcr_digest_ok") is DIGEST[digest]
    assert complete is (DIGEST[digest] is True)
    if complete:
        values = [
            banks[Algorithm(selection.algorithm)][index]
            for selection in quote.selections
            for index in selection.pcrs
        ]
        assert algorithm.digest(b"".join(values)) == quote.pcr_digest
    assert not stated
    defect = selection_defect(quote, SHA256, banks[SHA256], tuple(banks[SHA256]), frozenset())
    assert (defect[0] if defect else None) == SELECTION[len(quote.selections)]
    if banks[SHA256]:
        result = judge(TpmEvidence(attest, signature, SHA256, banks[SHA256]).encode())
        assert result.ledger["tpm.ak.trust"].code == "tpm.ak.trust.missing"
        assert not result.authentic
        assert result.decoded["extra_data"] == quote.extra_data.hex()


def judge(data: bytes, given: bytes = b"", **options):
    return verify_tpm(
        data,
        endorsements=TpmEndorsements(given),
        roots=Roots.vendor(),
        now=datetime(2026, 11, 20, tzinfo=UTC),
        binding=OPEN,
        facts=FactCache(),
        **options,
    )


def test_every_signature_is_read():
    found = vectors.entries(FAMILY, "tpmt-signature")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        assert entry["expected"]["result"] == "data (not independently verified)"
        signature = TpmSignature.parse(vectors.read(entry["file"]))
        assert (signature.scheme.name, signature.algorithm) == ("ECDSA", SHA256)
        vectors.record(FAMILY, "tpmt-signature")


def test_every_archive_of_pcrs_is_the_one_that_its_quote_or_log_is_of():
    found = vectors.entries(FAMILY, "pcr-values")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        assert entry["expected"]["result"] == "data (not independently verified)"
        banks = quoted(entry["file"])
        assert entry["expected"]["key_fields"] == {"json_keys": sorted(bank.name.lower() for bank in banks)}
        assert all(len(value) == bank.size for bank, values in banks.items() for value in values.values())
        vectors.record(FAMILY, "pcr-values")


def test_the_evidence_of_confidential_containers_verifies_under_its_key():
    (entry,) = vectors.entries(FAMILY, "tpm-evidence-json")
    (case,) = [c for c in vectors.cases("tpm-quote-verify") if c["files"]["evidence"] == entry["file"]]
    assert vectors.pinned(entry)
    assert (
        entry["expected"]["result"]
        == case["expected"]["result"]
        == ("TPM quote signature VALID; PCR digest OK")
    )
    data = vectors.read(entry["file"])
    pieces = TpmEvidence.from_json(data)
    stated = dict(entry["expected"]["key_fields"])
    read_as_stated(pieces.attest, stated)
    assert stated == {"signature_ok": True, "pcr_digest_ok": True}
    result = judge(data, pieces.public)
    assert result.authentic, result.ledger.unmet()
    assert not result.bound
    assert result.simulated
    assert result.claims.quote.extra_data == Attest.parse(pieces.attest).extra_data
    assert judge(data).ledger["tpm.ak.trust"].outcome is Outcome.NOT_CHECKED
    vectors.record(FAMILY, "tpm-evidence-json")
    vectors.record(FAMILY, "tpm-quote-verify")


def test_the_dump_of_a_shielded_vm_is_signed_but_over_sha1():
    name = "tpm-ima/go-attestation/windows_gcp_shielded_vm.json"
    (entry,) = [e for e in vectors.entries(FAMILY, "go-attestation-dump") if e["file"] == name]
    (case,) = [c for c in vectors.cases("tpm-quote-verify") if c["files"]["evidence"] == name]
    assert vectors.pinned(entry)
    assert entry["expected"]["result"] == case["expected"]["result"] == "AK quote signature VALID"
    dump = json.loads(vectors.read(name))
    attest, signature = b64(dump["Quote"]["Quote"]), b64(dump["Quote"]["Signature"])
    pcrs = {value["Index"]: b64(value["Digest"]) for value in dump["Log"]["PCRs"]}
    stated = dict(entry["expected"]["key_fields"])
    read_as_stated(attest, stated)
    outcome = verify_quote(
        attest,
        signature,
        specs=QUOTE,
        key=b64(dump["AK"]["Public"]),
        bank=SHA1,
        pcrs=pcrs,
        relied=frozenset(range(24)),
        nonce=OPEN,
        banks=STRONG | {SHA1},
    )
    codes = {check.id: check.code for check in outcome.checks if check.outcome is Outcome.FAILED}
    assert codes == {"vector.quote.scheme": "vector.quote.scheme.weak"}
    passed = {check.id for check in outcome.checks if check.outcome is Outcome.PASSED}
    assert stated.pop("signature_ok") is ("vector.quote.signature" in passed)
    assert {"vector.quote.key_attributes", "vector.quote.selection", "vector.quote.pcr_digest"} <= passed
    explained = {int(index) for index, match in stated.pop("pcr_match").items() if match}
    log = verify_boot_log(
        b64(dump["Log"]["Raw"]), b"", specs=LOG, bank=SHA1, pcrs=pcrs, explained=frozenset(explained)
    )
    # This firmware wrote separators into PCR 7 alone.
    codes = [check.code for check in log.checks if check.outcome is Outcome.FAILED]
    assert codes == ["vector.log.separators.missing"]
    assert not stated
    vectors.record(FAMILY, "go-attestation-dump")
    vectors.record(FAMILY, "tpm-quote-verify")


def test_the_dump_of_a_tpm_1_2_is_no_quote_of_a_tpm_2():
    name = "tpm-ima/go-attestation/linux_tpm12.json"
    (entry,) = [e for e in vectors.entries(FAMILY, "go-attestation-dump") if e["file"] == name]
    assert vectors.pinned(entry)
    dump = json.loads(vectors.read(name))
    assert entry["expected"]["result"] == "TPM 1.2 dump"
    assert entry["expected"]["key_fields"] == {"keys": list(dump)}
    with pytest.raises(EvidenceError) as refused:
        Attest.parse(b64(dump["Quote"]["Quote"]))
    assert refused.value.code == "tpm.attest.magic"
    # Its log is in the old format, and its PCRs are what the log makes.
    pcrs = {value["Index"]: b64(value["Digest"]) for value in dump["Log"]["PCRs"]}
    log = parse_boot_log(b64(dump["Log"]["Raw"]))
    values = replay_pcrs(log.extensions(SHA1), SHA1)
    assert {index for index, value in values.items() if pcrs[index] != value} <= {10}
    vectors.record(FAMILY, "go-attestation-dump")


def test_the_quote_in_keylimes_manual_is_over_sha1_and_lacks_its_key():
    (entry,) = vectors.entries(FAMILY, "keylime-quote-string")
    assert vectors.pinned(entry)
    assert entry["expected"]["result"] == "data (not independently verified)"
    text = vectors.read(entry["file"]).decode().strip()
    assert text[0] == "r"
    attest, signature, blob = (base64.b64decode(part) for part in text[1:].split(":"))
    quote = Attest.parse(attest)
    assert [(s.algorithm, s.pcrs) for s in quote.selections] == [(SHA1, (16,))]
    assert TpmSignature.parse(signature).scheme.name == "RSASSA"
    # The indices of the blob are unsigned; the signed selection decides whatever it says.
    digest = TpmSignature.parse(signature).algorithm.digest
    values = [blob[at : at + 20] for at in range(len(blob) - 20)]
    assert any(digest(value) == quote.pcr_digest for value in values)
    vectors.record(FAMILY, "keylime-quote-string")


PARSEC = {
    # The key that is attested is an ordinary one; another, which the token lacks, signed both halves.
    True: ["vector.quote.key_attributes", "vector.quote.signature"],
    # The token lacks its quote.
    False: ["vector.quote.layout.size"],
}


def test_the_quotes_of_parsec_are_judged_by_the_key_in_their_key_attestation():
    found = vectors.entries(FAMILY, "parsec-tpm")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        assert entry["expected"]["result"] == "data (not independently verified)"
        tokens = cbor2.loads(vectors.read(entry["file"]))
        attestation = tokens["pat"]
        stated = attestation.get("attestInfo", b"")
        outcome = verify_quote(
            stated,
            attestation["sig"],
            specs=QUOTE,
            key=tokens["kat"]["pubArea"],
            bank=SHA256,
            pcrs={index: bytes(32) for index in range(24)},
            relied=frozenset(),
            nonce=OPEN,
        )
        assert outcome.claims is None
        codes = [check.code for check in outcome.checks if check.outcome is Outcome.FAILED]
        assert codes == PARSEC[bool(stated)]
        vectors.record(FAMILY, "parsec-tpm")


def test_the_token_of_enacttrust_holds_a_quote_and_its_signature():
    (entry,) = vectors.entries(FAMILY, "enacttrust-token")
    assert vectors.pinned(entry)
    assert entry["expected"]["result"] == "data (not independently verified)"
    data = vectors.read(entry["file"])
    (size,) = struct.unpack_from(">H", data, 16)
    attest, signature = data[18 : 18 + size], data[18 + size :]
    quote = Attest.parse(attest)
    assert [(s.algorithm, s.pcrs) for s in quote.selections] == [(SHA256, (1, 2, 3, 4))]
    assert TpmSignature.parse(signature).scheme.name == "ECDSA"
    assert not quote.qualified_signer + quote.extra_data
    vectors.record(FAMILY, "enacttrust-token")


def test_the_chain_of_a_device_identity_is_linked():
    (entry,) = vectors.entries(FAMILY, "x509-chain")
    assert vectors.pinned(entry)
    stated = dict(entry["expected"]["key_fields"])
    ders = certificates(vectors.read(entry["file"]), count=stated["count"])
    chain = [GeneralCertificate.parse(der) for der in ders]
    assert entry["expected"]["result"] == "parsed; chain linked"
    assert [SHA256.digest(der).hex() for der in ders] == stated["sha256"]
    assert [
        f"CN={certificate.common_name}," in name
        for certificate, name in zip(chain, stated["subjects"], strict=True)
    ] == [True, True]
    window = chain[0].window & chain[1].window
    assert window.start == datetime.fromisoformat(stated["valid_from"])
    assert window.end == datetime.fromisoformat(stated["valid_to"])
    assert datetime.fromisoformat(entry["expected"]["valid_at"]) in window
    assert (issue_defect(chain[0], chain[1], "leaf") is None) is stated["linked"]
    assert (issue_defect(chain[1], chain[1], "root") is None) is stated["self_signed_last"]
    vectors.record(FAMILY, "x509-chain")


# --- IMA


PCR10 = {
    "sha1": (SHA1, False),
    "sha256_padded_sha1(kernel<5.8)": (SHA256, True),
    "sha256_rehashed_template(kernel>=5.8)": (SHA256, False),
}
MATCHES = {
    "sha1": "sha1",
    "sha256_padded": "sha256_padded_sha1(kernel<5.8)",
    "sha256_rehashed": "sha256_rehashed_template(kernel>=5.8)",
}


def ima_as_stated(log: bytes, banks: dict, entries: int, pcr10: dict, matches: dict) -> None:
    for label, key in MATCHES.items():
        bank, padded = PCR10[key]
        real = banks[bank]
        assert (real[10].hex() == pcr10[key]) is matches[label]
        # The value that is stated is the replay of exactly these entries, whoever quoted it.
        stated = verify_ima(
            log, specs=IMA, bank=bank, pcrs={10: bytes.fromhex(pcr10[key])}, accept_padded=True
        )
        assert stated.claims, stated.checks
        assert (len(stated.claims.entries), stated.claims.pending) == (entries, 0)
        assert stated.claims.padded is padded
        if matches[label]:
            found = verify_ima(log, specs=IMA, bank=bank, pcrs=real)
            assert found.claims
            assert found.claims.violations == stated.claims.violations
        elif padded:
            refused = verify_ima(log, specs=IMA, bank=bank, pcrs={10: bytes.fromhex(pcr10[key])})
            assert refused.claims is None


def test_every_binary_ima_log_replays_to_its_pcr():
    found = vectors.entries(FAMILY, "ima-binary-log")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        stated = dict(entry["expected"]["key_fields"])
        log, banks = vectors.read(entry["file"]), quoted(sibling(entry, ".pcrs.json"))
        matches = stated.pop("matches")
        assert entry["expected"]["result"] == f"replayed; PCR10 match {json.dumps(matches)}"
        ima_as_stated(log, banks, stated["entries"], stated.pop("pcr10"), matches)
        claims = verify_ima(log, specs=IMA, bank=SHA256, pcrs=banks[SHA256]).claims
        assert stated.pop("entries") == len(claims.entries)
        assert stated.pop("violations") == claims.violations
        assert stated.pop("templates") == sorted({e.template.decode() for e in claims.entries})
        assert stated.pop("pcrs") == sorted({e.register for e in claims.entries})
        assert not stated
        ledger = appraise_files(claims, FilePolicy({}, frozenset({"/init"}), refuse_unknown=False))
        assert [check.id for check in ledger.failed()] == ["ima.files.violations"]
        vectors.record(FAMILY, "ima-binary-log")


def test_every_case_of_ima_replays_to_its_pcr():
    found = vectors.cases("ima-pcr10-replay")
    assert found
    for case in found:
        stated = dict(case["expected"])
        log, banks = vectors.read(case["files"]["ima_log"]), quoted(case["files"]["pcr_values"])
        matches = stated.pop("matches")
        assert stated.pop("result") == f"replayed; PCR10 match {json.dumps(matches)}"
        ima_as_stated(log, banks, stated.pop("entries"), stated.pop("pcr10"), matches)
        assert not stated
        vectors.record(FAMILY, "ima-pcr10-replay")


ASCII = {
    "tpm-ima/immune-guard/h12ssl.ascii_measurements.txt": (SHA1, 2378),
    "tpm-ima/keylime/ima-log-sha1.txt": (SHA1, 1),
    "tpm-ima/keylime/ima-log-sha256.txt": (SHA1, 2),
    "tpm-ima/keylime/ima-log-sha512.txt": (SHA1, 1),
    "tpm-ima/keylime/ima-log-unknown.txt": (SHA256, 0),
}
"""Digest of the entries, and how many are the hash of their template data: the others are made up or zero."""


def test_every_text_log_is_read():
    found = vectors.entries(FAMILY, "ima-ascii-log")
    assert found
    for entry in found:
        assert vectors.pinned(entry)
        assert entry["expected"]["result"] == "text log"
        stated = entry["expected"]["key_fields"]
        log = from_ascii(vectors.read(entry["file"]))
        algorithm = digest_algorithm(log)
        bodies = list(frames(log, algorithm))
        genuine = sum(algorithm.digest(body) == digest for _, _, digest, body, _ in bodies)
        assert (algorithm, genuine) == ASCII.get(entry["file"], (algorithm, genuine))
        bounds = [start for start, *_ in bodies]
        templates = Counter(e.template.decode() for e in ImaLog(log, bounds, algorithm))
        assert stated == {"entries": len(bodies), "templates": templates}
        vectors.record(FAMILY, "ima-ascii-log")


# --- Known answers beside the manifest


COCOS = "cocos/ima/"


@pytest.mark.parametrize("bank", [SHA1, SHA256, Algorithm.SHA384])
def test_synthetic_text_logs_replay_to_their_known_answers(bank):
    answers = json.loads(vectors.read(COCOS + "expected.json"))
    for name, answer in answers.items():
        known = answers[answer.get("expected_pcr10_of", name)]
        pcrs = {10: bytes.fromhex(known[f"pcr10_{bank.name.lower()}"])}
        text = vectors.read(f"{COCOS}{name}.txt")
        if "malformed" in name:
            with pytest.raises(EvidenceError, match="Line 3"):
                from_ascii(text)
            continue
        log = from_ascii(text)
        found = verify_ima(log, specs=IMA, bank=bank, pcrs=pcrs)
        assert (found.claims is not None) is answer["accept"], name
        if found.claims:
            assert found.claims.violations == known["violations"]
        # The author of these answers pads no violation; kernels before 5.8 extend 20 bytes of ones.
        if found.claims and bank is SHA256 and not known["violations"]:
            padded = {10: bytes.fromhex(known["pcr10_sha256_padded_sha1"])}
            codes = [check.code for check in verify_ima(log, specs=IMA, bank=bank, pcrs=padded).checks]
            assert "vector.ima.hash" in codes
            assert verify_ima(log, specs=IMA, bank=bank, pcrs=padded, accept_padded=True).claims.padded


def test_a_log_that_stops_before_the_quote_names_the_pcrs_that_it_does_not_explain():
    where = "cocos/vtpm/"
    pem = vectors.read(where + "vtpm_ak_pub.pem")
    archive = json.loads(vectors.read(where + "vtpm_quote_pcrs.json"))
    values = archive.get("pcrs", archive)
    pcrs = {int(index): bytes.fromhex(value) for index, value in values.items()}
    outcome = verify_quote(
        vectors.read(where + "vtpm_tpms_attest.bin"),
        vectors.read(where + "vtpm_quote_sig.bin"),
        specs=QUOTE,
        key=b64("".join(pem.decode().split("\n")[1:-2])),
        bank=SHA1,
        pcrs=pcrs,
        relied=frozenset(range(24)),
        nonce=OPEN,
        banks=frozenset({SHA1}),
    )
    assert outcome.claims, outcome.checks
    log = verify_boot_log(
        vectors.read(where + "tcg_event_log.bin"),
        b"",
        specs=LOG,
        bank=SHA1,
        pcrs=pcrs,
        explained=frozenset(range(10)),
    )
    (failed,) = [check for check in log.checks if check.outcome is Outcome.FAILED]
    assert failed.code == "vector.log.replay.mismatch"
    assert "[5, 8, 9]" in failed.reason


def test_the_quote_of_keylimes_tests_verifies():
    where = "trustee/keylime/test-data/files/"
    pem = vectors.read(where + "akpub.pem").decode()
    attest = vectors.read(where + "quote.out")
    (selection,) = [s for s in Attest.parse(attest).selections if s.pcrs]
    key = b64("".join(line for line in pem.split("\n") if line and not line.startswith("-")))
    outcome = verify_quote(
        attest,
        vectors.read(where + "quotesig.out"),
        specs=QUOTE,
        key=key,
        bank=Algorithm(selection.algorithm),
        pcrs={index: bytes(Algorithm(selection.algorithm).size) for index in selection.pcrs},
        relied=frozenset(),
        nonce=OPEN,
        banks=frozenset(Algorithm),
    )
    assert next(c for c in outcome.checks if c.id == "vector.quote.signature").outcome is Outcome.PASSED


# --- Nothing is left out


CHECKED = {
    "tcg-eventlog",
    "tpms-attest",
    "tpmt-signature",
    "pcr-values",
    "tpm-evidence-json",
    "go-attestation-dump",
    "keylime-quote-string",
    "parsec-tpm",
    "enacttrust-token",
    "x509-chain",
    "ima-binary-log",
    "ima-ascii-log",
    "tpm-quote-verify",
    "ima-pcr10-replay",
}


def test_no_kind_of_vector_is_left_out():
    assert {kind for family, kind in vectors.stated() if family == FAMILY} == CHECKED


def test_separators_and_types_are_those_of_the_specification():
    # A guard for the test above: the logs do hold events of the types that the checks are about.
    seen = {
        event.kind
        for entry in vectors.entries(FAMILY, "tcg-eventlog")
        if "bogus" not in entry["file"]
        for event in parse_boot_log(vectors.read(entry["file"])).events
    }
    assert {EventType.SEPARATOR, EventType.NO_ACTION, EventType.EFI_VARIABLE_BOOT, EventType.IPL} <= seen

"""Every case and entry of the family gcp-vtpm but its logs reaches the result stated for it.

The logs are tested with the format of event logs. Each stated word and field is mapped to what this verifier
says; one without an entry fails the test.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from datetime import UTC, datetime

import pytest
from cryptography import x509

from assay.errors import EvidenceError
from assay.evidence.decoding.pem import certificates
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.boot import verify_boot_log
from assay.evidence.eventlog.boot_checks import LogSpecs
from assay.evidence.facts import FactCache
from assay.evidence.google_vm import GoogleVmEndorsements, checks, read_container, verify_google_vm
from assay.evidence.google_vm.ak import certified
from assay.evidence.ledger import Outcome
from assay.evidence.roots import GOOGLE_VTPM, Roots
from assay.evidence.tpm.attest import Attest
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.quote import verify_quote
from assay.evidence.tpm.quote_checks import QuoteSpecs
from assay.evidence.verification import Unchecked
from assay.evidence.x509.general import GeneralCertificate
from support import vectors

OF_OTHERS = {"tcg-eventlog", "cel"}
TOOLS = "gcp-vtpm/go-tpm-tools"
NOW = datetime(2026, 8, 1, tzinfo=UTC)
UNCHECKED = Unchecked("a captured quote has no session")
STATED = re.compile(
    r"(?P<quotes>[1-4]) quotes: signatures\+PCR digests VALID with embedded ak_pub"
    r"; event log replay matches PCR0-9( \(no AK certificate inside\))?"
)


def _moment(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def _judge(name, *, roots=None, endorsements=None, at=NOW):
    return verify_google_vm(
        vectors.read(name),
        tee="none",
        endorsements=endorsements,
        roots=roots or Roots.vendor(),
        now=at,
        binding=UNCHECKED,
        report_data=UNCHECKED,
        explained=frozenset(range(10)),
        facts=FactCache(),
    )


def _older():
    """Return roots and endorsements of the hierarchy that was in use before the pinned root."""
    roots = Roots.vendor().with_anchor(
        "older EK root", vectors.read(f"{TOOLS}/tpm_ek_root_1.cer"), vendor=GOOGLE_VTPM
    )
    between = tuple(vectors.read(f"{TOOLS}/tpm_ek_intermediate_{n}.crt") for n in (2, 3))
    return roots, between


def _der(data):
    return certificates(_unwrapped(data), count=1)[0] if data.startswith(b"-----") else data


def _unwrapped(text):
    lines = text.replace(b"\r", b"").strip().split(b"\n")
    return b"\n".join([*lines, b""])


# --- Kinds of entries


def attestation(entry):
    """Every quote and the log verify under the key inside; unlike stated, its certificate is there too."""
    words = STATED.fullmatch(entry["expected"]["result"])
    stated = dict(entry["expected"]["key_fields"])
    found = read_container(vectors.read(entry["file"]))
    result = _judge(entry["file"])
    _quotes_and_log(result)
    specs = QuoteSpecs.of("test.quote")
    key = AttestationKey.parse(found.ak_public)
    quotes = []
    for quote in found.quotes:
        bank = Algorithm(quote.bank)
        outcome = verify_quote(
            quote.message,
            quote.signature,
            specs=specs,
            key=key,
            bank=bank,
            pcrs=quote.pcrs,
            relied=frozenset(range(24)),
            nonce=UNCHECKED,
            banks=frozenset(Algorithm),
        )
        assert outcome.claims is not None
        quotes.append(
            {
                "signature_ok": True,
                "pcr_digest_ok": True,
                "pcrSelect": [[bank.name.lower(), list(outcome.claims.selection)]],
                "nonce": outcome.claims.extra_data.hex(),
                "pcrs": {str(i): value.hex() for i, value in sorted(quote.pcrs.items())},
                "eventlog_match": _replays(found.event_log, bank, quote.pcrs),
            }
        )
    assert len(quotes) == int(words["quotes"])
    assert stated.pop("quotes") == quotes
    assert not stated
    assert found.ak_certificate is not None  # the manifest says that there is none


def _replays(log, bank, pcrs):
    """Tell for each PCR whether the log explains it; the others need a log that is not in the container."""
    found = {}
    for index in range(10):
        outcome = verify_boot_log(
            log, b"", specs=LogSpecs.of("test.log"), bank=bank, pcrs=pcrs, explained=frozenset({index})
        )
        found[str(index)] = outcome.claims is not None
    return found


def _quotes_and_log(result):
    for spec in (*checks.QUOTE_CHECKS, checks.OTHER_QUOTES, *checks.LOG.all):
        if spec not in (checks.QUOTE.nonce, checks.LOG.canonical):
            assert result.ledger[spec.id].outcome is Outcome.PASSED, result.ledger[spec.id]


def tpms_attest(entry):
    assert entry["expected"]["result"] == "TPM quote: signature UNVERIFIABLE (AK public not archived)"
    message = vectors.read(entry["file"])
    quote = Attest.parse(message)
    assert entry["expected"]["key_fields"] == {
        "type": "0x8018",
        "qualifiedSigner": quote.qualified_signer.hex(),
        "extraData": quote.extra_data.hex(),
        "clock": quote.clock,
        "resetCount": quote.reset_count,
        "restartCount": quote.restart_count,
        "safe": int(quote.safe),
        "firmwareVersion": f"{quote.firmware_version:016x}",
        "pcrSelect": [[Algorithm(one.algorithm).name.lower(), list(one.pcrs)] for one in quote.selections],
        "pcrDigest": quote.pcr_digest.hex(),
        "_len": len(message),
        "signature_ok": None,
    }


def certificate(entry):
    der = _der(vectors.read(entry["file"]))
    found = GeneralCertificate.parse(der)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of the older authorities are longer than X.520 allows
        subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    assert entry["expected"]["result"] == "parsed"
    assert entry["expected"]["key_fields"] == {
        "count": 1,
        "subjects": [subject],
        "sha256": [hashlib.sha256(der).hexdigest()],
        "valid_from": found.window.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "valid_to": found.window.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "self_signed_last": found.issuer == found.subject and found.verify(found),
        "linked": True,
    }
    at = _moment(entry["expected"]["valid_at"])
    assert at in found.window
    if "sign_cert" in entry["file"]:
        _leaf(entry["file"], der, at)
    if entry["file"].endswith(("gcp-root-ca.pem", "gcp_ek_ak_ca_root.crt")):
        assert der in {root.der for root in Roots.vendor().of(GOOGLE_VTPM)}


def _leaf(name, der, at):
    """The certificates of attestation keys verify under their own hierarchy, and not under the other."""
    roots, between = _older()
    newer = (vectors.read(f"{TOOLS}/gcp_ek_ak_ca_intermediate_v3.crt"),)
    production = "pca_" in name
    outcomes, found = certified(der, (), newer if production else between, (), None, roots, at, FactCache())
    assert found is not None, outcomes
    assert found.claims.anchor.simulated is not production
    instance = found.claims.instance
    assert instance.zone
    assert instance.project_id
    assert instance.production is True
    assert instance.instance_name.startswith("cs-debug")
    wrong = between if production else newer
    refused, nothing = certified(der, (), wrong, (), None, roots, at, FactCache())
    assert nothing is None
    assert refused[-1].code == "google_vm.ak.chain.root"


def titan(entry):
    """Certificates of Google's own root of trust of a bare-metal host, whose format is not published."""
    assert entry["expected"]["result"] == "data (not independently verified)"
    data = vectors.read(entry["file"])
    assert len(data) == entry["bytes"]
    with pytest.raises(EvidenceError):
        read_container(data)


KINDS = {
    "go-tpm-tools-attestation": attestation,
    "tpms-attest": tpms_attest,
    "x509": certificate,
    "titan": titan,
}
ENTRIES = [entry for entry in vectors.entries("gcp-vtpm") if entry["kind"] not in OF_OTHERS]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_entry_reaches_its_stated_result(entry):
    assert vectors.pinned(entry)
    KINDS[entry["kind"]](entry)
    vectors.record("gcp-vtpm", entry["kind"])


CASES = [case for case in vectors.cases("tpm-quote-verify") if case["family"] == "gcp-vtpm"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case_reaches_its_stated_result(case):
    assert case["expected"].keys() == {"result"}
    assert STATED.fullmatch(case["expected"]["result"])
    result = _judge(case["files"]["evidence"])
    _quotes_and_log(result)
    assert not result.authentic  # nothing that was given vouches for its key
    vectors.record("gcp-vtpm", "tpm-quote-verify")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_certificate_inside_leads_to_the_older_root(case):
    """With that root as the caller's anchor the container is authentic, and simulated: it is not pinned."""
    roots, between = _older()
    result = _judge(
        case["files"]["evidence"], roots=roots, endorsements=GoogleVmEndorsements(ak_intermediates=between)
    )
    assert result.authentic, result.ledger.unmet()
    assert result.simulated
    assert result.claims.ak.instance.production is True
    assert result.claims.log.explained == frozenset(range(10))
    assert result.claims.ak.revocation_checked is False
    assert {need.key["at"] for need in result.needs if need.kind == "revocation-list"} == {
        "https://pki.goog/cloud_integrity/tpm_ek_intermediate_2.crl",
        "http://pki.goog/cloud_integrity/tpm_ek_root_1.crl",
    }

"""SEV-SNP reports in what carries them are found and verified; what only looks like a carrier is not."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest

from assay.errors import EvidenceError
from assay.evidence.decoding import cbor
from assay.evidence.decoding.pem import certificates
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.snp import SnpEndorsements, checks, verify_snp
from assay.evidence.snp.table import ARK, ASK, CRL, VCEK, encode_table
from assay.evidence.verification import Unchecked
from assay.verification.opening import open_evidence
from support import vectors
from support.snp_scenes import judge, scene


def extended():
    evidence = scene().finish()
    own = evidence.endorsements
    return evidence, encode_table({ARK: own.root, ASK: own.authority, VCEK: own.vek, CRL: own.crl})


def tsm(report: bytes, table: bytes) -> bytes:
    blobs = {"outblob": b64encode(report).decode(), "auxblob": b64encode(table).decode()}
    return json.dumps({"provider": "sev_guest", "generation": 1, **blobs}).encode()


def test_a_report_is_found_in_what_carries_it():
    evidence, table = extended()
    answer = bytes(4) + (1184).to_bytes(4, "little") + bytes(24) + evidence.report + bytes(2784)
    for data, found in (
        (evidence.report, evidence.report),
        (evidence.report + table, evidence.report + table),
        (answer, evidence.report),
        (tsm(evidence.report, table), evidence.report + table),
    ):
        opened = open_evidence(data)
        assert (opened.platform, opened.evidence) == ("snp", found)
    assert judge(evidence, endorsements=None, report=opened.evidence).bound


@pytest.mark.parametrize("version", [1, 6])
def test_a_report_of_another_version_is_refused_for_its_version(version):
    evidence = scene().finish()
    report = version.to_bytes(4, "little") + evidence.report[4:]
    opened = open_evidence(report)
    result = judge(evidence, report=opened.evidence)
    assert opened.platform == "snp"
    assert {check.code for check in result.ledger.failed()} == {"snp.report.version"}


def packed(**members) -> bytes:
    return cbor.encode({"provider": "sev_guest\n", "generation": 1, **members})


def test_a_report_and_its_table_in_cbor():
    evidence, table = extended()
    opened = open_evidence(packed(outblob=evidence.report, auxblob=table))
    assert (opened.platform, opened.evidence) == ("snp", evidence.report + table)
    assert opened.unverified == ("generation",)
    for aux in ({}, {"auxblob": b""}, {"auxblob": None}):
        assert open_evidence(packed(outblob=evidence.report, **aux)).evidence == evidence.report
    record = cbor.encode(["application/octet-stream", packed(outblob=evidence.report), 4])
    assert open_evidence(record).evidence == evidence.report


@pytest.mark.parametrize(
    "members",
    [
        {"provider": "tdx_guest"},
        {"provider": b"sev_guest"},
        {"outblob": "text"},
        {"outblob": None},
        {"auxblob": "text"},
        {"outblob": b"\x00" * 1184},
    ],
    ids=repr,
)
def test_cbor_that_carries_no_report(members):
    evidence, table = extended()
    with pytest.raises(EvidenceError) as caught:
        open_evidence(packed(**{"outblob": evidence.report, "auxblob": table, **members}))
    assert caught.value.code == "verification.evidence.unrecognised"


def test_what_is_no_carrier_is_not_one():
    evidence, table = extended()
    for data in (
        tsm(evidence.report, table).replace(b"sev_guest", b"tdx_guest"),
        tsm(b"", b""),
        bytes(4) + (1184).to_bytes(4, "little") + bytes(24) + evidence.report + b"\1",
    ):
        with pytest.raises(EvidenceError):
            open_evidence(data)


@pytest.mark.parametrize(
    "name",
    [
        "veraison-services/sevsnp-tsm-report.json",
        "veraison-services/sevsnp-tsm-report.cbor",
        "lit-sev-snp-utils/snp_report_msg_resp.bin",
    ],
)
def test_real_answers(name):
    opened = open_evidence(vectors.read(f"snp/{name}"))
    assert opened.platform == "snp"
    assert "guest's answer" in opened.form


# --- Fields in JSON


def test_a_real_report_in_fields():
    """Integration evidence of Trustee's: a Genoa report of version 3 with its VCEK."""
    opened = open_evidence(vectors.read("trustee/trustee/attestation-service/tests/e2e/evidence.json"))
    (ask,) = certificates(vectors.read("snp/cyntrisec-transport/genoa_ask.pem"), count=1)
    result = verify_snp(
        opened.evidence,
        endorsements=SnpEndorsements(authority=ask),
        roots=Roots.vendor(),
        now=datetime(2026, 3, 1, tzinfo=UTC),
        binding=Unchecked("a stored sample"),
        facts=FactCache(),
    )
    unmet = {check.id for check in result.ledger.unmet()}
    assert unmet == {spec.id for spec in (*checks.CRL_CHECKS, checks.BINDING)}

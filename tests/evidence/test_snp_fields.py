"""SEV-SNP reports that come as fields in JSON: the bytes they were read from, or nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.snp import Product
from assay.evidence.snp.carriers import unwrap
from assay.evidence.snp.products import LAYOUTS
from assay.evidence.snp.report import SnpReport
from assay.evidence.snp.table import ARK, ASK, CRL, VCEK, VLEK, encode_table
from support.snp_scenes import judge, scene


def in_fields(report: bytes, product: Product, certificates=None) -> dict:
    """Return a report as the crate ``sev`` writes its fields."""
    found = SnpReport.parse(report)
    words = {"bl": "bootloader", "ucode": "microcode"}

    def tcb(raw):
        names = LAYOUTS[product].components
        return {"fmc": None} | {words.get(n, n): value for n, value in zip(names, raw, strict=True) if n}

    def version(triple):
        return dict(zip(("major", "minor", "build"), triple, strict=True))

    numbers = {
        name: list(getattr(found, name))
        for name in (
            *("family_id", "image_id", "report_data", "measurement", "host_data", "id_key_digest"),
            *("author_key_digest", "report_id", "report_id_ma", "chip_id"),
        )
    }
    fields = {
        **{name: getattr(found, name) for name in ("version", "guest_svn", "policy", "vmpl")},
        **{f"{name}_tcb": tcb(getattr(found, f"{name}_tcb")) for name in ("current", "reported", "launch")},
        **numbers,
        "committed_tcb": tcb(found.committed_tcb),
        "sig_algo": 1,
        "plat_info": found.platform_info,
        "key_info": int.from_bytes(report[0x48:0x4C], "little"),
        "current": version(found.current_version),
        "committed": version(found.committed_version),
        "launch_mit_vector": found.launch_mitigations,
        "current_mit_vector": found.current_mitigations,
        "signature": {"r": list(report[0x2A0:0x2E8]), "s": list(report[0x2E8:0x330])},
    }
    if found.cpuid is not None:
        fields |= dict(zip(("cpuid_fam_id", "cpuid_mod_id", "cpuid_step"), found.cpuid, strict=True))
    chain = certificates and [{"cert_type": n, "data": list(der)} for n, der in certificates.items()]
    return {"attestation_report": fields, "cert_chain": chain}


SCENES = [
    (Product.MILAN, 2, "vcek"),
    (Product.GENOA, 3, "vlek"),
    (Product.GENOA, 5, "vcek"),
    (Product.TURIN, 4, "vcek"),
    (Product.TURIN, 5, "vlek"),
]


@pytest.mark.parametrize(("product", "version", "kind"), SCENES)
def test_a_report_in_fields_is_put_back_into_its_bytes(product, version, kind):
    stage = scene(product, version, kind)
    stage.report = replace(stage.report, policy=0x3001F, platform_info=0x25, guest_svn=7)
    evidence = stage.finish()
    own = evidence.endorsements
    chain = {"ASK": own.authority, kind.upper(): own.vek, "CRL": own.crl, "ARK": own.root}
    found = unwrap(json.dumps(in_fields(evidence.report, product, chain)).encode())
    table = {ASK: own.authority, VCEK if kind == "vcek" else VLEK: own.vek, CRL: own.crl, ARK: own.root}
    assert found == evidence.report + encode_table(table)
    assert judge(evidence, endorsements=None, report=found).bound
    for none in (None, []):
        bare = {**in_fields(evidence.report, product), "cert_chain": none}
        assert unwrap(json.dumps(bare).encode()) == evidence.report


def test_what_a_report_in_fields_does_not_have_may_be_left_out():
    evidence = scene(Product.MILAN, 2).finish()
    found = in_fields(evidence.report, Product.MILAN)
    report = found["attestation_report"]
    assert "cpuid_step" not in report
    del found["cert_chain"], report["launch_mit_vector"], report["current_tcb"]["fmc"]
    assert unwrap(json.dumps(found).encode()) == evidence.report


def test_a_changed_field_breaks_the_signature():
    evidence = scene().finish()
    found = in_fields(evidence.report, Product.GENOA)
    found["attestation_report"]["measurement"][0] ^= 1
    result = judge(evidence, report=unwrap(json.dumps(found).encode()))
    assert {check.code for check in result.ledger.failed()} == {"snp.report.signature"}


def test_other_entries_of_a_chain_are_passed_over():
    evidence = scene().finish()
    found = in_fields(evidence.report, Product.GENOA)
    other = {"cert_type": {"OTHER": "00000000-0000-0000-0000-000000000001"}, "data": [1]}
    found["cert_chain"] = [other, {"cert_type": "Empty", "data": []}]
    assert unwrap(json.dumps(found).encode()) == evidence.report


def put(*path_and_value):
    *path, name, value = path_and_value

    def spoil(found):
        for step in path:
            found = found[step]
        found[name] = value

    return spoil


ENTRY = {"cert_type": "VCEK", "data": [1]}


@pytest.mark.parametrize(
    "spoil",
    [
        put("more", 1),
        put("attestation_report", []),
        put("attestation_report", "more", 1),
        put("attestation_report", "version", "3"),
        put("attestation_report", "version", True),
        put("attestation_report", "policy", -1),
        put("attestation_report", "vmpl", 1 << 32),
        put("attestation_report", "cpuid_step", 256),
        put("attestation_report", "chip_id", [0] * 63),
        put("attestation_report", "chip_id", [256] * 64),
        put("attestation_report", "chip_id", [True] * 64),
        put("attestation_report", "chip_id", "00" * 64),
        put("attestation_report", "launch_tcb", {}),
        put("attestation_report", "launch_tcb", "more", 1),
        put("attestation_report", "launch_tcb", "fmc", "1"),
        put("attestation_report", "current", "more", 1),
        put("attestation_report", "committed", "build", None),
        put("attestation_report", "signature", "more", []),
        put("cert_chain", {}),
        put("cert_chain", ""),
        put("cert_chain", [ENTRY] * 2),
        put("cert_chain", [{"cert_type": "Empty", "data": []}] * 17),
        put("cert_chain", [{**ENTRY, "more": 1}]),
        put("cert_chain", [{**ENTRY, "data": "AQ=="}]),
        put("cert_chain", [1]),
    ],
)
def test_what_is_no_report_in_fields(spoil):
    found = in_fields(scene().finish().report, Product.GENOA)
    spoil(found)
    with pytest.raises(JsonError):
        unwrap(json.dumps(found).encode())

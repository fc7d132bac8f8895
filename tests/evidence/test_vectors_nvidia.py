"""Every case and entry of the family nvidia that is no token reaches the result stated for it.

Each word of a stated result is mapped here, explicitly, to what this verifier says; a word or field without
an entry fails the test. No published sample has OCSP answers: revocation is unchecked in all of them, and
nothing here is authentic.
"""

from __future__ import annotations

import json
from base64 import b64decode
from itertools import pairwise

import pytest

from assay.evidence.dcap.quote import parse_quote
from assay.evidence.decoding.pem import PemError, certificates
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.nvidia import GoldenMeasurements, NvidiaEndorsements, checks, opaque
from assay.evidence.nvidia.chains import verify_device_chain
from assay.evidence.nvidia.composite import NonceShape, check_gpu_nonce, head_nonce
from assay.evidence.nvidia.containers import read_container
from assay.evidence.nvidia.opaque import OpaqueData
from assay.evidence.nvidia.spdm import parse_report
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import issue_defect
from assay.reference.rim import checks as rim_checks
from support import vectors
from support.nvidia_vectors import judge, manifest, moment

NAMES = {"550403": "CN", "55040a": "O", "550406": "C", "550407": "L", "550408": "ST", "550405": "2.5.4.5"}
# What is not checked in any published sample, for want of OCSP answers and of manifests.
ABSENT = {"nvidia.ocsp.missing", "nvidia.golden.missing", "nvidia.binding.unchecked"}
REPORT_WORDS = {
    "SPDM measurement signature VALID": (checks.REPORT_SIGNATURE, Outcome.PASSED),
    "SPDM measurement signature INVALID": (checks.REPORT_SIGNATURE, Outcome.FAILED),
    "device chain VALID": (checks.CHAIN_SIGNATURE, Outcome.PASSED),
}
RIM_FAILURES = {
    "XMLDSig VALID": set(),
    "INVALID: reference_digest_ok": {"rim.digest"},
    "INVALID: signature_ok": {"rim.signature"},
}


def subject(certificate: GeneralCertificate) -> str:
    return ",".join(f"{NAMES[oid.hex()]}={text}" for oid, text in reversed(certificate.names))


def roots_of(case) -> Roots:
    """The pinned roots, which the root of the case must be among."""
    (der,) = certificates(vectors.read(case["files"]["root"]), count=1)
    assert der in {root.der for root in Roots.vendor().entries}
    return Roots.vendor()


def unpem(data: bytes) -> list[bytes]:
    for count in range(1, 7):
        try:
            return list(certificates(data, count=count))
        except PemError:
            continue
    raise AssertionError("no strict chain")


# --- Cases


def devices_stated(result: str) -> int:
    """Return how many devices a result speaks of; every word of it must be known."""
    words = [word.strip() for word in result.split(";")]
    number, rest = words[0].split(" ", 1)
    assert rest == "device(s): all signatures, nonces and chains VALID"
    assert words[1:] in ([], ["certificate status HOLD per upstream (needs OCSP)"])
    return int(number)


@pytest.mark.parametrize("case", vectors.cases("nvidia-verify"), ids=lambda case: case["id"])
def test_case_of_evidence(case):
    files, stated, at = case["files"], case["expected"]["result"], moment(case["valid_at"])
    evidence = vectors.read(files["evidence"])
    if "chain" in files:
        result = judge(evidence, at, chain=vectors.read(files["chain"]), roots=roots_of(case))
        for word in (word.strip() for word in stated.split(";")):
            spec, outcome = REPORT_WORDS[word]
            assert result.ledger[spec.id].outcome is outcome
        intact(result, signed="INVALID" not in stated)
    else:
        nonce = bytes.fromhex(json.loads(evidence)[0]["nonce"])
        result = judge(evidence, at, roots=roots_of(case), binding=Expected(nonce))
        assert len(result.decoded["devices"]) == devices_stated(stated)
        assert result.ledger[checks.BINDING.id].outcome is Outcome.PASSED
        intact(result, signed=True, same_device="multi_switch" in files["evidence"])
    assert not result.authentic
    assert not result.simulated
    vectors.record("nvidia", "nvidia-verify")


def intact(result, *, signed: bool, same_device: bool = False) -> None:
    """Demand that nothing is wrong but what the sample lacks."""
    expected = set() if signed else {"nvidia.report.signature"}
    if same_device:
        # The published list of four switches holds one switch four times.
        expected.add("nvidia.set.distinct")
    assert {check.code for check in result.ledger.failed()} == expected
    if signed:
        unmade = {check.code for check in result.ledger.unmet()} - expected
        assert unmade <= ABSENT | {"nvidia.set.switches.missing"}
    assert result.anchor is not None
    assert result.anchor.name == "NVIDIA Device Identity CA"


@pytest.mark.parametrize("case", vectors.cases("rim-verify"), ids=lambda case: case["id"])
def test_case_of_a_manifest(case):
    found = manifest(vectors.read(case["files"]["rim"]), moment(case["valid_at"]), roots=roots_of(case))
    check_manifest(found, case["expected"]["result"])
    assert set(case["expected"]) == {"result", "golden"}
    assert len(found.manifest.values) == case["expected"]["golden"]
    vectors.record("nvidia", "rim-verify")


def check_manifest(found, stated: str) -> None:
    assert {check.code for check in found.ledger.failed()} == RIM_FAILURES[stated]
    unmet = {check.code for check in found.ledger.unmet()}
    assert unmet == RIM_FAILURES[stated] | {"rim.revocation.missing"}
    assert not found.verified
    assert found.anchor.name == "NVIDIA CoRIM signing Root CA"
    assert not found.anchor.simulated


# --- Entries


def check_rim(entry):
    expected = entry["expected"]
    found = manifest(vectors.read(entry["file"]), moment(expected["valid_at"]))
    check_manifest(found, expected["result"])
    said, chain = found.manifest, [GeneralCertificate.parse(der) for der in found.manifest.certificates]
    windows = [certificate.window for certificate in chain]
    values = {
        "name": said.name,
        "tagId": said.tag_id,
        "version": said.version,
        "colloquialVersion": said.colloquial_version,
        "product": said.product,
        "golden_measurements": len(said.values),
        "active_measurements": len(said.active),
        "sig_alg": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
        "cert_count": len(chain),
        "leaf": subject(chain[0]),
        "root": subject(chain[-1]),
        "root_sha256": found.anchor.fingerprint.hex(),
        "chain_signatures_ok": passed(found, rim_checks.CHAIN_SIGNATURE),
        "chain_valid_from": max(window.start for window in windows).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chain_valid_to": min(window.end for window in windows).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signature_ok": passed(found, rim_checks.SIGNATURE),
        "transforms": ["xmldsig#enveloped-signature", "xml-c14n11"],
        "reference_digest_ok": passed(found, rim_checks.DIGEST),
    }
    assert values == expected["key_fields"]
    assert passed(found, rim_checks.FORM)


def passed(found, spec) -> bool:
    return found.ledger[spec.id].outcome is Outcome.PASSED


def chain_fields(ders: list[bytes]) -> dict:
    chain = [GeneralCertificate.parse(der) for der in ders]
    last = chain[-1]
    linked = all(issue_defect(child, issuer, "certificate") is None for child, issuer in pairwise(chain))
    return {
        "count": len(chain),
        "subjects": [subject(certificate) for certificate in chain],
        "sha256": [vectors.hashlib.sha256(der).hexdigest() for der in ders],
        "valid_from": max(each.window.start for each in chain).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "valid_to": min(each.window.end for each in chain).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "self_signed_last": issue_defect(last, last, "certificate") is None,
        "linked": linked,
    }


def check_certificate(entry):
    (der,) = unpem(vectors.read(entry["file"]))
    assert entry["expected"]["result"] == "parsed"
    assert chain_fields([der]) == entry["expected"]["key_fields"]
    pinned = der in {root.der for root in (*Roots.vendor().of("nvidia"), *Roots.vendor().of("nvidia-rim"))}
    assert pinned is entry["expected"]["key_fields"]["self_signed_last"]


CHAIN_WORDS = {"parsed; chain linked": True, "parsed; chain NOT linked in file order": False}


def check_chain(entry):
    expected, text = entry["expected"], vectors.read(entry["file"])
    fields, stated = chain_fields(unpem(text)), dict(expected["key_fields"])
    nv = stated.pop("nv")
    assert fields == stated
    assert fields["linked"] is CHAIN_WORDS[expected["result"]] is nv["chain_signatures_ok"]
    assert nv == nv_fields(fields)
    outcomes, chain = verify_device_chain(text, Roots.vendor(), moment(expected["valid_at"]), FactCache())
    # A chain without its firmware or without a link is none, whatever still fits together in it.
    assert (chain is not None) is (fields["linked"] and fields["count"] == 5)
    if chain is None:
        assert [check.code for check in outcomes.failed()] == ["nvidia.chain.layout"]
    else:
        assert not outcomes.unmet()
        assert not chain.fwid_defect


def nv_fields(fields: dict) -> dict:
    return {
        "n": fields["count"],
        "leaf": fields["subjects"][0],
        "root": fields["subjects"][-1],
        "root_sha256": fields["sha256"][-1],
        "chain_signatures_ok": fields["linked"],
        "valid_from": fields["valid_from"],
        "valid_to": fields["valid_to"],
    }


def check_report(entry):
    expected, data = entry["expected"], vectors.read(entry["file"])
    own = [name for name in entry.get("related", ()) if name.endswith(".pem")]
    text = vectors.read((own or ["nvidia/nv-attestation-sdk/switch_chain.pem"])[0])
    result = judge(data, moment(expected["valid_at"]), chain=text)
    for word in (word.strip() for word in expected["result"].split(";")):
        spec, outcome = REPORT_WORDS[word]
        assert result.ledger[spec.id].outcome is outcome
    report = parse_report(data)
    fields = OpaqueData(data, *report.opaque).fields
    start, end = report.opaque
    said = {
        "req_spdm_version": hex(data[0]),
        "req_code": hex(data[1]),
        "nonce_requester": report.nonce.hex(),
        "slot_param": data[36],
        "resp_spdm_version": hex(data[37]),
        "resp_code": hex(data[38]),
        "number_of_blocks": data[41],
        "measurement_record_len": 55 * len(report.measurements),
        "measurement_count": len(report.measurements),
        "first_measurements": [
            {"index": index, "value_type": 1, "value": value.hex()}
            for index, value in list(report.measurements.items())[:3]
        ],
        "nonce_responder": data[start - 34 : start - 2].hex(),
        "opaque_len": end - start,
        "sig_len": len(data) - end,
        "signature_ok": passed(result, checks.REPORT_SIGNATURE),
        "chain": nv_fields(chain_fields(unpem(text))),
    }
    texts = {"driver_version": opaque.DRIVER_VERSION, "project": 17, "project_sku": 18, "board_id": 14}
    for name, number in texts.items():
        if number in fields:
            said[name] = fields[number].rstrip(b"\0").decode("latin-1")
    if opaque.FWID in fields:
        said["fwid"] = fields[opaque.FWID].hex()
    said["vbios_version"] = fields[opaque.VBIOS_VERSION].hex()
    assert said == expected["key_fields"]


def check_container(entry):
    expected, evidence = entry["expected"], vectors.read(entry["file"])
    assert len(expected["key_fields"]["devices"]) == devices_stated(expected["result"])
    result = judge(evidence, moment(expected["valid_at"]))
    devices, regions = read_container(evidence)
    assert result.unsigned == regions
    found = []
    for device in devices:
        alone = judge(device.report, moment(expected["valid_at"]), chain=device.chain)
        leaf = GeneralCertificate.parse(certificates(device.chain, count=5)[0])
        report = parse_report(device.report)
        found.append(
            {
                "arch": device.stated["arch"],
                "signature_ok": passed(alone, checks.REPORT_SIGNATURE),
                "nonce": report.nonce.hex(),
                "nonce_match": device.stated["nonce"] == report.nonce.hex(),
                "driver": alone.decoded["devices"][0]["driver_version"] or None,
                "vbios": device.stated.get("vbios_version"),
                "measurements": len(report.measurements),
                "chain_ok": passed(alone, checks.CHAIN_SIGNATURE),
                "leaf": subject(leaf),
            }
        )
    assert found == expected["key_fields"]["devices"]
    assert passed(result, checks.STATEMENT)


def check_bundle(entry):
    """The part of a bundle that is no token: the GPU's nonce is the CPU's report data."""
    value = json.loads(vectors.read(entry["file"]))
    quote = parse_quote(b64decode(value["tdx"]["quote_b64"]), "tdx")
    report_data = quote.body.report_data
    assert report_data.hex() == value["tdx"]["report_data"]
    stated = [jwt["eat_nonce"] for jwt in entry["expected"]["key_fields"]["jwts"] if "eat_nonce" in jwt]
    devices = [device["eat_nonce"] for device in value["claims"]["devices"].values()]
    nonces = [bytes.fromhex(nonce) for nonce in (*stated, *devices)]
    assert {head_nonce(report_data)} == set(nonces)
    shape = NonceShape.REPORT_DATA_HEAD
    assert check_gpu_nonce(nonces, shape, report_data=report_data, encoding=None).outcome is Outcome.PASSED


def check_claims(entry):
    """What two other verifiers said of one published report, against what is read of it here."""
    assert entry["expected"]["result"] == "data (not independently verified)"
    value = json.loads(vectors.read(entry["file"]))
    data = vectors.read("nvidia/nvtrust/hopper_report.bin")
    chain = vectors.read("nvidia/nvtrust/hopper_chain.pem")
    result = judge(data, moment(None), chain=chain)
    report = parse_report(data)
    fields = OpaqueData(data, *report.opaque).fields
    (device,) = result.decoded["devices"]
    names = entry["expected"]["key_fields"].get("json_keys")
    if names is None:
        config = value["config"]
        assert value["measurements"] == {str(i): digest.hex() for i, digest in report.measurements.items()}
        assert config["fwid"] == fields[opaque.FWID].hex()
        assert (config["project"], config["project_sku"], config["chip_sku"]) == ("1010", "0200", "882")
        version = config["vbios_version"]
        driver = config["driver_version"]
    else:
        assert list(value) == names
        claims = value["GPU-0"]
        leaf = GeneralCertificate.parse(certificates(chain, count=5)[0])
        assert int(claims["ueid"]) == int.from_bytes(leaf.serial, "big")
        assert claims["eat_nonce"] == report.nonce.hex()
        version, driver = claims["x-nvidia-gpu-vbios-version"], claims["x-nvidia-gpu-driver-version"]
    assert version.upper() == device["vbios_version"]
    assert driver == device["driver_version"]


CHECKERS = {
    "nvidia-rim": check_rim,
    "x509": check_certificate,
    "nvidia-cert-chain": check_chain,
    "nvidia-gpu-report": check_report,
    "nvidia-evidence-json": check_container,
    "gpu+tdx-bundle": check_bundle,
    "expected-claims": check_claims,
}
TOKENS = {"nvidia-nras-eat", "nvattest-output"}  # have tests of their own
ENTRIES = [entry for entry in vectors.entries("nvidia") if entry["kind"] not in TOKENS]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_entry(entry):
    assert vectors.pinned(entry)
    CHECKERS[entry["kind"]](entry)
    vectors.record("nvidia", entry["kind"])


# --- Beyond what is stated


def golden_of(name: str, at) -> GoldenMeasurements:
    """The values of a genuine manifest, whose revocation nobody can check any more."""
    found = manifest(vectors.read(name), at)
    said = found.manifest
    window = GeneralCertificate.parse(said.certificates[0]).window
    return GoldenMeasurements(
        product=said.product,
        version=said.colloquial_version,
        manifest_id=said.tag_id,
        active={index: said.values[index] for index in said.active},
        listed=frozenset(said.values),
        anchor=found.anchor,
        window=window,
        held=False,
        digest=bytes(32),
        responder_unasked=False,
        fresh=False,
    )


def test_a_real_switch_measures_what_its_real_manifest_says():
    at = moment("2026-06-01T00:00:00Z")
    golden = golden_of(
        "nvidia/nv-attestation-sdk/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml", at
    )
    report = vectors.read("nvidia/nv-attestation-sdk/switch_report.bin")
    chain = vectors.read("nvidia/nv-attestation-sdk/switch_chain.pem")
    result = judge(report, at, given=NvidiaEndorsements(chain=chain, firmware=(golden,)))
    for spec in checks.GOLDEN_CHECKS:
        assert result.ledger[spec.id].outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE), spec
    assert {check.code for check in result.ledger.unmet()} == {
        "nvidia.ocsp.missing",
        "nvidia.binding.unchecked",
    }


def test_a_real_gpu_is_not_compared_with_another_drivers_manifest():
    at = moment("2025-12-30T16:56:50Z")
    driver = golden_of("nvidia/nv-attestation-sdk/NV_GPU_DRIVER_GH100_550.144.03.xml", at)
    result = judge(
        vectors.read("nvidia/nvtrust/hopper_report.bin"),
        at,
        given=NvidiaEndorsements(
            chain=vectors.read("nvidia/nvtrust/hopper_chain.pem"), drivers=(driver,), firmware=()
        ),
    )
    assert [check.code for check in result.ledger.failed()] == ["nvidia.golden.driver"]


def test_a_firmware_root_is_no_manifest_root():
    at = moment("2025-12-30T16:56:50Z")
    device_roots = Roots(Roots.vendor().of("nvidia"))
    found = manifest(
        vectors.read("nvidia/nv-attestation-sdk/NV_GPU_DRIVER_GH100_550.144.03.xml"), at, roots=device_roots
    )
    assert [check.code for check in found.ledger.failed()] == ["rim.chain.root"]

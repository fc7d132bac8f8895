"""Files that hold no evidence: each is called what it is, and says how to go on."""

from __future__ import annotations

import base64
import json
import struct
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from assay.endorsements.bundle import Bundle
from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.reference import corim
from assay.reference.manifest import PAYLOAD_TYPE
from assay.reference.values import Measured
from assay.simulator.nvidia.answers import answers
from assay.simulator.nvidia.manifest import manifest
from assay.simulator.tpm.device import SoftwareTpm, sized
from assay.simulator.tpm.logs import SystemLog, ascii_log
from assay.verification.opening import MAX_EVIDENCE_BYTES, open_bundle
from support import vectors
from support.eventlog_writer import write_log
from support.nvidia_scenes import NOW, NVIDIA, scene
from support.tpm_scenes import ak, draft, machine

BOOTED = machine()
ATTEST = draft().quote.attest()
KEY = ec.derive_private_key(7, ec.SECP256R1())
VALUES = Measured("tdx", {"mr_td": frozenset({bytes(48)})})


def systemd() -> bytes:
    log = SystemLog()
    log.measure(SoftwareTpm(ak("p256")), 11, "enter-initrd")
    return log.encode()


def revocation_list(encoding: Encoding) -> bytes:
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")]))
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.public_key()), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
        .sign(KEY, hashes.SHA256())
        .public_bytes(encoding)
    )


def answer() -> bytes:
    return next(iter(answers(NVIDIA, scene().devices[0].chain(), NOW))).sign().response


LOGS = {
    "firmware's": BOOTED.firmware.encode(),
    "firmware's, cut": BOOTED.firmware.encode()[:-1],
    "firmware's, old": BOOTED.firmware.encode_legacy(),
    "a TD's": write_log([(0, 1, b"an event")]),
    "launcher's": BOOTED.launcher.encode(),
    "systemd's": systemd(),
    "kernel's": BOOTED.kernel.encode(),
    "kernel's, SHA-256": BOOTED.kernel.encode(Algorithm.SHA256),
    "kernel's, text": ascii_log(BOOTED.kernel.entries[:1], ["sha256:" + "00" * 32 + " boot_aggregate"]),
    "dstack's, the least": json.dumps([{"imr": 3, "digest": ""}]).encode(),
    "canonical, the least": json.dumps([{"recnum": 0, "digests": []}]).encode(),
    "old, of the last register": struct.pack("<II20sI", 23, 8, bytes(20), 0),
    "dstack's": json.dumps([{"imr": 3, "event_type": 1, "digest": "00" * 48}]).encode(),
    "canonical, JSON": json.dumps([{"recnum": 0, "pcr": 1, "digests": []}]).encode(),
}
VOUCHING = {
    "list": revocation_list(Encoding.DER),
    "list, PEM": revocation_list(Encoding.PEM),
    "status": answer(),
    "manifest": manifest(NVIDIA, "HOPPER", "driver", "550.90.07").sign(),
    "manifest, late": b"<a>".ljust(512 - 16) + b"SoftwareIdentity",
    "bundle": Bundle(NOW, ()).encode(),
    "TCB info": b'{"tcbInfo": {}, "signature": "00"}',
    "QE identity": b'{"enclaveIdentity": {}, "signature": "00"}',
    "collateral": b'{"tcb_info": "", "qe_identity": "", "pck_crl": ""}',
    "keys": b'{"keys": []}',
}
EXPECTED = {
    "enclave image": b".eif" + bytes(600),
    "CoRIM": corim.encode(VALUES, tag_id="t", vendor="v", model="m"),
    "CoRIM, signed": corim.sign(corim.encode(VALUES, tag_id="t", vendor="v", model="m"), KEY, signer="s"),
    "Reference Values": json.dumps({"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": []}).encode(),
}
HALVES = {
    "hcl_alone": b"HCLA" + bytes(2596),
    "quote_alone": ATTEST,
    "local_report": bytes.fromhex("81000100") + bytes(1020),
}
FILES = {
    **{f"log: {name}": (data, "log_alone") for name, data in LOGS.items()},
    **{f"endorsement: {name}": (data, "endorsement") for name, data in VOUCHING.items()},
    **{f"values: {name}": (data, "values") for name, data in EXPECTED.items()},
    **{name: (data, name) for name, data in HALVES.items()},
    "quote_alone, sized": (sized(ATTEST), "quote_alone"),
    "local_report, TDX 1.0": (bytes.fromhex("81000000") + bytes(1020), "local_report"),
}


def refused(data: bytes) -> EvidenceError:
    with pytest.raises(EvidenceError) as caught:
        open_bundle(data)
    return caught.value


@pytest.mark.parametrize(("data", "code"), FILES.values(), ids=FILES)
def test_it_is_called_what_it_is(data, code):
    error = refused(data)
    assert error.code == f"verification.evidence.{code}"
    assert error.action


@pytest.mark.parametrize("written", [lambda data: data.hex().encode(), base64.encodebytes])
@pytest.mark.parametrize("name", ["log: firmware's", "log: kernel's", "endorsement: list", "quote_alone"])
def test_its_text_is_called_the_same(name, written):
    data, code = FILES[name]
    assert refused(written(data)).code == f"verification.evidence.{code}"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (LOGS["firmware's"] + bytes(MAX_EVIDENCE_BYTES), "log_alone"),
        (LOGS["kernel's"] * (MAX_EVIDENCE_BYTES // len(LOGS["kernel's"]) + 1), "log_alone"),
        (b".eif" + bytes(MAX_EVIDENCE_BYTES), "values"),
        (b"HCLB" + bytes(MAX_EVIDENCE_BYTES), "oversized"),
    ],
)
def test_its_size_hides_nothing(data, code):
    assert refused(data).code == f"verification.evidence.{code}"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"keys": [], "vm-configuration": {}}', "verification.answer.unrecognised"),
        (b'{"tcbInfo": {}}', "verification.answer.unrecognised"),
        (b'[{"imr": 3}]', "verification.evidence.unrecognised"),
        (b"[7]", "verification.evidence.unrecognised"),
        (LOGS["firmware's, old"][:-1], "verification.evidence.unrecognised"),
        (struct.pack("<II20sI", 24, 8, bytes(20), 0), "verification.evidence.unrecognised"),
        (LOGS["launcher's"][:-1], "verification.evidence.unrecognised"),
        (LOGS["kernel's"][:-1], "verification.evidence.unrecognised"),
        (sized(ATTEST) + b"\0", "verification.evidence.unrecognised"),
        (HALVES["local_report"] + b"\0", "verification.evidence.unrecognised"),
        (VOUCHING["list"][:-1], "verification.evidence.unrecognised"),
        (b"<a>" + b" " * 600 + VOUCHING["manifest"], "verification.evidence.unrecognised"),
        (b"<a>".ljust(512 - 15) + b"SoftwareIdentity", "verification.evidence.unrecognised"),
        (b"<html></html>", "verification.evidence.unrecognised"),
        (b"\xd2\x84\x40\xa0\x40\x40", "verification.evidence.unrecognised"),
    ],
)
def test_what_resembles_it_is_not(data, code):
    assert refused(data).code == code


def test_real_ones_are_called_what_they_are():
    for code, names in {
        "log_alone": (
            "tpm-ima/immune-guard/windows_event_log.bin",
            "tdx/coco-trustee/CCEL_data_ovmf.bin",
            "gcp-vtpm/confidential-space/cel_launch_event_log.bin",
            "dstack/dstack-history/sdk_simulator_eventlog.json",
        ),
        "endorsement": ("snp/cyntrisec-transport/genoa_crl.der", "tdx/automata-dcap/1025_tcb_info.json"),
        "quote_alone": ("azure/coco-trustee/az-snp-tpm-quote.msg",),
        "values": ("nitro/generated-eif/minimal_1ramdisk.eif",),
    }.items():
        for name in names:
            assert refused(vectors.read(name)).code == f"verification.evidence.{code}", name

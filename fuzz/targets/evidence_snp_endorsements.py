"""Certificate tables, chains, THIM answers, CRLs and carriers of SEV-SNP reports, from outside."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import encode
from assay.evidence.snp import Product, SnpEndorsements
from assay.evidence.snp.carriers import unwrap
from assay.evidence.snp.table import ARK, ASK, VCEK, encode_table
from assay.evidence.snp.vek import VekExtensions
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.amd.scene import SnpScene

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return one of each."""
    amd = SimulatedAmd(b"\x0f" * 32, bits=2048)
    scene = SnpScene(amd, Product.TURIN, 5, "vcek", NOW, bytes(64))
    scene.crl.revoked += [1, 2**64]
    evidence = scene.finish()
    own = evidence.endorsements
    vek, ask, ark, crl = own.vek or b"", own.authority or b"", own.root or b"", own.crl or b""
    provider = SnpScene(amd, Product.MILAN, 2, "vlek", NOW, bytes(64))
    thim = {"vcekCert": encode(vek).decode(), "certificateChain": encode(ask, ark).decode()}
    tsm = {"provider": "sev_guest", "outblob": b64encode(evidence.report).decode(), "auxblob": ""}
    version, number = {"major": 1, "minor": 55, "build": 40}, {"policy": 0x30000, "plat_info": 37}
    tcb = {"fmc": 1, "bootloader": 1, "tee": 1, "snp": 4, "microcode": 81}
    fields = (
        dict.fromkeys(("guest_svn", "vmpl", "sig_algo", "key_info", "cpuid_fam_id", "launch_mit_vector"), 0)
        | {name: [0] * 16 for name in ("family_id", "image_id")}
        | {name: [0] * 32 for name in ("host_data", "report_id", "report_id_ma")}
        | {name: [0] * 48 for name in ("measurement", "id_key_digest", "author_key_digest")}
        | {name: [0] * 64 for name in ("report_data", "chip_id")}
        | dict.fromkeys(("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"), tcb)
        | {"version": 5, "current": version, "committed": version, "cpuid_step": None, **number}
        | {"signature": {"r": [1] * 72, "s": [1] * 72}}
    )
    chain = [{"cert_type": "VCEK", "data": list(vek)}, {"cert_type": {"OTHER": ""}, "data": []}]
    return [
        json.dumps({"attestation_report": fields, "cert_chain": chain}).encode(),
        vek,
        provider.vek.sign(),
        crl,
        encode(vek, ask, ark),
        encode_table({VCEK: vek, ASK: ask, ARK: encode(ark)}),
        json.dumps(thim).encode(),
        json.dumps(tsm).encode(),
        bytes(4) + (1184).to_bytes(4, "little") + bytes(24) + evidence.report + bytes(64),
    ]


def target(data: bytes) -> None:
    """Decode the data as each of them."""
    readers = (
        SnpEndorsements.from_pem,
        SnpEndorsements.from_table,
        SnpEndorsements.from_thim,
        GeneralRevocationList.parse,
        unwrap,
    )
    for read in readers:
        try:
            read(data)
        except EvidenceError:
            continue
    try:
        certificate = GeneralCertificate.parse(data)
    except DerError:
        return
    for kind in ("vcek", "vlek"):
        try:
            VekExtensions.parse(certificate.extensions, "vcek" if kind == "vcek" else "vlek")
        except DerError:
            continue

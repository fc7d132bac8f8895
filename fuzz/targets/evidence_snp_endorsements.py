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
    return [
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

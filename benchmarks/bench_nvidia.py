"""NVIDIA evidence and manifests: against the bare cryptography under them, in one run.

The floors do nothing but what cannot be left out. Warm: one ECDSA P-384 verification under a key that is
loaded. Cold: four certificates, three OCSP answers with their responders' certificates, and the report; with
the parsing by ``cryptography``, without roles, measurements, manifests, policy or ledger.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificates
from cryptography.x509.ocsp import load_der_ocsp_response

from assay.evidence.facts import FactCache
from assay.evidence.nvidia import NvidiaEndorsements, verify_nvidia
from assay.evidence.ocsp import HoldPolicy
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.reference.rim import verify_rim
from assay.simulator.nvidia import Scene, SimulatedNvidia
from table import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterable

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
REPORTS = 16
ALGORITHM = ec.ECDSA(SHA384())


def public_key(certificate: Any) -> ec.EllipticCurvePublicKey:
    found = certificate.public_key()
    assert isinstance(found, ec.EllipticCurvePublicKey)
    return found


class Bench:
    """Reports of one simulated GPU, everything that goes with them, and what is timed."""

    def __init__(self) -> None:
        nvidia = SimulatedNvidia(bytes(32))
        self.roots = Roots.vendor()
        for name, der, vendor in nvidia.anchors:
            self.roots = self.roots.with_anchor(name, der, vendor=vendor)
        scenes = [Scene(nvidia, AT, bytes([n]) * 32) for n in range(REPORTS)]
        self.reports = [(scene.report.sign(), Expected(scene.nonce)) for scene in scenes]
        self.turn = itertools.cycle(self.reports)
        evidence = scenes[0].finish()
        self.manifest = evidence.drivers[0]
        self.chain = scenes[0].report.pem()
        self.facts = FactCache()
        self.ocsp = evidence.ocsp
        self.given = NvidiaEndorsements(
            chain=self.chain,
            ocsp=evidence.ocsp,
            drivers=tuple(self.rim(item, FactCache()).golden for item in evidence.drivers),
            firmware=tuple(self.rim(item, FactCache()).golden for item in evidence.firmware),
        )
        self.key = public_key(load_pem_x509_certificates(self.chain)[0])

    def rim(self, signed: Any, facts: FactCache) -> Any:
        return verify_rim(
            signed.document,
            ocsp=signed.ocsp,
            roots=self.roots,
            now=AT,
            hold=HoldPolicy.REFUSE,
            facts=facts,
        )

    def verify(self, facts: FactCache) -> Any:
        report, binding = next(self.turn)
        return verify_nvidia(
            report, endorsements=self.given, roots=self.roots, now=AT, binding=binding, facts=facts
        )

    def warm(self) -> None:
        assert self.verify(self.facts).bound

    def cold(self) -> None:
        assert self.verify(FactCache()).bound

    def floor(self) -> None:
        report, _ = next(self.turn)
        bare(self.key, report[-96:], report[:-96])

    def cold_floor(self) -> None:
        chain = load_pem_x509_certificates(self.chain)
        keys = [public_key(found) for found in chain]
        for found, key in zip(chain[:-1], keys[1:], strict=True):
            key.verify(found.signature, found.tbs_certificate_bytes, ALGORITHM)
        for reply, issuer in zip(self.ocsp, keys[2:], strict=True):
            found = load_der_ocsp_response(reply.response)
            (responder,) = found.certificates
            issuer.verify(responder.signature, responder.tbs_certificate_bytes, ALGORITHM)
            public_key(responder).verify(found.signature, found.tbs_response_bytes, ALGORITHM)
        report, _ = next(self.turn)
        bare(keys[0], report[-96:], report[:-96])

    def manifest_cold(self) -> None:
        assert self.rim(self.manifest, FactCache()).verified

    def manifest_warm(self) -> None:
        assert self.rim(self.manifest, self.facts).verified

    def manifest_floor(self) -> None:
        """The ten verifications of a manifest: three certificates, three answers of two each, and its own."""
        signed = self.rim(self.manifest, self.facts).manifest
        chain = [load_der_x509_certificate(der) for der in signed.certificates]
        keys = [public_key(found) for found in chain]
        for found, key in zip(chain[:-1], keys[1:], strict=True):
            key.verify(found.signature, found.tbs_certificate_bytes, ALGORITHM)
        for reply, issuer in zip(self.manifest.ocsp, keys[1:], strict=True):
            answer = load_der_ocsp_response(reply.response)
            (responder,) = answer.certificates
            issuer.verify(responder.signature, responder.tbs_certificate_bytes, ALGORITHM)
            public_key(responder).verify(answer.signature, answer.tbs_response_bytes, ALGORITHM)
        bare(keys[0], signed.signature, signed.signed_info)


def bare(key: ec.EllipticCurvePublicKey, raw: bytes, signed: bytes) -> None:
    der = encode_dss_signature(int.from_bytes(raw[:48], "big"), int.from_bytes(raw[48:], "big"))
    key.verify(der, signed, ALGORITHM)


def rows() -> Iterable[Row]:
    bench = Bench()
    one, warm = "one ECDSA P-384 verification", "NVIDIA evidence, warm"
    # One call at a time and many of them: of five in a row one is always interrupted on a busy machine, which
    # costs the verifier more than the bare verification, and made the ratio anything from 1.14 to 1.40.
    found = interleaved({one: bench.floor, warm: bench.warm}, rounds=301, untimed=1)
    yield row(one, found, note="key loaded, raw signature")
    yield row(warm, found, against=one, at_most=1.3, note="same GPU, new report each time")
    floor, cold = "eleven verifications, least parsing", "NVIDIA evidence, cold"
    slow = {floor: bench.cold_floor, cold: bench.cold}
    found = interleaved(slow, rounds=41)
    yield row(floor, found, note="chain, three OCSP answers, report")
    yield row(cold, found, against=floor, at_most=1.35, note="empty cache, verified manifests")
    base, manifest, known = "ten verifications of a manifest", "manifest, cold", "manifest, warm"
    found = interleaved(
        {base: bench.manifest_floor, manifest: bench.manifest_cold, known: bench.manifest_warm}, rounds=41
    )
    yield row(base, found, note="without XML")
    yield row(manifest, found, against=base)
    yield row(known, found, note="XML and its canonical form")


def row(key: str, found: dict[str, tuple[float, int]], *, name: str = "", **bounds: Any) -> Row:
    seconds, samples = found[key]
    return Row(name or key, seconds, samples, **bounds)

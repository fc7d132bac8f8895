"""TDX evidence: against the bare cryptography under it, and against another verifier, in one run.

The floors do nothing but what cannot be left out. Warm: load the attestation key, one ECDSA verification.
Cold: nine of them and the parsing, without roles, revocation, levels, policy or ledger; once the same one,
and once the least that gives nine keys, with other parsers.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import multiprocessing
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dcap_qvl
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_crl, load_pem_x509_certificates

from assay.appraisal import Context, Policy, appraise
from assay.evidence.dcap import verify_quote
from assay.evidence.dcap.documents import parse_qe_identity, parse_tcb_info
from assay.evidence.dcap.pck import OID_SGX_EXTENSION, PckExtension
from assay.evidence.dcap.quote import parse_quote
from assay.evidence.decoding.pem import certificates
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.evidence.x509.certificate import Certificate
from assay.evidence.x509.crl import RevocationList
from assay.simulator.intel import Installation
from table import Row, interleaved, smoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
QUOTES = 64
CORES = 2
ALGORITHM = ec.ECDSA(SHA256())
CURVE = ec.SECP256R1()
POLICY = b"""
version = 1
platforms = ["tdx"]
simulated = "only"
accept = ["simulated"]
[tcb]
platform = ["UpToDate"]
module = ["UpToDate"]
qe = ["UpToDate"]
[attributes]
debug = false
sept_ve_disable = true
migratable = false
[tdx]
mr_td = ["%s"]
"""


class Bench:
    """Quotes of one simulated platform, everything that goes with them, and what is timed."""

    def __init__(self) -> None:
        self.installation = Installation(bytes(32))
        domain = self.installation.machine("bench").trust_domain(mr_td=b"\1" * 48)
        self.quotes = [
            (domain.quote(data), Expected(data)) for data in (bytes([n]) * 64 for n in range(QUOTES))
        ]
        self.turn = itertools.cycle(self.quotes)
        self.collateral = self.installation.collateral(AT, platform="tdx")
        self.roots = Roots.vendor().with_anchor("bench", self.installation.root_der)
        self.facts = FactCache()
        self.policy = Policy.load(POLICY % (b"01" * 48), name="bench")
        self.context = Context(installation_roots=frozenset({self.roots.intel[-1].anchor.fingerprint}))
        given = self.collateral.to_bundle_json().decode()
        self.given = dcap_qvl.QuoteCollateralV3.from_json(given)
        self.parsed = parse_quote(self.quotes[0][0], "tdx")

    def verify(self, facts: FactCache) -> Any:
        quote, binding = next(self.turn)
        return verify_quote(
            quote,
            platform="tdx",
            collateral=self.collateral,
            roots=self.roots,
            now=AT,
            binding=binding,
            facts=facts,
        )

    def warm(self) -> None:
        assert self.verify(self.facts).bound

    def cold(self) -> None:
        self.verify(FactCache())

    def appraised(self) -> None:
        result = appraise(
            self.verify(self.facts),
            self.policy,
            now=AT,
            references={},
            context=self.context,
            workload_log=None,
        )
        assert result.accepted

    def other(self) -> None:
        quote, _ = next(self.turn)
        dcap_qvl.verify_with_root_ca(quote, self.given, self.installation.root_der, int(AT.timestamp()))

    def floor(self) -> None:
        parsed = self.parsed
        bare(b"\x04" + parsed.attestation_key, parsed.signature, parsed.signed)

    def same_parsing(self) -> None:
        """The nine verifications and the parsing that a cold verification does, and nothing else."""
        collateral = self.collateral
        parsed = parse_quote(self.parsed.data, "tdx")
        start, end = parsed.chain
        leaf, authority, _ = certificates(parsed.data[start:end], count=3)
        certificates(collateral.pck_crl_issuer_chain, count=2)
        signer, _ = certificates(collateral.tcb_info_issuer_chain, count=2)
        pck, ca, signing = (Certificate.parse(der) for der in (leaf, authority, signer))
        PckExtension.parse(pck.extensions[OID_SGX_EXTENSION][1])
        root_crl = RevocationList.parse(collateral.root_ca_crl)
        pck_crl = RevocationList.parse(collateral.pck_crl)
        parse_tcb_info(collateral.tcb_info)
        parse_qe_identity(collateral.qe_identity)
        root = self.roots.intel[-1].certificate.key()
        for key, signed in (
            (root, ca),
            (ca.key(), pck),
            (root, signing),
            (root, root_crl),
            (ca.key(), pck_crl),
        ):
            key.verify(signed.signature, signed.signed, ALGORITHM)
        for raw, signature in (
            (collateral.tcb_info, collateral.tcb_info_signature),
            (collateral.qe_identity, collateral.qe_identity_signature),
        ):
            signing.key().verify(der_of(signature), raw, ALGORITHM)
        pck.key().verify(der_of(parsed.qe_report_signature), parsed.qe_report_bytes, ALGORITHM)
        self.floor()

    def least_parsing(self) -> None:
        """The nine verifications, and as little parsing as they need, with parsers written in Rust and C."""
        collateral = self.collateral
        parsed = parse_quote(self.parsed.data, "tdx")
        start, end = parsed.chain
        leaf, ca, root = load_pem_x509_certificates(parsed.data[start:end].rstrip(b"\0"))
        signer, _ = load_pem_x509_certificates(collateral.tcb_info_issuer_chain)
        keys = {name: public_key(found) for name, found in (("leaf", leaf), ("ca", ca), ("root", root))}
        for found, key in ((ca, "root"), (leaf, "ca"), (signer, "root")):
            keys[key].verify(found.signature, found.tbs_certificate_bytes, ALGORITHM)
        for der, key in ((collateral.root_ca_crl, "root"), (collateral.pck_crl, "ca")):
            crl = load_der_x509_crl(der)
            keys[key].verify(crl.signature, crl.tbs_certlist_bytes, ALGORITHM)
        signing = public_key(signer)
        for raw, signature in (
            (collateral.tcb_info, collateral.tcb_info_signature),
            (collateral.qe_identity, collateral.qe_identity_signature),
        ):
            signing.verify(der_of(signature), raw, ALGORITHM)
            json.loads(raw)
        keys["leaf"].verify(der_of(parsed.qe_report_signature), parsed.qe_report_bytes, ALGORITHM)
        self.floor()


def public_key(certificate: Any) -> ec.EllipticCurvePublicKey:
    found = certificate.public_key()
    assert isinstance(found, ec.EllipticCurvePublicKey)
    return found


def der_of(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def bare(point: bytes, signature: bytes, signed: bytes) -> None:
    ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point).verify(der_of(signature), signed, ALGORITHM)


def rows() -> Iterable[Row]:
    bench = Bench()
    rounds = 41
    fast = {
        "one ECDSA P-256 verification": bench.floor,
        "TDX evidence, warm": bench.warm,
        "TDX evidence, appraisal and ledger, warm": bench.appraised,
        "dcap-qvl": bench.other,
    }
    found = interleaved(fast, rounds=rounds, inner=40)
    one, peer = "one ECDSA P-256 verification", "dcap-qvl"
    warm, whole = "TDX evidence, warm", "TDX evidence, appraisal and ledger, warm"
    yield row(one, found, note="raw key and raw signature")
    yield row(peer, found, note=f"verify, {importlib.metadata.version(peer)}")
    yield row(warm, found, against=one, at_most=1.5, note="same platform, new quote each time")
    yield row(whole, found, against=one, at_most=1.5)
    yield row(whole, found, against=peer, at_least=6.0, name=f"{whole} (against dcap-qvl)")
    floor, least, cold = (
        "nine verifications, same parsing",
        "nine verifications, least parsing",
        "TDX evidence, cold",
    )
    slow = {floor: bench.same_parsing, least: bench.least_parsing, cold: bench.cold, peer: bench.other}
    found = interleaved(slow, rounds=101)
    yield row(floor, found, note="no roles, policy or ledger")
    yield row(least, found, note="cryptography and json")
    yield row(cold, found, against=floor, at_most=1.35, note="empty cache")
    yield row(cold, found, against=least, name=f"{cold} (against least parsing)")
    yield row(cold, found, against=peer, name=f"{cold} (against dcap-qvl)")
    yield on_cores("TDX evidence, appraisal and ledger, warm", 200 if smoke() else 20000)


def row(key: str, found: dict[str, tuple[float, int]], *, name: str = "", **bounds: Any) -> Row:
    seconds, samples = found[key]
    return Row(name or key, seconds, samples, **bounds)


def work(count: int, started: Any, results: Any) -> None:
    """Verify and appraise in one process; the others start at the same time."""
    bench = Bench()
    bench.appraised()
    operation: Callable[[], None] = bench.appraised
    started.wait()
    began = time.perf_counter()
    for _ in range(count):
        operation()
    results.put(time.perf_counter() - began)


def on_cores(name: str, count: int) -> Row:
    context = multiprocessing.get_context("fork")
    started, results = context.Barrier(CORES), context.Queue()
    workers = [context.Process(target=work, args=(count, started, results)) for _ in range(CORES)]
    for worker in workers:
        worker.start()
    slowest = max(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    each = slowest / (CORES * count)
    return Row(f"{name}, {CORES} processes", each, CORES, note=f"{1 / each:,.0f} verifications a second")

"""Nitro documents: warm and cold, against the bare cryptography of the same run."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from assay.evidence.decoding.cbor import decode
from assay.evidence.facts import FactCache
from assay.evidence.nitro.document import parse_document
from assay.evidence.nitro.verify import verify_nitro
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.intel import Installation
from assay.simulator.nitro.hypervisor import SimulatedAws
from table import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterable

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
DOCUMENTS = 32
ALGORITHM = ec.ECDSA(SHA384())
CURVE = ec.SECP384R1()


class Bench:
    """Documents of one simulated enclave, and what is timed."""

    def __init__(self) -> None:
        aws = SimulatedAws(Installation(bytes(32)))
        module = aws.instance("bench").enclave({0: b"\1" * 48, 1: b"\2" * 48, 2: b"\3" * 48}, started=AT)
        self.documents = [
            (module.attest(AT, user_data=data), Expected(data))
            for data in (bytes([n]) * 64 for n in range(DOCUMENTS))
        ]
        self.turn = itertools.cycle(self.documents)
        self.roots = aws.trusted_by(Roots.vendor())
        self.facts = FactCache()
        self.root_key = aws.root.key.public_key()
        parsed = parse_document(self.documents[0][0], "nitro")
        self.message = parsed.message
        self.signed = parsed.message.signed()
        leaf = GeneralCertificate.parse(parsed.certificate).key()
        self.point = leaf.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def verify(self, facts: FactCache) -> Any:
        document, binding = next(self.turn)
        return verify_nitro(
            document,
            platform="nitro",
            endorsements=None,
            roots=self.roots,
            now=AT,
            binding=binding,
            facts=facts,
        )

    def warm(self) -> None:
        assert self.verify(self.facts).bound

    def cold(self) -> None:
        self.verify(FactCache())

    def floor(self) -> None:
        """One verification from raw key and raw signature."""
        signature = self.message.signature
        r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, self.point)
        key.verify(encode_dss_signature(r, s), self.signed, ALGORITHM)

    def five(self) -> None:
        """The five verifications of a chain and a document, parsed by libraries in Rust and C."""
        document, _ = next(self.turn)
        protected, _, payload, signature = cbor2.loads(document)
        fields = cbor2.loads(payload)
        key: Any = self.root_key
        for der in (*fields["cabundle"][1:], fields["certificate"]):
            found = load_der_x509_certificate(der)
            key.verify(found.signature, found.tbs_certificate_bytes, ALGORITHM)
            key = found.public_key()
        r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
        message = cbor2.dumps(["Signature1", protected, b"", payload])
        key.verify(encode_dss_signature(r, s), message, ALGORITHM)


def rows() -> Iterable[Row]:
    bench = Bench()
    payload = bench.message.payload or b""
    one, warm = "one ECDSA P-384 verification", "Nitro document, warm"
    found = interleaved({one: bench.floor, warm: bench.warm}, rounds=41, inner=10)
    yield row(one, found, note="raw key and raw signature")
    yield row(warm, found, against=one, at_most=1.3, note="same enclave, new document each time")
    five, cold = "five P-384 verifications of a document", "Nitro document, cold"
    found = interleaved({five: bench.five, cold: bench.cold}, rounds=101)
    yield row(five, found, note="cryptography and cbor2; no names, roles or times")
    yield row(cold, found, against=five, at_most=1.35, note="empty cache")
    ours, theirs = "a document's payload as strict CBOR", "the same by cbor2, unchecked"
    found = interleaved(
        {
            ours: lambda: decode(payload, max_bytes=16384, indefinite_maps=True),
            theirs: lambda: cbor2.loads(payload),
        },
        rounds=41,
        inner=100,
    )
    yield row(ours, found, against=theirs)
    yield row(theirs, found)


def row(key: str, found: dict[str, tuple[float, int]], **bounds: Any) -> Row:
    seconds, samples = found[key]
    return Row(key, seconds, samples, **bounds)

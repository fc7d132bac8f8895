"""Tokens: against the bare work under them, in one run.

The floors do nothing but what cannot be left out: take the token apart, decode its base64, read the JSON of
header and payload, verify one signature with a key that is loaded already. No strictness, times, claims or
ledger. The verifier remembers who signs tokens with a header, so each token costs it one signature as well.
"""

from __future__ import annotations

import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.x509 import load_der_x509_certificate

from assay.evidence.confidential_space import verify_confidential_space
from assay.evidence.facts import FactCache
from assay.evidence.jose import TokenLimits
from assay.evidence.jose.base64url import decode_standard
from assay.evidence.jose.jws import read_header
from assay.evidence.maa import verify_maa
from assay.evidence.nras import verify_nras
from assay.evidence.roots import Roots
from assay.evidence.trust_authority import verify_trust_authority
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.tokens import ServiceKeys, TokenServices
from table import Row, interleaved, smoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
TOKENS = 64
# In processor time those of RSA-2048 stand at 1.45 to 1.55 (OIDC, over the aim of 1.5 at times) and at 1.4.
BOUNDS = {
    "Confidential Space token (OIDC), warm": 1.6,
    "Confidential Space token (PKI), warm": 1.5,
    "Azure Attestation token, warm": 1.5,
    "Trust Authority token, warm": 1.5,
    "NRAS answer about one GPU, warm": 1.3,
}
NONCE = b"n" * 43
AUDIENCE = "https://assay.example"
PKCS1, PSS = padding.PKCS1v15(), padding.PSS(padding.MGF1(SHA384()), 48)


def decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


class Bench:
    """Tokens of each service, and what is timed."""

    def __init__(self) -> None:
        self.services = services = TokenServices(ServiceKeys(bytes(32), None, 2048 if smoke() else 4096))
        self.facts = FactCache()
        self.roots = Roots.vendor().with_anchor(
            "bench", services.root.der, vendor="google-confidential-space"
        )
        self.root = GeneralCertificate.parse(services.root.der)
        times = [AT - timedelta(seconds=n) for n in range(TOKENS)]
        one: dict[str, Any] = {"nonces": [NONCE.decode()], "audience": AUDIENCE}
        self.oidc = itertools.cycle([services.confidential_space(at, **one).sign() for at in times])
        self.pki = itertools.cycle(
            [services.confidential_space(at, kind="pki", **one).sign() for at in times]
        )
        self.maa = itertools.cycle([services.maa(at, nonce=NONCE).sign() for at in times])
        self.intel = itertools.cycle([services.trust_authority(at, held=NONCE).sign() for at in times])
        self.nras = itertools.cycle([services.nras(at, nonce=NONCE).sign() for at in times])
        self.keys: dict[str, Any] = {
            "confidential-space": services.key("confidential-space").public_key(),
            "maa": services.key("maa").public_key(),
            "trust-authority": services.key("trust-authority").public_key(),
            "nras": services.key("nras").public_key(),
            "pki": services.leaf.key.public_key(),
        }
        # The names of services as texts: a Literal does not survive a comprehension.
        self.endorsements = {name: services.endorsements(name) for name in self.keys if name != "pki"}  # type: ignore[arg-type]
        self.given: dict[str, Any] = {
            "roots": self.roots,
            "limits": TokenLimits(timedelta(seconds=60), timedelta(hours=1)),
            "now": AT,
            "binding": Expected(NONCE),
        }

    def by_hand(self, tokens: Iterator[bytes], key: str) -> None:
        head, payload, signature = next(tokens).split(b".")
        json.loads(decoded(head))
        json.loads(decoded(payload))
        signed, raw = head + b"." + payload, decoded(signature)
        if key == "trust-authority":
            self.keys[key].verify(raw, signed, PSS, SHA384())
        else:
            self.keys[key].verify(raw, signed, PKCS1, SHA256())

    def chain_same_parsing(self) -> None:
        """The two certificates and the token, read as strictly as the verifier does; no roles, no ledger."""
        token = next(self.pki)
        header = read_header(token.split(b".")[0])
        leaf, middle = (
            GeneralCertificate.parse(decode_standard(text.encode())) for text in header["x5c"][:2]
        )
        assert middle.verify(leaf)
        assert self.root.verify(middle)
        self.by_hand(itertools.repeat(token), "pki")

    def chain_least_parsing(self) -> None:
        """The same with a parser written in Rust."""
        token = next(self.pki)
        texts = json.loads(decoded(token.split(b".")[0]))["x5c"][:2]
        leaf, middle = (load_der_x509_certificate(base64.b64decode(text)) for text in texts)
        for child, key in ((leaf, middle.public_key()), (middle, self.root.key())):
            assert isinstance(key, rsa.RSAPublicKey)
            key.verify(child.signature, child.tbs_certificate_bytes, PKCS1, SHA256())
        self.by_hand(itertools.repeat(token), "pki")

    def nras_by_hand(self) -> None:
        overall, devices = json.loads(next(self.nras))
        for text in (overall[1], *devices.values()):
            head, payload, signature = text.encode().split(b".")
            json.loads(decoded(head))
            json.loads(decoded(payload))
            raw = decoded(signature)
            der = encode_dss_signature(int.from_bytes(raw[:48], "big"), int.from_bytes(raw[48:], "big"))
            self.keys["nras"].verify(der, head + b"." + payload, ec.ECDSA(SHA384()))

    def space(self, tokens: itertools.cycle[bytes], facts: FactCache) -> None:
        published = self.endorsements["confidential-space"] if tokens is self.oidc else None
        result = verify_confidential_space(
            next(tokens), endorsements=published, audience=AUDIENCE, facts=facts, **self.given
        )
        assert result.bound

    def verify(self, verifier: Callable[..., Any], tokens: itertools.cycle[bytes], service: str) -> None:
        result = verifier(
            next(tokens), endorsements=self.endorsements[service], facts=self.facts, **self.given
        )
        assert result.bound


def rows() -> Iterable[Row]:
    bench = Bench()
    operations: dict[str, Callable[[], object]] = {
        "RS256 token by hand": lambda: bench.by_hand(bench.oidc, "confidential-space"),
        "Confidential Space token (OIDC), warm": lambda: bench.space(bench.oidc, bench.facts),
        "RS256 token with its chain unread, by hand": lambda: bench.by_hand(bench.pki, "pki"),
        "Confidential Space token (PKI), warm": lambda: bench.space(bench.pki, bench.facts),
        "Azure token by hand": lambda: bench.by_hand(bench.maa, "maa"),
        "Azure Attestation token, warm": lambda: bench.verify(verify_maa, bench.maa, "maa"),
        "PS384 token by hand": lambda: bench.by_hand(bench.intel, "trust-authority"),
        "Trust Authority token, warm": lambda: bench.verify(
            verify_trust_authority, bench.intel, "trust-authority"
        ),
        "two ES384 tokens by hand": bench.nras_by_hand,
        "NRAS answer about one GPU, warm": lambda: bench.verify(verify_nras, bench.nras, "nras"),
    }
    names = list(operations)
    for floor, name in zip(names[::2], names[1::2], strict=True):
        # Each format by itself and many calls at a time, as the other formats are measured: the first few
        # calls after other work cost up to four times as much, the floor's up to three times, by what the
        # processor has forgotten since, and would say more of the neighbours in this list than of the format.
        # Two tokens under P-384 take as long as a dozen others: a row of them would never be undisturbed.
        inner = 1 if floor == "two ES384 tokens by hand" else 20
        found = interleaved(
            {floor: operations[floor], name: operations[name]}, rounds=301, inner=inner, untimed=1
        )
        yield Row(floor, *found[floor])
        yield Row(name, *found[name], against=floor, at_most=BOUNDS[name])
    cold = "Confidential Space token (PKI), cold"
    same, least = "chain and token, same parsing", "chain and token, least parsing"
    found = interleaved(
        {
            same: bench.chain_same_parsing,
            least: bench.chain_least_parsing,
            cold: lambda: bench.space(bench.pki, FactCache()),
        },
        rounds=201,
        untimed=1,
    )
    yield Row(same, *found[same], note="no roles, claims or ledger")
    yield Row(least, *found[least], note="cryptography and json")
    yield Row(cold, *found[cold], against=same, at_most=1.35, note="empty cache")
    yield Row(f"{cold} (against least parsing)", *found[cold], against=least)

"""Evidence of Azure's and Google's VMs: against the bare cryptography under it, in one run.

The floors verify the signatures that cannot be left out, with keys that are ready, read the quote's fields
and hash the PCRs: for Azure both signatures and the hash of the runtime claims, for Google the quote alone.
What is held to them is given in parts, so neither reads a container.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from datetime import UTC, datetime
from struct import Struct
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from assay.evidence.azure import read_container, verify_azure
from assay.evidence.dcap.quote import parse_quote
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.facts import FactCache
from assay.evidence.google_vm import verify_google_vm
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.azure import AzureScene, SimulatedAzure
from assay.simulator.google_vm import GoogleVmScene, SimulatedGoogle
from assay.simulator.intel import Installation
from bare import bare_quote, bare_signature
from table import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from assay.evidence.azure.forms import AzureEvidence

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
QUOTES = 16
P384 = ec.ECDSA(SHA384())
P256 = ec.ECDSA(SHA256())
U32 = Struct("<I")
NOTHING = Unchecked("none was asked for")
NONCE = Expected(bytes(32))
EXPLAINED = frozenset(range(10))


def roots_of(anchors: tuple[tuple[str, bytes], ...]) -> Roots:
    roots = Roots.vendor()
    for family, der in anchors:
        roots = roots.with_anchor(f"bench {family}", der, vendor=family)
    return roots


class Azure:
    """Fresh quotes of one simulated VM, and what is timed."""

    def __init__(self, azure: SimulatedAzure, platform: Any) -> None:
        self.platform = platform
        self.stage = AzureScene(azure, platform, AT, bytes(32))
        self.first = self.stage.finish()
        self.roots = roots_of(self.first.anchors)
        self.facts = FactCache()
        self.turn = itertools.cycle([self._fresh(bytes([n]) * 32) for n in range(QUOTES)])
        self.public = self.stage.key.public_key()
        quote = self.first.parts.quote
        self.quoted = (quote.message, quote.signature, quote.pcrs)
        self.hcl = self.first.parts.hcl

    def _fresh(self, nonce: bytes) -> tuple[bytes, AzureEvidence, Expected]:
        self.stage.nonce = nonce
        self.stage.quote_again()
        data = self.stage.finish().container
        return data, read_container(data), Expected(nonce)

    def verify(self, facts: FactCache, *, parsed: bool = False) -> None:
        data, parts, binding = next(self.turn)
        result = verify_azure(
            parts if parsed else data,
            platform=self.platform,
            endorsements=self.first.endorsements,
            roots=self.roots,
            now=AT,
            binding=binding,
            user_data=NOTHING,
            facts=facts,
        )
        assert result.bound

    def warm(self) -> None:
        self.verify(self.facts)

    def parsed(self) -> None:
        self.verify(self.facts, parsed=True)

    def cold(self) -> None:
        self.verify(FactCache())

    def quote(self) -> None:
        (size,) = U32.unpack_from(self.hcl, 1232)
        hashlib.sha256(self.hcl[1236 : 1236 + size]).digest()
        bare_quote(self.public, *self.quoted)


def snp_floor(bench: Azure) -> Callable[[], None]:
    hardware = bench.first.parts.hcl[32:1216]
    vek = bench.first.parts.vcek
    assert vek is not None
    key = GeneralCertificate.parse(vek).key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed, r, s = hardware[:0x2A0], hardware[0x2A0 : 0x2A0 + 72], hardware[0x2A0 + 72 : 0x2A0 + 144]

    def floor() -> None:
        signature = encode_dss_signature(int.from_bytes(r, "little"), int.from_bytes(s, "little"))
        key.verify(signature, signed, P384)
        bench.quote()

    return floor


def tdx_floor(bench: Azure) -> Callable[[], None]:
    assert bench.first.parts.td_quote is not None
    quote = parse_quote(bench.first.parts.td_quote, "tdx")
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    raw = quote.signature

    def floor() -> None:
        signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key.verify(signature, quote.signed, P256)
        bench.quote()

    return floor


class Google:
    """Fresh quotes of one simulated VM, with and without all that a container can hold."""

    def __init__(self, google: SimulatedGoogle) -> None:
        stage = GoogleVmScene(google, AT, bytes(32))
        self.whole = stage.finish()
        self.roots = roots_of(self.whole.anchors)
        self.facts = FactCache()
        own = next(one for one in self.whole.parts.quotes if one.bank == Algorithm.SHA256)
        self.one = replace(self.whole.parts, quotes=(own,), event_log=b"", canonical_log=b"")
        self.public = stage.key.public_key()
        self.quoted = own

    def verify(self, evidence: Any, facts: FactCache) -> None:
        result = verify_google_vm(
            evidence,
            tee="none",
            endorsements=self.whole.endorsements if evidence is not self.one else None,
            roots=self.roots,
            now=AT,
            binding=NONCE,
            report_data=NOTHING,
            explained=EXPLAINED,
            facts=facts,
        )
        assert result.bound

    def floor(self) -> None:
        quote = self.quoted
        bare_quote(self.public, quote.message, bare_signature(quote.signature), quote.pcrs.values())


def rows() -> Iterable[Row]:
    amd, intel = SimulatedAmd(bytes(32)), Installation(bytes(32))
    azure = SimulatedAzure(amd, intel)
    snp, tdx = Azure(azure, "azure-snp"), Azure(azure, "azure-tdx")
    google = Google(SimulatedGoogle(amd, intel))
    # The aim is 1.3 and 1.5. Bookkeeping of three layers weighs more against P-256 than against P-384; the
    # bounds keep it from growing.
    for name, bench, floor, most in (
        ("Azure SNP", snp, snp_floor(snp), 1.4),
        ("Azure TDX", tdx, tdx_floor(tdx), 1.7),
    ):
        base = f"{name}: hardware and quote, bare"
        warm, parsed, cold = f"{name}, warm", f"{name}, warm, in its parts", f"{name}, cold"
        # The container is timed by itself: its text is so long that what runs next finds its own data gone
        # from the processor's caches.
        found = interleaved({base: floor, parsed: bench.parsed}, rounds=61, inner=20)
        found |= interleaved({warm: bench.warm}, rounds=31, inner=20)
        yield Row(base, *found[base])
        yield Row(warm, *found[warm], against=base, note="with its JSON container")
        yield Row(parsed, *found[parsed], against=base, at_most=most)
        yield Row(cold, *interleaved({cold: bench.cold}, rounds=15, inner=4)[cold])
    base, one, whole = "Google vTPM: quote, bare", "Google vTPM, one quote, warm", "Google vTPM, whole, warm"
    quotes = {base: google.floor, one: lambda: google.verify(google.one, google.facts)}
    found = interleaved(quotes, rounds=61, inner=20)
    found |= interleaved({whole: lambda: google.verify(google.whole.container, google.facts)}, inner=20)
    yield Row(base, *found[base])
    yield Row(one, *found[one], against=base, at_most=1.8)
    yield Row(whole, *found[whole], against=base, note="three quotes, two logs of 17 events")

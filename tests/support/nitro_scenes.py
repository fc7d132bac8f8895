"""Simulated Nitro documents with one defect, and their verification."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from assay.evidence.facts import FactCache
from assay.evidence.nitro.verify import verify_nitro
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.intel import Installation
from assay.simulator.nitro import pki
from assay.simulator.nitro.attacks import profile_of
from assay.simulator.nitro.document import DocumentDraft
from assay.simulator.nitro.hypervisor import SecurityModule, SimulatedAws

NOW = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
BINDING = bytes(range(64))
PCRS = {0: b"\x10" * 48, 1: b"\x11" * 48, 2: b"\x12" * 48, 8: b"\x18" * 48}
AWS = SimulatedAws(Installation(b"nitro tests".ljust(32, b"\0")))
STRANGER = SimulatedAws(Installation(b"a stranger".ljust(32, b"\0")))
ROOTS = AWS.trusted_by(Roots.vendor())
PLATFORMS = ("nitro", "nitro-tpm")


@cache
def _module(platform: str, seed: str, *, debug: bool) -> SecurityModule:
    instance = AWS.instance(seed)
    return instance.tpm(PCRS) if platform == "nitro-tpm" else instance.enclave(PCRS, started=NOW, debug=debug)


def module(platform: str = "nitro", *, seed: str = "tested", debug: bool = False) -> SecurityModule:
    """Return a security module whose registers nobody else extends."""
    found = _module(platform, seed, debug=debug)
    return replace(found, registers=dict(found.registers), locked=set(found.locked))


def draft(platform: str = "nitro", at: datetime = NOW, **given) -> DocumentDraft:
    """Return a document of the tested module before it is signed."""
    return module(platform).draft(at, **{"user_data": BINDING, **given})


def judge(
    evidence: bytes,
    platform: str = "nitro",
    *,
    roots: Roots = ROOTS,
    now: datetime = NOW,
    binding: bytes | None = BINDING,
    facts: FactCache | None = None,
    **options,
):
    """Verify a document; ``binding=None`` leaves the binding unchecked."""
    return verify_nitro(
        evidence,
        platform=platform,
        endorsements=None,
        roots=roots,
        now=now,
        binding=Unchecked("a test") if binding is None else Expected(binding),
        facts=FactCache() if facts is None else facts,
        **options,
    )


def reissue(found: DocumentDraft, place: int, *, key=None, issuer=None, **changes) -> None:
    """Issue the certificate at one place (0 root, 4 leaf) of a draft again with changes, and all below it."""
    chain = found.chain
    for at in range(place, len(chain)):
        profile = profile_of(chain[at].certificate)
        if at == place:
            profile = replace(profile, **changes)
        own = key if key is not None and at == place else chain[at].key
        above = issuer if issuer is not None and at == place else chain[at - 1]
        chain[at] = pki.self_signed(profile, own) if at == 0 else above.issue(profile, own)
    found.key = chain[-1].key

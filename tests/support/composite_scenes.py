"""Pieces of verified evidence made by hand that belong together, to be changed one at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from assay.appraisal import Context, Policy
from assay.appraisal.appraiser import appraise
from assay.appraisal.composite import CompositeResult, appraise_together
from assay.appraisal.pieces import Carried, Piece, Tie
from assay.channel.binding import Purpose, SessionBinding
from assay.evidence.ledger import Check, CheckSpec, Ledger, Outcome
from assay.evidence.nvidia.claims import NvidiaClaims
from assay.evidence.tpm.claims import TpmQuoteClaims
from assay.evidence.verification import Anchor, EvidenceResult
from support.appraisal_evidence import NOW, tdx
from support.appraisal_nvidia import GPU
from support.appraisal_snp import SNP
from support.appraisal_vtpm import GOOGLE, QUOTE, TPM

SESSION = SessionBinding(
    purpose=Purpose.ADMISSION,
    role="guest",
    platform="tdx",
    nonce=bytes(range(32)),
    lease="lease-1",
    owner_key=b"owner",
    channel_key=b"channel",
    receipt_key=b"receipt",
    ssh_host_key=b"",
    hpke_key=b"",
    manifest=bytes(32),
)
CARRIED = Carried(SESSION.encode())
HARDWARE = Anchor(bytes(32), "a vendor's root", simulated=False)
SIMULATED = Anchor(b"\xaa" * 32, "a root of the caller's", simulated=True)
SIGNATURE = CheckSpec("made.signature", "signed", "a test")
BINDING = CheckSpec("made.binding", "bound", "a test")
PLATFORMS = '["tdx", "snp", "nvidia-gpu", "gcp-vtpm", "tpm"]'
HEAD = f"version = 1\nplatforms = {PLATFORMS}\naccept = ['host-tpm', 'unjudged-tcb']\n"
ALL = ("tdx", "nvidia-gpu", "gcp-vtpm")


def policy(text: str = "", *, name: str = "test") -> Policy:
    return Policy.load((HEAD + text).encode(), name=name)


def demanding(*platforms: str) -> Policy:
    return policy(f"together = {list(platforms)!r}\n")


@dataclass
class Made:
    """One piece before it is appraised."""

    platform: str
    claims: Any
    anchor: Anchor = HARDWARE
    binding: Outcome = Outcome.PASSED
    signature: Outcome = Outcome.PASSED
    digest: bytes = b""
    name: str = ""
    by: Policy | None = None
    now: Any = NOW

    def evidence(self) -> EvidenceResult[Any]:
        checks = tuple(
            spec.passed if outcome is Outcome.PASSED else Check(spec, outcome, f"{spec.id}.code", "said so")
            for spec, outcome in ((SIGNATURE, self.signature), (BINDING, self.binding))
        )
        digest = self.digest or hashlib.sha256(repr(self.claims).encode()).digest()
        return EvidenceResult(
            self.platform, Ledger(checks), BINDING.id, self.anchor, digest, (), (), {}, self.claims
        )


def machine(report_data: bytes = SESSION.report_data(), **changed: Any) -> Made:
    return Made("tdx", tdx(report_data=report_data), **changed)


def gpus(nonce: bytes = SESSION.carried("gpu"), *, device: str = "01", **changed: Any) -> Made:
    return Made("nvidia-gpu", NvidiaClaims((replace(GPU, nonce=nonce, device_id=device),), nonce), **changed)


def vtpm(nonce: bytes = SESSION.carried("tpm"), *, key: int = 1, instance: int = 1, **changed: Any) -> Made:
    claims = replace(
        GOOGLE,
        tpm=_quote(nonce, key),
        ak=replace(GOOGLE.ak, instance=replace(GOOGLE.ak.instance, instance_id=instance)),
    )
    return Made("gcp-vtpm", claims, **changed)


def bare_tpm(nonce: bytes = SESSION.carried("tpm"), *, key: int = 1, **changed: Any) -> Made:
    return Made("tpm", replace(TPM, quote=_quote(nonce, key)), **changed)


def _quote(nonce: bytes, key: int) -> TpmQuoteClaims:
    return replace(QUOTE, extra_data=nonce, ak_digest=bytes([key]) * 32)


def snp(report_data: bytes = SESSION.report_data(), **changed: Any) -> Made:
    return Made("snp", replace(SNP, report_data=report_data), **changed)


@dataclass
class Whole:
    """Pieces that belong together, before they are appraised as one."""

    pieces: list[Made] = field(default_factory=lambda: [machine(), gpus(), vtpm()])
    by: Policy = field(default_factory=policy)
    tie: Tie = CARRIED

    def judge(self) -> CompositeResult:
        company = tuple(made.platform for made in self.pieces)
        found = [
            Piece(
                made.name or f"{made.platform} {at}",
                appraise(
                    made.evidence(),
                    made.by or self.by,
                    now=made.now,
                    references={},
                    context=Context(company=company),
                    workload_log=None,
                ),
            )
            for at, made in enumerate(self.pieces)
        ]
        return appraise_together(found, self.by, tie=self.tie, now=NOW)


def unmet(result: CompositeResult) -> list[tuple[str, str]]:
    """Return id and code of the checks of the whole that did not pass."""
    return [(check.id, check.code) for check in result.ledger.unmet()]

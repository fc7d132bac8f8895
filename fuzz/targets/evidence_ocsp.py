"""OCSP answers from outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from assay.evidence.ocsp import HoldPolicy, OcspAnswer, OcspQuestion, OcspReply, verify_reply
from assay.evidence.ocsp.response import OcspResponse
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.nvidia import SimulatedNvidia
from assay.simulator.nvidia.answers import UNKNOWN, AnswerDraft, answers, revoked
from assay.simulator.nvidia.device import SimulatedDevice

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NVIDIA = SimulatedNvidia(b"\x0f" * 32)


@cache
def _draft() -> AnswerDraft:
    return answers(NVIDIA, SimulatedDevice(NVIDIA, "HOPPER", "0").chain()[1:3], NOW)[0]


@cache
def _question() -> tuple[OcspReply, OcspQuestion]:
    draft = _draft()
    subject, issuer = (GeneralCertificate.parse(issued.der) for issued in (draft.subject, draft.issuer))
    return draft.sign(), OcspQuestion(subject, issuer, NOW, timedelta(days=7), HoldPolicy.REFUSE)


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return answers of every status, with and without what is optional."""
    draft = _draft()
    drafts = [
        draft,
        replace(draft, status=UNKNOWN),
        replace(draft, status=revoked(NOW, 6)),
        replace(draft, status=revoked(NOW, None), next_update=None),
        replace(draft, nonce=None, certificates=(), by_key=True, digest="sha1"),
        replace(draft, response_status=2),
    ]
    return [each.sign().response for each in drafts]


def target(data: bytes) -> None:
    """Verify an answer; nothing may be raised, and only the genuine one is good."""
    genuine, question = _question()
    found = verify_reply(replace(genuine, response=data), question)
    if isinstance(found, OcspAnswer):
        if OcspResponse.parse(data).signed != OcspResponse.parse(genuine.response).signed:
            raise AssertionError("an answer that nobody signed")
    elif not found.reason.isprintable() or len(found.reason) > 400:
        raise AssertionError("a reason that a terminal would obey")

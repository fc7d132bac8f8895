"""Whether a device's certificates are still good: one OCSP answer for each between firmware and root.

The firmware's own certificate is made by the chip at each boot; no service keeps a status for it. A device
certificate on hold is refused: the tolerance that policies may have is for the signers of manifests.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerError
from assay.evidence.ledger import LedgerBuilder
from assay.evidence.nvidia import checks
from assay.evidence.nvidia.claims import Revocation
from assay.evidence.ocsp.response import OcspResponse
from assay.evidence.ocsp.verify import (
    HoldPolicy,
    OcspDefect,
    OcspQuestion,
    OcspStep,
    concerns,
    verify_response,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.ledger import CheckSpec, Ledger
    from assay.evidence.nvidia.chains import DeviceChain
    from assay.evidence.nvidia.endorsements import NvidiaEndorsements
    from assay.evidence.ocsp.reply import OcspReply
    from assay.evidence.x509.general import GeneralCertificate

SHELF: Final = "nvidia.revocation"
MAX_AGE: Final = timedelta(days=7)
"""How old an answer may be that does not say when the next one is due."""

STEPS: Final[dict[OcspStep, CheckSpec]] = {
    OcspStep.LAYOUT: checks.OCSP_LAYOUT,
    OcspStep.SUBJECT: checks.OCSP_SUBJECT,
    OcspStep.RESPONDER: checks.OCSP_RESPONDER,
    OcspStep.SIGNATURE: checks.OCSP_SIGNATURE,
    OcspStep.NONCE: checks.OCSP_NONCE,
    OcspStep.TIME: checks.OCSP_TIME,
    OcspStep.STATUS: checks.OCSP_STATUS,
}


class Answers:
    """The OCSP answers for a set of devices, decoded once and only when one is looked for.

    Args:
        endorsements: Where they stand.

    Attributes:
        digest: Names them all.
        empty: Whether there are none.
    """

    __slots__ = ("_by_serial", "_replies", "digest", "empty")

    def __init__(self, endorsements: NvidiaEndorsements) -> None:
        self.digest = endorsements.digest
        self.empty = not endorsements.ocsp
        self._replies = endorsements.ocsp
        self._by_serial: dict[bytes, list[tuple[OcspResponse, OcspReply]]] | None = None

    def about(
        self, subject: GeneralCertificate, issuer: GeneralCertificate
    ) -> tuple[OcspResponse, OcspReply] | None:
        """Return the first answer about ``subject``, or None.

        Raises:
            DerError: An answer is malformed, this one or another.
        """
        if self._by_serial is None:
            found: dict[bytes, list[tuple[OcspResponse, OcspReply]]] = {}
            for reply in self._replies:
                response = OcspResponse.parse(reply.response)
                found.setdefault(response.serial, []).append((response, reply))
            self._by_serial = found
        named = self._by_serial.get(subject.serial, ())
        return next((pair for pair in named if concerns(pair[0], subject, issuer)), None)


def verify_revocation(
    chain: DeviceChain, answers: Answers, now: datetime, facts: FactCache
) -> tuple[Ledger, Revocation | None, Window | None]:
    """Verify that every certificate between firmware and root is good, and remember it.

    Args:
        chain: The verified chain.
        answers: The answers.
        now: The time of the verification.
        facts: Where verified answers are remembered.

    Returns:
        The outcomes of ``OCSP_CHECKS``; what they establish and until when, unless one failed.
    """
    # The root stands in the key through the chain's digest.
    key = (chain.digest, answers.digest)
    shelf = facts.shelf(SHELF)
    known: tuple[Ledger, Revocation, Window] | None = shelf.get(key, now)
    if known is not None:
        return known
    ledger = LedgerBuilder(checks.OCSP_CHECKS)
    if answers.empty:
        for spec in checks.OCSP_CHECKS:
            ledger.not_checked(spec, "nvidia.ocsp.missing", "not checked: there are no OCSP answers")
        return ledger.close(), None, None
    found = _judge(ledger, chain.certificates[1:], answers, now)
    closed = ledger.close()
    if found is None:
        return closed, None, None
    revocation, window = found
    shelf.put(key, window, (closed, revocation, window))
    return closed, revocation, window


def _judge(
    ledger: LedgerBuilder, certificates: Sequence[GeneralCertificate], answers: Answers, now: datetime
) -> tuple[Revocation, Window] | None:
    window: Window | None = None
    fresh, unasked = True, False
    for subject, issuer in pairwise(certificates):
        try:
            about = answers.about(subject, issuer)
        except DerError as error:
            ledger.failed(checks.OCSP_LAYOUT, "nvidia.ocsp.layout", error.message)
            return None
        if about is None:
            ledger.passed(checks.OCSP_LAYOUT)
            reason = f"No OCSP answer is about the certificate {subject.common_name!a}."
            ledger.failed(checks.OCSP_SUBJECT, "nvidia.ocsp.subject", reason)
            return None
        answer = verify_response(*about, OcspQuestion(subject, issuer, now, MAX_AGE, HoldPolicy.REFUSE))
        if isinstance(answer, OcspDefect):
            record_defect(ledger, answer, f"{subject.common_name!a}: {answer.reason}")
            return None
        window = answer.window if window is None else window & answer.window
        fresh = fresh and answer.fresh
        unasked = unasked or answer.responder_unasked
    assert window is not None
    ledger.passed(*(spec for spec in checks.OCSP_CHECKS if spec is not checks.OCSP_NONCE))
    if fresh:
        ledger.passed(checks.OCSP_NONCE)
    else:
        reason = "asked without a nonce: how fresh the answers are rests on their dates"
        ledger.not_applicable(checks.OCSP_NONCE, reason)
    return Revocation(window.start, window.end, fresh, unasked), window


def record_defect(ledger: LedgerBuilder, defect: OcspDefect, reason: str) -> None:
    """Record the steps before a defect as passed, and the one at which it was found as failed."""
    for step, spec in STEPS.items():
        if step is defect.step:
            ledger.failed(spec, spec.id, reason)
            return
        ledger.passed(spec)

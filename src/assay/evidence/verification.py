"""What every verifier of evidence is given, and what it gives back."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from assay.errors import EvidenceError
from assay.evidence.ledger import Ledger, Outcome
from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Mapping

ClaimsT = TypeVar("ClaimsT", covariant=True)


@record
class Expected:
    """The bytes that evidence must carry to belong to this session.

    Attributes:
        value: The full report data, nonce or user data of the format; 64 bytes for TDX and SGX.
    """

    value: bytes


@record
class Unchecked:
    """The caller's explicit word not to check the binding; the result can then never be accepted.

    Attributes:
        reason: Why, as a clause; it stands in the ledger.
    """

    reason: str


Binding = Expected | Unchecked


@record
class Anchor:
    """The root in which a chain ended.

    Attributes:
        fingerprint: SHA-256 of the root certificate's DER, 32 bytes.
        name: Name of the pinned vendor root, or the name that the caller gave its own anchor.
        simulated: True unless the fingerprint stands in the pinned vendor table.
        published_keys: True when there is no root: a token was signed by a key that its issuer publishes on a
            website and that the caller supplied. ``fingerprint`` is then that of the key's
            SubjectPublicKeyInfo. Such evidence is never hardware evidence by derivation.
    """

    fingerprint: bytes
    name: str
    simulated: bool
    published_keys: bool = False


@record
class UnsignedRegion:
    """Bytes of the input that no signature covers and no claim rests on.

    Attributes:
        start: Offset of the first byte.
        end: Offset behind the last byte.
        name: What stands there.
    """

    start: int
    end: int
    name: str


@record
class Need:
    """Something that a further verification of the same evidence would have to be given.

    Attributes:
        kind: ``collateral``, ``binding``, ``event-log``, ...
        key: What selects it, such as ``{"fmspc": "20a06f000000", "ca": "platform", "tee": "tdx"}``. These
            values come from evidence that is not authenticated; they select, they prove nothing.
        reason: A sentence for a person.
    """

    kind: str
    key: Mapping[str, str]
    reason: str


@record
class EvidenceResult(Generic[ClaimsT]):
    """The outcome of verifying one piece of evidence: a ledger, and the Claims that it authenticated.

    Attributes:
        platform: Lower-case name of the platform: ``tdx``, ``sgx``.
        ledger: Every check of the format with its outcome, the binding's included.
        binding_check: The id of the check that compares the binding; the only one that may be ``not_checked``
            in authentic evidence.
        anchor: The root in which the chain ended; None when it ended in none.
        signed_digest: SHA-256 over the signed content, 32 bytes: names this evidence for logs and replay
            detection. Two inputs that differ only in unsigned regions have the same one.
        unsigned: Regions of the input that no signature covers.
        needs: What is missing for the checks that were not made.
        decoded: Fields as decoded, unauthenticated, for display and for finding collateral. Nothing decides
            on them.
    """

    platform: str
    ledger: Ledger
    binding_check: str
    anchor: Anchor | None
    signed_digest: bytes
    unsigned: tuple[UnsignedRegion, ...]
    needs: tuple[Need, ...]
    decoded: Mapping[str, Any]
    _claims: ClaimsT | None = field(repr=False)

    @property
    def authentic(self) -> bool:
        """True when an anchor was reached and every check but the binding's passed or did not apply."""
        if self.anchor is None or self._claims is None:
            return False
        for check in self.ledger.unmet():
            if check.outcome is not Outcome.NOT_CHECKED or check.spec.id != self.binding_check:
                return False
        return True

    @property
    def bound(self) -> bool:
        """True when the evidence is authentic and its binding was compared and equal."""
        # Formats bind last, when everything that the binding rests on is known: the search begins there.
        for check in reversed(self.ledger.checks):
            if check.spec.id == self.binding_check:
                return check.outcome is Outcome.PASSED and self.authentic
        raise KeyError(self.binding_check)

    @property
    def simulated(self) -> bool:
        """True unless the chain ended in a pinned vendor root."""
        return self.anchor is None or self.anchor.simulated

    @property
    def claims(self) -> ClaimsT:
        """The authenticated Claims.

        Raises:
            EvidenceError: ``evidence.claims.unauthenticated`` when the evidence is not authentic.
        """
        if self._claims is None or not self.authentic:
            first = next(iter(self.ledger.unmet()), None)
            raise EvidenceError(
                "evidence.claims.unauthenticated",
                "These Claims cannot be read: the evidence is not authenticated"
                + (f" ({first.code}: {first.reason})" if first else "."),
            )
        return self._claims


def fingerprint(der: bytes) -> bytes:
    """Return the SHA-256 of a certificate's DER, 32 bytes."""
    return hashlib.sha256(der).digest()

"""Every error that Assay raises on purpose.

    AssayError
    ├── EvidenceError       evidence/      malformed or contradictory evidence, claims that are not reachable
    ├── EndorsementError    endorsements/  collateral that cannot be found or read
    ├── ReferenceValueError reference/     an artefact that cannot be measured, values not to be relied on
    ├── PolicyError         appraisal/     a policy that cannot be loaded or does not say what it must
    ├── SimulatorError      simulator/     a simulated machine asked for something it cannot do
    ├── SettingsError       settings/      a setting that is unknown, of the wrong kind, or not allowed there
    ├── StoreError          store/         the state database or its directory
    ├── AuditError          audit/         the log, its proofs, an export
    ├── WorkloadError       workload/      bundle, manifest, sandbox
    ├── ChannelError        channel/       framing, binding, attested TLS
    ├── ReceiptError        receipts/      a receipt that does not verify
    ├── GuestError          guest/         the agent inside the TEE
    ├── ProviderError       providers/     where machines come from
    │   ├── AmbiguousError                 an answer that proves neither success nor failure
    │   └── GoneError                      the provider said, definitively, that the machine does not exist
    ├── LeaseError          leases/        the life of a lease
    │   └── GateError                      evidence refused, or not verifiable: nothing was sent
    └── UsageError          cli/           the command line itself

Each carries a stable machine-readable ``code`` and a sentence for a person. Neither holds a secret.
"""

from __future__ import annotations

from typing import Any


class AssayError(Exception):
    """The root of all errors of this package.

    Args:
        code: Stable, dotted, lower case, for programs: ``tdx.quote.truncated``.
        message: One sentence that says what failed and why.
        action: What the reader can do about it, as a sentence or a command; empty when there is nothing.
        **detail: Short values for ``--json``; never a secret, never unbounded peer data.
    """

    def __init__(
        self, code: str, message: str, *, action: str = "", **detail: str | int | bool | None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.action = action
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.action, self.detail))

    def to_json(self) -> dict[str, Any]:
        """Return ``{"code", "message"[, "action"][, "detail"]}`` for machine-readable output."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.action:
            found["action"] = self.action
        if self.detail:
            found["detail"] = dict(self.detail)
        return found


def _rebuild(
    kind: type[AssayError], code: str, message: str, action: str, detail: dict[str, str | int | bool | None]
) -> AssayError:
    return kind(code, message, action=action, **detail)


class EvidenceError(AssayError):
    """Malformed or contradictory evidence, or Claims asked of evidence that failed authentication."""


class EndorsementError(AssayError):
    """Collateral that cannot be found, read or recognised."""


class ReferenceValueError(AssayError):
    """An artefact that cannot be measured, or Reference Values that must not be relied on."""


class PolicyError(AssayError):
    """A policy that cannot be loaded, or does not say what it must."""


class SimulatorError(AssayError):
    """A simulated machine was asked for something it cannot do."""


class SettingsError(AssayError):
    """A setting that is unknown, of the wrong kind, or not allowed where it stands."""


class StoreError(AssayError):
    """The state database or its directory cannot be used."""


class AuditError(AssayError):
    """The log, one of its proofs, or an export does not verify."""


class WorkloadError(AssayError):
    """A bundle, manifest or sandbox that cannot be made or used."""


class ChannelError(AssayError):
    """Framing, binding or attested TLS failed."""


class ReceiptError(AssayError):
    """A receipt is malformed or does not verify."""


class GuestError(AssayError):
    """The agent inside the TEE refused or failed."""


class ProviderError(AssayError):
    """A provider refused, failed, or broke its contract."""


class AmbiguousError(ProviderError):
    """The provider's answer proves neither success nor failure; it never means "gone"."""


class GoneError(ProviderError):
    """The provider said definitively that the machine does not exist."""


class LeaseError(AssayError):
    """A lease cannot take the asked step."""


class GateError(LeaseError):
    """Evidence was refused, or could not be verified within the budget: nothing was sent."""


class UsageError(AssayError):
    """The command line was used wrongly."""

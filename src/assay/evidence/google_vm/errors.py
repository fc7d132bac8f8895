"""What reading a Google Cloud VM's evidence can say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.errors import EvidenceError

if TYPE_CHECKING:
    from assay.evidence.ledger import CheckSpec


class GoogleVmError(EvidenceError):
    """Evidence of a Google Cloud VM cannot be read; says which check failed, and why.

    Codes: ``google_vm.container.layout``, ``google_vm.container.tees``, ``google_vm.container.bank``.
    """

    def __init__(self, spec: CheckSpec, code: str, message: str) -> None:
        super().__init__(code, message)
        self.spec = spec

    def __reduce__(self) -> tuple[type[GoogleVmError], tuple[CheckSpec, str, str]]:
        return (GoogleVmError, (self.spec, self.code, self.message))

"""One piece of simulated evidence in the making, to be spoilt in one place before or after it is signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from assay.simulator.tcg_log import BootLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.evidence.dcap.collateral import Collateral
    from assay.simulator.endorsements import CollateralDraft, Tee
    from assay.simulator.hardware import SimulatedPlatform
    from assay.simulator.intel import Installation
    from assay.simulator.quote import QuoteDraft

MACHINE = "a machine of a scene"
FIRMWARE = hashlib.sha384(b"a simulated firmware").digest()
ENCLAVE = hashlib.sha256(b"a simulated enclave").digest()
SIGNER = hashlib.sha256(b"a simulated signer").digest()
DEFAULT_VERSIONS: dict[Tee, int] = {"tdx": 4, "sgx": 3}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a Relying Party is given, and what it knows.

    Attributes:
        platform: ``tdx`` or ``sgx``.
        quote: The quote.
        collateral: The collateral for its time.
        event_log: The CCEL log of a TD; empty for an enclave.
        root: The root to trust, DER.
        report_data: What the quote is expected to carry, 64 bytes.
        at: When.
    """

    platform: Tee
    quote: bytes
    collateral: Collateral
    event_log: bytes
    root: bytes
    report_data: bytes
    at: datetime

    def root_pem(self) -> bytes:
        """Return the root, PEM."""
        return load_der_x509_certificate(self.root).public_bytes(Encoding.PEM)


@dataclass(slots=True)
class Scene:
    """A machine, its quote and its collateral before they are signed; an attack changes any of them.

    Attributes:
        installation: The simulated Intel that the Relying Party trusts.
        platform: ``tdx`` or ``sgx``.
        version: Of the quote.
        at: The time of everything.
        report_data: What the Relying Party expects, 64 bytes.
        machine: The machine; ``quote_from`` replaces it.
        quote: The quote.
        collateral: The collateral.
        log: The boot of the TD, already in its registers.
        after_quote: Changes the quote after it was signed.
        after_collateral: Changes the collateral after it was signed.
        after_log: Changes the encoded log.
    """

    installation: Installation
    platform: Tee
    version: int
    at: datetime
    report_data: bytes
    machine: SimulatedPlatform = field(init=False)
    quote: QuoteDraft = field(init=False)
    collateral: CollateralDraft = field(init=False)
    log: BootLog = field(init=False)
    after_quote: Callable[[bytes], bytes] = field(default=bytes)
    after_collateral: Callable[[Collateral], Collateral] | None = None
    after_log: Callable[[bytes], bytes] = field(default=bytes)

    def __post_init__(self) -> None:
        self.log = BootLog.usual()
        self.quote_from(self.installation.machine(MACHINE, made=datetime(self.at.year, 1, 1, tzinfo=UTC)))
        self.collateral = self.installation.collateral_draft(self.at, platform=self.platform)

    def quote_from(self, machine: SimulatedPlatform, **fields: Any) -> None:
        """Take the quote from this machine; ``fields`` are those of its TD or enclave."""
        self.machine = machine
        if self.platform == "sgx":
            enclave = machine.enclave(**{"mr_enclave": ENCLAVE, "mr_signer": SIGNER, **fields})
            self.quote = enclave.draft(self.report_data, version=self.version)
            return
        domain = machine.trust_domain(**{"mr_td": FIRMWARE, **fields})
        for register, digest in self.log.extensions():
            domain.extend(register, digest)
        self.quote = domain.draft(self.report_data, version=self.version)

    def finish(self) -> Evidence:
        """Sign everything as it stands, then apply what comes after signing."""
        collateral = self.collateral.sign()
        if self.after_collateral is not None:
            collateral = self.after_collateral(collateral)
        return Evidence(
            platform=self.platform,
            quote=self.after_quote(self.quote.encode()),
            collateral=collateral,
            event_log=self.after_log(self.log.encode()) if self.platform == "tdx" else b"",
            root=self.installation.root_der,
            report_data=self.report_data,
            at=self.at,
        )

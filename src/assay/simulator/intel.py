"""Simulated Intel: an installation's own root, and everything that a real one publishes.

    installation = Installation.create(directory)            # or .open(directory), or Installation(secret)
    machine = installation.machine("rack 1, slot 4")         # fuses, PCK certificate, Quoting Enclave
    td = machine.trust_domain(mr_td=measurement)
    td.extend(3, digest)
    quote = td.quote(report_data)
    collateral = installation.collateral(now, platform="tdx")

Everything is signed by keys that are derived from one secret in the installation's directory, with Intel's
names, extensions and layouts: the quotes differ from real ones in nothing but the root. An attack changes a
``draft`` before the hardware signs it, or the encoded bytes after.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from assay.errors import SimulatorError
from assay.simulator import pki
from assay.simulator.endorsements import VALIDITY, CollateralDraft, Tee, qe_identity, tcb_info
from assay.simulator.hardware import SimulatedPlatform
from assay.simulator.recoveries import RECOVERIES, Recovery, named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.evidence.dcap.collateral import Collateral

SECRET_BYTES = 32
STATE_DIRECTORY = "simulator"  # below the state directory of a user
STATE_FILE = "simulated-intel.key"
FMSPC = bytes.fromhex("00806f050000")
MADE = datetime(2025, 1, 15, tzinfo=UTC)

Authority = Literal["platform", "processor"]


@dataclass(frozen=True)
class Installation:
    """One simulated Intel: a root and everything below it.

    Args:
        secret: 32 random bytes from which every key is derived.
        directory: Where it lies, and where other simulated vendors keep keys that cannot be derived; None
            when it lives in memory alone.
    """

    secret: bytes = field(repr=False)
    directory: Path | None = field(default=None, repr=False, compare=False)

    @classmethod
    def create(cls, directory: Path) -> Installation:
        """Make a new root in a directory, or open the one that another process made first.

        Raises:
            SimulatorError: ``simulator.installation.*`` as ``open`` does.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = directory / STATE_FILE
        fresh = directory / f".{STATE_FILE}.{secrets.token_hex(8)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            if not target.exists():
                # A hard link neither replaces a secret that exists nor shows a half-written one.
                _link(fresh, target)
        finally:
            fresh.unlink()
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> Installation:
        """Open the root that a directory holds.

        Raises:
            SimulatorError: ``simulator.installation.missing``, ``simulator.installation.exposed`` when others
                may read or own the secret, ``simulator.installation.malformed``.
        """
        path = directory / STATE_FILE
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SimulatorError(
                "simulator.installation.missing",
                f"There is no simulated root in this directory: {os.strerror(error.errno or 0)}.",
            ) from error
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise SimulatorError(
                    "simulator.installation.exposed",
                    "The secret of the simulated root is not a file that belongs to you alone.",
                    action="Remove it: the next use makes a new root, and old evidence does not verify.",
                )
            secret = file.read(SECRET_BYTES + 1)
        if len(secret) != SECRET_BYTES:
            raise SimulatorError(
                "simulator.installation.malformed",
                f"The secret of the simulated root is not {SECRET_BYTES} bytes.",
            )
        return cls(secret, directory)

    @cached_property
    def root(self) -> pki.Issued:
        """The root authority."""
        return pki.self_signed(pki.ROOT, self.key("root"))

    @cached_property
    def platform_ca(self) -> pki.Issued:
        """Issues PCK certificates of multi-package platforms."""
        return self.root.issue(pki.PLATFORM_CA, self.key("platform CA"))

    @cached_property
    def processor_ca(self) -> pki.Issued:
        """Issues PCK certificates of single-package platforms."""
        return self.root.issue(pki.PROCESSOR_CA, self.key("processor CA"))

    @cached_property
    def tcb_signer(self) -> pki.Issued:
        """Signs TCB info and identities."""
        return self.root.issue(pki.TCB_SIGNING, self.key("TCB signing"))

    @property
    def root_der(self) -> bytes:
        """The root certificate, DER."""
        return self.root.der

    @property
    def anchor_name(self) -> str:
        """A name for this root that cannot be taken for a vendor's."""
        return f"simulated Intel root {hashlib.sha256(self.root_der).hexdigest()[:16]}"

    def key(self, label: str) -> ec.EllipticCurvePrivateKey:
        """Return the installation's key of this name."""
        return pki.derive_key(self.secret, label)

    def authority(self, kind: Authority) -> pki.Issued:
        """Return the intermediate authority of this kind."""
        return self.platform_ca if kind == "platform" else self.processor_ca

    def machine(
        self,
        seed: bytes | str,
        *,
        fmspc: bytes = FMSPC,
        tcb: Recovery | str | None = None,
        module_major: int = 1,
        launched_under: Recovery | str | None = None,
        ca: Authority = "platform",
        made: datetime = MADE,
        debug: bool = False,
    ) -> SimulatedPlatform:
        """Make a machine: the same seed always gives the same fuses and keys.

        Args:
            seed: Which machine.
            fmspc: Its family, 6 bytes.
            tcb: The TCB recovery that it has applied, or its date; None the newest.
            module_major: Major version of its TDX module; 0 is the base module.
            launched_under: The recovery that it had applied when its TDs were launched; None the same. TDs
                carry it in TEE_TCB_SVN, and the one that is applied now in TEE_TCB_SVN_2.
            ca: Which authority issued its PCK certificate.
            made: When that was; it is valid for seven years.
            debug: Launch every TD and enclave in debug mode.

        Raises:
            SimulatorError: ``simulator.module.unknown`` when that recovery has no such TDX module.
        """
        applied = _recovery(tcb) if tcb else RECOVERIES[-1]
        return SimulatedPlatform(
            installation=self,
            secret=hashlib.sha256(seed.encode() if isinstance(seed, str) else seed).digest(),
            fmspc=fmspc,
            tcb=applied,
            module_major=module_major,
            launched_under=_recovery(launched_under) if launched_under else applied,
            ca=ca,
            made=made,
            debug=debug,
        )

    def collateral_draft(
        self,
        at: datetime,
        *,
        platform: Tee,
        fmspc: bytes = FMSPC,
        ca: Authority = "platform",
        version: int = 3,
        recoveries: Sequence[Recovery] = RECOVERIES,
    ) -> CollateralDraft:
        """Return what this simulated Intel publishes on the day of ``at``, before it is signed.

        Args:
            at: The time; everything is issued at its midnight UTC and due again 30 days later.
            platform: ``tdx`` or ``sgx``.
            fmspc: The family, 6 bytes.
            ca: Whose revocation list.
            version: Of the TCB info: 3, or 2 for SGX.
            recoveries: The TCB recoveries.
        """
        issued = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        signer = self.tcb_signer
        return CollateralDraft(
            root_crl=pki.RevocationList(self.root, issued, issued + VALIDITY),
            pck_crl=pki.RevocationList(self.authority(ca), issued, issued + VALIDITY),
            pck_crl_chain=[self.authority(ca), self.root],
            tcb_info=tcb_info(platform, issued=issued, fmspc=fmspc, recoveries=recoveries, version=version),
            tcb_signer=signer,
            tcb_chain=[signer, self.root],
            qe_identity=qe_identity(platform, issued=issued, recoveries=recoveries),
            qe_signer=signer,
            qe_chain=[signer, self.root],
        )

    def collateral(
        self,
        at: datetime,
        *,
        platform: Tee,
        fmspc: bytes = FMSPC,
        ca: Authority = "platform",
        version: int = 3,
        recoveries: Sequence[Recovery] = RECOVERIES,
    ) -> Collateral:
        """Return what this simulated Intel publishes on the day of ``at``; see ``collateral_draft``."""
        draft = self.collateral_draft(
            at, platform=platform, fmspc=fmspc, ca=ca, version=version, recoveries=recoveries
        )
        return draft.sign()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return


def _recovery(tcb: Recovery | str) -> Recovery:
    return named(tcb) if isinstance(tcb, str) else tcb

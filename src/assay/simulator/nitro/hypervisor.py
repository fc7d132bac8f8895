"""Simulated Nitro: instances, the security modules of their enclaves, and their NitroTPM.

    aws = SimulatedAws(installation)
    instance = aws.instance("rack 1")
    module = instance.enclave({0: pcr0, 1: pcr1, 2: pcr2}, started=now)
    module.extend(16, digest)
    module.lock(16)
    document = module.attest(now, user_data=binding)

Chain, names, lifetimes and layouts are those of real documents; the root is the installation's own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from assay.errors import SimulatorError
from assay.simulator.nitro import pki
from assay.simulator.nitro.document import DocumentDraft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.roots import Roots
    from assay.simulator.intel import Installation

Kind = Literal["enclave", "tpm"]

PCR_BYTES = 48
PCR_COUNT = 32
LOCKED_AT_BOOT = 16
"""An enclave's registers 0 to 15 are locked when it boots; the others are its own."""
TPM_PCR_COUNT = 24
MAX_OPTIONAL_BYTES = 1024
REGION = "eu-central-1"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SKEW = timedelta(seconds=3)
# How long certificates live, and how long one is used before the next is issued.
_LIVES = {
    "region": (timedelta(days=20, hours=1), timedelta(days=7)),
    "zone": (timedelta(days=6), timedelta(days=2)),
    "instance": (timedelta(hours=24), timedelta(hours=12)),
    "leaf": (timedelta(hours=3, seconds=3), timedelta(hours=2)),
}


def _issued_at(kind: str, at: datetime) -> tuple[datetime, datetime]:
    """Return the validity of the certificate that is in use at a time."""
    life, turn = _LIVES[kind]
    begun = _EPOCH + turn * ((at - _EPOCH) // turn)
    return begun - _SKEW, begun - _SKEW + life


@dataclass(frozen=True)
class SimulatedAws:
    """One simulated Nitro root and what it issues.

    Args:
        installation: Whose secret every key is derived from.
    """

    installation: Installation

    @cached_property
    def root(self) -> pki.Issued:
        """The root authority."""
        return pki.self_signed(pki.ROOT, self.key("root"))

    @property
    def root_der(self) -> bytes:
        """The root certificate, DER."""
        return self.root.der

    @property
    def anchor_name(self) -> str:
        """A name for this root that cannot be taken for a vendor's."""
        return f"simulated AWS root {hashlib.sha256(self.root_der).hexdigest()[:16]}"

    def trusted_by(self, roots: Roots) -> Roots:
        """Return these roots and this one."""
        return roots.with_anchor(self.anchor_name, self.root_der, vendor="aws")

    def key(self, label: str) -> pki.PrivateKey:
        """Return the installation's key of this name."""
        return pki.derive_key(self.installation.secret, label)

    def identifier(self, label: str, size: int) -> str:
        """Return lower-case hexadecimal digits of this name."""
        return hashlib.sha256(self.installation.secret + label.encode()).hexdigest()[:size]

    def region(self, name: str, at: datetime) -> pki.Issued:
        """Return the authority of a region at a time."""
        begun, end = _issued_at("region", at)
        number = self.identifier(f"region {name}", 16)
        profile = pki.Profile(
            f"{number}.{name}.aws.nitro-enclaves", begun, end, path_length=2, crl_url=_crl(name, "region")
        )
        return self.root.issue(profile, self.key(f"region {name} {begun}"))

    def zone(self, name: str, at: datetime) -> pki.Issued:
        """Return the authority of a zone of this region at a time."""
        begun, end = _issued_at("zone", at)
        number = self.identifier(f"zone {name}", 16)
        profile = pki.Profile(
            f"{number}.zonal.{name}.aws.nitro-enclaves", begun, end, path_length=1, crl_url=_crl(name, "zone")
        )
        return self.region(name, begun).issue(profile, self.key(f"zone {name} {begun}"))

    def instance(self, seed: str, *, region: str = REGION) -> SimulatedInstance:
        """Return an instance: the same seed always gives the same one."""
        return SimulatedInstance(self, seed, region)


def _crl(region: str, kind: str) -> str:
    return pki.CRL_URL.format(region, region, kind)


@dataclass(frozen=True)
class SimulatedInstance:
    """One EC2 instance.

    Attributes:
        aws: The simulated AWS that it runs at.
        seed: Which instance.
        region: Its region.
    """

    aws: SimulatedAws
    seed: str
    region: str

    @property
    def instance_id(self) -> str:
        """Its id: ``i-`` and 17 digits."""
        return f"i-{self.aws.identifier(f'instance {self.seed}', 17)}"

    def certificate(self, at: datetime) -> list[pki.Issued]:
        """Return root, region, zone and instance at a time."""
        begun, end = _issued_at("instance", at)
        zone_at, _ = _issued_at("zone", begun)
        zone = self.aws.zone(self.region, begun)
        profile = pki.Profile(
            f"{self.instance_id}.{self.region}.aws.nitro-enclaves",
            begun,
            end,
            path_length=0,
            usage=pki.INSTANCE_USAGE,
        )
        issued = zone.issue(profile, self.aws.key(f"instance {self.instance_id} {begun}"))
        return [self.aws.root, self.aws.region(self.region, zone_at), zone, issued]

    def enclave(self, pcrs: Mapping[int, bytes], *, started: datetime, debug: bool = False) -> SecurityModule:
        """Boot an enclave.

        Args:
            pcrs: Registers 0 to 15 as the image sets them, 48 bytes each; others of these are zero.
            started: When.
            debug: Boot it in debug mode: the image's registers are zero then, whatever is given.

        Raises:
            SimulatorError: ``simulator.nitro.register`` for a register that does not exist or has another
                size.
        """
        number = self.aws.identifier(f"enclave {self.instance_id} {started.timestamp()}", 16)
        measured = {index: b"" if debug and index <= 2 else value for index, value in pcrs.items()}
        registers = {index: bytes(PCR_BYTES) for index in range(PCR_COUNT)}
        for index, value in measured.items():
            if not 0 <= index < LOCKED_AT_BOOT or len(value) not in (0, PCR_BYTES):
                raise SimulatorError(
                    "simulator.nitro.register", "An image sets registers 0 to 15, of 48 bytes each."
                )
            registers[index] = value or bytes(PCR_BYTES)
        # Register 4 is the hash of the instance's id, which the parent cannot choose.
        registers[4] = pcrs.get(4) or _extended(bytes(PCR_BYTES), self.instance_id.encode())
        locked = set(range(LOCKED_AT_BOOT))
        return SecurityModule(self, f"{self.instance_id}-enc{number}", "enclave", registers, locked)

    def tpm(self, pcrs: Mapping[int, bytes]) -> SecurityModule:
        """Return the instance's NitroTPM with these registers, 48 bytes each; the others are zero.

        Raises:
            SimulatorError: ``simulator.nitro.register`` as for an enclave, for registers 0 to 23.
        """
        registers = {index: bytes(PCR_BYTES) for index in range(TPM_PCR_COUNT)}
        for index, value in pcrs.items():
            if index not in registers or len(value) != PCR_BYTES:
                raise SimulatorError(
                    "simulator.nitro.register", "A NitroTPM has registers 0 to 23, of 48 bytes each."
                )
            registers[index] = value
        return SecurityModule(self, f"{self.instance_id}-tpm{0:016d}", "tpm", registers, set(registers))


def _extended(register: bytes, data: bytes) -> bytes:
    return hashlib.sha384(register + data).digest()


@dataclass
class SecurityModule:
    """The Nitro Security Module of an enclave, or the NitroTPM of an instance.

    Attributes:
        instance: Where it is.
        module_id: Its name in documents.
        kind: Which of the two.
        registers: Index -> value, 48 bytes.
        locked: Registers that nothing extends any more. Documents of an enclave hold these alone.
    """

    instance: SimulatedInstance
    module_id: str
    kind: Kind
    registers: dict[int, bytes]
    locked: set[int]
    _chains: dict[datetime, list[pki.Issued]] = field(default_factory=dict, repr=False)

    def extend(self, index: int, data: bytes) -> bytes:
        """Extend a register with 1 to 512 bytes and return its new value: SHA-384 of the old one and them.

        Raises:
            SimulatorError: ``simulator.nitro.register``, ``simulator.nitro.locked`` or
                ``simulator.nitro.data``.
        """
        self._demand(index)
        if self.kind == "enclave" and index in self.locked:
            raise SimulatorError("simulator.nitro.locked", f"Register {index} is locked.")
        if not 0 < len(data) <= 512:
            raise SimulatorError("simulator.nitro.data", "A register is extended with 1 to 512 bytes.")
        self.registers[index] = _extended(self.registers[index], data)
        return self.registers[index]

    def lock(self, index: int) -> None:
        """Lock a register: documents hold it from now on.

        Raises:
            SimulatorError: ``simulator.nitro.register``; ``simulator.nitro.locked`` when it is.
        """
        self._demand(index)
        if index in self.locked:
            raise SimulatorError("simulator.nitro.locked", f"Register {index} is locked already.")
        self.locked.add(index)

    def _demand(self, index: int) -> None:
        if index not in self.registers:
            raise SimulatorError("simulator.nitro.register", f"There is no register {index}.")

    def draft(
        self,
        at: datetime,
        *,
        user_data: bytes | None = None,
        nonce: bytes | None = None,
        public_key: bytes | None = None,
    ) -> DocumentDraft:
        """Return a document before it is signed.

        Raises:
            SimulatorError: ``simulator.nitro.data`` when one of the three is longer than 1,024 bytes.
        """
        given = {"public_key": public_key, "user_data": user_data, "nonce": nonce}
        if any(len(value) > MAX_OPTIONAL_BYTES for value in given.values() if value is not None):
            raise SimulatorError("simulator.nitro.data", "A document takes at most 1024 bytes of each.")
        chain = self._chain(at)
        shown = {index: self.registers[index] for index in sorted(self.locked)}
        members = {
            "module_id": self.module_id,
            "digest": "SHA384",
            "timestamp": (at - _EPOCH) // timedelta(milliseconds=1),
            "pcrs" if self.kind == "enclave" else "nitrotpm_pcrs": shown,
            **given,
        }
        return DocumentDraft(members=members, chain=list(chain), key=chain[-1].key)

    def attest(
        self,
        at: datetime,
        *,
        user_data: bytes | None = None,
        nonce: bytes | None = None,
        public_key: bytes | None = None,
    ) -> bytes:
        """Return a signed document; see ``draft``."""
        return self.draft(at, user_data=user_data, nonce=nonce, public_key=public_key).encode()

    def _chain(self, at: datetime) -> list[pki.Issued]:
        begun, end = _issued_at("leaf", at)
        if begun not in self._chains:
            above = self.instance.certificate(begun)
            profile = pki.Profile(
                f"{self.module_id}.{self.instance.region}.aws",
                begun,
                end,
                authority=False,
                usage=pki.LEAF_USAGE,
                usage_critical=False,
            )
            key = self.instance.aws.key(f"leaf {self.module_id} {begun}")
            self._chains[begun] = [*above, above[-1].issue(profile, key)]
        return self._chains[begun]

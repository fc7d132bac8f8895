"""One simulated AMD: roots, signing keys and CRLs for each product, chips and cloud providers below them.

    amd = SimulatedAmd.of(installation)                          # or SimulatedAmd(secret) in memory
    chip = amd.chip("rack 1, slot 4", Product.GENOA)
    report = chip.draft(report_data, measurement=measurement).sign(chip.key("vcek"))
    endorsements = amd.endorsements(chip, now)

An attack changes a draft before it is signed, or the bytes after.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from assay.errors import SimulatorError
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.products import LAYOUTS, Product
from assay.simulator.amd import der, pki
from assay.simulator.amd.report import ReportDraft
from assay.simulator.pki import derive_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.simulator.intel import Installation

Kind = Literal["vcek", "vlek"]
RSA_BITS: Final = 4096
KEY_FILE: Final = "simulated-amd-{}.key"
MADE: Final = datetime(2022, 11, 16, 22, 45, 24, tzinfo=UTC)
ROOT_YEARS: Final = 25
VCEK_YEARS: Final = 7
CSP_ID: Final = "CN=simulated.example"
_MAX_KEY_BYTES: Final = 16384

# What each product's CPUID says, and the newest firmware of this simulation.
CPUID: Final = {
    Product.MILAN: bytes([0x19, 0x01, 0x01]),
    Product.GENOA: bytes([0x19, 0x11, 0x01]),
    Product.TURIN: bytes([0x1A, 0x02, 0x01]),
}
NAMES: Final = {Product.MILAN: "Milan-B0", Product.GENOA: "Genoa", Product.TURIN: "Turin"}
TCB: Final = {
    Product.MILAN: bytes([4, 0, 0, 0, 0, 0, 0x18, 0xDB]),
    Product.GENOA: bytes([10, 0, 0, 0, 0, 0, 0x17, 0x54]),
    Product.TURIN: bytes([1, 3, 2, 5, 0, 0, 0, 0x61]),
}
VERSION: Final = {Product.MILAN: (29, 55, 1), Product.GENOA: (40, 55, 1), Product.TURIN: (3, 58, 1)}
SERIALS: Final = {Product.MILAN: 0x10000, Product.GENOA: 0x20000, Product.TURIN: 0x30000}
_COMPONENT_ARCS: Final = {0: (1, 2, 4, 5, 6, 7, 3, 8), 1: (9, 1, 2, 3, 5, 6, 7, 8)}


@dataclass(frozen=True)
class SimulatedAmd:
    """One simulated AMD.

    Args:
        secret: 32 random bytes from which chips and their keys are derived.
        directory: Where RSA keys are kept, files of mode 0600; None keeps them in this object.
        bits: Size of the RSA keys.
    """

    secret: bytes = field(repr=False)
    directory: Path | None = None
    bits: int = RSA_BITS
    _keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, installation: Installation) -> SimulatedAmd:
        """Return the simulated AMD of an installation; its RSA keys lie in the installation's directory."""
        return cls(installation.secret, installation.directory)

    def known_roots(self) -> dict[Product, bytes]:
        """Return the ARK, DER, of each product whose key was made before; nothing is made for the asking."""
        return {product: self.root_der(product) for product in Product if self.has_rsa_key(f"ark-{product}")}

    def has_rsa_key(self, label: str) -> bool:
        """Return whether the RSA key of this name was made before."""
        kept = self.directory is not None and (self.directory / KEY_FILE.format(label)).exists()
        return kept or label in self._keys

    def rsa_key(self, label: str) -> rsa.RSAPrivateKey:
        """Return the RSA key of this name: made at its first use, the same from then on.

        Raises:
            SimulatorError: ``simulator.amd.key`` when the file that holds it is malformed or not the user's
                alone.
        """
        if label not in self._keys:
            self._keys[label] = self._stored(label) if self.directory else self._fresh()
        return self._keys[label]

    def _fresh(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=self.bits)

    def _stored(self, label: str) -> rsa.RSAPrivateKey:
        assert self.directory is not None
        target = self.directory / KEY_FILE.format(label)
        if not target.exists():
            self._store(target)
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            text = file.read(_MAX_KEY_BYTES)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise SimulatorError(
                "simulator.amd.key", "A key of the simulated AMD is not a file that belongs to you alone."
            )
        try:
            key = load_pem_private_key(text, None)
        except ValueError:
            key = None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise SimulatorError("simulator.amd.key", "A key of the simulated AMD cannot be read.")
        return key

    def _store(self, target: Path) -> None:
        text = self._fresh().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # then another process was first, and its key stays
                os.link(fresh, target)
        finally:
            fresh.unlink()

    def root_key(self, product: Product) -> rsa.RSAPrivateKey:
        """Return the key of a product's ARK."""
        return self.rsa_key(f"ark-{product}")

    def root_draft(self, product: Product) -> pki.CertificateDraft:
        """Return the ARK of a product before it is signed."""
        key = self.root_key(product)
        extensions = pki.authority_extensions(
            key.public_key(), None, path_length=None, usage=0x06, url=_url(product, "vcek")
        )
        return pki.CertificateDraft(
            common_name=f"ARK-{product}",
            issuer_name=f"ARK-{product}",
            key=key.public_key(),
            issuer_key=key,
            not_before=MADE,
            not_after=_years(MADE, ROOT_YEARS),
            serial=SERIALS[product],
            extensions=extensions,
        )

    def root_der(self, product: Product) -> bytes:
        """Return the ARK of a product, DER."""
        return self.root_draft(product).sign()

    def authority_key(self, product: Product, kind: Kind) -> rsa.RSAPrivateKey:
        """Return the key of a product's ASK or ASVK."""
        return self.rsa_key(f"{'ask' if kind == 'vcek' else 'asvk'}-{product}")

    def authority_draft(self, product: Product, kind: Kind) -> pki.CertificateDraft:
        """Return the ASK (for VCEKs) or ASVK (for VLEKs) of a product before it is signed."""
        key, root = self.authority_key(product, kind).public_key(), self.root_key(product)
        extensions = pki.authority_extensions(
            key, root.public_key(), path_length=0, usage=0x04, url=_url(product, kind)
        )
        return pki.CertificateDraft(
            common_name=f"SEV-{product}" if kind == "vcek" else f"SEV-VLEK-{product}",
            issuer_name=f"ARK-{product}",
            key=key,
            issuer_key=root,
            not_before=MADE,
            not_after=_years(MADE, ROOT_YEARS),
            serial=SERIALS[product] + (1 if kind == "vcek" else 0x101),
            extensions=extensions,
        )

    def crl_draft(self, product: Product, at: datetime) -> pki.CrlDraft:
        """Return the CRL of a product's ARK, made a month before ``at``, for a year."""
        made = at.replace(microsecond=0) - timedelta(days=30)
        return pki.CrlDraft(f"ARK-{product}", self.root_key(product), made, made + timedelta(days=365))

    def chip(self, seed: bytes | str, product: Product, *, tcb: bytes | None = None) -> SimulatedChip:
        """Make a chip: the same seed always gives the same fuses.

        Args:
            seed: Which chip.
            product: Its product.
            tcb: The TCB that it runs and reports, 8 bytes; None the newest.
        """
        name = seed if isinstance(seed, str) else seed.hex()
        return SimulatedChip(self, product, name, TCB[product] if tcb is None else tcb)

    def endorsements(self, chip: SimulatedChip, at: datetime, kind: Kind = "vcek") -> SnpEndorsements:
        """Return what vouches for a chip's reports at a time."""
        return SnpEndorsements(
            vek=chip.vek_draft(kind, at).sign(),
            authority=self.authority_draft(chip.product, kind).sign(),
            root=self.root_der(chip.product),
            crl=self.crl_draft(chip.product, at).sign(),
        )


def _url(product: Product, kind: Kind) -> str:
    return f"https://kdsintf.amd.com/{kind}/v1/{product}/crl"


def _years(moment: datetime, count: int) -> datetime:
    return moment.replace(year=moment.year + count)


@dataclass(frozen=True)
class SimulatedChip:
    """One simulated secure processor.

    Attributes:
        amd: Who made it.
        product: Its product.
        name: Which chip.
        tcb: The TCB that it runs and reports, 8 bytes.
    """

    amd: SimulatedAmd
    product: Product
    name: str
    tcb: bytes

    @property
    def hwid(self) -> bytes:
        """The chip's id: 64 bytes, 8 on Turin."""
        return derive_bytes(self.amd.secret, f"hwid {self.name}", LAYOUTS[self.product].hwid_bytes)

    def key(self, kind: Kind) -> ec.EllipticCurvePrivateKey:
        """Return the key that signs reports: of this chip and TCB, or of the provider and this TCB."""
        whose = self.hwid.hex() if kind == "vcek" else CSP_ID
        return pki.derive_p384(self.amd.secret, f"{kind} {whose} {self.tcb.hex()}")

    def vek_draft(self, kind: Kind, at: datetime) -> pki.CertificateDraft:
        """Return the certificate of that key before it is signed, made at the start of the year of ``at``."""
        made = datetime(at.year, 1, 1, tzinfo=UTC)
        suffix = "" if kind == "vcek" else "VLEK-"
        return pki.CertificateDraft(
            common_name=f"SEV-{kind.upper()}",
            issuer_name=f"SEV-{suffix}{self.product}",
            key=self.key(kind).public_key(),
            issuer_key=self.amd.authority_key(self.product, kind),
            not_before=made,
            not_after=_years(made, VCEK_YEARS if kind == "vcek" else 1),
            extensions=list(self.extensions(kind).values()),
        )

    def extensions(self, kind: Kind) -> dict[str, bytes]:
        """Return AMD's extensions of that certificate by their last arcs: ``2``, ``3.8``, ``4``."""
        struct_version = LAYOUTS[self.product].struct_version
        name = NAMES[self.product] if kind == "vcek" else str(self.product)
        values = {
            "1": der.integer(struct_version),
            "2": der.element(der.IA5_STRING, name.encode()),
        }
        for arc, component in zip(_COMPONENT_ARCS[struct_version], self.tcb, strict=True):
            values[f"3.{arc}"] = der.integer(component)
        if kind == "vcek":
            values["4"] = self.hwid
        else:
            values["5"] = der.element(der.IA5_STRING, CSP_ID.encode())
        return {arc: der.extension(f"{pki.AMD_ARC}.{arc}", value) for arc, value in values.items()}

    def draft(
        self, report_data: bytes, *, version: int = 3, kind: Kind = "vcek", **fields: Any
    ) -> ReportDraft:
        """Return a report before it is signed; ``fields`` are those of ``ReportDraft``."""
        values: dict[str, Any] = {
            "chip_id": self.hwid.ljust(64, b"\0") if kind == "vcek" else bytes(64),
            "cpuid": CPUID[self.product],
            "current_tcb": self.tcb,
            "reported_tcb": self.tcb,
            "committed_tcb": self.tcb,
            "launch_tcb": self.tcb,
            "current_version": VERSION[self.product],
            "committed_version": VERSION[self.product],
            "measurement": b"\x22" * 48,
            "flags": 0 if kind == "vcek" else 4,
            **fields,
        }
        return ReportDraft(version=version, report_data=report_data, **values)

"""One piece of simulated Google Cloud evidence in the making, to be spoilt before signing or after."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.google_vm.container import BankQuote, GoogleVmEvidence, StatedInstance
from assay.evidence.google_vm.snp_report import SnpPart
from assay.evidence.google_vm.verify import GoogleVmEndorsements
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.products import Product
from assay.simulator.amd import der
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.amd.scene import SnpScene
from assay.simulator.google_vm import protobuf
from assay.simulator.scene import Scene
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import FirmwareLog, LauncherLog
from assay.simulator.vtpm_pki import EK_USAGE, CertificateDraft, CrlDraft

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import rsa

    from assay.simulator.intel import Installation
    from assay.simulator.tpm.device import QuoteDraft

ROOT_NAME: Final = "EK/AK CA Root"
AUTHORITY_NAME: Final = "EK/AK CA Intermediate"
INSTANCE_OID: Final = "1.3.6.1.4.1.11129.2.1.21"
INSTANCE: Final = StatedInstance(
    "us-central1-a", "a-project", 117_478_743_145, "a-vm", 5_780_156_274_199_835_632
)
BANKS: Final = (Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384)
EXPLAINED: Final = frozenset((*range(10), 13))
OWN: Final = Algorithm.SHA256
_ENDORSEMENT: Final = (0x4000000B).to_bytes(4, "big")
_KEY_BITS: Final = 2048
_YEARS_20: Final = 7300


@dataclass(frozen=True)
class SimulatedGoogle:
    """A cloud.

    Attributes:
        amd: Whose directory and secret keep the RSA keys of this cloud.
        intel: Who made the hardware of TDX VMs.
    """

    amd: SimulatedAmd
    intel: Installation
    _keys: SimulatedAmd = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", SimulatedAmd(self.amd.secret, self.amd.directory, bits=_KEY_BITS))

    def key(self, label: str) -> rsa.RSAPrivateKey:
        """Return a key by what it is for: ``root``, ``authority``, ``ak`` or any other."""
        return self._keys.rsa_key(f"google-vtpm-{label}")

    @property
    def has_root(self) -> bool:
        """Whether the root for virtual TPMs was made before."""
        return self._keys.has_rsa_key("google-vtpm-root")

    @property
    def root_der(self) -> bytes:
        """The root for virtual TPMs, DER."""
        key = self.key("root")
        return CertificateDraft(
            ROOT_NAME, ROOT_NAME, key, key, authority=True, usages=(EK_USAGE,), serial=1, days=_YEARS_20
        ).sign()

    def authority_draft(self) -> CertificateDraft:
        """Return the authority's certificate before it is signed."""
        return CertificateDraft(
            AUTHORITY_NAME,
            ROOT_NAME,
            self.key("authority"),
            self.key("root"),
            authority=True,
            usages=(EK_USAGE,),
            serial=2,
        )

    def ak_draft(self, key: rsa.RSAPrivateKey) -> CertificateDraft:
        """Return the certificate of an attestation key before it is signed."""
        return CertificateDraft(
            str(INSTANCE.instance_id),
            AUTHORITY_NAME,
            key,
            self.key("authority"),
            authority=False,
            extensions={INSTANCE_OID: (False, instance_extension(INSTANCE))},
            serial=3,
        )

    def crl_draft(self, issuer: str, at: datetime) -> CrlDraft:
        """Return the CRL of ``root`` or ``authority``, made a day before ``at``."""
        name = ROOT_NAME if issuer == "root" else AUTHORITY_NAME
        return CrlDraft(name, self.key(issuer), at.replace(microsecond=0) - timedelta(days=1))


def instance_extension(
    stated: StatedInstance, *, properties: bytes | None = None, tail: bytes = b""
) -> bytes:
    """Return the instance information of a certificate.

    Args:
        stated: The instance.
        properties: The security properties, DER, in place of those of a production platform.
        tail: What follows the last element.
    """
    version = der.element(0xA0, der.integer(0))
    flags = [der.element(0xA1 + i, der.element(1, b"\xff" if i < 2 else b"\0")) for i in range(5)]
    own = der.element(der.SEQUENCE, version, *flags) if properties is None else properties
    return der.element(
        der.SEQUENCE,
        der.element(der.UTF8_STRING, stated.zone.encode()),
        der.integer(stated.project_number),
        der.element(der.UTF8_STRING, stated.project_id.encode()),
        der.integer(stated.instance_id),
        der.element(der.UTF8_STRING, stated.instance_name.encode()),
        der.element(0xA0, own),
        tail,
    )


@dataclass(frozen=True, slots=True)
class GoogleVmScenario:
    """What a Relying Party is given, and what it knows.

    Attributes:
        parts: The evidence in its parts.
        container: The evidence as it travels.
        endorsements: What vouches for it.
        anchors: Roots to trust: family and DER.
        nonce: The nonce of the quotes.
        report_data: The report data of the TEE, 64 bytes; None without one.
        at: When.
    """

    parts: GoogleVmEvidence
    container: bytes
    endorsements: GoogleVmEndorsements
    anchors: tuple[tuple[str, bytes], ...]
    nonce: bytes
    report_data: bytes | None
    at: datetime


@dataclass(slots=True)
class GoogleVmScene:
    """A VM and its virtual TPM before anything is signed.

    Attributes:
        google: The cloud.
        at: The time of everything.
        nonce: The Relying Party's nonce.
        report_data: What the TEE's report data are to be, 64 bytes; None for a VM without one.
        tee: The TEE of a VM that has one: ``tdx`` or ``snp``.
        key: The attestation key.
        tpm: The virtual TPM.
        firmware: The log of the boot.
        launcher: The canonical log of what ran after it.
        quotes: Quotes by bank.
        pcrs: Values as they are presented, by bank.
        banks: Banks as they are stated, by the bank that was quoted.
        public: The attestation key as it is presented, in place of its public area.
        certificate: The attestation key's certificate; None leaves it out.
        authority: The certificate of its issuer.
        intermediates: Certificates that come along, in place of the authority's.
        crls: CRLs that the Relying Party has.
        stated: What the container says of the instance.
        tdx: The hardware of a TDX VM.
        snp: The hardware of an SNP VM.
        event_log: The encoded log of the boot, in place of ``firmware``.
        after_crls: Changes the encoded CRLs.
        after: Changes the container.
    """

    google: SimulatedGoogle
    at: datetime
    nonce: bytes
    report_data: bytes | None = None
    tee: Literal["tdx", "snp"] = "tdx"
    key: rsa.RSAPrivateKey = field(init=False)
    tpm: SoftwareTpm = field(init=False)
    firmware: FirmwareLog = field(init=False)
    launcher: LauncherLog = field(init=False)
    quotes: dict[Algorithm, QuoteDraft] = field(init=False)
    pcrs: dict[Algorithm, dict[int, bytes]] = field(init=False)
    banks: dict[Algorithm, int] = field(default_factory=dict)
    public: bytes | None = None
    certificate: CertificateDraft | None = field(init=False)
    authority: CertificateDraft = field(init=False)
    intermediates: tuple[bytes, ...] | None = None
    crls: list[CrlDraft] = field(init=False)
    stated: StatedInstance | None = INSTANCE
    tdx: Scene | None = field(init=False, default=None)
    snp: SnpScene | None = field(init=False, default=None)
    event_log: bytes | None = None
    after_crls: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = field(default=tuple)
    after: Callable[[bytes], bytes] = field(default=bytes)

    def __post_init__(self) -> None:
        self.key = self.google.key("ak")
        self.tpm = SoftwareTpm(self.key, banks=BANKS)
        self.firmware, self.launcher = FirmwareLog(BANKS), LauncherLog()
        self.firmware.boot(self.tpm)
        self.launcher.measure(self.tpm, 13, 0, b"registry.example/agent:1")
        self.certificate = self.google.ak_draft(self.key)
        self.authority = self.google.authority_draft()
        self.crls = [self.google.crl_draft(issuer, self.at) for issuer in ("root", "authority")]
        if self.report_data is not None and self.tee == "tdx":
            self.tdx = Scene(self.google.intel, "tdx", 4, self.at, self.report_data)
        elif self.report_data is not None:
            self.snp = SnpScene(self.google.amd, Product.GENOA, 3, "vcek", self.at, self.report_data)
        self.quote_again()

    def quote_again(self, indices: tuple[int, ...] = tuple(range(24))) -> None:
        """Quote PCRs of every bank as they are."""
        self.quotes = {bank: self.tpm.quote(self.nonce, bank, indices) for bank in BANKS}
        self.pcrs = {bank: self.tpm.pcrs(bank, indices) for bank in BANKS}

    def present(self, public: bytes) -> None:
        """Let the attestation key have another public area, as a TPM would know it: its name is signed."""
        self.public = public
        name = int(OWN).to_bytes(2, "big") + OWN.digest(public)
        for draft in self.quotes.values():
            draft.qualified_signer = name[:2] + OWN.digest(_ENDORSEMENT + name)

    def finish(self) -> GoogleVmScenario:
        """Sign everything as it stands, then apply what comes after signing."""
        given = (self.authority.sign(),) if self.intermediates is None else self.intermediates
        anchors: list[tuple[str, bytes]] = [("google-vtpm", self.google.root_der)]
        endorsements = GoogleVmEndorsements(crls=self.after_crls(tuple([crl.sign() for crl in self.crls])))
        td_quote: bytes | None = None
        if self.tdx is not None:
            evidence = self.tdx.finish()
            td_quote = evidence.quote
            anchors.append(("intel", evidence.root))
            endorsements = replace(endorsements, collateral=evidence.collateral)
        part: SnpPart | None = None
        if self.snp is not None:
            found = self.snp.finish()
            anchors.append(("amd", found.root))
            own = found.endorsements
            part = SnpPart(found.report, replace(own, crl=None))
            endorsements = replace(endorsements, snp=SnpEndorsements(crl=own.crl))
        parts = GoogleVmEvidence(
            ak_public=self.tpm.public if self.public is None else self.public,
            quotes=tuple([self._quote(bank) for bank in self.quotes]),
            event_log=self.firmware.encode() if self.event_log is None else self.event_log,
            canonical_log=self.launcher.encode(),
            ak_certificate=None if self.certificate is None else self.certificate.sign(),
            ak_intermediates=() if self.certificate is None else given,
            instance=self.stated,
            td_quote=td_quote,
            snp=part,
        )
        return GoogleVmScenario(
            parts=parts,
            container=self.after(protobuf.encode(parts)),
            endorsements=endorsements,
            anchors=tuple(anchors),
            nonce=self.nonce,
            report_data=self.report_data,
            at=self.at,
        )

    def _quote(self, bank: Algorithm) -> BankQuote:
        draft = self.quotes[bank]
        return BankQuote(draft.attest(), draft.signature(), self.banks.get(bank, int(bank)), self.pcrs[bank])

"""A machine with a TPM: it boots, runs files, and is asked for its evidence.

tpm = SoftwareTpm(key)
machine = Machine.booted(tpm)
machine.run("/usr/bin/agent", b"its bytes")
draft = machine.evidence(nonce)          # everything in it may be changed before it is encoded
data = draft.encode()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.tpm.container import TpmEvidence
from assay.simulator.tpm.logs import FirmwareLog, KernelLog, LauncherLog, file_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from assay.simulator.tpm.device import PrivateKey, QuoteDraft, SoftwareTpm

AIK_CERTIFICATE = ObjectIdentifier("2.23.133.8.3")
MADE = datetime(2025, 1, 15, tzinfo=UTC)
QUOTED = (*range(11), 14)


@dataclass(slots=True)
class EvidenceDraft:
    """The evidence of a machine before it is encoded.

    Attributes:
        quote: The quote, signed when this is encoded.
        bank: The bank that the PCR values are presented as.
        pcrs: The PCR values presented.
        public: The public area presented.
        certificates: AK certificate and issuers.
        firmware: The firmware's log; None to leave it out.
        launcher: The launcher's log; None to leave it out.
        kernel: The IMA log; None to leave it out.
        event_log: The encoded log of the firmware, in place of ``firmware``.
        signature: The signature in place of the key's own.
        after: Changes the encoded container.
    """

    quote: QuoteDraft
    bank: Algorithm
    pcrs: dict[int, bytes]
    public: bytes
    certificates: tuple[bytes, ...]
    firmware: FirmwareLog | None
    launcher: LauncherLog | None
    kernel: KernelLog | None
    event_log: bytes | None = None
    ima_log: bytes | None = None
    canonical_log: bytes | None = None
    signature: bytes | None = None
    after: Callable[[bytes], bytes] = field(default=bytes)

    def encode(self) -> bytes:
        """Sign the quote as it stands and return the container."""
        event_log = self.firmware.encode() if self.firmware and self.event_log is None else self.event_log
        ima_log = self.kernel.encode() if self.kernel and self.ima_log is None else self.ima_log
        canonical = (
            self.launcher.encode() if self.launcher and self.canonical_log is None else self.canonical_log
        )
        found = TpmEvidence(
            attest=self.quote.attest(),
            signature=self.signature if self.signature is not None else self.quote.signature(),
            bank=self.bank,
            pcrs=self.pcrs,
            public=self.public,
            certificates=self.certificates,
            event_log=event_log or b"",
            canonical_log=canonical or b"",
            ima_log=ima_log or b"",
        )
        return self.after(found.encode())


@dataclass(slots=True)
class Machine:
    """A machine that has booted.

    Attributes:
        tpm: Its TPM.
        firmware: The log of its boot.
        launcher: The log of its launcher.
        kernel: The log of its kernel.
    """

    tpm: SoftwareTpm
    firmware: FirmwareLog
    launcher: LauncherLog
    kernel: KernelLog

    @classmethod
    def booted(cls, tpm: SoftwareTpm) -> Machine:
        """Boot: firmware, kernel with IMA, and a launcher that measures its container."""
        firmware, launcher, kernel = FirmwareLog(tpm.banks), LauncherLog(), KernelLog()
        firmware.boot(tpm)
        kernel.begin(tpm)
        launcher.measure(tpm, 14, 0, b"registry.example/agent:1")
        return cls(tpm, firmware, launcher, kernel)

    def run(self, path: str, content: bytes) -> None:
        """Have the kernel measure a file."""
        self.kernel.measure(self.tpm, "ima-ng", file_data(path, Algorithm.SHA256.digest(content)))

    def evidence(
        self, extra_data: bytes, *, bank: Algorithm = Algorithm.SHA256, indices: Iterable[int] = QUOTED
    ) -> EvidenceDraft:
        """Return a quote with everything that explains it."""
        chosen = tuple(indices)
        return EvidenceDraft(
            quote=self.tpm.quote(extra_data, bank, chosen),
            bank=bank,
            pcrs=self.tpm.pcrs(bank, chosen),
            public=self.tpm.public,
            certificates=(),
            firmware=self.firmware,
            launcher=self.launcher,
            kernel=self.kernel,
        )


def certificate(
    subject: str,
    key: PrivateKey,
    issuer: str,
    issuer_key: PrivateKey,
    *,
    authority: bool,
    usages: tuple[ObjectIdentifier, ...] = (AIK_CERTIFICATE,),
    made: datetime = MADE,
    days: int = 3650,
) -> bytes:
    """Return a certificate of a chain of attestation keys, DER.

    Args:
        subject: Its common name.
        key: Its key.
        issuer: Common name of its issuer.
        issuer_key: What signs it.
        authority: Whether it issues certificates; one that does not is for an attestation key.
        usages: Extended key usages of the latter.
        made: Beginning of its validity.
        days: Length of its validity.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(Algorithm.SHA256.digest(subject.encode())[:8], "big") | 1)
        .not_valid_before(made)
        .not_valid_after(made + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
    )
    if usages and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    # The same keys always issue the same bytes: an installation's root is known by its fingerprint.
    deterministic = True if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else None
    issued = builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=deterministic)
    return issued.public_bytes(serialization.Encoding.DER)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def derived_key(secret: bytes, label: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of a secret and a label."""
    seed = Algorithm.SHA512.digest(
        b"assay simulated tpm" + len(secret).to_bytes(4, "big") + secret + label.encode()
    )
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return ec.derive_private_key(int.from_bytes(seed, "big") % (order - 1) + 1, ec.SECP256R1())

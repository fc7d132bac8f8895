"""One piece of simulated Azure evidence in the making, to be spoilt in one place before signing or after."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.azure.forms import AzureEvidence, VtpmQuote
from assay.evidence.azure.verify import AzureEndorsements
from assay.evidence.decoding.pem import encode as pem
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.snp.products import Product
from assay.simulator.amd.scene import SnpScene
from assay.simulator.azure.cloud import PARAVISOR
from assay.simulator.scene import Scene
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import FirmwareLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import rsa

    from assay.evidence.azure.hcl import AzurePlatform
    from assay.simulator.azure.cloud import SimulatedAzure
    from assay.simulator.tpm.device import QuoteDraft
    from assay.simulator.tpm.logs import LoggedEvent
    from assay.simulator.vtpm_pki import CertificateDraft, CrlDraft

NV_BYTES: Final = 2600
AK_NV_BYTES: Final = 4096
_SIGNATURE_HEAD: Final = 6  # scheme, hash and length in front of an RSA signature
_HASHES: Final = {"sha256": 1, "sha384": 2, "sha512": 3}
_TYPES: Final = {"azure-snp": 2, "azure-tdx": 4}


@dataclass(frozen=True, slots=True)
class AzureScenario:
    """What a Relying Party is given, and what it knows.

    Attributes:
        platform: Which kind of VM.
        parts: The evidence in its parts.
        container: The evidence as it travels.
        endorsements: What vouches for it.
        anchors: Roots to trust: family and DER.
        nonce: The nonce of the quote.
        user_data: What the guest handed to the paravisor; None for nothing.
        at: When.
    """

    platform: AzurePlatform
    parts: AzureEvidence
    container: bytes
    endorsements: AzureEndorsements
    anchors: tuple[tuple[str, bytes], ...]
    nonce: bytes
    user_data: bytes | None
    at: datetime


@dataclass(slots=True)
class AzureScene:
    """A VM, its paravisor, its virtual TPM and its hardware before anything is signed.

    Attributes:
        azure: The cloud.
        platform: Which kind of VM.
        at: The time of everything.
        nonce: The Relying Party's nonce.
        user_data: What the guest handed to the paravisor, at most 64 bytes; None for nothing.
        key: The attestation key.
        claims: The runtime claims.
        runtime: Their bytes in place of what ``claims`` encodes to.
        hash_name: The hash over them.
        report_data: What the paravisor gives the hardware, in place of that hash.
        words: Words of header and request data by offset, in place of the right ones.
        snp: The hardware of an SNP VM.
        tdx: The hardware of a TDX VM.
        tpm: The virtual TPM.
        quote: Its quote.
        log: The log of the boot, which comes along; None for none. Bundles alone have room for it.
        indices: The PCRs quoted.
        pcrs: Their values as they are presented, in order.
        certificate: The attestation key's certificate; None leaves all certificates out.
        authority: The certificate of its issuer.
        intermediates: Certificates that come along, in place of the authority's.
        behind_certificate: What follows the certificate.
        crls: CRLs that the Relying Party has: of the root, and of the authority.
        form: ``v0``, ``v1``, ``v2`` or ``bundle``.
        after_hcl: Changes the HCL report.
        after_log: Changes the log of the boot.
        after_signature: Changes the signature of the quote.
        after_members: Changes the members of the container.
        after: Changes the container.
    """

    azure: SimulatedAzure
    platform: AzurePlatform
    at: datetime
    nonce: bytes
    user_data: bytes | None = None
    form: str = "v1"
    key: rsa.RSAPrivateKey = field(init=False)
    claims: dict[str, Any] = field(init=False)
    runtime: bytes | None = None
    hash_name: str = "sha256"
    report_data: bytes | None = None
    words: dict[int, int] = field(default_factory=dict)
    snp: SnpScene | None = field(init=False, default=None)
    tdx: Scene | None = field(init=False, default=None)
    tpm: SoftwareTpm = field(init=False)
    quote: QuoteDraft = field(init=False)
    log: FirmwareLog | None = None
    indices: tuple[int, ...] = tuple(range(24))
    pcrs: list[bytes] = field(init=False)
    certificate: CertificateDraft | None = None
    authority: CertificateDraft = field(init=False)
    intermediates: tuple[bytes, ...] | None = None
    behind_certificate: bytes = b""
    crls: list[CrlDraft] = field(default_factory=list)
    after_hcl: Callable[[bytes], bytes] = field(default=bytes)
    after_log: Callable[[bytes], bytes] = field(default=bytes)
    after_signature: Callable[[bytes], bytes] = field(default=bytes)
    after_members: Callable[[dict[str, Any]], dict[str, Any]] = field(default=dict)
    after: Callable[[bytes], bytes] = field(default=bytes)

    def __post_init__(self) -> None:
        self.key = self.azure.ak_key()
        self.claims = runtime_claims(self.key, self.user_data)
        self.authority = self.azure.authority_draft()
        if self.platform == "azure-snp":
            self.snp = SnpScene(self.azure.amd, Product.GENOA, 3, "vcek", self.at, bytes(64))
            self.snp.report.measurement = hashlib.sha384(PARAVISOR).digest()
        else:
            self.tdx = Scene(self.azure.intel, "tdx", 4, self.at, bytes(64))
        self.boot()

    def boot(self, events: Iterable[LoggedEvent] | None = None) -> FirmwareLog:
        """Boot, quote what that leaves, and return the log; it comes along where it is put into ``log``.

        Args:
            events: What the firmware measures, in place of the usual.
        """
        self.tpm = SoftwareTpm(self.key, banks=(Algorithm.SHA256,))
        log = FirmwareLog(self.tpm.banks)
        if events is None:
            log.boot(self.tpm)
        else:
            for event in events:
                log.events.append(event)
                self.tpm.extend(event.register, event.digests)
        self.tpm.measure(11, b"a unified kernel image")
        self.quote_again()
        return log

    def quote_again(self) -> None:
        """Quote the PCRs of ``indices`` as they are."""
        self.quote = self.tpm.quote(self.nonce, Algorithm.SHA256, self.indices)
        self.pcrs = list(self.tpm.pcrs(Algorithm.SHA256, self.indices).values())

    def certify(self) -> None:
        """Let the virtual TPM have a certificate of its attestation key, and its issuers lists."""
        self.certificate = self.azure.ak_draft(self.key)
        self.crls = [self.azure.crl_draft(issuer, self.at) for issuer in ("root", "authority")]

    def finish(self) -> AzureScenario:
        """Sign everything as it stands, then apply what comes after signing."""
        raw = (
            json.dumps(self.claims, separators=(",", ":")).encode() if self.runtime is None else self.runtime
        )
        digest = hashlib.new(self.hash_name, raw).digest().ljust(64, b"\0")
        hardware, endorsed, anchor, td_quote, vcek = self._hardware(self.report_data or digest)
        hcl = self.after_hcl(self._hcl(hardware, raw))
        signature = self.after_signature(self.quote.signature()[_SIGNATURE_HEAD:])
        quote = VtpmQuote(self.quote.attest(), signature, tuple(self.pcrs))
        parts = AzureEvidence(hcl, quote, td_quote=td_quote, vcek=vcek, **self._certificates())
        if self.log is not None:
            parts = replace(parts, event_log=self.after_log(self.log.encode()))
        members = self.after_members(container_members(parts, self.form))
        return AzureScenario(
            platform=self.platform,
            parts=parts,
            container=self.after(json.dumps(members).encode()),
            endorsements=replace(endorsed, ak_crls=tuple([crl.sign() for crl in self.crls])),
            anchors=(anchor, ("azure-vtpm", self.azure.root_der)),
            nonce=self.nonce,
            user_data=self.user_data,
            at=self.at,
        )

    def _hardware(
        self, report_data: bytes
    ) -> tuple[bytes, AzureEndorsements, tuple[str, bytes], bytes | None, bytes | None]:
        """Return the report for the HCL, endorsements, anchor, TD quote and VCEK."""
        if self.snp is not None:
            self.snp.report.report_data = report_data
            found = self.snp.finish()
            given = AzureEndorsements(snp=found.endorsements)
            return found.report, given, ("amd", found.root), None, found.endorsements.vek
        if self.tdx is None:
            raise AssertionError("a VM runs on one of both")
        self.tdx.quote.body["report_data"] = report_data
        evidence = self.tdx.finish()
        given = AzureEndorsements(collateral=evidence.collateral)
        return td_report(report_data), given, ("intel", evidence.root), evidence.quote, None

    def _hcl(self, hardware: bytes, raw: bytes) -> bytes:
        data_size = 20 + len(raw)
        header = struct.pack("<4s7I", b"HCLA", 2, 1216 + data_size, 2, 0, 0, 0, 0)
        request = struct.pack("<5I", data_size, 1, _TYPES[self.platform], _HASHES[self.hash_name], len(raw))
        found = bytearray((header + hardware.ljust(1184, b"\0") + request + raw).ljust(NV_BYTES, b"\0"))
        for offset, word in self.words.items():
            struct.pack_into("<I", found, offset, word)
        return bytes(found)

    def _certificates(self) -> dict[str, Any]:
        if self.certificate is None:
            return {}
        given = (self.authority.sign(),) if self.intermediates is None else self.intermediates
        return {
            "ak_certificate": self.certificate.sign() + self.behind_certificate,
            "ak_intermediates": given,
        }


def runtime_claims(key: rsa.RSAPrivateKey, user_data: bytes | None) -> dict[str, Any]:
    """Return runtime claims as a paravisor of 2026 makes them."""
    modulus = key.public_key().public_numbers().n
    number = base64.urlsafe_b64encode(modulus.to_bytes(256, "big")).rstrip(b"=").decode()
    return {
        "keys": [
            {"kid": "HCLAkPub", "key_ops": ["sign"], "kty": "RSA", "e": "AQAB", "n": number},
            {"kid": "HCLEkPub", "key_ops": ["encrypt"], "kty": "RSA", "e": "AQAB", "n": number},
        ],
        "vm-configuration": {
            "root-cert-thumbprint": "",
            "console-enabled": False,
            "secure-boot": True,
            "tpm-enabled": True,
            "tpm-persisted": True,
            "vmUniqueId": "00000000-0000-4000-8000-000000000000",
        },
        "user-data": (user_data or b"").ljust(64, b"\0").hex().upper(),
    }


def td_report(report_data: bytes) -> bytes:
    """Return a TDREPORT, 1024 bytes: type, report data, and a MAC that nobody else can check."""
    mac = hashlib.sha256(report_data).digest()
    head = b"\x81" + bytes(127) + report_data + bytes(32) + mac
    return head.ljust(1024, b"\0")


def container_members(parts: AzureEvidence, form: str) -> dict[str, Any]:
    """Return the members of a container: ``v0``, ``v1``, ``v2`` as Trustee has them, or ``bundle``."""
    numbers = form in ("v0", "bundle")
    write: Callable[[bytes], Any] = list if numbers else bytes.hex
    quote = {
        "signature": write(parts.quote.signature),
        "message": write(parts.quote.message),
        "pcrs": [write(value) for value in parts.quote.pcrs],
    }
    if form == "bundle":
        return {
            "tdx_quote_base64": _base64(parts.td_quote or b""),
            "hcl_report_base64": _base64(parts.hcl),
            "tpm_attestation": {
                "ak_certificate_pem": pem(parts.ak_certificate).decode() if parts.ak_certificate else None,
                "ak_intermediate_certificates_pem": [pem(one).decode() for one in parts.ak_intermediates],
                "quote": quote,
                "event_log": list(parts.event_log),
                "instance_info": None,
            },
        }
    if numbers:
        if parts.vcek is not None:
            return {"quote": quote, "report": list(parts.hcl), "vcek": pem(parts.vcek).decode()}
        return {"tpm_quote": quote, "hcl_report": list(parts.hcl), "td_quote": list(parts.td_quote or b"")}
    found = {"version": int(form[1:]), "tpm_quote": quote, "hcl_report": _base64(parts.hcl)}
    if parts.vcek is not None:
        return {**found, "vcek": _base64(parts.vcek)}
    return {**found, "td_quote": _base64(parts.td_quote or b"")}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()

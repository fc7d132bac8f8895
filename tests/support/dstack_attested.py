"""dstack attestations of every platform, simulated: true ones, to be changed one thing at a time."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cbor2

from assay.evidence.dstack.config_id import host_data, value_v2
from assay.evidence.dstack.key_provider import ProviderKind
from assay.evidence.dstack.versioned import Attestation, BootTpm
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.replay import replay_rtmrs
from assay.evidence.facts import FactCache
from assay.evidence.verification import Expected
from assay.verification.formats import format_of
from assay.verification.terms import Given, Terms
from support import google_vm_scenes, nitro_scenes, snp_scenes
from support.dstack_encodings import compact, pack, scale_events, scale_runtime, vector
from support.dstack_guest import APP_ID, COMPOSE_HASH, INSTANCE_ID, PROVIDER_ID, runtime, system_events

if TYPE_CHECKING:
    from assay.evidence.dstack import DstackEvent
    from assay.evidence.roots import Roots
    from assay.evidence.verification import EvidenceResult

REPORT_DATA = bytes(range(64))
DOCUMENT = json.dumps(
    {
        "app_id": APP_ID.hex(),
        "compose_hash": COMPOSE_HASH.hex(),
        "instance_id": INSTANCE_ID.hex(),
        "key_provider": "kms",
        "key_provider_id": PROVIDER_ID.hex(),
        "version": 3,
    }
)
EVENTS = [*system_events(), runtime("app", b"said")]
CONFIG_ID = value_v2(COMPOSE_HASH, APP_ID, ProviderKind.KMS, PROVIDER_ID)
BOOT = {4: b"\4" * 48, 7: b"\7" * 48, 12: b"\x0c" * 48}


def replayed(events: list[DstackEvent], algorithm: Algorithm) -> bytes:
    """Return a PCR after these events were extended into it."""
    value = bytes(algorithm.size)
    for event in events:
        value = algorithm.digest(value + algorithm.digest(event.rebuilt_preimage()))
    return value


def aws_config(digest: bytes = hashlib.sha256(b"".join(BOOT.values())).digest(), **changes: Any) -> str:
    """Return a configuration whose measurement makes the boot registers."""
    measurement = cbor2.dumps({"boot_pcr_digest": digest})
    line = f"{hashlib.sha256(measurement).hexdigest()}  measurement.aws.cbor\n".encode()
    said = {
        "os_image_hash": hashlib.sha256(line).hexdigest(),
        "aws_measurement": {
            "checksum_file": base64.b64encode(line).decode(),
            "measurement": base64.b64encode(measurement).decode(),
        },
    }
    return json.dumps(said | changes)


@dataclass
class Attested:
    """An attestation with everything that its evidence's verification needs.

    Attributes:
        found: The attestation as it is parsed.
        platform: Whose format verifies it.
        roots: The roots to trust.
        now: When.
        endorsements: What vouches for the evidence.
    """

    found: Attestation
    platform: str
    roots: Roots
    now: Any
    endorsements: Any = None
    scene: Any = field(default=None, repr=False)

    def result(self) -> EvidenceResult[Any]:
        """Verify the evidence itself."""
        given = Given(self.roots, self.now, Expected(self.found.report_data), FactCache(), Terms())
        evidence = scale(self.found) if self.platform == "gcp-tdx" else self.found.evidence
        return format_of(self.platform).verify(evidence, self.endorsements, given)

    def changed(self, **fields: Any) -> Attested:
        """Return the same with other fields of the attestation."""
        return replace(self, found=replace(self.found, **fields))


def snp(**fields: Any) -> Attested:
    """Return an SNP guest's attestation; ``fields`` are of its report."""
    scene = snp_scenes.scene()
    scene.report = replace(scene.report, **({"host_data": host_data(DOCUMENT.encode())} | fields))
    made = scene.finish()
    found = Attestation("sev-snp", made.report, (), bare(EVENTS), REPORT_DATA, "{}", document=DOCUMENT)
    return Attested(found, "snp", snp_scenes.roots_of(made), made.at, made.endorsements)


def enclave() -> Attested:
    """Return an enclave's attestation."""
    pcrs = nitro_scenes.PCRS
    image = hashlib.sha256(pcrs[0] + pcrs[1] + pcrs[2]).hexdigest()
    document = nitro_scenes.module().attest(nitro_scenes.NOW, user_data=REPORT_DATA)
    found = Attestation(
        "nitro-enclave", document, (), bare(EVENTS), REPORT_DATA, json.dumps({"os_image_hash": image})
    )
    return Attested(found, "nitro", nitro_scenes.ROOTS, nitro_scenes.NOW)


def nitro_tpm(*, config: str | None = None, config_pcr: bytes | None = None) -> Attested:
    """Return the attestation of an instance with a NitroTPM."""
    chosen = hashlib.sha384(bytes(48) + CONFIG_ID).digest() if config_pcr is None else config_pcr
    registers = BOOT | {8: chosen, 14: replayed(EVENTS, Algorithm.SHA384)}
    module = nitro_scenes.AWS.instance("dstack").tpm(registers)
    document = module.attest(nitro_scenes.NOW, user_data=REPORT_DATA)
    found = Attestation(
        "aws-nitro-tpm", document, (), bare(EVENTS), REPORT_DATA, aws_config() if config is None else config
    )
    return Attested(found, "nitro-tpm", nitro_scenes.ROOTS, nitro_scenes.NOW)


def google(*, nonce: bytes | None = None, lane: bytes | None = None, rtmr3: bytes | None = None) -> Attested:
    """Return the attestation of a TDX guest on Google's cloud."""
    scene = google_vm_scenes.scene("tdx")
    register = replay_rtmrs((3, event.digest) for event in EVENTS)[3] if rtmr3 is None else rtmr3
    scene.tdx.quote_from(scene.tdx.machine, rtmr3=register)
    quote = scene.tdx.finish().quote
    tpm = scene.tpm
    tpm.values[Algorithm.SHA256][14] = replayed(EVENTS, Algorithm.SHA256) if lane is None else lane
    boot = (2, hashlib.sha256(b"a kernel image").digest())
    tpm.values[Algorithm.SHA256][2] = hashlib.sha256(bytes(32) + boot[1]).digest()
    scene.nonce = hashlib.sha256(quote).digest() if nonce is None else nonce
    draft = tpm.quote(scene.nonce, Algorithm.SHA256, (0, 2, 14))
    made = scene.finish()
    part = BootTpm(
        draft.attest(),
        draft.signature(),
        tpm.pcrs(Algorithm.SHA256, (0, 2, 14)),
        made.parts.ak_certificate,
        (boot,),
    )
    found = Attestation("gcp-tdx", quote, tuple(EVENTS), bare(EVENTS), REPORT_DATA, "{}", tpm=part)
    given = replace(made.endorsements, ak_intermediates=made.parts.ak_intermediates)
    return Attested(found, "gcp-tdx", google_vm_scenes.roots_of(made), made.at, given)


def bare(events: list[DstackEvent]) -> tuple[DstackEvent, ...]:
    """Return runtime events as they stand beside evidence: without digests."""
    return tuple(replace(event, digest=b"", preimage=None) for event in events if event.runtime)


def scale(found: Attestation) -> bytes:
    """Write an attestation of version 0."""
    number = ("tdx", "gcp-tdx", "nitro-enclave", "sev-snp", "aws-nitro-tpm").index(found.variant)
    out = bytes([0, number]) + vector(found.evidence)
    if found.variant in ("tdx", "gcp-tdx"):
        out += scale_events(found.log)
    if found.tpm is not None:
        tpm = found.tpm
        out += vector(tpm.message) + vector(tpm.signature) + compact(len(tpm.pcrs))
        for index, value in tpm.pcrs.items():
            out += index.to_bytes(4, "little") + vector(b"sha256") + vector(value)
        out += vector(tpm.certificate) + b"\1" + compact(len(tpm.events))
        out += b"".join(index.to_bytes(4, "little") + vector(digest) for index, digest in tpm.events)
    if found.variant == "sev-snp":
        out += compact(len(found.certificates)) + b"".join(map(vector, found.certificates))
        out += vector(found.document.encode())
    return out + scale_runtime(found.runtime) + found.report_data + vector(found.config.encode())


def packed(found: Attestation) -> bytes:
    """Write an attestation of version 1."""
    return pack(members(found))


def members(found: Attestation) -> dict[str, Any]:
    """Return an attestation of version 1 before it is packed."""
    data: dict[str, Any]
    if found.variant == "sev-snp":
        data = {
            "report": list(found.evidence),
            "cert_chain": [list(each) for each in found.certificates],
            "mr_config": found.document,
        }
    elif found.variant in ("nitro-enclave", "aws-nitro-tpm"):
        name = "nsm_quote" if found.variant == "nitro-enclave" else "attestation_doc"
        data = {name: list(found.evidence)}
    else:
        data = {"quote": list(found.evidence), "event_log": [_logged(event) for event in found.log]}
    if found.tpm is not None:
        tpm = found.tpm
        data["tpm_quote"] = {
            "message": tpm.message,
            "signature": tpm.signature,
            "pcr_values": [
                {"index": index, "algorithm": "sha256", "value": value} for index, value in tpm.pcrs.items()
            ],
            "ak_cert": tpm.certificate,
            "platform": "gcp",
            "event_log": [{"pcr_index": index, "digest": digest} for index, digest in tpm.events],
        }
    beside = [
        {"event": event.name, "payload": event.payload}
        | ({"version": event.version} if event.version != 1 else {})
        for event in found.runtime
    ]
    stack = {"report_data": list(found.report_data), "runtime_events": beside, "config": found.config}
    return {
        "version": 1,
        "platform": {"kind": found.variant, "data": data},
        "stack": {"kind": "dstack", "data": stack},
    }


def _logged(event: DstackEvent) -> dict[str, Any]:
    return {
        "imr": event.register,
        "event_type": event.kind,
        "digest": event.digest,
        "event": event.name,
        "event_payload": event.payload,
    }


MAKERS = {"sev-snp": snp, "nitro-enclave": enclave, "aws-nitro-tpm": nitro_tpm, "gcp-tdx": google}

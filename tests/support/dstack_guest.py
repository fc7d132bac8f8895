"""A simulated dstack guest: it writes its log, extends registers and quotes them, truly or with one defect.

guest = Guest(events=system_events())
presented = guest.presented(report_data)
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import cbor2

from assay.evidence.dcap import verify_quote
from assay.evidence.dstack import DstackEvent, Presented
from assay.evidence.dstack.os_image import parse_document
from assay.evidence.eventlog.replay import replay_rtmrs
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.simulator.intel import Installation

if TYPE_CHECKING:
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.verification import EvidenceResult, Expected, Unchecked
    from assay.simulator.hardware import SimulatedPlatform

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
RUNTIME = 0x08000001
COMPOSE = b'{"name":"app","runner":"docker-compose"}'
COMPOSE_HASH = hashlib.sha256(COMPOSE).digest()
APP_ID = COMPOSE_HASH[:20]
INSTANCE_ID = bytes.fromhex("1d" * 20)
PROVIDER_ID = bytes.fromhex("3059301306072a8648ce3d0201")
PROVIDER = json.dumps({"name": "kms", "id": PROVIDER_ID.hex()}, separators=(",", ":")).encode()
IMAGE_HASH = bytes.fromhex("a5" * 32)
MEMORY = 4 << 30
CMDLINE, KERNEL, INITRD = (hashlib.sha384(text).digest() for text in (b"cmdline", b"kernel", b"initrd"))
SINGLE_PASS, TWO_PASS = (hashlib.sha384(text).digest() for text in (b"single", b"two"))
WITNESS = bytes.fromhex("80100904000609020b021010")
ACPI = tuple(hashlib.sha384(name).digest() for name in (b"loader", b"rsdp", b"tables"))


def runtime(name: str, payload: bytes = b"", *, version: int = 1) -> DstackEvent:
    """Return a true runtime event, with its digest and, in version 2, its preimage."""
    bare = DstackEvent(3, RUNTIME, name, payload, b"", version)
    preimage = bare.rebuilt_preimage()
    return replace(
        bare, digest=hashlib.sha384(preimage).digest(), preimage=preimage if version == 2 else None
    )


def system_events(*, version: int = 1, **payloads: bytes) -> list[DstackEvent]:
    """Return the system events of dstack 0.6; payloads by name, underscores for hyphens."""
    said = {
        "system-preparing": b"",
        "app-id": APP_ID,
        "compose-hash": COMPOSE_HASH,
        "instance-id": INSTANCE_ID,
        "boot-mr-done": b"",
        "os-image-hash": IMAGE_HASH,
        "key-provider": PROVIDER,
        "storage-fs": b"zfs",
        "system-ready": b"",
    } | {name.replace("_", "-"): payload for name, payload in payloads.items()}
    return [runtime(name, payload, version=version) for name, payload in said.items()]


def acpi_events() -> list[DstackEvent]:
    """Return the three ACPI events that a guest keeps in a log without boot events."""
    names = ("acpi-loader", "acpi-rsdp", "acpi-tables")
    return [DstackEvent(0, 0xA, name, b"ACPI DATA", digest) for name, digest in zip(names, ACPI, strict=True)]


def boot_events() -> list[DstackEvent]:
    """Return a few boot events whose payloads are hashed."""
    payload = b"Calling EFI Application from Boot Option"
    return [
        DstackEvent(0, 0x4, "", bytes(4), hashlib.sha384(bytes(4)).digest()),
        DstackEvent(1, 0x80000007, "", payload, hashlib.sha384(payload).digest()),
        DstackEvent(2, 0x6, "", b"", hashlib.sha384(b"initrd").digest()),
    ]


@cache
def installation() -> Installation:
    """Return this test process's simulated Intel."""
    return Installation(hashlib.sha256(b"tests of dstack").digest())


@cache
def machine() -> SimulatedPlatform:
    """Return the machine under the guests."""
    return installation().machine("dstack host")


@dataclass
class Guest:
    """A guest, changed at will before it quotes.

    Attributes:
        events: What the guest extends, in order.
        shown: What it presents as its log; None the same.
        td: Fields of the TD report that are set at launch.
        others: Further members of ``Presented``.
    """

    events: list[DstackEvent] = field(default_factory=lambda: boot_events() + system_events())
    shown: list[DstackEvent] | None = None
    td: dict[str, bytes | int] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=lambda: {"app_compose": COMPOSE})

    def quote(self, report_data: bytes = bytes(64)) -> bytes:
        """Return a signed quote over what the guest extended."""
        launched = machine().trust_domain(**self.td)
        for event in self.events:
            launched.extend(event.register, event.digest)
        return launched.quote(report_data)

    def presented(self, report_data: bytes = bytes(64)) -> Presented:
        """Return what the guest answers."""
        return Presented(
            quote=self.quote(report_data),
            log=log_json(self.events if self.shown is None else self.shown),
            **self.others,
        )

    def rtmr(self, register: int) -> bytes:
        """Return a register as the guest's own events make it."""
        return replay_rtmrs((event.register, event.digest) for event in self.events)[register]


def log_json(events: list[DstackEvent]) -> bytes:
    """Write a log as JSON."""
    return json.dumps([event_json(event) for event in events]).encode()


def event_json(event: DstackEvent) -> dict[str, Any]:
    """Write one event as JSON."""
    found: dict[str, Any] = {
        "imr": event.register,
        "event_type": event.kind,
        "digest": event.digest.hex(),
        "event": event.name,
        "event_payload": event.payload.hex(),
    }
    if event.version != 1:
        found["version"] = event.version
    if event.preimage is not None:
        found["preimage"] = event.preimage.hex()
    return found


def measurement(**changes: Any) -> bytes:
    """Return an image's ``measurement.tdx.cbor``."""
    document = {
        "version": 3,
        "image": {"cmdline_sha384": CMDLINE, "kernel_authenticode": KERNEL, "initrd_sha384": INITRD},
        "tdvf": {
            "ovmf": "pre202505",
            "mrtd": {"single_pass": SINGLE_PASS, "two_pass": TWO_PASS},
            "td_hob": WITNESS,
        },
    }
    return cbor2.dumps(document | changes)


def checksums(**files: bytes) -> bytes:
    """Return a checksum file; names with underscores for dots."""
    return b"".join(
        f"{hashlib.sha256(content).hexdigest()}  {name.replace('_', '.')}\n".encode()
        for name, content in files.items()
    )


def image_config(
    content: bytes | None = None, listed: bytes | None = None, *, memory: int | None = MEMORY, **more: Any
) -> bytes:
    """Return a VM configuration with a measurement document."""
    content = measurement() if content is None else content
    listed = checksums(measurement_tdx_cbor=content) if listed is None else listed
    config: dict[str, Any] = {
        "os_image_hash": hashlib.sha256(listed).hexdigest(),
        "tdx_measurement": {
            "checksum_file": base64.b64encode(listed).decode(),
            "measurement": base64.b64encode(content).decode(),
        },
    }
    if memory is not None:
        config["memory_size"] = memory
    return json.dumps(config | more).encode()


def lite_guest(**more: Any) -> Guest:
    """Return a guest of an image whose measurement document explains MRTD and RTMR0 to RTMR2."""
    found = parse_document(json.loads(image_config())["tdx_measurement"])
    return Guest(
        events=system_events(),
        shown=acpi_events() + system_events(),
        td={
            "mr_td": found.mrtd_two_pass,
            "rtmr0": found.rtmr0(MEMORY, ACPI),
            "rtmr1": found.rtmr1(),
            "rtmr2": found.rtmr2(),
        },
        others={"app_compose": COMPOSE, "vm_config": image_config(), **more},
    )


def verified(quote: bytes, binding: Expected | Unchecked, **changes: Any) -> EvidenceResult[TdxClaims]:
    """Verify a simulated guest's quote the whole way, under this process's simulated root."""
    made = installation()
    asked = {
        "platform": "tdx",
        "collateral": made.collateral(AT, platform="tdx"),
        "roots": Roots.vendor().with_anchor(made.anchor_name, made.root_der),
        "now": AT,
        "binding": binding,
        "facts": FactCache(max_entries=4),
    }
    return verify_quote(quote, **(asked | changes))

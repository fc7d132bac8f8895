"""Simulated GPUs and switches: what they measured, what they say of themselves, and the report they sign."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from struct import pack
from typing import TYPE_CHECKING, Final

from assay.simulator.nvidia import pki
from assay.simulator.pki import derive_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.simulator.nvidia.authority import SimulatedNvidia

BLOCKS: Final = {"HOPPER": 64, "BLACKWELL": 64, "LS10": 31}
CHIPS: Final = {"HOPPER": "GH100", "BLACKWELL": "GB100", "LS10": "LS_10"}
_CONTROLLERS: Final = {"HOPPER": "GSP", "BLACKWELL": "GSP", "LS10": "FSP"}
DRIVER: Final = "590.12"
FIRMWARE: Final = {"HOPPER": "96.00.A5.00.01", "BLACKWELL": "97.00.88.00.0F", "LS10": "96.10.55.00.01"}
_INACTIVE: Final = frozenset({0, 8, 10, 12})
_NVDEC0_INDEX: Final = 35


def measured(architecture: str, index: int) -> bytes:
    """Return what every simulated device of a family measures at an index, 48 bytes."""
    if index in _INACTIVE:
        return bytes(48)
    return hashlib.sha384(f"simulated {architecture} measurement {index}".encode()).digest()


def raw_firmware(version: str) -> bytes:
    """Return a firmware version as GPUs write it: five bytes, four of them turned round, three zeros."""
    a, b, c, d, e = (int(part, 16) for part in version.split("."))
    return bytes([d, c, b, a, e, 0, 0, 0])


@dataclass
class ReportDraft:
    """A report before it is signed; each field may be changed.

    Attributes:
        nonce: What the requester asked with.
        measurements: Index of the block (from 1), specification, type and value of each block.
        opaque: Number and value of each field, in order; a list, so that one can stand there twice.
        chain: Certificates, leaf first.
        key: Signs the report.
        request: Version, code, attributes and operation of the request.
        response: Version, code, number of indices and slot of the response.
        slot: Slot that the request asks for.
        block_count: Number of blocks that the response states; None counts them.
        opaque_tail: Bytes behind the last field.
        after: Changes the signed report.
    """

    nonce: bytes
    measurements: list[tuple[int, int, int, bytes]]
    opaque: list[tuple[int, bytes]]
    chain: list[pki.Issued]
    key: ec.EllipticCurvePrivateKey
    request: bytes = b"\x11\xe0\x01\xff"
    response: bytes = b"\x11\x60\x00\x00"
    slot: int = 0
    block_count: int | None = None
    opaque_tail: bytes = b""
    after: Callable[[bytes], bytes] = bytes

    def set(self, number: int, value: bytes) -> None:
        """Replace a field of the opaque data, or add it."""
        places = [place for place, (known, _) in enumerate(self.opaque) if known == number]
        if places:
            self.opaque[places[0]] = (number, value)
        else:
            self.opaque.append((number, value))

    def drop(self, number: int) -> None:
        """Remove a field of the opaque data."""
        self.opaque = [(known, value) for known, value in self.opaque if known != number]

    def sign(self) -> bytes:
        """Return the signed report."""
        record = b"".join(
            pack("<BBHBH", index, specification, len(value) + 3, kind, len(value)) + value
            for index, specification, kind, value in self.measurements
        )
        opaque = b"".join(pack("<HH", number, len(value)) + value for number, value in self.opaque)
        opaque += self.opaque_tail
        count = len(self.measurements) if self.block_count is None else self.block_count
        head = self.request + self.nonce + bytes([self.slot])
        body = self.response + bytes([count & 0xFF]) + len(record).to_bytes(3, "little") + record
        tail = hashlib.sha256(self.nonce).digest() + pack("<H", len(opaque)) + opaque
        message = head + body + tail
        return self.after(message + pki.sign_raw(self.key, message))

    def pem(self) -> bytes:
        """Return the chain."""
        return b"".join(issued.pem() for issued in self.chain)


@dataclass(frozen=True)
class SimulatedDevice:
    """One GPU or switch with its own fuses.

    Attributes:
        nvidia: The simulated NVIDIA that made it.
        architecture: ``HOPPER``, ``BLACKWELL`` or ``LS10``.
        seed: Which one.
        driver: Version of its driver.
        switches: Device ids of the switches behind its links, 8 bytes each; a GPU under protected PCIe.
        gpus: Device ids of the GPUs behind its ports, 8 bytes each; a switch.
        overrides: What it measures instead, by index.
        nvdec0: Whether its video decoder is on.
    """

    nvidia: SimulatedNvidia
    architecture: str
    seed: str
    driver: str = DRIVER
    switches: tuple[bytes, ...] = ()
    gpus: tuple[bytes, ...] = ()
    overrides: Mapping[int, bytes] = field(default_factory=dict)
    nvdec0: bool = False

    def _secret(self, label: str, size: int) -> bytes:
        return derive_bytes(self.nvidia.secret, f"{self.architecture} {self.seed} {label}", size)

    @property
    def pdi(self) -> bytes:
        """Its device id, 8 bytes."""
        return self._secret("pdi", 8)

    @property
    def fwid(self) -> bytes:
        """Digest of its firmware, 48 bytes: the same for all of a family."""
        return hashlib.sha384(f"simulated firmware of {self.architecture}".encode()).digest()

    @cached_property
    def chip(self) -> pki.Issued:
        """The chip's own authority."""
        number = ("50" if self.architecture == "LS10" else "41") + self.pdi.hex().upper()
        profile = pki.Profile(f"{self.label} BROM", serial_number=number, usage=frozenset({"key_cert_sign"}))
        issuer = self.nvidia.authorities(CHIPS[self.architecture])[1]
        return issuer.issue(profile, self.nvidia.key(f"chip {self.architecture} {self.seed}"))

    @property
    def label(self) -> str:
        """How its certificates call it."""
        return f"{CHIPS[self.architecture]} A01 {_CONTROLLERS[self.architecture]}"

    def firmware_profile(self) -> pki.Profile:
        """Return what the certificate of its firmware says."""
        if self.architecture == "BLACKWELL":
            extension = (pki.OID_TCB_INFO, pki.tcb_info(CHIPS["BLACKWELL"], (self.fwid, bytes(48))))
        else:
            extension = (pki.OID_COMPOSITE, pki.composite_id(self.chip.key, self.fwid))
        return pki.Profile(
            f"{self.label} FMC LF",
            serial_number=self._secret("firmware", 20).hex().upper(),
            authority=None,
            usage=pki.SIGNER_USAGE,
            extension=extension,
        )

    @property
    def firmware_key(self) -> ec.EllipticCurvePrivateKey:
        """The key of the firmware that booted."""
        return self.nvidia.key(f"firmware {self.architecture} {self.seed}")

    def chain(self) -> list[pki.Issued]:
        """Return its chain, leaf first."""
        identity, issuer = self.nvidia.authorities(CHIPS[self.architecture])
        leaf = self.chip.issue(self.firmware_profile(), self.firmware_key)
        return [leaf, self.chip, issuer, identity, self.nvidia.device_root]

    def draft(self, nonce: bytes) -> ReportDraft:
        """Return its answer to a nonce, before it is signed."""
        measurements = []
        for index in range(BLOCKS[self.architecture]):
            value = self.overrides.get(index, measured(self.architecture, index))
            if index == _NVDEC0_INDEX and not self.nvdec0:
                value = bytes(48)
            measurements.append((index + 1, 1, 1, value))
        opaque = self._switch_fields() if self.architecture == "LS10" else self._gpu_fields()
        return ReportDraft(nonce, measurements, opaque, self.chain(), self.firmware_key)

    def _gpu_fields(self) -> list[tuple[int, bytes]]:
        protected = bool(self.switches)
        fields = [
            (6, raw_firmware(FIRMWARE[self.architecture])),
            (15, b"885\0\0\0\0\0\0"),
            (16, b"0\0\0\0\0"),
            (17, b"G520\0"),
            (18, b"0200\0"),
            (3, self.driver.encode() + b"\0"),
            (11, b"\xaa" if self.nvdec0 else b"\x55"),
            (20, self.fwid),
            (21, b"\xaa" if protected else b"\x55"),
            (34, b"\1\0"),
            (36, b"\2\0" if protected else b"\0\0"),
        ]
        if protected:
            # A GPU writes each id the other way round than the switch does.
            links = b"".join(pdi[::-1] for pdi in self.switches) + bytes(8)
            fields.insert(9, (22, links))
        if self.architecture == "BLACKWELL":
            fields.append((35, CHIPS["BLACKWELL"].encode() + b"\0"))
        return fields

    def _switch_fields(self) -> list[tuple[int, bytes]]:
        ports = b"".join(self.gpus).ljust(64, b"\0") + bytes(64)
        return [
            (6, FIRMWARE["LS10"].encode()),
            (22, self.pdi),
            (24, b"\1\0"),
            (25, b"\1\0"),
            (26, ports),
        ]

"""Measuring artefacts, against the bare hashes and signatures that it consists of."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from table import Row, interleaved

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from assay.reference import corim
from assay.reference.artefact import Artefact
from assay.reference.manifest import Manifest, TrustedKey, open_manifest, sign
from assay.reference.ovmf import parse_firmware
from assay.reference.pe import authenticode
from assay.reference.snp import Machine, launch_digest
from assay.reference.tdvf import mrtd
from assay.reference.values import Measured
from support.reference_firmware import sev_firmware, tdx_firmware, tdx_metadata
from support.reference_pe import pe

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 1024
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def rows() -> Iterator[Row]:
    """Yield a row for each kind of artefact, and the floor that it is compared with."""
    yield from _firmware()
    yield from _images()
    yield from _signed()


def _firmware() -> Iterator[Row]:
    snp = parse_firmware(sev_firmware(pages=PAGES))
    size = 4096 * (PAGES - 1)
    tdx = parse_firmware(
        tdx_firmware(tdx_metadata([(4096, size, (1 << 32) - size, size, 0, 1)]), pages=PAGES)
    )
    machine = Machine(4, 0xA00F11)
    page, info, chunk = bytes(4096), bytes(112), bytes(384)

    def hash_pages() -> None:
        for _ in range(PAGES):
            hashlib.sha384(page).digest()
            hashlib.sha384(info).digest()

    def hash_chunks() -> None:
        state = hashlib.sha384()
        for _ in range(16 * (PAGES - 1)):
            state.update(chunk)

    found = interleaved(
        {
            "SHA-384 of 1024 pages and of a structure for each": hash_pages,
            "SNP launch digest, 4 MiB": lambda: launch_digest(snp, machine, None),
            "SHA-384 of what MRTD covers of 4 MiB": hash_chunks,
            "MRTD, 4 MiB": lambda: mrtd(tdx, two_pass=False),
        }
    )
    against = {
        "SNP launch digest, 4 MiB": ("SHA-384 of 1024 pages and of a structure for each", 1.5),
        "MRTD, 4 MiB": ("SHA-384 of what MRTD covers of 4 MiB", 2.0),
    }
    for name, (seconds, samples) in found.items():
        other, bound = against.get(name, ("", None))
        yield Row(name, seconds, samples, against=other, at_most=bound)


def _images() -> Iterator[Row]:
    image = Artefact.of(pe([(".linux", bytes(32 << 20))]))
    content = bytes(32 << 20)
    floor, ours = "SHA-256 of 32 MiB", "Authenticode digest, 32 MiB"
    found = interleaved(
        {floor: lambda: hashlib.sha256(content).digest(), ours: lambda: authenticode(image, "sha256")},
        rounds=7,
    )
    yield Row(floor, *found[floor])
    yield Row(ours, *found[ours], against=floor, at_most=1.5)


def _signed() -> Iterator[Row]:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    trusted = [TrustedKey.of(key.public_key())]
    values = Measured("tdx", {"mr_td": frozenset({b"\1" * 48}), "rtmr1": frozenset({b"\2" * 48})})
    signed = sign(Manifest("name", 1, NOW, NOW + timedelta(days=1), values, "tool"), key)
    message = corim.sign(corim.encode(values, tag_id="t", vendor="v", model="m"), key, signer="v")
    signature, public = key.sign(signed), key.public_key()
    floor = "Ed25519 verification"
    found = interleaved(
        {
            floor: lambda: public.verify(signature, signed),
            "signed manifest, opened": lambda: open_manifest(signed, trusted),
            "signed CoRIM, verified": lambda: corim.verify(message, trusted, now=NOW),
        },
        inner=20,
    )
    for name, (seconds, samples) in found.items():
        yield Row(name, seconds, samples, against="" if name == floor else floor)

"""Logs for tests: real ones in a state directory, and exports forged file by file."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.audit import MIGRATIONS, Checkpoint, Log, LogKey, entry, merkle, tiles
from assay.store import Database

if TYPE_CHECKING:
    from pathlib import Path

KEY = LogKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_KEY = LogKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
ORIGIN = "log.example/assay"
START = 1_790_000_000.0


class Naive:
    """RFC 6962, 2.1, word for word: what the quick code is compared with."""

    def __init__(self, leaves: list[bytes]):
        self.leaves = leaves

    def root(self) -> bytes:
        return naive_root(self.leaves)

    def subtree(self, height: int, index: int) -> bytes:
        return naive_root(self.leaves[index << height : (index + 1) << height])


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return merkle.node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


@dataclass
class Forged:
    """Entries of any kind and the files of an export of them, each open to change."""

    origin: str = ORIGIN
    key: LogKey = KEY
    entries: list[bytes] = field(default_factory=list)

    @property
    def vkey(self):
        return self.key.verifier(self.origin)

    def add(self, kind: str = "lease.intended", lease: str = "lease-1", time: float | None = None, **facts):
        """Append a good entry."""
        prev = merkle.leaf_hash(self.entries[-1]) if self.entries else None
        seq = len(self.entries)
        at = START + seq if time is None else time
        self.entries.append(entry.encode(seq=seq, prev=prev, time=at, kind=kind, lease=lease, facts=facts))
        return self

    def grow(self, count: int):
        """Append so many good entries."""
        for number in range(count):
            self.add(n=number)
        return self

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.origin, len(self.entries), Naive(self.leaves()).root())

    def leaves(self) -> list[bytes]:
        return [merkle.leaf_hash(data) for data in self.entries]

    def files(
        self, *, checkpoint: Checkpoint | None = None, attachments: tuple[bytes, ...] = ()
    ) -> dict[str, bytes]:
        """Return the files of an export by name."""
        size = len(self.entries)
        files = {
            "README.txt": b"read me\n",
            "checkpoint": self.key.sign(checkpoint or self.checkpoint()),
            "log.vkey": f"{self.vkey}\n".encode(),
        }
        for data in attachments:
            files[f"attachments/{digest(data)}"] = data
        naive = Naive(self.leaves())
        for level, count in tiles.levels(size):
            for index, width in tiles.widths(count):
                hashes = (
                    naive.subtree(8 * level, place) for place in range(index * 256, index * 256 + width)
                )
                files[tiles.tile_path(level, index, width)] = b"".join(hashes)
        for index, width in tiles.widths(size):
            bundle = tiles.encode_bundle(self.entries[index * 256 : index * 256 + width])
            files[tiles.tile_path(None, index, width)] = bundle
        return files

    def proof(self, old: int) -> dict[str, bytes]:
        """Return the consistency proof from an older size, as a file."""
        size = len(self.entries)
        hashes = merkle.consistency_proof(Naive(self.leaves()), old, size)
        return {f"consistency/{old}-{size}": b"".join(base64.b64encode(item) + b"\n" for item in hashes)}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(files: dict[str, bytes], path: Path) -> Path:
    """Write the files as a directory."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def put_tar(
    files: dict[str, bytes], path: Path, *, change=lambda info: info, form=tarfile.USTAR_FORMAT
) -> Path:
    """Write the files as a tar with Python's own writer; ``change`` may alter each header."""
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(change(info), io.BytesIO(data))
    return path


def files_of(path: Path) -> dict[str, bytes]:
    """Return the files of a directory by name."""
    return {str(item.relative_to(path)): item.read_bytes() for item in path.rglob("*") if item.is_file()}


def open_state(state: Path, **options) -> tuple[Database, Log]:
    """Open a state directory and its log."""
    db = Database.open(state, migrations=MIGRATIONS, **options)
    return db, Log.open(db, LogKey.open(state), ORIGIN)


def record(db: Database, log: Log, count: int = 1, **facts) -> None:
    """Append entries, each in a transaction of its own."""
    for number in range(count):
        with db.transaction() as tx:
            log.append(tx, "lease.intended", "lease-1", {"n": number, **facts})

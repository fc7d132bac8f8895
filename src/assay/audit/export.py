"""Writing a log out: the files of ``assay.audit.layout``, checked against each other on the way."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from assay.audit import layout
from assay.audit.entry import CANONICAL
from assay.audit.merkle import CompactRange, consistency_proof, leaf_hash, root_at, subtree_hash
from assay.audit.tiles import HEIGHT, WIDTH, encode_bundle, levels, tile_path, widths
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from assay.audit.note import Checkpoint, VerifierKey
    from assay.audit.rows import RowTree
    from assay.audit.target import Writer

    Attachments = Mapping[str, bytes | Path]

_PIECE = 1 << 20


def write_log(
    writer: Writer,
    tree: RowTree,
    *,
    checkpoint: Checkpoint,
    note: bytes,
    key: VerifierKey,
    since: int,
    attachments: Attachments,
) -> None:
    """Write every file of an export.

    Args:
        writer: Takes the files.
        tree: The log.
        checkpoint: How far to write it.
        note: The signed checkpoint.
        key: Goes into ``log.vkey``.
        since: Size of an earlier export, for the consistency proof; 0 for none.
        attachments: Bytes, or the path of a file, by SHA-256 in hexadecimal.

    Raises:
        AuditError: ``audit.log.damaged`` when the rows do not give the root of the checkpoint;
            ``audit.export.attachment`` when one is not what its name says; ``audit.export.unnamed`` when no
            entry names it; ``audit.export.changed``.
    """
    _put(writer, layout.README, layout.readme(checkpoint.origin, checkpoint.size))
    for digest in sorted(attachments):
        _write_attachment(writer, digest, attachments[digest])
    _put(writer, layout.CHECKPOINT, note)
    if 0 < since < checkpoint.size:
        proof = consistency_proof(tree, since, checkpoint.size)
        lines = b"".join(base64.b64encode(digest) + b"\n" for digest in proof)
        _put(writer, f"{layout.CONSISTENCY}{since}-{checkpoint.size}", lines)
    _put(writer, layout.KEY, f"{key}\n".encode())
    if root_at(tree, checkpoint.size) != checkpoint.root:
        raise _damaged()
    for level, count in levels(checkpoint.size):
        _write_level(writer, tree, level, count)
    _write_entries(writer, tree, checkpoint, set(attachments))


def _write_level(writer: Writer, tree: RowTree, level: int, count: int) -> None:
    for index, width in widths(count):
        hashes = tree.hashes(level, index * WIDTH, index * WIDTH + width)
        whole = len(hashes) == width
        if not whole or (
            width == WIDTH and [subtree_hash(hashes)] != tree.hashes(level + 1, index, index + 1)
        ):
            raise _damaged()
        _put(writer, tile_path(level, index, width), b"".join(hashes))


def _write_entries(writer: Writer, tree: RowTree, checkpoint: Checkpoint, unnamed: set[str]) -> None:
    grown = CompactRange()
    for index, width in widths(checkpoint.size):
        entries = tree.entries(index * WIDTH, index * WIDTH + width)
        hashes = [leaf_hash(entry) for entry in entries]
        if width == WIDTH == len(hashes):
            grown.append(subtree_hash(hashes), HEIGHT)
        else:
            for digest in hashes:
                grown.append(digest)
        bundle = encode_bundle(entries)
        if unnamed:
            unnamed -= named_digests(entries)
        _put(writer, tile_path(None, index, width), bundle)
    if grown.size != checkpoint.size or grown.root() != checkpoint.root:
        raise _damaged()
    if unnamed:
        raise AuditError(
            "audit.export.unnamed",
            f"No entry of the log names the attachment {min(unnamed)}; it does not belong to it.",
        )


def named_digests(entries: list[bytes], facts: Collection[str] | None = None) -> set[str]:
    """Return the SHA-256 digests, in hexadecimal, that facts of these entries name, or only ``facts``."""
    matches = (CANONICAL.fullmatch(entry) for entry in entries)
    pairs = (pair for match in matches if match for pair in layout.DIGEST_FACT.findall(match[1]))
    return {digest.decode() for name, digest in pairs if facts is None or name.decode() in facts}


def _write_attachment(writer: Writer, digest: str, content: bytes | Path) -> None:
    name = f"{layout.ATTACHMENTS}{digest}"
    if not layout.ATTACHMENT_NAME.fullmatch(name):
        raise AuditError("audit.export.attachment", "An attachment is named by its SHA-256 in hexadecimal.")
    hasher = hashlib.sha256()
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    writer.add(name, size, _hashed(hasher, [content] if isinstance(content, bytes) else _file(content)))
    if hasher.hexdigest() != digest:
        raise AuditError(
            "audit.export.attachment",
            f"The attachment {digest} was changed: its digest is now {hasher.hexdigest()}.",
        )


def _hashed(hasher: hashlib._Hash, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        hasher.update(piece)
        yield piece


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _put(writer: Writer, name: str, data: bytes) -> None:
    writer.add(name, len(data), [data])


def _damaged() -> AuditError:
    return AuditError(
        "audit.log.damaged",
        "The entries in the state database do not give the root hash that they should: it is damaged.",
        action="Restore a backup: the log will go on under a new origin that names this one.",
    )

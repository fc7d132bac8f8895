"""The Merkle tree of RFC 6962, section 2.1: hashes, compact ranges, proofs. SHA-256 throughout.

A *complete subtree* of height ``h`` and index ``i`` covers the ``2**h`` leaves from ``i * 2**h``. A compact
range is the list of the largest complete subtrees that cover the leaves from 0 on, left to right: one for
each bit set in the size, so that a leaf is appended with O(log n) hashes and without looking at any other
leaf.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Sequence

_sha256 = hashlib.sha256

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 6962, 2.1)."""

LARGEST_SIZE = (1 << 63) - 1


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one leaf: SHA-256 of a zero byte and the entry; 32 bytes."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of a one byte and both children; 32 bytes."""
    return hashlib.sha256(b"\1" + left + right).digest()


def subtree_hash(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a complete subtree from the hashes of ``2**k`` neighbours of equal height."""
    level = list(hashes)
    while len(level) > 1:
        pairs = iter(level)
        level = [_sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return level[0]


class CompactRange:
    """The leaves from 0 to ``size``, as the hashes of their largest complete subtrees."""

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        if len(nodes) != size.bit_count():
            raise AuditError(
                "audit.log.damaged", f"A range of {size} leaves needs {size.bit_count()} hashes."
            )
        self.size = size
        self.nodes = list(nodes)

    def append(self, digest: bytes, height: int = 0) -> bytes:
        """Append a complete subtree of ``height``; return the hash of the largest subtree that it completed.

        The size must be a multiple of ``2**height``.
        """
        place = self.size >> height
        while place & 1:
            digest = node_hash(self.nodes.pop(), digest)
            place >>= 1
        self.nodes.append(digest)
        self.size += 1 << height
        return digest

    def append_leaf(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append one leaf; return (level, index, hash) of the subtrees of height ``8 * level`` it ends."""
        completed: list[tuple[int, int, bytes]] = []
        digest, place, height = leaf, self.size, 0
        while place & 1:
            digest = node_hash(self.nodes.pop(), digest)
            place >>= 1
            height += 1
            if height % 8 == 0:
                completed.append((height // 8, place, digest))
        self.nodes.append(digest)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the tree of these leaves; 32 bytes."""
        if not self.nodes:
            return EMPTY_ROOT
        nodes = reversed(self.nodes)
        digest = next(nodes)
        for left in nodes:
            digest = _sha256(b"\1" + left + digest).digest()
        return digest

    def copy(self) -> CompactRange:
        """Return a range of the same leaves that changes on its own."""
        return CompactRange(self.size, self.nodes)


class Tree(Protocol):
    """Whatever knows the hashes of complete subtrees."""

    def subtree(self, height: int, index: int) -> bytes:
        """Return the hash of the complete subtree of ``height`` at ``index``."""


def root_at(tree: Tree, size: int) -> bytes:
    """Return the root that the tree had when it had ``size`` leaves."""
    return _range_root(tree, 0, size) if size else EMPTY_ROOT


def inclusion_proof(tree: Tree, index: int, size: int) -> list[bytes]:
    """Return the audit path of leaf ``index`` among ``size``, its sibling first (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise AuditError("audit.proof.range", f"There is no leaf {index} in a tree of {size}.")
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(_range_root(tree, middle, high))
            high = middle
        else:
            proof.append(_range_root(tree, low, middle))
            low = middle
    return proof[::-1]


def consistency_proof(tree: Tree, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of ``old`` leaves is a prefix of that of ``new`` (RFC 6962, 2.1.2)."""
    if not 0 <= old <= new:
        raise AuditError("audit.proof.range", f"There is no consistency proof from {old} to {new}.")
    if old in {0, new}:
        return []
    proof: list[bytes] = []
    low, high, whole = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_range_root(tree, middle, high))
            high = middle
        else:
            proof.append(_range_root(tree, low, middle))
            low, whole = middle, False
    if not whole:
        proof.append(_range_root(tree, low, high))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check an audit path (RFC 6962, 2.1.1).

    Raises:
        AuditError: ``audit.tree.inclusion``.
    """
    path = list(proof)
    try:
        proven = len(leaf) == HASH_BYTES and 0 <= index < size
        proven = proven and _climb(leaf, index, size, path) == root and not path
    except IndexError:
        proven = False
    if not proven:
        raise AuditError(
            "audit.tree.inclusion", f"The proof does not place leaf {index} in the tree of {size}."
        )


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of ``old`` leaves is a prefix of that of ``new`` (RFC 6962, 2.1.2).

    Raises:
        AuditError: ``audit.history.proof``.
    """
    path = list(proof)
    try:
        if old == 0:
            # The empty tree is a prefix of every tree, and two empty trees have one root.
            proven = new >= 0 and old_root == EMPTY_ROOT and (new > 0 or new_root == EMPTY_ROOT)
        else:
            rebuilt = _rebuild(old, new, old_root, path) if 0 < old <= new else None
            proven = rebuilt == (old_root, new_root)
    except IndexError:
        proven = False
    if not proven or path:
        raise AuditError(
            "audit.history.proof", f"The proof does not lead from the tree of {old} to that of {new}."
        )


def _climb(leaf: bytes, index: int, width: int, path: list[bytes]) -> bytes:
    if width == 1:
        return leaf
    middle = _split(width)
    sibling = path.pop()
    if index < middle:
        return node_hash(_climb(leaf, index, middle, path), sibling)
    return node_hash(sibling, _climb(leaf, index - middle, width - middle, path))


def _rebuild(old: int, width: int, whole: bytes | None, path: list[bytes]) -> tuple[bytes, bytes]:
    """Return the roots of the first ``old`` and of all ``width`` leaves of a subtree, from the proof.

    ``whole`` is the old root as long as the subtree begins with the first leaf of the log: the proof leaves
    out what the verifier knows.
    """
    if old == width:
        digest = path.pop() if whole is None else whole
        return digest, digest
    middle = _split(width)
    sibling = path.pop()
    if old <= middle:
        before, after = _rebuild(old, middle, whole, path)
        return before, node_hash(after, sibling)
    before, after = _rebuild(old - middle, width - middle, None, path)
    return node_hash(sibling, before), node_hash(sibling, after)


def _split(width: int) -> int:
    """Return the largest power of two below ``width``."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_root(tree: Tree, low: int, high: int) -> bytes:
    width = high - low
    if width & (width - 1) == 0 and low % width == 0:
        height = width.bit_length() - 1
        return tree.subtree(height, low >> height)
    middle = low + _split(width)
    return node_hash(_range_root(tree, low, middle), _range_root(tree, middle, high))

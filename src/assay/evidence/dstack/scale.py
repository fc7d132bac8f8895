"""A strict reader of the SCALE encoding that dstack's attestations of version 0 are written in.

Source: Parity SCALE codec specification, "Compact/general integers", "Vectors", "Strings".
"""

from __future__ import annotations

from assay.evidence.dstack.fields import refuse


class ScaleReader:
    """Reads values in turn; a length beyond the bytes that are left is refused before anything is built.

    Args:
        data: The whole input.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        Raises:
            EvidenceError: ``dstack.scale`` when fewer are left.
        """
        end = self._at + count
        if end > len(self._data):
            refuse("scale", "The SCALE encoding is cut short.")
        found = self._data[self._at : end]
        self._at = end
        return found

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def u32(self) -> int:
        """Return the next four bytes as a little-endian number."""
        return int.from_bytes(self.take(4), "little")

    def compact(self) -> int:
        """Return a compact integer below 2^30 in its shortest form; longer ones are no lengths.

        Raises:
            EvidenceError: ``dstack.scale``.
        """
        first = self.byte()
        mode = first & 3
        if mode == 0:
            return first >> 2
        if mode == 3:
            refuse("scale", "A SCALE length is too large.")
        size = 2 if mode == 1 else 4
        found = int.from_bytes(bytes([first]) + self.take(size - 1), "little") >> 2
        if found < (1 << 6 if mode == 1 else 1 << 14):
            refuse("scale", "A SCALE length is not in its shortest form.")
        return found

    def vector(self) -> bytes:
        """Return a vector of bytes."""
        return self.take(self.compact())

    def text(self) -> str:
        """Return a string.

        Raises:
            EvidenceError: ``dstack.scale`` when it is not UTF-8.
        """
        try:
            return self.vector().decode()
        except UnicodeDecodeError:
            refuse("scale", "A SCALE string is not UTF-8.")

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            EvidenceError: ``dstack.scale`` otherwise.
        """
        if self._at != len(self._data):
            refuse("scale", "Bytes follow the SCALE encoding.")

"""A strict reader of DER, over slices of the input.

Accepted is what ITU-T X.690 section 10 leaves: definite lengths in their shortest form, single-byte tags.
Nothing is built from the input but offsets; a value is copied only when its bytes are asked for.
"""

from __future__ import annotations

from datetime import datetime

from assay.errors import EvidenceError

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
UTF8_STRING = 0x0C
PRINTABLE_STRING = 0x13
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

_LONGEST_LENGTH = 4  # bytes of a long-form length: 4 GiB, far beyond every bound of this package


class DerError(EvidenceError):
    """The bytes are not the DER that was expected; code ``der.malformed``."""

    def __init__(self, message: str) -> None:
        super().__init__("der.malformed", message)

    def __reduce__(self) -> tuple[type[DerError], tuple[str]]:
        return (DerError, (self.message,))


class DerReader:
    """Reads the elements of one constructed value in turn.

    Args:
        data: The whole input.
        start: Offset of the first element.
        end: Offset behind the last.
    """

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = start
        self.end = len(data) if end is None else end

    def span(self, tag: int) -> tuple[int, int]:
        """Step over one element and return the offsets of its content, start and end.

        Args:
            tag: The identifier byte that it must have.

        Raises:
            DerError: It has another tag, a length that is not minimal, or does not fit.
        """
        data, pos, end = self.data, self.pos, self.end
        if pos + 2 > end:
            raise DerError(f"The data ends where an element with tag 0x{tag:02x} was expected.")
        if data[pos] != tag:
            raise DerError(f"Tag 0x{data[pos]:02x} where 0x{tag:02x} was expected.")
        length = data[pos + 1]
        start = pos + 2
        if length >= 0x80:
            count = length & 0x7F
            if not 1 <= count <= _LONGEST_LENGTH or start + count > end:
                raise DerError("A length is indefinite, too long, or cut off.")
            length = int.from_bytes(data[start : start + count], "big")
            start += count
            if length < 0x80 or length >> (8 * (count - 1)) == 0:
                raise DerError("A length is not in its shortest form.")
        stop = start + length
        if stop > end:
            raise DerError("An element is longer than what contains it.")
        self.pos = stop
        return start, stop

    def value(self, tag: int) -> bytes:
        """Step over one element and return its content."""
        data, pos = self.data, self.pos
        # Most elements are short. Whatever is not in order is left to span, which says what is wrong.
        if pos + 2 <= self.end and data[pos] == tag and data[pos + 1] < 0x80:
            stop = pos + 2 + data[pos + 1]
            if stop <= self.end:
                self.pos = stop
                return data[pos + 2 : stop]
        start, stop = self.span(tag)
        return data[start:stop]

    def whole(self, tag: int) -> bytes:
        """Step over one element and return all of it, tag and length included."""
        first = self.pos
        _, stop = self.span(tag)
        return self.data[first:stop]

    def fixed(self, element: bytes) -> bool:
        """Step over one element of exactly these bytes, tag and length included; False when it is another."""
        if not self.data.startswith(element, self.pos, self.end):
            return False
        self.pos += len(element)
        return True

    def enter(self, tag: int = SEQUENCE) -> DerReader:
        """Step over one constructed element and return a reader of its content."""
        data, pos = self.data, self.pos
        if pos + 2 <= self.end and data[pos] == tag and data[pos + 1] < 0x80:
            start = pos + 2
            stop = start + data[pos + 1]
            if stop <= self.end:
                self.pos = stop
                return DerReader(data, start, stop)
        start, stop = self.span(tag)
        return DerReader(data, start, stop)

    def peek(self) -> int:
        """Return the tag of the next element, or -1 at the end."""
        return self.data[self.pos] if self.pos < self.end else -1

    def more(self) -> bool:
        """Return whether an element follows."""
        return self.pos < self.end

    def finish(self) -> None:
        """Demand that nothing follows.

        Raises:
            DerError: Something does.
        """
        if self.pos != self.end:
            raise DerError(f"{self.end - self.pos} bytes follow the last expected element.")

    def integer(self, tag: int = INTEGER) -> int:
        """Read a non-negative INTEGER or ENUMERATED in its shortest form."""
        return int.from_bytes(self.unsigned(tag), "big")

    def unsigned(self, tag: int = INTEGER) -> bytes:
        """Read a non-negative integer and return its content bytes, which are unique for its value."""
        content = self.value(tag)
        if not content:
            raise DerError("An integer has no content.")
        if content[0] & 0x80:
            raise DerError("An integer is negative.")
        if content[0] == 0 and len(content) > 1 and not content[1] & 0x80:
            raise DerError("An integer is not in its shortest form.")
        return content

    def boolean(self) -> bool:
        """Read a BOOLEAN: 0x00 or 0xff."""
        content = self.value(BOOLEAN)
        if content == b"\xff":
            return True
        if content == b"\x00":
            return False
        raise DerError("A boolean is neither 0x00 nor 0xff.")

    def bits(self) -> bytes:
        """Read a BIT STRING of whole bytes and return them."""
        content = self.value(BIT_STRING)
        if not content or content[0] != 0:
            raise DerError("A bit string does not consist of whole bytes.")
        return content[1:]

    def time(self, *, any_form: bool = False) -> datetime:
        """Read a UTCTime or GeneralizedTime in the form of RFC 5280 section 4.1.2.5, as aware UTC.

        Args:
            any_form: Whether a GeneralizedTime may stand for a year before 2050, as NVIDIA's authorities and
                every OCSP response write it.
        """
        tag = self.peek()
        if tag not in (UTC_TIME, GENERALIZED_TIME):
            raise DerError("A time is neither UTCTime nor GeneralizedTime.")
        content = self.value(tag)
        short = tag == UTC_TIME
        digits = content[:-1]
        if len(content) != (13 if short else 15) or content[-1:] != b"Z" or not digits.isdigit():
            raise DerError("A time is not written as RFC 5280 demands.")
        if short:
            digits = (b"20" if digits < b"50" else b"19") + digits
        elif digits < b"2050" and not any_form:
            raise DerError("A time before 2050 is not written as UTCTime.")
        if digits[-6:-4] > b"23":  # newer Pythons take the hour 24 for the midnight after it
            raise DerError("A time does not exist.")
        text = digits.decode("ascii")
        try:
            return datetime.fromisoformat(f"{text[:8]}T{text[8:]}Z")
        except ValueError:
            raise DerError("A time does not exist.") from None

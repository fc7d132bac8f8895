"""The IMA runtime measurement list: its entries and the fields of their templates. Little-endian.

An entry is the PCR (4 bytes), the digest of the template data, the template's name with its length (4 bytes),
and the template data with its length; the data of all templates but the oldest are fields with a length (4
bytes) each. Entries are decoded when they are looked at: replaying needs their bounds only.

Source: Linux security/integrity/ima (ima_fs.c, ima_template.c, ima_template_lib.c);
Documentation/security/IMA-templates.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, NoReturn

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_IMA_BYTES = 64 * 1024 * 1024
MAX_ENTRIES = 500_000
"""A busy server measures some ten thousand files in a boot."""
MAX_TEMPLATE_NAME = 255
MAX_PATH = 4096
LEGACY = b"ima"
LEGACY_NAME_BYTES = 256
"""The oldest template hashes the file name in a buffer of 255 characters and a NUL."""

_U32 = Struct("<I")
_TEMPLATES = {
    b"ima-ng": ("d-ng", "n-ng"),
    b"ima-sig": ("d-ng", "n-ng", "sig"),
    b"ima-ngv2": ("d-ngv2", "n-ng"),
    b"ima-sigv2": ("d-ngv2", "n-ng", "sig"),
    b"ima-buf": ("d-ng", "n-ng", "buf"),
    b"ima-modsig": ("d-ng", "n-ng", "sig", "d-modsig", "modsig"),
    b"evm-sig": (
        "d-ng",
        "n-ng",
        "evmsig",
        "xattrnames",
        "xattrlengths",
        "xattrvalues",
        "iuid",
        "igid",
        "imode",
    ),
}
_LEADING = frozenset({("d", "n"), ("d-ng", "n-ng"), ("d-ngv2", "n-ng")})
"""How a template begins that says something of a file. Nothing covers the template's name: another order, or
a field named twice, would let what a file's owner wrote into a signature stand for its digest."""
_FIELDS = frozenset({"d", "n", "d-type", *(field for fields in _TEMPLATES.values() for field in fields)})
_SHA1_BYTES = 20
_ENTRY_DIGESTS = (Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384, Algorithm.SHA512)


def refuse(what: str, why: str) -> NoReturn:
    """Raise the error of a log that is malformed."""
    raise EvidenceError(f"ima.{what}", why)


def template_fields(name: bytes) -> tuple[str, ...] | None:
    """Return the fields of a template by its name, or by the format in place of one; None if unknown."""
    found = _TEMPLATES.get(name)
    if found is not None:
        return found
    try:
        fields = tuple(name.decode("ascii").split("|"))
    except UnicodeDecodeError:
        return None
    return fields if _FIELDS.issuperset(fields) else None


@dataclass(frozen=True, slots=True)
class ImaFile:
    """What a template says of one measured file, or buffer.

    Attributes:
        path: The file's path, or the buffer's name, as the kernel measured it (spaces are underscores).
        algorithm: Hash of the digest as the kernel names it: ``sha256``.
        digest: Digest of the file; zeros in a violation.
        verity: True when the digest is fs-verity's, not one over the whole file.
        signature: The file's security.ima signature; empty when it has none or the template has no place.
        buffer: The measured bytes of ``ima-buf``; empty in other templates.
    """

    path: str
    algorithm: str
    digest: bytes
    verity: bool
    signature: bytes
    buffer: bytes


@dataclass(frozen=True, slots=True)
class ImaEntry:
    """One entry.

    Attributes:
        register: The PCR that it extends.
        template: The template's name.
        data: The template data as measured.
        violation: True when the kernel could not measure (open writers, time of check): all ones extended.
    """

    register: int
    template: bytes
    data: bytes
    violation: bool

    def file(self) -> ImaFile:
        """Decode the template's fields.

        Raises:
            EvidenceError: ``ima.field`` when they are not what the template says.
        """
        if self.template == LEGACY:
            digest, name = self.data[:_SHA1_BYTES], self.data[_SHA1_BYTES + 4 :]
            return ImaFile(_path(name), "sha1", digest, verity=False, signature=b"", buffer=b"")
        names = template_fields(self.template) or ()
        if len(set(names)) != len(names) or names[:2] not in _LEADING:
            refuse("field", "An entry's template has no digest or no name where the kernel's have them.")
        fields = dict(zip(names, _split(self.data), strict=False))
        if not fields.keys() >= set(names[:2]):
            refuse("field", "An entry has no digest or no name.")
        name = fields[names[1]]
        if names[0] == "d":
            verity, algorithm, digest = False, "sha1", fields["d"]
        else:
            verity, algorithm, digest = _digest(fields)
        return ImaFile(_path(name), algorithm, digest, verity, fields.get("sig", b""), fields.get("buf", b""))


def _split(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        if len(data) < at + 4:
            refuse("field", "An entry's template data end inside a field.")
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            refuse("field", "An entry's template data end inside a field.")
        yield data[at + 4 : end]
        at = end


def _digest(fields: dict[str, bytes]) -> tuple[bool, str, bytes]:
    """Read ``d-ng`` (algorithm, colon, NUL, digest) or ``d-ngv2`` (with the kind of digest in front)."""
    second = "d-ngv2" in fields
    head, nul, digest = (fields["d-ngv2"] if second else fields["d-ng"]).partition(b":\0")
    kind, colon, algorithm = head.rpartition(b":")
    known = kind in (b"ima", b"verity") if second else not colon
    if not nul or not known or not algorithm.isascii() or not 0 < len(algorithm) <= 16 or len(digest) > 64:
        refuse("field", "An entry's digest does not name its algorithm.")
    return kind == b"verity", algorithm.decode("ascii"), digest


def _path(name: bytes) -> str:
    text = name.removesuffix(b"\0")
    if b"\0" in text or len(text) > MAX_PATH:
        refuse("field", "An entry's file name has a NUL inside, or is too long.")
    return text.decode("utf-8", "backslashreplace")


class ImaLog:
    """The entries of a log; each is decoded when it is looked at.

    Args:
        data: The log in the kernel's binary form.
        bounds: Offset of each entry's first byte.
        algorithm: The digest that entries carry.
    """

    __slots__ = ("_algorithm", "_bounds", "_data")

    def __init__(self, data: bytes, bounds: list[int], algorithm: Algorithm) -> None:
        self._data = data
        self._bounds = bounds
        self._algorithm = algorithm

    def __len__(self) -> int:
        return len(self._bounds)

    def __getitem__(self, index: int) -> ImaEntry:
        data, start = self._data, self._bounds[index]
        size = self._algorithm.size
        (register,) = _U32.unpack_from(data, start)
        digest = data[start + 4 : start + 4 + size]
        (name_size,) = _U32.unpack_from(data, start + 4 + size)
        at = start + 8 + size + name_size
        name = data[start + 8 + size : at]
        if name == LEGACY:
            end = at + _SHA1_BYTES + 4 + _U32.unpack_from(data, at + _SHA1_BYTES)[0]
            return ImaEntry(register, name, data[at:end], not any(digest))
        end = at + 4 + _U32.unpack_from(data, at)[0]
        return ImaEntry(register, name, data[at + 4 : end], not any(digest))

    def __iter__(self) -> Iterator[ImaEntry]:
        return (self[index] for index in range(len(self._bounds)))


def digest_algorithm(data: bytes) -> Algorithm:
    """Find out which digest the entries of a binary log carry: the kernel has one file for each.

    Raises:
        EvidenceError: ``ima.template`` when the first entry has no known template under any of them.
    """
    for algorithm in _ENTRY_DIGESTS:
        at = 4 + algorithm.size
        size = int.from_bytes(data[at : at + 4], "little")
        name = data[at + 4 : at + 4 + size] if size <= MAX_TEMPLATE_NAME else b""
        if name == LEGACY or (name and template_fields(name)):
            return algorithm
    refuse("template", "The first entry of the IMA log has no template that is known here.")


def frames(log: bytes, algorithm: Algorithm) -> Iterator[tuple[int, int, bytes, bytes, int]]:
    """Yield offset, PCR, digest, hashed template data, and the offset behind it, of each entry.

    Raises:
        EvidenceError: ``ima.size``, ``ima.entries``, ``ima.truncated`` or ``ima.template``.
    """
    if len(log) > MAX_IMA_BYTES:
        refuse("size", f"The IMA log has {len(log)} bytes, more than {MAX_IMA_BYTES}.")
    unpack_head = Struct(f"<I{algorithm.size}sI").unpack_from
    unpack_size = _U32.unpack_from
    head_bytes = 8 + algorithm.size
    known: set[bytes] = set()
    total = len(log)
    last = total - head_bytes - 4
    at = count = 0
    while at < total:
        count += 1
        if at > last or count > MAX_ENTRIES:
            _cut(at, count)
        start = at
        register, digest, name_size = unpack_head(log, start)
        body_at = start + head_bytes + name_size
        name = log[start + head_bytes : body_at]
        if name not in known:
            known.add(_known(name, name_size, start))
        if name == LEGACY:
            body, at = _legacy_body(log, body_at)
        elif body_at + 4 > total:
            _cut(start, count)
        else:
            at = body_at + 4 + unpack_size(log, body_at)[0]
            body = log[body_at + 4 : at]
        if at > total:
            _cut(start, count)
        yield start, register, digest, body, at


def _cut(at: int, count: int) -> NoReturn:
    if count > MAX_ENTRIES:
        refuse("entries", f"The IMA log has more than {MAX_ENTRIES} entries.")
    refuse("truncated", f"The IMA log ends inside the entry at offset {at}.")


def _known(name: bytes, size: int, at: int) -> bytes:
    if size > MAX_TEMPLATE_NAME or (name != LEGACY and template_fields(name) is None):
        refuse("template", f"The entry at offset {at} has a template that is not known here.")
    return name


def _legacy_body(log: bytes, at: int) -> tuple[bytes, int]:
    """Return what the oldest template hashes, digest and name in its buffer, and the offset behind it."""
    size = int.from_bytes(log[at + 20 : at + 24], "little")
    if size >= LEGACY_NAME_BYTES:
        refuse("template", "A file name of the oldest template is too long.")
    end = at + 24 + size
    return log[at : at + 20] + log[at + 24 : end].ljust(LEGACY_NAME_BYTES, b"\0"), end


def from_ascii(text: bytes) -> bytes:
    """Return the binary form of a log in the kernel's text form.

    Args:
        text: ``ascii_runtime_measurements``: PCR (two columns wide, so that one digit follows a space),
            template digest, template and its fields, one line each.

    Raises:
        EvidenceError: ``ima.ascii`` when a line is not of that form; ``ima.size`` beyond the bounds.
    """
    if len(text) > MAX_IMA_BYTES:
        refuse("size", f"The IMA log has {len(text)} bytes, more than {MAX_IMA_BYTES}.")
    lines = text.split(b"\n")
    if lines[-1] == b"":
        del lines[-1]
    return b"".join([_line(line, number) for number, line in enumerate(lines, 1)])


def _line(line: bytes, number: int) -> bytes:
    try:
        register, digest, name, data = _words(line.removeprefix(b" ").split(b" "))
    except (ValueError, IndexError):
        refuse("ascii", f"Line {number} of the IMA log is no entry of a known template.")
    head = _U32.pack(register) + digest + _U32.pack(len(name)) + name
    if name == LEGACY:
        return head + data[0] + _U32.pack(len(data[1])) + data[1]
    body = b"".join([_U32.pack(len(value)) + value for value in data])
    return head + _U32.pack(len(body)) + body


def _words(words: list[bytes]) -> tuple[int, bytes, bytes, list[bytes]]:
    """Return PCR, digest, template and field values of a line.

    Spaces in a file's name make a line ambiguous where fields may be empty (kernels write underscores in
    their place, other writers do not): then the digest tells which reading was measured.
    """
    register, digest, name = int(words[0]), bytes.fromhex(words[1].decode()), words[2]
    fields = ("d", "n") if name == LEGACY else template_fields(name)
    values = words[3:]
    if fields is None or len(name) > MAX_TEMPLATE_NAME or len(values) < 2 or not 0 <= register < 24:
        raise ValueError
    readings = []
    for trailing in range(min(len(fields) - 2, len(values) - 2), -1, -1):
        path = b" ".join(values[1 : len(values) - trailing])
        rest = values[len(values) - trailing :] if trailing else []
        empty = [b""] * (len(fields) - 2 - trailing)
        try:
            reading = [_field(*pair) for pair in zip(fields, [values[0], path, *rest, *empty], strict=True)]
        except ValueError:
            continue
        if _hash_of(name, reading, len(digest)) == digest:
            return register, digest, name, reading
        readings.append(reading)
    if not readings:
        raise ValueError
    return register, digest, name, readings[0]


def _hash_of(name: bytes, values: list[bytes], size: int) -> bytes:
    """Return the template digest of ``size`` bytes of these fields; empty when no digest has that size."""
    algorithm = next((found for found in _ENTRY_DIGESTS if found.size == size), None)
    if algorithm is None:
        return b""
    if name == LEGACY:
        return algorithm.digest(values[0] + values[1].ljust(LEGACY_NAME_BYTES, b"\0"))
    return algorithm.digest(b"".join([_U32.pack(len(value)) + value for value in values]))


def _field(field: str, word: bytes) -> bytes:
    if field in ("d-ng", "d-ngv2"):
        head, colon, digest = word.rpartition(b":")
        if not colon:
            raise ValueError
        return head + b":\0" + bytes.fromhex(digest.decode())
    if field == "n-ng":
        return word + b"\0"
    return word if field == "n" else bytes.fromhex(word.decode())

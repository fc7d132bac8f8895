"""Certificates and lists, byte by byte: what is read in place is what a plain reader of DER reads.

Names, extensions and entries of lists are read without a reader of their own where they are short. A second
reader, written for these tests, must agree on every input that differs from a good one in one byte.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.evidence.decoding.der import DerError, DerReader
from assay.evidence.facts import Window
from assay.evidence.x509.certificate import Certificate, read_extensions
from assay.evidence.x509.crl import RevocationList, read_serials
from assay.evidence.x509.general import GeneralCertificate, KeyKind, key_kind, read_name, usage_bits
from assay.evidence.x509.path import PathDefect, Position, authority_key_identifier
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.evidence.x509.signature import ALGORITHMS, SignatureAlgorithm
from assay.simulator.amd import der

CN = "2.5.4.3"
UTF8, PRINTABLE, TELETEX, IA5, BMP = 0x0C, 0x13, 0x14, 0x16, 0x1E
VALUES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0C, 0x13, 0x17, 0x18, 0x30, 0x31, 0x7F, 0x80, 0x81, 0x82, 0xFF)


class RefusedError(Exception):
    """The second reader's answer to what is no DER."""


def tlv(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return tag, start and end of the element at an offset."""
    if at + 2 > end:
        raise RefusedError
    tag, size, start = data[at], data[at + 1], at + 2
    if size >= 0x80:
        count = size - 0x80
        if not 1 <= count <= 4 or start + count > end:
            raise RefusedError
        size = int.from_bytes(data[start : start + count], "big")
        if size < max(0x80, 1 << 8 * (count - 1)):
            raise RefusedError
        start += count
    if start + size > end:
        raise RefusedError
    return tag, start, start + size


def each(data: bytes, at: int, end: int) -> list[tuple[int, bytes, int, int]]:
    """Return tag, content, start and end of all elements between two offsets."""
    found = []
    while at < end:
        tag, start, stop = tlv(data, at, end)
        found.append((tag, data[start:stop], start, stop))
        at = stop
    return found


def plain_name(data: bytes) -> tuple[tuple[bytes, str], ...]:
    """Read a name without any shortcut."""
    encodings = {UTF8: "utf-8", PRINTABLE: "ascii", TELETEX: "latin-1", IA5: "ascii", BMP: "utf-16-be"}
    found = []
    top = each(data, 0, len(data))
    if [tag for tag, *_ in top] != [0x30]:
        raise RefusedError
    for tag, _, start, stop in each(data, *top[0][2:]):
        if tag != 0x31:
            raise RefusedError
        for inner, _, first, last in each(data, start, stop):
            parts = each(data, first, last)
            if inner != 0x30 or len(parts) != 2 or parts[0][0] != 6 or parts[1][0] not in encodings:
                raise RefusedError
            try:
                found.append((parts[0][1], parts[1][1].decode(encodings[parts[1][0]])))
            except UnicodeDecodeError:
                raise RefusedError from None
    if len(found) > 16:
        raise RefusedError
    return tuple(found)


def plain_extensions(data: bytes, end: int) -> dict[bytes, tuple[bool, bytes]]:
    """Read extensions without any shortcut."""
    found: dict[bytes, tuple[bool, bytes]] = {}
    top = each(data, 0, end)
    if [tag for tag, *_ in top] != [0x30]:
        raise RefusedError
    for tag, _, start, stop in each(data, *top[0][2:]):
        parts = [(inner, content) for inner, content, *_ in each(data, start, stop)]
        critical = parts[1:2] == [(1, b"\xff")]
        if critical:
            del parts[1]
        if tag != 0x30 or [inner for inner, _ in parts] != [6, 4] or parts[0][1] in found or len(found) == 16:
            raise RefusedError
        found[parts[0][1]] = (critical, parts[1][1])
    return found


def plain_serials(data: bytes, end: int) -> frozenset[bytes]:
    """Read the entries of a list without any shortcut."""
    found = set()
    for tag, content, start, stop in each(data, 0, end):
        parts = each(data, start, stop)
        tags = [inner for inner, *_ in parts]
        if tag != 0x30 or len(content) >= 0x80 or len(tags) not in (2, 3) or tags[0] != 2:
            raise RefusedError
        number = parts[0][1]
        if tags[1] not in (0x17, 0x18) or not number or number[0] >= 0x80:
            raise RefusedError
        if len(number) > 1 and number[0] == 0 and number[1] < 0x80:
            raise RefusedError
        if len(tags) == 3:
            if tags[2] != 0x30:
                raise RefusedError
            for inner, _, first, last in each(data, *parts[2][2:]):
                if inner != 0x30 or [one for one, *_ in each(data, first, last)] != [6, 4]:
                    raise RefusedError
        found.add(number)
    return frozenset(found)


def agree(read, plain, data: bytes) -> None:
    """Demand that both readers say the same."""
    try:
        expected = plain(data)
    except RefusedError:
        with pytest.raises(DerError):
            read(data)
    else:
        assert read(data) == expected, data.hex()


def spoilt(data: bytes):
    """Yield every input that differs in one byte, by a step or by a byte that means something."""
    yield data
    for at, byte in enumerate(data):
        for value in {*VALUES, byte - 1 & 0xFF, byte + 1 & 0xFF, byte + 2 & 0xFF, byte ^ 0x80}:
            yield data[:at] + bytes([value]) + data[at + 1 :]


def attribute(oid: bytes, text: bytes, tag: int = UTF8) -> bytes:
    return der.element(0x30, der.element(6, oid), der.element(tag, text))


def named(*attributes: bytes) -> bytes:
    return der.element(0x30, *(der.element(0x31, one) for one in attributes))


SIXES = b"\x06" * 6
NAMES = {
    "one": named(attribute(b"\x55\x04\x03", b"leaf")),
    "sixes": named(attribute(SIXES, SIXES), attribute(SIXES, SIXES), attribute(SIXES, SIXES)),
    "shortest": named(attribute(b"\x06", b"\x06"), attribute(b"\x06", b"\x06")),
    "empty parts": named(attribute(b"", b""), attribute(b"\x01", b"")),
    "two in one": der.element(0x30, der.element(0x31, attribute(b"\x01", b"a"), attribute(b"\x02", b"b"))),
    "each encoding": named(
        *(attribute(bytes([tag]), b"\0a", tag) for tag in (UTF8, PRINTABLE, TELETEX, IA5, BMP))
    ),
    "an empty set": der.element(0x30, der.element(0x31)),
    "nothing": der.element(0x30),
}


@pytest.mark.parametrize("data", NAMES.values(), ids=NAMES)
def test_a_name_is_what_a_plain_reader_reads(data):
    for changed in spoilt(data):
        agree(read_name, plain_name, changed)


@pytest.mark.parametrize("size", range(0x70, 0x88))
def test_names_about_the_longest_short_length(size):
    """One attribute of up to 127 bytes is read in place; a length byte of 128 is none."""
    for data in (
        named(attribute(b"\x55\x04\x03", b"x" * size)),
        named(attribute(b"\x55\x04\x03", b"x" * size), attribute(b"\x06", b"y")),
    ):
        agree(read_name, plain_name, data)
        assert plain_name(data)[0][1] == "x" * size
    inner = b"\x06\x03\x55\x04\x03\x0c" + bytes([size]) + b"x" * size
    wrong = b"\x31" + bytes([len(inner) + 2]) + b"\x30" + bytes([len(inner)]) + inner
    agree(read_name, plain_name, der.element(0x30, wrong))


def test_sixteen_attributes_and_no_more():
    assert len(read_name(named(*[attribute(b"\x01", b"a")] * 16))) == 16
    with pytest.raises(DerError):
        read_name(named(*[attribute(b"\x01", b"a")] * 17))
    with pytest.raises(DerError):
        read_name(der.element(0x30, der.element(0x31, *[attribute(b"\x01", b"a")] * 17)))


@pytest.mark.parametrize("data", [NAMES["one"], NAMES["sixes"], NAMES["two in one"]])
def test_a_name_that_ends_early_is_refused(data):
    for end in range(len(data)):
        agree(read_name, plain_name, data[:end])
        body = data[2 : 2 + end]
        agree(read_name, plain_name, der.element(0x30, body))


# --- Extensions


def extension(oid: bytes, value: bytes, critical: bytes = b"") -> bytes:
    return der.element(0x30, der.element(6, oid), critical, der.element(4, value))


EXTENSIONS = {
    "one": (extension(b"\x55\x1d\x0f", b"\x03\x02\x01\x06"),),
    "critical": (extension(b"\x55\x1d\x0f", b"value", der.TRUE), extension(b"\x04", b"\x04")),
    "empty": (extension(b"\x01", b""), extension(b"", b"\x01\x01\xff")),
    "fours": (extension(b"\x04\x04\x04", b"\x04\x04\x04"), extension(b"\x04\x04", b"\x04\x04")),
    "written default": (extension(b"\x01", b"x", b"\x01\x01\x00"),),
    "none": (),
}


@pytest.mark.parametrize("parts", EXTENSIONS.values(), ids=EXTENSIONS)
@pytest.mark.parametrize("behind", [b"", b"\x04\x04\x04\x04\x04\x04", bytes(130)], ids=len)
def test_extensions_are_what_a_plain_reader_reads(parts, behind):
    """What stands behind them in the certificate is never read as theirs."""
    good = der.element(0x30, *parts)
    for changed in spoilt(good):
        agree(
            lambda data: read_extensions(DerReader(data, 0, len(good))),
            lambda data: plain_extensions(data, len(good)),
            changed + behind,
        )


@pytest.mark.parametrize("size", range(0x70, 0x88))
@pytest.mark.parametrize("critical", [b"", der.TRUE])
def test_extensions_about_the_longest_short_length(size, critical):
    inner = b"\x06\x02\x55\x1d" + critical + b"\x04" + bytes([size]) + b"x" * size
    short = b"\x30" + bytes([len(inner) & 0xFF]) + inner
    for data in (
        der.element(0x30, extension(b"\x55\x1d", b"x" * size, critical), extension(b"\x01", b"")),
        der.element(0x30, short),
    ):
        agree(
            lambda given: read_extensions(DerReader(given)),
            lambda given: plain_extensions(given, len(given)),
            data,
        )


@pytest.mark.parametrize("critical", [b"", der.TRUE])
@pytest.mark.parametrize("beyond", range(4))
def test_an_extension_does_not_reach_into_what_stands_behind_them_all(critical, beyond):
    good = der.element(0x30, extension(b"\x01", b"a"), extension(b"\x55\x1d\x0f", b"value", critical))
    longer = extension(b"\x55\x1d\x0f", b"value" + bytes(beyond), critical)
    data = der.element(0x30, extension(b"\x01", b"a"), longer)
    data = good[:2] + data[2:] + bytes(8)
    agree(
        lambda given: read_extensions(DerReader(given, 0, len(good))),
        lambda given: plain_extensions(given, len(good)),
        data,
    )
    serials = entry(b"\x05") + entry(b"\x06", REASON + bytes(beyond))
    agree(
        lambda given: read_serials(DerReader(given, 0, len(serials) - beyond)),
        lambda given: plain_serials(given, len(serials) - beyond),
        serials,
    )


def test_sixteen_extensions_and_no_more():
    many = [extension(bytes([number]), b"") for number in range(17)]
    assert len(read_extensions(DerReader(der.element(0x30, *many[:16])))) == 16
    for parts in (many, [many[0], many[0]]):
        with pytest.raises(DerError, match="twice, or there are too many"):
            read_extensions(DerReader(der.element(0x30, *parts)))


# --- Entries of a list


def entry(serial: bytes, extensions: bytes = b"", tag: int = 0x17) -> bytes:
    return der.element(0x30, der.element(2, serial), der.element(tag, b"261121120000Z"), extensions)


REASON = der.element(0x30, extension(b"\x55\x1d\x15", b"\x0a\x01\x01"))
ENTRIES = {
    "one": entry(b"\x05"),
    "several": entry(b"\x00") + entry(b"\x7f\xff") + entry(b"\x00\x80") + entry(b"\x05", tag=0x18),
    "with a reason": entry(b"\x05", REASON) + entry(b"\x06", REASON),
    "two reasons": entry(b"\x05", der.element(0x30, extension(b"\x01", b"a"), extension(b"\x02", b""))),
    "an empty reason": entry(b"\x05", der.element(0x30)),
}


@pytest.mark.parametrize("data", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize("behind", [b"", b"\x17\x01", bytes(130)], ids=len)
def test_entries_are_what_a_plain_reader_reads(data, behind):
    for changed in spoilt(data):
        agree(
            lambda given: read_serials(DerReader(given, 0, len(data))),
            lambda given: plain_serials(given, len(data)),
            changed + behind,
        )


def test_a_critical_extension_of_an_entry_is_named():
    critical = der.element(0x30, extension(b"\x55\x1d\x1d", b"x", der.TRUE))
    with pytest.raises(DerError, match="critical extension"):
        read_serials(DerReader(entry(b"\x05", critical)))


# --- Keys


def rsa_spki(bits: int, exponent: int) -> bytes:
    modulus = ((1 << bits) - 1).to_bytes(bits // 8 + 1, "big")
    key = der.element(0x30, der.element(2, modulus), der.integer(exponent))
    return der.element(0x30, bytes.fromhex("300d06092a864886f70d0101010500"), der.bits(key))


@pytest.mark.parametrize(
    ("bits", "exponent", "accepted"),
    [
        (2047, 65537, False),
        (2048, 65537, True),
        (8192, 65537, True),
        (8193, 65537, False),
        (2048, 0, False),
        (2048, 1, False),
        (2048, 2, True),
        (2048, 3, True),
        (2048, 0xFFFFFFFF, True),
        (2048, 1 << 32, False),
    ],
)
def test_sizes_of_rsa_keys(bits, exponent, accepted):
    if accepted:
        assert key_kind(rsa_spki(bits, exponent)) is KeyKind.RSA
    else:
        with pytest.raises(DerError, match="2048 to 8192 bits"):
            key_kind(rsa_spki(bits, exponent))


@pytest.mark.parametrize(
    ("curve", "size", "kind"),
    [
        ("06082a8648ce3d030107", 64, KeyKind.P256),
        ("06052b81040022", 96, KeyKind.P384),
        ("06052b81040023", 132, KeyKind.P521),
    ],
)
def test_points_of_curves(curve, size, kind):
    def spki(point: bytes, behind: bytes = b"") -> bytes:
        algorithm = der.element(0x30, bytes.fromhex("06072a8648ce3d0201" + curve), behind)
        return der.element(0x30, algorithm, der.bits(point))

    assert key_kind(spki(b"\x04" + bytes(size))) is kind
    for point in (b"\x04" + bytes(size - 1), b"\x04" + bytes(size + 1), b"\x02" + bytes(size // 2), b""):
        with pytest.raises(DerError):
            key_kind(spki(point))
    for first in (0, 2, 3, 5, 6):
        with pytest.raises(DerError):
            key_kind(spki(bytes([first]) + bytes(size)))
    with pytest.raises(DerError):
        key_kind(spki(b"\x04" + bytes(size), b"\x05\x00"))


# --- Algorithms

DIGESTS = {
    "sha256": ("0609608648016503040201", 32, "0b", "02"),
    "sha384": ("0609608648016503040202", 48, "0c", "03"),
    "sha512": ("0609608648016503040203", 64, "0d", "04"),
}


@pytest.mark.parametrize("name", DIGESTS)
def test_algorithms_by_their_bytes(name):
    oid, salt, pkcs1, ecdsa = DIGESTS[name]
    rsa = bytes.fromhex(f"06092a864886f70d0101{pkcs1}0500")
    assert ALGORITHMS[der.element(0x30, rsa)] == f"rsa-pkcs1-{name}"
    assert ALGORITHMS[bytes.fromhex(f"300a06082a8648ce3d0403{ecdsa}")] == f"ecdsa-{name}"
    for null in (b"", b"\x05\x00"):
        digest = der.element(0x30, bytes.fromhex(oid), null)
        mask = der.element(0x30, bytes.fromhex("06092a864886f70d010108"), digest)
        for trailer in (b"", bytes.fromhex("a303020101")):
            parameters = der.element(
                0x30,
                der.element(0xA0, digest),
                der.element(0xA1, mask),
                bytes.fromhex(f"a2030201{salt:02x}"),
                trailer,
            )
            pss = der.element(0x30, bytes.fromhex("06092a864886f70d01010a"), parameters)
            assert ALGORITHMS[pss] == f"rsa-pss-{name}"


def test_there_are_no_other_algorithms():
    assert len(ALGORITHMS) == 3 * (1 + 1 + 4)
    assert set(ALGORITHMS.values()) == set(SignatureAlgorithm)


# --- Usages and constraints


@pytest.mark.parametrize(
    ("content", "bits"),
    [
        ("0780", 0x80),
        ("0106", 0x06),
        ("0006", 0x06),
        ("00ff", 0xFF),
        ("07ff80", 0x80FF),
        ("070080", 0x8000),
        ("000080", 0x8000),
    ],
)
def test_bits_of_a_key_usage(content, bits):
    assert usage_bits(der.element(3, bytes.fromhex(content))) == bits


@pytest.mark.parametrize(
    "content", ["", "00", "0000000000", "0800", "0880", "0781", "0107", "07ff81", "ff80"]
)
def test_what_is_no_key_usage(content):
    with pytest.raises(DerError):
        usage_bits(der.element(3, bytes.fromhex(content)))


def certificate(*extensions: bytes, subject: bytes = NAMES["one"], issuer: bytes = NAMES["one"]) -> bytes:
    """Return a certificate that nobody signed: P-256, ECDSA with SHA-256."""
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    point = b"\x04" + bytes.fromhex(GENERATOR)
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    body = der.element(
        0x30,
        bytes.fromhex("a003020102"),
        der.integer(5),
        algorithm,
        issuer,
        der.element(0x30, der.element(0x17, b"250101000000Z"), der.element(0x17, b"300101000000Z")),
        subject,
        spki,
        der.element(0xA3, der.element(0x30, *extensions)),
    )
    return der.element(0x30, body, algorithm, der.bits(b"signature"))


GENERATOR = (
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
USAGE = der.extension("2.5.29.15", der.element(3, b"\x01\x06"), critical=True)
ISSUER = Position(
    "issuer",
    authority=True,
    names=frozenset({"leaf"}),
    keys=frozenset({KeyKind.P256}),
    algorithms=frozenset({SignatureAlgorithm.ECDSA_SHA256}),
)


def constrained(length: bytes) -> PathDefect | None:
    constraints = der.extension("2.5.29.19", der.element(0x30, der.TRUE, length), critical=True)
    return ISSUER.defect(GeneralCertificate.parse(certificate(constraints, USAGE)), 0)


def test_a_path_length_is_at_most_127():
    assert constrained(b"") is None
    assert constrained(der.integer(0)) is None
    assert constrained(der.integer(127)) is None
    assert "larger than any chain" in constrained(der.integer(128)).reason


def test_a_certificate_is_equal_to_another_reading_of_it():
    for decode in (Certificate.parse, GeneralCertificate.parse):
        one, other = decode(certificate(USAGE)), decode(certificate(USAGE))
        assert isinstance(one.key(), ec.EllipticCurvePublicKey)
        assert one == other
        assert "_key" not in repr(one)


def test_both_decoders_read_the_same_certificate():
    data = certificate(USAGE)
    one, other = Certificate.parse(data), GeneralCertificate.parse(data)
    shared = ("der", "signed", "signature", "serial", "issuer", "subject", "common_name", "window")
    for name in (*shared, "extensions"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.signature == b"signature"
    assert one.serial == b"\x05"
    assert one.window == Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    assert one.point == b"\x04" + bytes.fromhex(GENERATOR)
    assert other.spki.endswith(one.point)
    assert one.extensions == {b"\x55\x1d\x0f": (True, b"\x03\x02\x01\x06")}


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("an empty set", "nothing")])
def test_an_intel_name_is_made_of_short_attributes_with_one_common_name(name):
    """What Intel's decoder reads in place is what a plain reader reads, where it reads anything."""
    data = named(attribute(b"\x55\x04\x03", b"leaf")) if name == "one" else NAMES[name]
    if name != "one":
        data = der.element(0x30, data[2:], der.element(0x31, attribute(b"\x55\x04\x03", b"leaf", PRINTABLE)))
    read = {"accepted": 0, "refused": 0}
    for changed in spoilt(data):
        try:
            found = Certificate.parse(certificate(USAGE, subject=changed)).common_name
        except DerError:
            read["refused"] += 1
            continue
        read["accepted"] += 1
        top = each(changed, 0, len(changed))
        for tag, _, start, stop in each(changed, *top[0][2:]):
            ((inner, _, first, last),) = each(changed, start, stop)
            assert (tag, inner, stop - start < 0x80) == (0x31, 0x30, True)
            assert tlv(changed, first, last)[0] == 6
        commons = [
            parts[1]
            for _, _, start, stop in each(changed, *top[0][2:])
            for _, _, first, last in each(changed, start, stop)
            for parts in [each(changed, first, last)]
            if parts[0][1] == b"\x55\x04\x03"
        ]
        assert [(common[0] in (UTF8, PRINTABLE), common[1].decode()) for common in commons] == [(True, found)]
    assert read["refused"]
    assert read["accepted"] or name == "two in one"


def test_the_key_that_a_certificate_names_as_its_issuers():
    def stated(value: bytes) -> bytes | None:
        found = GeneralCertificate.parse(certificate(der.extension("2.5.29.35", value)))
        return authority_key_identifier(found)

    assert stated(der.element(0x30, der.element(0x80, b"key"))) == b"key"
    assert stated(der.element(0x30, der.element(0x80, b"key"), der.element(0x82, b"\x05"))) == b"key"
    assert stated(der.element(0x30, der.element(0x82, b"\x05"))) is None
    assert stated(der.element(0x30)) is None
    for value in (der.element(0x31), der.element(0x30) + b"\0", b"", der.element(0x30, b"\x80\x04key")):
        with pytest.raises(DerError):
            stated(value)
    assert authority_key_identifier(GeneralCertificate.parse(certificate(USAGE))) is None


@pytest.mark.parametrize(
    ("decode", "most"),
    [
        (Certificate.parse, 4096),
        (GeneralCertificate.parse, 8192),
        (lambda data: GeneralCertificate.parse(data, max_bytes=1024), 1024),
    ],
)
def test_the_longest_certificate(decode, most):
    def sized(size: int) -> bytes:
        padding = size - len(certificate(der.extension("1.2.3", bytes(most - 500)))) + most - 500
        return certificate(der.extension("1.2.3", bytes(padding)))

    assert len(sized(most)) == most
    assert decode(sized(most)).der == sized(most)
    with pytest.raises(DerError, match=f"longer than {most} bytes"):
        decode(sized(most + 1))


def crl(size: int) -> bytes:
    """Return a list that nobody signed, of about this many bytes of entries."""
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    one = entry(struct.pack(">I", 0x01020304))
    extensions = (
        der.extension("2.5.29.35", der.element(0x30, der.element(0x80, b"key"))),
        der.extension("2.5.29.20", der.integer(7)),
    )
    body = der.element(
        0x30,
        der.integer(1),
        algorithm,
        NAMES["one"],
        der.element(0x17, b"250101000000Z"),
        der.element(0x17, b"300101000000Z"),
        der.element(0x30, one * (size // len(one))),
        der.element(0xA0, der.element(0x30, *extensions)),
    )
    return der.element(0x30, body, algorithm, der.bits(b"signature"))


@pytest.mark.parametrize("decode", [RevocationList.parse, GeneralRevocationList.parse])
def test_a_list_says_what_was_written(decode):
    data = crl(100)
    found = decode(data)
    assert (found.signature, found.issuer, found.authority, found.number) == (
        b"signature",
        NAMES["one"],
        b"key",
        7,
    )
    assert found.window == Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    assert found.revoked == {b"\x01\x02\x03\x04"}
    _, start, _ = tlv(data, 0, len(data))
    assert found.signed == data[start : tlv(data, start, len(data))[2]]


def test_a_list_has_the_callers_bound():
    data = crl(1000)
    assert GeneralRevocationList.parse(data, max_bytes=len(data)).number == 7
    with pytest.raises(DerError, match="longer than"):
        GeneralRevocationList.parse(data, max_bytes=len(data) - 1)


@pytest.mark.parametrize("decode", [RevocationList.parse, GeneralRevocationList.parse])
def test_a_list_has_at_most_a_mebibyte(decode):
    with pytest.raises(DerError, match="longer than 1048576 bytes"):
        decode(bytes((1 << 20) + 1))
    with pytest.raises(DerError) as found:
        decode(bytes(1 << 20))
    assert "longer than 1048576 bytes" not in found.value.message

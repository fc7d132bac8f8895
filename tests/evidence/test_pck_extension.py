"""The SGX extension of a PCK certificate: each value once, of its type and size, and nothing beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.dcap.pck import OID_SGX_EXTENSION, PckExtension
from assay.evidence.dcap.tcb import SgxType
from assay.evidence.decoding.der import DerError
from assay.simulator.pck_extension import PckExtension as Written
from support.dcap_scenes import encode

OCTETS, INTEGER, ENUMERATED, BOOLEAN = 0x04, 0x02, 0x0A, 0x01


def pair(number: int, value: bytes, arc: bytes = b"") -> bytes:
    return encode(0x30, encode(0x06, OID_SGX_EXTENSION + arc + bytes([number])) + value)


def tcb(**changes) -> bytes:
    items = {n: encode(INTEGER, bytes([n])) for n in range(1, 17)}
    items |= {17: encode(INTEGER, b"\x0b"), 18: encode(OCTETS, bytes(range(16)))}
    items |= {int(name[1:]): value for name, value in changes.items()}
    return encode(0x30, b"".join(pair(n, v, b"\2") for n, v in items.items() if v is not None))


def configuration(**changes) -> bytes:
    items = {1: b"\x01\x01\xff", 2: b"\x01\x01\x00", 3: b"\x01\x01\xff"}
    items |= {int(name[1:]): value for name, value in changes.items()}
    return encode(0x30, b"".join(pair(n, v, b"\7") for n, v in items.items() if v is not None))


def extension(extra: bytes = b"", **changes) -> bytes:
    items = {
        1: encode(OCTETS, b"\1" * 16),
        2: tcb(),
        3: encode(OCTETS, b"\3\3"),
        4: encode(OCTETS, b"\4" * 6),
        5: encode(ENUMERATED, b"\1"),
        6: encode(OCTETS, b"\6" * 16),
        7: configuration(),
    }
    items |= {int(name[1:]): value for name, value in changes.items()}
    return encode(0x30, b"".join(pair(n, v) for n, v in items.items() if v is not None) + extra)


def refused(data: bytes) -> str:
    with pytest.raises(DerError) as error:
        PckExtension.parse(data)
    return error.value.message


def test_every_value_lands_where_it_belongs():
    found = PckExtension.parse(extension())
    assert found.ppid == b"\1" * 16
    assert found.components == tuple(range(1, 17))
    assert (found.pce_svn, found.cpu_svn) == (11, bytes(range(16)))
    assert (found.pce_id, found.fmspc) == (b"\3\3", b"\4" * 6)
    assert found.sgx_type is SgxType.SCALABLE
    assert found.platform_instance_id == b"\6" * 16
    assert (found.dynamic_platform, found.cached_keys, found.smt_enabled) == (True, False, True)
    found = PckExtension.parse(extension(_7=configuration(_1=b"\x01\x01\x00", _2=b"\x01\x01\xff", _3=None)))
    assert (found.dynamic_platform, found.cached_keys, found.smt_enabled) == (False, True, None)


def test_what_a_processor_certificate_leaves_out():
    found = PckExtension.parse(extension(_6=None, _7=None))
    assert found.platform_instance_id is None
    assert (found.dynamic_platform, found.cached_keys, found.smt_enabled) == (None, None, None)


@given(
    st.lists(st.integers(0, 255), min_size=16, max_size=16),
    st.integers(0, 65535),
    st.sampled_from(SgxType),
    st.binary(min_size=6, max_size=6),
)
def test_what_another_encoder_writes_is_read(components, pce_svn, kind, fmspc):
    written = Written(bytes(16), tuple(components), pce_svn, bytes(16), b"\0\1", fmspc, sgx_type=int(kind))
    found = PckExtension.parse(written.encode())
    assert found.components == tuple(components)
    assert (found.pce_svn, found.fmspc, found.sgx_type) == (pce_svn, fmspc, kind)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    for candidate in (data, encode(0x30, data), extension(_2=encode(0x30, data)), extension(_1=data)):
        try:
            PckExtension.parse(candidate)
        except DerError:
            continue


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_values_that_must_be_there(number):
    assert f"lacks value {number}" in refused(extension(**{f"_{number}": None}))


@pytest.mark.parametrize("number", range(1, 19))
def test_every_part_of_the_tcb_must_be_there(number):
    assert f"lacks value {number}" in refused(extension(_2=tcb(**{f"_{number}": None})))


@pytest.mark.parametrize(("number", "size"), [(1, 16), (3, 2), (4, 6), (6, 16)])
def test_sizes(number, size):
    for wrong in (0, size - 1, size + 1, 127):
        assert "bytes, not" in refused(extension(**{f"_{number}": encode(OCTETS, bytes(wrong))}))
    for wrong in (128, 200, 300):
        assert "length" in refused(extension(**{f"_{number}": encode(OCTETS, bytes(wrong))}))
    for value in (
        encode(INTEGER, bytes(size)),
        encode(OCTETS, bytes(size)) + b"\0",
        encode(OCTETS, bytes(size))[:-1],
    ):
        assert refused(extension(**{f"_{number}": value}))


def test_the_size_of_the_cpu_svn():
    for wrong in (0, 15, 17):
        assert "bytes, not 16" in refused(extension(_2=tcb(_18=encode(OCTETS, bytes(wrong)))))


@pytest.mark.parametrize(
    ("content", "value"), [(b"\x00", 0), (b"\x7f", 127), (b"\0\x80", 128), (b"\0\xff", 255)]
)
def test_component_numbers(content, value):
    for number in (1, 16):
        found = PckExtension.parse(extension(_2=tcb(**{f"_{number}": encode(INTEGER, content)})))
        assert found.components[number - 1] == value


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\xff", b"\0\0", b"\0\x7f", b"\1\0", b"\0\0\xff", b"\1\0\0"]
)
def test_component_numbers_that_are_refused(content):
    assert refused(extension(_2=tcb(_16=encode(INTEGER, content))))
    assert refused(extension(_2=tcb(_1=encode(ENUMERATED, b"\1"))))


def test_the_pce_svn():
    for content, value in ((b"\0\x80", 128), (b"\1\0", 256), (b"\x7f\xff", 32767), (b"\0\xff\xff", 65535)):
        assert PckExtension.parse(extension(_2=tcb(_17=encode(INTEGER, content)))).pce_svn == value
    for content in (b"\1\0\0", b"\0\1\0", b"\xff\xff", b""):
        assert refused(extension(_2=tcb(_17=encode(INTEGER, content))))


def test_sgx_types():
    for number, kind in enumerate(SgxType):
        assert PckExtension.parse(extension(_5=encode(ENUMERATED, bytes([number])))).sgx_type is kind
    for value in (encode(ENUMERATED, b"\3"), encode(ENUMERATED, b"\0\xff"), encode(ENUMERATED, b"\1\0")):
        assert refused(extension(_5=value))
    assert "not known" in refused(extension(_5=encode(ENUMERATED, b"\0\xff")))
    assert refused(extension(_5=encode(INTEGER, b"\1")))


def test_flags():
    for value in (b"\x01\x01\x01", b"\x01\x00", b"\x05\x00", b"\x01\x01\xff\0", b""):
        for number in (1, 2, 3):
            assert refused(extension(_7=configuration(**{f"_{number}": value})))


def test_nothing_stands_twice_or_is_foreign():
    assert "twice" in refused(extension(pair(4, encode(OCTETS, bytes(6)))))
    assert "twice" in refused(extension(_2=encode(0x30, tcb()[4:] + pair(5, encode(INTEGER, b"\1"), b"\2"))))
    assert "foreign" in refused(extension(encode(0x30, encode(0x06, b"\x2a\x03\x04") + b"\x05\x00")))
    assert "foreign" in refused(extension(pair(1, b"\x05\x00", b"\2")))
    assert "foreign" in refused(extension(encode(0x30, encode(0x06, OID_SGX_EXTENSION) + b"\x05\x00")))
    assert "foreign" in refused(extension(encode(0x30, encode(0x04, OID_SGX_EXTENSION + b"\x08"))))
    assert "foreign" in refused(extension(encode(0x30, b"")))
    # A value that Intel may add later says nothing that is decided on.
    assert PckExtension.parse(extension(pair(8, b"\x05\x00"))) == PckExtension.parse(extension())
    assert PckExtension.parse(extension(pair(8, b""))) == PckExtension.parse(extension())


def test_an_identifier_without_a_value():
    for number in range(1, 8):
        assert refused(extension(**{f"_{number}": b""}))
    last = extension(_6=None, _7=None, _5=None, extra=pair(5, b""))
    assert "another type or length" in refused(last)


def test_the_whole_value_is_one_sequence():
    assert "bytes follow" in refused(extension() + b"\0")
    for data in (b"", b"\x30", b"\x31\x00", extension()[:-1]):
        assert refused(data)

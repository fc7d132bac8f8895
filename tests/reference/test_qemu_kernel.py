"""Kernels as QEMU hands them over."""

from __future__ import annotations

import io
from contextlib import suppress
from struct import pack_into

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.pe import authenticode
from assay.reference.qemu_kernel import HIGH_MEMORY_BYTES, patched_digest
from support.reference_pe import linux_kernel

INITRD = 0x123456


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def digest(kernel: bytes, memory: int = HIGH_MEMORY_BYTES, initrd: int = INITRD) -> bytes:
    return patched_digest(Artefact.of(kernel), initrd, memory)


def patched(kernel: bytes, place: int, *, heap: int = 0xFE00, line: int = 0x20000, initrd: int = INITRD):
    data = bytearray(kernel)
    data[0x210] = 0xB0
    data[0x211] |= 0x80
    pack_into("<I", data, 0x224, heap)
    pack_into("<I", data, 0x228, line)
    if initrd:
        pack_into("<II", data, 0x218, place, initrd)
    return authenticode(Artefact.of(bytes(data)), "sha384")


@pytest.mark.parametrize(
    ("given", "memory", "place"),
    [
        ({}, HIGH_MEMORY_BYTES, 0x7FEB4000),
        ({}, 64 << 30, 0x7FEB4000),
        ({}, 0x80000000, 0x7FEB4000),
        ({}, 0xB0000000, 0x7FEB4000),
        ({}, HIGH_MEMORY_BYTES - 1, 0xAFEB4000),
        ({}, 1 << 30, 0x3FEB4000),
        ({"more_flags": 0}, HIGH_MEMORY_BYTES, 0x37EDC000),
        ({"more_flags": 0xFFBF}, HIGH_MEMORY_BYTES, 0x37EDC000),
        ({"version": 0x20C}, HIGH_MEMORY_BYTES, 0x7FEB4000),
        ({"version": 0x20B, "initrd_end": 0x20000000}, HIGH_MEMORY_BYTES, 0x1FEDC000),
        ({"version": 0x20B}, HIGH_MEMORY_BYTES, 0x37EDC000),
        ({"version": 0x203}, HIGH_MEMORY_BYTES, 0x37EDC000),
    ],
)
def test_the_initrd_is_as_high_as_kernel_and_memory_allow(given, memory, place):
    kernel = linux_kernel(**given)
    assert digest(kernel, memory) == patched(kernel, place)


@pytest.mark.parametrize(
    ("given", "initrd", "place"),
    [
        ({}, 0xFFF, 0x7FFD7000),
        ({}, 0x1000, 0x7FFD6000),
        ({"more_flags": 0}, 0xFFF, 0x37FFF000),
        ({"more_flags": 0}, 0x1000, 0x37FFE000),
        ({}, 0x7FFD7FFE, 0),
    ],
)
def test_the_initrd_ends_with_the_last_byte_that_it_may_have(given, initrd, place):
    kernel = linux_kernel(**given)
    assert digest(kernel, initrd=initrd) == patched(kernel, place, initrd=initrd)


def test_a_kernel_is_read_up_to_a_bound():
    least = linux_kernel(size=0)
    assert len(least) == 4096
    assert digest(least) == patched(least, 0x7FEB4000)
    # There is nothing in them: whoever does not refuse their size wants their content.
    largest, larger = (Artefact("kernel", io.BytesIO(), (256 << 20) + more) for more in (0, 1))
    assert code(lambda: patched_digest(largest, INITRD, 1 << 30)) == "reference.artefact.truncated"
    assert code(lambda: patched_digest(larger, INITRD, 1 << 30)) == "reference.artefact.size"


def test_a_kernel_that_is_not_loaded_high_has_its_command_line_elsewhere():
    kernel = linux_kernel(flags=0)
    assert digest(kernel) == patched(kernel, 0x7FEB4000, heap=0x9E00, line=0x9A000)


def test_without_an_initrd_its_fields_are_left_alone():
    kernel = linux_kernel()
    assert digest(kernel, initrd=0) == patched(kernel, 0, initrd=0)


def test_kernels_and_initrds_that_cannot_be():
    assert code(lambda: digest(linux_kernel(version=0x202))) == "reference.kernel.header"
    assert code(lambda: digest(linux_kernel()[:4095])) == "reference.kernel.header"
    for size in (0x80000000, 0x7FFD7FFF):
        assert code(lambda size=size: digest(linux_kernel(), initrd=size)) == "reference.kernel.initrd"
    assert code(lambda: digest(linux_kernel(), memory=0)) == "reference.kernel.initrd"
    assert code(lambda: digest(bytes(0x206) + b"\x0f\x02" + bytes(5000))) == "reference.pe.header"


@given(st.binary(max_size=64), st.integers(0, 0x400), st.integers(0, 1 << 40), st.integers(0, 1 << 33))
def test_whatever_the_header_holds_an_error_of_ours_answers(noise, at, memory, initrd):
    data = linux_kernel()
    with suppress(ReferenceValueError):
        digest(data[:at] + noise + data[at + len(noise) :], memory, initrd)

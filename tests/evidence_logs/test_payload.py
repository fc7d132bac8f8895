"""What a digest proves about a payload."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.eventlog import Algorithm, Coverage, binding
from assay.evidence.eventlog.kinds import EventType, name
from assay.evidence.eventlog.payload import HASHED_TYPES


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def variable(label: str, content: bytes, *, characters: int | None = None) -> bytes:
    text = label.encode("utf-16-le")
    count = len(label) if characters is None else characters
    return bytes(16) + struct.pack("<QQ", count, len(content)) + text + content


BOOT = variable("BootOrder", b"\1\0")
TD_SHIM = b"td_hob".ljust(16, b"\0") + struct.pack("<I", 5) + b"block"
PARTS = {
    "boot variable without its name": (EventType.EFI_VARIABLE_BOOT, BOOT, b"\1\0"),
    "td-shim's data behind its name": (EventType.PLATFORM_CONFIG_FLAGS, TD_SHIM, b"block"),
    "GRUB command": (EventType.IPL, b"grub_cmd: set timeout=1\0", b"set timeout=1"),
    "GRUB command with its NUL": (EventType.IPL, b"grub_cmd set timeout=1\0", b"set timeout=1\0"),
    "GRUB command without a NUL": (EventType.IPL, b"grub_cmd: boot", b"boot"),
    "kernel command line of GRUB": (EventType.IPL, b"grub_kernel_cmdline /vmlinuz ro\0", b"/vmlinuz ro"),
    "command line of a module": (EventType.IPL, b"module_cmdline: /initrd\0", b"/initrd"),
    "kernel command line": (EventType.IPL, b"kernel_cmdline: /vmlinuz ro\0", b"/vmlinuz ro"),
    "old shim's authority": (EventType.EFI_VARIABLE_AUTHORITY, b"authority\0", b"authority"),
}


@pytest.mark.parametrize(("kind", "payload", "part"), PARTS.values(), ids=PARTS)
def test_a_part_of_the_payload_is_bound(kind, payload, part):
    found = binding(kind, payload, sha384(part), Algorithm.SHA384)
    assert found.coverage is Coverage.PART
    assert payload[found.start : found.end] == part


@pytest.mark.parametrize("kind", [*HASHED_TYPES, EventType.EVENT_TAG, 0x1234])
def test_the_whole_payload_is_bound_where_the_digest_is_its_hash(kind):
    found = binding(kind, b"payload", sha384(b"payload"), Algorithm.SHA384)
    assert (found.coverage, found.start, found.end) == (Coverage.WHOLE, 0, 7)


@pytest.mark.parametrize("kind", sorted(HASHED_TYPES))
def test_a_hashed_type_contradicts_another_digest(kind):
    found = binding(kind, b"payload", sha384(b"other"), Algorithm.SHA384)
    assert (found.coverage, found.start, found.end) == (Coverage.CONTRADICTED, 0, 0)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (EventType.EFI_HANDOFF_TABLES2, b"\x09TdxTable"),
        (EventType.EFI_PLATFORM_FIRMWARE_BLOB2, b"firmware"),
        (EventType.EFI_BOOT_SERVICES_APPLICATION, b"path"),
        (EventType.EVENT_TAG, b"LOADED_IMAGE::LoadOptions"),
        (EventType.IPL, b"MokList\0"),
        (EventType.IPL, b"grub_cmd: set timeout=1\0"),
        (EventType.PLATFORM_CONFIG_FLAGS, b"ACPI DATA"),
        (EventType.PLATFORM_CONFIG_FLAGS, TD_SHIM[:-1]),
    ],
)
def test_other_payloads_are_captions(kind, payload):
    found = binding(kind, payload, sha384(b"something else"), Algorithm.SHA384)
    assert (found.coverage, found.start, found.end) == (Coverage.CAPTION, 0, 0)


@pytest.mark.parametrize(
    "payload",
    [BOOT[:20], variable("Boot", b"\1\0", characters=2**63), variable("Boot", b"\1\0", characters=3), b""],
    ids=["cut", "huge", "wrong", "empty"],
)
def test_malformed_variables_bind_no_part(payload):
    found = binding(EventType.EFI_VARIABLE_BOOT, payload, sha384(b"\1\0"), Algorithm.SHA384)
    assert found.coverage is Coverage.CONTRADICTED


@given(st.integers(0, 2**32 - 1), st.binary(max_size=80), st.binary(max_size=80))
def test_what_is_called_bound_hashes_to_the_digest(kind, payload, measured):
    digest = sha384(measured)
    found = binding(kind, payload, digest, Algorithm.SHA384)
    if found.coverage in (Coverage.WHOLE, Coverage.PART):
        assert sha384(payload[found.start : found.end]) == digest
    else:
        assert found.start == found.end == 0


def test_names_of_types():
    assert name(4) == "EV_SEPARATOR"
    assert name(0x99) == "0x00000099"


def test_sm3():
    assert Algorithm.SM3_256.size == 32
    if "sm3" not in hashlib.algorithms_available:
        pytest.skip("this OpenSSL has no SM3")
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert Algorithm.SM3_256.digest(b"abc").hex() == expected


@pytest.mark.parametrize("algorithm", [found for found in Algorithm if found is not Algorithm.SM3_256])
def test_sizes_of_algorithms(algorithm):
    assert len(algorithm.digest(b"")) == algorithm.size

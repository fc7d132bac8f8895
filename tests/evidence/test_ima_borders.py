"""Entries of IMA logs in shapes that a mutation run found untested."""

from __future__ import annotations

import struct

import pytest

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.evidence.ima.entries import ImaEntry, ImaLog, digest_algorithm, frames, template_fields

DIGEST = Algorithm.SHA1.digest(b"a file")


def entry(name: bytes, data: bytes, digest: bytes) -> bytes:
    return struct.pack("<I", 10) + digest + struct.pack("<I", len(name)) + name + data


def counted(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def test_formats_in_place_of_names():
    assert template_fields(b"d|n") == ("d", "n")
    assert template_fields(b"d-ng|n-ng|d-type") == ("d-ng", "n-ng", "d-type")
    assert template_fields(b"d|n|m") is None


def test_an_entry_of_the_oldest_template_ends_where_it_says():
    data = DIGEST + counted(b"/bin/sh")
    log = entry(b"ima", data, bytes(19) + b"\1") * 2
    bounds = [start for start, *_ in frames(log, Algorithm.SHA1)]
    assert bounds == [0, len(log) // 2]
    first, second = list(ImaLog(log, bounds, Algorithm.SHA1))
    assert first == second == ImaEntry(10, b"ima", data, violation=False)


def test_a_name_that_is_no_template_tells_no_algorithm():
    """Where SHA-1 would end, the digest of another algorithm may look like the length of a name."""
    digest = b"\7" * 20 + struct.pack("<I", 1) + b"\7" * 8
    name = b"ima-ng"
    data = counted(counted(b"sha256:\0" + bytes(32)) + counted(b"/x\0"))
    assert digest_algorithm(entry(name, data, digest)) is Algorithm.SHA256


@pytest.mark.parametrize("data", [b"\1\0\0", struct.pack("<I", 2) + b"x"])
def test_the_code_of_fields_that_are_cut(data):
    with pytest.raises(EvidenceError) as error:
        ImaEntry(10, b"ima-ng", data, violation=False).file()
    assert error.value.code == "ima.field"

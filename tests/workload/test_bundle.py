from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits, Entry, Kind, Listing
from assay.workload.paths import check_link, check_relative

PART = st.binary(min_size=1, max_size=6).filter(
    lambda part: b"/" not in part and b"\0" not in part and part not in (b".", b"..")
)
PATHS = st.lists(PART, min_size=1, max_size=3).map(b"/".join)


@st.composite
def listings(draw):
    found: dict[bytes, Entry] = {}
    for path in draw(st.lists(PATHS, max_size=8, unique=True)):
        if any(path.startswith(other + b"/") or other.startswith(path + b"/") for other in found):
            continue
        kind = draw(st.sampled_from(Kind))
        if kind is Kind.FILE:
            found[path] = Entry(
                path, kind, 0o644, draw(st.integers(0, 99)), draw(st.binary(min_size=32, max_size=32))
            )
        elif kind is Kind.LINK:
            found[path] = Entry(path, kind, 0o777, 0, draw(PART))
        else:
            found[path] = Entry(path, kind, 0o755, 0, b"")
    return Listing.of(list(found.values()))


def code_of(call, *arguments, **named):
    with pytest.raises(WorkloadError) as found:
        call(*arguments, **named)
    return found.value.code


@given(listings())
def test_a_listing_has_one_encoding_and_one_digest(listing):
    data = listing.encode()
    assert Listing.decode(data, BundleLimits()) == listing
    assert listing.digest() == hashlib.sha256(data).digest()


@given(listings(), st.data())
def test_every_cut_and_every_trailing_byte_is_refused(listing, data):
    encoded = listing.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    assert code_of(Listing.decode, encoded[:cut], BundleLimits()).startswith("workload.")
    assert code_of(Listing.decode, encoded + b"\0", BundleLimits()) == "workload.bundle.malformed"


@given(listings(), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_listing_is_another_one_or_none(listing, position, difference):
    data = bytearray(listing.encode())
    data[position % len(data)] ^= difference
    try:
        other = Listing.decode(bytes(data), BundleLimits())
    except WorkloadError:
        return
    assert other != listing
    assert other.encode() == bytes(data)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    assert code_of(Listing.decode, data, BundleLimits()) == "workload.bundle.malformed"


def file(path, size=1):
    return Entry(path, Kind.FILE, 0o644, size, b"d" * 32)


@pytest.mark.parametrize(
    "entries",
    [
        (file(b"b"), file(b"a")),
        (file(b"a"), file(b"a")),
        (file(b"a"), file(b"a/b")),
        (Entry(b"a", Kind.LINK, 0o777, 0, b"b"), file(b"a/c")),
        (file(b"a"), file(b"a-b"), file(b"a/b")),
        (file(b"d/a"), file(b"d/a/b/c")),
    ],
)
def test_entries_that_contradict_each_other_are_refused(entries):
    assert code_of(Listing, entries) == "workload.bundle.malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": 0o4755},
        {"mode": -1},
        {"size": -1},
        {"size": 1 << 63},
        {"content": b"short"},
        {"kind": Kind.DIRECTORY},
        {"kind": Kind.LINK},
        {"kind": Kind.LINK, "size": 0},
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(changes):
    assert code_of(replace, file(b"a"), **changes) == "workload.bundle.malformed"


def test_case_is_preserved_and_kept_apart():
    listing = Listing.of([file(b"a"), file(b"A")])
    assert [entry.path for entry in listing.entries] == [b"A", b"a"]


def test_limits_are_tested_before_anything_else():
    listing = Listing.of([file(bytes([65 + n]), size=10) for n in range(5)])
    data = listing.encode()
    assert code_of(Listing.decode, data, BundleLimits(entries=4)) == "workload.bundle.limit"
    assert code_of(Listing.decode, data, BundleLimits(total_bytes=49)) == "workload.bundle.limit"
    assert code_of(Listing.decode, data, BundleLimits(listing_bytes=10)) == "workload.bundle.limit"
    Listing.decode(data, BundleLimits(entries=5, total_bytes=50, listing_bytes=len(data)))


def test_a_count_that_cannot_be_true_is_refused_without_allocating():
    head = Listing(()).encode()[:-4]
    assert code_of(Listing.decode, head + b"\x00\x02\x00\x00", BundleLimits()) == "workload.bundle.malformed"


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/a",
        b"a/",
        b"a//b",
        b".",
        b"..",
        b"a/..",
        b"a/./b",
        b"a\0b",
        b"a" * 256,
        b"a/" * 64 + b"b",
        b"a" * 5000,
    ],
)
def test_paths_that_do_not_stay_below_are_refused(path):
    assert code_of(check_relative, path) == "workload.path.unsafe"
    assert code_of(file, path) == "workload.path.unsafe"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"a", b"/etc/passwd"),
        (b"a", b".."),
        (b"a", b"../x"),
        (b"d/a", b"../../x"),
        (b"d/a", b"x/../../y"),
        (b"p/q/y", b"x/../foo"),
        (b"a", b""),
        (b"a", b"b//c"),
        (b"a", b"b\0"),
        (b"a", b"b" * 5000),
    ],
)
def test_links_that_leave_are_refused(path, target):
    assert code_of(check_link, path, target) == "workload.link.leaves_tree"


@pytest.mark.parametrize(
    ("path", "target"), [(b"a", b"b"), (b"d/a", b"../x"), (b"d/e/a", b"../../x/y"), (b"a", b"./b")]
)
def test_links_that_stay_are_accepted(path, target):
    check_link(path, target)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (b"../a name", "../a name"),
        ("../\u00e4".encode(), "../\u00e4"),
        (b"../\x92\xff", "../\\x92\\xff"),
        (b"../\x1b[31m\n\x00", "../\\x1b[31m\\n\\x00"),
        ("../\u202e\x9b".encode(), "../\\u202e\\x9b"),
        (b"../" + b"x" * 300, "../" + "x" * 197 + " is"),
    ],
)
def test_a_path_is_told_as_it_is_written_and_moves_no_terminal(path, said):
    with pytest.raises(WorkloadError) as refused:
        check_relative(path)
    assert refused.value.code == "workload.path.unsafe"
    assert refused.value.message.isprintable()
    assert f"The path {said}" in refused.value.message

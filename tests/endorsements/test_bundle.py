"""The bundle: one form, every byte of it named by its manifest, and nothing to inflate or to leave by."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from datetime import timedelta

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from assay.endorsements import bundle as module
from assay.endorsements.bundle import Bundle, is_bundle
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.errors import EndorsementError
from assay.evidence.facts import Window
from support.endorsement_services import NOW

SIZES = st.integers(0, 1500)


def endorsement(name="one", parts=None, **fields):
    made = {
        "wanted": Wanted.of("a-kind", name=name),
        "parts": {"part": b"1"} if parts is None else parts,
        "window": Window(NOW, NOW + timedelta(days=1)),
        "fetched": NOW,
        "sources": ("https://a.example/x",),
        "basis": Basis.SIGNATURE,
        "anchor": "ab" * 32,
    }
    return Endorsement(**made | fields)


ONE = Bundle.of(
    [endorsement("two", {"a": b"a" * 600, "b": b""}), endorsement("one", {"a": b"a" * 600})], created=NOW
)
DATA = ONE.encode()


def code(name):
    """What the text of an error ends with."""
    return rf"\[endorsements\.{re.escape(name)}\]$"


def refused(data, *codes):
    with pytest.raises(EndorsementError) as caught:
        Bundle.decode(data)
    assert caught.value.code in [f"endorsements.{code}" for code in codes]
    assert caught.value.message.isprintable()


def test_a_bundle_is_read_as_it_was_written():
    assert Bundle.decode(DATA) == ONE
    assert [each.wanted["name"] for each in Bundle.decode(DATA).endorsements] == ["one", "two"]
    assert is_bundle(DATA)
    assert not is_bundle(b"{}")


def test_its_form_does_not_change():
    """Bundles that were carried to a machine without a network must be read there by later versions."""
    assert (len(DATA), hashlib.sha256(DATA).hexdigest()) == (
        4608,
        "4b984812b2b0fe6c05c0c1d3c4f694a8b9a5b7b9646c6163d8bf4abd76bb1944",
    )


def test_not_every_archive_is_a_bundle():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a-manifest.json"))
    assert not is_bundle(buffer.getvalue())
    assert not is_bundle(DATA[:257] + b"pax\0\0" + DATA[262:])
    assert not is_bundle(b"a-" + DATA[2:])
    with pytest.raises(EndorsementError, match=r"is missing, or its header is of another form"):
        Bundle.decode(b"a-" + DATA[2:])


def test_the_same_endorsements_give_the_same_bytes():
    again = Bundle.of(reversed(ONE.endorsements), created=NOW + timedelta(microseconds=7))
    assert again.encode() == DATA


def test_other_tools_can_read_it():
    with tarfile.open(fileobj=io.BytesIO(DATA)) as archive:
        names = archive.getnames()
        assert names[0] == "manifest.json"
        assert json.load(archive.extractfile("manifest.json"))["schema"] == module.SCHEMA
        for name in names[1:]:
            part = archive.extractfile(name).read()
            assert name == f"parts/{hashlib.sha256(part).hexdigest()}"
    assert len(names) == 3  # equal parts are in it once


def test_an_empty_bundle_is_a_bundle():
    empty = Bundle.of([], created=NOW)
    assert Bundle.decode(empty.encode()) == empty


def test_no_byte_can_be_changed():
    """Every byte in turn: a change is refused, or it is another bundle in the one form."""
    accepted = []
    for index in range(len(DATA)):
        spoilt = DATA[:index] + bytes([DATA[index] ^ 1]) + DATA[index + 1 :]
        try:
            found = Bundle.decode(spoilt)
        except EndorsementError:
            continue
        assert found.encode() == spoilt
        accepted.append(index)
    # Only values that the manifest states of itself: dates, key, source, anchor.
    end = DATA.index(b"\0", 512 + 100)
    assert all(512 <= index < end for index in accepted)


@pytest.mark.parametrize("length", [*range(0, 1024, 64), len(DATA) - 1024, len(DATA) - 512, len(DATA) - 1])
def test_a_truncated_bundle_is_refused(length):
    refused(DATA[:length], "bundle.malformed")


@pytest.mark.parametrize("more", [b"\0", bytes(512), bytes(10240), b"x" * 512])
def test_something_behind_the_end_is_refused(more):
    refused(DATA + more, "bundle.malformed")


@pytest.mark.parametrize(
    ("size", "code"), [(64 << 20, "bundle.malformed"), ((64 << 20) + 1, "bundle.too_large")]
)
def test_a_bundle_that_is_too_large_is_refused(size, code):
    refused(bytes(size), code)


@pytest.mark.parametrize("digits", [b"00000000008", b"00000000009", b"0000000000x", b"          1"])
def test_a_size_is_octal(digits):
    refused(DATA[:124] + digits + DATA[135:], "bundle.malformed")


def made(manifest, *files):
    """A file of the right form with any manifest and any files."""
    parts = [module._file("manifest.json", rfc8785.dumps(manifest))]
    return b"".join([*parts, *(module._file(name, data) for name, data in files)]) + bytes(1024)


DIGEST = hashlib.sha256(b"1").hexdigest()
RECORD = endorsement().record()
MANIFEST = {
    "schema": module.SCHEMA,
    "created": "2026-11-21T12:00:00Z",
    "endorsements": [RECORD],
    "parts": {DIGEST: 1},
}
PART = (f"parts/{DIGEST}", b"1")


def test_what_is_made_by_hand_is_the_one_form():
    assert Bundle.decode(made(MANIFEST, PART)) == Bundle.of([endorsement()], created=NOW)


WRONG = {
    "another schema": (MANIFEST | {"schema": "x"}, [PART], "bundle.malformed"),
    "no date": (MANIFEST | {"created": "now"}, [PART], "bundle.malformed"),
    "a date without zone": (MANIFEST | {"created": "2026-11-21T12:00:00"}, [PART], "bundle.malformed"),
    "no endorsements": (
        {k: v for k, v in MANIFEST.items() if k != "endorsements"},
        [PART],
        "bundle.malformed",
    ),
    "endorsements that are no objects": (MANIFEST | {"endorsements": [1]}, [PART], "bundle.malformed"),
    "the same thing twice": (MANIFEST | {"endorsements": [RECORD, RECORD]}, [PART], "bundle.duplicate"),
    "a member that nobody knows": (MANIFEST | {"more": 1}, [PART], "bundle.malformed"),
    "a part that nobody names": (
        MANIFEST | {"parts": {DIGEST: 1, hashlib.sha256(b"2").hexdigest(): 1}},
        sorted([PART, (f"parts/{hashlib.sha256(b'2').hexdigest()}", b"2")]),
        "bundle.malformed",
    ),
    "a part that is not there": (MANIFEST | {"parts": {}}, [], "bundle.malformed"),
    "a part that leaves the directory": (
        MANIFEST | {"parts": {"../../x": 1}},
        [("parts/../../x", b"1")],
        "bundle.malformed",
    ),
    "an absolute path": (MANIFEST, [("/etc/passwd", b"1")], "bundle.malformed"),
    "an altered part": (MANIFEST, [(PART[0], b"2")], "bundle.altered"),
    "a part of another size": (MANIFEST | {"parts": {DIGEST: 2}}, [PART], "bundle.altered"),
    "a part that is longer than its size": (MANIFEST | {"parts": {DIGEST: 0}}, [PART], "bundle.malformed"),
    "a name of another length": (
        MANIFEST | {"parts": {DIGEST[:-1]: 1}},
        [(PART[0][:-1], b"1")],
        "bundle.malformed",
    ),
    "a name that steers a terminal": (MANIFEST | {"parts": {"\x1b[2J": 1}}, [PART], "bundle.malformed"),
    "more endorsements than a bundle has": (
        MANIFEST | {"endorsements": [RECORD | {"key": {"name": str(number)}} for number in range(1025)]},
        [PART],
        "bundle.malformed",
    ),
    "a size that is no number": (MANIFEST | {"parts": {DIGEST: "1"}}, [PART], "bundle.malformed"),
    "a negative size": (MANIFEST | {"parts": {DIGEST: -1}}, [PART], "bundle.malformed"),
    "a size that is a truth": (MANIFEST | {"parts": {DIGEST: True}}, [PART], "bundle.malformed"),
    "a huge size": (MANIFEST | {"parts": {DIGEST: 1 << 50}}, [PART], "bundle.malformed"),
    "a name that is no text of ASCII": (MANIFEST | {"parts": {"é": 1}}, [PART], "bundle.malformed"),
    "an unknown basis": (
        MANIFEST | {"endorsements": [RECORD | {"basis": "hearsay"}]},
        [PART],
        "record.malformed",
    ),
    "a record with more": (MANIFEST | {"endorsements": [RECORD | {"x": 1}]}, [PART], "bundle.malformed"),
    "a key that is no text": (
        MANIFEST | {"endorsements": [RECORD | {"key": {"name": 1}}]},
        [PART],
        "record.malformed",
    ),
    "a kind that is none": (
        MANIFEST | {"endorsements": [RECORD | {"kind": "A"}]},
        [PART],
        "wanted.malformed",
    ),
    "a source that is none": (
        MANIFEST | {"endorsements": [RECORD | {"sources": ["a b"]}]},
        [PART],
        "record.malformed",
    ),
    "an anchor that is none": (
        MANIFEST | {"endorsements": [RECORD | {"anchor": ""}]},
        [PART],
        "record.malformed",
    ),
    "a part without a digest": (
        MANIFEST | {"endorsements": [RECORD | {"parts": {"a": "x"}}]},
        [PART],
        "record.malformed",
    ),
    "no parts in a record": (
        MANIFEST | {"endorsements": [RECORD | {"parts": {}}]},
        [PART],
        "record.malformed",
    ),
    "a part with a path for a name": (
        MANIFEST | {"endorsements": [RECORD | {"parts": {"../a": DIGEST}}]},
        [PART],
        "record.malformed",
    ),
    "a time that is none": (
        MANIFEST | {"endorsements": [RECORD | {"fetched": "2026-13-01T00:00:00Z"}]},
        [PART],
        "record.malformed",
    ),
}


@pytest.mark.parametrize(("manifest", "files", "code"), WRONG.values(), ids=WRONG)
def test_a_manifest_that_says_something_else_is_refused(manifest, files, code):
    refused(made(manifest, *files), code)


def test_another_schema_is_called_so():
    """A later version may write one, and its reader wants to know that."""
    with pytest.raises(EndorsementError, match=r"of another schema.*\[endorsements\.bundle\.malformed\]"):
        Bundle.decode(made(MANIFEST | {"schema": module.SCHEMA.replace("v1", "v2")}, PART))


def test_padding_is_of_zeros():
    data = made(MANIFEST, PART)
    spoilt = data[: -1024 - 511] + b"x" + data[-1024 - 510 :]
    refused(spoilt, "bundle.malformed")


def test_a_manifest_that_is_not_canonical_is_refused():
    manifest = json.dumps(MANIFEST).encode()
    data = module._file("manifest.json", manifest) + module._file(*PART) + bytes(1024)
    refused(data, "bundle.malformed")


def test_a_member_that_stands_twice_is_refused():
    manifest = rfc8785.dumps(MANIFEST)[:-1] + b',"schema":"x"}'
    refused(module._file("manifest.json", manifest) + module._file(*PART) + bytes(1024), "bundle.malformed")


def test_what_tar_writes_otherwise_is_refused():
    for change in ({"mtime": 1}, {"mode": 0o600}, {"uid": 7}, {"type": tarfile.SYMTYPE}, {"linkname": "/x"}):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in (("manifest.json", rfc8785.dumps(MANIFEST)), PART):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                for field, value in change.items():
                    setattr(info, field, value)
                archive.addfile(info, io.BytesIO(data))
        refused(buffer.getvalue(), "bundle.malformed")


@given(
    st.lists(
        st.tuples(
            st.from_regex("[!-~]{1,20}", fullmatch=True),
            st.dictionaries(
                st.from_regex("[a-z0-9]{1,8}", fullmatch=True),
                st.binary(max_size=1100),
                min_size=1,
                max_size=3,
            ),
            st.sampled_from(Basis),
        ),
        max_size=4,
        unique_by=lambda item: item[0],
    )
)
def test_any_bundle_is_read_as_it_was_written(items):
    found = Bundle.of([endorsement(name, parts, basis=basis) for name, parts, basis in items], created=NOW)
    assert Bundle.decode(found.encode()) == found


@given(st.binary(max_size=2000))
def test_bytes_that_are_no_bundle_are_refused(data):
    with pytest.raises(EndorsementError):
        Bundle.decode(data)


# --- its age


def test_its_age_is_a_check():
    ONE.check_age(NOW, at_most=timedelta(0))
    ONE.check_age(NOW + timedelta(days=30), at_most=timedelta(days=30))
    with pytest.raises(EndorsementError, match=code("bundle.old")):
        ONE.check_age(NOW + timedelta(days=30, seconds=1), at_most=timedelta(days=30))
    with pytest.raises(EndorsementError, match=code("bundle.future")):
        ONE.check_age(NOW - timedelta(seconds=1), at_most=timedelta(days=30))


@pytest.mark.parametrize(
    ("age", "at_most", "said"),
    [
        (timedelta(days=30, hours=1), timedelta(days=7), "30 days ago; at most 7 days"),
        (timedelta(hours=47), timedelta(days=1), "47 hours ago; at most 24 hours"),
        (timedelta(days=2), timedelta(minutes=90), "2 days ago; at most 90 minutes"),
        (timedelta(seconds=119), timedelta(0), "1 minutes ago; at most 0 minutes"),
    ],
)
def test_its_age_is_said_in_units_that_tell_it_from_what_is_accepted(age, at_most, said):
    with pytest.raises(EndorsementError) as caught:
        ONE.check_age(NOW + age, at_most=at_most)
    assert said in caught.value.message


def test_too_much_is_not_bundled():
    with pytest.raises(EndorsementError, match=code("bundle.duplicate")):
        Bundle.of([endorsement(), endorsement()], created=NOW)
    many = [endorsement(str(number)) for number in range(1025)]
    with pytest.raises(EndorsementError, match=code("bundle.too_large")):
        Bundle.of(many, created=NOW)
    most = Bundle.of(many[:1024], created=NOW)
    assert Bundle.decode(most.encode()) == most
    large = [endorsement(str(number), {"a": bytes([number]) * (4 << 20)}) for number in range(17)]
    with pytest.raises(EndorsementError, match=code("bundle.too_large")):
        Bundle.of(large, created=NOW).encode()


def test_a_manifest_may_have_four_mebibytes():
    source = ("x" * 8000,)
    most = [endorsement(f"{number:02}", sources=source * 16) for number in range(32)]
    made = Bundle.of([*most, endorsement("last", sources=("x",))], created=NOW).encode()
    more = (4 << 20) - int(made[124:135], 8)
    whole, rest = divmod(more, 8003)
    sources = (*source * whole, "x" * (rest + 1))
    longest = Bundle.of([*most, endorsement("last", sources=sources)], created=NOW)
    data = longest.encode()
    assert int(data[124:135], 8) == 4194304
    assert Bundle.decode(data) == longest
    longer = Bundle.of([*most, endorsement("last", sources=(*sources[:-1], sources[-1] + "x"))], created=NOW)
    with pytest.raises(EndorsementError, match=code("bundle.too_large")):
        longer.encode()


@pytest.mark.parametrize("more", [0, 1])
def test_a_bundle_is_bounded_with_what_surrounds_its_parts(monkeypatch, more):
    """Each part has a header and padding, a block each at most; so has the manifest, and two end the file."""
    monkeypatch.setattr(module, "MAX_BUNDLE_BYTES", 16384)
    manifest = int(
        Bundle.of([endorsement(parts={"a": bytes(10000), "b": b""})], created=NOW).encode()[124:135], 8
    )
    size = 16384 - manifest - 4 * 512 - 2 * 1024 + more
    assert 10000 <= size < 100000
    found = Bundle.of([endorsement(parts={"a": bytes(size), "b": b""})], created=NOW)
    if more:
        with pytest.raises(EndorsementError, match=code("bundle.too_large")):
            found.encode()
    else:
        assert Bundle.decode(found.encode()) == found


def test_its_parts_have_names_of_their_own():
    assert sorted(name.rsplit("-", 1)[1] for name in ONE.files()) == ["a", "a", "b"]
    assert len(ONE.files()) == 3
    assert ONE.find(Wanted.of("a-kind", name="one")).parts["a"] == b"a" * 600
    assert ONE.find(Wanted.of("a-kind", name="x")) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"parts": {}},
        {"parts": {"a": bytes((4 << 20) + 1)}},
        {"parts": {str(number): b"" for number in range(17)}},
        {"parts": {"../a": b""}},
        {"sources": ("a b",)},
        {"sources": ("https://a.example",) * 17},
        {"anchor": "two words"},
        {"anchor": ""},
    ],
)
def test_an_endorsement_that_could_not_be_read_again_cannot_be_made(fields):
    with pytest.raises(EndorsementError, match=code("record.malformed")):
        endorsement(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"parts": {"a": bytes(4 << 20)}},
        {"parts": {f"{number:02}": b"%d" % number for number in range(16)}},
        {"parts": {"a" * 64: b""}},
        {"sources": ("https://a.example",) * 16},
        {"sources": ()},
        {"sources": ("x" * 8192,)},
        {"anchor": "x" * 8192},
    ],
)
def test_an_endorsement_of_the_greatest_size_is_read_again(fields):
    found = Bundle.of([endorsement(**fields)], created=NOW)
    assert Bundle.decode(found.encode()) == found


def test_the_parts_of_an_endorsement_are_in_order_and_stay_as_they_are():
    found = endorsement(parts={"b": b"2", "a": b"1"})
    assert list(found.parts) == ["a", "b"]
    with pytest.raises(TypeError):
        found.parts["c"] = b"3"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("A-kind", ()),
        ("", ()),
        ("a" * 41, ()),
        ("a-kind", (("b", "1"), ("a", "1"))),
        ("a-kind", (("a", "1"), ("a", "1"))),
        ("a-kind", (("A", "1"),)),
        ("a-kind", (("a", ""),)),
        ("a-kind", (("a", "1 2"),)),
        ("a-kind", (("a", "\n"),)),
        ("a-kind", (("a", "x" * 8193),)),
        ("a-kind", tuple((f"a{number:02}", "1") for number in range(17))),
    ],
)
def test_what_is_wanted_has_one_form(kind, key):
    with pytest.raises(EndorsementError) as caught:
        Wanted(kind, key)
    assert caught.value.code == "endorsements.wanted.malformed"


def test_what_is_wanted_may_have_sixteen_names_of_eight_thousand_characters():
    found = Wanted("a" * 40, tuple((f"a{number:02}", "x" * 8192) for number in range(16)))
    assert found.get("a15") == "x" * 8192
    assert found.get("a16") == ""


def test_what_is_wanted_is_named_for_people():
    assert str(Wanted.of("a-kind")) == "a-kind"
    found = Wanted.of("a-kind", one_name="x" * 24, other="y" * 25)
    assert str(found) == f"a-kind (one-name {'x' * 24}, other {'y' * 16}...)"

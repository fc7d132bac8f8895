"""Google's endorsements of firmware: what is signed, by whom, and what it says."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from assay.cli.main import main
from assay.errors import ReferenceValueError
from assay.evidence.x509.general import GeneralCertificate
from assay.reference import gcp as room
from assay.reference.gcp import verify_endorsement
from assay.reference.values import read_measured, write_measured
from support.reference_gcp import NOW, SNP, TDX, certificate, endorsement, field, golden, message, root

ONE = field(1, 1) + field(2, b"\1" * 48)
TWO = field(1, 2) + field(2, b"\2" * 48)


def verified(data: bytes, *, now=NOW):
    return verify_endorsement(data, root(), now=now)


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def test_what_google_signed_is_read():
    found = verified(endorsement(golden()))
    assert (found.issued, found.firmware) == (NOW, b"\5" * 48)
    assert found.snp == {1: b"\1" * 48, 4: b"\4" * 48, 0: b"\7" * 48}
    assert found.tdx == {(16, False): b"\x10" * 48, (16, True): b"\x11" * 48}
    assert (found.snp_svn, found.tdx_svn, found.unknown) == (3, 5, ())


def test_values_of_a_platform():
    found = verified(endorsement(golden()))
    snp, tdx = found.measured("snp"), found.measured("tdx")
    assert snp.registers == {"measurement": {b"\1" * 48, b"\4" * 48, b"\7" * 48}}
    assert tdx.registers == {"mr_td": {b"\x10" * 48, b"\x11" * 48}}
    assert (snp.parameters["firmware_svn"], tdx.parameters["firmware_svn"]) == ("3", "5")
    assert (snp.platform, tdx.platform) == ("snp", "tdx")
    assert snp.parameters == {
        "firmware_sha384": "05" * 48,
        "firmware_svn": "3",
        "issued": "2026-05-01T00:00:00Z",
        "signer_sha256": hashlib.sha256(certificate()).hexdigest(),
    }
    assert tdx.parameters == snp.parameters | {"firmware_svn": "5"}
    silent = verified(endorsement(golden(f7=[message({2: [ONE]})], f8=None)))
    assert (silent.snp_svn, silent.tdx_svn, silent.tdx) == (0, None, {})
    assert silent.measured("snp").parameters["firmware_svn"] == "0"
    for fields in ({"f7": None}, {"f7": [message({1: [1]})]}):
        other = verified(endorsement(golden(**fields)))
        assert code(lambda other=other: other.measured("snp")) == "reference.gcp.platform"
        assert other.measured("tdx").registers
    assert code(lambda: found.measured("sgx")) == "reference.gcp.platform"


def test_what_is_signed_but_unknown_is_said():
    inner = golden() + field(99, 1)
    notes = verified(endorsement(inner)).measured("tdx").notes
    assert notes == ("The endorsement also holds field 99 of the firmware; that is not appraised.",)
    inner = golden(f7=[message(SNP) + field(8, 1)], f8=[message(TDX) + field(3, 1)])
    assert verified(endorsement(inner)).unknown == ("field 8 of SNP", "field 3 of TDX")


NEW = field(9, b"a condition")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"f7": [message({2: [ONE + NEW, TWO + NEW]})]}, "a measurement of SNP"),
        ({"f8": [message({2: [field(1, 1) + NEW + field(3, b"\1" * 48)]})]}, "a measurement of TDX"),
        ({"f1": [field(1, 1) + NEW]}, "its time"),
    ],
)
def test_what_is_unknown_inside_of_a_single_entry_is_said_once(changes, named):
    """It may say when a measurement counts: whoever relies on the measurement hears that nobody read it."""
    found = verified(endorsement(golden(**changes)))
    assert found.unknown == (f"field 9 of {named}",)
    note = f"The endorsement also holds field 9 of {named}; that is not appraised."
    assert found.measured("snp").notes == found.measured("tdx").notes == (note,)


@pytest.mark.parametrize("unknown", [16, 17, 1000])
def test_values_with_many_unknown_fields_can_be_kept_and_count_those_they_do_not_name(unknown):
    inner = golden() + b"".join(field(100 + at, 1) for at in range(unknown))
    measured = verified(endorsement(inner)).measured("tdx")
    assert len(measured.notes) == min(unknown, 17)
    assert measured.notes[0] == "The endorsement also holds field 100 of the firmware; that is not appraised."
    if unknown > 16:
        assert f"not named here: {unknown - 16}; they are not appraised" in measured.notes[16]
    assert read_measured(write_measured(measured)) == measured


FIXED = (b"\x99\x06" + bytes(8), b"\x9d\x06" + bytes(4))  # field 99, of eight bytes and of four


@pytest.mark.parametrize("fixed", FIXED)
def test_an_unknown_field_of_a_fixed_size_is_passed_over(fixed):
    for inner in (golden() + fixed, fixed + golden()):
        assert verified(endorsement(inner)).unknown == ("field 99 of the firmware",)
    assert code(lambda: verified(endorsement(golden() + fixed[:-1]))) == "reference.gcp.malformed"


KNOWN_GOLDEN = {1: 2, 2: 0, 3: 2, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2}
KNOWN_SNP = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2}
KNOWN_TDX = {1: 0, 2: 2}


def of_type(number: int, kind: int) -> bytes:
    return field(number, 0) if kind == 0 else field(number, b"")


def test_every_known_field_is_of_its_type():
    more = {3: [b"a"], 4: [b"b"], 5: [1], 6: [b"c"]}
    whole = golden(f6=[b"x"], f7=[message(SNP | more)])
    assert verified(endorsement(whole)).unknown == ()
    for number, kind in KNOWN_GOLDEN.items():
        wrong = golden() + of_type(number, 2 - kind)
        assert code(lambda wrong=wrong: verified(endorsement(wrong))) == "reference.gcp.malformed"
    for number, kind in KNOWN_SNP.items():
        wrong = golden(f7=[message(SNP) + of_type(number, 2 - kind)])
        assert code(lambda wrong=wrong: verified(endorsement(wrong))) == "reference.gcp.malformed"
    for number, kind in KNOWN_TDX.items():
        wrong = golden(f8=[message(TDX) + of_type(number, 2 - kind)])
        assert code(lambda wrong=wrong: verified(endorsement(wrong))) == "reference.gcp.malformed"


LARGEST_NUMBER = b"\xff" * 9 + b"\x01"
ALMOST = (  # numbers that are too large, too long, not in their shortest form
    b"\x80" * 9 + b"\x02",
    b"\xff" * 9 + b"\x03",
    b"\x80\x00",
    b"\xff" * 10 + b"\x01",
)


def test_numbers_have_64_bits_and_one_form():
    unknown = b"\x98\x06"  # field 99, a number
    found = verified(endorsement(golden() + unknown + LARGEST_NUMBER + unknown + b"\0"))
    assert found.unknown == ("field 99 of the firmware",)
    for number in ALMOST:
        for inner in (golden() + unknown + number, unknown + number + b"\1" + golden()):
            data = endorsement(inner)
            assert code(lambda data=data: verified(data)) == "reference.gcp.malformed"
    cut = endorsement(golden() + unknown + b"\x80" * 9)
    assert code(lambda: verified(cut)) == "reference.gcp.malformed"


def test_an_endorsement_at_its_bounds_is_read():
    assert verified(endorsement(golden() + field(99, 1) * (4096 - 7))).unknown
    over = endorsement(golden() + field(99, 1) * (4096 - 6))
    assert code(lambda: verified(over)) == "reference.gcp.malformed"
    for count in (1024, 1025):
        entries = [field(1, at + 1) + field(2, b"\1" * 48) for at in range(count)]
        data = endorsement(golden(f7=[message({2: entries})]))
        if count == 1024:
            assert len(verified(data).snp) == 1024
        else:
            assert code(lambda data=data: verified(data)) == "reference.gcp.malformed"
    around = len(endorsement(golden() + field(99, bytes(1 << 17)))) - (1 << 17)
    for more in (0, 1):
        data = endorsement(golden() + field(99, bytes((1 << 20) - around + more)))
        assert len(data) == (1 << 20) + more
        if more:
            assert code(lambda data=data: verified(data)) == "reference.gcp.malformed"
        else:
            assert verified(data).unknown


def test_times_are_between_1970_and_the_bound():
    assert verified(endorsement(golden(f1=[b""]))).issued == datetime(1970, 1, 1, tzinfo=UTC)
    latest = datetime.fromtimestamp((1 << 37) - 1, UTC)
    assert verified(endorsement(golden(f1=[field(1, (1 << 37) - 1) + field(2, 1)]))).issued == latest
    wrong = endorsement(golden(f1=[field(1, 1) + field(2, b"x")]))
    assert code(lambda: verified(wrong)) == "reference.gcp.malformed"


@pytest.mark.parametrize(
    ("inner", "signed_by", "expected"),
    [
        (golden, "root", "signature"),
        (lambda: golden(f4=[certificate(signed_by="other")]), "signer", "certificate"),
        (lambda: golden(f4=[certificate("Somebody")]), "signer", "certificate"),
        (lambda: golden(f4=[certificate(issuer="Another root")]), "signer", "certificate"),
        (lambda: golden(f4=[certificate(digital_signature=False)]), "signer", "certificate"),
        (lambda: golden(f4=[certificate("GCE-uefi-signer", authority=True)]), "root", "certificate"),
        (lambda: golden(f4=[b"no certificate"]), "signer", "certificate"),
    ],
)
def test_who_signed_must_be_googles_signer(inner, signed_by, expected):
    data = endorsement(inner(), signed_by=signed_by)
    assert code(lambda: verified(data)) == f"reference.gcp.{expected}"


def test_certificates_are_valid_at_the_moment_of_use():
    data = endorsement(golden())
    for days in (-31, 31):
        assert code(lambda days=days: verified(data, now=NOW + timedelta(days=days))) == (
            "reference.gcp.certificate"
        )


def test_another_root_is_not_trusted():
    data = endorsement(golden())
    other = certificate("Another root", authority=True, issuer="Another root")
    for anchor in (other, certificate(), b""):
        assert code(lambda anchor=anchor: verify_endorsement(data, anchor, now=NOW)) == (
            "reference.gcp.certificate"
        )


def test_a_root_whose_private_key_is_public_is_refused(monkeypatch):
    spki = GeneralCertificate.parse(root()).spki
    known = frozenset({hashlib.sha256(spki).digest()})
    monkeypatch.setattr(room, "PUBLISHED_TEST_KEYS", known)
    assert code(lambda: verified(endorsement(golden()))) == "reference.gcp.test_root"


def snp(*entries: bytes, **more) -> bytes:
    return message(SNP | {2: list(entries)} | {int(k[1:]): v for k, v in more.items()})


@pytest.mark.parametrize(
    "changes",
    [
        {"f1": None},
        {"f1": [b"\xff"]},
        {"f1": [field(1, 1 << 37)]},
        {"f4": None},
        {"f4": [certificate(), certificate()]},
        {"f5": None},
        {"f5": [b"\5" * 47]},
        {"f5": [1]},
        {"f7": [b"a", b"b"]},
        {"f7": [snp(ONE, ONE)]},
        {"f7": [snp(field(2, b"\1" * 48))]},
        {"f7": [snp(field(1, 1) + field(2, b"\1" * 47))]},
        {"f7": [snp(field(1, 1))]},
        {"f7": [snp(ONE, f7=[b"short"])]},
        {"f7": [snp(ONE, f1=[1, 2])]},
        {"f8": [message(TDX | {2: [field(3, b"\1" * 48)] * 2})]},
        {"f8": [message(TDX | {2: [field(1, 1)]})]},
        {"f8": [message(TDX | {1: [5, 6]})]},
        {"f1": [field(1, b"1")]},
        {"f7": [snp(field(1, b"1") + field(2, b"\1" * 48))]},
        {"f7": [snp(field(1, 1) + field(2, 1))]},
        {"f8": [message({2: [field(1, b"1") + field(3, b"\1" * 48)]})]},
        {"f8": [message({2: [field(2, b"1") + field(3, b"\1" * 48)]})]},
        {"f8": [message({2: [field(1, 1) + field(3, 1)]})]},
        {"f8": [message({2: [field(1, 1) + field(1, 1) + field(3, b"\1" * 48)]})]},
    ],
)
def test_a_signed_message_that_is_malformed(changes):
    data = endorsement(golden(**changes))
    assert code(lambda: verified(data)) == "reference.gcp.malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes((1 << 20) + 1),
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\x80\x00",
        b"\x80" * 11,
        b"\xff" * 9 + b"\x02",
        b"\x02\x00",
        b"\x00\x00",
        b"\x0b",
        b"\x09" + bytes(8),
        b"\x15" + bytes(4),
    ],
)
def test_bytes_that_are_no_endorsement(data):
    assert code(lambda: verified(data)) == "reference.gcp.malformed"


def test_nothing_stands_outside_what_is_signed():
    assert code(lambda: verified(endorsement(golden(), more=field(3, 1)))) == "reference.gcp.malformed"
    assert code(lambda: verified(endorsement(golden(), more=field(2, b"x")))) == "reference.gcp.malformed"
    many = golden() + field(99, 1) * 4096
    assert code(lambda: verified(endorsement(many))) == "reference.gcp.malformed"
    nameless = golden() + b"\x00\x00"
    assert code(lambda: verified(endorsement(nameless))) == "reference.gcp.malformed"


@given(st.integers(0, 1200), st.integers(0, 7))
def test_no_single_bit_can_be_changed_unnoticed(at, bit):
    data = endorsement(golden())
    at %= len(data)
    with suppress(ReferenceValueError):
        verified(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        pytest.fail("a changed endorsement was verified")


def test_it_is_typed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        room, "verify_endorsement", lambda data, root, *, now: verify_endorsement(data, root, now=NOW)
    )
    pem = load_der_x509_certificate(root()).public_bytes(Encoding.PEM)
    (tmp_path / "root.pem").write_bytes(pem)
    (tmp_path / "endorsement").write_bytes(endorsement(golden()))
    words = ["measure", "gcp", str(tmp_path / "endorsement"), "--root", str(tmp_path / "root.pem")]
    assert main([*words, "--platform", "tdx", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["registers"] == {"mr_td": ["10" * 48, "11" * 48]}
    assert shown["artefacts"][0]["role"] == "endorsement"

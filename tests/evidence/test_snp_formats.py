"""The decoders around a report: certificate tables, endorsements of any origin, carriers, CRLs."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import PemError
from assay.evidence.decoding.pem import encode as pem
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.snp import Product, SnpEndorsements
from assay.evidence.snp.carriers import CarrierError, unwrap
from assay.evidence.snp.endorsements import EndorsementsError
from assay.evidence.snp.report import REPORT_BYTES, ReportError, SnpReport
from assay.evidence.snp.table import (
    ARK,
    ASK,
    ASVK,
    CRL,
    MAX_ENTRIES,
    MAX_TABLE_BYTES,
    VCEK,
    VLEK,
    TableError,
    encode_table,
    parse_table,
)
from assay.evidence.snp.vek import VekExtensions
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.simulator.amd import der, pki
from support.snp_scenes import AMD, NOW, STRANGER, scene

REPORT = bytes(range(256)) * 4 + bytes(160)


def refused(kind, read, *args) -> str:
    """Return the code with which a decoder refuses its input."""
    with pytest.raises(kind) as found:
        read(*args)
    return found.value.code


# --- Tables ------------------------------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=1, max_size=99), max_size=16
    )
)
def test_a_table_says_what_was_written(contents):
    written = encode_table(contents)
    assert parse_table(written) == contents
    assert parse_table(written + bytes(64)) == contents


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_table_or_refused(data):
    try:
        contents = parse_table(data)
    except TableError:
        return
    assert all(content in data for content in contents.values())


def entry(guid: bytes, start: int, size: int) -> bytes:
    return guid + start.to_bytes(4, "little") + size.to_bytes(4, "little")


def test_a_table_without_entries_is_empty():
    assert parse_table(bytes(24)) == {}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "snp.table.truncated"),
        (bytes(23), "snp.table.truncated"),
        (entry(VCEK, 23, 1), "snp.table.truncated"),
        (bytes(MAX_TABLE_BYTES + 1), "snp.table.oversized"),
        (entry(VCEK, 48, 2) + bytes(24) + b"1", "snp.table.range"),
        (entry(VCEK, 48, 0) + bytes(24) + b"1", "snp.table.range"),
        (entry(VCEK, 49, 0) + bytes(24) + b"1", "snp.table.range"),
        (entry(VCEK, 47, 1) + bytes(24) + b"1", "snp.table.range"),
        (entry(VCEK, 0xFFFFFFFF, 0xFFFFFFFF) + bytes(24), "snp.table.range"),
        (entry(VCEK, 72, 2) + entry(ASK, 73, 1) + bytes(24) + b"12", "snp.table.range"),
        (entry(VCEK, 72, 1) + entry(VCEK, 72, 1) + bytes(24) + b"1", "snp.table.duplicate"),
        (entry(VCEK, 48, 1) + bytes(24) + b"12", "snp.table.gap"),
        (entry(VCEK, 49, 1) + bytes(24) + b"12", "snp.table.gap"),
        (bytes(24) + b"1", "snp.table.gap"),
        (encode_table({bytes([i + 1] * 16): b"x" for i in range(MAX_ENTRIES + 1)}), "snp.table.entries"),
    ],
)
def test_tables_that_are_refused(data, code):
    assert refused(TableError, parse_table, data) == code


def test_guids_stand_as_rfc_4122_writes_them():
    assert VCEK.hex() == "63da758de6644564adc5f4b93be8accd"


# --- Endorsements ------------------------------------------------------------------------------------------


def ders(kind: str = "vcek", product: Product = Product.GENOA) -> tuple[bytes, bytes, bytes]:
    given = scene(product, kind=kind).finish().endorsements
    return given.vek, given.authority, given.root


def test_pem_in_any_order():
    vek, ask, ark = ders()
    wanted = SnpEndorsements(vek, ask, ark)
    for order in ((vek, ask, ark), (ark, ask, vek), (ask, ark, vek)):
        assert SnpEndorsements.from_pem(pem(*order)) == wanted
        assert SnpEndorsements.from_pem(pem(*order)).digest == wanted.digest
    assert SnpEndorsements.from_pem(pem(ask, ark)) == SnpEndorsements(authority=ask, root=ark)
    assert SnpEndorsements.from_pem(pem(vek)) == SnpEndorsements(vek=vek)


def test_blank_lines_around_certificates():
    vek, ask, ark = ders()
    text = b"\n\n" + b"\n\n".join(pem(one) for one in (vek, ask, ark)) + b"\n\n"
    assert SnpEndorsements.from_pem(text, crl=b"crl") == SnpEndorsements(vek, ask, ark, b"crl")


def test_of_two_issuers_the_one_that_is_named():
    vek, ask, ark = ders()
    asvk = ders("vlek")[1]
    assert SnpEndorsements.from_pem(pem(ask, ark, asvk, vek)).authority == ask
    vlek = ders("vlek")[0]
    assert SnpEndorsements.from_pem(pem(ask, ark, asvk, vlek)).authority == asvk


def test_certificates_that_cannot_be_told_apart():
    vek, ask, ark = ders()
    asvk = ders("vlek")[1]
    for pile in ((ask, asvk, ark), (vek, vek), (ark, ark, vek)):
        assert (
            refused(EndorsementsError, SnpEndorsements.from_certificates, pile)
            == "snp.endorsements.ambiguous"
        )
    assert (
        refused(EndorsementsError, SnpEndorsements.from_certificates, [vek] * 5) == "snp.endorsements.count"
    )
    assert (
        refused(EndorsementsError, SnpEndorsements.from_certificates, [b"0"]) == "snp.endorsements.malformed"
    )


@pytest.mark.parametrize("text", [b"", b"junk", b"junk\n" + pem(b"0"), pem(*[b"0"] * 5)])
def test_text_that_is_not_certificates(text):
    assert refused(EndorsementsError, SnpEndorsements.from_pem, text) == "snp.endorsements.count"


def test_pem_with_junk_between():
    vek, ask, _ = ders()
    assert refused(PemError, SnpEndorsements.from_pem, pem(vek) + b"junk\n" + pem(ask)) == "pem.malformed"


def test_tables_of_der_and_of_pem():
    vek, ask, ark = ders()
    plain = encode_table({ARK: ark, ASK: ask, VCEK: vek, CRL: b"crl"})
    wrapped = encode_table({ARK: pem(ark), ASK: pem(ask), VCEK: pem(vek), CRL: b"crl"})
    assert SnpEndorsements.from_table(plain) == SnpEndorsements(vek, ask, ark, b"crl")
    assert SnpEndorsements.from_table(wrapped) == SnpEndorsements(vek, ask, ark, b"crl")
    assert SnpEndorsements.from_table(encode_table({VLEK: vek})) == SnpEndorsements(vek=vek)
    both = encode_table({VLEK: vek, VCEK: vek})
    assert refused(EndorsementsError, SnpEndorsements.from_table, both) == "snp.endorsements.ambiguous"
    other, asvk, _ = ders("vlek")
    both = encode_table({VLEK: other, VCEK: pem(vek), ASK: ask, bytes(16): pem(asvk)})
    assert SnpEndorsements.from_table(both, kind="vcek") == SnpEndorsements(vek, ask)
    assert SnpEndorsements.from_table(both, kind="vlek") == SnpEndorsements(other, asvk)
    for strange in (encode_table({VCEK: b"0", ASK: ask, ASVK: asvk}), encode_table({ASK: ask, ASVK: b"0"})):
        assert SnpEndorsements.from_table(strange, kind="vlek").authority == ask
    assert SnpEndorsements.from_table(encode_table({VCEK: vek, ASK: b"0", ASVK: ask})).authority == b"0"
    chain = encode_table({ASK: pem(ask, ark)})
    assert refused(EndorsementsError, SnpEndorsements.from_table, chain) == "snp.endorsements.count"


def thim(**changes) -> bytes:
    vek, ask, ark = ders()
    members = {
        "vcekCert": pem(vek).decode(),
        "certificateChain": pem(ask, ark).decode(),
        "tcbm": "0",
        **changes,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def test_thim():
    assert SnpEndorsements.from_thim(thim(), crl=b"crl") == SnpEndorsements(*ders(), b"crl")
    for name in ("vcekCert", "certificateChain"):
        assert refused(JsonError, SnpEndorsements.from_thim, thim(**{name: None})) == "json.missing_member"
        assert refused(JsonError, SnpEndorsements.from_thim, thim(**{name: 1})) == "json.type"
    assert (
        refused(EndorsementsError, SnpEndorsements.from_thim, thim(vcekCert="")) == "snp.endorsements.count"
    )
    assert refused(JsonError, SnpEndorsements.from_thim, b"[]") == "json.type"
    half = thim(vcekCert="\ud800")  # half of a pair: JSON has it, no text does
    assert refused(EndorsementsError, SnpEndorsements.from_thim, half) == "snp.endorsements.count"


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_endorsements(data):
    for read in (SnpEndorsements.from_pem, SnpEndorsements.from_table, SnpEndorsements.from_thim):
        try:
            read(data)
        except EvidenceError:
            continue


def test_parts_are_told_apart_in_the_digest():
    made = [
        SnpEndorsements(),
        SnpEndorsements(vek=b"x"),
        SnpEndorsements(authority=b"x"),
        SnpEndorsements(vek=b""),
        SnpEndorsements(vek=b"xy"),
        SnpEndorsements(vek=b"x", authority=b"y"),
    ]
    assert len({one.digest for one in made}) == len(made)


# --- Carriers ----------------------------------------------------------------------------------------------


def answer(report: bytes = REPORT, rest: int = 2784) -> bytes:
    return bytes(4) + (1184).to_bytes(4, "little") + bytes(24) + report + bytes(rest)


def test_the_answer_of_the_guest_device():
    assert unwrap(answer()) == REPORT
    assert unwrap(answer(rest=0)) == REPORT
    assert unwrap(answer(rest=2880)) == REPORT
    for data in (answer()[:1215], answer() + b"\1", answer(rest=2881)):
        assert refused(CarrierError, unwrap, data) == "snp.carrier.malformed"


def test_a_report_is_its_own_carrier():
    assert unwrap(REPORT) is REPORT
    status = b"\x16" + answer()[1:]
    assert unwrap(status) is status  # a failed request: no report is read out of it


def tsm(**changes) -> bytes:
    members = {"provider": "sev_guest\n", "outblob": b64encode(REPORT).decode(), **changes}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def test_the_json_of_configfs_tsm():
    table = b"\xfb\xff\xfe" * 9
    assert unwrap(tsm()) == REPORT
    assert unwrap(tsm(auxblob="")) == REPORT
    assert unwrap(tsm(auxblob=b64encode(table).decode())) == REPORT + table
    unpadded = urlsafe_b64encode(table + b"!").decode().rstrip("=")
    assert unwrap(tsm(auxblob=unpadded)) == REPORT + table + b"!"


def test_the_bound_of_a_report_in_json():
    most = 2 * (REPORT_BYTES + MAX_TABLE_BYTES)
    assert unwrap(tsm().ljust(most)) == REPORT
    assert refused(JsonError, unwrap, tsm().ljust(most + 1)) == "json.oversized"


def test_json_that_carries_no_report():
    assert refused(CarrierError, unwrap, tsm(provider="tdx_guest")) == "snp.carrier.provider"
    assert refused(JsonError, unwrap, tsm(provider=None)) == "json.missing_member"
    for outblob in (None, 1, "*", "A", "ü" * 4):
        assert refused(CarrierError, unwrap, tsm(outblob=outblob)) == "snp.carrier.malformed"
    assert refused(CarrierError, unwrap, tsm(auxblob=[1])) == "snp.carrier.malformed"
    assert refused(JsonError, unwrap, b"{") == "json.malformed"


def in_base64(chain=..., **changes) -> bytes:
    given = {"vcek": b64encode(b"vek").decode(), "ask": b64encode(b"ask").decode(), "ark": None}
    members = {
        "attestation_report": b64encode(REPORT).decode(),
        "cert_chain": given if chain is ... else chain,
    }
    return json.dumps(members | changes).encode()


def test_report_and_certificates_in_base64():
    assert unwrap(in_base64()) == REPORT + encode_table({VCEK: b"vek", ASK: b"ask"})
    assert unwrap(in_base64(None)) == unwrap(in_base64({})) == REPORT
    rooted = {"ark": b64encode(b"ark").decode()}
    assert unwrap(in_base64(rooted)) == REPORT + encode_table({ARK: b"ark"})
    borrowed = REPORT[:0x48] + b"\x04" + REPORT[0x49:]  # signed by a key that a provider has
    found = unwrap(in_base64(attestation_report=b64encode(borrowed).decode()))
    assert found == borrowed + encode_table({VLEK: b"vek", ASK: b"ask"})
    unsigned = REPORT[:0x48] + b"\x1c" + REPORT[0x49:]  # by no key: the member's name says whose it is
    found = unwrap(in_base64(attestation_report=b64encode(unsigned).decode()))
    assert found == unsigned + encode_table({VCEK: b"vek", ASK: b"ask"})
    for size in (0, 1183, 1185):
        short = b64encode(bytes(size)).decode()
        assert refused(CarrierError, unwrap, in_base64(attestation_report=short)) == "snp.carrier.malformed"
    for text in ("*", "A"):
        assert refused(CarrierError, unwrap, in_base64(attestation_report=text)) == "snp.carrier.malformed"
    for chain in ({"vcek": 7}, {"vcek": "*"}, {"ask": ["AAAA"]}):
        assert refused(CarrierError, unwrap, in_base64(chain)) == "snp.carrier.malformed"
    for data in (in_base64([]), in_base64("AAAA"), in_base64({"vlek": "AAAA"}), in_base64(more=1)):
        assert refused(JsonError, unwrap, data) == "json.type"


def test_a_report_with_its_signers_certificate_under_the_name_of_its_tee():
    report, vek = (b64encode(data).decode() for data in (REPORT, b"vek"))

    def named(**members) -> bytes:
        return json.dumps({"sev_snp": {"attestation_report": report, **members}}).encode()

    assert unwrap(named(vek_cert=vek)) == REPORT + encode_table({VCEK: b"vek"})
    assert unwrap(named()) == REPORT
    assert unwrap(named(vek_cert=None)) == REPORT
    assert refused(CarrierError, unwrap, named(vek_cert=7)) == "snp.carrier.malformed"
    assert refused(JsonError, unwrap, named(vek_cert=vek, cert_chain={})) == "json.type"
    beside = json.dumps({"sev_snp": {"attestation_report": report}, "tpm": 1}).encode()
    assert refused(JsonError, unwrap, beside) == "json.missing_member"


# --- Reports and certificates ------------------------------------------------------------------------------


@given(st.binary(min_size=REPORT_BYTES, max_size=REPORT_BYTES), st.sampled_from([2, 3, 4, 5]))
def test_arbitrary_reports_are_refused_and_nothing_else(data, version):
    for report in (data, version.to_bytes(4, "little") + data[4:]):
        try:
            SnpReport.parse(report)
        except ReportError as error:
            assert error.spec.id.startswith("snp.report.")  # noqa: PT017 - what the error carries


@given(st.binary(max_size=40), st.sampled_from(["1", "2", "3.1", "3.8", "4", "5"]))
def test_arbitrary_extensions_are_refused_and_nothing_else(value, arc):
    stage = scene()
    written = stage.chip.extensions("vcek") | {arc: der.extension(f"{pki.AMD_ARC}.{arc}", value)}
    stage.vek.extensions = list(written.values())
    with suppress(DerError):
        VekExtensions.parse(GeneralCertificate.parse(stage.vek.sign()).extensions, "vcek")


def test_a_certificate_with_serial_zero_is_read():
    """Guard: pyca/cryptography announces that it will refuse serial 0, which every VCEK has."""
    assert GeneralCertificate.parse(scene().vek.sign()).serial == b"\0"


# --- CRLs --------------------------------------------------------------------------------------------------


def crl(**changes):
    draft = AMD.crl_draft(Product.GENOA, NOW)
    return replace(draft, **changes).sign()


def root(of=AMD) -> GeneralCertificate:
    return GeneralCertificate.parse(of.root_der(Product.GENOA))


def test_a_crl_says_what_was_written():
    made = NOW.replace(microsecond=0) - timedelta(days=30)
    found = GeneralRevocationList.parse(crl(revoked=[0, 1, 0x20001], number=7))
    assert found.revoked == {b"\0", b"\1", b"\x02\x00\x01"}
    assert found.number == 7
    assert found.window.start == made
    assert found.window.end == made + timedelta(days=365)
    assert found.algorithm == "rsa-pss-sha384"
    assert found.names(root())
    assert found.signed_by(root())
    assert not found.names(root(STRANGER))
    assert not found.signed_by(root(STRANGER))


def test_another_name_or_key_is_another_issuer():
    assert not GeneralRevocationList.parse(crl(issuer_name="ARK-Milan")).names(root())
    other = STRANGER.root_key(Product.GENOA).public_key()
    assert not GeneralRevocationList.parse(crl(names_key=other)).names(root())


def test_crls_that_are_refused():
    good = crl(revoked=[5])
    algorithm = pki.pss_identifier()
    critical = good.replace(
        der.extension(pki.CRL_NUMBER, der.integer(1)), der.extension("2.5.29.27", b"\2\1\1", critical=True)
    )
    for data in (
        b"",
        good + b"\0",
        good[:-1],
        good.replace(b"\x02\x01\x01" + algorithm, b"\x02\x01\x02" + algorithm),
        good.replace(algorithm, pki.pss_identifier("sha256"), 1),
        crl(number=None),
        critical,
    ):
        with pytest.raises(DerError):
            GeneralRevocationList.parse(data)
    with pytest.raises(DerError, match="longer than"):
        GeneralRevocationList.parse(good, max_bytes=len(good) - 1)
    assert GeneralRevocationList.parse(good, max_bytes=len(good)).revoked == {b"\5"}


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_crl(data):
    with pytest.raises(DerError):
        GeneralRevocationList.parse(data)


@given(st.data())
def test_a_changed_crl_is_refused_or_not_signed(data):
    good = crl(revoked=[5])
    at = data.draw(st.integers(0, len(good) - 1))
    spoilt = good[:at] + bytes([good[at] ^ 1 << data.draw(st.integers(0, 7))]) + good[at + 1 :]
    try:
        found = GeneralRevocationList.parse(spoilt)
    except DerError:
        return
    assert not found.signed_by(root())

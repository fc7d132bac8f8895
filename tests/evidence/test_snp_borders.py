"""Offsets, reserved bytes and bounds of SEV-SNP evidence, compared with numbers written down by hand."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from datetime import timedelta

import pytest

from assay.evidence.decoding.der import DerError
from assay.evidence.roots import Roots
from assay.evidence.snp import Product
from assay.evidence.snp.report import ReportError, SnpReport
from assay.evidence.snp.vek import ROOT_POSITIONS, VekExtensions
from assay.evidence.verification import Expected, Unchecked, UnsignedRegion
from assay.evidence.x509.general import GeneralCertificate
from assay.simulator.amd import der, pki
from support.snp_scenes import AMD, STRANGER, changed, judge, scene, spoilt

ORDER = int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)
# Field -> offset and size, as AMD 56860 has them.
PLACES = {
    "family_id": (0x10, 16),
    "image_id": (0x20, 16),
    "current_tcb": (0x38, 8),
    "report_data": (0x50, 64),
    "measurement": (0x90, 48),
    "host_data": (0xC0, 32),
    "id_key_digest": (0xE0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "launch_tcb": (0x1F0, 8),
}
NUMBERS = {
    "version": (0x00, 4),
    "guest_svn": (0x04, 4),
    "policy": (0x08, 8),
    "vmpl": (0x30, 4),
    "platform_info": (0x40, 8),
    "launch_mitigations": (0x1F8, 8),
    "current_mitigations": (0x200, 8),
    "r": (0x2A0, 72),
    "s": (0x2E8, 72),
}
ALWAYS_ZERO = (*range(0x4C, 0x50), *range(0x18B, 0x1A0), 0x1EB, 0x1EF, *range(0x208, 0x2A0))
CPUID = tuple(range(0x188, 0x18B))
MITIGATIONS = tuple(range(0x1F8, 0x208))
PADDING = (*range(0x2D0, 0x2E8), *range(0x318, 0x4A0))


def plain(version: int = 5) -> bytes:
    """Return a report of which every field that may be anything is something else."""
    data = bytearray(0x4A0)
    for place, (at, size) in enumerate(PLACES.values(), 1):
        data[at : at + size] = bytes((place + index) % 255 + 1 for index in range(size))
    struct.pack_into("<IIQ", data, 0, version, 0x01020304, 1 << 17 | 0x0155)
    struct.pack_into("<II", data, 0x30, 3, 1)
    struct.pack_into("<QI", data, 0x40, 0xA1A2A3A4A5A6A7A8, 0)
    data[0x1E8:0x1EB] = bytes([1, 2, 3])
    data[0x1EC:0x1EF] = bytes([4, 5, 6])
    if version > 2:
        data[0x188:0x18B] = bytes([0x19, 0x11, 0x02])
    if version > 4:
        struct.pack_into("<QQ", data, 0x1F8, 1 << 63, 2)
    data[0x2A0:0x2D0] = (ORDER - 1).to_bytes(48, "little")
    data[0x2E8:0x318] = (1).to_bytes(48, "little")
    return bytes(data)


def refusal(data: bytes) -> tuple[str, str]:
    with pytest.raises(ReportError) as found:
        SnpReport.parse(data)
    return found.value.spec.id, found.value.code


def test_every_field_is_read_where_the_specification_puts_it():
    data = plain()
    report = SnpReport.parse(data)
    for name, (at, size) in PLACES.items():
        assert getattr(report, name) == data[at : at + size], name
    for name, (at, size) in NUMBERS.items():
        assert getattr(report, name) == int.from_bytes(data[at : at + size], "little"), name
    assert report.data == data
    assert report.signed == data[:0x2A0]
    assert report.cpuid == (0x19, 0x11, 0x02)
    assert report.current_version == (3, 2, 1)
    assert report.committed_version == (6, 5, 4)


@pytest.mark.parametrize(
    ("version", "cpuid", "mitigations"),
    [(2, None, None), (3, (25, 17, 2), None), (4, (25, 17, 2), None), (5, (25, 17, 2), 2)],
)
def test_younger_fields_are_absent_from_older_versions(version, cpuid, mitigations):
    report = SnpReport.parse(plain(version))
    assert report.cpuid == cpuid
    assert report.current_mitigations == mitigations
    assert (report.launch_mitigations is None) is (mitigations is None)


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_each_reserved_byte_must_be_zero(version):
    data = plain(version)
    reserved = (*ALWAYS_ZERO, *(CPUID if version == 2 else ()), *(MITIGATIONS if version < 5 else ()))
    for at in reserved:
        assert refusal(changed(data, at, b"\x01")) == ("snp.report.reserved", "snp.report.reserved"), hex(at)
    for at in PADDING:
        spoilt_report = changed(data, at, b"\x80")
        assert refusal(spoilt_report) == ("snp.report.signature_encoding", "snp.report.signature_padding"), at


def flags(value: int) -> bytes:
    return changed(plain(), 0x48, struct.pack("<I", value))


def test_key_flags():
    for bit in range(5, 32):
        assert refusal(flags(1 << bit))[1] == "snp.report.reserved"
    found = {value: SnpReport.parse(flags(value)) for value in range(8)}
    assert [report.author_key for report in found.values()] == [False, True] * 4
    assert [report.mask_chip_key for report in found.values()] == [False, False, True, True] * 2
    assert [report.signing_key for report in found.values()] == ["vcek"] * 4 + ["vlek"] * 4
    for key in range(2, 8):
        assert refusal(flags(key << 2))[1] == "snp.report.signing_key"


def policy(version: int, value: int) -> bytes:
    return changed(plain(version), 8, struct.pack("<Q", value))


def test_policy_bits_by_version():
    for bit in range(64):
        value = 1 << 17 | 1 << bit
        assert SnpReport.parse(policy(3, value)).policy == value
        if bit < 26:
            assert SnpReport.parse(policy(2, value)).policy == value
        else:
            assert refusal(policy(2, value)) == ("snp.report.policy", "snp.report.policy_reserved")
    for version in (2, 3):
        lacking = refusal(policy(version, (1 << 64) - 1 & ~(1 << 17)))
        assert lacking == ("snp.report.policy", "snp.report.policy_bit_17")


def test_privilege_levels():
    def level(value: int) -> bytes:
        return changed(plain(), 0x30, struct.pack("<I", value))

    assert [SnpReport.parse(level(value)).vmpl for value in range(4)] == [0, 1, 2, 3]
    assert refusal(level(4)) == refusal(level(0xFFFFFFFE)) == ("snp.report.vmpl", "snp.report.vmpl")
    assert refusal(level(0xFFFFFFFF)) == ("snp.report.vmpl", "snp.report.host_request")


@pytest.mark.parametrize("at", [0x2A0, 0x2E8])
def test_the_numbers_of_a_signature_lie_between_zero_and_the_order(at):
    def number(value: int) -> bytes:
        return changed(plain(), at, value.to_bytes(48, "little"))

    SnpReport.parse(number(1))
    SnpReport.parse(number(ORDER - 1))
    for value in (0, ORDER, (1 << 384) - 1):
        assert refusal(number(value)) == ("snp.report.signature_encoding", "snp.report.signature_range")


# --- Extensions of a VCEK or VLEK


def extensions(kind: str, **values: bytes) -> VekExtensions:
    """Read the extensions of a certificate of which some have another value: ``a3_8`` is .3.8."""
    found = scene(kind=kind).chip.extensions(kind)
    for name, value in values.items():
        arc = name[1:].replace("_", ".")
        found[arc] = der.extension(f"{pki.AMD_ARC}.{arc}", value)
    stage = scene(kind=kind)
    stage.vek.extensions = list(found.values())
    return VekExtensions.parse(GeneralCertificate.parse(stage.vek.sign()).extensions, kind)


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0x80, 0xFF])
def test_a_component_is_a_byte(value):
    assert extensions("vcek", a3_8=der.integer(value)).tcb[7] == value


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x02\x00",
        b"\x02\x00\x05",
        b"\x02\x02\x05",
        b"\x02\x01\x80",
        b"\x02\x01\x05\x00",
        b"\x02\x02\x00\x05",
        b"\x02\x02\x01\x00",
        b"\x03\x01\x05",
        b"\x04\x01\x05",
    ],
)
def test_a_component_is_one_integer_in_its_shortest_form(value):
    with pytest.raises(DerError):
        extensions("vcek", a3_8=value)


@pytest.mark.parametrize("name", ["CN=a provider", " ", "~", "x", "x" * 128])
def test_names_of_providers_are_printable(name):
    assert extensions("vlek", a5=der.element(der.IA5_STRING, name.encode())).csp_id == name


@pytest.mark.parametrize(
    "value",
    [
        der.element(der.IA5_STRING),
        der.element(der.IA5_STRING, b"x" * 129),
        der.element(der.IA5_STRING, b"CN=\x1f"),
        der.element(der.IA5_STRING, b"CN=\x7f"),
        der.element(der.IA5_STRING, b"CN=\xe9"),
        der.element(der.IA5_STRING, b"CN=a") + b"\x00",
        der.element(der.IA5_STRING, b"CN=a") * 2,
        der.element(der.UTF8_STRING, b"CN=a"),
        b"",
    ],
)
def test_what_is_no_name_of_a_provider(value):
    with pytest.raises(DerError):
        extensions("vlek", a5=value)


# --- What a person is told


@pytest.mark.parametrize(("kind", "issuer"), [("vcek", "ASK"), ("vlek", "ASVK")])
def test_the_reason_names_the_certificate_that_is_wrong(kind, issuer):
    def reason(spoil) -> str:
        (failed,) = spoilt(spoil, kind=kind).ledger.failed()
        return failed.reason

    def other_issuer(stage):
        stage.vek.issuer_key = STRANGER.authority_key(stage.product, kind)

    def other_root(stage):
        stage.authority.issuer_key = STRANGER.root_key(stage.product)

    def no_issuer(stage):
        stage.authority.extensions[3] = pki.key_usage(0x02)

    def issues(stage):
        stage.vek.extensions.append(pki.key_usage(0x04))

    assert reason(other_issuer) == f"The signature of the {kind.upper()} is not its issuer's."
    assert reason(other_root) == f"The signature of the {issuer} is not its issuer's."
    assert reason(no_issuer) == f"The {issuer} has another key usage than its role."
    assert reason(issues) == f"The {kind.upper()} has another key usage than its role."


def test_a_root_with_the_rights_of_another_is_called_an_ark():
    draft = AMD.root_draft(Product.GENOA)
    position = ROOT_POSITIONS[Product.GENOA]
    assert position.defect(GeneralCertificate.parse(draft.sign()), 1) is None
    unable = replace(draft, extensions=[*draft.extensions])
    unable.extensions[2] = pki.key_usage(0x02)
    found = position.defect(GeneralCertificate.parse(unable.sign()), 1)
    assert found.reason == "The ARK has another key usage than its role."
    renamed = position.defect(GeneralCertificate.parse(replace(draft, common_name="ARK").sign()), 1)
    assert renamed.reason == "The ARK has another name than ARK-Genoa."


@pytest.mark.parametrize("data", [b"", b"x", bytes(1183), bytes(1184), bytes(1185)])
@pytest.mark.parametrize("binding", [Expected(b"x" * 64), Unchecked("a test")])
def test_nothing_of_a_report_that_cannot_be_read_is_relied_on(data, binding):
    result = judge(scene().finish(), report=data, binding=binding)
    assert result.unsigned == (UnsignedRegion(0, len(data), "all of it: the report cannot be read"),)
    assert result.signed_digest == hashlib.sha256(data).digest()
    assert (result.anchor, result.needs, dict(result.decoded)) == (None, (), {})
    assert not result.authentic


def test_what_stands_behind_a_report_is_unsigned():
    evidence = scene().finish()
    data = evidence.extended()
    assert judge(evidence, report=data, endorsements=None).unsigned == (
        UnsignedRegion(1184, len(data), "certificate table, written by the host"),
    )
    assert judge(evidence).unsigned == ()
    assert judge(evidence).signed_digest == hashlib.sha256(data[:672]).digest()


@pytest.mark.parametrize("usage", [0x02, 0x80])
def test_a_root_that_may_not_certify_is_no_root(usage):
    evidence = scene().finish()
    draft = AMD.root_draft(Product.GENOA)
    draft.extensions[-2] = pki.key_usage(usage)
    root = draft.sign()
    result = judge(
        evidence,
        roots=Roots.vendor().with_anchor("cannot certify", root, vendor="amd"),
        endorsements=replace(evidence.endorsements, root=root),
    )
    (failed,) = result.ledger.failed()
    assert (failed.id, failed.code) == ("snp.chain.roles", "snp.chain.role")


def test_the_times_of_a_chain_are_told():
    stage = scene()
    stage.vek.not_after = stage.at - timedelta(days=1)
    (failed,) = judge(stage.finish()).ledger.failed()
    start, end, given = (
        f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (stage.vek.not_before, stage.vek.not_after, stage.at)
    )
    assert failed.reason == f"The chain is valid {start} to {end}, the given time is {given}."

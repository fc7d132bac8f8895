"""Each check of an SEV-SNP verification has at least one input that it alone refuses, under its own code.

An input is a simulated scene with one defect, signed all the same. A check without such an input fails one of
the last tests of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest

from assay.evidence.ledger import CheckSpec, Outcome
from assay.evidence.snp import Product, checks
from assay.evidence.snp.table import VCEK, encode_table
from assay.simulator.amd import der, pki
from assay.simulator.amd.installation import CPUID, TCB
from assay.simulator.amd.scene import SnpScene
from support.snp_scenes import (
    AMD,
    DAY,
    KINDS,
    STRANGER,
    changed,
    judge,
    lacking,
    patch,
    scene,
    spoilt,
)

OLD = ((Product.GENOA, 2, "vcek"),)
ALL = (*KINDS, *OLD)
NEW = KINDS
CHIPS = tuple(kind for kind in ALL if kind[2] == "vcek")
PROVIDERS = tuple(kind for kind in KINDS if kind[2] == "vlek")
ORDER = pki.P384_ORDER


class Defect(NamedTuple):
    spec: CheckSpec
    code: str
    name: str
    kinds: tuple[tuple[Product, int, str], ...]
    spoil: Callable[[SnpScene], None]


DEFECTS: list[Defect] = []


def proves(spec: CheckSpec, code: str = "", *, kinds: Iterable[tuple[Product, int, str]] = ALL):
    """Register a function that spoils a scene so that ``spec``, and nothing else, refuses it."""

    def register(spoil):
        DEFECTS.append(Defect(spec, code or spec.id, spoil.__name__, tuple(kinds), spoil))
        return spoil

    return register


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("product", list(Product))
def test_nothing_is_wrong_without_a_defect(product, version, kind):
    result = judge(scene(product, version, kind).finish())
    assert result.authentic
    assert result.bound
    assert result.simulated
    assert not result.ledger.unmet()
    assert not result.needs
    assert not result.unsigned
    expected = set()
    if version == 2:
        expected |= {checks.PRODUCT_CPUID.id, checks.PRODUCT_MATCH.id}
    if kind == "vlek":
        expected.add(checks.CHIP_ID.id)
    assert {c.id for c in result.ledger if c.outcome is Outcome.NOT_APPLICABLE} == expected


@pytest.mark.parametrize("product", list(Product))
def test_a_chip_id_may_be_wrapped_in_der(product):
    stage = scene(product)
    stating(stage, a4=der.element(der.OCTET_STRING, stage.chip.hwid))
    assert judge(stage.finish()).bound


# --- The report's layout


@proves(checks.SNP_REPORT_LAYOUT, "snp.report.length")
def cut_off(stage):
    stage.after_report = lambda report: report[:-1]


@proves(checks.SNP_REPORT_LAYOUT, "snp.report.length")
def empty(stage):
    stage.after_report = lambda report: b""


@proves(checks.SNP_REPORT_LAYOUT, "snp.table.truncated")
def one_byte_behind_it(stage):
    stage.after_report = lambda report: report + b"\0"


@proves(checks.SNP_REPORT_LAYOUT, "snp.table.range")
def entry_of_a_table_out_of_bounds(stage):
    stage.after_report = lambda report: report + VCEK + b"\x30\0\0\0\x01\0\0\0" + bytes(24)


@proves(checks.SNP_REPORT_LAYOUT, "snp.table.oversized")
def table_longer_than_any(stage):
    stage.after_report = lambda report: report + bytes(65537)


@proves(checks.SNP_REPORT_LAYOUT, "snp.table.duplicate")
def table_with_two_certificates_of_one_key(stage):
    entry = VCEK + b"\x48\0\0\0\x01\0\0\0"
    stage.after_report = lambda report: report + entry + entry + bytes(24) + b"0"


@proves(checks.SNP_REPORT_LAYOUT, "pem.malformed")
def table_with_broken_pem(stage):
    table = encode_table({VCEK: b"-----BEGIN CERTIFICATE-----\nnot base64!\n"})
    stage.after_report = lambda report: report + table


@proves(checks.SNP_REPORT_VERSION, "snp.report.version")
def version_before_the_first(stage):
    stage.report.version = 1


@proves(checks.SNP_REPORT_VERSION, "snp.report.version")
def version_of_the_future(stage):
    stage.report.version = 6


@proves(checks.REPORT_RESERVED, "snp.report.reserved")
def reserved_bits_of_the_key_flags(stage):
    stage.report.flags |= 1 << 5


@proves(checks.REPORT_RESERVED, "snp.report.reserved")
def reserved_bytes_behind_the_key_flags(stage):
    stage.report.reserved[0x4F] = 1


@proves(checks.REPORT_RESERVED, "snp.report.reserved", kinds=OLD)
def cpuid_before_version_3(stage):
    stage.report.reserved[0x188] = 0x19


@proves(checks.REPORT_RESERVED, "snp.report.reserved")
def reserved_bytes_behind_cpuid(stage):
    stage.report.reserved[0x19F] = 1


@proves(checks.REPORT_RESERVED, "snp.report.reserved")
def reserved_byte_behind_the_current_version(stage):
    stage.report.reserved[0x1EB] = 1


@proves(checks.REPORT_RESERVED, "snp.report.reserved")
def reserved_byte_behind_the_committed_version(stage):
    stage.report.reserved[0x1EF] = 1


@proves(
    checks.REPORT_RESERVED,
    "snp.report.reserved",
    kinds=[(p, v, "vcek") for p in (Product.MILAN, Product.TURIN) for v in (2, 3, 4)],
)
def mitigation_vectors_before_version_5(stage):
    stage.report.reserved[0x207] = 1


@proves(checks.REPORT_RESERVED, "snp.report.reserved")
def last_reserved_byte(stage):
    stage.report.reserved[0x29F] = 1


@proves(checks.REPORT_POLICY, "snp.report.policy_bit_17")
def policy_without_bit_17(stage):
    stage.report.policy = 0x10000


@proves(checks.REPORT_POLICY, "snp.report.policy_reserved", kinds=OLD)
def policy_bit_that_version_2_does_not_know(stage):
    stage.report.policy |= 1 << 26


@proves(checks.REPORT_ALGORITHM, "snp.report.signature_algorithm")
def algorithm_of_the_future(stage):
    stage.report.algorithm = 2


@proves(checks.REPORT_ALGORITHM, "snp.report.signature_algorithm")
def no_algorithm(stage):
    stage.report.algorithm = 0


@proves(checks.REPORT_SIGNING_KEY, "snp.report.signing_key")
def signed_by_no_key(stage):
    stage.report.flags = 7 << 2


@proves(checks.REPORT_SIGNING_KEY, "snp.report.signing_key")
def signed_by_a_key_of_the_future(stage):
    stage.report.flags = 2 << 2


@proves(checks.REPORT_VMPL, "snp.report.host_request")
def the_host_asked(stage):
    stage.report.vmpl = 0xFFFFFFFF


@proves(checks.REPORT_VMPL, "snp.report.vmpl")
def a_level_that_does_not_exist(stage):
    stage.report.vmpl = 4


@proves(checks.SNP_REPORT_SIGNATURE, "snp.report.signature_padding")
def first_number_too_wide(stage):
    patch(stage, 0x2A0 + 71, b"\1")


@proves(checks.SNP_REPORT_SIGNATURE, "snp.report.signature_padding")
def second_number_too_wide(stage):
    patch(stage, 0x2A0 + 72 + 48, b"\1")


@proves(checks.SNP_REPORT_SIGNATURE, "snp.report.signature_padding")
def bytes_behind_the_signature(stage):
    patch(stage, 0x49F, b"\1")


@proves(checks.SNP_REPORT_SIGNATURE, "snp.report.signature_range")
def first_number_zero(stage):
    patch(stage, 0x2A0, bytes(48))


@proves(checks.SNP_REPORT_SIGNATURE, "snp.report.signature_range")
def second_number_zero(stage):
    patch(stage, 0x2E8, bytes(48))


@proves(checks.SNP_REPORT_SIGNATURE, "snp.report.signature_range")
def first_number_the_order(stage):
    patch(stage, 0x2A0, ORDER.to_bytes(48, "little"))


@proves(checks.SNP_REPORT_SIGNATURE, "snp.report.signature_range")
def second_number_the_order(stage):
    patch(stage, 0x2E8, ORDER.to_bytes(48, "little"))


# --- Product


@proves(checks.PRODUCT_CPUID, "snp.product.unsupported", kinds=NEW)
def cpuid_of_a_venice(stage):
    stage.report.cpuid = bytes([0x1A, 0x50, 0])


@proves(checks.PRODUCT_CPUID, "snp.product.unknown", kinds=NEW)
def cpuid_of_nothing_known(stage):
    stage.report.cpuid = bytes([0x17, 0x31, 0])


@proves(checks.PRODUCT_CPUID, "snp.product.unknown", kinds=NEW)
def cpuid_of_a_known_family_and_an_unknown_model(stage):
    stage.report.cpuid = bytes([0x19, 0x20, 0])


@proves(checks.PRODUCT_MATCH, kinds=NEW)
def cpuid_of_another_product(stage):
    other = Product.GENOA if stage.product is not Product.GENOA else Product.MILAN
    stage.report.cpuid = CPUID[other]


# --- Certificates


@proves(checks.VEK_LAYOUT, "snp.vek.malformed")
def byte_behind_the_certificate(stage):
    stage.after_endorsements = lambda given: replace(given, vek=given.vek + b"\0")


@proves(checks.VEK_LAYOUT, "snp.authority.malformed")
def byte_behind_the_issuer(stage):
    stage.after_endorsements = lambda given: replace(given, authority=given.authority + b"\0")


@proves(checks.VEK_LAYOUT, "snp.vek.malformed")
def one_extension_twice(stage):
    stage.vek.extensions.append(stage.vek.extensions[2])


@proves(checks.SNP_ROOT_PINNED, "snp.root.not_pinned")
def root_of_a_stranger(stage):
    lacking(stage, root=STRANGER.root_der(stage.product))


@proves(checks.SNP_ROOT_PINNED, "snp.root.not_pinned")
def root_that_nobody_has(stage):
    stage.authority.issuer_name = "ARK-Venice"
    lacking(stage, root=None)


@proves(checks.CHAIN_SIGNATURES, "snp.chain.signature")
def issuer_under_another_root(stage):
    stage.authority.issuer_key = STRANGER.root_key(stage.product)


@proves(checks.CHAIN_SIGNATURES, "snp.chain.signature")
def key_under_another_issuer(stage):
    stage.vek.issuer_key = STRANGER.authority_key(stage.product, stage.kind)


@proves(checks.CHAIN_SIGNATURES, "snp.chain.issuer")
def key_that_names_the_other_issuer(stage):
    other = "SEV-VLEK-" if stage.kind == "vcek" else "SEV-"
    stage.vek.issuer_name = other + stage.product


@proves(checks.CHAIN_SIGNATURES, "snp.chain.issuer")
def issuer_that_names_another_root(stage):
    stage.authority.issuer_name = "ARK-Venice"


@proves(checks.CHAIN_SIGNATURES, "snp.chain.issuer")
def issuer_that_names_another_key_of_the_root(stage):
    stranger = STRANGER.root_key(stage.product).public_key()
    named = der.element(der.SEQUENCE, der.element(0x80, pki.key_identifier(stranger)))
    stage.authority.extensions[1] = der.extension(pki.AUTHORITY_KEY, named)


def certifying(stage, **fields):
    """Let another certificate stand in the issuer's place, over the same key."""
    for name, value in fields.items():
        setattr(stage.authority, name, value)


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def issuer_that_is_no_authority_by_name(stage):
    stage.authority.common_name = stage.vek.issuer_name = "SEV-Venice"


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def issuer_that_is_no_authority(stage):
    stage.authority.extensions[2] = pki.basic_constraints(authority=False)


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def issuer_without_constraints(stage):
    del stage.authority.extensions[2]


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def issuer_of_issuers(stage):
    stage.authority.extensions[2] = pki.basic_constraints(authority=True)


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def issuer_that_may_not_sign_certificates(stage):
    stage.authority.extensions[3] = pki.key_usage(0x02)


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def issuer_signed_with_another_hash(stage):
    stage.authority.hash = "sha256"


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def key_signed_with_another_hash(stage):
    stage.vek.hash = "sha256"


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def key_of_the_other_kind_by_name(stage):
    stage.vek.common_name = "SEV-VLEK" if stage.kind == "vcek" else "SEV-VCEK"


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def key_that_is_no_p384_key(stage):
    stage.vek.key = AMD.root_key(stage.product).public_key()


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def key_that_may_issue(stage):
    stage.vek.extensions += [pki.basic_constraints(authority=True), pki.key_usage(0x06)]


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def key_that_may_sign_certificates(stage):
    stage.vek.extensions.append(pki.key_usage(0x04))


@proves(checks.CHAIN_ROLES, "snp.chain.role")
def key_with_a_critical_extension_that_nobody_knows(stage):
    stage.vek.extensions.append(der.extension("1.2.3.4", b"\5\0", critical=True))


@proves(checks.SNP_CHAIN_VALIDITY)
def key_expired(stage):
    stage.vek.not_after = stage.at - DAY


@proves(checks.SNP_CHAIN_VALIDITY)
def key_of_the_future(stage):
    stage.vek.not_before = stage.at + DAY


@proves(checks.SNP_CHAIN_VALIDITY)
def issuer_expired(stage):
    stage.authority.not_after = stage.at - DAY


@proves(checks.SNP_CHAIN_VALIDITY)
def issuer_of_the_future(stage):
    stage.authority.not_before = stage.at + DAY


def stating(stage, **changes):
    """Replace AMD's extensions of the key's certificate; None leaves one out. ``a3_8`` is .3.8."""
    found = stage.chip.extensions(stage.kind)
    for name, value in changes.items():
        arc = name[1:].replace("_", ".")
        if value is None:
            del found[arc]
        else:
            found[arc] = der.extension(f"{pki.AMD_ARC}.{arc}", value)
    stage.vek.extensions = list(found.values())


@proves(checks.VEK_EXTENSIONS, kinds=CHIPS)
def key_without_a_chip(stage):
    stating(stage, a4=None)


@proves(checks.VEK_EXTENSIONS, kinds=CHIPS)
def key_with_a_provider_and_a_chip(stage):
    stating(stage, a5=der.element(der.IA5_STRING, b"CN=provider"))


@proves(checks.VEK_EXTENSIONS, kinds=PROVIDERS)
def providers_key_without_a_provider(stage):
    stating(stage, a5=None)


@proves(checks.VEK_EXTENSIONS, kinds=PROVIDERS)
def providers_key_with_a_chip(stage):
    stating(stage, a4=stage.chip.hwid)


@proves(checks.VEK_EXTENSIONS, kinds=PROVIDERS)
def provider_without_a_name(stage):
    stating(stage, a5=der.element(der.IA5_STRING))


@proves(checks.VEK_EXTENSIONS, kinds=PROVIDERS)
def provider_with_an_escape_in_its_name(stage):
    stating(stage, a5=der.element(der.IA5_STRING, b"CN=\x1b[2J"))


@proves(checks.VEK_EXTENSIONS, kinds=CHIPS)
def chip_of_another_size(stage):
    stating(stage, a4=stage.chip.hwid[:-1])


@proves(checks.VEK_EXTENSIONS, kinds=CHIPS)
def chip_of_another_size_wrapped_in_der(stage):
    stating(stage, a4=der.element(der.OCTET_STRING, stage.chip.hwid + b"\0"))


@proves(checks.VEK_EXTENSIONS, kinds=CHIPS)
def chip_wrapped_in_something_else(stage):
    stating(stage, a4=der.element(der.UTF8_STRING, stage.chip.hwid))


@proves(checks.VEK_EXTENSIONS)
def component_left_out(stage):
    stating(stage, a3_8=None)


@proves(checks.VEK_EXTENSIONS)
def reserved_component_left_out(stage):
    stating(stage, a3_5=None)


@proves(checks.VEK_EXTENSIONS)
def component_that_fits_no_byte(stage):
    stating(stage, a3_8=der.integer(256))


@proves(checks.VEK_EXTENSIONS)
def component_with_bytes_behind_it(stage):
    stating(stage, a3_8=der.integer(stage.chip.tcb[7]) + b"\0")


@proves(checks.VEK_EXTENSIONS)
def extension_of_amds_that_nobody_knows(stage):
    stating(stage, a6=der.integer(0))


@proves(checks.VEK_EXTENSIONS)
def structure_of_the_future(stage):
    stating(stage, a1=der.integer(2))


@proves(checks.VEK_EXTENSIONS)
def structure_of_another_product(stage):
    other = Product.TURIN if stage.product is not Product.TURIN else Product.MILAN
    chip = AMD.chip("another chip", other, tcb=TCB[other])
    name = der.element(der.IA5_STRING, str(stage.product).encode())
    found = chip.extensions(stage.kind) | {"2": der.extension(f"{pki.AMD_ARC}.2", name)}
    stage.vek.extensions = list(found.values())


@proves(checks.VEK_PRODUCT, kinds=[k for k in ALL if k[0] is not Product.TURIN])
def certificate_of_another_product(stage):
    other = b"Genoa" if stage.product is Product.MILAN else b"Milan"
    stating(stage, a2=der.element(der.IA5_STRING, other))


@proves(checks.VEK_PRODUCT)
def certificate_of_no_product(stage):
    stating(stage, a2=der.element(der.IA5_STRING, b"Naples"))


@proves(checks.VEK_PRODUCT, kinds=PROVIDERS)
def providers_key_for_one_stepping(stage):
    stating(stage, a2=der.element(der.IA5_STRING, f"{stage.product}-B0".encode()))


# --- Revocation


@proves(checks.CRL_LAYOUT, "snp.crl.malformed")
def byte_behind_the_crl(stage):
    stage.after_endorsements = lambda given: replace(given, crl=given.crl + b"\0")


@proves(checks.CRL_LAYOUT, "snp.crl.malformed")
def crl_without_a_number(stage):
    stage.crl.number = None


@proves(checks.CRL_LAYOUT, "snp.crl.malformed")
def crl_longer_than_any(stage):
    stage.crl.revoked = list(range(1, 4000))


@proves(checks.CRL_ISSUER)
def crl_that_names_another_issuer(stage):
    stage.crl.issuer_name = f"SEV-{stage.product}"


@proves(checks.CRL_ISSUER)
def crl_that_names_another_key(stage):
    stage.crl.names_key = STRANGER.root_key(stage.product).public_key()


@proves(checks.CRL_SIGNATURE)
def crl_signed_by_the_issuer_of_keys(stage):
    stage.crl.names_key = stage.crl.issuer_key.public_key()
    stage.crl.issuer_key = AMD.authority_key(stage.product, stage.kind)


@proves(checks.CRL_SIGNATURE)
def crl_signed_with_another_hash(stage):
    stage.crl.hash = "sha256"


@proves(checks.CRL_TIME)
def crl_of_last_year(stage):
    stage.crl.next_update = stage.at - timedelta(seconds=1)


@proves(checks.CRL_TIME)
def crl_of_tomorrow(stage):
    stage.crl.this_update = stage.at + timedelta(seconds=1)


@proves(checks.CRL_REVOKED)
def issuer_revoked(stage):
    stage.crl.revoked = [5, stage.authority.serial]


@proves(checks.CRL_REVOKED)
def root_revoked_by_itself(stage):
    stage.crl.revoked = [AMD.root_draft(stage.product).serial]


# --- The report under its key


@proves(checks.VEK_KIND)
def other_kind_of_key_than_the_report_says(stage):
    stage.report.flags ^= 1 << 2


@proves(checks.TCB_VEK)
def key_of_an_older_tcb(stage):
    older = replace(stage.chip, tcb=stage.chip.tcb[:7] + bytes([stage.chip.tcb[7] - 1]))
    stage.key = older.key(stage.kind)
    stage.vek = older.vek_draft(stage.kind, stage.at)


@proves(checks.TCB_VEK)
def key_of_a_newer_tcb(stage):
    newer = replace(stage.chip, tcb=stage.chip.tcb[:7] + bytes([stage.chip.tcb[7] + 1]))
    stage.key = newer.key(stage.kind)
    stage.vek = newer.vek_draft(stage.kind, stage.at)


@proves(checks.TCB_VEK)
def reserved_component_of_the_reported_tcb(stage):
    stage.report.reported_tcb = changed(stage.chip.tcb, 4, b"\1")
    stage.report.current_tcb = stage.report.committed_tcb = stage.report.reported_tcb


@proves(checks.CHIP_ID, "snp.chip_id.mismatch", kinds=CHIPS)
def certificate_of_another_chip(stage):
    other = AMD.chip("another chip", stage.product)
    stage.report.chip_id = other.hwid.ljust(64, b"\0")


@proves(checks.CHIP_ID, "snp.chip_id.mismatch", kinds=[(Product.TURIN, 3, "vcek")])
def chip_with_bytes_behind_its_id(stage):
    stage.report.chip_id = changed(stage.report.chip_id, 63, b"\1")


@proves(checks.CHIP_ID, "snp.chip_id.absent", kinds=CHIPS)
def chip_withheld(stage):
    stage.report.chip_id = bytes(64)


@proves(checks.CHIP_ID, "snp.chip_id.mismatch", kinds=CHIPS)
def masked_chip_that_names_another(stage):
    stage.report.flags |= 2
    stage.report.chip_id = b"\1" * 64


@proves(checks.TCB_REPORTED)
def reported_above_current(stage):
    lower = stage.chip.tcb[:7] + bytes([stage.chip.tcb[7] - 1])
    stage.report.current_tcb = stage.report.committed_tcb = lower


@proves(checks.TCB_REPORTED)
def one_component_above_in_a_tcb_that_is_larger_as_a_number(stage):
    """Regression: as a number, one high component hides a low one."""
    tcb = bytearray(stage.chip.tcb)
    tcb[0] -= 1
    tcb[7] += 1
    stage.report.current_tcb = stage.report.committed_tcb = bytes(tcb)


@proves(checks.TCB_COMMITTED)
def committed_above_current(stage):
    stage.report.committed_tcb = stage.chip.tcb[:7] + bytes([stage.chip.tcb[7] + 1])


@proves(checks.TCB_COMMITTED, "snp.version.committed")
def committed_version_above_the_current_one(stage):
    build, minor, major = stage.report.current_version
    stage.report.committed_version = (build + 1, minor, major)


@proves(checks.TCB_COMMITTED, "snp.version.committed")
def committed_minor_above_with_a_lower_build(stage):
    build, minor, major = stage.report.current_version
    stage.report.committed_version = (build - 1, minor + 1, major)


@proves(checks.SNP_SIGNATURE)
def signed_by_another_key(stage):
    stage.key = pki.derive_p384(b"a stranger", "a key")


@proves(checks.SNP_SIGNATURE)
def measurement_changed_afterwards(stage):
    patch(stage, 0x90, b"\0")


@proves(checks.SNP_SIGNATURE, "snp.vek.key_invalid")
def key_that_is_no_point(stage):
    good = pki.spki(stage.vek.key)

    def spoil(given):
        draft = replace(stage.vek)
        signed = draft.sign().replace(good, good[:-1] + bytes([good[-1] ^ 1]))
        return replace(given, vek=resigned(signed, stage.vek.issuer_key))

    stage.after_endorsements = spoil


def resigned(certificate: bytes, key) -> bytes:
    """Sign the body of a certificate again."""
    from assay.evidence.decoding.der import DerReader

    body = DerReader(certificate).enter().whole(0x30)
    signature = der.bits(pki.sign_pss(key, body))
    return der.element(der.SEQUENCE, body, pki.pss_identifier(), signature)


@proves(checks.BINDING, "snp.binding.mismatch")
def report_of_another_session(stage):
    stage.report.report_data = stage.report_data[:63] + b"\0"


@proves(checks.BINDING, "snp.binding.mismatch")
def binding_of_which_a_prefix_was_expected(stage):
    stage.report_data = stage.report_data[:32]


@pytest.mark.parametrize(
    ("defect", "product", "version", "kind"),
    [
        pytest.param(defect, *kind, id=f"{defect.spec.id}-{defect.name}-{kind[0]}{kind[1]}{kind[2]}")
        for defect in DEFECTS
        for kind in defect.kinds
    ],
)
def test_a_defect_is_refused_by_its_check_alone(defect, product, version, kind):
    result = spoilt(defect.spoil, product, version, kind)
    assert {check.id: check.code for check in result.ledger.failed()} == {defect.spec.id: defect.code}
    assert not result.authentic
    assert not result.bound
    for check in result.ledger.unmet():
        assert check.reason.isprintable()
        assert len(check.reason) < 300


def test_each_check_has_an_input_that_only_it_refuses():
    proven = {defect.spec for defect in DEFECTS}
    assert {spec.id for spec in checks.CHECKS if spec not in proven} == set()


def test_ids_are_unique_and_documented():
    assert len({spec.id for spec in checks.CHECKS}) == len(checks.CHECKS)
    for spec in checks.CHECKS:
        assert spec.title
        assert spec.source
    grouped = {
        *checks.LAYOUT_CHECKS,
        checks.PRODUCT_CPUID,
        *checks.CHAIN_CHECKS,
        *checks.CRL_CHECKS,
        *checks.MATCH_CHECKS,
        checks.SNP_SIGNATURE,
        checks.BINDING,
    }
    assert grouped == set(checks.CHECKS)

"""What a verification of SEV-SNP evidence gives back: Claims, needs, unsigned regions, remembered facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.snp import (
    FirmwareVersion,
    GuestPolicy,
    PlatformInfo,
    Product,
    SnpEndorsements,
    TcbVersion,
    checks,
)
from assay.evidence.snp.products import UNSUPPORTED, product_of_cpuid, product_of_name
from assay.evidence.snp.table import ARK, ASK, ASVK, CRL, VCEK, VLEK, encode_table
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.amd.installation import CSP_ID, TCB
from support.snp_scenes import AMD, DAY, NOW, REPORT_DATA, STRANGER, changed, judge, roots_of, scene

NOT_LOOKED = Unchecked("a test")


# --- Claims ------------------------------------------------------------------------------------------------


def test_every_field_becomes_a_claim():
    stage = scene(Product.TURIN, 5)
    report = stage.report
    report.guest_svn = 7
    report.policy = 0x3FF1234 | 1 << 17 | 1 << 40
    report.platform_info = 0xFF
    report.family_id, report.image_id = b"f" * 16, b"i" * 16
    report.vmpl = 2
    report.flags |= 1
    report.host_data, report.measurement = b"h" * 32, b"m" * 48
    report.id_key_digest, report.author_key_digest = b"k" * 48, b"a" * 48
    report.report_id, report.report_id_ma = b"r" * 32, b"s" * 32
    report.launch_mitigations, report.current_mitigations = 1 << 63, 3
    report.launch_tcb = bytes(8)
    report.committed_version = (1, 0, 0)
    evidence = stage.finish()
    claims = judge(evidence).claims
    assert (claims.version, claims.guest_svn, claims.vmpl) == (5, 7, 2)
    assert (claims.family_id, claims.image_id) == (b"f" * 16, b"i" * 16)
    assert (claims.host_data, claims.measurement) == (b"h" * 32, b"m" * 48)
    assert (claims.id_key_digest, claims.author_key_digest) == (b"k" * 48, b"a" * 48)
    assert (claims.report_id, claims.report_id_ma) == (b"r" * 32, b"s" * 32)
    assert (claims.launch_mitigations, claims.current_mitigations) == (1 << 63, 3)
    assert claims.author_key
    assert not claims.mask_chip_key
    assert claims.report_data == REPORT_DATA
    assert claims.policy == GuestPolicy(report.policy)
    assert claims.policy.unknown == (40,)
    assert claims.platform.unknown == (6,)
    assert claims.product is Product.TURIN
    assert claims.product_name == "Turin"
    assert claims.cpuid == (0x1A, 2, 1)
    assert claims.chip_id == stage.chip.hwid.ljust(64, b"\0")
    assert not claims.chip_id_masked
    assert claims.csp_id is None
    assert claims.reported_tcb == TcbVersion(Product.TURIN, TCB[Product.TURIN])
    assert claims.launch_tcb.components == {"fmc": 0, "bl": 0, "tee": 0, "snp": 0, "ucode": 0}
    assert claims.current_version == FirmwareVersion(1, 58, 3)
    assert str(claims.committed_version) == "0.0.1"
    assert claims.provisional
    assert claims.debug
    assert claims.alias_check_complete
    assert claims.endorsed_from == stage.crl.this_update
    assert claims.endorsed_until == stage.crl.next_update


@pytest.mark.parametrize("product", list(Product))
def test_a_report_of_milan_can_be_forged_and_says_so(product):
    """Regression: Milan's root seed was extracted (arXiv 2605.12990), so a chain proves nothing there."""
    assert judge(scene(product).finish()).claims.forgeable is (product is Product.MILAN)


def test_a_memory_alias_check_that_was_not_made_is_a_claim():
    """Regression: CVE-2024-21944, memory that answers at two addresses."""
    stage = scene(version=2)
    stage.report.platform_info = 0x01
    assert not judge(stage.finish()).claims.alias_check_complete


def test_policy_bits():
    names = {
        16: "smt",
        18: "migrate_ma",
        19: "debug",
        20: "single_socket",
        21: "cxl",
        22: "aes_256_xts",
        23: "rapl_disabled",
        24: "ciphertext_hiding",
        25: "page_swap_disabled",
    }
    for bit in range(64):
        policy = GuestPolicy(1 << bit)
        assert [name for name in names.values() if getattr(policy, name)] == (
            [names[bit]] if bit in names else []
        )
        assert policy.abi_minor == (1 << bit if bit < 8 else 0)
        assert policy.abi_major == (1 << bit - 8 if 8 <= bit < 16 else 0)
        assert policy.unknown == ((bit,) if bit > 25 else ())


def test_platform_bits():
    names = {
        0: "smt",
        1: "tsme",
        2: "ecc",
        3: "rapl_disabled",
        4: "ciphertext_hiding",
        5: "alias_check_complete",
        7: "tio",
    }
    for bit in range(64):
        info = PlatformInfo(1 << bit)
        assert [name for name in names.values() if getattr(info, name)] == (
            [names[bit]] if bit in names else []
        )
        assert info.unknown == (() if bit in names else (bit,))


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("bit", [26, 63])
def test_policy_bits_of_the_future_are_claims(version, bit):
    """Regression: go-sev-guest refused every report whose policy had a bit that it did not know."""
    stage = scene(version=version)
    stage.report.policy |= 1 << bit
    assert judge(stage.finish()).claims.policy.unknown == (bit,)


@pytest.mark.parametrize("arc", ["1", "2", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "4"])
def test_a_component_that_is_not_stated_is_not_passed_over(arc):
    """Regression: comparing only those components that a certificate happens to state accepts any of them."""
    stage = scene()
    written = stage.chip.extensions("vcek")
    del written[arc]
    stage.vek.extensions = list(written.values())
    assert [check.code for check in judge(stage.finish()).ledger.failed()] == ["snp.vek.extensions"]


@pytest.mark.parametrize(
    ("product", "components"),
    [
        (Product.MILAN, {"bl": 1, "tee": 2, "snp": 7, "ucode": 8}),
        (Product.GENOA, {"bl": 1, "tee": 2, "snp": 7, "ucode": 8}),
        (Product.TURIN, {"fmc": 1, "bl": 2, "tee": 3, "snp": 4, "ucode": 8}),
    ],
)
def test_a_tcb_version_is_read_as_its_product_writes_it(product, components):
    """Regression: one layout for all products reads Turin's FMC as its boot loader."""
    tcb = TcbVersion(product, bytes(range(1, 9)))
    assert tcb.components == components
    assert {name: getattr(tcb, name) for name in components} == components
    assert tcb.reserved == (b"\5\6\7" if product is Product.TURIN else b"\3\4\5\6")
    assert (tcb.fmc is None) is (product is not Product.TURIN)


def test_products():
    expected = {
        (0x19, 0x00): Product.MILAN,
        (0x19, 0x0F): Product.MILAN,
        (0x19, 0x10): Product.GENOA,
        (0x19, 0x1F): Product.GENOA,
        (0x19, 0x20): None,
        (0x19, 0x9F): None,
        (0x19, 0xA0): Product.GENOA,
        (0x19, 0xAF): Product.GENOA,
        (0x19, 0xB0): None,
        (0x1A, 0x00): Product.TURIN,
        (0x1A, 0x11): Product.TURIN,
        (0x1A, 0x12): None,
        (0x1A, 0x4F): None,
        (0x1A, 0x50): UNSUPPORTED,
        (0x1A, 0x57): UNSUPPORTED,
        (0x1A, 0x58): None,
        (0x1A, 0x90): UNSUPPORTED,
        (0x1A, 0xAF): UNSUPPORTED,
        (0x1A, 0xB0): None,
        (0x1A, 0xC0): UNSUPPORTED,
        (0x1A, 0xC7): UNSUPPORTED,
        (0x1A, 0xC8): None,
        (0x17, 0x00): None,
        (0xFF, 0xFF): None,
    }
    assert {cpuid: product_of_cpuid(*cpuid) for cpuid in expected} == expected
    names = {
        "Milan-B0": Product.MILAN,
        "Milan": Product.MILAN,
        "Genoa": Product.GENOA,
        "Siena-B1": Product.GENOA,
        "Bergamo": Product.GENOA,
        "Turin": Product.TURIN,
        "Venice": None,
        "milan": None,
        "Milan-": None,
        "Milan-B0 ": None,
        "Genoa-B10": None,
    }
    assert {name: product_of_name(name, stepping=True) for name in names} == names
    assert product_of_name("Milan-B0", stepping=False) is None
    assert product_of_name("Milan", stepping=False) is Product.MILAN


# --- The chip ----------------------------------------------------------------------------------------------


def test_a_masked_chip_id_is_a_claim():
    stage = scene()
    stage.report.flags |= 2
    stage.report.chip_id = bytes(64)
    result = judge(stage.finish())
    assert result.bound
    assert result.ledger[checks.CHIP_ID.id].outcome is Outcome.NOT_APPLICABLE
    assert result.claims.chip_id_masked
    assert result.claims.mask_chip_key


def test_a_turin_names_eight_bytes():
    """Regression: a chip id read as 64 bytes can never equal that of a Turin's certificate."""
    stage = scene(Product.TURIN, 5)
    assert len(stage.chip.hwid) == 8
    assert judge(stage.finish()).bound


def test_a_vlek_names_its_provider_and_no_chip():
    result = judge(scene(kind="vlek").finish())
    assert result.claims.signing_key == "vlek"
    assert result.claims.csp_id == CSP_ID
    assert not result.claims.chip_id_masked
    assert result.ledger[checks.CHIP_ID.id].outcome is Outcome.NOT_APPLICABLE


def test_the_chip_is_compared_for_a_certificate_with_its_real_name():
    """Regression: a comparison under the name VCEK never ran, because the certificate is called SEV-VCEK."""
    stage = scene()
    assert stage.vek.common_name == "SEV-VCEK"
    assert judge(stage.finish()).ledger[checks.CHIP_ID.id].outcome is Outcome.PASSED
    stage.report.chip_id = b"\1" * 64
    assert not judge(stage.finish()).authentic


def test_a_crl_covers_the_issuer_of_providers_keys():
    """Regression: go-sev-guest applied the CRL to the ASK only, not to the ASVK."""
    stage = scene(kind="vlek")
    stage.crl.revoked = [stage.authority.serial]
    assert judge(stage.finish()).ledger[checks.CRL_REVOKED.id].code == "snp.crl.revoked"


def test_every_bit_of_the_reserved_bytes_is_signed():
    """Regression: a verifier that writes the report again before it verifies does not see these bytes."""
    stage = scene(version=5)
    evidence = stage.finish()
    for at in (0x4C, 0x18B, 0x1EB, 0x1EF, 0x208, 0x29F):
        spoilt = changed(evidence.report, at, b"\1")
        assert [check.code for check in judge(evidence, report=spoilt).ledger.failed()] == [
            "snp.report.reserved"
        ]


# --- What is missing ---------------------------------------------------------------------------------------


def test_without_endorsements_the_result_says_what_to_get():
    evidence = scene(Product.TURIN, 5).finish()
    result = judge(evidence, endorsements=None)
    assert not result.authentic
    assert {check.code for check in result.ledger.unmet()} == {"snp.vek.missing", "ledger.not_reached"}
    vek, chain, crl = result.needs
    tcb = TcbVersion(Product.TURIN, TCB[Product.TURIN]).components
    assert vek.kind == "snp-vek"
    assert vek.key == {
        "kind": "vcek",
        "product": "Turin",
        "chip_id": AMD.chip("the chip of a scene", Product.TURIN).hwid.hex(),
        **{name: str(value) for name, value in tcb.items()},
    }
    assert (chain.kind, dict(chain.key)) == ("snp-chain", {"kind": "vcek", "product": "Turin"})
    assert (crl.kind, dict(crl.key)) == ("snp-crl", {"kind": "vcek", "product": "Turin"})


def test_a_report_of_version_2_leaves_its_product_open():
    need = judge(scene(version=2).finish(), endorsements=None).needs[0]
    assert need.key["product"] == ""
    assert len(need.key["chip_id"]) == 128
    assert set(need.key) == {"kind", "product", "chip_id", "bl", "tee", "snp", "ucode"}


def test_a_vlek_is_not_asked_for_by_chip():
    need = judge(scene(kind="vlek").finish(), endorsements=None).needs[0]
    assert need.key["kind"] == "vlek"
    assert need.key["chip_id"] == ""


@pytest.mark.parametrize(
    ("field", "kinds"),
    [("vek", ["snp-vek"]), ("authority", ["snp-chain"]), ("crl", ["snp-crl"]), ("root", [])],
)
def test_each_missing_part_is_asked_for(field, kinds):
    evidence = scene().finish()
    result = judge(evidence, endorsements=replace(evidence.endorsements, **{field: None}))
    assert [need.kind for need in result.needs] == kinds
    assert result.authentic is (field == "root")
    assert not result.ledger.failed()


def test_without_a_crl_everything_else_is_still_judged():
    """A CRL that is not at hand is never a revocation that did not happen."""
    evidence = scene().finish()
    result = judge(evidence, endorsements=replace(evidence.endorsements, crl=None))
    assert {check.id for check in result.ledger.unmet()} == {spec.id for spec in checks.CRL_CHECKS}
    assert result.ledger[checks.SNP_SIGNATURE.id].outcome is Outcome.PASSED
    with pytest.raises(EvidenceError, match="not authenticated"):
        _ = result.claims


def test_a_stale_crl_is_asked_for_again():
    stage = scene()
    stage.crl.next_update = stage.at - DAY
    assert [need.kind for need in judge(stage.finish()).needs] == ["snp-crl"]


def test_an_unchecked_binding_is_asked_for():
    result = judge(scene().finish(), binding=NOT_LOOKED)
    assert result.authentic
    assert not result.bound
    assert [need.kind for need in result.needs] == ["binding"]
    assert result.ledger[checks.BINDING.id].reason == "not checked: a test"


# --- Certificate tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
def test_a_table_brings_everything(kind):
    evidence = scene(kind=kind).finish()
    own = evidence.endorsements
    guid = VCEK if kind == "vcek" else VLEK
    table = encode_table({ARK: own.root, ASK: own.authority, guid: own.vek, CRL: own.crl}) + bytes(100)
    result = judge(evidence, endorsements=None, report=evidence.report + table)
    assert result.bound
    assert [(r.start, r.end) for r in result.unsigned] == [(1184, 1184 + len(table))]
    assert result.signed_digest == judge(evidence).signed_digest


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
def test_a_table_of_a_host_with_both_keys_serves_the_one_that_signed(kind):
    """The report says which; the ASVK stands beside the ASK, under no GUID, as tools write it."""
    vcek, vlek = (scene(kind=each).finish().endorsements for each in ("vcek", "vlek"))
    chain = {ARK: vcek.root, ASK: vcek.authority, ASVK: vlek.authority, CRL: vcek.crl}
    everything = {**chain, VCEK: vcek.vek, VLEK: vlek.vek}
    evidence = scene(kind=kind).finish()
    result = judge(evidence, endorsements=None, report=evidence.report + encode_table(everything))
    assert result.bound, result.ledger.unmet()
    assert result.claims.signing_key == kind


def test_a_table_with_the_key_of_the_other_kind_alone_is_refused_for_that():
    vlek = scene(kind="vlek").finish().endorsements
    evidence = scene().finish()
    table = encode_table({ARK: vlek.root, ASVK: vlek.authority, VLEK: vlek.vek, CRL: vlek.crl})
    result = judge(evidence, endorsements=None, report=evidence.report + table)
    assert [check.code for check in result.ledger.failed()] == ["snp.vek.kind", "snp.report.signature"]


def test_what_was_given_goes_before_the_table():
    evidence = scene().finish()
    other = scene(Product.MILAN).finish().endorsements
    table = encode_table({VCEK: other.vek, ASK: other.authority, ARK: other.root})
    assert judge(evidence, report=evidence.report + table).bound
    assert not judge(evidence, report=evidence.report + table, endorsements=None).authentic


# --- Roots -------------------------------------------------------------------------------------------------


def test_a_root_that_was_not_given_is_no_root():
    evidence = scene().finish()
    result = judge(evidence, roots=Roots.vendor())
    assert [check.code for check in result.ledger.failed()] == ["snp.root.not_pinned"]
    assert result.anchor is None
    assert result.simulated


def test_without_a_root_the_chain_names_the_vendors():
    """A simulated chain under AMD's name is not the vendor's: the signature decides, not the name."""
    evidence = scene().finish()
    bare = replace(evidence.endorsements, root=None)
    result = judge(evidence, roots=Roots.vendor(), endorsements=bare)
    assert [check.code for check in result.ledger.failed()] == ["snp.chain.issuer"]
    found = judge(evidence, endorsements=bare)
    assert found.bound
    assert found.simulated
    assert found.anchor.name == "simulated AMD"


def test_a_root_of_another_vendor_anchors_no_report():
    evidence = scene().finish()
    roots = Roots.vendor().with_anchor("a simulated root", evidence.root, vendor="aws")
    assert not judge(evidence, roots=roots).authentic


# --- Facts -------------------------------------------------------------------------------------------------


def test_a_second_report_of_a_chip_rests_on_what_is_known():
    facts = FactCache()
    first = scene().finish()
    stage = scene()
    stage.report.measurement = b"\x33" * 48
    second = stage.finish()
    fresh, known = judge(first, facts=facts), judge(second, facts=facts)
    assert len(facts.shelf("snp.keys")) == len(facts.shelf("snp.authorities")) == 1
    assert fresh.ledger == known.ledger
    assert known.claims.measurement == b"\x33" * 48
    assert replace(known.claims, measurement=fresh.claims.measurement) == fresh.claims


def test_a_second_chip_rests_on_the_known_issuer():
    facts = FactCache()
    judge(scene().finish(), facts=facts)
    stage = scene()
    other = AMD.chip("another chip", stage.product)
    stage.report.chip_id, stage.key = other.hwid, other.key("vcek")
    stage.vek = other.vek_draft("vcek", NOW)
    assert judge(stage.finish(), facts=facts).bound
    assert len(facts.shelf("snp.keys")) == 2
    assert len(facts.shelf("snp.authorities")) == 1


def test_what_is_known_is_not_known_for_another_report():
    """Regression: a verifier that remembers whole inputs, or only a chain, accepts what it never saw."""
    facts = FactCache()
    evidence = scene().finish()
    assert judge(evidence, facts=facts).bound
    for at in (0, 0x08, 0x50, 0x90, 0x180, 0x1A0, 0x2A0):
        spoilt = changed(evidence.report, at, bytes([evidence.report[at] ^ 0x10]))
        result = judge(evidence, facts=facts, report=spoilt)
        assert result.ledger.failed()
        assert not result.authentic


@pytest.mark.parametrize("days", [-400, -40, 340, 4000])
def test_what_is_known_is_not_known_at_another_time(days):
    facts = FactCache()
    evidence = scene().finish()
    assert judge(evidence, facts=facts).bound
    late = judge(evidence, facts=facts, at=NOW + timedelta(days=days))
    assert late.ledger == judge(evidence, at=NOW + timedelta(days=days)).ledger
    assert late.ledger.failed()


def test_what_is_known_is_not_known_under_other_roots():
    facts = FactCache()
    evidence = scene().finish()
    assert judge(evidence, facts=facts).bound
    other = Roots.vendor().with_anchor("another", STRANGER.root_der(Product.GENOA), vendor="amd")
    assert not judge(evidence, facts=facts, roots=other).authentic


@pytest.mark.parametrize("field", ["vek", "authority", "root", "crl"])
def test_nothing_is_known_of_other_endorsements(field):
    facts = FactCache()
    evidence = scene().finish()
    assert judge(evidence, facts=facts).bound
    spoilt = replace(evidence.endorsements, **{field: getattr(evidence.endorsements, field)[:-1] + b"\1"})
    assert not judge(evidence, facts=facts, endorsements=spoilt).authentic


def test_a_refusal_is_not_remembered():
    facts = FactCache()
    stage = scene()
    stage.crl.revoked = [stage.authority.serial]
    assert not judge(stage.finish(), facts=facts).authentic
    assert len(facts.shelf("snp.keys")) == len(facts.shelf("snp.authorities")) == 0
    evidence = scene().finish()
    assert not judge(evidence, facts=facts, endorsements=replace(evidence.endorsements, crl=None)).authentic
    assert len(facts.shelf("snp.keys")) == len(facts.shelf("snp.authorities")) == 0


# --- The caller --------------------------------------------------------------------------------------------


def test_errors_of_the_caller():
    evidence = scene().finish()
    with pytest.raises(EvidenceError) as refused:
        judge(evidence, at=datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
    assert refused.value.code == "evidence.call.time"
    for wrong in (
        {"report": bytearray(evidence.report)},
        {"binding": Expected("text")},
        {"binding": b"bytes"},
    ):
        with pytest.raises(EvidenceError) as refused:
            judge(evidence, **wrong)
        assert refused.value.code == "evidence.call.type"


def test_the_decoded_fields_are_for_the_eye():
    result = judge(scene(Product.MILAN, 3).finish(), roots=Roots.vendor())
    assert not result.authentic
    assert result.decoded["product"] == "Milan"
    assert result.decoded["version"] == 3
    assert len(result.decoded) == len(list(result.decoded))
    assert "Milan" in repr(result.decoded)


@cache
def newest():
    """Return evidence of version 5 and its roots, made once."""
    evidence = scene(version=5).finish()
    return evidence, roots_of(evidence)


@settings(max_examples=60)
@given(st.data())
def test_any_change_of_the_report_is_refused(data):
    evidence, roots = newest()
    at = data.draw(st.integers(0, 1183))
    bit = data.draw(st.integers(0, 7))
    spoilt = changed(evidence.report, at, bytes([evidence.report[at] ^ 1 << bit]))
    result = judge(evidence, report=spoilt, roots=roots)
    assert result.ledger.failed()
    assert not result.authentic


@settings(max_examples=60)
@given(st.binary(max_size=1400))
def test_arbitrary_bytes_are_refused_and_nothing_else(noise):
    evidence, roots = newest()
    for data in (noise, evidence.report + noise, noise.ljust(1184, b"\0")[:1184]):
        result = judge(evidence, report=data, endorsements=None, roots=roots)
        assert not result.authentic
        assert result.ledger.unmet()
    for field in ("vek", "authority", "root", "crl"):
        spoilt = replace(evidence.endorsements, **{field: noise})
        result = judge(evidence, endorsements=spoilt, roots=roots)
        assert not result.authentic


def test_empty_endorsements_are_none():
    evidence = scene().finish()
    assert judge(evidence, endorsements=SnpEndorsements()).ledger == judge(evidence, endorsements=None).ledger

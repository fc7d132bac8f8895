"""The verification as a whole: without collateral, out of time, warm and cold, and for wrong callers."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from assay.errors import EvidenceError
from assay.evidence.dcap import checks, verify_quote
from assay.evidence.dcap.quote import QuoteError, parse_quote
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.sgx.claims import SgxClaims
from assay.evidence.tdx.claims import TdxClaims
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.intel import Installation
from support import vectors
from support.dcap_scenes import DAY, INTEL, KINDS, NOW, REPORT_DATA, judge, scene
from support.dcap_vectors import collateral_of, moment

ROOTS = Roots.vendor().with_anchor("simulated", INTEL.root_der)


def failed(result) -> dict[str, str]:
    return {check.id: check.code for check in result.ledger.failed()}


# --- What a result says


@pytest.mark.parametrize("behind", [b"\n", b"\r\n\n", b"\n" * 9])
@pytest.mark.parametrize("part", ["tcb_info", "qe_identity", "pck_crl"])
def test_blank_lines_behind_an_issuer_chain_say_nothing(part, behind):
    stage, name = scene("tdx", 4), f"{part}_issuer_chain"
    stage.after_collateral = lambda given: replace(given, **{name: getattr(given, name) + behind})
    assert judge(stage.finish()).authentic
    stage.after_collateral = lambda given: replace(given, **{name: getattr(given, name) + behind + b"x"})
    assert not judge(stage.finish()).authentic


@pytest.mark.parametrize(("platform", "version"), KINDS)
def test_claims_are_the_fields_of_the_body(platform, version):
    stage = scene(platform, version)
    result = judge(stage.finish())
    body, claims = stage.quote.body, result.claims
    if platform == "tdx":
        assert type(claims) is TdxClaims
        assert claims.rtmrs == tuple(body[f"rtmr{index}"] for index in range(4))
        for name in body.fields:
            if not name.startswith("rtmr"):
                assert getattr(claims, name) == body[name]
        assert (claims.tee_tcb_svn_2 is None) == (claims.mr_service_td is None) == (version == 4)
    else:
        assert type(claims) is SgxClaims
        for name in body.fields:
            if name in ("isv_prod_id", "isv_svn", "config_svn"):
                assert getattr(claims, name) == int.from_bytes(body[name], "little")
            elif not name.startswith("reserved"):
                assert getattr(claims, name) == body[name]
    assert claims.debug is False
    assert result.platform == platform
    assert result.binding_check == f"{platform}.binding"
    assert result.anchor.fingerprint == hashlib.sha256(INTEL.root_der).digest()
    assert result.anchor.name == "simulated"
    assert result.needs == ()
    assert [check.id for check in result.ledger] == [
        spec.id for spec in (checks.TDX_CHECKS if platform == "tdx" else checks.SGX_CHECKS)
    ]


def test_distinct_values_land_in_distinct_fields():
    stage = scene("sgx", 3)
    for number, name in enumerate(("isv_prod_id", "isv_svn", "config_svn"), 0x1234):
        stage.quote.body[name] = number
    claims = judge(stage.finish()).claims
    assert (claims.isv_prod_id, claims.isv_svn, claims.config_svn) == (0x1234, 0x1235, 0x1236)


@pytest.mark.parametrize(
    ("platform", "field", "bit"), [("tdx", "td_attributes", 0), ("sgx", "attributes", 1)]
)
def test_debug_is_a_claim(platform, field, bit):
    stage = scene(platform, 4)
    value = bytearray(stage.quote.body[field])
    value[0] |= 1 << bit
    stage.quote.body[field] = bytes(value)
    assert judge(stage.finish()).claims.debug is True
    value[0] = 0xFF ^ (1 << bit)
    stage.quote.body[field] = bytes(value)
    assert judge(stage.finish()).claims.debug is False


@pytest.mark.parametrize(("platform", "version"), KINDS)
@pytest.mark.parametrize("size", [0, 1, 31, 33, 1000, 65535])
def test_authentication_data_of_any_length(platform, version, size):
    stage = scene(platform, version)
    stage.quote.qe_auth = bytes(size)
    assert judge(stage.finish()).authentic


def test_format_5_carries_a_td_report_1_0():
    stage = scene("tdx", 5)
    domain = stage.machine.trust_domain()
    stage.quote = domain.draft(REPORT_DATA, version=5, td15=False)
    claims = judge(stage.finish()).claims
    assert claims.tee_tcb_svn_2 is None


@pytest.mark.parametrize(("platform", "version"), KINDS)
def test_padding_is_declared_and_changes_nothing_that_is_signed(platform, version):
    plain = judge(scene(platform, version).finish())
    assert plain.unsigned == ()
    stage = scene(platform, version)
    stage.quote.after_section = bytes(70)
    padded = judge(stage.finish())
    (region,) = padded.unsigned
    assert (region.end - region.start, region.name) == (70, "zero padding")
    assert padded.signed_digest == plain.signed_digest
    assert padded.claims == plain.claims


def test_the_digest_names_what_was_signed():
    stage = scene()
    evidence = stage.finish()
    assert judge(evidence).signed_digest == hashlib.sha256(evidence.quote[:632]).digest()
    stage.quote.header["user_data"] = b"another one".ljust(20)
    assert judge(stage.finish()).signed_digest != judge(evidence).signed_digest


def test_a_result_under_an_own_anchor_is_simulated():
    assert judge(scene().finish()).simulated
    result = judge(scene().finish(), roots=Roots.vendor())
    assert failed(result) == {"dcap.root.pinned": "dcap.root.not_pinned"}
    assert result.anchor is None
    assert result.simulated
    other = Roots.vendor().with_anchor("another", Installation(b"\x08" * 32).root_der)
    assert failed(judge(scene().finish(), roots=other)) == {"dcap.root.pinned": "dcap.root.not_pinned"}


def test_claims_of_refused_evidence_cannot_be_read():
    stage = scene()
    stage.quote.qe_report["mr_signer"] = bytes(32)
    result = judge(stage.finish())
    with pytest.raises(EvidenceError) as error:
        result.claims  # noqa: B018 - reading it is what is tested
    assert error.value.code == "evidence.claims.unauthenticated"
    assert "dcap.qe_report.identity" in error.value.message


def test_decoded_fields_are_for_the_eye():
    evidence = scene("tdx", 5).finish()
    decoded = judge(evidence).decoded
    assert decoded["version"] == 5
    assert decoded["report_data"] == REPORT_DATA.hex()
    assert decoded["fmspc"] == "00806f050000"
    assert decoded["pce_id"] == "0000"
    assert decoded["pck_ca"] == "platform"
    assert decoded["debug"] is False
    assert decoded["pck_not_before"] == "2026-01-01T00:00:00+00:00"
    assert decoded["ppid"] == scene().machine.ppid.hex()
    assert decoded["trailing_bytes"] == 0
    assert decoded["declared_bytes"] == len(evidence.quote)
    assert decoded["user_data"] == evidence.quote[28:48].hex()
    assert "mr_service_td" in decoded
    assert len(decoded) == len(list(decoded))
    assert repr(decoded).startswith("DecodedQuote(")
    assert not [name for name in judge(scene("sgx", 3).finish()).decoded if name.startswith("reserved")]
    stage = scene()
    stage.quote.certification = b"no chain"
    decoded = judge(stage.finish()).decoded
    assert "fmspc" not in decoded
    assert decoded["mr_td"]
    stage = scene()
    stage.quote.certificates[0] = stage.quote.certificates[1]
    decoded = judge(stage.finish()).decoded
    assert "fmspc" not in decoded
    assert decoded["pck_serial"]
    assert judge(scene().finish(), binding=Expected(b"")).decoded["pck_not_after"] > "2030"


COMMON = {
    *("version", "user_data", "declared_bytes", "trailing_bytes", "debug", "report_data"),
    *("pck_ca", "pck_serial", "pck_not_before", "pck_not_after", "fmspc", "pce_id", "ppid"),
}
TD = {
    *("mr_td", "mr_config_id", "mr_owner", "mr_owner_config", "rtmr0", "rtmr1", "rtmr2", "rtmr3"),
    *("tee_tcb_svn", "mr_seam", "mr_signer_seam", "seam_attributes", "td_attributes", "xfam"),
}
ENCLAVE = {
    *("mr_enclave", "mr_signer", "attributes", "misc_select", "cpu_svn", "config_id", "config_svn"),
    *("family_id", "isv_ext_prod_id", "isv_prod_id", "isv_svn"),
}


@pytest.mark.parametrize(
    ("platform", "version", "names"),
    [("tdx", 4, TD), ("tdx", 5, TD | {"tee_tcb_svn_2", "mr_service_td"}), ("sgx", 3, ENCLAVE)],
)
def test_the_names_of_everything_that_is_shown(platform, version, names):
    assert set(judge(scene(platform, version).finish()).decoded) == COMMON | names


# --- Binding


@pytest.mark.parametrize(("platform", "version"), [("tdx", 4), ("sgx", 3)])
@pytest.mark.parametrize("warm", [False, True])
def test_a_binding_is_all_64_bytes(platform, version, warm):
    evidence, facts = scene(platform, version).finish(), FactCache()
    if warm:
        assert judge(evidence, facts=facts).bound
    result = judge(evidence, facts=facts)
    assert result.bound
    for wrong in (b"", REPORT_DATA[:63], REPORT_DATA + b"\0", REPORT_DATA[:32], bytes(64)):
        result = judge(evidence, binding=Expected(wrong), facts=facts)
        assert failed(result) == {f"{platform}.binding": f"{platform}.binding.mismatch"}
        assert not result.authentic
        assert not result.bound
        assert result.needs == ()


@pytest.mark.parametrize("warm", [False, True])
def test_an_unchecked_binding_is_authentic_and_not_bound(warm):
    evidence, facts = scene().finish(), FactCache()
    if warm:
        judge(evidence, facts=facts)
    result = judge(evidence, binding=Unchecked("no session"), facts=facts)
    assert result.authentic
    assert not result.bound
    check = result.ledger["tdx.binding"]
    assert (check.outcome, check.code) == (Outcome.NOT_CHECKED, "tdx.binding.unchecked")
    assert "no session" in check.reason
    assert [need.kind for need in result.needs] == ["binding"]
    assert result.claims.report_data == REPORT_DATA


# --- Without collateral, and out of time


@pytest.mark.parametrize(("platform", "version"), KINDS)
def test_without_collateral_the_quote_itself_is_checked_and_the_rest_named(platform, version):
    result = judge(scene(platform, version).finish(), collateral=None)
    assert not result.authentic
    assert not result.ledger.failed()
    assert {check.id for check in result.ledger.unmet()} == {spec.id for spec in checks.COLLATERAL_CHECKS}
    assert {check.code for check in result.ledger.unmet()} == {"dcap.collateral.missing"}
    assert result.ledger[checks.QUOTE_SIGNATURE.id].outcome is Outcome.PASSED
    (need,) = result.needs
    assert need.kind == "collateral"
    assert need.key == {
        "tee": platform,
        "fmspc": "00806f050000",
        "ca": "platform",
        "time": "2026-11-21T12:30:00Z",
    }


def test_without_collateral_a_forgery_is_still_one():
    stage = scene()
    stage.after_quote = lambda quote: quote[:200] + bytes([quote[200] ^ 1]) + quote[201:]
    result = judge(stage.finish(), collateral=None)
    assert failed(result) == {"dcap.quote.signature": "dcap.quote.signature"}
    assert result.ledger["tdx.binding"].code == "ledger.not_reached"


def test_a_need_names_what_the_quote_says_of_itself():
    stage = scene("sgx", 3)
    stage.quote_from(INTEL.machine("single", ca="processor", fmspc=b"\1\2\3\4\5\6"))
    (need,) = judge(stage.finish(), collateral=None).needs
    assert (need.key["ca"], need.key["fmspc"], need.key["tee"]) == ("processor", "010203040506", "sgx")
    stage.quote.certification = b"no chain"
    (need,) = judge(stage.finish(), collateral=None).needs
    assert (need.key["ca"], need.key["fmspc"]) == ("", "")


@pytest.mark.parametrize(
    ("at", "spec"),
    [
        (
            NOW + 31 * DAY,
            {checks.TCB_INFO_TIME, checks.QE_IDENTITY_TIME, checks.ROOT_CRL_TIME, checks.PCK_CRL_TIME},
        ),
        (
            NOW - DAY,
            {checks.TCB_INFO_TIME, checks.QE_IDENTITY_TIME, checks.ROOT_CRL_TIME, checks.PCK_CRL_TIME},
        ),
    ],
)
def test_collateral_out_of_its_time_says_which_document_and_when(at, spec):
    result = judge(scene().finish(), at=at)
    assert {check.spec for check in result.ledger.failed()} == spec
    reason = result.ledger[checks.TCB_INFO_TIME.id].reason
    assert "2026-11-21T00:00:00Z to 2026-12-21T00:00:00Z" in reason
    assert at.strftime("%Y-%m-%dT%H:%M:%SZ") in reason
    (need,) = result.needs
    assert need.kind == "collateral"
    assert need.key["time"] == at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (datetime(2026, 11, 21, tzinfo=UTC), True),
        (datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 12, 21, tzinfo=UTC), True),
        (datetime(2026, 12, 21, 0, 0, 1, tzinfo=UTC), False),
        (datetime(2026, 11, 21, 1, tzinfo=timezone(timedelta(hours=1))), True),
    ],
)
@pytest.mark.parametrize("warm", [False, True])
def test_windows_include_their_ends(at, good, warm):
    evidence, facts = scene().finish(), FactCache()
    if warm:
        assert judge(evidence, facts=facts).authentic
    assert judge(evidence, at=at, facts=facts).authentic is good


# --- Warm and cold


@pytest.mark.parametrize(("platform", "version"), KINDS)
def test_a_remembered_platform_gives_the_same_result(platform, version):
    evidence, facts = scene(platform, version).finish(), FactCache()
    cold, warm = judge(evidence, facts=facts), judge(evidence, facts=facts)
    assert len(facts.platforms) == 1
    for part in fields(cold):
        if part.name == "decoded":
            assert dict(cold.decoded) == dict(warm.decoded)
        else:
            assert getattr(cold, part.name) == getattr(warm, part.name), part.name


def count(facts: FactCache) -> tuple[int, ...]:
    return tuple(len(shelf) for shelf in (facts.platforms, facts.chains, facts.collateral))


def test_another_quote_of_the_same_platform_needs_no_new_fact():
    facts = FactCache()
    first = scene()
    judge(first.finish(), facts=facts)
    before = count(facts)
    second = scene()
    second.quote.body["mr_td"] = b"\x07" * 48
    evidence = second.finish()
    assert judge(evidence, facts=facts).claims.mr_td == b"\x07" * 48
    assert count(facts) == before


def test_what_a_fact_rests_on_is_in_its_key():
    facts = FactCache()
    evidence = scene().finish()
    assert judge(evidence, facts=facts).authentic
    # other collateral, by one byte
    other = replace(evidence.collateral, tcb_info=evidence.collateral.tcb_info + b" ")
    assert failed(judge(evidence, facts=facts, collateral=other)) == {
        "dcap.tcb_info.signature": "dcap.tcb_info.signature"
    }
    # other roots
    assert failed(judge(evidence, facts=facts, roots=Roots.vendor())) == {
        "dcap.root.pinned": "dcap.root.not_pinned"
    }
    # no collateral
    assert not judge(evidence, facts=facts, collateral=None).authentic
    # another report of the quoting enclave, by one byte
    forged = bytearray(evidence.quote)
    forged[632 + 4 + 128 + 6 + 70] ^= 1
    assert "dcap.qe_report.signature" in failed(judge(replace(evidence, quote=bytes(forged)), facts=facts))
    # another platform
    assert not judge(replace(evidence, platform="sgx"), facts=facts).authentic


@pytest.mark.parametrize("field", ["tee_tcb_svn", "mr_signer_seam", "seam_attributes", "tee_tcb_svn_2"])
def test_what_a_td_says_of_its_platform_is_in_the_key(field):
    """The same enclave vouches for two TDs, one of which ran on another module."""
    facts = FactCache()
    first = scene("tdx", 5)
    assert judge(first.finish(), facts=facts).claims.tcb.status == "UpToDate"
    second = scene("tdx", 5)
    value = bytes([second.quote.body[field][0] ^ 8]) + second.quote.body[field][1:]
    second.quote.body[field] = value
    warm = judge(second.finish(), facts=facts)
    cold = judge(second.finish())
    assert warm.ledger == cold.ledger
    if cold.authentic:
        assert warm.claims == cold.claims
        assert field == "tee_tcb_svn_2" or warm.claims.tcb.status != "UpToDate"


def test_formats_share_no_fact():
    """A section cut from one format and put behind a body of another is no known platform."""
    facts = FactCache()
    four, five = scene("tdx", 4), scene("tdx", 5)
    five.quote = five.machine.trust_domain(mr_td=bytes(48)).draft(REPORT_DATA, version=5, td15=False)
    assert judge(four.finish(), facts=facts).authentic
    before = count(facts)
    assert judge(five.finish(), facts=facts).authentic
    assert count(facts)[0] == before[0] + 1


def test_a_refusal_is_never_remembered():
    facts = FactCache()
    stage = scene()
    evidence = stage.finish()
    flipped = bytearray(evidence.quote)
    flipped[200] ^= 1
    forged = replace(evidence, quote=bytes(flipped))
    assert failed(judge(forged, facts=facts)) == {"dcap.quote.signature": "dcap.quote.signature"}
    assert len(facts.platforms) == 0
    assert judge(evidence, facts=facts).authentic
    assert failed(judge(forged, facts=facts)) == {"dcap.quote.signature": "dcap.quote.signature"}
    stage.collateral.tcb_info["pceId"] = "0001"
    assert not judge(stage.finish(), facts=facts).authentic
    assert len(facts.platforms) == 1


def test_a_forged_signature_is_refused_warm_as_well():
    facts = FactCache()
    evidence = scene().finish()
    judge(evidence, facts=facts)
    for signature in (bytes(64), b"\xff" * 64, evidence.quote[700:764]):
        forged = evidence.quote[:636] + signature + evidence.quote[700:]
        warm = judge(replace(evidence, quote=forged), facts=facts)
        cold = judge(replace(evidence, quote=forged))
        assert failed(warm) == {"dcap.quote.signature": "dcap.quote.signature"}
        assert [(c.id, c.outcome, c.code) for c in warm.ledger] == [
            (c.id, c.outcome, c.code) for c in cold.ledger
        ]
        assert not warm.authentic


def test_known_collateral_and_a_known_chain_are_used_again():
    facts = FactCache()
    judge(scene().finish(), facts=facts)
    assert count(facts) == (1, 1, 1)
    other = scene()
    other.quote_from(INTEL.machine("another machine"))
    assert judge(other.finish(), facts=facts).authentic
    assert count(facts) == (2, 2, 1)
    same = scene()
    same.quote.qe_auth = b"a new attestation key's data"
    assert judge(same.finish(), facts=facts).authentic
    assert count(facts) == (3, 2, 1)


def test_known_collateral_does_not_hide_a_revocation():
    facts = FactCache()
    victim = INTEL.machine("victim")
    first = scene()
    first.collateral.pck_crl.revoked.append(victim.pck.certificate.serial_number)
    assert judge(first.finish(), facts=facts).authentic
    second = scene()
    second.quote_from(victim)
    second.collateral.pck_crl.revoked.append(victim.pck.certificate.serial_number)
    assert failed(judge(second.finish(), facts=facts)) == {"dcap.pck_crl.revoked": "dcap.pck_crl.revoked"}


def test_a_cache_of_one_entry_is_enough():
    facts = FactCache(max_entries=1)
    for seed in ("a", "b", "a", "b"):
        stage = scene()
        stage.quote_from(INTEL.machine(seed))
        assert judge(stage.finish(), facts=facts).authentic


def test_real_facts_expire():
    """A genuine platform, warm, a day after its collateral ended."""
    quote = vectors.read("tdx/phala-dcap-qvl/quote_v4.bin")
    collateral = collateral_of("tdx/phala-dcap-qvl/quote_v4.collateral.json")
    facts = FactCache()

    def at(text):
        return verify_quote(
            quote,
            platform="tdx",
            collateral=collateral,
            roots=Roots.vendor(),
            now=moment(text),
            binding=Unchecked("captured"),
            facts=facts,
        )

    good = at("2025-07-04T10:16:31Z")
    assert good.authentic
    assert not good.simulated
    assert good.anchor.name == "Intel SGX Root CA"
    late = at("2025-07-19T10:16:04Z")
    assert "dcap.tcb_info.time" in failed(late)
    assert not late.authentic
    assert at("2025-07-19T10:00:35Z").authentic


# --- Callers


def call(**changes):
    evidence = scene().finish()
    arguments = {
        "platform": "tdx",
        "collateral": evidence.collateral,
        "roots": ROOTS,
        "now": NOW,
        "binding": Expected(REPORT_DATA),
        "facts": FactCache(),
    } | changes
    return verify_quote(
        changes.pop("quote", evidence.quote), **{k: v for k, v in arguments.items() if k != "quote"}
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"now": datetime(2026, 11, 21)}, "evidence.call.time"),  # noqa: DTZ001 - the defect
        ({"platform": "snp"}, "evidence.call.platform"),
        ({"platform": "TDX"}, "evidence.call.platform"),
        ({"binding": None}, "evidence.call.type"),
        ({"binding": REPORT_DATA}, "evidence.call.type"),
        ({"binding": Expected("x" * 64)}, "evidence.call.type"),
        ({"binding": Expected(bytearray(REPORT_DATA))}, "evidence.call.type"),
        ({"quote": bytearray(100)}, "evidence.call.type"),
        ({"quote": "x"}, "evidence.call.type"),
    ],
)
def test_errors_of_the_caller_are_raised(changes, code):
    with pytest.raises(EvidenceError) as error:
        call(**changes)
    assert error.value.code == code


@pytest.mark.parametrize("missing", ["platform", "collateral", "roots", "now", "binding", "facts"])
def test_nothing_that_decides_has_a_default(missing):
    evidence = scene().finish()
    arguments = {
        "platform": "tdx",
        "collateral": None,
        "roots": ROOTS,
        "now": NOW,
        "binding": Unchecked("x"),
        "facts": FactCache(),
    }
    del arguments[missing]
    with pytest.raises(TypeError, match=missing):
        verify_quote(evidence.quote, **arguments)


def test_how_little_of_a_quote_is_looked_at():
    nine = b"\x09\0"
    assert failed(call(quote=nine.ljust(53, b"\0"))) == {"dcap.quote.layout": "dcap.quote.truncated"}
    assert failed(call(quote=nine.ljust(54, b"\0"))) == {"dcap.quote.version": "dcap.quote.version"}


def test_messages_name_the_part():
    quote = scene().finish().quote
    for cut, part in (
        (4 + 128 + 5, "certification header"),
        (4 + 128 + 6, "outer"),
        (4 + 128 + 6 + 384 + 64, ""),
    ):
        data = quote[:632] + (cut - 4).to_bytes(4, "little") + quote[636 : 632 + cut]
        assert part in call(quote=data).ledger["dcap.quote.layout"].reason
    stage = scene()
    stage.quote.inner_type = 3
    assert "inner" in judge(stage.finish()).ledger["dcap.quote.certification"].reason


@pytest.mark.parametrize(("kind", "said"), [(1, "PPID"), (2, "PPID"), (3, "PPID"), (4, "alone"), (7, "")])
def test_other_certification_data_than_a_chain_is_named_and_what_to_do(kind, said):
    stage = scene("sgx", 3)
    stage.quote.inner_type = kind
    check = judge(stage.finish()).ledger["dcap.quote.certification"]
    assert check.code == "dcap.quote.certification_type"
    assert said in check.reason
    assert ("provisioning service" in check.reason) is bool(said)


def test_the_outer_certification_data_is_named():
    stage = scene()
    for kind in (4, 5):
        stage.quote.outer_type = kind
        check = judge(stage.finish()).ledger["dcap.quote.certification"]
        assert check.code == "dcap.quote.certification_type"
        assert check.reason == f"The outer certification data has type {kind}, not 6."


@pytest.mark.parametrize("size", [0, 1, 47, 48, 53, 54, 431, 436, 500, 631, 635, 700, 1000])
@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x04\0\x02\0\x81\0\0\0"])
def test_anything_at_all_is_a_refusal_and_no_exception(size, fill):
    data = (fill * size)[:size]
    for platform in ("tdx", "sgx"):
        result = call(quote=data, platform=platform)
        assert len(result.ledger.failed()) == 1
        assert result.anchor is None
        assert dict(result.decoded) == {}
        assert result.signed_digest == hashlib.sha256(data).digest()
        assert [(r.start, r.end) for r in result.unsigned] == [(0, size)]
        assert result.ledger[f"{platform}.binding"].outcome is Outcome.NOT_CHECKED


def test_what_a_quote_is_refused_for_survives_a_process_boundary():
    with pytest.raises(QuoteError) as caught:
        parse_quote(b"", "tdx")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.spec.id, again.code, again.message) == (
        caught.value.spec.id,
        caught.value.code,
        caught.value.message,
    )

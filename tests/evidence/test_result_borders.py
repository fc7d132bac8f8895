"""When a result is authentic and bound, and where the fields of SGX and TDX reports stand."""

from __future__ import annotations

import pytest

from assay.errors import EvidenceError
from assay.evidence.ledger import CheckSpec, LedgerBuilder
from assay.evidence.sgx.report import SgxReport, reserved_is_zero
from assay.evidence.tdx.report import TdReport
from assay.evidence.verification import Anchor, EvidenceResult, UnsignedRegion, fingerprint

FIRST = CheckSpec("a.first", "the first check", "a test")
BINDING = CheckSpec("a.binding", "the binding", "a test")
LAST = CheckSpec("a.last", "the last check", "a test")
PINNED = Anchor(b"f" * 32, "a root", simulated=False)
CLAIMS = object()


def result(
    first: str, binding: str, last: str = "passed", *, anchor=PINNED, claims=CLAIMS, check="a.binding"
):
    """Return a result of three checks with these outcomes."""
    ledger = LedgerBuilder((FIRST, BINDING, LAST))
    for spec, outcome in ((FIRST, first), (BINDING, binding), (LAST, last)):
        match outcome:
            case "passed":
                ledger.passed(spec)
            case "failed":
                ledger.failed(spec, f"{spec.id}.defect", "It is wrong.")
            case "not_applicable":
                ledger.not_applicable(spec, "it does not apply")
            case _:
                ledger.not_checked(spec, f"{spec.id}.missing", "not checked: a test")
    return EvidenceResult(
        platform="a",
        ledger=ledger.close(),
        binding_check=check,
        anchor=anchor,
        signed_digest=bytes(32),
        unsigned=(UnsignedRegion(0, 1, "a byte"),),
        needs=(),
        decoded={},
        _claims=claims,
    )


@pytest.mark.parametrize(
    ("outcomes", "authentic", "bound"),
    [
        (("passed", "passed", "passed"), True, True),
        (("not_applicable", "passed", "not_applicable"), True, True),
        (("passed", "not_checked", "passed"), True, False),
        (("passed", "not_applicable", "passed"), True, False),
        (("passed", "failed", "passed"), False, False),
        (("failed", "passed", "passed"), False, False),
        (("passed", "passed", "failed"), False, False),
        (("not_checked", "passed", "passed"), False, False),
        (("passed", "passed", "not_checked"), False, False),
        (("not_checked", "not_checked", "passed"), False, False),
        (("passed", "not_checked", "failed"), False, False),
    ],
)
def test_the_binding_alone_may_be_left_open(outcomes, authentic, bound):
    found = result(*outcomes)
    assert (found.authentic, found.bound) == (authentic, bound)
    if authentic:
        assert found.claims is CLAIMS
    else:
        with pytest.raises(EvidenceError) as refused:
            _ = found.claims
        assert refused.value.code == "evidence.claims.unauthenticated"


def test_without_a_root_or_claims_nothing_is_authentic():
    for found in (result("passed", "passed", anchor=None), result("passed", "passed", claims=None)):
        assert not found.authentic
        assert not found.bound
        with pytest.raises(EvidenceError, match="not authenticated") as refused:
            _ = found.claims
        assert refused.value.code == "evidence.claims.unauthenticated"
        assert refused.value.message == "These Claims cannot be read: the evidence is not authenticated."


def test_why_claims_cannot_be_read_is_the_first_unmet_check():
    with pytest.raises(EvidenceError) as refused:
        _ = result("passed", "failed", "failed").claims
    assert "(a.binding.defect: It is wrong.)" in refused.value.message


def test_a_binding_that_no_check_compares_is_an_error():
    with pytest.raises(KeyError, match=r"a\.other"):
        _ = result("passed", "passed", check="a.other").bound


@pytest.mark.parametrize(
    ("anchor", "simulated"),
    [(PINNED, False), (None, True), (Anchor(b"f" * 32, "a root", simulated=True), True)],
)
def test_what_ends_in_no_pinned_root_is_simulated(anchor, simulated):
    assert result("passed", "passed", anchor=anchor).simulated is simulated


def test_an_anchor_is_a_root_unless_it_is_said_to_be_published_keys():
    assert PINNED.published_keys is False
    assert Anchor(b"", "", simulated=True, published_keys=True).published_keys


def test_claims_are_not_shown_in_a_representation():
    assert "_claims" not in repr(result("failed", "passed"))


def test_a_fingerprint_is_a_sha256():
    assert fingerprint(b"") == bytes.fromhex(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


# --- Reports of SGX (appendix A.4) and TDX (appendix A.3)

SGX = {
    "cpu_svn": (0, 16),
    "misc_select": (16, 4),
    "reserved_1": (20, 12),
    "isv_ext_prod_id": (32, 16),
    "attributes": (48, 16),
    "mr_enclave": (64, 32),
    "reserved_2": (96, 32),
    "mr_signer": (128, 32),
    "reserved_3": (160, 32),
    "config_id": (192, 64),
    "reserved_4": (262, 42),
    "family_id": (304, 16),
    "report_data": (320, 64),
}
SGX_NUMBERS = {"isv_prod_id": 256, "isv_svn": 258, "config_svn": 260}
TDX = {
    "tee_tcb_svn": (0, 16),
    "mr_seam": (16, 48),
    "mr_signer_seam": (64, 48),
    "seam_attributes": (112, 8),
    "td_attributes": (120, 8),
    "xfam": (128, 8),
    "mr_td": (136, 48),
    "mr_config_id": (184, 48),
    "mr_owner": (232, 48),
    "mr_owner_config": (280, 48),
    "rtmr0": (328, 48),
    "rtmr1": (376, 48),
    "rtmr2": (424, 48),
    "rtmr3": (472, 48),
    "report_data": (520, 64),
}
TDX_15 = {"tee_tcb_svn_2": (584, 16), "mr_service_td": (600, 48)}
BODY = bytes((7 * index + index // 256) % 256 for index in range(700))


@pytest.mark.parametrize("offset", [0, 48])
def test_the_fields_of_an_sgx_report(offset):
    report = SgxReport.unpack(BODY, offset)
    body = BODY[offset:]
    for name, (at, size) in SGX.items():
        assert getattr(report, name) == body[at : at + size], name
    for name, at in SGX_NUMBERS.items():
        assert getattr(report, name) == int.from_bytes(body[at : at + 2], "little"), name
    assert sum(size for _, size in SGX.values()) + 2 * len(SGX_NUMBERS) == 384


@pytest.mark.parametrize("offset", [0, 48])
@pytest.mark.parametrize("size", [584, 648])
def test_the_fields_of_a_td_report(size, offset):
    report = TdReport.unpack(BODY, offset, size)
    body = BODY[offset:]
    for name, (at, length) in (TDX | (TDX_15 if size == 648 else {})).items():
        assert getattr(report, name) == body[at : at + length], name
    if size == 584:
        assert (report.tee_tcb_svn_2, report.mr_service_td) == (None, None)


@pytest.mark.parametrize("offset", [0, 48])
def test_each_reserved_byte_of_an_sgx_report_must_be_zero(offset):
    reserved = {
        index for name, (at, size) in SGX.items() if "reserved" in name for index in range(at, at + size)
    }
    for index in range(384):
        body = bytearray(offset + 384)
        body[offset + index] = 1
        assert reserved_is_zero(bytes(body), offset) is (index not in reserved), index


def test_one_bit_says_that_an_enclave_or_a_td_is_debuggable():
    for bit in range(128):
        body = bytearray(384)
        body[48 + bit // 8] = 1 << bit % 8
        assert SgxReport.unpack(bytes(body), 0).debug is (bit == 1), bit
    for bit in range(64):
        body = bytearray(584)
        body[120 + bit // 8] = 1 << bit % 8
        assert TdReport.unpack(bytes(body), 0, 584).debug is (bit == 0), bit

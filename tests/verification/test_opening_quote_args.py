"""A quote and its collateral in Borsh: opened to the last byte, and the collateral counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assay.errors import EvidenceError
from assay.evidence.dcap.collateral import Collateral
from assay.evidence.roots import Roots
from assay.evidence.verification import Unchecked
from assay.verification.opening import open_bundle, open_evidence
from support import vectors
from support.opened_quotes import judged, made

PARTS = (
    *("pck_crl_issuer_chain", "root_ca_crl", "pck_crl"),
    *("tcb_info_issuer_chain", "tcb_info", "tcb_info_signature"),
    *("qe_identity_issuer_chain", "qe_identity", "qe_identity_signature"),
)
TEXTS = {name for name in PARTS if name.endswith("chain")} | {"tcb_info", "qe_identity"}


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def written(platform: str = "tdx", end: bytes = b"\0", **changes: bytes) -> bytes:
    parts = {name: getattr(made(platform).collateral, name) for name in PARTS} | changes
    return sized(made(platform).quote) + b"".join(sized(parts[name]) for name in PARTS) + end


def code(data: bytes) -> str:
    with pytest.raises(EvidenceError) as refused:
        open_bundle(data)
    return refused.value.code


@pytest.mark.parametrize("platform", ["sgx", "tdx"])
def test_the_collateral_behind_a_quote_vouches_for_it(platform):
    found = open_evidence(written(platform))
    assert (found.platform, found.evidence, found.unverified) == (platform, made(platform).quote, ())
    assert found.form == f"{len(found.evidence)} bytes, from a verifier's arguments with collateral"
    (collateral,) = found.beside.values()
    assert Collateral.from_bundle_json(collateral) == made(platform).collateral
    evidence = judged(found)
    assert evidence.bound, evidence.ledger.unmet()


def test_collateral_that_was_changed_vouches_for_nothing():
    found = open_evidence(written(tcb_info_signature=bytes(64)))
    evidence = judged(found)
    assert "dcap.tcb_info.signature" in {check.id for check in evidence.ledger.failed()}


def test_the_certificates_at_the_end_are_named():
    found = open_evidence(written(end=b"\1" + sized(b"PEM")))
    assert found.unverified == ("collateral.pck_certificate_chain",)


MALFORMED = {
    "no end": b"",
    "neither of both": b"\2",
    "a byte behind it": b"\0\0",
    "an end without its text": b"\1",
    "an end inside of its text": b"\1" + sized(b"PEM")[:-1],
    "an end that is no text": b"\1" + sized(b"\xff"),
    "a byte behind the text": b"\1" + sized(b"PEM") + b"\0",
}


@pytest.mark.parametrize("end", MALFORMED.values(), ids=MALFORMED.keys())
def test_another_end_is_refused(end):
    assert code(written(end=end)) == "verification.evidence.unrecognised"


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_text_that_is_none_is_refused(name):
    assert code(written(**{name: b"\xff"})) == "verification.evidence.unrecognised"


def test_collateral_that_is_cut_off_is_refused_wherever_it_is():
    whole, quote = written(), 4 + len(made("tdx").quote)
    for end in {quote, quote + 3, *range(quote + 4, len(whole), 997), len(whole) - 1}:
        assert code(whole[:end]) == "verification.evidence.unrecognised"


@pytest.mark.parametrize("first", [0x0A, 0x72, 0xA2])
def test_a_length_may_begin_like_another_projects_file(first):
    quote = made("tdx").quote
    longer = quote.ljust(len(quote) + (first - len(quote)) % 256, b"\0")
    whole = sized(longer) + written(pck_crl=b"certs")[4 + len(quote) :]
    assert (whole[0], open_evidence(whole).evidence) == (first, longer)


def test_what_is_no_quote_behind_its_length_is_no_evidence():
    rest = written()[4 + len(made("tdx").quote) :]
    for quote in (b"", made("tdx").quote[:431], b"\7" + made("tdx").quote[1:]):
        assert code(sized(quote) + rest) == "verification.evidence.unrecognised"
    assert code(sized(made("tdx").quote)[:-1]) == "verification.evidence.unrecognised"


def test_a_real_one():
    """A quote of dstack's with the collateral of August 2026, which also came as two files."""
    found = open_evidence(vectors.read("tdx/near-mpc/verify_quote_args.borsh"))
    assert found.evidence == vectors.read("tdx/near-mpc/quote.bin")
    assert found.unverified == ("collateral.pck_certificate_chain",)
    at = datetime(2026, 8, 28, 5, 21, 24, tzinfo=UTC)
    evidence = judged(found, binding=Unchecked("a stored sample"), roots=Roots.vendor(), now=at)
    assert evidence.authentic, evidence.ledger.unmet()
    (collateral,) = found.beside.values()
    other = Collateral.from_bundle_json(vectors.read("tdx/near-mpc/quote.collateral.json"))
    assert Collateral.from_bundle_json(collateral) == other

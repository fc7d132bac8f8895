"""Choosing collateral among files."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from assay.errors import EndorsementError
from assay.verification.collateral import PCS_FILES, candidates, choose, read_bundle
from support import vectors

FILES = {path.name: path.read_bytes() for path in (vectors.ROOT / "tdx/assembled").iterdir()}
SGX = {path.name: path.read_bytes() for path in (vectors.ROOT / "sgx/assembled").iterdir()}


def chosen(at: str, files: dict[str, bytes] | None = None, **key: str) -> str | None:
    found = choose(FILES if files is None else files, key, datetime.fromisoformat(at).replace(tzinfo=UTC))
    return None if found is None else found.name


def test_the_bundle_that_holds_at_the_time_comes_first() -> None:
    assert (
        chosen("2026-03-10", fmspc="b0c06f000000", tee="tdx")
        == "b0c06f000000-2026-03-01-eval18-f988c8.collateral.json"
    )
    assert (
        chosen("2026-08-20", fmspc="b0c06f000000", tee="tdx")
        == "b0c06f000000-2026-08-13-eval20-221d70.collateral.json"
    )


def test_of_those_that_do_not_hold_the_latest_recovery_comes_first() -> None:
    assert (
        chosen("2030-01-01", fmspc="b0c06f000000") == "b0c06f000000-2026-08-13-eval20-221d70.collateral.json"
    )


@pytest.mark.parametrize(
    "key",
    [
        {"fmspc": "ffffffffffff"},
        {"fmspc": "b0c06f000000", "tee": "sgx"},
        {"fmspc": "b0c06f000000", "ca": "processor"},
        {"tee": "sgx"},
        {"fmspc": ""},
    ],
)
def test_what_does_not_fit_is_not_chosen(key: dict[str, str]) -> None:
    assert chosen("2026-08-20", **key) is None


def test_the_kind_of_tee_decides_between_documents_of_one_family() -> None:
    both = {**FILES, **SGX}
    name = chosen("2025-06-10", both, fmspc="00606a000000", tee="sgx", ca="platform")
    assert name is not None
    assert name in SGX


def test_the_case_of_a_family_does_not_count() -> None:
    assert chosen("2026-08-20", fmspc="B0C06F000000") is not None


def test_files_that_are_no_bundles_are_passed_over() -> None:
    junk = {
        "a.json": b"{}",
        "b.json": b"\xff",
        "c.txt": b"",
        "d.json": b"[" * 100_000,
        "tcb_info.json": b"{}",
    }
    name = "b0c06f000000-2026-08-13-eval20-221d70.collateral.json"
    assert [found.name for found in candidates({**junk, name: FILES[name]})] == [name]


NEWEST = "b0c06f000000-2026-08-13-eval20-221d70.collateral.json"


@pytest.mark.parametrize(
    ("crl", "fitting"),
    [
        (None, {"platform", "", "another"}),
        (vectors.read("sgx/mobilecoin/processor_crl.der"), {"processor", "", "another"}),
        (b"\x30\x00", {"", "another"}),
    ],
)
def test_the_authority_is_told_by_the_issuer_of_the_list(crl: bytes | None, fitting: set[str]) -> None:
    """What the key does not name, or names by a word that is not known, fits anything."""
    bundle = json.loads(FILES[NEWEST])
    files = {"a.json": json.dumps(bundle if crl is None else bundle | {"pck_crl": crl.hex()}).encode()}
    for ca in ("platform", "processor", "another"):
        assert (chosen("2026-08-20", files, ca=ca) is not None) is (ca in fitting)
    assert chosen("2026-08-20", files) == "a.json"


def test_what_is_no_bundle_hides_none() -> None:
    files = {"0.txt": FILES[NEWEST], "1.json": b"{}", "2.json": FILES[NEWEST], "tcb_info.json": FILES[NEWEST]}
    assert [found.name for found in candidates(files)] == ["2.json"]


def _signed(name: str, value: str, signature: str) -> bytes:
    return f'{{"{name}":{value},"signature":"{signature}"}}'.encode()


def test_raw_answers_of_the_service_are_assembled() -> None:
    bundle = json.loads(FILES["b0c06f000000-2026-08-13-eval20-221d70.collateral.json"])
    answers = {
        "tcb_info": _signed("tcbInfo", bundle["tcb_info"], bundle["tcb_info_signature"]),
        "qe_identity": _signed("enclaveIdentity", bundle["qe_identity"], bundle["qe_identity_signature"]),
        "pck_crl": bytes.fromhex(bundle["pck_crl"]),
        "root_ca_crl": bytes.fromhex(bundle["root_ca_crl"]),
        **{name: bundle[name].encode() for name in PCS_FILES if name.endswith("_chain")},
    }
    files = {PCS_FILES[part]: data for part, data in answers.items()}
    found = choose(files, {"fmspc": "b0c06f000000"}, datetime(2026, 8, 20, tzinfo=UTC))
    assert found is not None
    assert found.name == "tcb_info.json"
    assert found.collateral.tcb_info == bundle["tcb_info"].encode()
    assert set(files) == {
        "tcb_info.json",
        "tcb_info_issuer_chain.pem",
        "qe_identity.json",
        "qe_identity_issuer_chain.pem",
        "pck_crl.der",
        "pck_crl_issuer_chain.pem",
        "root_ca_crl.der",
    }
    assert choose(files | {"tcb_info.json": b"{}"}, {}, datetime(2026, 8, 20, tzinfo=UTC)) is None
    files.pop("pck_crl.der")
    assert choose(files, {}, datetime(2026, 8, 20, tzinfo=UTC)) is None


def test_one_bundle_is_read_whatever_its_file_is_called() -> None:
    assert read_bundle(FILES[NEWEST], "x").tcb_info == json.loads(FILES[NEWEST])["tcb_info"].encode()


@pytest.mark.parametrize("data", [b"{}", b"[]", b"\xff", b"", b'{"tcb_info": 7}'])
def test_one_bundle_that_is_none_says_which_file(data: bytes) -> None:
    with pytest.raises(EndorsementError) as caught:
        read_bundle(data, "bundle.json")
    assert caught.value.code == "endorsements.collateral.malformed"
    assert caught.value.message.startswith("bundle.json is ")

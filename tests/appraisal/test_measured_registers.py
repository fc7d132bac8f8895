"""The shipped policy ``strict``, and the word with which it demands what a launch need not measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assay.appraisal import Policy
from assay.errors import PolicyError
from assay.evidence.snp.claims import TcbVersion
from assay.evidence.snp.products import Product
from support.appraisal_evidence import VENDOR, authentic, failures, judged, sgx
from support.appraisal_nitro import AWS, CLAIMS
from support.appraisal_snp import ARK, SNP

STRICT = Policy.shipped("strict")
WORD = "reference-if-measured"
PATCHED = TcbVersion(Product.GENOA, bytes([10, 0, 0, 0, 0, 0, 23, 84]))
ENCLAVE = sgx()
PARTS: dict[str, tuple[Any, Any, tuple[str, ...], tuple[str, ...]]] = {
    "nitro": (CLAIMS, AWS, ("pcr0", "pcr1", "pcr2"), ("pcr3", "pcr4", "pcr8")),
    "snp": (
        replace(SNP, reported_tcb=PATCHED),
        ARK,
        ("measurement", "host_data"),
        ("id_key_digest", "author_key_digest"),
    ),
    "sgx": (ENCLAVE, VENDOR, ("mr_enclave", "mr_signer", "config_id"), ()),
}
OPTIONAL = [(platform, name) for platform, parts in PARTS.items() for name in parts[3]]
EVERY = [(platform, name) for platform, parts in PARTS.items() for name in (*parts[2], *parts[3])]


def held(claims: Any, name: str) -> bytes:
    if name.startswith("pcr"):
        return bytes(claims.pcrs[int(name[3:])])
    return bytes(getattr(claims, name))


def holding(claims: Any, name: str, value: bytes) -> Any:
    if name.startswith("pcr"):
        return replace(claims, pcrs=claims.pcrs | {int(name[3:]): value})
    return replace(claims, **{name: value})


def references(platform: str, *without: str) -> dict[str, frozenset[bytes]]:
    claims, _, demanded, optional = PARTS[platform]
    return {name: frozenset({held(claims, name)}) for name in (*demanded, *optional) if name not in without}


def refusals(
    platform: str, claims: Any, given: dict[str, frozenset[bytes]], by: Policy = STRICT
) -> list[str]:
    made = authentic(platform, claims, PARTS[platform][1])
    return failures(judged(made, by, references=given))


@pytest.mark.parametrize("platform", PARTS)
def test_strict_accepts_what_reference_values_name(platform: str) -> None:
    assert refusals(platform, PARTS[platform][0], references(platform)) == []


@pytest.mark.parametrize(("platform", "name"), EVERY)
def test_strict_refuses_each_register_without_a_reference_value_or_with_another(
    platform: str, name: str
) -> None:
    claims = PARTS[platform][0]
    path = f"policy.{platform}.{name}"
    assert refusals(platform, claims, references(platform, name)) == [f"{path}.no_reference"]
    other = holding(claims, name, b"\x99" * len(held(claims, name)))
    assert refusals(platform, other, references(platform)) == [f"{path}.mismatch"]


@pytest.mark.parametrize(("platform", "name"), OPTIONAL)
def test_a_register_that_was_not_measured_needs_no_reference_value(platform: str, name: str) -> None:
    claims = PARTS[platform][0]
    zero = holding(claims, name, bytes(len(held(claims, name))))
    assert refusals(platform, zero, references(platform, name)) == []
    # One that was given is meant: an image that nobody signed is not the signed one.
    assert refusals(platform, zero, references(platform)) == [f"policy.{platform}.{name}.mismatch"]


def test_a_register_that_the_document_does_not_hold_was_not_shown_to_be_zero() -> None:
    pcrs = {index: value for index, value in CLAIMS.pcrs.items() if index != 8}
    lacking = replace(CLAIMS, pcrs=pcrs)
    assert refusals("nitro", lacking, references("nitro", "pcr8")) == ["policy.nitro.pcr8.no_reference"]


@pytest.mark.parametrize(
    "line",
    [
        f'[nitro]\npcr0 = "{WORD}"',
        f'[nitro]\npcr7 = "{WORD}"',
        f'[snp]\nmeasurement = "{WORD}"',
        f'[snp]\nhost_data = "{WORD}"',
        f'[sgx]\nmr_signer = "{WORD}"',
    ],
)
def test_no_register_that_says_what_runs_may_be_left_unmeasured(line: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.load(f'version = 1\nplatforms = ["nitro", "snp", "sgx"]\n{line}\n'.encode(), name="test")
    assert caught.value.code == "policy.type"


def test_what_an_instance_booted_may_not_be_left_unmeasured() -> None:
    text = f'version = 1\nplatforms = ["nitro", "nitro-tpm"]\n[nitro]\npcr4 = "{WORD}"\npcr7 = "reference"\n'
    with pytest.raises(PolicyError) as caught:
        Policy.load(text.encode(), name="test")
    assert (caught.value.code, caught.value.detail["path"]) == ("policy.contradiction", "nitro.pcr4")
    enclaves = text.replace(', "nitro-tpm"', "")
    assert Policy.load(enclaves.encode(), name="test").document.nitro.pcr4.if_measured


def test_a_signer_beside_the_enclaves_own_measurement_is_no_loophole() -> None:
    text = 'version = 1\nplatforms = ["sgx"]\n[sgx]\nmr_enclave = "reference"\nmr_signer = "reference"\n'
    by = Policy.load(text.encode(), name="test")
    assert by.gate
    given = references("sgx")
    assert refusals("sgx", ENCLAVE, given, by) == []
    old = holding(ENCLAVE, "mr_enclave", b"\x99" * 32)
    assert refusals("sgx", old, given, by) == ["policy.sgx.mr_enclave.mismatch"]

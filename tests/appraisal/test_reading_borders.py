"""Which keys may make files known, and what a policy says of the company that it demands."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.appraisal import Policy
from assay.appraisal.rules.context import company_defect
from assay.errors import PolicyError


def spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()


def known(digits: str) -> Policy:
    text = f'version = 1\nplatforms = ["tpm"]\naccept = ["host-tpm"]\n[ima]\nknown = ["key:{digits}"]\n'
    return Policy.load(text.encode(), name="test")


@pytest.mark.parametrize(("bits", "accepted"), [(1024, False), (2047, False), (2048, True), (4096, True)])
def test_an_rsa_key_that_makes_files_known_has_2048_bits(bits: int, accepted: bool) -> None:
    key = spki(rsa.RSAPublicNumbers(65537, (1 << bits) - 1).public_key())
    if accepted:
        assert known(key).document.ima.known == (f"key:{key}",)
        return
    with pytest.raises(PolicyError) as found:
        known(key)
    assert found.value.code == "policy.value"
    assert found.value.detail == {"path": "ima.known[0]"}


def test_keys_on_curves_make_files_known_and_other_keys_do_not() -> None:
    assert known(spki(ec.derive_private_key(5, ec.SECP256R1()).public_key()))
    for digits in (spki(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()), "3000"):
        with pytest.raises(PolicyError) as found:
            known(digits)
        assert found.value.code == "policy.value"


@pytest.mark.parametrize(
    ("company", "what", "there"),
    [
        (("tdx", "nvidia-gpu", "nvidia-gpu"), None, ""),
        (("nvidia-gpu", "tdx", "nvidia-gpu"), None, ""),
        (("tdx", "nvidia-gpu", "nvidia-gpu", "tpm"), None, ""),
        ((), "alone", "this was appraised alone"),
        (("tdx", "nvidia-gpu"), "missing", "there is tdx, nvidia-gpu"),
        (("nvidia-gpu", "nvidia-gpu"), "missing", "there is nvidia-gpu (2 times)"),
        (("tdx", *["nvidia-gpu"] * 3), "repeated", "there is tdx, nvidia-gpu (3 times)"),
    ],
)
def test_what_is_wrong_with_the_company_is_said(
    company: tuple[str, ...], what: str | None, there: str
) -> None:
    found = company_defect(("tdx", "nvidia-gpu", "nvidia-gpu"), company)
    if what is None:
        assert found is None
        return
    assert found == (what, f"The policy demands tdx, nvidia-gpu (2 times) together; {there}.")

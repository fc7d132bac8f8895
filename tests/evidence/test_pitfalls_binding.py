"""Mistakes that verifiers have made with what ties evidence to one session, as evidence of every format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from assay.errors import EvidenceError
from assay.evidence.verification import Expected, Unchecked
from support import (
    azure_scenes,
    dcap_scenes,
    google_vm_scenes,
    nitro_scenes,
    nvidia_scenes,
    snp_scenes,
    token_scenes,
    tpm_scenes,
)


class Format(NamedTuple):
    """How evidence of a format is made and judged; ``right`` is what it carries."""

    judge: Callable[[Any], Any]
    right: bytes
    refusal: str


def _tpm(binding):
    found = tpm_scenes.draft()
    return tpm_scenes.judge(found.encode(), given=found.public, binding=binding)


def _nitro(platform: str):
    def judge(binding):
        value = binding.value if isinstance(binding, Expected) else None
        return nitro_scenes.judge(nitro_scenes.draft(platform).encode(), platform, binding=value)

    return judge


def _token(service: str, kind: str = ""):
    def judge(binding):
        stage = token_scenes.scene(service, kind)
        stage.binding = binding
        return stage.finish()

    return judge


FORMATS = {
    "tdx": Format(
        lambda binding: dcap_scenes.judge(dcap_scenes.scene().finish(), binding=binding),
        dcap_scenes.REPORT_DATA,
        "tdx.binding.mismatch",
    ),
    "sgx": Format(
        lambda binding: dcap_scenes.judge(dcap_scenes.scene("sgx", 3).finish(), binding=binding),
        dcap_scenes.REPORT_DATA,
        "sgx.binding.mismatch",
    ),
    "snp": Format(
        lambda binding: snp_scenes.judge(snp_scenes.scene().finish(), binding=binding),
        snp_scenes.REPORT_DATA,
        "snp.binding.mismatch",
    ),
    "nitro": Format(_nitro("nitro"), nitro_scenes.BINDING, "nitro.binding.mismatch"),
    "nitro-tpm": Format(_nitro("nitro-tpm"), nitro_scenes.BINDING, "nitro.binding.mismatch"),
    "tpm": Format(_tpm, tpm_scenes.NONCE, "tpm.quote.nonce.mismatch"),
    "azure-snp": Format(
        lambda binding: azure_scenes.judge(azure_scenes.scene().finish(), binding=binding),
        azure_scenes.NONCE,
        "azure.quote.nonce.mismatch",
    ),
    "azure-tdx": Format(
        lambda binding: azure_scenes.judge(azure_scenes.scene("azure-tdx").finish(), binding=binding),
        azure_scenes.NONCE,
        "azure.quote.nonce.mismatch",
    ),
    "gcp-vtpm": Format(
        lambda binding: google_vm_scenes.judge(google_vm_scenes.scene().finish(), binding=binding),
        google_vm_scenes.NONCE,
        "google_vm.quote.nonce.mismatch",
    ),
    "nvidia-gpu": Format(
        lambda binding: nvidia_scenes.judge(nvidia_scenes.scene().finish(), binding=binding),
        nvidia_scenes.NONCE,
        "nvidia.binding.mismatch",
    ),
    "confidential-space": Format(
        _token("confidential-space"), token_scenes.NONCE, "confidential_space.binding.mismatch"
    ),
    "confidential-space under a chain": Format(
        _token("confidential-space", "pki"), token_scenes.NONCE, "confidential_space.binding.mismatch"
    ),
    "maa": Format(_token("maa"), token_scenes.NONCE, "maa.binding.mismatch"),
    "trust-authority": Format(
        _token("trust-authority"), token_scenes.NONCE, "trust_authority.binding.mismatch"
    ),
    "nras": Format(_token("nras"), token_scenes.NONCE, "nras.binding.mismatch"),
}


@pytest.fixture(params=FORMATS)
def form(request) -> Format:
    found = FORMATS[request.param]
    assert found.judge(Expected(found.right)).bound
    return found


@pytest.mark.parametrize("length", [1, 8, -1])
def test_a_beginning_of_what_is_carried_is_not_enough(form, length):
    """A comparison of prefixes lets whoever chooses the expectation's length choose what is compared."""
    _refused(form, form.right[:length])


def test_what_begins_with_what_is_carried_is_not_enough(form):
    _refused(form, form.right + b"\0")


def test_another_session_is_refused(form):
    _refused(form, bytes(byte ^ 1 for byte in form.right))


def test_an_expectation_of_nothing_binds_nothing(form):
    """Evidence without a nonce would fit it, whoever it was made for."""
    try:
        _refused(form, b"")
    except EvidenceError as error:
        assert error.code.startswith("evidence.call.")  # noqa: PT017 - formats of one size compare, others refuse


def test_no_expectation_is_a_word_that_is_said_and_seen(form):
    """An argument that is left out would switch the comparison off where nobody sees it."""
    result = form.judge(Unchecked("nobody asked"))
    assert result.authentic
    assert not result.bound


def _refused(form: Format, expected: bytes) -> None:
    result = form.judge(Expected(expected))
    assert form.refusal in [check.code for check in result.ledger.failed()]
    assert not result.bound

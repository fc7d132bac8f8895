"""Roots: what makes evidence hardware evidence, and what can never be an anchor."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.pinned import INTEL_SGX_ROOT_CA, INTEL_SGX_ROOT_CA_FINGERPRINT
from assay.evidence.roots import (
    MAX_ANCHORS,
    PUBLISHED_TEST_ROOTS,
    VENDOR_ROOTS,
    Root,
    Roots,
)
from assay.simulator.intel import Installation
from support import vectors
from support.dcap_scenes import INTEL

# SHA-256 of certificate and of SubjectPublicKeyInfo, as published with the evidence specification.
PUBLISHED = {
    "Intel SGX Root CA": (
        "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
        "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e",
    ),
}


def code(call) -> str:
    with pytest.raises(EvidenceError) as error:
        call()
    return error.value.code


def test_fingerprints_are_those_of_the_certificates_and_the_published_ones():
    assert {root.name for root in VENDOR_ROOTS.values()} == set(PUBLISHED)
    for mark, root in VENDOR_ROOTS.items():
        certificate, key = PUBLISHED[root.name]
        assert hashlib.sha256(root.der).digest() == mark == bytes.fromhex(certificate)
        public = x509.load_der_x509_certificate(root.der).public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert hashlib.sha256(spki).hexdigest() == key
    assert hashlib.sha256(INTEL_SGX_ROOT_CA).digest() == INTEL_SGX_ROOT_CA_FINGERPRINT


def test_the_pinned_root_is_what_its_comment_says():
    root = Roots.vendor().intel[0].certificate
    assert root.serial.hex() == "22650cd65a9d3489f383b49552bf501b392706ac"
    assert root.window.start == datetime(2018, 5, 21, 10, 45, 10, tzinfo=UTC)
    assert root.window.end == datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_tables_cannot_be_changed():
    with pytest.raises(TypeError):
        VENDOR_ROOTS[b"x" * 32] = next(iter(VENDOR_ROOTS.values()))
    with pytest.raises(TypeError):
        PUBLISHED_TEST_ROOTS[b"x" * 32] = "x"
    with pytest.raises(FrozenInstanceError):
        Roots.vendor().entries = ()
    with pytest.raises(FrozenInstanceError):
        Roots.vendor().intel[0].anchor = None


def test_only_the_vendor_table_makes_hardware():
    vendor = Roots.vendor()
    assert [root.anchor.simulated for root in vendor.entries] == [False]
    roots = vendor.with_anchor("Intel SGX Root CA of mine", INTEL.root_der)
    impostor = "Intel SGX Root CA"
    assert code(lambda: vendor.with_anchor(impostor, INTEL.root_der)) == "roots.anchor.name"
    assert vendor.with_anchor(impostor, INTEL_SGX_ROOT_CA) is vendor
    mine = roots.intel[-1]
    assert mine.anchor.simulated
    assert mine.anchor.fingerprint == hashlib.sha256(INTEL.root_der).digest()
    assert [root.anchor.simulated for root in roots.entries] == [False, True]
    assert vendor.entries == Roots.vendor().entries
    assert Root("intel", "my own name", INTEL_SGX_ROOT_CA).anchor.name == "Intel SGX Root CA"
    assert vendor.with_anchor("again", INTEL_SGX_ROOT_CA) is vendor


def test_digests_tell_sets_of_roots_apart():
    vendor = Roots.vendor()
    other = Installation(b"\x09" * 32).root_der
    digests = {
        vendor.digest,
        vendor.with_anchor("a", INTEL.root_der).digest,
        vendor.with_anchor("b", INTEL.root_der).digest,
        vendor.with_anchor("a", other).digest,
        vendor.with_anchor("a", INTEL.root_der, vendor="amd").digest,
        Roots(()).digest,
    }
    assert len(digests) == 6
    assert all(len(digest) == 32 for digest in digests)
    assert vendor.with_anchor("a", INTEL.root_der, vendor="amd").intel == vendor.intel


@pytest.mark.parametrize("mark", PUBLISHED_TEST_ROOTS, ids=lambda mark: mark.hex()[:8])
def test_published_test_roots_are_never_anchors(mark, monkeypatch):
    """The bytes of most are not at hand: the digest stands for them."""

    class Digest:
        def digest(self):
            return mark

    monkeypatch.setattr("assay.evidence.roots.hashlib.sha256", lambda data: Digest())
    assert code(lambda: Roots.vendor().with_anchor("mine", b"their bytes")) == "roots.published_test_root"
    assert code(lambda: Root("intel", "mine", b"their bytes")) == "roots.published_test_root"


def test_published_roots_among_the_vectors_are_refused():
    mock = vectors.read("tdx/flashbots-attested-tls/mock-root-ca.der")
    assert code(lambda: Roots.vendor().with_anchor("mock", mock)) == "roots.published_test_root"


def test_anchors_that_are_refused():
    vendor = Roots.vendor()
    der = INTEL.root_der
    for name, data in (
        ("", der),
        ("x" * 65, der),
        ("a\nb", der),
        ("mine", b""),
        ("mine", bytes(4097)),
        ("mine", b"no certificate"),
        ("mine", der + b"\0"),
    ):
        assert code(lambda name=name, data=data: vendor.with_anchor(name, data)) == "roots.anchor.malformed"
    assert vendor.with_anchor("x" * 64, der).intel[-1].anchor.name == "x" * 64
    roots = vendor
    for number in range(1, MAX_ANCHORS):
        roots = roots.with_anchor("mine", Installation(bytes([100 + number]) * 32).root_der)
    assert len(roots.entries) == MAX_ANCHORS
    assert code(lambda: roots.with_anchor("mine", der)) == "roots.anchor.too_many"

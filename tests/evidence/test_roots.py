"""Roots: what makes evidence hardware evidence, and what can never be an anchor."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.pinned import INTEL_SGX_ROOT_CA, INTEL_SGX_ROOT_CA_FINGERPRINT
from assay.evidence.roots import (
    MAX_ANCHOR_BYTES,
    MAX_ANCHORS,
    PUBLISHED_TEST_ROOTS,
    VENDOR_ROOTS,
    VENDORS,
    Root,
    Roots,
)
from assay.simulator.intel import Installation
from support import vectors
from support.dcap_scenes import INTEL
from support.sized_certificates import certificate_of

# SHA-256 of certificate and of SubjectPublicKeyInfo, the latter as far as it is published.
PUBLISHED = {
    "Intel SGX Root CA": (
        "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
        "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e",
    ),
    "AMD ARK-Milan": (
        "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
        "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    ),
    "AMD ARK-Genoa": (
        "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
        "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    ),
    "AMD ARK-Turin": (
        "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
        "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
    ),
    "AWS Nitro Enclaves Root G1": (
        "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
        "f2caf5ecc6190b4a8399b78bc58a2bbcd0382375db8a1bfd78a82743874fd225",
    ),
    "Google Confidential Space Root CA": (
        "148b293821bb0c6a317f413c8ba475814091cb22d49b9e3c94198db8e8f86c39",
        "40b464f4d4ff947572c6b23869a7bccae3f69ba9c81ade6c09d035e4657e40c4",
    ),
    "Google EK/AK CA Root": (
        "594759594b9b61524f6c8ef668f7177f7b9066bc0674f2f49fe9e052be78beb2",
        "56a613f5",
    ),
    "Azure Virtual TPM Root Certificate Authority 2023": (
        "e6c596b17f8ffefba5c300f714cfb1260c6028704ecf7becc4ab5018efb00e95",
        "5cbc52672ae101263c2976736044a964c1182ce9412c39937183baddcccb8cdf",
    ),
    "NVIDIA Device Identity CA": (
        "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
        "a90c4eb5acfd3e3d03a25db6a26b84f720ad0503196c627c21ddd48dd85b06a4",
    ),
    "NVIDIA CoRIM signing Root CA": (
        "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1",
        "dec1dc31",
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
        assert hashlib.sha256(spki).hexdigest().startswith(key)
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
    assert len(vendor.entries) == len(VENDOR_ROOTS)
    assert not any(root.anchor.simulated for root in vendor.entries)
    roots = vendor.with_anchor("Intel SGX Root CA of mine", INTEL.root_der)
    impostor = "Intel SGX Root CA"
    assert code(lambda: vendor.with_anchor(impostor, INTEL.root_der)) == "roots.anchor.name"
    assert vendor.with_anchor(impostor, INTEL_SGX_ROOT_CA) is vendor
    mine = roots.intel[-1]
    assert mine.anchor.simulated
    assert mine.anchor.fingerprint == hashlib.sha256(INTEL.root_der).digest()
    assert [root.anchor.simulated for root in roots.entries[len(VENDOR_ROOTS) :]] == [True]
    assert vendor.entries == Roots.vendor().entries
    assert Root("intel", "my own name", INTEL_SGX_ROOT_CA).anchor.name == "Intel SGX Root CA"
    assert vendor.with_anchor("again", INTEL_SGX_ROOT_CA) is vendor


def test_a_vendors_root_anchors_no_other_vendors_formats():
    vendor = Roots.vendor()
    for pin in VENDOR_ROOTS.values():
        (own,) = (root for root in vendor.of(pin.vendor) if root.der == pin.der)
        assert not own.anchor.simulated
        assert own.decode().der == pin.der
        other = "amd" if pin.vendor != "amd" else "aws"
        moved = vendor.with_anchor("moved", pin.der, vendor=other).of(other)[-1]
        assert moved.anchor.simulated
        assert moved.anchor.name == "moved"
        assert code(lambda pin=pin, other=other: vendor.with_anchor(pin.name, pin.der, vendor=other)) == (
            "roots.anchor.name"
        )
    assert code(lambda: vendor.with_anchor("mine", INTEL.root_der, vendor="acme")) == "roots.anchor.malformed"


def test_roots_are_read_as_their_vendor_writes_them():
    vendor = Roots.vendor()
    assert vendor.of("amd")[0].general.common_name == "ARK-Milan"
    with pytest.raises(DerError, match="another vendor"):
        vendor.of("amd")[0].certificate  # noqa: B018 - reading it is what raises
    vendor.intel[0].decode()
    with pytest.raises(DerError, match="Intel's"):
        vendor.intel[0].general  # noqa: B018 - the same


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
    for number in range(MAX_ANCHORS - len(VENDOR_ROOTS)):
        roots = roots.with_anchor("mine", Installation(bytes([100 + number]) * 32).root_der)
    assert len(roots.entries) == MAX_ANCHORS
    assert code(lambda: roots.with_anchor("mine", der)) == "roots.anchor.too_many"


def test_the_families_that_a_root_can_anchor():
    assert VENDORS == (
        "intel",
        "amd",
        "aws",
        "google-confidential-space",
        "google-vtpm",
        "azure-vtpm",
        "nvidia",
        "nvidia-rim",
        "tpm",
    )
    assert {root.vendor for root in VENDOR_ROOTS.values()} == set(VENDORS) - {"tpm"}


def test_nobody_hands_a_root_what_follows_from_its_bytes():
    """A certificate or an anchor beside the bytes would be believed without them."""
    given: tuple[Any, ...] = ("intel", "mine", INTEL.root_der)
    root = Root(*given)
    for more in ([], [root.certificate], root.anchor):
        with pytest.raises(TypeError):
            Root(*given, more)  # type: ignore[call-arg]
    for name, value in (("anchor", root.anchor), ("_decoded", [root.certificate])):
        with pytest.raises(TypeError):
            Root(*given, **{name: value})
    for name, value in (("digest", bytes(32)), ("intel", (root,))):
        with pytest.raises(TypeError):
            Roots((root,), **{name: value})


def test_a_root_is_the_same_before_and_after_it_was_read():
    fresh, used = (Root("intel", "mine", INTEL.root_der) for _ in range(2))
    assert used.certificate is used.certificate
    assert (fresh, hash(fresh)) == (used, hash(used))
    said = f"Root(vendor='intel', name='mine', der={INTEL.root_der!r}, anchor={fresh.anchor!r})"
    assert repr(used) == repr(fresh) == said
    assert repr(Roots((fresh,))) == f"Roots(entries=({said},))"
    assert Roots((fresh,)) == Roots((used,))


def test_an_anchor_has_at_most_4096_bytes():
    found = Roots.vendor().with_anchor("mine", certificate_of(4096), vendor="aws")
    assert len(found.of("aws")[-1].der) == MAX_ANCHOR_BYTES == 4096
    refused = certificate_of(4097)
    assert code(lambda: Roots.vendor().with_anchor("mine", refused, vendor="aws")) == "roots.anchor.malformed"

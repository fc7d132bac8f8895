"""Where certificates say that their issuers publish revocation lists."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.evidence.decoding.der import DerError
from assay.evidence.x509.distribution import names_list, places_of_list
from assay.evidence.x509.general import GeneralCertificate
from support import google_vm_scenes, vectors
from support.endorsement_lists import AUTHORITY_AT, OID, ROOT_AT, points

NAME = x509.Name([])
URL = x509.UniformResourceIdentifier(ROOT_AT)


def certificate(extension):
    draft = google_vm_scenes.GOOGLE.authority_draft()
    if extension is not None:
        draft.extensions[OID] = (False, extension)
    return GeneralCertificate.parse(draft.sign())


def point(names=(URL,), *, relative=None, reasons=None, issuer=None):
    return x509.DistributionPoint(None if relative else names, relative, reasons, issuer)


@pytest.mark.parametrize(
    ("made", "places"),
    [
        ([point()], (ROOT_AT,)),
        ([point([URL, x509.UniformResourceIdentifier(AUTHORITY_AT)])], (ROOT_AT, AUTHORITY_AT)),
        ([point(), point([x509.UniformResourceIdentifier(AUTHORITY_AT)])], (ROOT_AT, AUTHORITY_AT)),
        ([point([x509.DirectoryName(NAME), x509.DNSName("http://a.example"), URL])], (ROOT_AT,)),
        ([point(reasons=frozenset({x509.ReasonFlags.key_compromise}))], ()),
        ([point(issuer=[x509.DirectoryName(NAME)])], ()),
        ([point(None, issuer=[x509.DirectoryName(NAME)])], ()),
        ([point([x509.UniformResourceIdentifier("ldap://a.example/cn=a")])], ()),
        ([point([x509.UniformResourceIdentifier("http://a.example/a,http://b.example")])], ()),
        ([point([x509.UniformResourceIdentifier("http://a.example/ b")])], ()),
        ([point([x509.UniformResourceIdentifier(f"http://{'a' * 500}")])], (f"http://{'a' * 500}",)),
        ([point([x509.UniformResourceIdentifier(f"http://{'a' * 501}")])], ()),
        ([point([x509.UniformResourceIdentifier("http://")])], ()),
    ],
)
def test_complete_lists_on_the_web_count(made, places):
    found = certificate(x509.CRLDistributionPoints(made).public_bytes())
    assert names_list(found)
    assert places_of_list(found) == places


def test_a_point_relative_to_its_issuer_names_no_place():
    relative = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "list")])
    found = certificate(x509.CRLDistributionPoints([point(relative=relative)]).public_bytes())
    assert names_list(found)
    assert places_of_list(found) == ()


def test_a_certificate_without_the_extension_names_none():
    found = certificate(None)
    assert not names_list(found)
    assert places_of_list(found) == ()


def test_the_first_eight_places_count():
    urls = [f"http://a.example/{number}" for number in range(9)]
    assert places_of_list(certificate(points(*urls))) == tuple(urls[:8])


@pytest.mark.parametrize(
    "value", [b"", b"\x30", points(ROOT_AT)[:-1], points(ROOT_AT) + b"\0", bytes.fromhex("3003a00130")]
)
def test_a_malformed_extension_is_an_error_and_names_a_list_all_the_same(value):
    found = certificate(value)
    assert names_list(found)
    with pytest.raises(DerError):
        places_of_list(found)


@pytest.mark.parametrize(
    ("file", "places"),
    [
        ("gcp-vtpm/go-tpm-tools/gcp_ek_ak_ca_intermediate_v3.crt", (ROOT_AT,)),
        (
            "gcp-vtpm/go-tpm-tools/tpm_ek_intermediate_3.crt",
            ("http://pki.goog/cloud_integrity/tpm_ek_root_1.crl",),
        ),
        ("gcp-vtpm/go-tpm-tools/uca_tpm_rsa_sign_cert.pem", (AUTHORITY_AT,)),
        ("gcp-vtpm/go-tpm-tools/pca_tpm_rsa_sign_cert.pem", ()),
    ],
)
def test_places_that_real_certificates_name(file, places):
    data = vectors.read(file)
    if data.startswith(b"-----"):
        data = x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER)
    assert places_of_list(GeneralCertificate.parse(data)) == places


def test_the_place_that_googles_intermediate_of_token_signers_names():
    header, _, _ = vectors.read("gcp-cs/flare-vtpm/pki.jwt").partition(b".")
    intermediate = json.loads(base64.urlsafe_b64decode(header + b"=="))["x5c"][1]
    der = x509.load_pem_x509_certificate(intermediate.encode()).public_bytes(Encoding.DER)
    (place,) = places_of_list(GeneralCertificate.parse(der))
    assert place.startswith("http://privateca-content-65aa66b4-")

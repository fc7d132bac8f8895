"""Authorities whose certificates name places of revocation lists, and a fake service that publishes them."""

from __future__ import annotations

from cryptography import x509

from support import google_vm_scenes
from support.endorsement_services import Reply

OID = "2.5.29.31"
PRIVATE = "privateca-content-62d71773-0000-21da-852e-f4f5e80d7778.storage.googleapis.com/032bf9d39db4fa06aade"
ROOT_AT = f"http://{PRIVATE}/crl.crl"
AUTHORITY_AT = "https://pki.goog/cloud_integrity/tpm_ek_intermediate_3.crl"
AZURE_AT = (
    "http://www.microsoft.com/pkiops/crl/Azure%20Virtual%20TPM%20Root%20Certificate%20Authority%202023.crl"
)


def points(*urls):
    """The extension with one distribution point of all these places, DER."""
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    return x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]).public_bytes()


def name_lists(draft, *urls):
    """Let a certificate name where its issuer publishes its list."""
    draft.extensions[OID] = (False, points(*urls))


def google(tee="none", *, root_at=(ROOT_AT,), authority_at=(), at=google_vm_scenes.NOW):
    """A Google VM whose certificates name lists of the root and of the authority."""
    stage = google_vm_scenes.scene(tee, at=at)
    if root_at:
        name_lists(stage.authority, *root_at)
    if authority_at:
        name_lists(stage.certificate, *authority_at)
    return stage


def mirrored(url):
    """The path under which a service of the caller's own has what is published at an address."""
    return "/" + url.partition("://")[2]


def publish(service, stage):
    """Let a service answer with the lists that a Google VM's certificates name; return the two lists."""
    root, authority = (draft.sign() for draft in stage.crls)
    service.routes |= {mirrored(ROOT_AT): Reply(200, root), mirrored(AUTHORITY_AT): Reply(200, authority)}
    return root, authority

"""Attacks on certificates and revocation: whose chain, in which role, until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from assay.simulator import pki
from assay.simulator.attacks import attack
from assay.simulator.intel import Installation

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from assay.simulator.pki import Issued, Profile
    from assay.simulator.scene import Scene

YEARS = timedelta(days=365)
_STRANGER = b"a stranger".ljust(32, b"\0")


@attack(
    "unpinned-root",
    "Everything is genuine, but under a root that nobody gave to the verifier.",
    code="dcap.root.not_pinned",
)
def _unpinned_root(scene: Scene) -> None:
    stranger = Installation(_STRANGER)
    scene.quote.certificates = _chain(
        stranger.machine(b"", made=scene.machine.made).pck, stranger.platform_ca, stranger.root
    )
    scene.quote.pck_key = stranger.machine(b"", made=scene.machine.made).pck.key
    scene.collateral = stranger.collateral_draft(scene.at, platform=scene.platform)


@attack(
    "altered-root",
    "The quote carries a root with the right key and name that is not the pinned certificate.",
    code="dcap.root.not_pinned",
)
def _altered_root(scene: Scene) -> None:
    root = scene.installation.root
    reissued = pki.self_signed(replace(pki.ROOT, not_after=pki.FOREVER - YEARS), root.key)
    scene.quote.certificates[2] = reissued.certificate


@attack("missing-root", "The quote carries the leaf and its authority alone.", code="dcap.pck.malformed")
def _missing_root(scene: Scene) -> None:
    del scene.quote.certificates[2]


@attack(
    "reversed-chain", "The certificates of the quote stand in the wrong order.", code="dcap.root.not_pinned"
)
def _reversed_chain(scene: Scene) -> None:
    scene.quote.certificates.reverse()


@attack("pem-junk", "Text stands between the certificates of the quote.", code="dcap.pck.malformed")
def _pem_junk(scene: Scene) -> None:
    certificate = b"-----BEGIN CERTIFICATE-----"
    chain = scene.quote.pem_chain()
    scene.quote.certification = chain.replace(certificate, b"junk\n" + certificate).removeprefix(b"junk\n")


@attack(
    "self-signed-root",
    "The authority of the PCK certificate signed itself and only names the root as its issuer.",
    code="dcap.pck.chain",
)
def _self_signed_root(scene: Scene) -> None:
    key = pki.derive_key(_STRANGER, "authority")
    authority = pki.self_signed(replace(pki.PLATFORM_CA, issuer_name=pki.ROOT.common_name), key)
    leaf = authority.issue(scene.machine.pck_profile, scene.machine.pck.key)
    scene.quote.certificates[:2] = _chain(leaf, authority)


@attack("pck-wrong-name", "The PCK certificate has another certificate's name.", code="dcap.pck.role")
def _pck_wrong_name(scene: Scene) -> None:
    _leaf(scene, common_name=pki.TCB_SIGNING.common_name)


@attack("pck-is-authority", "The PCK certificate says that it may issue certificates.", code="dcap.pck.role")
def _pck_is_authority(scene: Scene) -> None:
    _leaf(scene, authority=True, path_length=0)


@attack("pck-not-for-signing", "The PCK certificate may not sign anything.", code="dcap.pck.role")
def _pck_not_for_signing(scene: Scene) -> None:
    _leaf(scene, usage=frozenset({"key_agreement"}))


@attack("expired-pck", "The PCK certificate has expired.", code="dcap.pck.validity")
def _expired_pck(scene: Scene) -> None:
    _leaf(scene, not_before=scene.at - 8 * YEARS, not_after=scene.at - timedelta(days=1))


@attack("future-pck", "The PCK certificate is not valid yet.", code="dcap.pck.validity")
def _future_pck(scene: Scene) -> None:
    _leaf(scene, not_before=scene.at + timedelta(days=1), not_after=scene.at + YEARS)


@attack(
    "pck-without-extension",
    "The PCK certificate does not say which platform it is for.",
    code="dcap.pck.role",
)
def _pck_without_extension(scene: Scene) -> None:
    _leaf(scene, extension=None)


@attack(
    "pck-short-component-list",
    "The PCK certificate lists 15 of 16 component versions.",
    code="dcap.pck.extension",
)
def _pck_short_component_list(scene: Scene) -> None:
    extension = scene.machine.extension
    _leaf(scene, extension=replace(extension, components=extension.components[:15]))


@attack(
    "leaf-under-tcb-signer",
    "The PCK certificate was issued by the TCB signer, whose own chain is genuine.",
    code="dcap.pck.role",
)
def _leaf_under_tcb_signer(scene: Scene) -> None:
    signer = scene.installation.tcb_signer
    leaf = signer.issue(scene.machine.pck_profile, scene.machine.pck.key)
    scene.quote.certificates[:2] = _chain(leaf, signer)


@attack(
    "authority-wrong-name", "The authority of the PCK certificate has another name.", code="dcap.pck.role"
)
def _authority_wrong_name(scene: Scene) -> None:
    _authority(scene, common_name="Intel SGX PCK Planet CA")


@attack(
    "authority-not-ca",
    "The authority of the PCK certificate may not issue certificates.",
    code="dcap.pck.role",
)
def _authority_not_ca(scene: Scene) -> None:
    _authority(scene, authority=False, path_length=None)


@attack("revoked-pck", "The PCK certificate is revoked.", code="dcap.pck_crl.revoked")
def _revoked_pck(scene: Scene) -> None:
    scene.collateral.pck_crl.revoked.append(scene.machine.pck.certificate.serial_number)


@attack(
    "revoked-intermediate", "The authority of the PCK certificate is revoked.", code="dcap.root_crl.revoked"
)
def _revoked_intermediate(scene: Scene) -> None:
    authority = scene.installation.authority(scene.machine.ca)
    scene.collateral.root_crl.revoked.append(authority.certificate.serial_number)


@attack("revoked-tcb-signer", "The signer of the TCB info is revoked.", code="dcap.root_crl.revoked")
def _revoked_tcb_signer(scene: Scene) -> None:
    scene.collateral.root_crl.revoked.append(scene.installation.tcb_signer.certificate.serial_number)


@attack("expired-root-crl", "The root's revocation list is overdue.", code="dcap.root_crl.time")
def _expired_root_crl(scene: Scene) -> None:
    scene.collateral.root_crl.next_update = scene.at - timedelta(days=1)
    scene.collateral.root_crl.this_update = scene.at - timedelta(days=31)


@attack("expired-pck-crl", "The revocation list of the PCK authority is overdue.", code="dcap.pck_crl.time")
def _expired_pck_crl(scene: Scene) -> None:
    scene.collateral.pck_crl.next_update = scene.at - timedelta(days=1)
    scene.collateral.pck_crl.this_update = scene.at - timedelta(days=31)


@attack(
    "future-pck-crl",
    "The revocation list of the PCK authority is from the future.",
    code="dcap.pck_crl.time",
)
def _future_pck_crl(scene: Scene) -> None:
    scene.collateral.pck_crl.this_update = scene.at + timedelta(days=1)


@attack(
    "foreign-pck-crl",
    "The revocation list is another authority's, which has nothing to say about this certificate.",
    code="dcap.pck_crl.issuer",
)
def _foreign_pck_crl(scene: Scene) -> None:
    scene.collateral.pck_crl.issuer = scene.installation.processor_ca
    scene.collateral.pck_crl_chain[0] = scene.installation.processor_ca


@attack("forged-root-crl", "Somebody else signed the root's revocation list.", code="dcap.root_crl.signature")
def _forged_root_crl(scene: Scene) -> None:
    stranger = pki.derive_key(_STRANGER, "list")
    scene.collateral.root_crl.issuer = replace(scene.installation.root, key=stranger)


@attack("unnumbered-root-crl", "The root's revocation list has no number.", code="dcap.root_crl.malformed")
def _unnumbered_root_crl(scene: Scene) -> None:
    scene.collateral.root_crl.number = None


@attack(
    "role-confusion",
    "TCB info and QE identity are signed by a PCK certificate's key, whose chain to the root is genuine.",
    code="dcap.tcb_signer.chain",
)
def _role_confusion(scene: Scene) -> None:
    thief = scene.installation.machine("another machine, whose key was stolen", made=scene.machine.made).pck
    _signer(scene, thief, [thief, scene.installation.platform_ca, scene.installation.root])


@attack("tcb-signer-wrong-name", "The signer of the TCB info has another name.", code="dcap.tcb_signer.role")
def _tcb_signer_wrong_name(scene: Scene) -> None:
    _sign_as(scene, lambda profile: replace(profile, common_name="Intel SGX TCB Scribbling"))


@attack(
    "tcb-signer-under-intermediate",
    "The signer of the TCB info was certified by the PCK authority, not by the root.",
    code="dcap.tcb_signer.chain",
)
def _tcb_signer_under_intermediate(scene: Scene) -> None:
    authority = scene.installation.platform_ca
    signer = authority.issue(pki.TCB_SIGNING, pki.derive_key(_STRANGER, "TCB signing"))
    _signer(scene, signer, [signer, authority, scene.installation.root])


@attack("expired-tcb-signer", "The signer of the TCB info has expired.", code="dcap.tcb_signer.validity")
def _expired_tcb_signer(scene: Scene) -> None:
    _sign_as(scene, lambda profile: replace(profile, not_after=scene.at - timedelta(days=1)))


def _chain(*issued: Issued) -> list[Certificate]:
    return [entry.certificate for entry in issued]


def _leaf(scene: Scene, **changes: Any) -> None:
    authority = scene.installation.authority(scene.machine.ca)
    profile = replace(scene.machine.pck_profile, **changes)  # each attack names fields of it
    scene.quote.certificates[0] = authority.issue(profile, scene.machine.pck.key).certificate


def _authority(scene: Scene, **changes: Any) -> None:
    profile = replace(pki.PLATFORM_CA, **changes)  # each attack names fields of it
    authority = scene.installation.root.issue(profile, scene.installation.platform_ca.key)
    leaf = authority.issue(scene.machine.pck_profile, scene.machine.pck.key)
    scene.quote.certificates[:2] = _chain(leaf, authority)


def _sign_as(scene: Scene, change: Callable[[Profile], Profile]) -> None:
    root = scene.installation.root
    signer = root.issue(change(pki.TCB_SIGNING), scene.installation.tcb_signer.key)
    _signer(scene, signer, [signer, root])


def _signer(scene: Scene, signer: Issued, chain: list[Issued]) -> None:
    draft = scene.collateral
    draft.tcb_signer = draft.qe_signer = signer
    draft.tcb_chain, draft.qe_chain = list(chain), list(chain)

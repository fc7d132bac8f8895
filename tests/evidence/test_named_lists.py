"""Which revocation lists the certificates of a chain name, and which of them were looked at."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from assay.evidence.azure import AzureEndorsements
from assay.evidence.confidential_space import verify_confidential_space
from assay.evidence.facts import FactCache
from assay.evidence.google_vm import GoogleVmEndorsements
from assay.evidence.tpm.verify import TpmEndorsements, verify_tpm
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.tokens import chain
from assay.simulator.vtpm_pki import CertificateDraft
from support import azure_scenes, google_vm_scenes, token_scenes, tpm_scenes
from support.endorsement_lists import AUTHORITY_AT, AZURE_AT, OID, ROOT_AT, google, name_lists, points

DAY = timedelta(days=1)


def lists_needed(result):
    return [need for need in result.needs if need.kind == "revocation-list"]


def google_result(stage, *crls, **options):
    return google_vm_scenes.judge(stage.finish(), endorsements=GoogleVmEndorsements(crls=crls), **options)


def test_a_named_list_that_was_not_given_is_needed():
    stage = google()
    (need,) = lists_needed(google_result(stage))
    assert need.key == {
        "at": ROOT_AT,
        "chain": base64.b64encode(stage.google.root_der).decode(),
        "issuer": "EK/AK_CA_Root",
        "vendor": "google-vtpm",
    }


def test_a_need_has_the_issuer_and_all_above_it():
    stage = google(authority_at=(AUTHORITY_AT,))
    whole = stage.authority.sign() + stage.google.root_der
    needs = lists_needed(google_result(stage))
    found = {need.key["at"]: base64.b64decode(need.key["chain"]) for need in needs}
    assert found == {ROOT_AT: stage.google.root_der, AUTHORITY_AT: whole}


@pytest.mark.parametrize("given", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("named", [(), (0,), (1,), (0, 1)])
def test_every_named_list_has_to_be_looked_at_and_no_other(named, given):
    """The lists of the root (0) and of the authority below it (1)."""
    stage = google(
        root_at=(ROOT_AT,) if 0 in named else (), authority_at=(AUTHORITY_AT,) if 1 in named else ()
    )
    result = google_result(stage, *(stage.crls[place].sign() for place in given))
    assert result.bound
    assert result.claims.ak.named_lists_checked is (set(named) <= set(given))
    assert result.claims.ak.revocation_checked is (len(given) == 2)
    assert {need.key["at"] for need in lists_needed(result)} == {
        (ROOT_AT, AUTHORITY_AT)[place] for place in named if place not in given
    }


def test_a_list_of_another_authority_is_not_the_named_one():
    stage = google()
    foreign = replace(stage.crls[0], issuer="Another CA").sign()
    result = google_result(stage, foreign)
    assert not result.claims.ak.named_lists_checked
    assert len(lists_needed(result)) == 1


def test_a_place_that_cannot_be_read_is_a_named_list_all_the_same():
    stage = google(root_at=())
    stage.authority.extensions[OID] = (False, b"\x30")
    result = google_result(stage)
    assert result.bound
    assert not result.claims.ak.named_lists_checked
    assert [need.key["at"] for need in lists_needed(result)] == [""]


@pytest.mark.parametrize("defect", ["issuer", "signature", "root"])
def test_a_chain_that_does_not_verify_names_nothing(defect):
    """Whoever sends evidence would choose otherwise whom we ask."""
    stage, options = google(), {}
    if defect == "issuer":
        stage.authority.issuer_key = stage.google.key("other")
    elif defect == "signature":
        found = stage.authority.sign()
        stage.intermediates = (found[:-1] + bytes([found[-1] ^ 1]),)
    else:
        options["roots"] = google_vm_scenes.Roots.vendor()
    result = google_result(stage, **options)
    assert [check.code for check in result.ledger.failed()] == [f"google_vm.ak.chain.{defect}"]
    assert lists_needed(result) == []


def test_a_list_that_refuses_the_chain_is_not_needed_again():
    stage = google()
    stage.crls[0].revoked = (stage.authority.serial,)
    result = google_result(stage, stage.crls[0].sign())
    assert result.ledger["google_vm.ak.revoked"].code == "google_vm.ak.revoked.listed"
    assert lists_needed(result) == []


def test_what_was_remembered_names_the_same_lists():
    stage, facts = google(), FactCache()
    first, second = (lists_needed(google_result(stage, facts=facts)) for _ in range(2))
    assert [need.key["at"] for need in first] == [ROOT_AT]
    assert first == second
    assert lists_needed(google_result(stage, stage.crls[0].sign(), facts=facts)) == []


# --- the other formats


@pytest.mark.parametrize("platform", azure_scenes.PLATFORMS)
@pytest.mark.parametrize("given", [False, True])
def test_lists_that_certificates_of_an_azure_vm_name(platform, given):
    stage, facts = azure_scenes.scene(platform), FactCache()
    stage.certify()
    authority = stage.azure.authority_draft()
    name_lists(authority, AZURE_AT)
    stage.intermediates = (authority.sign(),)
    stage.form = "bundle"
    made = stage.finish()
    crls = (stage.crls[0].sign(),) if given else ()
    for _ in range(2):
        result = azure_scenes.judge(made, endorsements=replace(made.endorsements, ak_crls=crls), facts=facts)
        assert result.bound
        assert result.claims.ak_certificate.named_lists_checked is given
        assert not result.claims.ak_certificate.revocation_checked
        assert [(need.key["at"], need.key["vendor"]) for need in lists_needed(result)] == (
            [] if given else [(AZURE_AT, "azure-vtpm")]
        )


def test_an_azure_certificate_without_a_chain_names_nothing():
    stage = azure_scenes.scene("azure-tdx")
    stage.certify()
    stage.form = "bundle"
    stage.intermediates = ()
    made = stage.finish()
    result = azure_scenes.judge(made, endorsements=AzureEndorsements(collateral=made.endorsements.collateral))
    assert result.claims.ak_certificate is None
    assert lists_needed(result) == []


@pytest.mark.parametrize("binding", [Expected(token_scenes.NONCE), Unchecked("its lists are looked for")])
@pytest.mark.parametrize("given", [False, True])
def test_lists_that_certificates_of_a_pki_token_name(binding, given):
    services = token_scenes.services()
    key = services.intermediate.key
    named = services.root.issue(replace(chain.INTERMEDIATE, list_at=ROOT_AT), key)
    stage = token_scenes.scene("confidential-space", "pki")
    stage.draft.header["x5c"] = [each.text(pem=False) for each in (services.leaf, named, services.root)]
    wanted = [] if given else [(ROOT_AT, token_scenes.VENDOR)]
    for facts in (FactCache(),) * 2:
        result = verify_confidential_space(
            stage.evidence(),
            endorsements=None,
            roots=stage.roots,
            limits=stage.limits,
            audience=stage.audience,
            now=stage.now,
            binding=binding,
            facts=facts,
            crls=(services.root.crl(stage.now - DAY),) if given else (),
        )
        assert result.authentic
        assert result.claims.named_lists_checked is given
        assert not result.claims.revocation_checked
        assert [(need.key["at"], need.key["vendor"]) for need in lists_needed(result)] == wanted
        assert ("binding" in [need.kind for need in result.needs]) is isinstance(binding, Unchecked)


def test_a_published_key_has_no_chain_that_names_anything():
    result = token_scenes.scene("confidential-space", "oidc").finish()
    assert result.authentic
    assert not result.claims.named_lists_checked


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("names", [False, True])
def test_lists_that_certificates_of_a_tpm_name_are_the_callers_to_get(names, given):
    """Their authorities are the caller's own: nobody is known to publish for them."""
    issuer = CertificateDraft(
        tpm_scenes.ISSUER_NAME,
        tpm_scenes.ROOT_NAME,
        tpm_scenes.keys("issuer"),
        tpm_scenes.keys("root"),
        authority=True,
        extensions={OID: (False, points("http://pki.example/root.crl"))} if names else {},
    )
    found = tpm_scenes.draft(certified=True)
    found.certificates = (found.certificates[0], issuer.sign())
    crl = google_vm_scenes.GOOGLE.crl_draft("root", tpm_scenes.NOW)
    own = replace(crl, issuer=tpm_scenes.ROOT_NAME, issuer_key=tpm_scenes.keys("root")).sign()
    result = verify_tpm(
        found.encode(),
        endorsements=TpmEndorsements(crls=(own,) if given else ()),
        roots=tpm_scenes.roots(),
        now=tpm_scenes.NOW,
        binding=Expected(tpm_scenes.NONCE),
        facts=FactCache(),
    )
    assert result.bound, result.ledger.unmet()
    assert result.claims.ak_named_lists_checked is (given or not names)
    assert result.needs == ()


def test_of_a_key_that_the_caller_gave_no_list_was_looked_at():
    found = tpm_scenes.draft()
    result = tpm_scenes.judge(found.encode(), given=found.public)
    assert result.bound
    assert not result.claims.ak_named_lists_checked

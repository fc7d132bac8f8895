"""From evidence alone to everything that it needs, whatever the platform."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache as once
from itertools import count

import pytest

from assay.endorsements.fetching import Origin
from assay.endorsements.gathering import gather
from assay.endorsements.needs import Choices
from assay.endorsements.record import Basis, Wanted
from assay.endorsements.services import Services
from assay.endorsements.source import Fetched, Judged, Source
from assay.errors import EndorsementError, EvidenceError
from assay.evidence.facts import FactCache, Window
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.verification import EvidenceResult, Need, Unchecked
from assay.simulator.tokens import chain
from assay.verification.formats import format_of
from assay.verification.materials import Materials
from assay.verification.terms import Given, Terms
from support import azure_scenes, google_vm_scenes, token_scenes
from support.endorsement_amd import AMD, NOW, Product, publish, roots, thim
from support.endorsement_intel import INTEL, ROOTS, fetcher
from support.endorsement_intel import publish as publish_collateral
from support.endorsement_lists import AUTHORITY_AT, AZURE_AT, ROOT_AT, google, mirrored, name_lists
from support.endorsement_lists import publish as publish_lists
from support.endorsement_services import Reply, World, running
from support.endorsement_tokens import DISCOVERY, ISSUERS, NAMES, discovery, tokens

REPORT_DATA = b"\x77" * 64


def verifier(platform, evidence, trusted):
    """What gathering asks: the format's verifier, with nothing or with what fits of a bundle."""
    form = format_of(platform)
    given = Given(trusted, NOW, Unchecked("a test"), FactCache(max_entries=8), Terms())

    def verify(bundle):
        first = form.verify(evidence, None, given)
        if bundle is None:
            return first
        fitting = form.endorse(Materials(bundle.files(), (bundle,)), first, given)
        return first if fitting is None else form.verify(evidence, fitting, given)

    return verify


@once
def report(product, version):
    chip = AMD.chip("one", product)
    return chip.draft(REPORT_DATA, version=version).sign(chip.key("vcek"))


@pytest.mark.parametrize(("product", "version"), [(Product.GENOA, 3), (Product.TURIN, 5), (Product.MILAN, 3)])
def test_a_report_gets_certificate_chain_and_list(service, cache, product, version):
    publish(service, product)
    verify = verifier("snp", report(product, version), roots(product))
    found = gather(verify, fetcher(cache, service, names=["kds"], roots=roots(product)), Choices())
    assert [each.wanted.kind for each in found.found] == ["amd-vek", "amd-chain", "amd-crl"]
    assert found.open == ()
    assert found.result.authentic
    assert len(service.requests) == 3


def test_a_report_that_names_no_product_is_looked_for_in_both(service, cache):
    publish(service, Product.GENOA)
    verify = verifier("snp", report(Product.GENOA, 2), roots())
    found = gather(verify, fetcher(cache, service, names=["kds"], roots=roots()), Choices())
    assert {each.wanted["product"] for each in found.found if each.usable} == {"Genoa"}
    assert {each.error.code for each in found.found if each.error} <= {
        "endorsements.http.not_found",
        "endorsements.answer.unverified",
    }
    assert found.open == ()
    assert found.result.authentic


def test_a_report_on_azure_gets_its_certificate_from_the_metadata(cache):
    verify = verifier("snp", report(Product.GENOA, 3), roots())
    with running(tls=False) as metadata, running() as kds:
        metadata.routes["/metadata/THIM/amd/certification"] = thim()
        publish(kds, Product.GENOA)
        both = fetcher(cache, kds, names=["kds"], roots=roots())
        services = Services.published([f"kds={kds.url}", f"imds={metadata.url}"])
        both = replace(both, access=replace(both.access, services=services))
        found = gather(verify, both, Choices(instance_metadata=True))
    assert found.found[0].wanted.kind == "azure-thim"
    assert found.open == ()
    assert found.result.authentic


def test_a_quote_gets_collateral(service, cache):
    publish_collateral(service, INTEL.collateral(NOW, platform="tdx"))
    quote = INTEL.machine("one").trust_domain(mr_td=b"\1" * 48).quote(REPORT_DATA)
    found = gather(verifier("tdx", quote, ROOTS), fetcher(cache, service), Choices())
    assert found.open == ()
    assert [each.basis.value for each in found.usable] == ["signature"]


@pytest.mark.parametrize("platform", ["confidential-space", "maa", "trust-authority", "nras"])
def test_a_token_gets_the_keys_of_its_issuer(service, cache, platform):
    issuer, path = ISSUERS[platform]
    service.routes[path] = Reply(200, tokens().key_set(platform))
    service.routes[DISCOVERY] = discovery()
    made = {
        "confidential-space": lambda: tokens().confidential_space(NOW),
        "maa": lambda: tokens().maa(NOW),
        "trust-authority": lambda: tokens().trust_authority(NOW),
        "nras": lambda: tokens().nras(NOW, nonce=b"\1" * 32),
    }[platform]()
    verify = verifier(platform, made.sign(), Roots.vendor())
    found = gather(verify, fetcher(cache, service, names=NAMES, roots=Roots.vendor()), Choices())
    assert [(each.wanted.kind, each.wanted["issuer"]) for each in found.usable] == [("jwks", issuer)]
    assert found.open == ()
    assert found.usable[0].basis.value == "tls"


def test_what_cannot_be_had_stays_open(service, cache):
    verify = verifier("snp", report(Product.GENOA, 3), roots())
    found = gather(verify, fetcher(cache, service, names=["kds"], roots=roots()), Choices())
    assert {need.kind for need in found.open} == {"snp-vek", "snp-chain", "snp-crl"}
    assert {each.error.code for each in found.found} == {"endorsements.http.not_found"}
    assert found.usable == ()


def test_what_no_longer_holds_is_not_given_to_the_verifier(service, cache):
    publish_collateral(service, INTEL.collateral(NOW, platform="tdx"))
    quote = INTEL.machine("one").trust_domain(mr_td=b"\1" * 48).quote(REPORT_DATA)
    verify, given = verifier("tdx", quote, ROOTS), []

    def watched(bundle):
        given.append(bundle)
        return verify(bundle)

    assert gather(watched, fetcher(cache, service), Choices()).open == ()
    assert [bundle is None for bundle in given] == [True, False]
    later = World(NOW + timedelta(days=60))
    found = gather(watched, fetcher(cache, world=later, offline=True), Choices())
    assert [each.stale for each in found.found] == [True]
    assert found.usable == ()
    assert given[2:] == [None, None]


def test_what_is_had_without_the_rest_leaves_the_rest_open(service, cache):
    publish(service, Product.GENOA)
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, b"<html>")
    verify = verifier("snp", report(Product.GENOA, 3), roots())
    found = gather(verify, fetcher(cache, service, names=["kds"], roots=roots()), Choices())
    assert {need.kind for need in found.open} == {"snp-crl"}
    assert not found.result.authentic


def test_a_need_that_says_nothing_is_told_apart(cache):
    quote = INTEL.machine("one").trust_domain(mr_td=b"\1" * 48).quote(REPORT_DATA)
    result: EvidenceResult = verifier("tdx", quote, Roots.vendor())(None)
    odd = replace(result, needs=(Need("collateral", {"tee": "t d x"}, "why"), Need("binding", {}, "why")))
    found = gather(lambda bundle: odd, fetcher(cache), Choices())
    assert [(need.kind, error.code) for need, error in found.unasked] == [
        ("collateral", "endorsements.wanted.malformed")
    ]
    assert [need.kind for need in found.open] == ["collateral"]


def test_a_verifier_that_always_wants_something_else_is_not_followed_for_ever(cache):
    quote = INTEL.machine("one").trust_domain(mr_td=b"\1" * 48).quote(REPORT_DATA)
    result = verifier("tdx", quote, Roots.vendor())(None)
    numbers = count()

    def verify(bundle):
        key = {"tee": "tdx", "fmspc": f"{next(numbers):012x}", "ca": "platform"}
        return replace(result, needs=(Need("collateral", key, "why"),))

    found = gather(verify, fetcher(cache, offline=True), Choices())
    assert len(found.found) == 4


class OddSource(Source):
    """A source whose answers are verified as a test says."""

    kinds = frozenset({"odd"})

    def __init__(self, judge, *, newness=lambda made: (made.window.start,), rests_on=lambda: ()):
        self.judging, self.newness_of, self.resting = judge, newness, rests_on

    def fetch(self, wanted, access):
        return Fetched({"part": b"1"}, ("https://a.example/x",))

    def judge(self, wanted, parts, access, now):
        return self.judging(now)

    def anchors(self, wanted, access):
        return frozenset({"anchor"})

    def newness(self, made):
        return self.newness_of(made)

    def rests_on(self, wanted, parts):
        return self.resting()


ODD = Wanted.of("odd")


def holds(since, until):
    return lambda now: Judged(Window(now + since, now + until), Basis.SIGNATURE, "anchor")


def fails(error):
    def raising(*arguments):
        raise error

    return raising


DAY = timedelta(days=1)


def odd(cache, judge, *, world=None, **options):
    one = fetcher(cache, world=world)
    return replace(one, sources={"odd": OddSource(judge, **options)})


def test_a_verifiers_error_is_a_malformed_answer(cache):
    found = odd(cache, fails(EvidenceError("some.code", "It is odd."))).get(ODD)
    assert (found.endorsement, found.error.code) == (None, "endorsements.answer.malformed")
    assert "It is odd." in found.error.message


@pytest.mark.parametrize(
    ("since", "until", "usable"),
    [
        (timedelta(0), timedelta(0), True),
        (-DAY, timedelta(seconds=-1), False),
        (timedelta(seconds=1), DAY, False),
    ],
)
def test_what_a_source_verified_must_hold_now(cache, since, until, usable):
    found = odd(cache, holds(since, until)).get(ODD)
    assert found.usable is usable
    assert (found.error is None) is usable
    assert usable or found.error.code == "endorsements.answer.stale"


def test_what_cannot_be_compared_is_replaced(cache):
    assert odd(cache, holds(-DAY, 3 * DAY)).get(ODD).usable
    unreadable = fails(EvidenceError("some.code", "It is odd."))
    found = odd(cache, holds(-9 * DAY, DAY), world=World(NOW + DAY), newness=unreadable).get(ODD)
    assert (found.origin, found.error) == (Origin.NETWORK, None)


def test_what_cannot_say_what_it_rests_on_is_still_had(cache):
    unreadable = fails(EndorsementError("endorsements.answer.malformed", "It is odd."))
    found = odd(cache, holds(-DAY, DAY), rests_on=unreadable).get_all([ODD])
    assert [each.usable for each in found] == [True]


def test_who_asks_for_everything_anew_asks_once(cache):
    one = replace(odd(cache, holds(-DAY, DAY)), fresh_for=timedelta(0))
    assert [one.get(ODD).origin for _ in range(2)] == [Origin.NETWORK, Origin.CACHE]


# --- what authorities revoked


def google_vm(service, cache, stage, *, offline=False, choices=Choices(), tee="none"):  # noqa: B008 - a frozen value
    made = stage.finish()
    trusted = google_vm_scenes.roots_of(made)
    names = ["google-lists", "pcs", "intel-crl"]
    asked = fetcher(cache, service, names=names, roots=trusted, offline=offline)
    platform = "gcp-vtpm" if tee == "none" else "gcp-tdx"
    return gather(verifier(platform, made.container, trusted), asked, choices)


def test_the_key_of_a_virtual_tpm_gets_the_lists_that_its_chain_names(service, cache):
    stage = google(authority_at=(AUTHORITY_AT,))
    publish_lists(service, stage)
    found = google_vm(service, cache, stage)
    assert [each.wanted.kind for each in found.found] == ["revocation-list"] * 2
    assert {each.wanted["at"] for each in found.usable} == {ROOT_AT, AUTHORITY_AT}
    assert found.open == ()
    assert found.result.claims.ak.revocation_checked
    assert google_vm(service, cache, stage, offline=True).result.claims.ak.revocation_checked
    assert len(service.requests) == 2


def test_lists_are_fetched_together_with_what_the_hardware_needs(service, cache):
    """The whole is not authentic before the collateral is there; its chain verifies all the same."""
    stage = google("tdx")
    publish_lists(service, stage)
    publish_collateral(service, stage.finish().endorsements.collateral)
    found = google_vm(service, cache, stage, tee="tdx")
    assert {each.wanted.kind for each in found.usable} == {"revocation-list", "intel-collateral"}
    assert found.open == ()
    assert found.result.claims.ak.named_lists_checked


def test_a_list_that_has_the_key_is_gathered_and_refuses_it(service, cache):
    stage = google()
    stage.crls[0].revoked = (stage.authority.serial,)
    publish_lists(service, stage)
    found = google_vm(service, cache, stage)
    assert [check.code for check in found.result.ledger.failed()] == ["google_vm.ak.revoked.listed"]
    assert len(found.usable) == 1


@pytest.mark.parametrize(
    ("reply", "code"),
    [(Reply(404), "endorsements.http.not_found"), (Reply(500), "endorsements.http.unavailable")],
)
def test_a_list_that_cannot_be_had_stays_open_and_refuses_nothing(service, cache, reply, code):
    service.routes[mirrored(ROOT_AT)] = reply
    found = google_vm(service, cache, google())
    assert [each.error.code for each in found.found] == [code]
    assert [need.kind for need in found.open] == ["revocation-list"]
    assert found.result.authentic
    assert not found.result.claims.ak.named_lists_checked


def test_a_foreign_place_stays_open_and_is_not_asked(service, cache):
    found = google_vm(service, cache, google(root_at=(f"{service.url}/crl.crl",)))
    assert [each.error.code for each in found.found] == ["endorsements.list.place"]
    assert [need.kind for need in found.open] == ["revocation-list"]
    assert service.requests == []


def test_who_leaves_lists_out_is_not_told_that_they_are_missing(service, cache):
    stage = google()
    publish_lists(service, stage)
    found = google_vm(service, cache, stage, choices=Choices(lists=False))
    assert (found.found, found.open) == ((), ())
    assert service.requests == []


@pytest.mark.parametrize("platform", azure_scenes.PLATFORMS)
def test_the_key_of_an_azure_vm_gets_the_list_that_its_chain_names(service, cache, platform):
    stage = azure_scenes.scene(platform, at=NOW)
    stage.certify()
    authority = stage.azure.authority_draft()
    name_lists(authority, AZURE_AT)
    stage.intermediates = (authority.sign(),)
    stage.form = "bundle"
    made, service.routes[mirrored(AZURE_AT)] = stage.finish(), Reply(200, stage.crls[0].sign())
    trusted = azure_scenes.roots_of(made)
    asked = fetcher(cache, service, names=["microsoft-lists", "kds", "pcs", "intel-crl"], roots=trusted)
    found = gather(verifier(platform, made.container, trusted), asked, Choices())
    assert [each.wanted["vendor"] for each in found.usable] == ["azure-vtpm"]
    assert "revocation-list" not in {need.kind for need in found.open}
    assert found.result.ledger["azure.ak.revoked"].outcome is Outcome.PASSED


def test_a_pki_token_gets_the_list_that_its_chain_names(service, cache):
    services = token_scenes.services()
    named = services.root.issue(replace(chain.INTERMEDIATE, list_at=ROOT_AT), services.intermediate.key)
    draft = services.confidential_space(NOW, kind="pki")
    draft.header["x5c"] = [each.text(pem=False) for each in (services.leaf, named, services.root)]
    service.routes[mirrored(ROOT_AT)] = Reply(200, services.root.crl(NOW - timedelta(days=1)))
    trusted = token_scenes.roots()
    asked = fetcher(cache, service, names=["google-lists"], roots=trusted)
    found = gather(verifier("confidential-space", draft.sign(), trusted), asked, Choices())
    assert [each.wanted["vendor"] for each in found.usable] == [token_scenes.VENDOR]
    assert found.open == ()
    assert found.result.claims.named_lists_checked

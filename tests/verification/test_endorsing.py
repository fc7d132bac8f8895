"""What each format picks from the files at hand to vouch for evidence, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from assay.endorsements.bundle import Bundle
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.evidence.facts import FactCache, Window
from assay.evidence.google_vm import GoogleVmEndorsements
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.snp import Product
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.tpm.verify import TpmEndorsements
from assay.evidence.verification import Binding, Expected, Unchecked
from assay.evidence.x509 import need_chain
from assay.simulator import google_vm
from assay.simulator.amd.scene import SnpScene
from assay.simulator.scene import Scene as QuoteScene
from assay.simulator.vtpm_pki import CrlDraft
from assay.verification.formats import format_of, platforms
from assay.verification.materials import Materials
from assay.verification.terms import Given, Terms
from support import azure_scenes, google_vm_scenes, snp_scenes, token_scenes, tpm_scenes
from support.dcap_scenes import INTEL, NOW, REPORT_DATA
from support.nvidia_scenes import NONCE as DEVICE_NONCE
from support.nvidia_scenes import NOW as DEVICE_TIME
from support.nvidia_scenes import roots as device_roots
from support.nvidia_scenes import scene as device_scene

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.verification import EvidenceResult
    from assay.simulator.nvidia.answers import AnswerDraft
    from assay.simulator.nvidia.manifest import ManifestDraft

DAY = timedelta(days=1)


def given(binding: Binding, roots: Roots, now: datetime, terms: Terms | None = None) -> Given:
    return Given(roots=roots, now=now, binding=binding, facts=FactCache(), terms=terms or Terms())


def endorsed(platform: str, evidence: bytes, files: Mapping[str, bytes], asked: Given) -> Any:
    """Return what is found for evidence among files."""
    form = format_of(platform)
    return form.endorse(Materials.of(files), form.verify(evidence, None, asked), asked)


def verified(platform: str, evidence: bytes, files: Mapping[str, bytes], asked: Given) -> EvidenceResult[Any]:
    """Verify evidence with what is found for it among files."""
    return format_of(platform).verify(evidence, endorsed(platform, evidence, files, asked), asked)


@pytest.mark.parametrize("platform", platforms())
def test_nothing_is_found_where_there_is_nothing(platform):
    asked = given(Unchecked("a test"), Roots.vendor(), NOW)
    assert endorsed(platform, b"\0", {"a": b"\x30\x00", "b.json": b"{}"}, asked) is None


@pytest.mark.parametrize(
    ("platform", "nonce"),
    [("tdx", b"n".ljust(64, b"\0")), ("snp", b"n".ljust(64, b"\0")), ("nitro", b"n"), ("gcp-tdx", b"n")],
)
def test_a_nonce_is_filled_up_where_its_size_is_fixed(platform, nonce):
    assert format_of(platform).nonce(b"n") == nonce


# --- Intel


@pytest.mark.parametrize("platform", ["tdx", "sgx"])
def test_collateral_of_the_platform_is_found(platform):
    made = QuoteScene(INTEL, platform, 3 if platform == "sgx" else 4, NOW, REPORT_DATA).finish()
    asked = given(Expected(REPORT_DATA), Roots.vendor().with_anchor("test", INTEL.root_der), NOW)
    files = {"collateral.json": made.collateral.to_bundle_json(), "x.json": b"{}"}
    found = verified(platform, made.quote, files, asked)
    assert (found.platform, found.bound) == (platform, True), found.ledger.unmet()


# --- AMD


@cache
def chip(product: Product = Product.GENOA, kind: str = "vcek", version: int = 3) -> Any:
    return SnpScene(snp_scenes.AMD, product, version, kind, snp_scenes.NOW, snp_scenes.REPORT_DATA).finish()


def snp_given(made: Any) -> Given:
    return given(Expected(snp_scenes.REPORT_DATA), snp_scenes.roots_of(made), snp_scenes.NOW)


PARTS = ("vek", "authority", "root", "crl")


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
@pytest.mark.parametrize("product", [Product.GENOA, Product.TURIN])
def test_everything_of_a_chip_is_found_among_that_of_others(product, kind):
    made = chip(product, kind, 3 if product is not Product.TURIN else 5)
    others = [
        chip(other, other_kind, 3 if other is not Product.TURIN else 5).endorsements
        for other in (Product.GENOA, Product.TURIN)
        for other_kind in ("vcek", "vlek")
        if (other, other_kind) != (product, kind)
    ]
    files = {f"{at}{name}": getattr(each, name) for at, each in enumerate(others) for name in PARTS}
    files |= {f"z{name}": getattr(made.endorsements, name) for name in PARTS}
    asked = snp_given(made)
    assert endorsed("snp", made.report, files, asked) == made.endorsements
    assert verified("snp", made.report, files, asked).bound


@pytest.mark.parametrize("name", PARTS)
def test_each_part_of_a_chips_chain_is_found_alone(name):
    made = chip()
    found = endorsed("snp", made.report, {"x": getattr(made.endorsements, name)}, snp_given(made))
    if name == "root":  # nothing asks for it: a caller trusts it already
        assert found is None
        return
    assert {each: getattr(found, each) for each in PARTS} == dict.fromkeys(PARTS) | {
        name: getattr(made.endorsements, name)
    }


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
def test_the_issuer_of_a_report_without_its_certificate_is_of_its_kind(kind):
    made, other = chip(kind=kind), chip(kind="vlek" if kind == "vcek" else "vcek")
    files = {"a": other.endorsements.authority, "b": made.endorsements.authority}
    found = endorsed("snp", made.report, files, snp_given(made))
    assert (found.vek, found.authority) == (None, made.endorsements.authority)


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
def test_a_certificate_of_another_chip_or_another_tcb_is_passed_over(kind):
    made = chip(kind=kind)
    own = snp_scenes.scene(kind=kind).chip
    others = [replace(own, tcb=bytes([own.tcb[0] + 1, *own.tcb[1:]])), replace(own, tcb=bytes(8))]
    if kind == "vcek":
        others.append(replace(own, name="another"))
    for other in [each.vek_draft(kind, snp_scenes.NOW).sign() for each in others]:
        assert other != made.endorsements.vek
        assert endorsed("snp", made.report, {"a": other}, snp_given(made)) is None
        files = {"a": other, "b": made.endorsements.vek}
        assert endorsed("snp", made.report, files, snp_given(made)).vek == made.endorsements.vek


def test_a_chip_that_is_not_named_may_be_any_with_that_tcb():
    stage = snp_scenes.scene()
    stage.report.chip_id = bytes(64)
    made = stage.finish()
    found = endorsed("snp", made.report, {"x": made.endorsements.vek}, snp_given(made))
    assert found.vek == made.endorsements.vek


def test_a_certificate_that_only_has_the_name_of_a_chips_is_passed_over():
    made = chip()
    files = {"a": authority_of("SEV-VCEK"), "b": made.endorsements.vek}
    assert endorsed("snp", made.report, files, snp_given(made)).vek == made.endorsements.vek


def test_where_no_product_is_named_any_issuer_and_any_list_may_fit():
    made = chip(version=2)
    spoilt = replace(made, endorsements=SnpEndorsements(vek=b"\x30\x00")).extended()
    files = {name: getattr(made.endorsements, name) for name in ("authority", "crl")}
    found = endorsed("snp", spoilt, files, snp_given(made))
    assert found == SnpEndorsements(authority=files["authority"], crl=files["crl"])
    assert endorsed("snp", spoilt, {"crl": files["crl"]}, snp_given(made)) == SnpEndorsements(
        crl=files["crl"]
    )
    other = chip(Product.TURIN, version=5).endorsements
    files = {"root": other.root, "crl": other.crl}
    assert endorsed("snp", made.report, files, snp_given(made)) == SnpEndorsements(crl=other.crl)
    assert endorsed("snp", chip().report, files, snp_given(made)) is None


# --- Azure


def azure_given(made: Any, *, bound: bool = True) -> Given:
    binding: Binding = Expected(made.nonce) if bound else Unchecked("a test")
    terms = Terms(user_data=Expected(made.user_data))
    return given(binding, azure_scenes.roots_of(made), made.at, terms)


@cache
def azure(platform: str) -> Any:
    return azure_scenes.scene(platform).finish()


def azure_files(made: Any) -> dict[str, bytes]:
    """Return what vouches for an Azure VM, as files."""
    hardware = made.endorsements.snp
    found = {name: part for name in PARTS if hardware and (part := getattr(hardware, name))}
    if made.endorsements.collateral is not None:
        found["collateral.json"] = made.endorsements.collateral.to_bundle_json()
    return found


@pytest.mark.parametrize("platform", azure_scenes.PLATFORMS)
def test_what_vouches_for_the_hardware_of_an_azure_vm_is_found(platform):
    made = azure(platform)
    found = verified(platform, made.container, azure_files(made), azure_given(made))
    assert (found.platform, found.bound) == (platform, True), found.ledger.unmet()


@pytest.mark.parametrize("platform", azure_scenes.PLATFORMS)
def test_the_authorities_of_an_azure_vm_are_found(platform):
    made, name = azure(platform), "Global Virtual TPM CA - 01"
    authority, own = authority_of(name), authority_of(name, name)  # what names itself is no one's
    files = {"authority.der": authority, "own.der": own, "root.der": azure_scenes.AZURE.root_der}
    found = endorsed(platform, made.container, files, azure_given(made, bound=False))
    assert (found.snp, found.collateral, found.ak_intermediates) == (None, None, (authority,))
    whole = endorsed(platform, made.container, azure_files(made) | files, azure_given(made))
    assert whole.ak_intermediates == (authority,)
    assert bool(whole.snp) is (platform == "azure-snp")
    assert bool(whole.collateral) is (platform == "azure-tdx")
    rest = {name: files[name] for name in ("own.der", "root.der")} | {"x": authority_of("Another CA")}
    assert endorsed(platform, made.container, rest, azure_given(made, bound=False)) is None


@pytest.mark.parametrize("place", [0, 1], ids=["of the root", "of an authority that came with the evidence"])
def test_a_list_of_an_issuer_of_azure_is_found(place):
    stage = azure_scenes.scene("azure-tdx")
    stage.certify()
    stage.form = "bundle"
    made, others = stage.finish(), google("none").endorsements.crls
    own = made.endorsements.ak_crls[place]
    asked, files = azure_given(made), {"a": others[0], "b": others[1], "c": own}
    assert endorsed("azure-tdx", made.container, files, asked).ak_crls == (own,)
    result = verified("azure-tdx", made.container, files | azure_files(made), asked)
    assert result.bound
    assert result.ledger["azure.ak.revoked"].outcome is Outcome.PASSED


def test_no_more_than_four_authorities_of_azure_are_given():
    made = azure("azure-snp")
    files = {str(at): authority_of(f"Azure Cloud Virtual TPM CA - {at:02}") for at in range(5)}
    found = endorsed("azure-snp", made.container, files, azure_given(made, bound=False))
    assert found.ak_intermediates == tuple(files.values())[:4]


def authority_of(name: str, issuer: str = "a test's root") -> bytes:
    """Return a certificate of an authority."""
    return tpm_scenes.certificate(
        name, tpm_scenes.keys(name), issuer, tpm_scenes.keys(issuer), authority=True
    )


# --- Google


def google_given(made: Any, *, bound: bool = True) -> Given:
    return given(
        Expected(made.nonce) if bound else Unchecked("a test"), google_vm_scenes.roots_of(made), made.at
    )


@cache
def google(tee: str) -> Any:
    stage = google_vm_scenes.scene(tee)
    if tee == "snp":
        stage.snp.report.report_data = google_vm_scenes.NONCE.ljust(64, b"\0")
    if tee == "tdx":
        stage.tdx.quote.body["report_data"] = google_vm_scenes.NONCE.ljust(64, b"\0")
    return stage.finish()


GOOGLE = {"none": "gcp-vtpm", "tdx": "gcp-tdx", "snp": "gcp-snp"}


def google_files(made: Any) -> dict[str, bytes]:
    found = {f"crl{at}": crl for at, crl in enumerate(made.endorsements.crls)}
    found["authority"] = made.parts.ak_intermediates[0]
    if made.endorsements.collateral is not None:
        found["collateral.json"] = made.endorsements.collateral.to_bundle_json()
    if made.endorsements.snp is not None:
        found["snp"] = made.endorsements.snp.crl
    return found


@pytest.mark.parametrize("tee", GOOGLE)
def test_what_vouches_for_a_vm_of_google_is_found(tee):
    made, platform = google(tee), GOOGLE[tee]
    files = google_files(made)
    found = endorsed(platform, made.container, files, google_given(made, bound=False))
    assert found.ak_intermediates == made.parts.ak_intermediates
    assert set(found.crls) == set(made.endorsements.crls)
    assert (found.collateral, found.snp) == (made.endorsements.collateral, made.endorsements.snp)
    result = format_of(platform).verify(made.container, found, google_given(made))
    assert (result.platform, result.bound) == (platform, True), result.ledger.unmet()
    assert result.ledger["google_vm.ak.revoked"].outcome is Outcome.PASSED


@pytest.mark.parametrize("tee", GOOGLE)
@pytest.mark.parametrize("left", ["authority", "collateral.json", "snp"])
def test_each_thing_that_vouches_for_a_vm_of_google_is_found_alone(tee, left):
    made = google(tee)
    files = {left: google_files(made).get(left, b"")}
    found = endorsed(GOOGLE[tee], made.container, files, google_given(made, bound=False))
    if not files[left]:
        assert found is None
        return
    said = (found.ak_intermediates != (), found.collateral is not None, found.snp is not None)
    assert said == (left == "authority", left == "collateral.json", left == "snp")
    assert found.crls == ()


@pytest.mark.parametrize("place", [0, 1], ids=["of the root", "of an authority that came with the evidence"])
def test_a_list_of_an_issuer_of_google_is_found_alone(place):
    made = google("none")
    files = {"x": made.endorsements.crls[place]}
    found = endorsed("gcp-vtpm", made.container, files, google_given(made))
    assert found == GoogleVmEndorsements(crls=(files["x"],))
    result = verified("gcp-vtpm", made.container, files, google_given(made))
    assert result.ledger["google_vm.ak.revoked"].outcome is Outcome.PASSED


@pytest.mark.parametrize("apart", [False, True], ids=["with its authority", "without it"])
def test_a_list_of_another_root_of_google_says_nothing_of_this_chain(apart):
    stage = google_vm_scenes.scene("none")
    if apart:
        stage.intermediates = ()
    made, other = stage.finish(), another_google()
    assert ("google-vtpm", other.root_der) not in made.anchors
    roots = google_vm_scenes.roots_of(made).with_anchor("another", other.root_der, vendor="google-vtpm")
    of_chain, of_another = made.endorsements.crls[0], other.crl_draft("root", made.at).sign()
    files = {"another": of_another, "own": of_chain}
    if apart:
        files["authority"] = google("none").parts.ak_intermediates[0]
    asked = given(Expected(made.nonce), roots, made.at)
    assert verified("gcp-vtpm", made.container, files, asked).bound
    check = verified("gcp-vtpm", made.container, {**files, "own": b""}, asked).ledger["google_vm.ak.revoked"]
    assert check.outcome is Outcome.NOT_APPLICABLE


@cache
def another_google() -> google_vm.SimulatedGoogle:
    return google_vm.SimulatedGoogle(google_vm_scenes.AMD, google_vm_scenes.INTEL)


def test_older_authorities_of_google_are_known_and_four_are_given():
    made = google("none")
    files = {str(at): authority_of(f"tpm_ek_v1_cloud_host-signer-{at}") for at in range(5)}
    files["a"] = authority_of("a tpm_ek_v1_cloud_host-signer")
    found = endorsed("gcp-vtpm", made.container, files, google_given(made, bound=False))
    assert found.ak_intermediates == tuple(files.values())[:4]


# --- TPM


def tpm_given() -> Given:
    return given(Expected(tpm_scenes.NONCE), tpm_scenes.roots(), tpm_scenes.NOW)


def test_authorities_of_a_tpm_are_given_and_roots_are_not():
    draft = tpm_scenes.draft(certified=True)
    draft.certificates = draft.certificates[:1]
    files = {"root": tpm_scenes.root(), "authority": tpm_scenes.chain("p256")[1]}
    assert endorsed("tpm", draft.encode(), files, tpm_given()) == TpmEndorsements(
        certificates=(files["authority"],)
    )
    assert verified("tpm", draft.encode(), files, tpm_given()).bound
    assert endorsed("tpm", draft.encode(), {"root": tpm_scenes.root()}, tpm_given()) is None
    known = tpm_scenes.draft(certified=True).encode()
    assert verified("tpm", known, {}, tpm_given()).bound
    assert endorsed("tpm", known, files, tpm_given()) is None


@pytest.mark.parametrize("apart", [False, True], ids=["with its chain", "with a chain at hand"])
def test_lists_of_the_authorities_of_a_tpm_are_found(apart):
    draft, issuer = tpm_scenes.draft(certified=True), tpm_scenes.chain("p256")[1]
    names = (("issuer", tpm_scenes.ISSUER_NAME), ("root", tpm_scenes.ROOT_NAME))
    made = tpm_scenes.NOW - DAY
    files = {key: CrlDraft(name, tpm_scenes.keys(key), made).sign() for key, name in names}
    lists = tuple(files.values())
    if apart:
        draft.certificates = draft.certificates[:1]
        files["certificate"] = issuer
    found = endorsed("tpm", draft.encode(), files, tpm_given())
    assert found == TpmEndorsements(certificates=(issuer,) if apart else (), crls=lists)
    assert verified("tpm", draft.encode(), files, tpm_given()).claims.ak_revocation_checked


def test_no_more_than_four_authorities_of_tpms_are_given():
    files = {str(at): authority_of(f"CA {at}") for at in range(5)}
    found = endorsed("tpm", tpm_scenes.draft().encode(), files, tpm_given())
    assert found.certificates == tuple(files.values())[:4]


# --- Tokens

SERVICES = ("confidential-space", "maa", "trust-authority", "nras")


@pytest.mark.parametrize("service", SERVICES)
def test_keys_of_a_tokens_issuer_are_found(service):
    stage = token_scenes.scene(service)
    keys = stage.endorsements
    terms = Terms(audience=stage.audience)
    asked = given(stage.binding, stage.roots, stage.now, terms)
    token = stage.evidence()
    assert endorsed(service, token, {"keys.json": keys.jwks}, asked) == keys
    found = verified(service, token, {"keys.json": keys.jwks}, asked)
    assert (found.platform, found.bound) == (service, True), found.ledger.unmet()
    # A set that a bundle says is another issuer's is not this one's.
    window = Window(stage.now - DAY, stage.now + DAY)
    for issuer, known in ((keys.issuer, keys), ("https://another.example", None)):
        each = Endorsement(
            Wanted.of("jwks", issuer=issuer),
            {"jwks.json": keys.jwks},
            window,
            stage.now,
            (f"{issuer}/keys",),
            Basis.TLS,
            "issuer.example",
        )
        bundle = Bundle.of([each], created=stage.now).encode()
        assert endorsed(service, token, {"bundle": bundle}, asked) == known


@pytest.mark.parametrize("authority", ["root", "intermediate"])
@pytest.mark.parametrize("revoked", [False, True])
def test_lists_of_the_authorities_of_confidential_space_are_found(authority, revoked):
    stage, services = token_scenes.scene("confidential-space", "pki"), token_scenes.services()
    below = {"root": services.intermediate, "intermediate": services.leaf}[authority]
    serials = [below.certificate.serial_number] if revoked else []
    foreign = google("none").endorsements.crls[0]
    crl = getattr(services, authority).crl(stage.now - DAY, *serials)
    asked = given(stage.binding, stage.roots, stage.now, Terms(audience=stage.audience))
    files, token = {"a": foreign, "b": crl}, stage.evidence()
    assert endorsed("confidential-space", token, files, asked).crls == (crl,)
    assert endorsed("confidential-space", token, {"a": foreign}, asked) is None
    check = verified("confidential-space", token, files, asked).ledger["confidential_space.chain.revoked"]
    assert check.code == ("confidential_space.chain.revoked.listed" if revoked else "")
    assert check.outcome is (Outcome.FAILED if revoked else Outcome.PASSED)


def test_keys_and_lists_of_confidential_space_are_found_together():
    stage = token_scenes.scene("confidential-space", "oidc")
    asked = given(stage.binding, stage.roots, stage.now, Terms(audience=stage.audience))
    files = {"keys.json": stage.endorsements.jwks, "crl": token_scenes.services().root.crl(stage.now - DAY)}
    found = verified("confidential-space", stage.evidence(), files, asked)
    assert found.bound, found.ledger.unmet()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("terms", "late", "code"),
    [
        (Terms(token_max_age=timedelta(seconds=30)), 30, ""),
        (Terms(token_max_age=timedelta(seconds=30)), 31, "age"),
        (Terms(token_skew=timedelta(seconds=10)), -10, ""),
        (Terms(token_skew=timedelta(seconds=10)), -11, "future"),
        (Terms(), -60, ""),
        (Terms(), -61, "future"),
    ],
)
def test_the_age_of_a_token_is_the_relying_partys_word(service, terms, late, code):
    stage = token_scenes.scene(service)
    asked = given(
        stage.binding,
        stage.roots,
        stage.now + timedelta(seconds=late),
        replace(terms, audience=stage.audience),
    )
    found = format_of(service).verify(stage.evidence(), stage.endorsements, asked)
    codes = [check.code for check in found.ledger.failed()]
    assert bool(codes) is bool(code), codes


def test_what_a_caller_does_not_state_has_these_values():
    terms = Terms()
    assert (terms.token_skew, terms.token_max_age) == (timedelta(minutes=1), timedelta(hours=1))
    assert (terms.nitro_carrier, terms.nitro_validity) == ("user_data", "now")
    assert isinstance(terms.audience, Unchecked)
    assert isinstance(terms.user_data, Unchecked)


# --- NVIDIA


def device_given() -> Given:
    return given(Expected(DEVICE_NONCE), device_roots(), DEVICE_TIME)


def answered(chain: list[Any], drafts: list[AnswerDraft]) -> dict[bytes, Endorsement]:
    """Return the answers about a chain as endorsements, by the certificate in question."""
    found = {}
    for place, draft in enumerate(drafts):
        reply = draft.sign()
        assert isinstance(reply.nonce, Expected)
        found[chain[place].der] = Endorsement(
            Wanted.of("nvidia-ocsp", chain=need_chain.encode(tuple(each.der for each in chain[place:]))),
            {"response.der": reply.response, "nonce.bin": reply.nonce.value},
            Window(DEVICE_TIME - DAY, DEVICE_TIME + DAY),
            DEVICE_TIME,
            ("https://ocsp.example/",),
            Basis.SIGNATURE,
            "00",
        )
    return found


@cache
def device() -> tuple[bytes, dict[str, bytes], dict[bytes, Endorsement], dict[bytes, Endorsement]]:
    """Return evidence of a GPU, its manifests, the answers about its chain, and those about theirs."""
    stage = device_scene()
    own = answered(stage.report.chain[1:], stage.device_answers())
    manifests, signers = {}, {}
    for at, each in enumerate((*stage.drivers, *stage.firmware)):
        signers |= answered(each.draft.chain, stage.manifest_answers(each))
        manifests[f"{at}.rim"] = each.draft.sign()
    return stage.finish().evidence, manifests, own, signers


def bundle_of(*answers: dict[bytes, Endorsement]) -> bytes:
    every = {each.wanted: each for some in answers for each in some.values()}
    return Bundle.of(every.values(), created=DEVICE_TIME).encode()


def test_answers_and_manifests_of_a_gpu_are_found():
    evidence, manifests, own, signers = device()
    files = {**manifests, "bundle": bundle_of(own, signers), "junk": b"<?xml", "x": b"\0"}
    found = endorsed("nvidia-gpu", evidence, files, device_given())
    assert {reply.response for reply in found.ocsp} == {
        each.parts["response.der"] for each in (own | signers).values()
    }
    assert found.drivers == found.firmware
    assert (len(found.drivers), found.chain) == (2, b"")
    result = verified("nvidia-gpu", evidence, files, device_given())
    assert (result.platform, result.bound) == ("nvidia-gpu", True), result.ledger.unmet()


def test_a_manifest_counts_with_the_answers_about_its_own_signers():
    evidence, manifests, own, _ = device()
    found = endorsed("nvidia-gpu", evidence, {**manifests, "bundle": bundle_of(own)}, device_given())
    assert (len(found.ocsp), found.drivers) == (len(own), ())
    assert endorsed("nvidia-gpu", evidence, manifests, device_given()) is None


def test_nothing_is_looked_for_where_nothing_is_needed():
    evidence, manifests, own, signers = device()
    form, asked = format_of("nvidia-gpu"), device_given()
    files = Materials.of({**manifests, "bundle": bundle_of(own, signers)})
    whole = form.verify(evidence, form.endorse(files, form.verify(evidence, None, asked), asked), asked)
    assert whole.needs == ()
    assert form.endorse(files, whole, asked) is None
    # With every answer at hand it is the manifests alone that are missing.
    without = replace(form.endorse(files, form.verify(evidence, None, asked), asked), drivers=(), firmware=())
    first = form.verify(evidence, without, asked)
    assert {need.kind for need in first.needs} == {"rim"}
    assert len(form.endorse(files, first, asked).drivers) == 2
    first = form.verify(evidence, replace(form.endorse(files, first, asked), ocsp=()), asked)
    assert {need.kind for need in first.needs} == {"ocsp"}
    assert len(form.endorse(files, first, asked).ocsp) == len(own | signers)


def test_a_bare_report_gets_answers_and_the_file_with_its_chain():
    _, _, own, _ = device()
    report, pem = device_scene().report.sign(), device_scene().report.pem()
    bundle = bundle_of(own)
    found = endorsed("nvidia-gpu", report, {"bundle": bundle}, device_given())
    assert (len(found.ocsp), found.chain) == (len(own), b"")
    for chain in (pem, pem + bytes(3)):
        found = endorsed("nvidia-gpu", report, {"0": b"text", "1": pem + b"X", "2": chain}, device_given())
        assert (found.ocsp, found.chain) == ((), chain)
    assert endorsed("nvidia-gpu", report, {"1": pem + b"X"}, device_given()) is None


def test_only_so_many_answers_are_given():
    issuer = authority_of("a test's root", "a test's root")
    (one, *_) = device()[2].values()
    every = [
        replace(
            one, wanted=Wanted.of("nvidia-ocsp", chain=need_chain.encode((authority_of(str(at)), issuer)))
        )
        for at in range(513)
    ]
    bundle = Bundle.of(every, created=DEVICE_TIME)
    first = format_of("nvidia-gpu").verify(device()[0], None, device_given())
    found = format_of("nvidia-gpu").endorse(Materials({"x": b""}, (bundle,)), first, device_given())
    assert len(found.ocsp) == 512


def test_answers_that_name_no_certificate_are_passed_over():
    evidence, _, own, _ = device()
    (one, *_) = own.values()
    no_chain = replace(one, wanted=Wanted.of("nvidia-ocsp", chain="AAAA"))
    no_nonce = replace(
        one, wanted=Wanted.of("nvidia-ocsp", chain="AAAB"), parts={"response.der": one.parts["response.der"]}
    )
    other = replace(one, wanted=Wanted("nvidia-crl", one.wanted.key))
    junk = Bundle.of([no_chain, no_nonce, other], created=DEVICE_TIME).encode()
    assert endorsed("nvidia-gpu", evidence, {"a": junk}, device_given()) is None
    found = endorsed("nvidia-gpu", evidence, {"a": junk, "b": bundle_of(own)}, device_given())
    assert len(found.ocsp) == len(own)


def renamed(draft: ManifestDraft) -> bytes:
    """Return a manifest whose root has a prefix, as its other elements do."""
    start, end = "<SoftwareIdentity", "</SoftwareIdentity>"
    draft.before_signing = lambda tag: tag.replace(start, f"<ns0:{start[1:]}").replace(
        end, f"</ns0:{end[2:]}"
    )
    signed = draft.sign().replace(b"</ns0:SoftwareIdentity>", b"")
    return signed.replace(b"</SoftwareIdentity>", b"</ns0:SoftwareIdentity>")


def test_manifests_are_found_however_their_text_begins():
    evidence, manifests, own, signers = device()
    plain = manifests["0.rim"]
    prefixed = renamed(device_scene().drivers[0].draft)
    assert (plain[:18], prefixed[:22]) == (b"<SoftwareIdentity ", b"<ns0:SoftwareIdentity ")
    for document in (b"\n" + plain, b'<?xml version="1.0" encoding="UTF-8"?>\n' + plain, prefixed):
        files = {"a.rim": document, "bundle": bundle_of(own, signers)}
        assert len(endorsed("nvidia-gpu", evidence, files, device_given()).drivers) == 1


@pytest.mark.parametrize(("before", "found"), [(63, 1), (64, 0)])
def test_only_so_many_manifests_are_looked_at(before, found):
    evidence, manifests, own, signers = device()
    files = {f"0{at:02}": b"<?xml" for at in range(before)}
    files |= {"1.rim": manifests["0.rim"], "2": bundle_of(own, signers)}
    assert len(endorsed("nvidia-gpu", evidence, files, device_given()).drivers) == found

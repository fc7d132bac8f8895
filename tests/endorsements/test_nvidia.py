"""NVIDIA's services: status by OCSP with a nonce, and manifests that rest on it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, NameOID, OCSPNonce
from cryptography.x509.ocsp import load_der_ocsp_request

from assay.endorsements.bundle import Bundle
from assay.endorsements.fetching import Origin
from assay.endorsements.gathering import gather
from assay.endorsements.needs import Choices
from assay.endorsements.record import Wanted
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Unchecked
from assay.evidence.x509 import need_chain
from assay.simulator.nvidia.answers import CERTIFICATE_HOLD, KEY_COMPROMISE, UNKNOWN, answers, revoked
from assay.simulator.nvidia.manifest import manifest, signer_profile
from assay.verification.formats import format_of
from assay.verification.materials import Materials
from assay.verification.terms import Given, Terms
from support.endorsement_intel import fetcher
from support.endorsement_services import NOW, Reply, World
from support.nvidia_scenes import NVIDIA, STRANGER, roots, scene

NAMES = ("nvidia-ocsp", "nvidia-rim")


class Responder:
    """Answers about every certificate that it knows, with the nonce of the question."""

    def __init__(self, *chains):
        self.drafts = {}
        for chain in chains:
            for draft in answers(NVIDIA, chain, NOW):
                self.drafts[draft.subject.certificate.serial_number] = draft
        self.spoil = lambda draft: None
        self.nonces = []

    def __call__(self, method, path, body):
        request = self.request = load_der_ocsp_request(body)
        nonce = request.extensions.get_extension_for_class(OCSPNonce).value.nonce
        self.nonces.append(nonce)
        draft = replace(self.drafts[request.serial_number], nonce=nonce, asked=nonce)
        self.spoil(draft)
        return Reply(200, draft.sign().response, {"Content-Type": "application/ocsp-response"})


def device_chain():
    return scene().devices[0].chain()


DRIVER = manifest(NVIDIA, "HOPPER", "driver", "550.90.07")
RIM_ID = f"NV_GPU_DRIVER_{DRIVER.name}_{DRIVER.version}"


def rim_reply(xml, name=RIM_ID, **changes):
    members = {"id": name, "rim": base64.b64encode(xml).decode(), "sha256": hashlib.sha256(xml).hexdigest()}
    return Reply(200, json.dumps(members | changes).encode())


@pytest.fixture
def service(service):
    service.responder = Responder(device_chain(), DRIVER.chain)
    service.routes["/"] = service.responder
    service.routes[f"/v1/rim/{RIM_ID}"] = rim_reply(DRIVER.sign())
    return service


def status(chain=None, place=1):
    return Wanted.of(
        "nvidia-ocsp", chain=need_chain.encode(tuple(each.der for each in (chain or device_chain())[place:]))
    )


RIM = Wanted.of("nvidia-rim", id=RIM_ID)


def ask(cache, service, wanted, **options):
    return fetcher(cache, service, names=NAMES, **{"roots": roots()} | options).get(wanted)


def refused(found, code):
    assert found.endorsement is None
    assert found.error.code == f"endorsements.{code}"
    assert found.error.message.isprintable()


def test_a_status_is_asked_with_a_nonce_and_kept_with_it(service, cache):
    found = ask(cache, service, status())
    assert found.error is None
    assert found.usable
    (nonce,) = service.responder.nonces
    assert len(nonce) == 32
    assert found.endorsement.parts["nonce.bin"] == nonce
    assert found.endorsement.window.end <= NOW + timedelta(days=1)
    request, issuer = service.responder.request, device_chain()[2]
    assert request.hash_algorithm.name == "sha384"
    assert request.serial_number == device_chain()[1].certificate.serial_number
    assert request.issuer_name_hash == hashlib.sha384(issuer.certificate.subject.public_bytes()).digest()
    point = issuer.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert request.issuer_key_hash == hashlib.sha384(point).digest()
    assert [extension.critical for extension in request.extensions] == [False]
    assert ask(cache, service, status()).origin is Origin.CACHE
    assert service.requests[0][2]["Content-Type"] == "application/ocsp-request"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda draft: setattr(draft, "nonce", b"\0" * 32), "answer.unverified"),
        (lambda draft: setattr(draft, "nonce", None), "answer.unverified"),
        (lambda draft: setattr(draft, "serial", 7), "answer.unverified"),
        (lambda draft: setattr(draft, "key", STRANGER.key("x")), "answer.unverified"),
        (lambda draft: setattr(draft, "certificates", ()), "answer.unverified"),
        (lambda draft: setattr(draft, "status", revoked(NOW, KEY_COMPROMISE)), "nvidia.revoked"),
        (lambda draft: setattr(draft, "status", UNKNOWN), "nvidia.revoked"),
        (lambda draft: setattr(draft, "next_update", NOW - timedelta(minutes=1)), "answer.stale"),
        (lambda draft: setattr(draft, "response_status", 6), "answer.malformed"),
        (lambda draft: setattr(draft, "after", lambda data: b"<html>"), "answer.malformed"),
        (lambda draft: setattr(draft, "after", lambda data: data[:-1]), "answer.malformed"),
    ],
)
def test_a_wrong_status_is_refused(service, cache, spoil, code):
    service.responder.spoil = spoil
    refused(ask(cache, service, status()), code)
    assert list(cache.entries()) == []


def test_a_wrong_status_says_which_check_failed(service, cache):
    service.responder.spoil = lambda draft: setattr(draft, "nonce", b"\0" * 32)
    assert ask(cache, service, status()).error.detail["check"] == "nonce"


def signed_at(moment):
    def change(draft):
        draft.this_update = draft.produced_at = moment

    return change


@pytest.mark.parametrize(("ahead", "waited"), [(0, []), (1, [5.0]), (5, [5.0])])
def test_a_status_of_the_next_seconds_is_waited_for(service, cache, ahead, waited):
    """It is signed when it is asked for, by a clock that may be ahead of ours."""
    service.responder.spoil = signed_at(NOW + timedelta(seconds=ahead))
    world = World()
    found = ask(cache, service, status(), world=world)
    assert (found.usable, found.error) == (True, None)
    assert world.waits == waited
    assert found.endorsement.fetched == NOW + timedelta(seconds=sum(waited))


def test_a_status_of_the_future_is_not_waited_for(service, cache):
    service.responder.spoil = signed_at(NOW + timedelta(seconds=6))
    world = World()
    refused(ask(cache, service, status(), world=world), "answer.stale")
    assert world.waits == []


def test_a_status_that_names_no_end_holds_for_a_day(service, cache):
    service.responder.spoil = lambda draft: setattr(draft, "next_update", None)
    window = ask(cache, service, status()).endorsement.window
    assert window.end == NOW - timedelta(hours=1) + timedelta(days=1)


def test_a_certificate_on_hold_is_the_verifiers_question(service, cache):
    service.responder.spoil = lambda draft: setattr(draft, "status", revoked(NOW, CERTIFICATE_HOLD))
    assert ask(cache, service, status()).usable


def test_a_chain_that_ends_in_no_root_of_trust_is_refused(service, cache):
    refused(ask(cache, service, status(), roots=Roots.vendor()), "answer.unverified")


def test_a_chain_with_a_gap_is_refused(service, cache):
    chain = device_chain()
    with_a_gap = (chain[1], chain[-1])
    wanted = Wanted.of("nvidia-ocsp", chain=need_chain.encode(tuple(each.der for each in with_a_gap)))
    service.responder.spoil = lambda draft: setattr(draft, "issuer", chain[-1])
    found = ask(cache, service, wanted)
    refused(found, "answer.unverified")
    (name,) = chain[1].certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value[:40] in found.error.message


@pytest.mark.parametrize(
    ("oid", "named"), [(NameOID.COMMON_NAME, "x" * 40), (NameOID.ORGANIZATION_NAME, "certificate")]
)
def test_a_certificate_is_named_by_forty_characters_at_most(service, cache, oid, named):
    """Its name is the evidence's, whatever somebody wrote there."""
    name = Name([NameAttribute(oid, "x" * 60)])
    key = ec.generate_private_key(ec.SECP384R1())
    made = (
        CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(days=1))
        .sign(key, hashes.SHA384())
        .public_bytes(Encoding.DER)
    )
    service.routes["/"] = Reply(200, b"<html>")
    wanted = Wanted.of("nvidia-ocsp", chain=need_chain.encode((made, device_chain()[-1].der)))
    found = ask(cache, service, wanted)
    refused(found, "answer.unverified")
    assert f"The {named} names" in found.error.message


@pytest.mark.parametrize("count", [2, 6])
def test_a_chain_has_two_to_six_certificates(service, cache, count):
    wanted = Wanted.of("nvidia-ocsp", chain=need_chain.encode((device_chain()[1].der,) * count))
    refused(ask(cache, service, wanted), "answer.unverified")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "chain",
    [
        "",
        "AA==",
        "!!",
        base64.b64encode(device_chain()[-1].der).decode(),
        need_chain.encode((device_chain()[1].der,) * 7),
        need_chain.encode((device_chain()[1].der,) * 8),
        need_chain.encode(tuple(each.der for each in device_chain()[1:])) + "!",
    ],
)
def test_what_names_no_certificate_is_not_asked(service, cache, chain):
    refused(ask(cache, service, Wanted.of("nvidia-ocsp", chain=chain)), "wanted.malformed")
    assert service.requests == []


def test_a_manifest_is_fetched_with_the_status_of_its_certificates(service, cache):
    one = fetcher(cache, service, names=NAMES, roots=roots())
    found = one.get_all([RIM])
    assert [each.error for each in found] == [None] * 4
    assert [each.wanted.kind for each in found] == ["nvidia-rim"] + ["nvidia-ocsp"] * 3
    assert found[0].endorsement.parts["rim.xml"] == DRIVER.sign()
    again = fetcher(cache, service, names=NAMES, roots=roots(), offline=True).get_all([RIM])
    assert all(each.usable for each in again)
    assert len(again) == 4


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (rim_reply(DRIVER.sign(), name="NV_GPU_DRIVER_OTHER"), "answer.swapped"),
        (rim_reply(DRIVER.sign(), sha256="00" * 32), "answer.malformed"),
        (rim_reply(DRIVER.sign(), rim="!!!"), "answer.malformed"),
        (rim_reply(DRIVER.sign(), rim=base64.b64encode(DRIVER.sign()).decode() + "!"), "answer.malformed"),
        (Reply(200, bytes(2097152)), "answer.malformed"),
        (Reply(200, bytes(2097153)), "http.too_large"),
        (rim_reply(b"<html></html>"), "answer.malformed"),
        (Reply(200, b"<html></html>"), "answer.malformed"),
        (rim_reply(DRIVER.sign().replace(b"GH100", b"GH101", 1)), "answer.unverified"),
        (rim_reply(manifest(STRANGER, "HOPPER", "driver", "550.90.07").sign()), "answer.unverified"),
        (rim_reply(manifest(NVIDIA, "HOPPER", "driver", "999.1").sign()), "answer.swapped"),
    ],
)
def test_a_wrong_manifest_is_refused(service, cache, reply, code):
    stranger = manifest(STRANGER, "HOPPER", "driver", "550.90.07")
    for draft in answers(STRANGER, stranger.chain, NOW):
        service.responder.drafts[draft.subject.certificate.serial_number] = draft
    service.routes[f"/v1/rim/{RIM_ID}"] = reply
    refused(ask(cache, service, RIM), code)
    assert all(entry.wanted.kind != "nvidia-rim" for entry in cache.entries())


VBIOS_ID = "NV_GPU_VBIOS_1010_0200_882_96009F0001"


@pytest.mark.parametrize(
    ("name", "architecture", "usable"),
    [
        ("NV_GPU_DRIVER_GH100_96.00.9F.00.01", "HOPPER", True),
        ("NV_GPU_DRIVER_GH100_96.00.9F.00.01", "BLACKWELL", False),
        ("NV_GPU_CC_DRIVER_GB100_96.00.9F.00.01", "BLACKWELL", True),
        ("NV_GPU_CC_DRIVER_GB100_96.00.9F.00.01", "HOPPER", False),
        ("NV_SWITCH_BIOS_5612_0002_890_96009F0001", "LS10", True),
        ("NV_SWITCH_BIOS_5612_0002_890_96009F0001", "HOPPER", False),
        (VBIOS_ID, "HOPPER", True),
        (VBIOS_ID, "LS10", False),
    ],
)
def test_a_manifest_of_another_family_is_refused(service, cache, name, architecture, usable):
    """Signed and of the right version, it would be kept under a name that is not its own."""
    draft = manifest(NVIDIA, architecture, "vbios", "96.00.9F.00.01")
    for answer in answers(NVIDIA, draft.chain, NOW):
        service.responder.drafts[answer.subject.certificate.serial_number] = answer
    service.routes[f"/v1/rim/{name}"] = rim_reply(draft.sign(), name=name)
    found = ask(cache, service, Wanted.of("nvidia-rim", id=name))
    assert found.usable is usable
    assert usable or found.error.code == "endorsements.answer.swapped"


def test_a_manifest_need_not_come_with_a_digest(service, cache):
    service.routes[f"/v1/rim/{RIM_ID}"] = rim_reply(DRIVER.sign(), sha256="")
    assert ask(cache, service, RIM).usable


def test_a_manifest_that_was_altered_says_which_check_failed(service, cache):
    service.routes[f"/v1/rim/{RIM_ID}"] = rim_reply(DRIVER.sign().replace(b"GH100", b"GH101", 1))
    assert ask(cache, service, RIM).error.detail["check"].startswith("rim.")


def test_a_manifest_whose_signer_has_expired_is_stale(service, cache):
    draft = manifest(NVIDIA, "HOPPER", "driver", "550.90.07")
    profile = replace(signer_profile(draft.name), not_after=NOW - timedelta(days=1))
    draft.chain[0] = draft.chain[1].issue(profile, draft.chain[0].key)
    for answer in answers(NVIDIA, draft.chain, NOW):
        service.responder.drafts[answer.subject.certificate.serial_number] = answer
    service.routes[f"/v1/rim/{RIM_ID}"] = rim_reply(draft.sign())
    refused(ask(cache, service, RIM), "answer.stale")


def test_a_manifest_whose_signer_was_revoked_is_refused(service, cache):
    service.responder.spoil = lambda draft: setattr(draft, "status", revoked(NOW, KEY_COMPROMISE))
    refused(ask(cache, service, RIM), "nvidia.revoked")


def test_a_name_that_leaves_the_path_is_refused(service, cache):
    refused(ask(cache, service, Wanted.of("nvidia-rim", id="../keys")), "wanted.malformed")
    assert service.requests == []


def test_a_gpu_gets_all_that_it_needs(service, cache):
    """From the needs of a report alone to a report that lacks nothing that anybody publishes."""
    presented = scene().finish()
    bodies = {}
    for component, made in (("driver", scene().drivers), ("vbios", scene().firmware)):
        draft = made[0].draft
        bodies[component] = draft.sign()
        for answer in answers(NVIDIA, draft.chain, NOW):
            service.responder.drafts[answer.subject.certificate.serial_number] = answer
    form = format_of("nvidia-gpu")
    given = Given(roots(), NOW, Unchecked("a test"), FactCache(max_entries=16), Terms())

    def verify(bundle: Bundle | None):
        first = form.verify(presented.evidence, None, given)
        if bundle is None:
            return first
        return form.verify(
            presented.evidence, form.endorse(Materials(bundle.files(), (bundle,)), first, given), given
        )

    for need in verify(None).needs:
        if need.kind == "rim":
            name = need.key["id"]
            service.routes[f"/v1/rim/{name}"] = rim_reply(bodies[need.key["component"]], name=name)
    found = gather(verify, fetcher(cache, service, names=NAMES, roots=roots()), Choices())
    assert [(each.wanted.kind, each.error) for each in found.found if each.error] == []
    assert found.open == ()
    assert found.unasked == ()

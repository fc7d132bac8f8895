"""Key sets: of known issuers only, from their own hosts only, and never called signed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assay.endorsements.cache import Cache
from assay.endorsements.needs import Choices, can_be_fetched, wanted_of
from assay.endorsements.record import Basis, Wanted
from assay.evidence.roots import Roots
from assay.evidence.verification import Need
from support import vectors
from support.endorsement_intel import fetcher
from support.endorsement_services import FakeService, Reply, World
from support.endorsement_tokens import DISCOVERY, GOOGLE, ISSUERS, KEYS, NAMES, discovery, tokens


@pytest.fixture
def service():
    found = FakeService()
    found.routes[DISCOVERY] = discovery()
    yield found
    found.stop()


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", World().surroundings())


def ask(cache, service, issuer, **options):
    return fetcher(cache, service, names=NAMES, **options).get(Wanted.of("jwks", issuer=issuer))


def refused(found, code):
    assert found.endorsement is None
    assert found.error.code == f"endorsements.{code}"


@pytest.mark.parametrize("name", ISSUERS)
def test_the_keys_of_an_issuer_are_fetched(service, cache, name):
    issuer, path = ISSUERS[name]
    service.routes[path] = Reply(200, tokens().key_set(name))
    found = ask(cache, service, issuer)
    assert found.usable
    assert found.endorsement.parts["jwks.json"] == tokens().key_set(name)
    assert found.endorsement.basis is Basis.TLS
    assert found.endorsement.anchor == f"localhost:{service.port}#of-a-test"
    assert (found.endorsement.window.end - found.endorsement.window.start).days == 7


def test_keys_that_another_host_vouched_for_are_not_used(service, cache):
    issuer, path = ISSUERS["nras"]
    service.routes[path] = Reply(200, tokens().key_set("nras"))
    assert ask(cache, service, issuer).usable
    assert ask(cache, service, issuer, offline=True).usable
    # The same cache, but the published address: what the replaced one said counts for nothing there.
    refused(fetcher(cache, offline=True).get(Wanted.of("jwks", issuer=issuer)), "offline.missing")


@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.example",
        "https://evil.attest.azure.net",
        "https://confidentialcomputing.googleapis.com/",
        "x",
    ],
)
def test_an_unknown_issuer_is_not_asked(service, cache, issuer):
    refused(ask(cache, service, issuer), "issuer.unknown")
    assert service.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        discovery(issuer="https://evil.example"),
        discovery(jwks_uri="https://evil.example/keys"),
        discovery(jwks_uri=f"http://www.googleapis.com{KEYS}"),
        discovery(jwks_uri="https://www.googleapis.com@evil.example/keys"),
        discovery(jwks_uri="https://www.googleapis.com:444/keys"),
        discovery(jwks_uri="https://www.googleapis.com/keys?x=1"),
        discovery(jwks_uri=7),
        Reply(200, b"<html>"),
    ],
)
def test_a_discovery_document_leads_nowhere_else(service, cache, reply):
    service.routes[DISCOVERY] = reply
    refused(ask(cache, service, GOOGLE), "answer.malformed")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"keys":[]}',
        b'{"keys":[{"kid":"a","kty":"oct","k":"AA"}]}',
        b'{"keys":[{"kid":"a","kty":"RSA","n":"AQAB","e":"AQAB"}]}',
        b'{"keys":1,"keys":[]}',
    ],
)
def test_what_is_no_usable_key_set_is_refused(service, cache, body):
    service.routes["/certs"] = Reply(200, body)
    refused(ask(cache, service, ISSUERS["trust-authority"][0]), "answer.malformed")
    assert list(cache.entries()) == []


ROOT = Wanted.of("confidential-space-root")
ROOT_PATH = "/.well-known/confidential_space_root.crt"


def test_the_published_root_is_compared_with_the_pinned_one(service, cache):
    pinned = Roots.vendor().of("google-confidential-space")[0]
    service.routes[ROOT_PATH] = Reply(200, pinned.der)
    found = fetcher(cache, service, names=NAMES).get(ROOT)
    assert found.usable
    assert found.endorsement.anchor == pinned.anchor.fingerprint.hex()


@pytest.mark.parametrize(("body", "code"), [(b"other", "unverified"), (b"-----BEGIN X", "malformed")])
def test_another_published_root_is_refused(service, cache, body, code):
    service.routes[ROOT_PATH] = Reply(200, body)
    refused(fetcher(cache, service, names=NAMES).get(ROOT), f"answer.{code}")


def test_an_expired_root_is_refused(service, cache):
    service.routes[ROOT_PATH] = Reply(200, Roots.vendor().of("google-confidential-space")[0].der)
    world = World(datetime(2040, 1, 1, tzinfo=UTC))
    refused(fetcher(cache, service, names=NAMES, world=world).get(ROOT), "answer.stale")


# --- what they really answered


@pytest.mark.parametrize(
    ("file", "issuer", "path"),
    [
        ("gcp-cs/synddb/jwks.json", GOOGLE, KEYS),
        ("azure/azure-maa-samples/maa_get_certs_response.json", *ISSUERS["maa"]),
    ],
)
def test_real_key_sets_are_accepted(service, cache, file, issuer, path):
    service.routes[path] = Reply(200, vectors.read(file))
    found = ask(cache, service, issuer)
    assert found.error is None
    assert found.usable


def test_the_real_discovery_document_is_accepted(service, cache):
    service.routes[DISCOVERY] = Reply(200, vectors.read("gcp-cs/synddb/openid-configuration.json"))
    service.routes[KEYS] = Reply(200, vectors.read("gcp-cs/synddb/jwks.json"))
    assert ask(cache, service, GOOGLE).usable


# --- needs


def needs(kind, choices=Choices(), /, **key):  # noqa: B008 - a frozen value
    return wanted_of([Need(kind, key, "why")], choices)


def test_needs_lead_to_what_is_published():
    assert needs("jwks", issuer=GOOGLE, kid="a") == (Wanted.of("jwks", issuer=GOOGLE),)
    collateral = {"tee": "tdx", "fmspc": "00806f050000", "ca": "platform"}
    assert needs("collateral", **collateral, time="x") == (Wanted.of("intel-collateral", **collateral),)
    early = needs("collateral", Choices(update="early"), **collateral)
    assert early == (Wanted.of("intel-collateral", **collateral, update="early"),)
    assert needs("rim", component="driver", id="NV_X") == (Wanted.of("nvidia-rim", id="NV_X"),)
    assert needs("ocsp", serial="00", chain="AA==") == (Wanted.of("nvidia-ocsp", chain="AA=="),)


def test_a_need_of_a_chip_leads_to_certificate_chain_and_list():
    key = {
        "kind": "vcek",
        "product": "Milan",
        "chip_id": "ab" * 64,
        "bl": "3",
        "tee": "0",
        "snp": "8",
        "ucode": "115",
    }
    vek, chain, crl = needs("snp-vek", **key)
    assert (vek.kind, vek["chip-id"], vek["ucode"]) == ("amd-vek", "ab" * 64, "115")
    assert (chain, crl) == (
        Wanted.of("amd-chain", kind="vcek", product="Milan"),
        Wanted.of("amd-crl", kind="vcek", product="Milan"),
    )
    assert needs("snp-vek", Choices(instance_metadata=True), **key)[0].kind == "azure-thim"
    assert needs("snp-chain", kind="vcek", product="Milan") == (chain, crl)
    assert needs("snp-crl", kind="vcek", product="Milan") == (crl,)


def test_a_report_that_names_no_product_is_looked_for_in_both():
    found = needs("snp-crl", kind="vcek", product="")
    assert [each["product"] for each in found] == ["Milan", "Genoa"]


@pytest.mark.parametrize("kind", ["binding", "event-log", "evidence", "ak-intermediates"])
def test_what_nobody_publishes_is_left_out(kind):
    assert needs(kind) == ()
    assert not can_be_fetched(Need(kind, {}, "why"))
    assert can_be_fetched(Need("jwks", {}, "why"))

"""Key sets: of known issuers only, from their own hosts only, and never called signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay.endorsements.fetching import Origin
from assay.endorsements.jwks import publisher
from assay.endorsements.needs import Choices, by_kind, can_be_fetched, wanted_of
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.errors import EndorsementError
from assay.evidence.decoding.pem import encode
from assay.evidence.facts import ALWAYS
from assay.evidence.roots import Roots
from assay.evidence.verification import Need
from assay.evidence.x509 import need_chain
from support import vectors
from support.endorsement_intel import fetcher
from support.endorsement_services import NOW, Reply, World
from support.endorsement_tokens import DISCOVERY, GOOGLE, ISSUERS, KEYS, NAMES, discovery, tokens


@pytest.fixture
def service(service):
    service.routes[DISCOVERY] = discovery()
    return service


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
    assert service.requests[-1][2]["Accept"] == "application/json"
    assert found.endorsement.anchor == f"localhost:{service.port}#of-a-test"
    assert (found.endorsement.window.end - found.endorsement.window.start).days == 7


def test_keys_that_another_host_vouched_for_are_not_used(service, cache):
    issuer, path = ISSUERS["nras"]
    service.routes[path] = Reply(200, tokens().key_set("nras"))
    assert ask(cache, service, issuer).usable
    assert ask(cache, service, issuer, offline=True).usable
    # The same cache, but the published address: what the replaced one said counts for nothing there.
    refused(fetcher(cache, offline=True).get(Wanted.of("jwks", issuer=issuer)), "offline.missing")


def test_keys_that_another_discovery_document_led_to_are_not_used(service, cache):
    """It chooses the path, and Google's host has keys of every service account."""
    service.routes[KEYS] = Reply(200, tokens().key_set("confidential-space"))
    assert ask(cache, service, GOOGLE).usable
    elsewhere = fetcher(cache, service, names=("google-keys",), offline=True)
    refused(elsewhere.get(Wanted.of("jwks", issuer=GOOGLE)), "offline.missing")


def test_keys_fetched_while_the_clock_was_ahead_are_replaced_once_it_is_right(service, cache):
    """Nothing in a key set says when it was published: its time is that of our clock."""
    issuer, path = ISSUERS["nras"]
    service.routes[path] = Reply(200, tokens().key_set("nras"))
    ahead = ask(cache, service, issuer, world=World(NOW + timedelta(days=400)))
    found = ask(cache, service, issuer)
    assert (found.usable, found.origin, found.error) == (True, Origin.NETWORK, None)
    assert found.endorsement.fetched < ahead.endorsement.fetched


def test_the_public_authorities_have_no_name(service, cache):
    issuer, path = ISSUERS["nras"]
    service.routes[path] = Reply(200, tokens().key_set("nras"))
    one = fetcher(cache, service, names=NAMES)
    one = replace(one, access=replace(one.access, authorities=""))
    assert one.get(Wanted.of("jwks", issuer=issuer)).endorsement.anchor == f"localhost:{service.port}"


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://a12.weu.attest.azure.net", "https://a12.weu.attest.azure.net/certs"),
        ("https://portal.trustauthority.intel.com", "https://portal.trustauthority.intel.com/certs"),
        ("https://nras.attestation.nvidia.com", "https://nras.attestation.nvidia.com/.well-known/jwks.json"),
    ],
)
def test_an_issuer_publishes_its_keys_at_its_own_host(cache, issuer, url):
    access = fetcher(cache).access
    place, asked = publisher(issuer).place(issuer, access)
    assert (place.url, asked) == (url, ())
    assert publisher(issuer).host(issuer, access) == place.authority == issuer.removeprefix("https://")


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
        discovery(jwks_uri="https://www.googleapis.com/keys#x"),
        discovery(jwks_uri="https://www.googleapis.com"),
        Reply(200, b" " * 65536),
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


@pytest.mark.parametrize("path", [DISCOVERY, "/.well-known/confidential_space_root.crt"])
def test_an_answer_of_google_has_a_greatest_length(service, cache, path):
    service.routes[path] = Reply(200, b"-" * 65537)
    wanted = Wanted.of("jwks", issuer=GOOGLE) if path == DISCOVERY else ROOT
    refused(fetcher(cache, service, names=NAMES).get(wanted), "http.too_large")


ROOT = Wanted.of("confidential-space-root")
ROOT_PATH = "/.well-known/confidential_space_root.crt"


@pytest.mark.parametrize("armoured", [False, True])
def test_the_published_root_is_compared_with_the_pinned_one(service, cache, armoured):
    pinned = Roots.vendor().of("google-confidential-space")[0]
    service.routes[ROOT_PATH] = Reply(200, encode(pinned.der) if armoured else pinned.der)
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

KEYS_OF_KINDS = {
    "jwks": {"issuer": GOOGLE},
    "amd-vek": {"kind": "vcek", "product": "Milan"},
    "amd-chain": {"kind": "vcek", "product": "Milan"},
    "amd-crl": {"kind": "vcek", "product": "Milan"},
    "nvidia-ocsp": {"chain": need_chain.encode((Roots.vendor().of("nvidia")[0].der,) * 2)},
}
EMPTY = {
    "wanted": Wanted.of("a-kind"),
    "parts": {"other": b""},
    "window": ALWAYS,
    "fetched": datetime(2026, 11, 21, tzinfo=UTC),
    "sources": (),
    "basis": Basis.SIGNATURE,
    "anchor": "x",
}


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
    listed = {"at": "https://a.example/a.crl", "chain": "AA==", "issuer": "A_CA", "vendor": "google-vtpm"}
    assert needs("revocation-list", **listed) == (Wanted.of("revocation-list", **listed),)
    assert needs("revocation-list", Choices(lists=False), **listed) == ()


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
    assert vek == Wanted.of("amd-vek", **key)
    turin = key | {"product": "Turin", "fmc": "1"}
    assert needs("snp-vek", **turin)[0] == Wanted.of("amd-vek", **turin)
    assert (chain, crl) == (
        Wanted.of("amd-chain", kind="vcek", product="Milan"),
        Wanted.of("amd-crl", kind="vcek", product="Milan"),
    )
    assert needs("snp-vek", Choices(instance_metadata=True), **key)[0].kind == "azure-thim"
    assert needs("snp-chain", kind="vcek", product="Milan") == (chain, crl)
    assert needs("snp-crl", kind="vcek", product="Milan") == (crl,)


@pytest.mark.parametrize("kind", sorted(by_kind()))
def test_an_endorsement_without_its_parts_is_malformed(cache, kind):
    access = replace(fetcher(cache).access, also=lambda wanted: Endorsement(**EMPTY))
    wanted = Wanted.of(kind, **KEYS_OF_KINDS.get(kind, {}))
    with pytest.raises(EndorsementError) as caught:
        by_kind()[kind].judge(wanted, {}, access, datetime(2026, 11, 21, tzinfo=UTC))
    assert caught.value.code == "endorsements.answer.malformed"


def test_a_report_that_names_no_product_is_looked_for_in_both():
    found = needs("snp-crl", kind="vcek", product="")
    assert [each["product"] for each in found] == ["Milan", "Genoa"]


@pytest.mark.parametrize("kind", ["binding", "event-log", "evidence", "ak-intermediates"])
def test_what_nobody_publishes_is_left_out(kind):
    assert needs(kind) == ()
    assert not can_be_fetched(Need(kind, {}, "why"))
    for published in (
        "collateral",
        "jwks",
        "ocsp",
        "rim",
        "revocation-list",
        "snp-vek",
        "snp-chain",
        "snp-crl",
    ):
        assert can_be_fetched(Need(published, {}, "why"))

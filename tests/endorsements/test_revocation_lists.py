"""Lists of what authorities revoked: asked where these publish, verified before they are kept."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from assay.endorsements.fetching import Origin
from assay.endorsements.record import Basis, Wanted
from assay.endorsements.services import Place, Services
from assay.evidence.roots import Roots
from support import azure_scenes, google_vm_scenes, token_scenes
from support.endorsement_intel import fetcher
from support.endorsement_lists import AUTHORITY_AT, AZURE_AT, ROOT_AT, mirrored
from support.endorsement_services import NOW, Reply, running

DAY = timedelta(days=1)
GOOGLE = google_vm_scenes.GOOGLE
AZURE = azure_scenes.AZURE
SECOND_AT = (
    "http://secondary-cdn.pki.core.windows.net/eastus2/crls/azurevtpmpki/azurevtpmpolicycaeus2/current.crl"
)
THIRD_AT = SECOND_AT.replace("secondary", "primary")
FOURTH_AT = "http://crl.microsoft.com/eastus2/crls/azurevtpmpki/azurevtpmpolicycaeus2/current.crl"


def trusted():
    roots = Roots.vendor().with_anchor("google", GOOGLE.root_der, vendor="google-vtpm")
    roots = roots.with_anchor("azure", AZURE.root_der, vendor="azure-vtpm")
    return roots.with_anchor("space", token_scenes.services().root.der, vendor=token_scenes.VENDOR)


def wanted(*chain, at=ROOT_AT, vendor="google-vtpm"):
    """A list of the first of these certificates; of Google's root when none is named."""
    whole = b"".join(chain or (GOOGLE.root_der,))
    return Wanted.of("revocation-list", at=at, chain=base64.b64encode(whole).decode(), vendor=vendor)


def of_authority(**options):
    return wanted(GOOGLE.authority_draft().sign(), GOOGLE.root_der, **({"at": AUTHORITY_AT} | options))


def mark(der):
    return hashlib.sha256(der).hexdigest()


def crl(issuer="root", **changes):
    return replace(GOOGLE.crl_draft(issuer, NOW), **changes).sign()


def ask(cache, service, about, **options):
    options = {"roots": trusted(), "names": ("google-lists", "microsoft-lists")} | options
    return fetcher(cache, service, **options).get(about)


def refused(found, code):
    assert found.endorsement is None
    assert found.error.code == f"endorsements.{code}"
    assert found.error.message.isprintable()


def pem(der):
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("form", [bytes, pem])
def test_a_list_is_fetched_verified_and_kept_in_der(service, cache, form):
    service.routes[mirrored(ROOT_AT)] = Reply(200, form(crl()))
    found = ask(cache, service, wanted())
    assert found.error is None
    assert found.origin is Origin.NETWORK
    kept = found.endorsement
    assert dict(kept.parts) == {"list.der": crl()}
    assert (kept.basis, kept.anchor) == (Basis.SIGNATURE, mark(GOOGLE.root_der))
    assert (kept.window.start, kept.window.end) == (NOW - DAY, NOW + 29 * DAY)
    assert ask(cache, service, wanted()).origin is Origin.CACHE
    assert len(service.requests) == 1


def test_a_list_of_an_authority_below_the_root(service, cache):
    service.routes[mirrored(AUTHORITY_AT)] = Reply(200, crl("authority"))
    found = ask(cache, service, of_authority())
    assert found.usable
    assert found.endorsement.anchor == mark(GOOGLE.root_der)


def test_lists_of_microsofts_and_of_token_signers_authorities(service, cache):
    service.routes[mirrored(AZURE_AT)] = Reply(200, AZURE.crl_draft("root", NOW).sign())
    assert ask(cache, service, wanted(AZURE.root_der, at=AZURE_AT, vendor="azure-vtpm")).usable
    root = token_scenes.services().root
    service.routes[mirrored(ROOT_AT)] = Reply(200, root.crl(NOW - DAY))
    assert ask(cache, service, wanted(root.der, vendor=token_scenes.VENDOR)).usable


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (lambda: crl("authority"), "answer.swapped"),
        (lambda: crl(signing_key=GOOGLE.key("stranger")), "answer.unverified"),
        (lambda: crl(issuer_key=GOOGLE.key("stranger")), "answer.unverified"),
        (lambda: crl(made=NOW - 31 * DAY), "answer.stale"),
        (lambda: crl(made=NOW + DAY), "answer.stale"),
        (lambda: crl()[:-1], "answer.malformed"),
        (lambda: crl() + b"\0", "answer.malformed"),
        (lambda: pem(crl())[:-40], "answer.malformed"),
        (lambda: pem(crl()) * 2, "answer.malformed"),
        (lambda: pem(crl()).replace(b"MII", b"M=I"), "answer.malformed"),
        (lambda: b"<html>sign in</html>", "answer.malformed"),
        (lambda: b"\0" * (3 << 20), "http.too_large"),
    ],
)
def test_an_answer_that_is_not_the_list_is_not_kept(service, cache, body, code):
    service.routes[mirrored(ROOT_AT)] = Reply(200, body())
    refused(ask(cache, service, wanted()), code)
    assert list(cache.entries()) == []


def test_an_authority_that_may_not_sign_lists_has_none(service, cache):
    """The attestation key's own certificate is certified like an authority's, and no authority's."""
    leaf = GOOGLE.ak_draft(GOOGLE.key("ak"))
    own = replace(GOOGLE.crl_draft("root", NOW), issuer=leaf.subject, issuer_key=GOOGLE.key("ak")).sign()
    service.routes[mirrored(ROOT_AT)] = Reply(200, own)
    chain = (leaf.sign(), GOOGLE.authority_draft().sign(), GOOGLE.root_der)
    refused(ask(cache, service, wanted(*chain)), "answer.unverified")


def test_an_authority_whose_key_cannot_be_told_has_no_list(service, cache):
    key, root = GOOGLE.key("authority"), x509.load_der_x509_certificate(GOOGLE.root_der)
    unreadable = x509.UnrecognizedExtension(x509.ExtensionOID.SUBJECT_KEY_IDENTIFIER, b"\x30")
    authority = (
        x509.CertificateBuilder()
        .subject_name(root.subject)
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(9)
        .not_valid_before(root.not_valid_before_utc)
        .not_valid_after(root.not_valid_after_utc)
        .add_extension(unreadable, critical=False)
        .sign(GOOGLE.key("root"), hashes.SHA256())
    )
    service.routes[mirrored(ROOT_AT)] = Reply(200, crl())
    chain = (authority.public_bytes(Encoding.DER), GOOGLE.root_der)
    refused(ask(cache, service, wanted(*chain)), "answer.unverified")


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(404), "http.not_found"),
        (Reply(500), "http.unavailable"),
        (Reply(429), "http.rate_limited"),
        (Reply(403), "http.status"),
        (Reply(302, headers={"Location": "https://a.example/list"}), "http.redirect"),
        (Reply(301, headers={"Location": "http://169.254.169.254/latest"}), "http.redirect"),
    ],
)
def test_what_a_place_answers_instead(service, cache, reply, code):
    service.routes[mirrored(ROOT_AT)] = reply
    refused(ask(cache, service, wanted()), code)


def test_the_next_place_is_asked_where_one_has_nothing(service, cache):
    draft = AZURE.crl_draft("root", NOW)
    service.routes[mirrored(SECOND_AT)] = Reply(200, draft.sign())
    about = wanted(AZURE.root_der, at=f"{THIRD_AT},{SECOND_AT},{FOURTH_AT}", vendor="azure-vtpm")
    assert ask(cache, service, about).usable
    assert [path for _, path, *_ in service.requests] == [mirrored(THIRD_AT), mirrored(SECOND_AT)]


def test_of_places_that_all_fail_the_first_is_reported(service, cache):
    service.routes[mirrored(THIRD_AT)] = Reply(403)
    about = wanted(AZURE.root_der, at=f"{THIRD_AT},{SECOND_AT}", vendor="azure-vtpm")
    refused(ask(cache, service, about), "http.status")
    assert len(service.requests) == 2


def test_no_more_than_three_places_are_asked(service, cache):
    at = f"{AZURE_AT},{THIRD_AT},{SECOND_AT},{FOURTH_AT}"
    refused(ask(cache, service, wanted(AZURE.root_der, at=at, vendor="azure-vtpm")), "http.not_found")
    assert [path for _, path, *_ in service.requests] == [
        mirrored(each) for each in (AZURE_AT, THIRD_AT, SECOND_AT)
    ]


FOREIGN = (
    "http://a.example/crl.crl",
    "http://169.254.169.254/latest/meta-data/crl.crl",
    "http://127.0.0.1/crl.crl",
    "http://localhost:8080/032bf9d39db4fa06aade/crl.crl",
    "http://storage.googleapis.com/032bf9d39db4fa06aade/crl.crl",
    "http://a-bucket.storage.googleapis.com/032bf9d39db4fa06aade/crl.crl",
    ROOT_AT.replace("privateca-content-", "privateca-content-evil-"),
    ROOT_AT.replace("storage.googleapis.com", "storage.googleapis.com.a.example"),
    ROOT_AT.replace("storage.googleapis.com", "storage.googleapis.com:8080"),
    ROOT_AT.replace("http://", "http://user@"),
    ROOT_AT.replace("http://", "http://a.example/"),
    ROOT_AT.replace("http://", "ftp://"),
    ROOT_AT.replace("http://", "HTTP://"),
    ROOT_AT + "?a=b",
    ROOT_AT + "#a",
    ROOT_AT + "\n",
    ROOT_AT.replace("032bf9d39db4fa06aade", "../x"),
    ROOT_AT.replace("storage.googleapis.com", "storageXgoogleapis.com"),
    "https://pki.goog/repo/certs/gtsr1.crl",
    "https://pki.goog/cloud_integrity/../x.crl",
    "https://pkiXgoog/cloud_integrity/a.crl",
    AZURE_AT,
    "",
)


@pytest.mark.parametrize("url", FOREIGN)
def test_no_other_place_of_googles_is_known(url):
    assert Services.published().list_place("google-lists", url) is None
    assert Services.published(["google-lists=https://a.example"]).list_place("google-lists", url) is None


@pytest.mark.parametrize(
    "url",
    [
        ROOT_AT,
        AUTHORITY_AT,
        AZURE_AT.replace("www.", "www.a."),
        AZURE_AT.replace("www.microsoft.com", "www.microsoft.com.a.example"),
        AZURE_AT.replace("microsoft.com", "microsoftXcom"),
        AZURE_AT.replace("%20", "%2f"),
        AZURE_AT.replace("pkiops/crl", "pkiops"),
        SECOND_AT.replace("secondary", "tertiary"),
        SECOND_AT.replace("azurevtpmpki", "another"),
        SECOND_AT.replace("secondary-cdn.pki", "azurevtpmpki.eastus2.pki"),
    ],
)
def test_no_other_place_of_microsofts_is_known(url):
    assert Services.published().list_place("microsoft-lists", url) is None


@pytest.mark.parametrize(
    ("name", "url", "host"),
    [
        ("google-lists", ROOT_AT, ROOT_AT.split("/")[2]),
        ("google-lists", ROOT_AT.replace("http:", "https:"), ROOT_AT.split("/")[2]),
        ("google-lists", AUTHORITY_AT, "pki.goog"),
        ("google-lists", "http://pki.goog/cloud_integrity/tpm_ek_root_1.crl", "pki.goog"),
        ("microsoft-lists", AZURE_AT, "www.microsoft.com"),
        ("microsoft-lists", SECOND_AT, "secondary-cdn.pki.core.windows.net"),
        ("microsoft-lists", THIRD_AT, "primary-cdn.pki.core.windows.net"),
        ("microsoft-lists", FOURTH_AT, "crl.microsoft.com"),
    ],
)
def test_a_known_place_is_asked_as_it_is_named(name, url, host):
    found = Services.published().list_place(name, url)
    assert found == Place(url, host, 0.1)
    assert found.plain is url.startswith("http://")
    assert not found.own


@pytest.mark.parametrize("at", [*FOREIGN[:5], ""])
def test_evidence_leads_to_no_other_host(service, cache, at):
    """Not even to one that would answer: the fake service stands for whatever the name resolves to."""
    service.routes = {mirrored(at): Reply(200, crl())} if at else {}
    refused(ask(cache, service, wanted(at=at)), "list.place")
    local = at.replace("a.example", f"localhost:{service.port}")
    refused(ask(cache, service, wanted(at=local), names=("pcs",)), "list.place")
    assert service.requests == []


def test_a_place_of_one_authority_is_none_of_anothers(service, cache):
    refused(ask(cache, service, wanted(AZURE.root_der, at=ROOT_AT, vendor="azure-vtpm")), "list.place")
    refused(ask(cache, service, wanted(at=AZURE_AT)), "list.place")
    assert service.requests == []


def test_a_known_place_among_others_is_asked(service, cache):
    service.routes[mirrored(ROOT_AT)] = Reply(200, crl())
    assert ask(cache, service, wanted(at=f"http://a.example/a.crl,{ROOT_AT}")).usable
    assert len(service.requests) == 1


def test_nobody_is_asked_on_the_word_of_an_unknown_authority(service, cache):
    authority = GOOGLE.authority_draft()
    forged = replace(authority, issuer_key=GOOGLE.key("stranger")).sign()
    stranger = token_scenes.services().root.der
    for about in (
        wanted(stranger),
        wanted(GOOGLE.root_der, vendor=token_scenes.VENDOR),
        wanted(authority.sign()),
        wanted(forged, GOOGLE.root_der),
        wanted(authority.sign(), authority.sign(), GOOGLE.root_der),
    ):
        refused(ask(cache, service, about), "list.authority")
    refused(ask(cache, service, wanted(), roots=Roots.vendor()), "list.authority")
    assert service.requests == []


@pytest.mark.parametrize(
    "about",
    [
        Wanted.of("revocation-list", at=ROOT_AT, vendor="google-vtpm"),
        Wanted.of("revocation-list", at=ROOT_AT, chain="AA==", vendor="google-vtpm"),
        Wanted.of("revocation-list", at=ROOT_AT, chain="MII", vendor="google-vtpm"),
        wanted(vendor="tpm"),
        wanted(vendor="nobody"),
        wanted(vendor=""),
        wanted(GOOGLE.root_der[:-1]),
        wanted(GOOGLE.root_der, b"\0"),
        wanted(*[GOOGLE.root_der[:1]] * 2),
        Wanted.of(
            "revocation-list",
            at=ROOT_AT,
            chain="!" + base64.b64encode(GOOGLE.root_der).decode(),
            vendor="google-vtpm",
        ),
    ],
)
def test_a_question_about_no_authority_is_not_asked(service, cache, about):
    refused(ask(cache, service, about), "wanted.malformed")
    assert service.requests == []


@pytest.mark.parametrize(
    ("later", "taken"), [((1, 0), True), ((0, 1), True), ((0, -1), False), ((-1, 1), False)]
)
def test_an_older_list_does_not_replace_a_newer_one(service, cache, later, taken):
    """Whoever sits on the way could otherwise take back what was revoked."""
    days, number = later
    first, second = numbered(NOW - 3 * DAY, 5), numbered(NOW - 3 * DAY + days * DAY, 5 + number)
    for body in (first, second):
        service.routes[mirrored(ROOT_AT)] = Reply(200, body)
        found = ask(cache, service, wanted(), fresh_for=timedelta(0))
    assert found.endorsement.parts["list.der"] == (second if taken else first)
    assert (found.error is None) is taken
    assert taken or found.error.code == "endorsements.answer.older"


def numbered(made, number):
    key = GOOGLE.key("root")
    root = x509.load_der_x509_certificate(GOOGLE.root_der)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(made)
        .next_update(made + 30 * DAY)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_list_in_plain_http_is_asked_through_the_callers_proxy(cache):
    """No CONNECT is needed, and the proxy sees what anybody may see."""
    with running(tls=False) as proxy:
        proxy.routes[ROOT_AT] = Reply(200, crl())
        one = fetcher(cache, roots=trusted())
        one.access.client.proxy = proxy.url
        assert one.get(wanted()).usable
        assert [path for _, path, *_ in proxy.requests] == [ROOT_AT]


def test_a_list_in_plain_http_that_was_altered_on_the_way_is_refused(cache):
    with running(tls=False) as proxy:
        proxy.routes[ROOT_AT] = Reply(200, crl(signing_key=GOOGLE.key("stranger")))
        one = fetcher(cache, roots=trusted())
        one.access.client.proxy = proxy.url
        refused(one.get(wanted()), "answer.unverified")


def test_a_redirect_from_plain_http_to_another_host_is_refused(cache):
    with running(tls=False) as proxy:
        proxy.routes[ROOT_AT] = Reply(302, headers={"Location": "http://a.example/crl.crl"})
        one = fetcher(cache, roots=trusted())
        one.access.client.proxy = proxy.url
        refused(one.get(wanted()), "http.redirect")
        assert len(proxy.requests) == 1

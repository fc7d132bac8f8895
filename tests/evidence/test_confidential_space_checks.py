"""Each check of a Confidential Space token has an input that it alone refuses, under its own code."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from assay.channel.binding import Purpose, SessionBinding
from assay.errors import EvidenceError
from assay.evidence.confidential_space import checks, verify_confidential_space
from assay.evidence.confidential_space.verify import ISSUER
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.tokens import chain
from support import token_scenes as scenes
from support.revocation import demand_said
from support.token_scenes import AUDIENCE, NONCE, NOW, assert_refused, scene, services, stranger

KINDS = ("oidc", "pki")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pem", [False, True])
def test_nothing_is_wrong_without_a_defect(kind, pem):
    stage = scene("confidential-space", kind, pem=pem)
    result = stage.finish()
    assert result.authentic
    assert result.bound
    assert result.simulated
    assert result.platform == "confidential-space"
    assert result.claims.kind == kind
    assert result.anchor.published_keys is (kind == "oidc")
    chained = {spec.id for spec in checks.CHAIN}
    unlisted = checks.CHAIN_REVOKED.id
    absent = chained if kind == "oidc" else {"confidential_space.key.published", unlisted}
    assert result.claims.revocation_checked is False
    assert {c.id for c in result.ledger if c.outcome is Outcome.NOT_APPLICABLE} == absent
    assert not result.unsigned
    assert result.ledger["confidential_space.token.issued"].reason == "skew allowed: 60 s"
    assert result.ledger["confidential_space.token.age"].reason == "greatest age allowed: 600 s"


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("two_parts", "confidential_space.token.layout.jose.shape"),
        ("four_parts", "confidential_space.token.layout.jose.shape"),
        ("padded", "confidential_space.token.layout.jose.base64"),
        ("another_alphabet", "confidential_space.token.layout.jose.base64"),
        ("bits_behind_the_last_byte", "confidential_space.token.layout.jose.base64"),
        ("line_end_behind", "confidential_space.token.layout.jose.base64"),
        ("oversized", "confidential_space.token.layout.jose.oversized"),
        ("demands_an_extension", "confidential_space.token.header.jose.critical"),
        ("unencoded_payload", "confidential_space.token.header.jose.header"),
        ("brings_its_own_key", "confidential_space.token.header.jose.header"),
        ("names_its_algorithm_twice", "confidential_space.token.header.jose.header"),
        ("header_is_an_array", "confidential_space.token.header.jose.header"),
        ("is_no_jwt", "confidential_space.token.header.jose.header"),
        ("no_algorithm", "confidential_space.token.header.jose.header"),
        ("empty_key_id", "confidential_space.token.header.jose.header"),
        ("algorithm_none", "confidential_space.token.algorithm.refused"),
        ("public_key_as_hmac_secret", "confidential_space.token.algorithm.refused"),
        ("algorithm_of_another_kind", "confidential_space.token.algorithm.refused"),
        ("key_published_for_another_algorithm", "confidential_space.token.algorithm.key"),
        ("unknown_key_id", "confidential_space.key.published.unknown"),
        ("no_key_id", "confidential_space.key.published.unknown"),
        ("weak_key", "confidential_space.key.published.unusable"),
        ("private_key_published", "confidential_space.key.published.jwks.private"),
        ("one_id_for_two_keys", "confidential_space.key.published.jwks.duplicate"),
        ("no_key_set", "confidential_space.key.published.jwks.malformed"),
        ("signed_by_a_stranger", "confidential_space.token.signature"),
        ("claims_changed", "confidential_space.token.signature"),
        ("claims_are_an_array", "confidential_space.token.claims.jose.claims"),
        ("says_it_twice", "confidential_space.token.claims.jose.claims"),
        ("not_a_number", "confidential_space.token.claims.jose.claims"),
        ("no_expiry", "confidential_space.token.claims.jose.claims"),
        ("expiry_is_true", "confidential_space.token.claims.jose.claims"),
        ("no_issue_time", "confidential_space.token.claims.jose.claims"),
        ("no_issuer", "confidential_space.token.claims.jose.claims"),
        ("issuer_is_another", "confidential_space.token.issuer.unknown"),
        ("keys_of_another_issuer", "confidential_space.token.issuer.other"),
        ("issued_in_the_future", "confidential_space.token.issued.future"),
        ("not_valid_yet", "confidential_space.token.issued.future"),
        ("has_expired", "confidential_space.token.expiry.expired"),
        ("ends_before_it_begins", "confidential_space.token.expiry.inverted"),
        ("is_old", "confidential_space.token.age.old"),
    ],
)
def test_what_every_token_format_refuses(defect, code):
    stage = scene("confidential-space")
    getattr(scenes, defect)(stage)
    assert_refused(stage.finish(), code)


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("two_parts", "confidential_space.token.layout.jose.shape"),
        ("bits_behind_the_last_byte", "confidential_space.token.layout.jose.base64"),
        ("oversized", "confidential_space.token.layout.jose.oversized"),
        ("demands_an_extension", "confidential_space.token.header.jose.critical"),
        ("unencoded_payload", "confidential_space.token.header.jose.header"),
        ("brings_its_own_key", "confidential_space.token.header.jose.header"),
        ("names_its_algorithm_twice", "confidential_space.token.header.jose.header"),
        ("header_is_an_array", "confidential_space.token.header.jose.header"),
        ("is_no_jwt", "confidential_space.token.header.jose.header"),
        ("no_algorithm", "confidential_space.token.header.jose.header"),
        ("empty_key_id", "confidential_space.token.header.jose.header"),
        ("algorithm_none", "confidential_space.token.algorithm.refused"),
        ("public_key_as_hmac_secret", "confidential_space.token.algorithm.refused"),
        ("signed_by_a_stranger", "confidential_space.token.signature"),
        ("claims_changed", "confidential_space.token.signature"),
        ("claims_are_an_array", "confidential_space.token.claims.jose.claims"),
        ("says_it_twice", "confidential_space.token.claims.jose.claims"),
        ("not_a_number", "confidential_space.token.claims.jose.claims"),
        ("no_expiry", "confidential_space.token.claims.jose.claims"),
        ("expiry_is_true", "confidential_space.token.claims.jose.claims"),
        ("no_issue_time", "confidential_space.token.claims.jose.claims"),
        ("no_issuer", "confidential_space.token.claims.jose.claims"),
        ("issuer_is_another", "confidential_space.token.issuer.unknown"),
        ("issued_in_the_future", "confidential_space.token.issued.future"),
        ("not_valid_yet", "confidential_space.token.issued.future"),
        ("has_expired", "confidential_space.token.expiry.expired"),
        ("ends_before_it_begins", "confidential_space.token.expiry.inverted"),
        ("is_old", "confidential_space.token.age.old"),
    ],
)
def test_what_every_token_format_refuses_under_a_chain(defect, code):
    stage = scene("confidential-space", "pki")
    getattr(scenes, defect)(stage)
    assert_refused(stage.finish(), code)


# --- The chain


def links(stage, *certificates):
    stage.draft.header["x5c"] = [link.text(pem=False) for link in certificates]


def reissued(stage, profile, *, issuer=None, key=None):
    """Put another leaf into the header, issued by the right authority unless another is given."""
    made = services()
    leaf = (issuer or made.intermediate).issue(profile, key or made.leaf.key)
    links(stage, leaf, made.intermediate, made.root)
    stage.draft.key = leaf.key


def two_certificates(stage):
    stage.draft.header["x5c"].pop()


def four_certificates(stage):
    stage.draft.header["x5c"].append(stage.draft.header["x5c"][2])


def no_array(stage):
    stage.draft.header["x5c"] = stage.draft.header["x5c"][0]


def no_text(stage):
    stage.draft.header["x5c"][0] = 1


def certificate_with_padding_removed(stage):
    stage.draft.header["x5c"] = [text.rstrip("=")[:-1] for text in stage.draft.header["x5c"]]


def junk_behind_a_pem(stage):
    made = services()
    stage.draft.header["x5c"] = [
        link.text(pem=True) + "junk" for link in (made.leaf, made.intermediate, made.root)
    ]


def root_of_a_stranger(stage):
    """All is right under a root that anybody can make: a chain proves nothing until it is anchored."""
    root = chain.self_signed(chain.ROOT, stranger())
    intermediate = root.issue(chain.INTERMEDIATE, services().intermediate.key)
    leaf = intermediate.issue(chain.LEAF, services().leaf.key)
    links(stage, leaf, intermediate, root)


def root_that_was_not_given(stage):
    stage.roots = Roots.vendor()


def root_of_another_vendor(stage):
    stage.roots = Roots.vendor().with_anchor("other", services().root.der, vendor="google-vtpm")


def leaf_signed_by_a_stranger(stage):
    impostor = chain.Issued(stranger(), services().intermediate.certificate)
    leaf = impostor.issue(chain.LEAF, services().leaf.key)
    links(stage, leaf, services().intermediate, services().root)


def leaf_whose_signature_was_altered(stage):
    der = base64.b64decode(stage.draft.header["x5c"][0])
    stage.draft.header["x5c"][0] = base64.b64encode(der[:-1] + bytes([der[-1] ^ 1])).decode()


def leaf_names_another_issuer(stage):
    reissued(stage, replace(chain.LEAF, issuer_name="Confidential Space Root CA"))


def leaf_issued_by_the_root(stage):
    reissued(stage, chain.LEAF, issuer=services().root)


def leaf_with_another_name(stage):
    reissued(stage, replace(chain.LEAF, name="Confidential Space Intermediate CA"))


def leaf_is_an_authority(stage):
    reissued(stage, replace(chain.LEAF, authority=True))


def leaf_signed_with_another_hash(stage):
    reissued(stage, replace(chain.LEAF, digest=hashes.SHA384()))


def intermediate_is_no_authority(stage):
    made = services()
    intermediate = made.root.issue(replace(chain.INTERMEDIATE, authority=False), made.intermediate.key)
    links(stage, intermediate.issue(chain.LEAF, made.leaf.key), intermediate, made.root)


def leaf_has_expired(stage):
    reissued(stage, replace(chain.LEAF, end=NOW - timedelta(seconds=1)))


def leaf_is_not_valid_yet(stage):
    """A verifier with its comparisons the wrong way round accepts exactly these two."""
    reissued(stage, replace(chain.LEAF, start=NOW + timedelta(seconds=1)))


def intermediate_has_expired(stage):
    made = services()
    intermediate = made.root.issue(
        replace(chain.INTERMEDIATE, end=NOW - timedelta(seconds=1)), made.intermediate.key
    )
    links(stage, intermediate.issue(chain.LEAF, made.leaf.key), intermediate, made.root)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (two_certificates, "confidential_space.chain.layout.jose.chain"),
        (four_certificates, "confidential_space.chain.layout.jose.chain"),
        (no_array, "confidential_space.chain.layout.jose.chain"),
        (no_text, "confidential_space.chain.layout.jose.chain"),
        (certificate_with_padding_removed, "confidential_space.chain.layout.jose.chain"),
        (junk_behind_a_pem, "confidential_space.chain.layout.jose.chain"),
        (root_of_a_stranger, "confidential_space.chain.root.not_pinned"),
        (root_that_was_not_given, "confidential_space.chain.root.not_pinned"),
        (root_of_another_vendor, "confidential_space.chain.root.not_pinned"),
        (leaf_signed_by_a_stranger, "confidential_space.chain.issue.issuer"),
        (leaf_whose_signature_was_altered, "confidential_space.chain.issue.signature"),
        (leaf_names_another_issuer, "confidential_space.chain.issue.issuer"),
        (leaf_issued_by_the_root, "confidential_space.chain.issue.issuer"),
        (leaf_with_another_name, "confidential_space.chain.role.name"),
        (leaf_is_an_authority, "confidential_space.chain.role.role"),
        (leaf_signed_with_another_hash, "confidential_space.chain.role.key"),
        (intermediate_is_no_authority, "confidential_space.chain.role.role"),
        (leaf_has_expired, "confidential_space.chain.validity.validity"),
        (leaf_is_not_valid_yet, "confidential_space.chain.validity.validity"),
        (intermediate_has_expired, "confidential_space.chain.validity.validity"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_what_a_chain_must_be(spoil, code):
    stage = scene("confidential-space", "pki")
    spoil(stage)
    assert_refused(stage.finish(), code)


def test_a_chain_is_never_believed_by_a_remembered_header():
    stage = scene("confidential-space", "pki")
    assert stage.finish().authentic
    stage.roots = Roots.vendor()
    assert_refused(stage.finish(), "confidential_space.chain.root.not_pinned")
    late = scene("confidential-space", "pki")
    reissued(late, replace(chain.LEAF, end=NOW + timedelta(seconds=5)))
    assert late.finish().authentic
    late.now = NOW + timedelta(seconds=6)
    assert_refused(late.finish(), "confidential_space.chain.validity.validity")


# --- The lists of the chain's issuers


DAY = timedelta(days=1)


def judged_with(*crls, kind="pki", now=NOW, facts=None):
    """Verify a token with the lists that the caller has."""
    stage = scene("confidential-space", kind)
    return verify_confidential_space(
        stage.evidence(),
        endorsements=stage.endorsements,
        roots=stage.roots,
        limits=stage.limits,
        audience=stage.audience,
        now=now,
        binding=stage.binding,
        facts=facts or FactCache(),
        crls=crls,
    )


def of_root(*revoked, **changed):
    return services().root.crl(NOW - DAY, *revoked, **changed)


def of_intermediate(*revoked):
    return services().intermediate.crl(NOW - DAY, *revoked)


def by_a_stranger():
    """A list that names the root and its key."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(services().root.key.public_key())
    unsigned = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(services().root.certificate.subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    return unsigned.sign(stranger(), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: of_intermediate(serial_of("leaf")), "confidential_space.chain.revoked.listed"),
        (lambda: of_root(serial_of("intermediate")), "confidential_space.chain.revoked.listed"),
        (by_a_stranger, "confidential_space.chain.revoked.issuer"),
        (lambda: services().root.crl(NOW - 31 * DAY), "confidential_space.chain.revoked.time"),
        (lambda: services().root.crl(NOW + DAY), "confidential_space.chain.revoked.time"),
        (lambda: of_root() + b"\0", "confidential_space.chain.revoked.malformed"),
    ],
)
def test_what_a_list_of_an_issuer_refuses(made, code):
    assert_refused(judged_with(made()), code)


def serial_of(name):
    return getattr(services(), name).certificate.serial_number


@pytest.mark.parametrize("left", [(), (of_root,), (of_intermediate,), (of_root, of_intermediate)])
@pytest.mark.parametrize("foreign", [False, True])
def test_revocation_is_checked_where_every_issuer_has_a_list(left, foreign):
    """A list of another authority's key says nothing, whatever stands on it."""
    lists = [made() for made in left]
    if foreign:
        named_alike = chain.Issued(stranger(), services().intermediate.certificate)
        lists.insert(0, named_alike.crl(NOW - DAY, serial_of("leaf"), serial_of("intermediate")))
    result = judged_with(*lists)
    assert result.bound
    assert result.claims.revocation_checked is (len(left) == 2)
    demand_said(result.ledger["confidential_space.chain.revoked"], lists=len(left), foreign=foreign)


def test_lists_say_nothing_of_a_published_key():
    result = judged_with(of_root(), of_intermediate(serial_of("leaf")), kind="oidc")
    assert result.bound
    assert result.ledger["confidential_space.chain.revoked"].outcome is Outcome.NOT_APPLICABLE
    assert not result.claims.revocation_checked


def test_a_remembered_header_is_judged_again_under_other_lists_and_after_their_end():
    facts, lists = FactCache(), (of_root(), of_intermediate())
    for _ in range(2):
        assert judged_with(*lists, facts=facts).claims.revocation_checked
    assert not judged_with(facts=facts).claims.revocation_checked
    short = (of_root(days=2), of_intermediate())
    assert judged_with(*short, facts=facts).bound
    late = judged_with(*short, facts=facts, now=NOW + timedelta(days=1, seconds=1))
    assert late.ledger["confidential_space.chain.revoked"].code == "confidential_space.chain.revoked.time"
    assert_refused(
        judged_with(of_intermediate(serial_of("leaf")), facts=facts),
        "confidential_space.chain.revoked.listed",
    )


# --- The format's own claims


def claim(name, value):
    def spoil(stage):
        stage.draft.claims[name] = value

    return spoil


def without(name):
    return lambda stage: stage.draft.claims.pop(name)


def inside(path, value):
    def spoil(stage):
        found = stage.draft.claims["submods"]
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(*row[1:], id=row[0])
        for row in (
            ("a list that holds it", claim("aud", [AUDIENCE]), "confidential_space.token.audience.type"),
            (
                "a list that holds it and others",
                claim("aud", [AUDIENCE, "https://evil.example"]),
                "confidential_space.token.audience.type",
            ),
            ("another audience", claim("aud", AUDIENCE + "/"), "confidential_space.token.audience.mismatch"),
            ("no audience", without("aud"), "confidential_space.token.audience.type"),
            ("a long audience", claim("aud", "a" * 513), "confidential_space.token.audience.length"),
            (
                "an audience of few characters and many bytes",
                claim("aud", "\u00e4" * 257),
                "confidential_space.token.audience.length",
            ),
            ("half a character", claim("aud", "\ud800" * 171), "confidential_space.token.audience.length"),
            (
                "a machine without the image",
                claim("swname", "GCE"),
                "confidential_space.token.software.other",
            ),
            ("no software", without("swname"), "confidential_space.token.software.other"),
            ("another vendor", claim("oemid", 1), "confidential_space.token.software.other"),
            ("a vendor in text", claim("oemid", "11129"), "confidential_space.token.software.other"),
            ("a vendor as a fraction", claim("oemid", 11129.0), "confidential_space.token.software.other"),
            (
                "seven nonces",
                claim("eat_nonce", [NONCE.decode()] * 7),
                "confidential_space.token.nonces.type",
            ),
            (
                "a short nonce",
                claim("eat_nonce", [NONCE.decode(), "n" * 7]),
                "confidential_space.token.nonces.length",
            ),
            ("a long nonce", claim("eat_nonce", "n" * 89), "confidential_space.token.nonces.length"),
            ("a number as nonce", claim("eat_nonce", [12345678]), "confidential_space.token.nonces.length"),
            ("an object as nonce", claim("eat_nonce", {}), "confidential_space.token.nonces.type"),
            (
                "a nonce beyond ASCII",
                claim("eat_nonce", "\u0301" * 43),
                "confidential_space.token.nonces.length",
            ),
            ("no debug status", without("dbgstat"), "confidential_space.token.claims.jose.claims"),
            ("no hardware", without("hwmodel"), "confidential_space.token.claims.jose.claims"),
            ("secure boot in text", claim("secboot", "true"), "confidential_space.token.claims.jose.claims"),
            (
                "versions that are numbers",
                claim("swversion", [1]),
                "confidential_space.token.claims.jose.claims",
            ),
            ("submodules in an array", claim("submods", []), "confidential_space.token.claims.jose.claims"),
            (
                "an image without digest",
                inside(("container", "image_digest"), "latest"),
                "confidential_space.token.claims.jose.claims",
            ),
            (
                "overrides that are no text",
                inside(("container", "env_override"), {"A": 1}),
                "confidential_space.token.claims.jose.claims",
            ),
            (
                "signatures that are no array",
                inside(("container", "image_signatures"), 5),
                "confidential_space.token.claims.jose.claims",
            ),
            (
                "monitoring that is a number",
                inside(("confidential_space", "monitoring_enabled"), {"memory": 1}),
                "confidential_space.token.claims.jose.claims",
            ),
            (
                "GPUs without a mode",
                inside(("nvidia_gpu",), {}),
                "confidential_space.token.claims.jose.claims",
            ),
            ("another nonce", claim("eat_nonce", "m" * 43), "confidential_space.binding.mismatch"),
            ("a nonce with more behind", claim("eat_nonce", "n" * 44), "confidential_space.binding.mismatch"),
            ("no nonce", without("eat_nonce"), "confidential_space.binding.absent"),
        )
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_claims_must_be(spoil, code, kind):
    stage = scene("confidential-space", kind)
    spoil(stage)
    assert_refused(stage.finish(), code)


def test_no_keys_is_neither_passed_nor_failed():
    stage = scene("confidential-space")
    stage.endorsements = None
    result = stage.finish()
    assert not result.ledger.failed()
    assert not result.authentic
    assert (
        result.ledger["confidential_space.key.published"].code == "confidential_space.key.published.missing"
    )
    need = next(need for need in result.needs if need.kind == "jwks")
    assert need.key == {"issuer": ISSUER, "kid": stage.draft.header["kid"]}
    assert result.decoded["claims"]["swname"] == "CONFIDENTIAL_SPACE"


def test_an_unknown_key_says_what_is_needed():
    stage = scene("confidential-space")
    scenes.unknown_key_id(stage)
    assert [need.kind for need in stage.finish().needs] == ["jwks"]


# --- What is not refused, but said


@pytest.mark.parametrize("slot", range(6))
def test_the_slot_that_holds_the_nonce_is_shown(slot):
    nonces = [f"nonce number {index}" for index in range(6)]
    stage = scene("confidential-space", nonces=nonces)
    stage.binding = Expected(nonces[slot].encode())
    result = stage.finish()
    assert result.bound
    assert result.claims.bound_nonce == slot
    assert (
        result.ledger["confidential_space.binding"].reason == f"slot {slot + 1} of 6 holds the expected value"
    )


def test_the_projects_own_binding_fits_a_token():
    session = SessionBinding(
        purpose=Purpose.ADMISSION,
        role="guest",
        platform="confidential-space",
        nonce=bytes(32),
        lease="lease",
        owner_key=b"owner",
        channel_key=b"channel",
        receipt_key=b"receipt",
        ssh_host_key=b"",
        hpke_key=b"",
        manifest=bytes(32),
    )
    stage = scene("confidential-space", nonces=["another nonce", session.eat_nonce()])
    stage.binding = Expected(session.eat_nonce().encode())
    assert stage.finish().claims.bound_nonce == 1
    other = replace(session, purpose=Purpose.START)
    stage.binding = Expected(other.eat_nonce().encode())
    assert_refused(stage.finish(), "confidential_space.binding.mismatch")


def test_unchecked_binding_is_genuine_and_not_bound():
    stage = scene("confidential-space")
    stage.binding = Unchecked("an archive")
    result = stage.finish()
    assert result.authentic
    assert not result.bound
    assert result.claims.bound_nonce is None
    assert [need.kind for need in result.needs] == ["binding"]


def test_an_audience_left_to_the_policy_is_a_claim():
    stage = scene("confidential-space")
    stage.audience = Unchecked("the policy compares it")
    result = stage.finish()
    assert result.bound
    assert result.claims.audience == AUDIENCE
    assert "left to the policy" in result.ledger["confidential_space.token.audience"].reason


def test_debug_images_and_overrides_are_claims():
    stage = scene("confidential-space")
    stage.draft.claims["dbgstat"] = "enabled"
    container = stage.draft.claims["submods"]["container"]
    container |= {"env_override": {"KEY": "other"}, "cmd_override": ["--trust-me"]}
    container["image_signatures"] = [
        {"key_id": "ab", "signature": "x", "signature_algorithm": "ECDSA_P256_SHA256"}
    ]
    stage.draft.claims["submods"]["nvidia_gpu"] = {"cc_mode": "ON", "cc_feature": "SPT"}
    claims = stage.finish().claims
    assert claims.debug
    assert claims.container.env_override == {"KEY": "other"}
    assert claims.container.command_override == ("--trust-me",)
    assert claims.container.signatures[0].algorithm == "ECDSA_P256_SHA256"
    assert claims.gpu_mode == "ON"
    assert claims.gpu["cc_feature"] == "SPT"


def test_production_claims():
    claims = scene("confidential-space", "pki").finish().claims
    assert not claims.debug
    assert claims.hardware == "GCP_INTEL_TDX"
    assert claims.support_attributes == ("LATEST", "STABLE", "USABLE")
    assert claims.monitoring == {"memory": False}
    assert claims.tcb_status == "UpToDate"
    assert claims.gce.project_id == "simulated"
    assert claims.gpu is None
    assert claims.attester_tcb == ("INTEL",)
    assert claims.issued_at == NOW
    assert claims.token["google_service_accounts"] == list(claims.service_accounts)
    with pytest.raises(TypeError):
        claims.token["dbgstat"] = "enabled"


def test_wrong_calls_are_errors_of_the_caller():
    stage = scene("confidential-space")
    token = stage.evidence()
    stage.now = NOW.replace(tzinfo=None)
    with pytest.raises(EvidenceError) as caught:
        stage.judge(token)
    assert caught.value.code == "evidence.call.time"
    stage = scene("confidential-space")
    with pytest.raises(EvidenceError) as caught:
        stage.judge(bytearray(token))
    assert caught.value.code == "evidence.call.type"
    stage.binding = Expected("text")
    with pytest.raises(EvidenceError) as caught:
        stage.judge(token)
    assert caught.value.code == "evidence.call.type"
    stage.binding = None
    with pytest.raises(EvidenceError) as caught:
        stage.judge(token)
    assert caught.value.code == "evidence.call.type"


def test_ids_are_unique_and_documented():
    assert len({spec.id for spec in checks.ALL}) == len(checks.ALL)
    assert all(spec.title and spec.source for spec in checks.ALL)
    text = json.dumps([check.to_json() for check in scene("confidential-space").finish().ledger])
    assert text.count("confidential_space.") == len(checks.ALL)


def test_every_check_is_proven_here():
    text = Path(__file__).read_text()
    assert all(f'"{spec.id}' in text for spec in checks.ALL)

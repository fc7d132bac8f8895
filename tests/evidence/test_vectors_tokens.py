"""Every token, key set and set of claims among the real vectors reaches the result that is stated for it.

A result is stated in words and fields. Each word is mapped here, explicitly, to what the verifiers say; a
word without an entry fails the test.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import random
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.evidence.confidential_space import verify_confidential_space
from assay.evidence.confidential_space.verify import ISSUER as GOOGLE
from assay.evidence.decoding import strictjson
from assay.evidence.eat import open_jwt
from assay.evidence.facts import FactCache
from assay.evidence.jose import JwksEndorsements, TokenLimits
from assay.evidence.jose.algorithms import ALGORITHMS, verify
from assay.evidence.jose.base64url import decode
from assay.evidence.jose.jws import read_claims, read_header, split
from assay.evidence.jose.keys import parse_jwks, read_key
from assay.evidence.jose.x5c import chain_of
from assay.evidence.ledger import Outcome
from assay.evidence.maa import verify_maa
from assay.evidence.nras import verify_nras
from assay.evidence.nras.bundle import parse_bundle, submods_defect
from assay.evidence.nras.verify import ISSUER as NVIDIA
from assay.evidence.roots import Roots
from assay.evidence.trust_authority import verify_trust_authority
from assay.evidence.verification import Expected, Unchecked
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import issue_defect
from assay.simulator.tokens.payloads import confidential_space_claims, maa_claims, nras_device_claims
from support import vectors
from support.token_scenes import services

LIMITS = TokenLimits(timedelta(seconds=30), timedelta(hours=12))
ARCHIVED = Unchecked("an archived token: its nonce is not known")
UNCHECKED_AUDIENCE = Unchecked("an archived token")


def entries(family, kind):
    return pytest.mark.parametrize("entry", vectors.entries(family, kind), ids=lambda entry: entry["file"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def given(endorsements, at, **more):
    return {
        "endorsements": endorsements,
        "roots": Roots.vendor(),
        "limits": LIMITS,
        "now": at,
        "binding": ARCHIVED,
        "facts": FactCache(),
    } | more


def key_set_of(entry, issuer) -> JwksEndorsements | None:
    """Return the key set that a token's entry names among its relatives, where it was given out."""
    names = [name for name in entry.get("related", ()) if "jwks" in name]
    present = [name for name in names if (vectors.ROOT / name).is_file()]
    return JwksEndorsements(vectors.read(present[0]), issuer) if present else None


def opened(token: bytes) -> tuple[dict, dict]:
    jws = split(token)
    return read_header(jws.head), read_claims(jws.payload)


def assert_fields(token: bytes, stated: dict) -> None:
    """Compare header and claims with the stated ones; a field without a meaning here fails."""
    header, claims = opened(token)
    modules = claims.get("submods", {})
    container = modules.get("container", {})
    space = modules.get("confidential_space", {})
    found = {
        **{name: header.get(name) for name in ("alg", "kid", "jku", "typ")},
        **{name: claims.get(name) for name in ("iss", "aud", "sub", "iat", "nbf", "exp")},
        "has_x5c": "x5c" in header,
        "image_digest": container.get("image_digest"),
        "image_reference": container.get("image_reference"),
        "support_attributes": space.get("support_attributes"),
    }
    for name in (
        "hwmodel",
        "dbgstat",
        "swname",
        "swversion",
        "secboot",
        "oemid",
        "eat_nonce",
        "attester_tcb",
    ):
        found[name] = claims.get(name)
    for name in ("x-ms-attestation-type", "tdx_mrtd", "tdx_rtmr0", "attester_tcb_status"):
        found[name] = claims.get(name)
    for name, value in stated.items():
        if name not in ELSEWHERE:
            assert found[name] == value, name


# Fields that the tests below compare by what a verifier or a chain says.
ELSEWHERE = {
    "signature_ok",
    "key_source",
    "x5c_count",
    "x5c_leaf",
    "x5c_root",
    "x5c_root_sha256",
    "x5c_chain_ok",
    "x5c_root_in_bundle",
    "x5c_valid",
}


def assert_chain(token: bytes, stated: dict) -> None:
    header, _ = opened(token)
    if "x5c_count" not in stated:
        assert "x5c" not in header or not stated.get("has_x5c")
        return
    chain = chain_of(header["x5c"])
    names = [x509.load_der_x509_certificate(link.der) for link in chain]
    assert len(chain) == stated["x5c_count"]
    assert names[0].subject.rfc4514_string() == stated["x5c_leaf"]
    assert names[-1].subject.rfc4514_string() == stated["x5c_root"]
    assert hashlib.sha256(chain[-1].der).hexdigest() == stated["x5c_root_sha256"]
    issued = [issue_defect(child, issuer, "") for child, issuer in pairwise(chain)]
    assert (issued == [None] * len(issued)) is stated["x5c_chain_ok"]
    pinned = any(root.der == chain[-1].der for root in Roots.vendor().of("google-confidential-space"))
    assert pinned is stated["x5c_root_in_bundle"]
    window = functools.reduce(lambda a, b: a & b, (link.window for link in chain))
    assert [moment(text) for text in stated["x5c_valid"]] == [window.start, window.end]


# --- Confidential Space


def root_in(text: bytes) -> bytes:
    """Return the certificate of a PEM file in which spaces stand for line ends."""
    return base64.b64decode(b"".join(text.split(b"-----")[2].split()), validate=True)


def judged(token, endorsements, at, audience=UNCHECKED_AUDIENCE, **more):
    return verify_confidential_space(token, audience=audience, **given(endorsements, at, **more))


def assert_cs_words(words: str, result) -> None:
    for word in words.split("; "):
        match word:
            case "signature VALID":
                assert result.authentic, result.ledger.unmet()
                assert result.ledger["confidential_space.token.signature"].outcome is Outcome.PASSED
            case "DEBUG image":
                assert result.claims.debug
            case "x5c chain VALID":
                assert result.ledger["confidential_space.chain.issue"].outcome is Outcome.PASSED
                assert result.ledger["confidential_space.chain.role"].outcome is Outcome.PASSED
            case "root = Confidential Space root":
                assert not result.simulated
                assert result.anchor.name == "Google Confidential Space Root CA"
            case _:
                pytest.fail(f"no meaning for {word!r}")
    assert ("DEBUG image" in words) is result.claims.debug
    assert ("x5c" in words) is (result.claims.kind == "pki")
    assert result.simulated is (result.claims.kind == "oidc")


@pytest.mark.parametrize("case", vectors.cases("jwt-verify"), ids=lambda case: case["id"])
def test_case(case):
    token, expected = vectors.read(case["files"]["token"]), case["expected"]
    at = moment(case["valid_at"])
    if case["family"] == "azure":
        key_release(token, expected, at)
    else:
        jwks = case["files"].get("jwks")
        endorsements = JwksEndorsements(vectors.read(jwks), expected["iss"]) if jwks else None
        result = judged(token, endorsements, at, audience=expected["aud"])
        assert_cs_words(expected["result"], result)
        assert result.claims.issuer == expected["iss"]
        assert result.claims.debug_status == expected["dbgstat"]
        assert result.decoded["header"]["alg"] == expected["alg"]
        assert result.decoded["header"]["kid"] == expected["kid"]
        if "root" in case["files"]:
            root = root_in(vectors.read(case["files"]["root"]))
            assert hashlib.sha256(root).digest() == result.anchor.fingerprint
    vectors.record(case["family"], "jwt-verify")


@entries("gcp-cs", "jwt")
def test_confidential_space(entry):
    token, expected = vectors.read(entry["file"]), entry["expected"]
    assert vectors.pinned(entry)
    at, stated = moment(expected["valid_at"]), expected["key_fields"]
    result = judged(token, key_set_of(entry, GOOGLE), at, audience=stated["aud"])
    assert_cs_words(expected["result"], result)
    assert_fields(token, stated)
    assert_chain(token, stated)
    assert result.authentic is stated["signature_ok"]
    claims = result.claims
    assert list(claims.software_version) == stated["swversion"]
    assert (claims.hardware, claims.oem, claims.secure_boot) == (
        stated["hwmodel"],
        stated["oemid"],
        stated["secboot"],
    )
    assert claims.container.image_digest == stated["image_digest"]
    assert list(claims.support_attributes) == (stated["support_attributes"] or [])
    nonce = stated.get("eat_nonce")
    assert claims.nonces == ((nonce,) if nonce else ())
    if nonce:
        bound = judged(token, key_set_of(entry, GOOGLE), at, binding=Expected(nonce.encode()))
        assert bound.bound
        assert bound.claims.bound_nonce == 0
    late = judged(token, key_set_of(entry, GOOGLE), moment("2026-11-21T00:00:00Z"))
    assert not late.authentic
    vectors.record("gcp-cs", "jwt")


@entries("gcp-cs", "x509")
def test_the_root(entry):
    expected = entry["expected"]
    der = root_in(vectors.read(entry["file"]))
    stated, root = expected["key_fields"], GeneralCertificate.parse(der)
    assert [hashlib.sha256(der).hexdigest()] == stated["sha256"]
    certificate = x509.load_der_x509_certificate(der)
    assert [certificate.subject.rfc4514_string()] == stated["subjects"]
    assert (root.window.start, root.window.end) == (moment(stated["valid_from"]), moment(stated["valid_to"]))
    assert (issue_defect(root, root, "root") is None) is stated["self_signed_last"] is stated["linked"]
    assert [found.anchor.simulated for found in Roots.vendor().of("google-confidential-space")] == [False]
    assert Roots.vendor().of("google-confidential-space")[0].der == der
    assert (expected["result"], stated["count"]) == ("parsed", 1)
    vectors.record("gcp-cs", "x509")


def check_key_set(entry):
    stated = entry["expected"]["key_fields"]
    data = vectors.read(entry["file"])
    keys = parse_jwks(data)
    assert sorted([*keys.keys, *keys.unusable]) == sorted(stated["kids"])
    assert entry["expected"]["result"] == f"{len(stated['kids'])} keys"
    assert stated["kty"] == ["RSA"]
    assert {key.kind.value for key in keys.keys.values()} == {"rsa"}
    return keys


@entries("gcp-cs", "jwks")
def test_key_sets_of_google(entry):
    assert not check_key_set(entry).unusable
    vectors.record("gcp-cs", "jwks")


@entries("azure", "jwks")
def test_a_key_set_of_azure(entry):
    """Four keys in certificates, one of them of 1,024 bits with a whole quote in its certificate."""
    keys = check_key_set(entry)
    assert list(keys.unusable) == ["KQFAHrk1xALKHBD4b4u7TCvCJ1Mw0MlYZe+rxdePOtg="]
    assert "2048" in keys.unusable["KQFAHrk1xALKHBD4b4u7TCvCJ1Mw0MlYZe+rxdePOtg="]
    vectors.record("azure", "jwks")


@entries("gcp-cs", "oidc-discovery")
def test_discovery(entry):
    found = strictjson.parse_object(vectors.read(entry["file"]), max_bytes=4096)
    assert list(found) == entry["expected"]["key_fields"]["json_keys"]
    assert found["issuer"] == GOOGLE
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]
    vectors.record("gcp-cs", "oidc-discovery")


@entries("gcp-cs", "cs-samples")
def test_samples(entry):
    """The file that tokens and keys were taken from holds the same bytes."""
    found = strictjson.parse_object(vectors.read(entry["file"]), max_bytes=1 << 20)
    assert list(found) == entry["expected"]["key_fields"]["json_keys"]
    endorsements = JwksEndorsements(json.dumps(found["jwks"]).encode(), GOOGLE)
    for sample in found["samples"]:
        token = sample["raw_token"].encode()
        at = datetime.fromtimestamp(sample["captured_at"], UTC)
        result = judged(token, endorsements, at, audience=sample["audience"])
        assert result.authentic
        assert list(result.claims.nonces) == sample["nonces"]
        header, claims = opened(token)
        assert header == sample["header"]
        assert (
            claims.items()
            >= {k: v for k, v in sample["claims"].items() if v is not None and k in claims}.items()
        )
        assert sample["signing_input"].encode() == split(token).signed
    vectors.record("gcp-cs", "cs-samples")


@entries("gcp-cs", "cs-claims")
def test_claims_of_confidential_space(entry):
    """Claims without a signature, signed here: each is read, and the expired ones are refused as such."""
    claims = strictjson.parse_object(vectors.read(entry["file"]), max_bytes=1 << 16)
    assert list(claims) == entry["expected"]["key_fields"]["json_keys"]
    token = services().draft("confidential-space", claims).sign()
    endorsements = services().endorsements("confidential-space")
    at = datetime.fromtimestamp(claims["iat"] + 60, UTC)
    result = judged(
        token, endorsements, at, audience=claims["aud"], binding=Expected(claims["eat_nonce"].encode())
    )
    assert result.bound
    assert result.simulated
    assert result.claims.debug is (claims["dbgstat"] != "disabled-since-boot")
    expiry = datetime.fromtimestamp(claims["exp"], at.tzinfo)
    late = judged(token, endorsements, expiry)
    assert [check.code for check in late.ledger.failed()] == ["confidential_space.token.expiry.expired"]
    vectors.record("gcp-cs", "cs-claims")


def test_simulated_claims_have_the_shape_of_real_ones():
    """Every name of the simulated token stands in some real one: no test rests on an invented claim."""

    def names(value, path=""):
        if not isinstance(value, dict) or path.endswith(("/env", "/env_override")):
            return {path}
        return set().union(*(names(item, f"{path}/{name}") for name, item in value.items()))

    real = set()
    for entry in vectors.entries("gcp-cs", "jwt"):
        real |= names(opened(vectors.read(entry["file"]))[1])
    if not real:
        pytest.skip("the real vectors are not here")
    assert names(confidential_space_claims(0, GOOGLE, "a", ["n" * 8])) <= real


# --- Azure


def token_in(data: bytes) -> bytes:
    """Return the token of a key release answer, which has a tag before it and a line end behind."""
    return data[data.index(b"eyJ") :].removesuffix(b"\n")


def key_release(data: bytes, expected: dict, at: datetime) -> None:
    """Hold a token of Azure's key release to its words: no format here accepts it, its parts verify."""
    token = token_in(data)
    jws, (header, claims) = split(token), opened(token)
    chain = chain_of(header["x5c"])
    for word in expected["result"].split("; "):
        match word:
            case "signature VALID":
                assert verify(chain[0].key(), ALGORITHMS[header["alg"]], jws.signature, jws.signed)
                flipped = bytes([jws.signature[0] ^ 1]) + jws.signature[1:]
                assert not verify(chain[0].key(), ALGORITHMS[header["alg"]], flipped, jws.signed)
            case "x5c chain VALID":
                pairs = pairwise(chain)
                assert all(issue_defect(child, issuer, "") is None for child, issuer in pairs)
                assert all(at in link.window for link in chain)
            case _:
                pytest.fail(f"no meaning for {word!r}")
    for name in ("iss", "aud", "dbgstat"):
        assert claims.get(name) == expected[name]
    assert (header["alg"], header["kid"]) == (expected["alg"], expected["kid"])


@entries("azure", "jwt")
def test_tokens_of_azure(entry):
    data, expected = vectors.read(entry["file"]), entry["expected"]
    stated, at = expected["key_fields"], moment(expected["valid_at"])
    token = token_in(data)
    assert_fields(token, stated)
    assert_chain(token, stated)
    if stated["has_x5c"]:
        key_release(
            data,
            expected | {name: stated[name] for name in ("iss", "aud", "alg", "kid")} | {"dbgstat": None},
            at,
        )
        maa = verify_maa(token, **given(JwksEndorsements(b'{"keys":[]}', "x"), at))
        assert maa.ledger.failed()[0].code == "maa.token.key.unknown"
    else:
        attestation(token, entry, stated, at)
    vectors.record("azure", "jwt")


def attestation(token, entry, stated, at):
    """The token of a guest; where its key set was not given out, everything but the signature is held."""
    endorsements = key_set_of(entry, stated["iss"])
    result = verify_maa(token, **given(endorsements, at))
    assert entry["expected"]["result"] == "signature VALID"
    if endorsements is None:
        assert not result.ledger.failed()
        assert result.ledger["maa.token.key"].code == "maa.token.key.missing"
        vectors.note("the key set of the Azure Attestation token is not here: its signature was not verified")
        claims = opened(token)[1]
        resigned = services().draft("maa", claims).sign()
        result = verify_maa(resigned, **given(JwksEndorsements(services().key_set("maa"), stated["iss"]), at))
    assert result.authentic is stated["signature_ok"]
    found = result.claims
    assert (found.attestation_type, found.tee) == (stated["x-ms-attestation-type"], "sevsnpvm")
    assert not found.debug
    assert found.secure_boot
    assert found.client_nonce == b"ADE0101"
    assert found.compliance == "azure-compliant-cvm"
    bound = given(None, at, binding=Expected(b"ADE0101"))
    resigned = services().draft("maa", opened(token)[1]).sign()
    bound["endorsements"] = JwksEndorsements(services().key_set("maa"), stated["iss"])
    assert verify_maa(resigned, **bound).bound


@entries("azure", "maa-claims")
def test_claims_of_azure_attestation(entry):
    claims = strictjson.parse_object(vectors.read(entry["file"]), max_bytes=1 << 16)
    assert (
        sorted(claims)[: len(entry["expected"]["key_fields"]["json_keys"])]
        == entry["expected"]["key_fields"]["json_keys"]
    )
    at = datetime.fromtimestamp(claims["iat"] + 60, UTC)
    token = services().draft("maa", claims).sign()
    result = verify_maa(token, **given(JwksEndorsements(services().key_set("maa"), claims["iss"]), at))
    assert result.authentic, result.ledger.unmet()
    assert result.claims.attestation_type == claims["x-ms-attestation-type"]
    assert result.claims.secure_boot is claims["secureboot"]
    assert set(maa_claims(0, "", b"", None)) <= set(claims)
    vectors.record("azure", "maa-claims")


@entries("azure", "maa-request")
def test_a_request_to_azure_attestation(entry):
    found = strictjson.parse_object(vectors.read(entry["file"]), max_bytes=1 << 16)
    assert list(found) == entry["expected"]["key_fields"]["json_keys"]
    quote = decode(found["Quote"].rstrip("=").encode())
    held = decode(found["EnclaveHeldData"].rstrip("=").encode())
    # Open Enclave puts 16 bytes before the quote: version, type, size. The SGX report data begin at 48 + 320.
    assert int.from_bytes(quote[8:16], "little") == len(quote) - 16
    assert hashlib.sha256(held).digest() == quote[16 + 368 : 16 + 400]
    vectors.record("azure", "maa-request")


# --- NVIDIA


def answer_in(data: bytes) -> bytes:
    """Return the answer of NRAS: the file itself, or what a client's software kept of it."""
    found = strictjson.parse(data, max_bytes=1 << 18)
    return data if type(found) is list else found["token"].encode()


def all_tokens(data: bytes) -> list[bytes]:
    """Return every token of an answer, the wrapper's own first, in its order."""
    bundle = parse_bundle(data)
    own = [data[region.start : region.end] for region in bundle.unsigned]
    return [*own, bundle.overall, *bundle.devices.values()]


def token_facts(token: bytes) -> dict:
    """Return header and claims of one token; a wrapper's HMAC token has neither key id nor result."""
    jws = split(token)
    header = strictjson.parse_object(decode(jws.head), max_bytes=4096)
    claims = read_claims(jws.payload)
    names = (
        "x-nvidia-overall-att-result",
        "eat_nonce",
        "hwmodel",
        "measres",
        "x-nvidia-gpu-driver-version",
        "x-nvidia-gpu-vbios-version",
        "x-nvidia-gpu-attestation-report-nonce-match",
    )
    facts = {"alg": header["alg"], "kid": header.get("kid"), "signature_ok": None}
    facts |= {name: claims.get(name) for name in ("iss", "iat", "exp")}
    return facts | {name: claims[name] for name in names if name in claims}


def assert_nras(data: bytes, at: datetime, expected: dict, jwts: list, digests: dict | None) -> None:
    words = re.fullmatch(
        r"(\d+) JWTs; signatures UNVERIFIABLE \(signing kid not in an archived JWKS\)"
        r"(; submods digests match the per-device JWTs)?",
        expected["result"],
    )
    assert words, expected["result"]
    tokens = all_tokens(data)
    assert len(tokens) == int(words[1]) == len(jwts)
    assert [token_facts(token) for token in tokens] == jwts
    bundle = parse_bundle(data)
    defect = submods_defect(read_claims(split(bundle.overall).payload), bundle)
    assert dict.fromkeys(bundle.devices, defect is None) == digests
    assert (words[2] is not None) is (defect is None)
    # Nothing was archived that could vouch for the key: neither passed nor failed, and the need is named.
    result = verify_nras(data, **given(None, at))
    assert not result.ledger.failed()
    assert result.ledger["nras.token.key"].code == "nras.token.key.missing"
    kid = read_header(split(bundle.overall).head)["kid"]
    assert result.needs[0].key == {"issuer": NVIDIA, "kid": kid}
    other = verify_nras(data, **given(services().endorsements("nras"), at))
    assert [check.code for check in other.ledger.failed()] == ["nras.token.key.unknown"]


def resigned(data: bytes) -> bytes:
    """Return an answer with the same claims under a simulated key."""
    from assay.simulator.tokens.nras import NrasDraft

    bundle = parse_bundle(data)

    def draft(token):
        return services().draft("nras", read_claims(split(token).payload))

    return NrasDraft(
        draft(bundle.overall), {name: draft(token) for name, token in bundle.devices.items()}
    ).sign()


@pytest.mark.parametrize("case", vectors.cases("nras-eat-verify"), ids=lambda case: case["id"])
def test_answers_of_nras(case):
    data = answer_in(vectors.read(case["files"]["eat"]))
    at, expected = moment(case["valid_at"]), case["expected"]
    assert_nras(data, at, expected, expected["jwts"], expected["submods_digest_ok"])
    again = verify_nras(resigned(data), **given(services().endorsements("nras"), at))
    assert again.authentic, again.ledger.unmet()
    device = next(jwt for jwt in expected["jwts"] if "hwmodel" in jwt)
    (found,) = again.claims.devices
    assert found.hardware == device["hwmodel"]
    assert found.driver == device["x-nvidia-gpu-driver-version"]
    assert found.firmware == device["x-nvidia-gpu-vbios-version"]
    assert again.claims.nonce.hex() == device["eat_nonce"]
    vectors.record("nvidia", "nras-eat-verify")


@entries("nvidia", "nvidia-nras-eat")
def test_a_detached_bundle(entry):
    expected = entry["expected"]
    stated = expected["key_fields"]
    assert stated["jwks_files"] == []
    data = vectors.read(entry["file"])
    assert_nras(data, moment(expected["valid_at"]), expected, stated["jwts"], stated["submods_digest_ok"])
    vectors.record("nvidia", "nvidia-nras-eat")


@entries("nvidia", "nvattest-output")
def test_unsigned_tokens_of_local_software(entry):
    """``alg`` none: claims that nobody signed, whatever their digests say."""
    found = strictjson.parse_object(vectors.read(entry["file"]), max_bytes=1 << 18)
    data = json.dumps(found["detached_eat"]).encode()
    bundle = parse_bundle(data)
    assert read_header(split(bundle.overall).head) == {"alg": "none"}
    at = datetime.fromtimestamp(read_claims(split(bundle.overall).payload)["iat"], UTC)
    for endorsements in (None, services().endorsements("nras")):
        result = verify_nras(data, **given(endorsements, at))
        assert [check.code for check in result.ledger.failed()] == ["nras.token.algorithm.refused"]
        assert not result.authentic
    stated = entry["expected"]["key_fields"]
    assert stated == {"jwts": [], "submods_digest_ok": None, "jwks_files": []}
    assert submods_defect(read_claims(split(bundle.overall).payload), bundle) is None
    assert entry["expected"]["result"].startswith("0 JWTs; signatures UNVERIFIABLE")
    vectors.record("nvidia", "nvattest-output")


def test_claims_of_nvidia():
    """Counted where reports are tested, which compare them with the report itself."""
    found = strictjson.parse_object(
        vectors.read("nvidia/nv-attestation-sdk/hopperClaimsv3_decoded.json"), max_bytes=1 << 16
    )
    bundle = parse_bundle(vectors.read("nvidia/nv-attestation-sdk/hopperClaimsv3_detached_eat.json"))
    assert {n: read_claims(split(token).payload) for n, token in bundle.devices.items()} == found
    # The simulated device says nothing that a real one does not.
    assert set(nras_device_claims(0, "", b"", 0)) <= set(found["GPU-0"])


# --- Intel Trust Authority


@entries("tdx", "ita-jwt")
def test_tokens_of_trust_authority(entry):
    token, expected = vectors.read(entry["file"]), entry["expected"]
    stated, at = expected["key_fields"], moment(expected["valid_at"])
    assert expected["result"] == "signature UNVERIFIABLE (signing key not archived)"
    assert_fields(token, stated)
    assert stated["signature_ok"] is None
    result = verify_trust_authority(token, **given(None, at))
    assert not result.ledger.failed()
    assert result.ledger["trust_authority.token.key"].code == "trust_authority.token.key.missing"
    claims = opened(token)[1]
    again = services().draft("trust-authority", claims).sign()
    endorsements = JwksEndorsements(services().key_set("trust-authority"), claims["iss"])
    result = verify_trust_authority(again, **given(endorsements, at))
    if "attester_type" in claims:
        # The report data are recomputed from the service's nonce: known answer of a real machine.
        assert result.authentic, result.ledger.unmet()
        assert result.ledger["trust_authority.report_data"].outcome is Outcome.PASSED
        assert result.claims.measurements["mrtd"].hex() == stated["tdx_mrtd"]
        assert result.claims.tcb_status == stated["attester_tcb_status"]
        assert not result.claims.debug
    else:
        # A token of the service before it was published: its claims have other names and are not guessed at.
        assert [check.code for check in result.ledger.failed()] == ["trust_authority.token.type.unknown"]
    vectors.record("tdx", "ita-jwt")


# --- EAR


@entries("crypto", "ear-jwt")
def test_results_of_another_verifier(entry):
    """Their key stands in their own header: right for the signature, and no reason to believe it."""
    token, expected = vectors.read(entry["file"]).strip(), entry["expected"]
    stated = expected["key_fields"]
    jws = split(token)
    header = strictjson.parse_object(decode(jws.head), max_bytes=8192)
    claims = read_claims(jws.payload)
    assert (header["alg"], header.get("kid"), header["typ"]) == (stated["alg"], stated["kid"], stated["typ"])
    for name in ("iss", "aud", "sub", "iat", "nbf", "exp"):
        assert claims.get(name) == stated[name]
    assert stated["key_source"] == "header jwk (self-asserted)"
    own = read_key("own", {k: v for k, v in header["jwk"].items() if k not in ("x5c", "x5u")})
    assert verify(own.key, ALGORITHMS["ES256"], jws.signature, jws.signed) is stated["signature_ok"]
    assert expected["result"] == "signature VALID"
    with pytest.raises(Exception, match="member that is not accepted") as caught:
        open_jwt(token, own.key, algorithms=["ES256"])
    assert caught.value.code == "eat.malformed"
    vectors.record("crypto", "ear-jwt")


# --- Every bit


FLIPPED = "gcp-cs/project-oak/sample.jwt"


def flip(choose) -> None:
    """Flip chosen bits of a real PKI token: not one is accepted, for there is nothing that is not signed."""
    token, at = vectors.read(FLIPPED), moment("2025-09-05T08:47:30Z")
    facts = FactCache()
    assert judged(token, None, at, facts=facts).authentic
    tried = accepted = 0
    for position in range(8 * len(token)):
        if not choose(position):
            continue
        offset, bit = divmod(position, 8)
        changed = token[:offset] + bytes([token[offset] ^ (1 << bit)]) + token[offset + 1 :]
        result = judged(changed, None, at, facts=facts)
        tried += 1
        accepted += result.authentic
        assert result.ledger.failed() or result.ledger.unmet()
    vectors.note(f"bit flips of a real Confidential Space token: {tried} tried, {accepted} accepted")
    assert accepted == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_single_bit():
    flip(lambda position: True)


def test_a_sample_of_bits():
    chosen = random.Random("token")  # a sample that is the same in every run
    flip(lambda position: chosen.random() < 0.01)


def test_certificates_are_bytes_of_the_header():
    """The chain is read from the signed header alone; what is beside it does not matter."""
    header, _ = opened(vectors.read("gcp-cs/flare-vtpm/pki.jwt"))
    ders = [
        x509.load_pem_x509_certificate(text.encode()).public_bytes(Encoding.DER) for text in header["x5c"]
    ]
    assert [link.der for link in chain_of(header["x5c"])] == ders
    assert chain_of([base64.b64encode(der).decode() for der in ders]) == chain_of(header["x5c"])

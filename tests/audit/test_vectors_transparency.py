"""Logs, proofs and bundles of strangers: each reaches the result that is stated for it.

Merkle proofs and notes are judged by the project's own code; what it has no code for (Rekor's ECDSA notes and
promises, Fulcio's chains, HPKE) is checked with ``cryptography``, so that the material is known to be sound
when the project comes to use it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import PurePosixPath

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256

from assay.audit import Checkpoint, VerifierKey, merkle, note
from assay.errors import AuditError
from assay.evidence.decoding import strictjson
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import issue_defect
from support import vectors
from support.audit_logs import Naive

FAMILY = "crypto"
b64 = base64.b64decode
OIDC_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


def entries(kind):
    return pytest.mark.parametrize(
        "entry", vectors.entries(FAMILY, kind), ids=lambda entry: PurePosixPath(entry["file"]).name
    )


def document(name: str):
    return strictjson.parse(vectors.read(name), max_bytes=1 << 20)


def verifies(call, *arguments) -> bool:
    try:
        call(*arguments)
    except (AuditError, InvalidSignature):
        return False
    return True


# --- Proofs of RFC 6962

# Where upstream refuses and this project does not: the empty tree is a prefix of every tree, so a log that
# began after it was first seen is consistent with what was seen.
FROM_EMPTY = {"testdata/consistency/additional/size1-is-zero-and-size2-is-not-zero.json"}


def proven(case) -> bool:
    path = [b64(item) for item in case["proof"] or []]
    if "leafIdx" in case:
        leaf, root = b64(case["leafHash"] or ""), b64(case["root"] or "")
        return verifies(merkle.verify_inclusion, leaf, case["leafIdx"], case["treeSize"], path, root)
    roots = b64(case["root1"] or ""), b64(case["root2"] or "")
    return verifies(merkle.verify_consistency, case["size1"], roots[0], case["size2"], roots[1], path)


@entries("merkle-proofs")
def test_proofs(entry):
    cases = document(entry["file"])
    stated = entry["expected"]["key_fields"]
    assert len(cases) == stated["cases"]
    assert sum(case["wantErr"] for case in cases.values()) == stated["want_err"]
    assert sum(not case["wantErr"] for case in cases.values()) == stated["want_ok"]
    results = {name: proven(case) for name, case in cases.items()}
    others = {name for name, case in cases.items() if results[name] is case["wantErr"]}
    # An empty leaf hash that equals an empty root is the one that an independent computation took.
    assert others == FROM_EMPTY & cases.keys()
    heads = {"98 cases, wantErr=92", "98 cases, wantErr=92; independently recomputed 97 agree / 1 disagree"}
    assert entry["expected"]["result"] in heads
    vectors.record(FAMILY, "merkle-proofs")


# --- Logs of C2SP


@entries("tlog-tiles")
def test_a_log_in_tiles(entry):
    files = {name: b64(text) for name, text in document(entry["file"]).items() if name != "vkey"}
    stated = entry["expected"]["key_fields"]
    key = VerifierKey.parse(stated["vkey"])
    checkpoints = {name: data for name, data in files.items() if name.startswith("checkpoint")}
    opened = {name: Checkpoint.decode(note.open_note(data, [key])[0]) for name, data in checkpoints.items()}
    assert entry["expected"]["result"] == f"{len(opened)} checkpoint signatures VALID"
    newest = opened["checkpoint"]
    assert (newest.origin, newest.size) == (stated["origin"], stated["size"])
    assert newest.root == b64(stated["root"])
    hashes = files[f"tile/0/000.p/{newest.size}"]
    leaves = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    for name, checkpoint in opened.items():
        assert name in ("checkpoint", f"checkpoint.{checkpoint.size}")
        assert merkle.root_at(Naive(leaves[: checkpoint.size]), checkpoint.size) == checkpoint.root
    assert not verifies(note.open_note, checkpoints["checkpoint.3"].replace(b"\n3\n", b"\n4\n"), [key])
    vectors.record(FAMILY, "tlog-tiles")


@entries("tlog-checkpoint")
def test_a_checkpoint(entry):
    """No key was archived with these: they are read, and refused without one."""
    data = vectors.read(entry["file"])
    text, signatures = note.split(data)
    checkpoint = Checkpoint.decode(text)
    assert (checkpoint.origin, checkpoint.size) == ("rome2026h1.example.org", 300)
    assert len(checkpoint.root) == 32
    names = {name for name, _, _ in signatures}
    assert checkpoint.origin in names
    assert ("witness.example.org" in names) is ("witness" in entry["file"])
    assert not verifies(note.open_note, data, [VerifierKey(checkpoint.origin, note.ED25519, bytes(32))])
    assert entry["expected"]["result"] == "data (not independently verified)"
    vectors.record(FAMILY, "tlog-checkpoint")


@entries("tlog-proof")
def test_a_proof_of_a_tile_log(entry):
    head, _, signed = vectors.read(entry["file"]).decode().partition("\n\n")
    form, index, *hashes = head.split("\n")
    assert form == "c2sp.org/tlog-proof@v1"
    text, signatures = note.split(signed.encode())
    checkpoint = Checkpoint.decode(text)
    assert (checkpoint.origin, checkpoint.size, index) == ("fake.log.origin/log", 4, "index 3")
    assert [name for name, _, _ in signatures] == ["fake.log.origin/log", "test-witness"]
    # Two hashes for the last of four leaves: the right number, whatever the leaf was.
    assert [len(b64(item)) for item in hashes] == [32, 32]
    assert not verifies(
        merkle.verify_inclusion, bytes(32), 3, 4, [b64(item) for item in hashes], checkpoint.root
    )
    assert entry["expected"]["result"] == "data (not independently verified)"
    vectors.record(FAMILY, "tlog-proof")


# --- Rekor and sigstore


def public_key(data: bytes):
    if b"BEGIN" in data:
        return serialization.load_pem_public_key(data)
    return serialization.load_der_public_key(data)


def signed(key, signature: bytes, message: bytes) -> bool:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return verifies(key.verify, signature, message)
    return verifies(key.verify, signature, message, ec.ECDSA(SHA256()))


def promise(body: str, time: int, log: str, index: int) -> bytes:
    """Return what Rekor's signed entry timestamp signs: the entry's canonical JSON."""
    entry = {"body": body, "integratedTime": time, "logID": log, "logIndex": index}
    return json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()


def included(body: bytes, index: int, size: int, hashes: list[bytes], root: bytes) -> bool:
    return verifies(merkle.verify_inclusion, merkle.leaf_hash(body), index, size, hashes, root)


def checkpoint_of(envelope: str, key) -> tuple[int, bytes, bool]:
    """Return size, root, and whether the key signed it. Rekor's origin has spaces, which ours may not."""
    text, signatures = note.split(envelope.encode())
    _, size, root, rest = text.decode().split("\n")
    assert rest == ""
    return int(size), b64(root), any(signed(key, made, text) for _, _, made in signatures)


@entries("rekor-entry")
def test_an_entry_of_rekor(entry):
    ((uuid, found),) = document(entry["file"]).items()
    stated = entry["expected"]["key_fields"]
    folder = PurePosixPath(entry["file"]).parent
    key = public_key(vectors.read(str(folder / "rekor_public_key.pem")))
    proof = found["verification"]["inclusionProof"]
    stamp = b64(found["verification"]["signedEntryTimestamp"])
    message = promise(found["body"], found["integratedTime"], found["logID"], found["logIndex"])
    assert (uuid, found["logIndex"], found["integratedTime"]) == (
        stated["uuid"],
        stated["logIndex"],
        stated["integratedTime"],
    )
    assert signed(key, stamp, message) is stated["set_ok"]
    body, root = b64(found["body"]), bytes.fromhex(proof["rootHash"])
    hashes = [bytes.fromhex(item) for item in proof["hashes"]]
    result = included(body, proof["logIndex"], proof["treeSize"], hashes, root)
    assert result is stated["inclusion_proof_ok"]
    assert stated["has_inclusion_proof"] is bool(hashes)
    assert entry["expected"]["result"] == f"Rekor SET VALID; inclusion proof {result}"
    assert checkpoint_of(proof["checkpoint"], key) == (proof["treeSize"], root, True)
    assert uuid.endswith(merkle.leaf_hash(body).hex())
    assert datetime.fromtimestamp(found["integratedTime"], UTC) == datetime.fromisoformat(
        entry["expected"]["valid_at"]
    )
    vectors.record(FAMILY, "rekor-entry")


@entries("in-toto")
def test_a_statement(entry):
    assert list(document(entry["file"])) == entry["expected"]["key_fields"]["json_keys"]
    folder = PurePosixPath(entry["file"]).parent
    logged = next(iter(document(str(folder / "logentry.json")).values()))
    body = strictjson.parse(b64(logged["body"]), max_bytes=1 << 16)["spec"]
    own = hashlib.sha256(vectors.read(entry["file"])).hexdigest()
    assert body["data"]["hash"] == {"algorithm": "sha256", "value": own}
    vectors.record(FAMILY, "in-toto")


@entries("signature")
def test_a_signature(entry):
    folder = PurePosixPath(entry["file"])
    key = public_key(vectors.read(str(folder.parent / "endorser_public_key.pem")))
    assert signed(key, vectors.read(entry["file"]), vectors.read(str(folder.with_suffix(""))))
    vectors.record(FAMILY, "signature")


@entries("public-key")
def test_a_public_key(entry):
    data = vectors.read(entry["file"])
    if entry["file"].endswith(".hex"):
        assert len(bytes.fromhex(data.decode())) == 32
    else:
        assert public_key(data).curve.name == "secp256r1"
    vectors.record(FAMILY, "public-key")


@entries("artifact")
def test_an_artifact(entry):
    assert vectors.pinned(entry)
    name = entry["file"] + ".sigstore"
    bundles = [e["file"] for e in vectors.entries(FAMILY, "sigstore-bundle")]
    if name in bundles:
        stated = b64(document(name)["messageSignature"]["messageDigest"]["digest"])
        assert hashlib.sha256(vectors.read(entry["file"])).digest() == stated
    vectors.record(FAMILY, "artifact")


@entries("sigstore-trusted-root")
def test_a_trusted_root(entry):
    found = document(entry["file"])
    assert list(found) == entry["expected"]["key_fields"]["json_keys"]
    for log in found["tlogs"]:
        raw = b64(log["publicKey"]["rawBytes"])
        public_key(raw)
        assert hashlib.sha256(raw).digest() == b64(log["logId"]["keyId"]) or b"\x2b\x65\x70" in raw
    for authority in found["certificateAuthorities"]:
        chain = [GeneralCertificate.parse(b64(c["rawBytes"])) for c in authority["certChain"]["certificates"]]
        assert all(issue_defect(a, b, "authority") is None for a, b in pairwise(chain))
        assert issue_defect(chain[-1], chain[-1], "root") is None
    vectors.record(FAMILY, "sigstore-trusted-root")


def bundle_facts(name: str, artifact: bytes | None) -> dict:
    """Return what is true of a bundle under the staging instance, in the words of the manifest."""
    bundle = document(name)
    trusted = document("crypto/sigstore-python/sigstore_trusted_root_staging.json")
    material = bundle["verificationMaterial"]
    der = b64(material["certificate"]["rawBytes"])
    leaf, chain = GeneralCertificate.parse(der), None
    for authority in trusted["certificateAuthorities"]:
        links = [GeneralCertificate.parse(b64(c["rawBytes"])) for c in authority["certChain"]["certificates"]]
        path = [leaf, *links]
        if all(issue_defect(a, b, "link") is None for a, b in pairwise(path)):
            chain = authority
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    issuer = certificate.extensions.get_extension_for_oid(OIDC_ISSUER).value.value
    message = bundle["messageSignature"]
    digest, signature = b64(message["messageDigest"]["digest"]), b64(message["signature"])
    facts = {
        "mediaType": bundle["mediaType"],
        "leaf_valid": [
            moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (leaf.window.start, leaf.window.end)
        ],
        "san": names.get_values_for_type(x509.RFC822Name),
        "oidc_issuer": issuer[2:].decode(),
        "chain_ok": chain is not None,
        "chain_to_fulcio": "CN={commonName},O={organization}".format(**chain["subject"]) if chain else None,
        "message_digest": digest.hex(),
        "message_signature_ok": prehashed(leaf.key(), signature, digest),
        "tlog": [log_facts(found, trusted, leaf, bundle) for found in material["tlogEntries"]],
        "rfc3161_timestamps": len(material.get("timestampVerificationData", {}).get("rfc3161Timestamps", [])),
    }
    if artifact is not None:
        facts["artifact_digest_ok"] = hashlib.sha256(artifact).digest() == digest
    return facts


def prehashed(key, signature: bytes, digest: bytes) -> bool:
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    return verifies(key.verify, signature, digest, ec.ECDSA(Prehashed(SHA256())))


def log_facts(found: dict, trusted: dict, leaf: GeneralCertificate, bundle: dict) -> dict:
    log = next(log for log in trusted["tlogs"] if log["logId"]["keyId"] == found["logId"]["keyId"])
    key = public_key(b64(log["publicKey"]["rawBytes"]))
    proof, body = found["inclusionProof"], b64(found["canonicalizedBody"])
    root, size, index = b64(proof["rootHash"]), int(proof["treeSize"]), int(proof["logIndex"])
    signed_size, signed_root, genuine = checkpoint_of(proof["checkpoint"]["envelope"], key)
    time = int(found.get("integratedTime", 0))
    facts = {
        "logIndex": found["logIndex"],
        "kind": found["kindVersion"],
        "log": log["baseUrl"],
        "integratedTime": time,
        "inclusion_ok": included(body, index, size, [b64(item) for item in proof["hashes"]], root),
        "checkpoint_origin": proof["checkpoint"]["envelope"].partition("\n")[0],
        "checkpoint_root_ok": (signed_size, signed_root) == (size, root),
        "checkpoint_signature_ok": genuine,
        "body_matches_bundle": body_matches(strictjson.parse(body, max_bytes=1 << 16), bundle),
    }
    if "inclusionPromise" in found:
        stamp = b64(found["inclusionPromise"]["signedEntryTimestamp"])
        message = promise(
            found["canonicalizedBody"], time, b64(found["logId"]["keyId"]).hex(), int(found["logIndex"])
        )
        facts["set_ok"] = signed(key, stamp, message)
        facts["integrated_in_leaf_validity"] = datetime.fromtimestamp(time, UTC) in leaf.window
    return facts


def body_matches(body: dict, bundle: dict) -> bool:
    """Return whether the logged entry is about this signature, digest and certificate: CVE-2022-36056."""
    message = bundle["messageSignature"]
    der = b64(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    spec = body["spec"]
    if body["apiVersion"] == "0.0.1":
        pem = b64(spec["signature"]["publicKey"]["content"])
        found = (
            bytes.fromhex(spec["data"]["hash"]["value"]),
            b64(spec["signature"]["content"]),
            x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER),
        )
    else:
        inner = spec["hashedRekordV002"]
        found = (
            b64(inner["data"]["digest"]),
            b64(inner["signature"]["content"]),
            b64(inner["signature"]["verifier"]["x509Certificate"]["rawBytes"]),
        )
    return found == (b64(message["messageDigest"]["digest"]), b64(message["signature"]), der)


VALID = "signature, Fulcio chain, Rekor SET/checkpoint + inclusion VALID; log signed by STAGING"
LOGGED = ("set_ok", "inclusion_ok", "checkpoint_root_ok", "checkpoint_signature_ok", "body_matches_bundle")


def assert_result(words: str, facts: dict) -> None:
    """Hold the stated words to the facts; a word without a meaning fails."""
    (log,) = facts["tlog"]
    wrong = {name for name in LOGGED if log.get(name) is False}
    wrong |= {name for name in ("chain_ok", "message_signature_ok") if not facts[name]}
    verdict, _, by = words.partition("; ")
    assert by == "log signed by STAGING"
    assert ".sigstage.dev" in log["log"]
    if verdict.startswith("NOT VALID: "):
        assert wrong == set(verdict.removeprefix("NOT VALID: ").split(","))
    else:
        assert words == VALID
        assert not wrong


@entries("sigstore-bundle")
def test_a_bundle(entry):
    name = entry["file"].removesuffix(".json").removesuffix(".sigstore")
    present = {e["file"] for e in vectors.entries(FAMILY, "artifact")}
    facts = bundle_facts(entry["file"], vectors.read(name) if name in present else None)
    (stated,) = entry["expected"]["key_fields"]["bundles"]
    if "artifact_digest_ok" not in facts:
        assert name not in present  # the artefact was not archived
        stated = {key: value for key, value in stated.items() if key != "artifact_digest_ok"}
    assert facts == stated
    assert entry["expected"]["key_fields"]["predicate_matches_evidence"] == []
    assert_result(entry["expected"]["result"], facts)
    vectors.record(FAMILY, "sigstore-bundle")


@pytest.mark.parametrize("case", vectors.cases("sigstore-bundle-verify"), ids=lambda case: case["id"])
def test_a_bundle_with_its_artifact(case):
    files, expected = case["files"], case["expected"]
    facts = bundle_facts(files["bundle"], vectors.read(files["artifact"]))
    assert facts["artifact_digest_ok"]
    assert facts["san"] == expected["san"]
    assert facts["oidc_issuer"] == expected["oidc_issuer"]
    # Neither is an attestation: there is no predicate, and so no evidence in one.
    assert (expected["subject"], expected["predicateType"]) == (None, None)
    assert expected["predicate_matches_evidence"] == []
    start, end = map(datetime.fromisoformat, facts["leaf_valid"])
    assert start <= datetime.fromisoformat(case["valid_at"]) <= end
    assert_result(expected["result"], facts)
    vectors.record(case["family"], "sigstore-bundle-verify")


# --- HPKE (RFC 9180): there is no code of the project's own yet; the vectors are held to the definition

HASHES = {1: "sha256", 3: "sha512"}
KEM_HASHES = {16: "sha256", 18: "sha512", 32: "sha256"}
CURVES = {16: ec.SECP256R1(), 18: ec.SECP521R1()}
AEADS = {1: AESGCM, 2: AESGCM, 3: ChaCha20Poly1305}


def extract(digest: str, suite: bytes, salt: bytes, label: bytes, value: bytes) -> bytes:
    return hmac.digest(
        salt or bytes(hashlib.new(digest).digest_size), b"HPKE-v1" + suite + label + value, digest
    )


def expand(digest: str, suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    found, block = b"", b""
    while len(found) < size:
        block = hmac.digest(
            secret, block + labelled + bytes([len(found) // len(block) + 1 if block else 1]), digest
        )
        found += block
    return found[:size]


def shared_secret(vector) -> bytes:
    """Return what base mode agrees on: sections 4.1 and 7.1."""
    kem, secret = vector["kem_id"], bytes.fromhex(vector["skRm"])
    enc = bytes.fromhex(vector["enc"])
    if kem == 32:
        peer = x25519.X25519PublicKey.from_public_bytes(enc)
        dh = x25519.X25519PrivateKey.from_private_bytes(secret).exchange(peer)
    else:
        curve = CURVES[kem]
        own = ec.derive_private_key(int.from_bytes(secret, "big"), curve)
        dh = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, enc))
    digest, suite = KEM_HASHES[kem], b"KEM" + kem.to_bytes(2, "big")
    prk = extract(digest, suite, b"", b"eae_prk", dh)
    context = enc + bytes.fromhex(vector["pkRm"])
    return expand(digest, suite, prk, b"shared_secret", context, hashlib.new(digest).digest_size)


@entries("hpke-vectors")
def test_hpke(entry):
    found = document(entry["file"])
    stated = entry["expected"]["key_fields"]
    assert entry["expected"]["result"] == f"{stated['count']} vectors"
    assert len(found) == stated["count"]
    for name, field in (("modes", "mode"), ("kems", "kem_id"), ("aeads", "aead_id")):
        assert sorted({vector[field] for vector in found}) == stated[name]
    agreed = sealed = 0
    for vector in found:
        if vector["mode"] == 0 and vector["kem_id"] in KEM_HASHES:
            assert shared_secret(vector).hex() == vector["shared_secret"]
            agreed += 1
        if vector["aead_id"] in AEADS:
            for item in vector["encryptions"]:
                key = AEADS[vector["aead_id"]](bytes.fromhex(vector["key"]))
                parts = (bytes.fromhex(item[name]) for name in ("nonce", "ct", "aad"))
                assert key.decrypt(*parts).hex() == item["pt"]
                sealed += 1
    assert agreed == 12
    assert sealed == sum(len(v["encryptions"]) for v in found if v["aead_id"] != 65535)
    vectors.record(FAMILY, "hpke-vectors")

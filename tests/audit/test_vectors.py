"""Logs that others wrote: read with the same code, down to what is our own (the form of entries)."""

from __future__ import annotations

import base64

import pytest

from assay.audit import Checkpoint, VerifierKey, merkle, note, tiles
from assay.audit.archive import open_export
from assay.audit.walk import TreeWalk
from assay.audit.witnesses import WitnessPolicy
from assay.errors import AuditError
from support import vectors
from support.audit_logs import Naive

FOLDER = vectors.ROOT / "audit-and-sealing"
TESSERA = FOLDER / "tlog" / "tessera-testdata" / "log"
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
DERIVED = FOLDER / "derived" / "tlog-python-log"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no vectors here (ASSAY_VECTORS)")


def opened(path, vkey):
    text, _ = note.open_note(path.read_bytes(), [VerifierKey.parse(vkey)])
    return Checkpoint.decode(text)


def walked(path, size, wanted=()):
    with open_export(path) as source:
        walk = TreeWalk(source, size, wanted)
        entries = [entry for bundle, _ in walk.bundles() for entry in bundle]
    return walk, entries


@pytest.mark.parametrize("size", range(16))
def test_the_sixteen_checkpoints_of_tessera(size):
    checkpoint = opened(TESSERA / f"checkpoint.{size}", TESSERA_KEY)
    assert checkpoint.size == size
    walk, entries = walked(TESSERA, size)
    assert walk.root() == checkpoint.root
    assert len(entries) == size
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    for index in range(size):
        proof = merkle.inclusion_proof(Naive(leaves), index, size)
        merkle.verify_inclusion(leaves[index], index, size, proof, checkpoint.root)
    for old in range(size):
        before = opened(TESSERA / f"checkpoint.{old}", TESSERA_KEY)
        proof = merkle.consistency_proof(Naive(leaves), old, size)
        merkle.verify_consistency(old, before.root, size, checkpoint.root, proof)


def test_a_log_written_by_other_code_and_verified_by_go():
    vkey = (DERIVED / "log.vkey").read_text()
    checkpoint = opened(DERIVED / "checkpoint", vkey)
    before = opened(DERIVED / "checkpoint.old", vkey)
    walk, entries = walked(DERIVED, checkpoint.size, {before.size})
    assert (checkpoint.size, before.size) == (300, 257)
    assert walk.root() == checkpoint.root
    assert walk.roots == {257: before.root}
    proof = [base64.b64decode(line) for line in (DERIVED / "consistency").read_text().split()]
    merkle.verify_consistency(257, before.root, 300, checkpoint.root, proof)
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    assert merkle.consistency_proof(Naive(leaves), 257, 300) == proof


def test_a_tlog_proof():
    head, _, signed = (DERIVED / "entry3.tlog-proof").read_text().partition("\n\n")
    form, index, *hashes = head.split("\n")
    assert (form, index) == ("c2sp.org/tlog-proof@v1", "index 3")
    text, _ = note.open_note(signed.encode(), [VerifierKey.parse((DERIVED / "log.vkey").read_text())])
    checkpoint = Checkpoint.decode(text)
    proof = [base64.b64decode(line) for line in hashes]
    leaf = merkle.leaf_hash((DERIVED / "entry3").read_bytes())
    merkle.verify_inclusion(leaf, 3, checkpoint.size, proof, checkpoint.root)
    with pytest.raises(AuditError):
        merkle.verify_inclusion(leaf, 4, checkpoint.size, proof, checkpoint.root)


def test_a_witness_and_a_policy():
    log, witness = ((DERIVED / name).read_text().strip() for name in ("log.vkey", "witness.vkey"))
    policy = WitnessPolicy.parse(f"log {log}\nwitness w {witness}\ngroup g all w\nquorum g\n")
    keys = [*policy.logs, *policy.witnesses.values()]
    _, signed = note.open_note((DERIVED / "checkpoint").read_bytes(), keys)
    assert policy.satisfied(frozenset(item.key for item in signed))
    assert {item.time is None for item in signed} == {True, False}
    _, signed = note.open_note((DERIVED / "checkpoint").read_bytes(), policy.logs)
    assert not policy.satisfied(frozenset(item.key for item in signed))


def test_a_checkpoint_of_rekor_version_two():
    import json

    (path,) = (FOLDER / "rekor-v2").glob("*.sigstore.json") if (FOLDER / "rekor-v2").is_dir() else (None,)
    if path is None:
        pytest.skip("no Rekor vector here")
    vkey = "log2025-alpha3.rekor.sigstage.dev+d3d3a70c+AZQ93VXPMmj9uZj7U/7CefQ9yy8RgYFv6mKzOseipjqp"
    found = json.loads(path.read_text())["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    text, _ = note.open_note(found["checkpoint"]["envelope"].encode(), [VerifierKey.parse(vkey)])
    checkpoint = Checkpoint.decode(text)
    assert checkpoint.size == int(found["treeSize"])
    proof = [base64.b64decode(line) for line in found["hashes"]]
    body = json.loads(path.read_text())["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"]
    leaf = merkle.leaf_hash(base64.b64decode(body))
    merkle.verify_inclusion(leaf, int(found["logIndex"]), checkpoint.size, proof, checkpoint.root)


def test_paths_of_tiles():
    """The examples of C2SP tlog-tiles."""
    assert tiles.tile_path(0, 1234067, 256) == "tile/0/x001/x234/067"
    assert tiles.tile_path(1, 273, 112) == "tile/1/273.p/112"
    assert tiles.tile_path(None, 0, 1) == "tile/entries/000.p/1"

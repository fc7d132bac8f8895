from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.audit import merkle
from assay.errors import AuditError
from support.audit_logs import Naive

LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(700)]
ROOTS = [Naive(LEAVES[:size]).root() for size in range(201)]


def code(call, *arguments):
    with pytest.raises(AuditError) as caught:
        call(*arguments)
    return caught.value.code


def test_known_answers_of_rfc_6962():
    """The root of the empty tree and the test vectors of Google's certificate-transparency log."""
    leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    data = [bytes.fromhex(text) for text in leaves]
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    grown = merkle.CompactRange()
    assert grown.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for item, root in zip(data, roots, strict=True):
        grown.append_leaf(merkle.leaf_hash(item))
        assert grown.root().hex() == root


def test_compact_range_gives_every_root_and_every_whole_tile():
    grown = merkle.CompactRange()
    completed = []
    for size, leaf in enumerate(LEAVES):
        assert size > 200 or grown.root() == ROOTS[size]
        completed += grown.append_leaf(leaf)
    naive = Naive(LEAVES)
    assert grown.root() == naive.root()
    assert completed == [(1, place, naive.subtree(8, place)) for place in range(2)]


@given(st.integers(0, 700), st.data())
def test_compact_range_takes_whole_subtrees(size, data):
    naive, grown = Naive(LEAVES), merkle.CompactRange()
    while grown.size < size:
        highest = (size - grown.size).bit_length() - 1
        if grown.size:
            highest = min(highest, (grown.size & -grown.size).bit_length() - 1)
        height = data.draw(st.integers(0, highest))
        grown.append(naive.subtree(height, grown.size >> height), height)
    assert grown.root() == Naive(LEAVES[:size]).root()


def test_a_range_with_the_wrong_number_of_hashes_is_refused():
    assert code(merkle.CompactRange, 3, [b""]) == "audit.log.damaged"


@given(st.integers(1, 200), st.data())
def test_every_inclusion_proof_proves_its_leaf_and_no_other(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(Naive(LEAVES[:size]), index, size)
    merkle.verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
    wrong = data.draw(st.integers(-1, size).filter(lambda other: other != index))
    checks = [
        (LEAVES[index], wrong, size, proof, ROOTS[size]),
        (LEAVES[index + 1], index, size, proof, ROOTS[size]),
        (LEAVES[index], index, size, [*proof, LEAVES[0]], ROOTS[size]),
        (LEAVES[index], index, size, proof, ROOTS[size - 1]),
    ]
    if proof:
        checks.append((LEAVES[index], index, size, proof[1:], ROOTS[size]))
        checks.append((LEAVES[index], index, size, proof[:-1], ROOTS[size]))
        flipped = bytearray(proof[0])
        flipped[0] ^= 1
        checks.append((LEAVES[index], index, size, [bytes(flipped), *proof[1:]], ROOTS[size]))
    for arguments in checks:
        assert code(merkle.verify_inclusion, *arguments) == "audit.tree.inclusion"


@given(st.integers(0, 200), st.data())
@settings(max_examples=300)
def test_every_consistency_proof_proves_its_prefix_and_no_other(new, data):
    old = data.draw(st.integers(0, new))
    proof = merkle.consistency_proof(Naive(LEAVES[:new]), old, new)
    merkle.verify_consistency(old, ROOTS[old], new, ROOTS[new], proof)
    other = merkle.leaf_hash(b"other")
    checks = [
        (old, other, new, ROOTS[new], proof),
        (old, ROOTS[old], new, ROOTS[new], [*proof, other]),
        (new + 1, ROOTS[old], new, ROOTS[new], proof),
        (-1, ROOTS[old], new, ROOTS[new], proof),
    ]
    if old:
        checks.append((old, ROOTS[old], new, other, proof))
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        checks.append((old, ROOTS[old], new, ROOTS[new], [*proof[:place], other, *proof[place + 1 :]]))
        checks.append((old, ROOTS[old], new, ROOTS[new], proof[:-1]))
        checks.append((old, ROOTS[old], new, ROOTS[new], proof[1:]))
    for arguments in checks:
        assert code(merkle.verify_consistency, *arguments) == "audit.history.proof"


def test_proofs_of_what_is_not_there():
    tree = Naive(LEAVES[:5])
    assert code(merkle.inclusion_proof, tree, 5, 5) == "audit.proof.range"
    assert code(merkle.inclusion_proof, tree, -1, 5) == "audit.proof.range"
    assert code(merkle.consistency_proof, tree, 6, 5) == "audit.proof.range"
    assert merkle.root_at(tree, 0) == merkle.EMPTY_ROOT

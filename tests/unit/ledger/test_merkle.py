"""The tree against RFC 6962's own vectors, and every proof of every small tree."""

from __future__ import annotations

import pytest

from signoff.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    HashTree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from signoff.model.errors import ProofInvalid

# The leaves and roots of the reference implementation of certificate transparency.
LEAVES = tuple(
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
MOST = 64


def _tree(size: int) -> HashTree:
    return HashTree(leaf_hash(b"leaf %d" % n) for n in range(size))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference_vectors(size: int) -> None:
    assert Frontier().extended(LEAVES[:size]).root().hex() == ROOTS[size - 1]
    assert HashTree(map(leaf_hash, LEAVES)).root(size).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == HashTree(()).root()


def test_a_leaf_never_passes_for_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


def test_appending_one_by_one_or_at_once_gives_the_same_tree() -> None:
    whole = _tree(MOST)
    grown = Frontier()
    for size in range(1, MOST + 1):
        grown = grown.extended([b"leaf %d" % (size - 1)])
        assert grown.root() == whole.root(size)
        assert grown == Frontier().extended(b"leaf %d" % n for n in range(size))
        assert Frontier.unpacked(size, grown.packed()) == grown


def test_extending_leaves_the_old_tree_as_it_was() -> None:
    old = Frontier().extended([b"a", b"b", b"c"])
    root = old.root()
    old.extended([b"d"])
    assert old.root() == root
    assert old.size == 3


@pytest.mark.parametrize("packed", [b"", b"x" * 32, b"x" * 65])
def test_peaks_that_do_not_fit_the_size_are_refused(packed: bytes) -> None:
    with pytest.raises(ProofInvalid, match="not made of"):
        Frontier.unpacked(3, packed)


def test_every_inclusion_proof_of_every_small_tree_verifies() -> None:
    tree = _tree(MOST)
    for size in range(1, MOST + 1):
        root = tree.root(size)
        for index in range(size):
            proof = tree.inclusion(index, size)
            leaf = leaf_hash(b"leaf %d" % index)
            verify_inclusion(leaf, index, size, root, proof)
            with pytest.raises(ProofInvalid):
                verify_inclusion(leaf_hash(b"other"), index, size, root, proof)


def test_an_inclusion_proof_proves_one_place_only() -> None:
    tree = _tree(20)
    for size in range(2, 21):
        for index in range(size):
            proof = tree.inclusion(index, size)
            leaf = leaf_hash(b"leaf %d" % index)
            for other in range(size):
                if other != index:
                    with pytest.raises(ProofInvalid):
                        verify_inclusion(leaf, other, size, tree.root(size), proof)


def test_an_inclusion_proof_that_is_cut_or_lengthened_is_refused() -> None:
    tree = _tree(13)
    for index in range(13):
        proof, leaf = tree.inclusion(index), leaf_hash(b"leaf %d" % index)
        for wrong in (proof[:-1], proof[1:], (*proof, leaf), (leaf, *proof)):
            with pytest.raises(ProofInvalid):
                verify_inclusion(leaf, index, 13, tree.root(), wrong)


def test_every_consistency_proof_of_every_small_tree_verifies() -> None:
    tree = _tree(MOST)
    for size in range(MOST + 1):
        for old in range(size + 1):
            proof = tree.consistency(old, size)
            verify_consistency(old, tree.root(old), size, tree.root(size), proof)


def test_a_forged_older_root_is_never_accepted() -> None:
    tree = _tree(MOST)
    forged = leaf_hash(b"forged")
    for size in range(1, MOST + 1):
        for old in range(1, size + 1):
            proof = tree.consistency(old, size)
            with pytest.raises(ProofInvalid):
                verify_consistency(old, forged, size, tree.root(size), proof)
            with pytest.raises(ProofInvalid):
                verify_consistency(old, tree.root(old), size, forged, proof)


def test_a_fork_has_no_consistency_proof() -> None:
    fork = HashTree(leaf_hash(b"leaf %d" % n if n != 5 else b"other") for n in range(16))
    honest = _tree(16)
    for old in range(6, 16):
        proof = fork.consistency(old)
        with pytest.raises(ProofInvalid):
            verify_consistency(old, honest.root(old), 16, fork.root(), proof)


def test_proofs_outside_the_tree_are_refused() -> None:
    tree = _tree(4)
    for ask in (
        lambda: tree.inclusion(4),
        lambda: tree.inclusion(-1),
        lambda: tree.inclusion(0, 5),
        lambda: tree.consistency(3, 2),
        lambda: tree.root(5),
    ):
        with pytest.raises(ProofInvalid):
            ask()
    with pytest.raises(ProofInvalid):
        verify_inclusion(b"", 3, 3, b"", ())
    with pytest.raises(ProofInvalid):
        verify_consistency(4, b"", 3, b"", ())

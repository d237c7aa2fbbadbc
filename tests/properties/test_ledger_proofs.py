"""Whatever the receipts: honest proofs verify, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable import SIGNER
from signoff.ledger.checkpoint import format_proof
from signoff.ledger.merkle import (
    Frontier,
    HashTree,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from signoff.ledger.verify import verify_ledger, verify_receipt
from signoff.model.errors import ProofInvalid

LEAVES = st.lists(st.binary(max_size=40), min_size=1, max_size=90)


def _note(leaves: list[bytes]) -> str:
    return SIGNER.sign(len(leaves), Frontier().extended(leaves).root())


@given(LEAVES, st.data())
def test_a_tree_grown_in_any_steps_is_the_same_tree(
    leaves: list[bytes], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    grown = Frontier().extended(leaves[:cut]).extended(leaves[cut:])
    assert grown == Frontier().extended(leaves)
    assert grown.root() == HashTree(map(leaf_hash, leaves)).root()


@given(LEAVES, st.data())
def test_a_proof_with_any_bit_changed_proves_nothing(
    leaves: list[bytes], data: st.DataObject
) -> None:
    tree = HashTree(map(leaf_hash, leaves))
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = list(tree.inclusion(index))
    leaf = leaf_hash(leaves[index])
    verify_inclusion(leaf, index, tree.size, tree.root(), proof)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        number = int.from_bytes(proof[at], "big") ^ (1 << bit)
        proof[at] = number.to_bytes(32, "big")
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf, index, tree.size, tree.root(), proof)


@given(LEAVES, st.data())
def test_only_a_real_extension_is_consistent(leaves: list[bytes], data: st.DataObject) -> None:
    tree = HashTree(map(leaf_hash, leaves))
    old = data.draw(st.integers(1, tree.size))
    proof = tree.consistency(old)
    verify_consistency(old, tree.root(old), tree.size, tree.root(), proof)
    at = data.draw(st.integers(0, old - 1))
    forged = HashTree(leaf_hash(b if n != at else b + b"!") for n, b in enumerate(leaves))
    for sizes in ((old, forged.root(old), tree.root()), (old, tree.root(old), forged.root())):
        with pytest.raises(ProofInvalid):
            verify_consistency(sizes[0], sizes[1], tree.size, sizes[2], proof)


@given(LEAVES, st.data())
def test_any_change_of_a_ledger_is_detected(leaves: list[bytes], data: st.DataObject) -> None:
    note = _note(leaves)
    assert verify_ledger(leaves, note, SIGNER.key).head.size == len(leaves)
    at = data.draw(st.integers(0, len(leaves) - 1))
    to = data.draw(st.integers(0, len(leaves) - 1))
    changed = [*leaves]
    match data.draw(st.sampled_from(("alter", "remove", "repeat", "truncate", "swap"))):
        case "alter":
            changed[at] += b"!"
        case "remove":
            del changed[at]
        case "repeat":
            changed.insert(at, changed[to])
        case "truncate":
            del changed[at:]
        case "swap":
            changed[at], changed[to] = changed[to], changed[at]
    if changed != leaves:
        with pytest.raises(ProofInvalid):
            verify_ledger(changed, note, SIGNER.key)


@given(LEAVES, st.data())
def test_a_rollback_or_fork_is_detected_by_any_later_checkpoint(
    leaves: list[bytes], data: st.DataObject
) -> None:
    kept = data.draw(st.integers(1, len(leaves)))
    remembered = _note(leaves[:kept])
    verify_ledger(leaves, _note(leaves), SIGNER.key, [remembered])
    older = leaves[: data.draw(st.integers(0, kept - 1))]
    with pytest.raises(ProofInvalid):
        verify_ledger(older, _note(older), SIGNER.key, [remembered])
    fork = [*older, b"fork" * 20, *leaves[len(older) + 1 :]]
    with pytest.raises(ProofInvalid):
        verify_ledger(fork, _note(fork), SIGNER.key, [remembered])


@given(LEAVES, st.data())
@settings(max_examples=50)
def test_a_receipt_is_proved_at_its_own_place_only(
    leaves: list[bytes], data: st.DataObject
) -> None:
    tree = HashTree(map(leaf_hash, leaves))
    index = data.draw(st.integers(0, tree.size - 1))
    proof = format_proof(index, tree.inclusion(index), _note(leaves))
    assert verify_receipt(leaves[index], proof, SIGNER.key)[0] == index
    with pytest.raises(ProofInvalid):
        verify_receipt(leaves[index] + b"!", proof, SIGNER.key)


@given(st.text(max_size=300))
def test_hostile_text_is_a_clear_refusal(text: str) -> None:
    with pytest.raises(ProofInvalid):
        verify_receipt(b"", text, SIGNER.key)
    with pytest.raises(ProofInvalid):
        verify_ledger([], text, SIGNER.key)

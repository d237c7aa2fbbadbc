"""Every way a ledger can be less than what was signed, each by its name."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from durable import ORIGIN, SIGNER, receipt
from signoff.ledger.checkpoint import Signer
from signoff.ledger.merkle import Frontier, HashTree, leaf_hash
from signoff.ledger.verify import verify_extension, verify_ledger, verify_receipt
from signoff.model.errors import ProofInvalid

LEAVES = [receipt(n).leaf() for n in range(20)]


def _note(leaves: list[bytes], signer: Signer = SIGNER) -> str:
    return signer.sign(len(leaves), Frontier().extended(leaves).root())


def test_an_honest_ledger_verifies_against_every_checkpoint_anyone_kept() -> None:
    remembered = [_note(LEAVES[:n]) for n in (7, 20, 1, 7)]
    found = verify_ledger(iter(LEAVES), _note(LEAVES), SIGNER.key, remembered)
    assert (found.head.size, found.remembered, found.backwards) == (20, 4, ())


def test_an_empty_ledger_verifies() -> None:
    assert verify_ledger([], _note([]), SIGNER.key, [_note([])]).head.size == 0


@pytest.mark.parametrize("at", range(20))
def test_an_altered_receipt_is_detected(at: int) -> None:
    leaves = [*LEAVES]
    leaves[at] = leaves[at].replace(b"R-1", b"R-2")
    with pytest.raises(ProofInvalid, match="not those that were signed"):
        verify_ledger(leaves, _note(LEAVES), SIGNER.key)


def test_a_truncated_ledger_is_detected() -> None:
    for keep in range(20):
        with pytest.raises(ProofInvalid, match=f"{20 - keep} are missing"):
            verify_ledger(LEAVES[:keep], _note(LEAVES), SIGNER.key)


def test_a_removed_or_added_receipt_is_detected() -> None:
    with pytest.raises(ProofInvalid, match="1 are missing"):
        verify_ledger(LEAVES[:4] + LEAVES[5:], _note(LEAVES), SIGNER.key)
    with pytest.raises(ProofInvalid, match="more receipts"):
        verify_ledger([*LEAVES, LEAVES[0]], _note(LEAVES), SIGNER.key)


def test_a_reordered_ledger_is_detected() -> None:
    leaves = [*LEAVES]
    leaves[3], leaves[4] = leaves[4], leaves[3]
    with pytest.raises(ProofInvalid, match="moved"):
        verify_ledger(leaves, _note(LEAVES), SIGNER.key)


def test_a_rolled_back_ledger_is_detected_by_what_someone_remembers() -> None:
    older = LEAVES[:15]
    verify_ledger(older, _note(older), SIGNER.key)
    with pytest.raises(ProofInvalid, match="5 are gone"):
        verify_ledger(older, _note(older), SIGNER.key, [_note(LEAVES)])


def test_a_fork_signed_with_the_right_key_is_detected_by_what_someone_remembers() -> None:
    fork = [*LEAVES[:10], b"another history", *LEAVES[11:], b"longer"]
    verify_ledger(fork, _note(fork), SIGNER.key, [_note(LEAVES[:10])])
    with pytest.raises(ProofInvalid, match="fork: its first 12"):
        verify_ledger(fork, _note(fork), SIGNER.key, [_note(LEAVES[:12])])
    with pytest.raises(ProofInvalid, match="fork"):
        verify_ledger(fork[:20], _note(fork[:20]), SIGNER.key, [_note(LEAVES)])


def test_a_ledger_signed_with_another_key_is_detected() -> None:
    forger = Signer(ORIGIN, Ed25519PrivateKey.generate())
    with pytest.raises(ProofInvalid, match="key"):
        verify_ledger(LEAVES, _note(LEAVES, forger), SIGNER.key)
    with pytest.raises(ProofInvalid, match="key"):
        verify_ledger(LEAVES, _note(LEAVES), SIGNER.key, [_note(LEAVES, forger)])


def test_times_that_go_back_are_a_finding() -> None:
    trick = receipt(5, text='"time_ms":1000000000000,').leaf()
    leaves = [receipt(9).leaf(), receipt(3).leaf(), trick, receipt(4).leaf()]
    assert verify_ledger(leaves, _note(leaves), SIGNER.key).backwards == (1, 3)


def test_one_receipt_is_proved_to_an_outsider() -> None:
    from signoff.ledger.checkpoint import format_proof

    tree = HashTree(map(leaf_hash, LEAVES))
    for index in range(20):
        proof = format_proof(index, tree.inclusion(index), _note(LEAVES))
        found, head = verify_receipt(LEAVES[index], proof, SIGNER.key)
        assert (found, head.size) == (index, 20)
        with pytest.raises(ProofInvalid):
            verify_receipt(LEAVES[index - 1], proof, SIGNER.key)


def test_an_extension_is_proved_without_the_receipts() -> None:
    tree = HashTree(map(leaf_hash, LEAVES))
    old, new = verify_extension(_note(LEAVES[:13]), _note(LEAVES), tree.consistency(13), SIGNER.key)
    assert (old.size, new.size) == (13, 20)
    with pytest.raises(ProofInvalid):
        verify_extension(_note(LEAVES[:12]), _note(LEAVES), tree.consistency(13), SIGNER.key)

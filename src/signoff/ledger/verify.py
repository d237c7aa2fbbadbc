"""Whether a ledger is the one that was signed, as a numbered argument. Pure.

In order to trust a ledger that someone hands us, we need to establish the following:

(0) the checkpoint is a checkpoint, within the limits, and of the ledger we expect;
(1) the holder of the ledger's key signed it: not another, and not for another ledger;
(2) the receipts are exactly as many as the checkpoint says: none missing, none added;
(3) their tree has the root that was signed: none altered, none moved, none exchanged;
(4) the ledger extends every checkpoint anyone remembered: the history that was shown
    to them is still a part of it, so nobody was shown another one;
(5) where receipts name the time, none is earlier than the one before it.

(1) to (3) hold for the whole ledger or not at all. Without (4) a ledger can be replaced by
an older or another one by whoever has its key; that is what remembering is for.
This module never imports what writes or stores the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from signoff.ledger.checkpoint import Checkpoint, VerifierKey, parse_proof, verify_checkpoint
from signoff.ledger.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from signoff.model.errors import ProofInvalid

_COMPARE = "compare it with another copy; treat what rests on it as unproved"
_BATCH = 4096
_TIME = b'"time_ms":'


@dataclass(frozen=True, slots=True)
class Verified:
    """A ledger that verifies: its head, and how many remembered heads it extends.

    `backwards` are the indices of receipts that are older than the one before them (at
    most 10): a ledger is not forged by it, but its clock was wrong.
    """

    head: Checkpoint
    remembered: int = 0
    backwards: tuple[int, ...] = ()


def verify_ledger(
    leaves: Iterable[bytes],
    checkpoint: str,
    key: VerifierKey,
    remembered: Sequence[str] = (),
) -> Verified:
    """Verify a whole ledger: its receipts in order (canonical bytes), its signed head, the
    public key, and any checkpoints someone kept.

    Raises `ProofInvalid`, which says what does not hold, why, and what to do next.
    """
    # (0) and (1): a checkpoint of this ledger, signed with its key.
    head = verify_checkpoint(checkpoint, key)

    # (4), first half: what is remembered must be signed too, and cannot be newer.
    old = sorted((verify_checkpoint(note, key) for note in remembered), key=lambda c: c.size)
    if old and old[-1].size > head.size:
        raise ProofInvalid(
            f"the ledger is older than a remembered checkpoint: {head.size} receipts",
            f"{old[-1].size} were remembered, so {old[-1].size - head.size} are gone",
            "somebody put an older copy back: " + _COMPARE,
        )

    times = _Times()
    tree, rest = Frontier(), iter(leaves)
    for past in old:
        tree = _grown(tree, rest, past.size, times)
        # (4), second half: at that size, it was this very tree.
        if tree.size == past.size and tree.root() != past.root:
            raise ProofInvalid(
                f"the ledger is a fork: its first {past.size} receipts are others",
                "a remembered checkpoint has another root at that size",
                "two histories were signed: " + _COMPARE,
            )
    tree = _grown(tree, rest, head.size, times)

    # (2) As many as the checkpoint says.
    if tree.size < head.size:
        raise ProofInvalid(
            f"the ledger has {tree.size} receipts, its checkpoint says {head.size}",
            f"{head.size - tree.size} are missing: it was truncated or something was removed",
            _COMPARE,
        )
    if next(rest, None) is not None:
        raise ProofInvalid(
            f"the ledger has more receipts than the {head.size} its checkpoint says",
            "what follows was never signed, or something was added",
            "export it again; if that does not help, " + _COMPARE,
        )

    # (3) The root that was signed.
    if tree.root() != head.root:
        raise ProofInvalid(
            f"the {head.size} receipts are not those that were signed",
            "at least one was altered, moved or exchanged: their root is "
            f"{tree.root().hex()[:16]}.., signed was {head.root.hex()[:16]}..",
            _COMPARE,
        )

    # (5) The times, which are a finding and not a forgery.
    return Verified(head, len(old), tuple(times.backwards))


def verify_receipt(leaf: bytes, proof: str, key: VerifierKey) -> tuple[int, Checkpoint]:
    """Verify one receipt handed out with its proof (C2SP tlog-proof): its index, and the
    signed head it is under. Raises `ProofInvalid`."""
    index, hashes, note = parse_proof(proof)
    head = verify_checkpoint(note, key)
    verify_inclusion(leaf_hash(leaf), index, head.size, head.root, hashes)
    return index, head


def verify_extension(
    older: str, newer: str, proof: Sequence[bytes], key: VerifierKey
) -> tuple[Checkpoint, Checkpoint]:
    """Verify that one checkpoint's ledger extends another's, without the receipts
    (RFC 9162 2.1.4). Raises `ProofInvalid`."""
    old, new = verify_checkpoint(older, key), verify_checkpoint(newer, key)
    verify_consistency(old.size, old.root, new.size, new.root, proof)
    return old, new


class _Times:
    """Watches the receipts' own times go by."""

    def __init__(self) -> None:
        self.backwards: list[int] = []
        self._last = b""
        self._index = 0

    def watch(self, batch: Sequence[bytes]) -> None:
        """Compare the times as digits of one length: a parse would cost more than the tree."""
        last, index = self._last, self._index
        for leaf in batch:
            # The keys are sorted and `unknown` alone follows, which is a list of texts
            # in which a quote is always escaped: the last `"time_ms":` is the receipt's.
            found = leaf.rfind(_TIME)
            time = leaf[found + 10 : found + 23]
            if found >= 0 and time.isdigit():
                if time < last and len(self.backwards) < 10:
                    self.backwards.append(index)
                last = time
            index += 1
        self._last, self._index = last, index


def _grown(tree: Frontier, rest: Iterator[bytes], size: int, times: _Times) -> Frontier:
    """The tree, extended to `size` leaves or to as many as there are."""
    while tree.size < size:
        batch = list(islice(rest, min(_BATCH, size - tree.size)))
        if not batch:
            break
        times.watch(batch)
        tree = tree.extended(batch)
    return tree

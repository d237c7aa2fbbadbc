"""The Merkle tree of RFC 6962 (RFC 9162 2.1): hashes, roots, proofs, verifiers. Pure.

A tree is given by its leaves in order. A leaf is hashed with a zero byte before it and a
node with a one byte, so neither can pass for the other. Appending needs only the peaks of
the perfect subtrees that make up the tree (`Frontier`, at most 64 hashes); a proof needs
all leaf hashes (`HashTree`). Verifying needs neither, only the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from signoff.model.errors import ProofInvalid

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves (RFC 9162 2.1.1)."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf: SHA-256 over `0x00 || leaf`, 32 bytes."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256 over `0x01 || left || right`, 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that is needed to append: the size, and the peaks from left (largest) to right.

    There is one peak for each one-bit of `size`. A value: extending gives a new one, so
    whoever could not commit an extension simply keeps the old.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def extended(self, leaves: Iterable[bytes]) -> Frontier:
        """The tree with these leaves (not hashes) appended, in order."""
        peaks, size = list(self.peaks), self.size
        push, pop = peaks.append, peaks.pop
        for leaf in leaves:
            node = sha256(b"\x00" + leaf).digest()
            size += 1
            # Every trailing zero bit of the new size is a pair of equal subtrees to join.
            rest = size
            while not rest & 1:
                node = sha256(b"\x01" + pop() + node).digest()
                rest >>= 1
            push(node)
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """The root hash, 32 bytes: the peaks joined from the right."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node

    def packed(self) -> bytes:
        """The peaks one after the other; with the size, `unpacked` is the inverse."""
        return b"".join(self.peaks)

    @classmethod
    def unpacked(cls, size: int, packed: bytes) -> Frontier:
        """The frontier that was packed; raises `ProofInvalid` when the two do not fit."""
        expected = size.bit_count() * HASH_BYTES
        if size < 0 or len(packed) != expected:
            raise ProofInvalid(
                f"a tree of {size} leaves is not made of {len(packed)} bytes",
                f"{expected} bytes were expected",
            )
        peaks = range(0, len(packed), HASH_BYTES)
        return cls(size, tuple(packed[at : at + HASH_BYTES] for at in peaks))


class HashTree:
    """All nodes of perfect subtrees, level by level: what proofs are made from.

    Takes 64 bytes and some overhead a leaf (about 180 MB for a million leaves).
    """

    def __init__(self, hashes: Iterable[bytes]) -> None:
        level = list(hashes)
        self.size = len(level)
        self._levels = [level]
        while len(level) > 1:
            level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            self._levels.append(level)

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` leaves (all of them when None)."""
        size = self._within(self.size if size is None else size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """The proof that leaf `index` is in the tree of `size` leaves (RFC 9162 2.1.3.1)."""
        size = self._within(self.size if size is None else size)
        if not 0 <= index < size:
            raise ProofInvalid(f"no leaf {index} in a tree of {size}", "", "ask for less")
        proof: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start = middle
        return tuple(reversed(proof))

    def consistency(self, old: int, size: int | None = None) -> tuple[bytes, ...]:
        """The proof that the tree of `size` leaves extends that of `old` (RFC 9162 2.1.4.1).

        Empty when `old` is 0 or equal to `size`.
        """
        size = self._within(self.size if size is None else size)
        if not 0 <= old <= size:
            raise ProofInvalid(f"a tree of {size} leaves does not extend one of {old}")
        if old in (0, size):
            return ()
        proof: list[bytes] = []
        start, end = 0, size
        whole = True
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            proof.append(self._range(start, end))
        return tuple(reversed(proof))

    def _within(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ProofInvalid(f"the tree has {self.size} leaves, not {size}")
        return size

    def _range(self, start: int, end: int) -> bytes:
        """The root over leaves `start` to `end`, where `start` is a multiple of the split."""
        count = end - start
        if count & (count - 1) == 0:
            height = count.bit_length() - 1
            return self._levels[height][start >> height]
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))


def verify_inclusion(
    leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the leaf with this hash is number `index` of a tree (RFC 9162 2.1.3.2).

    Raises `ProofInvalid` when it is not, or when the proof has a wrong length.
    """
    if not 0 <= index < size:
        raise ProofInvalid("inclusion not proved", f"index {index} is not below size {size}")
    number, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid(
                "inclusion not proved", f"the proof has {len(proof)} hashes: too many"
            )
        if number & 1 or number == last:
            node = node_hash(sibling, node)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        number, last = number >> 1, last >> 1
    if last:
        raise ProofInvalid("inclusion not proved", f"the proof has {len(proof)} hashes: too few")
    if node != root:
        raise ProofInvalid("inclusion not proved", f"the proof leads to {node.hex()[:16]}..")


def verify_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that a tree extends an older one of which only the root is known
    (RFC 9162 2.1.4.2). Raises `ProofInvalid` when it does not."""
    if not 0 <= old_size <= size:
        raise ProofInvalid("consistency not proved", f"size {size} is below size {old_size}")
    if old_size in (0, size):
        expected = EMPTY_ROOT if old_size == 0 else root
        if proof or old_root != expected:
            raise ProofInvalid("consistency not proved", f"another root at size {old_size}")
        return
    nodes = list(proof)
    if old_size & (old_size - 1) == 0:
        nodes.insert(0, old_root)
    if not nodes:
        raise ProofInvalid("consistency not proved", "the proof is empty")
    number, last = old_size - 1, size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise ProofInvalid("consistency not proved", "the proof has too many hashes")
        if number & 1 or number == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, node)
        number, last = number >> 1, last >> 1
    if last:
        raise ProofInvalid("consistency not proved", "the proof has too few hashes")
    if old != old_root or new != root:
        which = "older" if old != old_root else "newer"
        raise ProofInvalid("consistency not proved", f"the proof leads to another {which} root")


def _split(count: int) -> int:
    """The largest power of two below `count` (RFC 9162 2.1.1); `count` is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)

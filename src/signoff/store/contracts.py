"""What the store needs from its neighbours, and the values it hands out. Pure.

The tree and the signer live in `ledger/`, the sealer in `vault.py`, on the same floor;
wiring puts them in through these Protocols.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from signoff.model.action import Action, Principal
from signoff.model.values import Data


class Tree(Protocol):
    """A Merkle tree that can be extended: a value, so that a failed commit costs nothing."""

    @property
    def size(self) -> int:
        """The number of leaves."""
        ...

    def extended(self, leaves: Iterable[bytes]) -> Tree:
        """The tree with these leaves appended, in order."""
        ...

    def root(self) -> bytes:
        """The root hash, 32 bytes."""
        ...

    def packed(self) -> bytes:
        """What, with the size, makes the same tree again."""
        ...


class TreeFrom(Protocol):
    """Makes a tree from its size and what `packed` gave; `(0, b"")` is the empty tree."""

    def __call__(self, size: int, packed: bytes, /) -> Tree: ...


class Notary(Protocol):
    """Signs heads, and reads heads it signed; `read` raises `ProofInvalid` for others."""

    def sign(self, size: int, root: bytes) -> str: ...

    def read(self, note: str) -> tuple[int, bytes]: ...


class Sealer(Protocol):
    """Encrypts what must not lie open in the store. `about` is bound to the sealed bytes:
    what was sealed about one row does not open about another. `unseal` raises
    `CaptureFailed` when the bytes were altered or the key is another."""

    def seal(self, content: bytes, about: str) -> bytes: ...

    def unseal(self, sealed: bytes, about: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """The receipt a change goes with: its index, and its time in milliseconds."""

    at: int
    time_ms: int


@dataclass(frozen=True)
class SealedConfiguration:
    """The configuration in force: the index and time of the receipt that sealed it, in words
    how it came to be, and its texts as `config.ConfigurationTexts` writes them."""

    at: int
    time_ms: int
    digest: str
    how: str
    content: Data


@dataclass(frozen=True, slots=True)
class Rollback:
    """The ledger is not the one the high-water mark remembers.

    `mark_size` is 0 when the mark itself is missing or unreadable. Open and approved
    holds must be voided before anything is served.
    """

    mark_size: int
    ledger_size: int
    why: str


@dataclass(frozen=True)
class StartedAction:
    """An action whose intent was committed. `state` is `started` or `in_doubt` while no
    outcome is known, else the outcome; `finished_ms` is 0 until then."""

    action_id: str
    principal: Principal
    action: Action
    state: str
    started_ms: int
    finished_ms: int = 0


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run, as `status` lists it: who, since when, and how many changes it started."""

    run: str
    agent: str
    operator: str
    since_ms: int
    changes: int

"""Opening the state file: its lock, its settings, and whether it is the ledger it claims.

Three things are compared: the newest signed head with the receipts, the head's signature
with the key, and the ledger with the high-water mark that is kept elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from importlib import resources
from pathlib import Path

from signoff.model.errors import LedgerUnavailable, ProofInvalid, StateConflict
from signoff.store.contracts import Notary, Rollback, Tree, TreeFrom
from signoff.store.mark import HighWaterMark, sync_directory
from signoff.store.reading import State

SCHEMA_VERSION = "1"
RECHECKED = 20_000
"""So many of the newest receipts are hashed again at every opening; `verify` does all."""

_RESTORE = "run `signoff verify` against a remembered checkpoint; restore the state directory"


def lock_file(path: Path) -> int:
    """Keep every other daemon out for as long as the handle is open.

    Raises `StateConflict` when one has it already, `LedgerUnavailable` when it cannot be
    made.
    """
    handle = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if handle >= 0:
            os.close(handle)
        if isinstance(error, BlockingIOError):
            raise StateConflict(
                f"cannot open the ledger `{path}`", "another daemon writes it", "stop it first"
            ) from error
        raise LedgerUnavailable(
            f"cannot open the ledger `{path}`", str(error), "check the state directory"
        ) from error
    return handle


def connect(path: Path) -> sqlite3.Connection:
    """A connection that loses nothing: WAL, every commit synced, foreign keys kept."""
    db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        db.execute(f"PRAGMA {pragma}").fetchone()
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def make(path: Path) -> None:
    """Make what is missing of the tables; refuse a file of another version."""
    fresh = not path.exists()
    if fresh:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = connect(path)
    try:
        schema = resources.files("signoff.store").joinpath("schema.sql").read_text("utf-8")
        db.executescript(f"BEGIN IMMEDIATE;\n{schema}\nCOMMIT;")
        stated = "INSERT INTO meta VALUES ('schema', ?) ON CONFLICT (name) DO NOTHING"
        db.execute(stated, (SCHEMA_VERSION,))
        (version,) = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        if version != SCHEMA_VERSION:
            raise LedgerUnavailable(
                f"the state is of version `{version}`",
                f"this Signoff knows version `{SCHEMA_VERSION}`",
                "use the Signoff that wrote it",
            )
    finally:
        db.close()
    if fresh:
        sync_directory(path.parent)


def found_tree(state: State, tree: TreeFrom, notary: Notary) -> Tree:
    """The tree of the newest signed head, once signature, peaks and newest receipts agree.

    Raises `ProofInvalid` when they do not.
    """
    size, packed, note = state.frontier()
    head = tree(size, packed)
    if note and notary.read(note) != (size, head.root()):
        raise ProofInvalid("the ledger's head is not what was signed", f"size {size}", _RESTORE)
    start, before, older = state.frontier(max(0, size - RECHECKED))
    if older and notary.read(older)[0] != start:
        raise ProofInvalid("a head of the ledger was moved", f"at size {start}", _RESTORE)
    if _grown(state, tree(start, before), None).root() != head.root():
        raise ProofInvalid(
            "the receipts are not what was signed",
            f"something between {start} and {size} was altered, added or removed",
            _RESTORE,
        )
    return head


def rollback_of(
    state: State, tree: TreeFrom, notary: Notary, mark: HighWaterMark
) -> Rollback | None:
    """How the ledger differs from the mark kept elsewhere; None when it extends the mark."""
    size = state.size()
    try:
        remembered = mark.head(notary)
    except ProofInvalid as error:
        return Rollback(0, size, f"the high-water mark is not of this ledger: {error}")
    except OSError as error:
        return Rollback(0, size, f"the high-water mark cannot be read: {error}")
    if remembered is None:
        why = "the high-water mark is missing although the ledger is not new"
        return Rollback(0, size, why) if size else None
    mark_size, root = remembered
    if mark_size > size:
        why = f"{mark_size - size} receipts are missing: an older copy was put back"
        return Rollback(mark_size, size, why)
    start, packed, _ = state.frontier(mark_size)
    if _grown(state, tree(start, packed), mark_size - start).root() != root:
        why = f"the first {mark_size} receipts are others than those that were signed"
        return Rollback(mark_size, size, why)
    return None


def _grown(state: State, tree: Tree, most: int | None) -> Tree:
    """The tree, extended by the stored receipts that follow it."""
    expected = tree.size

    def leaves() -> list[bytes]:
        nonlocal expected
        found = []
        for at, body in state.receipts(tree.size, most):
            if at != expected:
                raise ProofInvalid("a receipt is missing", f"number {expected}", _RESTORE)
            expected += 1
            found.append(body)
        return found

    return tree.extended(leaves())

"""The durable state in one SQLite file: the ports `Ledger`, `Holds` and `Keys`.

WAL and `synchronous=FULL`: what was acknowledged survives a power cut. One process writes
(a lock file keeps others out); any number may read.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import MappingProxyType

from signoff.model.action import Level
from signoff.model.decision import Hold, HoldState, SignOff
from signoff.model.errors import ConfigInvalid, LedgerUnavailable, SignoffError
from signoff.model.grant import Grant
from signoff.model.ports import (
    Change,
    IssueKey,
    MoveHold,
    OpenGrant,
    RevokeGrant,
    RevokeKey,
    RunKey,
    Sealed,
    SetSwitch,
    Undo,
    UseGrant,
)
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import Data, frozen
from signoff.store.changes import prepare
from signoff.store.clock import LedgerClock, wall_ms
from signoff.store.contracts import (
    Notary,
    Rollback,
    RunLine,
    SealedConfiguration,
    Sealer,
    StartedAction,
    TreeFrom,
)
from signoff.store.mark import HighWaterMark
from signoff.store.opening import connect, found_tree, lock_file, make, rollback_of
from signoff.store.reading import State, unreadable
from signoff.store.sealing import configuration_in_force
from signoff.store.writer import Work, Writer

RUNS_MOST = 1_024
"""How many runs' grants are kept at hand."""


class SqliteStore:
    """Ledger, holds and keys. Make one with `open_store`, end it with `close`.

    `clock` never goes back, also across restarts. `rollback` is what the high-water mark
    found at opening, None when the ledger is the one it remembers; if there is one, call
    `void_waiting_holds` before serving anything. `state` answers everything else about
    the state, without waiting.
    """

    def __init__(self, path: Path, lock: int, sealer: Sealer, clock: LedgerClock) -> None:
        """Over a state file that `open_store` has made and locked."""
        self.path, self.clock = path, clock
        self.rollback: Rollback | None = None
        self._lock, self._sealer = lock, sealer
        self._db = connect(path)
        self._reading = threading.RLock()
        self.state = State(self._db, sealer)
        self._switches: Mapping[str, Data] | None = None
        self._keys: dict[str, RunKey] = {}
        self._grants: dict[str, tuple[Grant, ...]] = {}
        self._writer: Writer | None = None

    def start(self, tree: TreeFrom, notary: Notary, mark: HighWaterMark | None) -> None:
        """Check the ledger against its head and its mark, then begin to write."""
        standing = found_tree(self.state, tree, notary)
        self.clock.not_before(self.state.last_time_ms())
        if mark is not None:
            self.rollback = rollback_of(self.state, tree, notary, mark)
            if self.rollback is not None:
                mark.set_aside(f"lost-{self.rollback.mark_size}")
        writer = Writer(partial(connect, self.path), tree, notary, mark, self._forget)
        writer.start(standing)
        self._writer = writer

    def close(self) -> None:
        """Write what is queued, then let go of the files. May be called twice."""
        if self._writer is not None:
            self._writer.stop()
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # The port `Ledger`.

    async def append(self, receipt: Receipt, *changes: Change) -> Sealed:
        """Write the receipt and make the changes, all or nothing; durable on return.

        Raises `StateConflict` when a change is refused, `LedgerUnavailable` otherwise.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sealed] = loop.create_future()
        self._writing().put(self._work(receipt, changes, future, loop))
        return await future

    def append_now(self, receipt: Receipt, *changes: Change) -> Sealed:
        """`append` for callers without an event loop; waits until it is durable."""
        future: Future[Sealed] = Future()
        self._writing().put(self._work(receipt, changes, future, None))
        return future.result()

    def head(self) -> tuple[int, str]:
        """The committed size and root (hex)."""
        return self._writing().head

    def mark_trouble(self) -> str:
        """Why the high-water mark could not be written last; empty when it was."""
        return self._writing().mark_trouble

    # The ports `Holds` and `Keys`.

    async def find(self, run: str, action_digest: str) -> Hold | None:
        """The newest open, approved or recently rejected hold of a run for an action."""
        with self._reading:
            return self.state.find(run, action_digest, self.clock.now_ms())

    async def get(self, ticket: str) -> Hold | None:
        """The hold with this ticket, in whatever state."""
        with self._reading:
            return self.state.hold(ticket)

    async def signoffs(self, ticket: str) -> tuple[SignOff, ...]:
        """The sign-offs of a hold, oldest first."""
        with self._reading:
            return self.state.signoffs(ticket)

    async def open(self) -> tuple[Hold, ...]:
        """Every hold that still waits (open or approved), oldest first."""
        with self._reading:
            return self.state.waiting()

    async def rejected(self, run: str) -> tuple[Hold, ...]:
        """The run's rejected holds of the last day, newest first."""
        with self._reading:
            return self.state.rejected(run, self.clock.now_ms())

    async def switches(self) -> Mapping[str, Data]:
        """All of Signoff's own settings by name, as committed."""
        found = self._switches
        if found is None:
            # Under the lock of `_forget`: what was read before a commit is never kept
            # after it.
            with self._reading:
                found = self._switches = MappingProxyType(self.state.switches())
        return found

    async def undo(self, action_id: str) -> Undo | None:
        """The undo of one action."""
        with self._reading:
            return self.state.undo(action_id)

    async def undos(self, run: str) -> tuple[Undo, ...]:
        """Every undo of a run, newest action first."""
        with self._reading:
            return self.state.undos(run)

    async def key(self, key_id: str) -> RunKey | None:
        """The key as issued, also when it has expired; None when unknown or revoked."""
        found = self._keys.get(key_id)
        if found is None:
            with self._reading:
                found = self.state.key(key_id)
                if found is not None:
                    self._keys[key_id] = found
        return found

    async def grants(self, run: str) -> tuple[Grant, ...]:
        """Every grant of the run, oldest first, as committed."""
        found = self._grants.get(run)
        if found is None:
            with self._reading:
                found = self.state.grants(run)
                if len(self._grants) >= RUNS_MOST:
                    self._grants.clear()
                self._grants[run] = found
        return found

    # What wiring and the faces ask besides.

    async def find_action(self, action_id: str) -> StartedAction | None:
        """A started action, whatever became of it."""
        with self._reading:
            return self.state.action(action_id)

    async def in_doubt(self) -> tuple[StartedAction, ...]:
        """Actions that were started and have no known outcome, oldest first."""
        with self._reading:
            return self.state.in_doubt()

    def configuration(self) -> SealedConfiguration | None:
        """The configuration in force, None when none was ever sealed.

        Raises `ProofInvalid` when the state is not what the ledger says was sealed.
        """
        with self._reading:
            return configuration_in_force(self.state)

    async def runs(self) -> tuple[RunLine, ...]:
        """Every run, newest first."""
        with self._reading:
            return self.state.runs()

    def receipts(self, start: int = 0, most: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Index and canonical bytes of committed receipts, in order."""
        return self.state.receipts(start, most)

    def checkpoint(self) -> str:
        """The newest signed checkpoint; empty before the first receipt."""
        with self._reading:
            return self.state.checkpoint()

    async def void_waiting_holds(self, why: str, level: Level = Level.ADVISORY) -> tuple[str, ...]:
        """Void every open and approved hold, with a receipt each; the tickets.

        For a start after a rollback: a sign-off that was given on another history does
        not count on this one.
        """
        voided = []
        for hold in await self.open():
            receipt = Receipt(
                mark=Mark.VOIDED,
                time_ms=self.clock.now_ms(),
                action_id=hold.action_id,
                principal=hold.principal,
                level=level,
                detail=frozen(hold=hold.ticket, why=why),
            )
            await self.append(receipt, MoveHold(hold.ticket, hold.state, HoldState.VOID))
            voided.append(hold.ticket)
        return tuple(voided)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise LedgerUnavailable("no receipt can be written", "the ledger was not started")
        return self._writer

    def _work(
        self,
        receipt: Receipt,
        changes: Sequence[Change],
        future: Future[Sealed] | asyncio.Future[Sealed],
        loop: asyncio.AbstractEventLoop | None,
    ) -> Work:
        """Encode everything here, so that what cannot be written hurts nobody else."""
        try:
            # A half of a surrogate pair is no text to SQLite; here it hurts only its sender.
            (receipt.action_id + receipt.principal.run).encode()
            return Work(
                time_ms=receipt.time_ms,
                mark=receipt.mark.value,
                action_id=receipt.action_id,
                run=receipt.principal.run,
                leaf=receipt.leaf(),
                writes=tuple(prepare(change, self._sealer) for change in changes),
                settings=any(isinstance(c, SetSwitch | IssueKey | RevokeKey) for c in changes),
                grants=any(isinstance(c, OpenGrant | UseGrant | RevokeGrant) for c in changes),
                future=future,
                loop=loop,
            )
        except (TypeError, ValueError) as error:
            raise LedgerUnavailable(
                "this receipt cannot be written", str(error), "nothing was done"
            ) from error

    def _forget(self, group: Sequence[Work]) -> None:
        """Called by the writer after a commit, before anyone hears of it."""
        if any(work.settings for work in group):
            with self._reading:
                self._switches = None
                self._keys.clear()
        if any(work.grants for work in group):
            with self._reading:
                self._grants.clear()


def open_store(
    path: Path,
    *,
    tree: TreeFrom,
    notary: Notary,
    sealer: Sealer,
    mark: Path | None = None,
    wall: Callable[[], int] = wall_ms,
) -> SqliteStore:
    """Open the state file at `path`, or make it. `mark` is where the high-water mark is
    kept: outside the directory of `path`.

    Raises `LedgerUnavailable` when it cannot be opened or another daemon has it, and
    `ProofInvalid` when it does not agree with its own signed head, and `ConfigInvalid`
    when the mark would lie beside the state it is to watch.
    """
    if mark is not None and mark.absolute().resolve().is_relative_to(path.parent.resolve()):
        raise ConfigInvalid(
            f"the high-water mark `{mark}` lies in the state directory",
            "whoever puts an older copy back would put the mark back with it",
            "keep it in another directory",
        )
    lock = lock_file(path)
    store: SqliteStore | None = None
    try:
        make(path)
        store = SqliteStore(path, lock, sealer, LedgerClock(wall))
        store.start(tree, notary, HighWaterMark(mark) if mark is not None else None)
    except (sqlite3.Error, OSError, SignoffError) as error:
        if store is not None:
            store.close()
        else:
            os.close(lock)
        if isinstance(error, SignoffError):
            raise
        raise unreadable(error) from error
    return store

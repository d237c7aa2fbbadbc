"""The one thread that writes: everything that waits goes into one commit.

A commit costs one fsync, whoever waits for it; so the writer takes all that has gathered
while it was busy. In the same transaction stand the receipts, the changes they record and
the new signed head. Nobody hears of a receipt before it is durable. Whatever goes wrong
with the disk, everyone who waits is told so, and the tree stays at the committed head.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from signoff.model.errors import LedgerUnavailable, StateConflict
from signoff.model.ports import Sealed
from signoff.store.changes import Write
from signoff.store.contracts import Moment, Notary, Tree, TreeFrom
from signoff.store.mark import HighWaterMark

GROUP_MOST = 1024
GATHER_S = 0.002
"""While many write at once, a commit waits this long (seconds) for company; else it never does."""

MARK_LATE_S = 1.0
"""The mark is at most this late for reads; for a change it is written before its answer."""

ROWS_MOST = 64
"""How many receipts one statement inserts: every statement hands the interpreter over to
the gate's thread and takes it back, which costs more than the row itself."""

_TOGETHER = """
CREATE TEMP VIEW together AS SELECT 0 AS kind, 0 AS a, 0 AS b, 0 AS c, 0 AS d, 0 AS e, 0 AS f;
CREATE TEMP TRIGGER each_of_them INSTEAD OF INSERT ON together BEGIN
  INSERT INTO receipts SELECT NEW.a, NEW.b, NEW.c, NEW.d, NEW.e, NEW.f WHERE NEW.kind = 0;
  INSERT INTO checkpoints SELECT NEW.a, NEW.b, NEW.c WHERE NEW.kind = 1;
END;
"""
"""Receipts that change nothing else and their signed head go in with one statement, which is
a transaction by itself (SQLite, "Isolation In SQLite" and "CREATE TRIGGER")."""

_TOGETHER_INSERTS = tuple(
    f"INSERT INTO together VALUES {','.join(['(?,?,?,?,?,?,?)'] * rows)}"  # noqa: S608 - no value in it
    for rows in range(ROWS_MOST + 2)
)
_WIDTH = 6
_INSERTS = tuple(
    f"INSERT INTO receipts VALUES {','.join(['(?,?,?,?,?,?)'] * rows)}"  # noqa: S608 - no value in it
    for rows in range(ROWS_MOST + 1)
)
"""The statement that inserts so many rows."""


@dataclass(slots=True)
class Work:
    """One receipt on its way: what to write, and who waits for it."""

    time_ms: int
    mark: str
    action_id: str
    run: str
    leaf: bytes
    writes: tuple[Write, ...]
    future: Future[Sealed] | asyncio.Future[Sealed]
    loop: asyncio.AbstractEventLoop | None = None
    settings: bool = False
    grants: bool = False
    index: int = -1
    answer: Sealed | Exception | None = field(default=None)


class Writer:
    """Owns the writing connection and the tree. Started with `start`, ended with `stop`."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        tree: TreeFrom,
        notary: Notary,
        mark: HighWaterMark | None,
        committed: Callable[[Sequence[Work]], None],
    ) -> None:
        self._connect, self._tree_from, self._notary = connect, tree, notary
        self._mark, self._committed = mark, committed
        self._queue: queue.SimpleQueue[Sequence[Work] | None] = queue.SimpleQueue()
        self._gathered: list[Work] = []
        self._thread = threading.Thread(target=self._run, name="signoff-ledger", daemon=True)
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._busy = False
        self._unmarked = ""
        self._marked_at = 0.0
        self.mark_trouble = ""
        self.tree: Tree = tree(0, b"")
        self.head: tuple[int, str] = (0, self.tree.root().hex())

    def start(self, tree: Tree) -> None:
        """Begin to write after this tree, which must be the committed one."""
        self._stand_at(tree)
        self._db = self._connected()
        self._thread.start()

    def put(self, work: Work) -> None:
        """Queue one receipt; its future is resolved once it is durable, or refused."""
        if self._closed:
            raise LedgerUnavailable("no receipt can be written", "the ledger is closed", "")
        if work.loop is None:
            self._queue.put((work,))
            return
        # Those of one loop gather there: waking the thread for each costs more than writing.
        before = self._gathered[-1].loop if self._gathered else None
        self._gathered.append(work)
        if work.loop is not before:
            # The first of a loop; another loop may have ended before it handed over.
            work.loop.call_later(GATHER_S if self._busy else 0, self._hand_over)

    def _hand_over(self) -> None:
        if self._gathered:
            group, self._gathered = self._gathered, []
            self._queue.put(group)

    def stop(self) -> None:
        """Write what is queued, then end the thread and let go of the file."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        ending = False
        while not ending:
            group: list[Work] = []
            try:
                first = self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._write_mark()
                continue
            ending = self._gather(first, group)
            self._busy = len(group) > 1
            if group:
                self._commit(group)
                _resolve(group)
        self._write_mark()
        for late in self._left_over():
            late.answer = _unavailable("the ledger is closed")
            _resolve([late])
        if self._db is not None:
            self._db.close()

    def _gather(self, first: Sequence[Work] | None, group: list[Work]) -> bool:
        """Take what waits into the group; whether the end was among it."""
        works = first
        while works is not None:
            group += works
            if len(group) >= GROUP_MOST:
                return False
            try:
                works = self._queue.get_nowait()
            except queue.Empty:
                return False
        return True

    def _left_over(self) -> list[Work]:
        found: list[Work] = []
        while not self._queue.empty():
            found += self._queue.get_nowait() or ()
        return found

    def _commit(self, group: Sequence[Work]) -> None:
        """One transaction for the group; every member has its answer afterwards."""
        try:
            db = self._ready()
            plain = len(group) <= ROWS_MOST and not any(work.writes for work in group)
            tree = self._write_plain(db, group) if plain else self._write_group(db, group)
            if tree is None:
                return
        except Exception as error:  # whatever it was: those who wait must be told
            self._give_up(group, error)
            return
        self._stand_at(*tree[:2])
        for work in group:
            if work.answer is None:
                work.answer = Sealed(work.index, *self.head)
        self._committed(group)
        self._unmarked = tree[2]
        if any(work.mark != "read" for work in group) or self._patience() == 0:
            self._write_mark()

    def _write_plain(
        self, db: sqlite3.Connection, group: Sequence[Work]
    ) -> tuple[Tree, bytes, str]:
        """Receipts that change nothing else, in one statement: most are reads."""
        head = self._signed(self.tree.extended([work.leaf for work in group]))
        values: list[object] = []
        for at, work in enumerate(group, self.tree.size):
            work.index = at
            values += (0, at, work.time_ms, work.mark, work.action_id, work.run, work.leaf)
        values += (1, head[0].size, head[0].packed(), head[2], None, None, None)
        db.execute(_TOGETHER_INSERTS[len(group) + 1], values)
        return head

    def _write_group(
        self, db: sqlite3.Connection, group: Sequence[Work]
    ) -> tuple[Tree, bytes, str] | None:
        """Receipts and what they change; None when every one of them was refused."""
        db.execute("BEGIN IMMEDIATE")
        leaves = self._write_all(db, group)
        if not leaves:
            db.execute("ROLLBACK")
            return None
        head = self._signed(self.tree.extended(leaves))
        row = (head[0].size, head[0].packed(), head[2])
        db.execute("INSERT INTO checkpoints VALUES (?,?,?)", row)
        db.execute("COMMIT")
        return head

    def _signed(self, tree: Tree) -> tuple[Tree, bytes, str]:
        """A tree with its root and the note that signs both."""
        root = tree.root()
        return tree, root, self._notary.sign(tree.size, root)

    def _write_all(self, db: sqlite3.Connection, group: Sequence[Work]) -> list[bytes]:
        """Write each member; a refused one is rolled back alone. The leaves, in order."""
        leaves: list[bytes] = []
        plain: list[object] = []
        at = self.tree.size
        for work in group:
            work.index = at
            row = (at, work.time_ms, work.mark, work.action_id, work.run, work.leaf)
            if work.writes:
                _insert(db, plain)
                if not _write_one(db, work, row):
                    continue
            else:
                plain += row
            leaves.append(work.leaf)
            at += 1
        _insert(db, plain)
        return leaves

    def _ready(self) -> sqlite3.Connection:
        """The connection; after trouble a new one, with the tree read back from the file."""
        if self._db is None:
            db = self._connected()
            query = "SELECT size, peaks FROM checkpoints ORDER BY size DESC LIMIT 1"
            size, packed = db.execute(query).fetchone() or (0, b"")
            if size < self.tree.size:
                db.close()
                raise LedgerUnavailable(
                    "no receipt can be written",
                    f"the ledger has {size} receipts, {self.tree.size} were committed",
                    "stop the daemon and restore the state directory",
                )
            self._stand_at(self._tree_from(size, packed))
            self._db = db
        return self._db

    def _connected(self) -> sqlite3.Connection:
        db = self._connect()
        db.execute("PRAGMA temp_store = MEMORY")
        db.executescript(_TOGETHER)
        return db

    def _give_up(self, group: Sequence[Work], error: Exception) -> None:
        """Nothing of the group was written: tell everyone, and begin anew next time."""
        failure = error if isinstance(error, LedgerUnavailable) else _unavailable(str(error))
        for work in group:
            work.answer = failure
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error:
                # The file is in trouble already; what was not committed is rolled back
                # by whoever opens it next.
                return

    def _stand_at(self, tree: Tree, root: bytes | None = None) -> None:
        self.tree = tree
        self.head = (tree.size, (root or tree.root()).hex())

    def _patience(self) -> float | None:
        """How many seconds the mark may still wait; None when it is up to date."""
        if self._mark is None or not self._unmarked:
            return None
        return max(0.0, self._marked_at + MARK_LATE_S - time.monotonic())

    def _write_mark(self) -> None:
        if self._mark is None or not self._unmarked:
            return
        self._marked_at = time.monotonic()
        try:
            self._mark.write(self._unmarked)
        except OSError as error:
            # The receipts are durable; the mark is tried again, and `status` says so.
            self.mark_trouble = f"high-water mark not written: {error}"
            return
        self._unmarked = self.mark_trouble = ""


def _insert(db: sqlite3.Connection, values: list[object]) -> None:
    """Insert the rows whose values stand here one after the other; nothing is left of them."""
    wide = ROWS_MOST * _WIDTH
    for begin in range(0, len(values), wide):
        some = values[begin : begin + wide]
        db.execute(_INSERTS[len(some) // _WIDTH], some)
    values.clear()


def _write_one(db: sqlite3.Connection, work: Work, row: tuple[object, ...]) -> bool:
    """A receipt with the changes it records; whether it stands. A refused one is rolled
    back alone, and has its answer."""
    index, time_ms = work.index, work.time_ms
    db.execute("SAVEPOINT one")
    try:
        for write in work.writes:
            write(db, Moment(index, time_ms))
    except (StateConflict, ValueError, OverflowError) as error:
        db.execute("ROLLBACK TO one")
        db.execute("RELEASE one")
        refused = isinstance(error, StateConflict)
        work.answer = error if refused else _unavailable(str(error))
        return False
    _insert(db, list(row))
    db.execute("RELEASE one")
    return True


def _resolve(group: Sequence[Work]) -> None:
    """Tell everyone who waits, once for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Work]] = {}
    for work in group:
        if work.loop is None:
            _answer(work)
        else:
            loops.setdefault(work.loop, []).append(work)
    for loop, works in loops.items():
        try:
            loop.call_soon_threadsafe(_answer_all, works)
        except RuntimeError:
            # The loop was closed while it waited: nobody is left to be told.
            continue


def _answer_all(works: Sequence[Work]) -> None:
    for work in works:
        _answer(work)


def _answer(work: Work) -> None:
    if work.future.done():
        return
    if isinstance(work.answer, Sealed):
        work.future.set_result(work.answer)
    else:
        work.future.set_exception(work.answer or _unavailable("it was never written"))


def _unavailable(why: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        "no receipt can be written", why, "free the disk or mend the ledger; nothing was done"
    )

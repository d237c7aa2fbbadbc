"""Reading the state: the same questions for the daemon and for `signoff log` without one.

`StateFile` opens the database read-only, so it works while the daemon runs, and after it
died. Nothing here writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from signoff.model.action import Principal
from signoff.model.decision import Hold, HoldState, SignOff
from signoff.model.errors import LedgerUnavailable
from signoff.model.grant import Grant
from signoff.model.ports import RunKey, Undo
from signoff.model.values import EMPTY, Data
from signoff.store import grants, records
from signoff.store.contracts import RunLine, Sealer, StartedAction

DAY_MS = 86_400_000
_ACTION = "action_id, agent, run, operator, state, started_ms, finished_ms, sealed"
_UNDO = (
    "action_id, run, vault, after, state, undone_by, captured_ms, keep_until_ms, sealed FROM undos"
)
_PAGE = 1000


class State:
    """The questions, over one connection. `sealer` is needed for actions, undos and keys."""

    def __init__(self, db: sqlite3.Connection, sealer: Sealer | None = None) -> None:
        self._db, self._sealer = db, sealer

    def size(self) -> int:
        """The number of receipts by the newest checkpoint."""
        (size,) = self._one("SELECT coalesce(max(size), 0) FROM checkpoints") or (0,)
        return int(size)

    def checkpoint(self) -> str:
        """The newest signed checkpoint; empty when nothing was ever written."""
        found = self._one("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1")
        return str(found[0]) if found else ""

    def frontier(self, most: int | None = None) -> tuple[int, bytes, str]:
        """Size, packed peaks and note of the newest checkpoint of at most `most` receipts."""
        found = self._one(
            "SELECT size, peaks, note FROM checkpoints WHERE size <= ? ORDER BY size DESC LIMIT 1",
            (1 << 62 if most is None else most,),
        )
        return (int(found[0]), bytes(found[1]), str(found[2])) if found else (0, b"", "")

    def last_time_ms(self) -> int:
        """The time of the newest receipt; 0 when there is none."""
        found = self._one("SELECT time_ms FROM receipts ORDER BY at DESC LIMIT 1")
        return int(found[0]) if found else 0

    def receipts(self, start: int = 0, most: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Index and canonical bytes of receipts in order, `most` of them from `start`."""
        end = 1 << 62 if most is None else start + most
        while start < end:
            # In pages, so that a long reading never keeps the daemon's log from shrinking.
            page = self._all(
                "SELECT at, body FROM receipts WHERE at >= ? AND at < ? ORDER BY at LIMIT ?",
                (start, end, _PAGE),
            )
            if not page:
                return
            yield from page
            start = page[-1][0] + 1

    def receipts_of(self, action_id: str) -> tuple[tuple[int, bytes], ...]:
        """Every receipt of one action's chain but a read's, oldest first."""
        query = "SELECT at, body FROM receipts WHERE action_id = ? AND mark <> 'read' ORDER BY at"
        return tuple((at, body) for at, body in self._all(query, (action_id,)))

    def find(self, run: str, action_digest: str, now_ms: int) -> Hold | None:
        """The newest open, approved or (within a day) rejected hold of a run for an action."""
        found = self._one(
            "SELECT body, state FROM holds WHERE run = ? AND action_digest = ? AND"
            " (state IN ('open', 'approved') OR state = 'rejected' AND moved_ms > ?)"
            " ORDER BY opened_at DESC LIMIT 1",
            (run, action_digest, now_ms - DAY_MS),
        )
        return records.hold_from(*found) if found else None

    def hold(self, ticket: str) -> Hold | None:
        """The hold with this ticket, in whatever state."""
        found = self._one("SELECT body, state FROM holds WHERE ticket = ?", (ticket,))
        return records.hold_from(*found) if found else None

    def waiting(self) -> tuple[Hold, ...]:
        """Every open or approved hold, oldest first."""
        rows = self._all(
            "SELECT body, state FROM holds WHERE state IN ('open', 'approved') ORDER BY opened_at"
        )
        return tuple(records.hold_from(*row) for row in rows)

    def holds(self, most: int = 100) -> tuple[Hold, ...]:
        """The newest holds in any state, newest first."""
        rows = self._all("SELECT body, state FROM holds ORDER BY opened_at DESC LIMIT ?", (most,))
        return tuple(records.hold_from(*row) for row in rows)

    def rejected(self, run: str, now_ms: int) -> tuple[Hold, ...]:
        """The run's rejected holds of the last day, newest first."""
        rows = self._all(
            "SELECT body, state FROM holds WHERE run = ? AND state = ? AND moved_ms > ?"
            " ORDER BY moved_ms DESC, opened_at DESC",
            (run, HoldState.REJECTED.value, now_ms - DAY_MS),
        )
        return tuple(records.hold_from(*row) for row in rows)

    def signoffs(self, ticket: str) -> tuple[SignOff, ...]:
        """The sign-offs of a hold, oldest first."""
        rows = self._all(
            "SELECT ticket, human, verdict, key, signature, signed_ms FROM signoffs"
            " WHERE ticket = ? ORDER BY at",
            (ticket,),
        )
        return tuple(records.signoff_from(row) for row in rows)

    def switches(self) -> dict[str, Data]:
        """All of Signoff's own settings by name; without the key their names alone."""
        rows = self._all("SELECT name, content FROM switches ORDER BY name")
        if self._sealer is None:
            return {name: EMPTY for name, _ in rows}
        return {name: records.switch_from(name, sealed, self._sealer) for name, sealed in rows}

    def configurations(self) -> tuple[tuple[int, str], ...]:
        """Index of the receipt and digest of every sealed configuration, newest first."""
        rows = self._all("SELECT at, digest FROM configurations ORDER BY at DESC")
        return tuple((int(at), str(digest)) for at, digest in rows)

    def configuration_content(self, at: int, digest: str) -> Data:
        """The texts of one sealed configuration."""
        query = "SELECT sealed FROM configurations WHERE at = ? AND digest = ?"
        (sealed,) = self._one(query, (at, digest)) or (b"",)
        return records.configuration_from(at, digest, sealed, self._unsealer())

    def newest_sealing(self) -> tuple[int, bytes] | None:
        """The newest receipt that says a configuration was sealed."""
        query = "SELECT at, body FROM receipts WHERE mark = 'sealed' ORDER BY at DESC LIMIT 1"
        found = self._one(query)
        return (int(found[0]), bytes(found[1])) if found else None

    def undo(self, action_id: str) -> Undo | None:
        """The undo of one action."""
        found = self._one(f"SELECT {_UNDO} WHERE action_id = ?", (action_id,))
        return records.undo_from(found, self._unsealer()) if found else None

    def undos(self, run: str) -> tuple[Undo, ...]:
        """Every undo of a run, newest action first."""
        query = f"SELECT {_UNDO} WHERE run = ? ORDER BY saved_at DESC"
        return tuple(records.undo_from(row, self._unsealer()) for row in self._all(query, (run,)))

    def vault_references(self, now_ms: int) -> frozenset[str]:
        """Every vault reference that an undo record still promises."""
        rows = self._all("SELECT vault, after FROM undos WHERE keep_until_ms >= ?", (now_ms,))
        return frozenset(reference for row in rows for reference in row if reference)

    def action(self, action_id: str) -> StartedAction | None:
        """A started action, whatever became of it."""
        query = f"SELECT {_ACTION} FROM actions WHERE action_id = ?"  # noqa: S608
        found = self._one(query, (action_id,))
        return records.action_from(found, self._unsealer()) if found else None

    def in_doubt(self) -> tuple[StartedAction, ...]:
        """Actions that were started and have no known outcome, oldest first."""
        rows = self._all(
            f"SELECT {_ACTION} FROM actions"  # noqa: S608
            " WHERE state IN ('started', 'in_doubt') ORDER BY started_at"
        )
        return tuple(records.action_from(row, self._unsealer()) for row in rows)

    def key(self, key_id: str) -> RunKey | None:
        """The run key as issued; None when unknown or revoked."""
        found = self._one(
            "SELECT key_id, agent, run, operator, issued_ms, expires_ms, sealed FROM run_keys"
            " WHERE key_id = ? AND revoked_ms IS NULL",
            (key_id,),
        )
        return records.key_from(found, self._unsealer()) if found else None

    def grants(self, run: str) -> tuple[Grant, ...]:
        """Every grant of a run, oldest first."""
        query = "SELECT id, sealed FROM grants WHERE run = ? ORDER BY opened_at"
        sealer = self._unsealer()
        return tuple(grants.grant_from(row, sealer)[0] for row in self._all(query, (run,)))

    def all_grants(self, most: int = 1000) -> tuple[Grant, ...]:
        """The newest grants of every run, newest first."""
        query = "SELECT id, sealed FROM grants ORDER BY opened_at DESC LIMIT ?"
        sealer = self._unsealer()
        return tuple(grants.grant_from(row, sealer)[0] for row in self._all(query, (most,)))

    def grant(self, grant_id: str) -> Grant | None:
        """The grant with this id, in whatever state."""
        found = self._one("SELECT id, sealed FROM grants WHERE id = ?", (grant_id,))
        return grants.grant_from(found, self._unsealer())[0] if found else None

    def signed_for(self, run: str) -> Principal | None:
        """Who the run belongs to, by its newest key that opens: unlike `principal_of` this
        rests on nothing that whoever can write the file could have put there."""
        rows = self._all(
            "SELECT key_id, agent, run, operator, issued_ms, expires_ms, sealed FROM run_keys"
            " WHERE run = ? AND revoked_ms IS NULL ORDER BY issued_ms DESC LIMIT 1",
            (run,),
        )
        return records.key_from(rows[0], self._unsealer()).principal if rows else None

    def runs(self) -> tuple[RunLine, ...]:
        """Every run that was given a key or started a change, newest first."""
        rows = self._all(
            "SELECT run, max(agent), max(operator), min(since), sum(changes) FROM ("
            " SELECT run, agent, operator, issued_ms AS since, 0 AS changes FROM run_keys"
            " UNION ALL SELECT run, agent, operator, started_ms, 1 FROM actions)"
            " GROUP BY run ORDER BY 4 DESC, run"
        )
        return tuple(RunLine(*row) for row in rows)

    def live_keys(self) -> tuple[tuple[str, str, str, int, int], ...]:
        """Agent, run, operator, issue and expiry (ms) of every key that was not revoked,
        newest first, as the columns tell it."""
        rows = self._all(
            "SELECT agent, run, operator, issued_ms, expires_ms FROM run_keys"
            " WHERE revoked_ms IS NULL ORDER BY issued_ms DESC"
        )
        return tuple((str(a), str(r), str(o), int(i), int(e)) for a, r, o, i, e in rows)

    def principal_of(self, run: str) -> Principal | None:
        """Who the run belongs to, by its newest key."""
        found = self._one(
            "SELECT agent, run, operator FROM run_keys WHERE run = ? ORDER BY issued_ms DESC",
            (run,),
        )
        return Principal(*found) if found else None

    def _unsealer(self) -> Sealer:
        if self._sealer is None:
            raise LedgerUnavailable(
                "this is sealed", "it was opened without the vault's key", "ask the daemon"
            )
        return self._sealer

    def _one(self, query: str, values: records.Row = ()) -> records.Row | None:
        try:
            found: records.Row | None = self._db.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise unreadable(error) from error
        return found

    def _all(self, query: str, values: records.Row = ()) -> list[records.Row]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise unreadable(error) from error


class StateFile(State):
    """The state read by another process than the daemon: nothing can be written through it."""

    def __init__(self, path: Path, sealer: Sealer | None = None) -> None:
        """Opens the file; raises `LedgerUnavailable` when there is none or it is no ledger."""
        if not path.is_file():
            raise LedgerUnavailable(f"no ledger at `{path}`", "", "start it with `signoff up`")
        try:
            db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5
            )
            db.execute("SELECT count(*) FROM meta").fetchone()
        except sqlite3.Error as error:
            raise unreadable(error) from error
        super().__init__(db, sealer)

    @contextmanager
    def snapshot(self) -> Iterator[StateFile]:
        """The state as it is now for everything read inside, however the daemon goes on
        writing: what `verify` compares must be of one moment. Keep it short."""
        try:
            self._db.execute("BEGIN")
            yield self
        except sqlite3.Error as error:
            raise unreadable(error) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> StateFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def unreadable(error: Exception) -> LedgerUnavailable:
    """The one line for a database that cannot be read."""
    return LedgerUnavailable(
        "the ledger cannot be read", str(error), "look at the disk and the file's owner"
    )

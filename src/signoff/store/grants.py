"""Grants as rows: opened, used and taken back, each with the receipt that says so.

A row is sealed whole, its count included, with the index of the receipt that last moved it.
Whoever puts an older row back therefore puts back an older index too; the receipts after it
that name the grant tell, and a use is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from signoff.model.errors import CaptureFailed, LedgerUnavailable, StateConflict
from signoff.model.grant import Grant
from signoff.model.values import canonical, uncanonical
from signoff.store import records
from signoff.store.contracts import Moment, Sealer

Write = Callable[[sqlite3.Connection, Moment], None]

REVOKED = "grant-revoked"
"""What the receipt of a revocation says in `detail.act`."""

_USED = (
    "SELECT 1 FROM receipts WHERE mark = 'started' AND at > ? AND run = ? AND EXISTS"
    " (SELECT 1 FROM json_each(CAST(body AS TEXT), '$.detail.grants') WHERE value = ?) LIMIT 1"
)
_TAKEN_BACK = (
    "SELECT 1 FROM receipts WHERE mark = 'control' AND at > ?"
    " AND json_extract(CAST(body AS TEXT), '$.detail.act') = 'grant-revoked'"
    " AND json_extract(CAST(body AS TEXT), '$.detail.grant') = ? LIMIT 1"
)


def grant_sealed(grant: Grant, at: int, sealer: Sealer) -> bytes:
    """A grant and the index of the receipt that last moved it, encrypted for its row."""
    return sealer.seal(canonical({"grant": grant.as_data(), "at": at}), f"grant/{grant.id}")


def grant_from(row: records.Row, sealer: Sealer) -> tuple[Grant, int]:
    """A grant, and the index of the receipt that last moved it, from (id, sealed).

    Raises `LedgerUnavailable` when it is damaged, `CaptureFailed` when it does not open.
    """
    name, sealed = row
    try:
        data = uncanonical(sealer.unseal(sealed, f"grant/{name}"))
        if not isinstance(data, Mapping):
            raise ValueError("it is not an object")
        grant, at = data["grant"], data["at"]
        if not isinstance(grant, Mapping) or not isinstance(at, int):
            raise ValueError("it has another form")
        return Grant.from_data(grant), at
    except (ValueError, KeyError, TypeError) as error:
        raise records.damaged("a grant", str(error)) from error


def open_grant(grant: Grant, sealer: Sealer) -> Write:
    """A new row."""

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        row = (grant.id, grant.run, moment.at, grant_sealed(grant, moment.at, sealer))
        try:
            db.execute("INSERT INTO grants VALUES (?,?,?,?)", row)
        except sqlite3.IntegrityError as error:
            raise StateConflict(f"grant `{grant.id}` exists already", str(error)) from error

    return write


def use_grant(grant_id: str, sealer: Sealer) -> Write:
    """One more change, if the grant is live at the receipt's time."""

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        grant, at = _found(db, grant_id, sealer)
        values = (at, grant.run, grant.id)
        if db.execute(_USED, values).fetchone() or _was_revoked(db, at, grant_id):
            raise StateConflict(
                f"grant `{grant_id}` is not as the ledger says",
                "receipts that moved it are newer than its row",
                "signoff verify; somebody changed the state file",
            )
        _put(db, grant.use(moment.time_ms), moment, sealer)

    return write


def revoke_grant(grant_id: str, sealer: Sealer) -> Write:
    """The grant taken back, unless it is over."""

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        grant, _ = _found(db, grant_id, sealer)
        _put(db, grant.revoke(moment.time_ms), moment, sealer)

    return write


def _was_revoked(db: sqlite3.Connection, at: int, grant_id: str) -> bool:
    return db.execute(_TAKEN_BACK, (at, grant_id)).fetchone() is not None


def _found(db: sqlite3.Connection, grant_id: str, sealer: Sealer) -> tuple[Grant, int]:
    row = db.execute("SELECT id, sealed FROM grants WHERE id = ?", (grant_id,)).fetchone()
    if row is None:
        raise StateConflict(f"no grant `{grant_id[:40]}`", "", "signoff grants")
    try:
        return grant_from(row, sealer)
    except (LedgerUnavailable, CaptureFailed) as error:
        # It hurts only whoever uses this grant, not all who share the commit.
        raise StateConflict(f"grant `{grant_id}` does not open", str(error)) from error


def _put(db: sqlite3.Connection, grant: Grant, moment: Moment, sealer: Sealer) -> None:
    sealed = grant_sealed(grant, moment.at, sealer)
    db.execute("UPDATE grants SET sealed = ? WHERE id = ?", (sealed, grant.id))

"""What each change of the state writes, and when it is refused.

A change is prepared (encoded, sealed) by whoever asks for it, so that bad data hurts only
them, and applied later by the writer, inside its transaction. Every rule is a condition of
the statement itself: a state that moved in between is seen by the same statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from signoff.model.decision import HoldState
from signoff.model.errors import StateConflict
from signoff.model.ports import (
    AddSignOff,
    Change,
    FinishAction,
    IssueKey,
    MoveHold,
    OpenGrant,
    OpenHold,
    RevokeGrant,
    RevokeKey,
    SaveUndo,
    SealConfiguration,
    SetSwitch,
    StartAction,
    UseGrant,
)
from signoff.store import grants, records
from signoff.store.contracts import Moment, Sealer
from signoff.store.sealing import seal_configuration

OUTCOMES = ("succeeded", "failed", "in_doubt", "settled")


Write = Callable[[sqlite3.Connection, Moment], None]


def prepare(change: Change, sealer: Sealer) -> Write:
    """What the change will write; it raises `StateConflict` when the change is refused."""
    match change:
        case OpenHold():
            return _open_hold(change)
        case AddSignOff():
            return _add_signoff(change)
        case MoveHold():
            return _move_hold(change)
        case StartAction():
            return _start(change, sealer)
        case FinishAction():
            return _finish(change)
        case SaveUndo():
            return _save_undo(change, sealer)
        case SetSwitch():
            return _set_switch(change, sealer)
        case SealConfiguration():
            return seal_configuration(change, sealer)
        case IssueKey():
            return _issue(change, sealer)
        case RevokeKey():
            return _revoke(change)
        case OpenGrant():
            return grants.open_grant(change.grant, sealer)
        case UseGrant():
            return grants.use_grant(change.grant_id, sealer)
        case RevokeGrant():
            return grants.revoke_grant(change.grant_id, sealer)


def _open_hold(change: OpenHold) -> Write:
    hold, text = change.hold, records.hold_text(change.hold)
    run = hold.principal.run

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        count, same = db.execute(
            "SELECT count(*), count(*) FILTER (WHERE action_digest = ?) FROM holds"
            " WHERE run = ? AND state IN ('open', 'approved')",
            (hold.action_digest, run),
        ).fetchone()
        if same:
            raise StateConflict(
                "the same action is held already", f"run `{run}`", "join the hold that is open"
            )
        if count >= change.open_most:
            raise StateConflict(
                f"run `{run}` has {count} open holds",
                f"at most {change.open_most} are allowed",
                "wait until people have signed or rejected one of them",
            )
        row = (hold.ticket, run, hold.action_digest, hold.state.value, moment.at)
        times = (hold.opened_ms, hold.expires_ms, moment.time_ms)
        insert = "INSERT INTO holds VALUES (?,?,?,?,?,?,?,?,?)"
        _once(db, insert, (*row, *times, text), f"ticket `{hold.ticket}` is taken")

    return write


def _add_signoff(change: AddSignOff) -> Write:
    mark = change.signoff
    row = (mark.ticket, mark.human, mark.verdict.value, mark.key, mark.signature, mark.signed_ms)

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        if not db.execute("SELECT 1 FROM holds WHERE ticket = ?", (mark.ticket,)).fetchone():
            raise StateConflict(f"no hold `{mark.ticket}`", "", "list them with `signoff holds`")
        taken = f"`{mark.human}` has signed `{mark.ticket}` before"
        _once(db, "INSERT INTO signoffs VALUES (?,?,?,?,?,?,?)", (*row, moment.at), taken)

    return write


def _move_hold(change: MoveHold) -> Write:
    ticket, source, target = change.ticket, change.source.value, change.target.value

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        if change.target is HoldState.CLAIMED:
            _refuse_spent(db, ticket)
        # Compare and set: of two that claim the same hold, one finds it moved.
        try:
            moved = db.execute(
                "UPDATE holds SET state = ?, moved_ms = ? WHERE ticket = ? AND state = ?",
                (target, moment.time_ms, ticket, source),
            )
        except sqlite3.IntegrityError as error:
            why = "another hold waits for the same action"
            raise StateConflict(f"hold `{ticket}` cannot be `{target}`", why) from error
        if moved.rowcount != 1:
            found = db.execute("SELECT state FROM holds WHERE ticket = ?", (ticket,)).fetchone()
            is_state = f"it is `{found[0]}`" if found else "there is no such hold"
            raise StateConflict(f"hold `{ticket}` is not `{source}`", is_state, "look at it again")

    return write


def _refuse_spent(db: sqlite3.Connection, ticket: str) -> None:
    """The state of a hold is only a row; what was started stands in the ledger, and a
    ticket that stands there was spent, whatever somebody wrote into the row since."""
    query = (
        "SELECT 1 FROM receipts WHERE mark = 'started' AND at >="
        " (SELECT opened_at FROM holds WHERE ticket = ?1)"
        " AND json_extract(CAST(body AS TEXT), '$.detail.hold') = ?1"
    )
    if db.execute(query, (ticket,)).fetchone():
        raise StateConflict(
            f"hold `{ticket}` was used before",
            "a sign-off is good for one use, and the ledger holds that use",
            "signoff verify; somebody changed the state file",
        )


def _start(change: StartAction, sealer: Sealer) -> Write:
    action, who, action_id = change.action, change.principal, change.action_id
    names = (action_id, who.run, who.agent, who.operator, action.surface, action.name)
    sealed = records.action_sealed(action, action_id, sealer)
    digest = action.digest

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        row = (*names, digest, "started", moment.at, moment.time_ms, None, sealed)
        insert = "INSERT INTO actions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
        _once(db, insert, row, f"action `{action_id}` was started before")

    return write


def _finish(change: FinishAction) -> Write:
    action_id, state = change.action_id, change.state
    if state not in OUTCOMES:
        raise ValueError(f"`{state}` is no outcome of an action")

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        moved = db.execute(
            "UPDATE actions SET state = ?, finished_ms = ? WHERE action_id = ?"
            " AND state IN ('started', 'in_doubt')",
            (state, moment.time_ms, action_id),
        )
        if moved.rowcount != 1:
            query = "SELECT state FROM actions WHERE action_id = ?"
            found = db.execute(query, (action_id,)).fetchone()
            why = f"it has `{found[0]}`" if found else "it was never started"
            raise StateConflict(f"action `{action_id}` takes no outcome", why)

    return write


def _save_undo(change: SaveUndo, sealer: Sealer) -> Write:
    undo, sealed = change.undo, records.undo_sealed(change.undo, sealer)
    names = (undo.action_id, undo.run, undo.state, undo.vault, undo.after, undo.undone_by)

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        # `saved_at` stays what it was first, so that the order of a run's actions stays.
        db.execute(
            "INSERT INTO undos VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (action_id) DO UPDATE SET"
            " state = excluded.state, vault = excluded.vault, after = excluded.after,"
            " undone_by = excluded.undone_by, captured_ms = excluded.captured_ms,"
            " keep_until_ms = excluded.keep_until_ms, sealed = excluded.sealed",
            (*names, undo.captured_ms, undo.keep_until_ms, moment.at, sealed),
        )

    return write


def _set_switch(change: SetSwitch, sealer: Sealer) -> Write:
    name = change.name
    content = records.switch_sealed(name, change.content, sealer) if change.content else b""

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        if not content:
            db.execute("DELETE FROM switches WHERE name = ?", (name,))
            return
        db.execute(
            "INSERT INTO switches VALUES (?,?,?) ON CONFLICT (name) DO UPDATE SET"
            " content = excluded.content, at = excluded.at",
            (name, content, moment.at),
        )

    return write


def _issue(change: IssueKey, sealer: Sealer) -> Write:
    key, who = change.key, change.key.principal
    names = (key.key_id, who.run, who.agent, who.operator, key.issued_ms, key.expires_ms)
    row = (*names, None, records.key_sealed(key, sealer))

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        insert = "INSERT INTO run_keys VALUES (?,?,?,?,?,?,?,?)"
        _once(db, insert, row, f"run key `{key.key_id}` was issued before")

    return write


def _revoke(change: RevokeKey) -> Write:
    key_id = change.key_id

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        query = "UPDATE run_keys SET revoked_ms = coalesce(revoked_ms, ?) WHERE key_id = ?"
        if db.execute(query, (moment.time_ms, key_id)).rowcount != 1:
            raise StateConflict(f"no run key `{key_id}`", "it was never issued")

    return write


def _once(db: sqlite3.Connection, insert: str, row: records.Row, taken: str) -> None:
    """Insert a row whose key must be new; the refusal says `taken`."""
    try:
        db.execute(insert, row)
    except sqlite3.IntegrityError as error:
        raise StateConflict(taken, str(error), "nothing was written") from error

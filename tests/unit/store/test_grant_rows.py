"""Grants on a real disk: sealed, moved with their receipts, and not to be put back."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from durable import NOW, WHO, action, opened, receipt
from signoff.model.action import Principal
from signoff.model.errors import StateConflict
from signoff.model.grant import Grant, GrantSignature
from signoff.model.ports import IssueKey, OpenGrant, RevokeGrant, RunKey, StartAction, UseGrant
from signoff.model.receipt import Mark
from signoff.store.sqlite import SqliteStore

GRANT = Grant(
    "G-1",
    WHO.run,
    "production",
    frozenset({"update"}),
    3,
    0,
    NOW,
    NOW + 1000,
    ("ana",),
    agent=WHO.agent,
    operator=WHO.operator,
    why="a release",
    nonce="ab",
    signatures=(GrantSignature("ana", "SHA256:x", b"\x00\xff"),),
)


def file(folder: Path) -> Path:
    return folder / "state" / "signoff.db"


async def begin(store: SqliteStore, number: int, grant: str = GRANT.id) -> None:
    """One action started under the grant, as the story does it."""
    made = receipt(number, Mark.STARTED, grants=[grant])
    await store.append(made, StartAction(made.action_id, action(), WHO), UseGrant(grant))


async def take_back(store: SqliteStore, number: int) -> None:
    made = receipt(number, Mark.CONTROL, act="grant-revoked", grant=GRANT.id)
    await store.append(made, RevokeGrant(GRANT.id))


async def test_a_grant_survives_a_restart_with_its_count(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(0, Mark.CONTROL), OpenGrant(GRANT))
    assert await store.grants(WHO.run) == (GRANT,)
    await begin(store, 1)
    store.close()
    again = opened(tmp_path)
    assert await again.grants(WHO.run) == (replace(GRANT, used=1),)
    assert again.state.grant("G-1") == replace(GRANT, used=1)
    assert again.state.all_grants() == (replace(GRANT, used=1),)
    assert await again.grants("R-other") == ()
    again.close()


async def test_of_those_that_start_at_once_no_more_pass_than_are_left(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(0, Mark.CONTROL), OpenGrant(GRANT))
    tries = [begin(store, number) for number in range(1, 9)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(1 for e in ended if e is None) == 3
    assert all(e is None or isinstance(e, StateConflict) for e in ended)
    rows = [r for r in store.receipts() if b'"mark":"started"' in r[1]]
    assert len(rows) == 3
    store.close()


async def test_a_refused_use_starts_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(0, Mark.CONTROL), OpenGrant(GRANT))
    with pytest.raises(StateConflict, match="expired"):
        await begin(store, 1000)
    with pytest.raises(StateConflict, match="no grant"):
        await begin(store, 1, "G-none")
    assert await store.find_action("A-1000") is None
    assert store.head()[0] == 1
    store.close()


async def test_a_revoked_grant_is_over_at_once_and_for_good(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(0, Mark.CONTROL), OpenGrant(GRANT))
    await take_back(store, 1)
    assert [g.revoked_ms for g in await store.grants(WHO.run)] == [NOW + 1]
    with pytest.raises(StateConflict, match="revoked"):
        await begin(store, 2)
    with pytest.raises(StateConflict, match="revoked"):
        await take_back(store, 3)
    store.close()


@pytest.mark.parametrize("moved", [begin, take_back])
async def test_an_older_row_put_back_opens_nothing(tmp_path: Path, moved: object) -> None:
    store = opened(tmp_path)
    await store.append(receipt(0, Mark.CONTROL), OpenGrant(GRANT))
    with closing(sqlite3.connect(file(tmp_path))) as db:
        (older,) = db.execute("SELECT sealed FROM grants").fetchone()
    await moved(store, 1)  # type: ignore[operator] # one of the two functions
    with closing(sqlite3.connect(file(tmp_path))) as db:
        db.execute("UPDATE grants SET sealed = ?", (older,))
        db.commit()
    with pytest.raises(StateConflict, match="not as the ledger says"):
        await begin(store, 2)
    store.close()


async def test_a_row_of_another_grant_or_an_altered_one_opens_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    other = replace(GRANT, id="G-2", changes=1000)
    await store.append(receipt(0, Mark.CONTROL), OpenGrant(GRANT))
    await store.append(receipt(1, Mark.CONTROL), OpenGrant(other))
    with closing(sqlite3.connect(file(tmp_path))) as db:
        db.execute(
            "UPDATE grants SET sealed = (SELECT sealed FROM grants WHERE id = 'G-2')"
            " WHERE id = 'G-1'"
        )
        db.commit()
    with pytest.raises(StateConflict, match="does not open"):
        await begin(store, 2)
    await begin(store, 3, "G-2")
    with pytest.raises(StateConflict, match="exists already"):
        await store.append(receipt(4, Mark.CONTROL), OpenGrant(other))
    store.close()


async def test_whose_run_it_is_rests_on_a_key_that_opens(tmp_path: Path) -> None:
    store = opened(tmp_path)
    key = RunKey("AKIA1", "secret", WHO, NOW, NOW + 10)
    await store.append(receipt(0, Mark.CONTROL), IssueKey(key))
    assert store.state.signed_for(WHO.run) == Principal(WHO.agent, WHO.run, WHO.operator)
    assert store.state.signed_for("R-other") is None
    store.close()

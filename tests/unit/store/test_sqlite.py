"""The store on a real disk: one transaction for a receipt and its changes, and the rules."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from durable import NOW, SIGNER, WHO, action, hold, opened, receipt, signed, undo
from signoff.ledger.merkle import Frontier
from signoff.ledger.verify import verify_ledger
from signoff.model.action import Principal
from signoff.model.decision import HoldState, Verdict
from signoff.model.errors import LedgerUnavailable, ProofInvalid, SignoffError, StateConflict
from signoff.model.ports import (
    AddSignOff,
    FinishAction,
    IssueKey,
    MoveHold,
    OpenHold,
    RevokeKey,
    RunKey,
    SaveUndo,
    SetSwitch,
    StartAction,
)
from signoff.model.receipt import Mark
from signoff.model.values import EMPTY, frozen, thaw
from signoff.store.reading import StateFile
from signoff.store.sqlite import SqliteStore

KEY = RunKey("SGNFKEY1", "the-secret-of-the-run", WHO, NOW, NOW + 1000, "the-token")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = opened(tmp_path)
    yield made
    made.close()


def _whole(store: SqliteStore) -> int:
    """The size of the ledger, once it verifies as a whole."""
    if not store.checkpoint():
        return 0
    bodies = [body for _, body in store.receipts()]
    return verify_ledger(bodies, store.checkpoint(), SIGNER.key).head.size


async def test_an_append_says_where_the_receipt_stands_and_signs_the_head(
    store: SqliteStore,
) -> None:
    first, second = await store.append(receipt(1)), await store.append(receipt(2))
    assert (first.index, first.size) == (0, 1)
    assert (second.index, second.size) == (1, 2)
    tree = Frontier().extended([receipt(1).leaf(), receipt(2).leaf()])
    assert store.head() == (2, second.root) == (2, tree.root().hex())
    assert SIGNER.read(store.checkpoint()) == (2, tree.root())


async def test_what_waits_together_is_committed_together(store: SqliteStore) -> None:
    sealed = await asyncio.gather(*(store.append(receipt(n)) for n in range(200)))
    assert [s.index for s in sealed] == list(range(200))
    assert [body for _, body in store.receipts()] == [receipt(n).leaf() for n in range(200)]
    assert len({s.size for s in sealed}) < 200
    assert _whole(store) == 200


async def test_a_refused_change_writes_no_receipt_and_hurts_nobody_else(
    store: SqliteStore,
) -> None:
    await store.append(receipt(0), StartAction("A-0", action(), WHO))
    answers = await asyncio.gather(
        store.append(receipt(1)),
        store.append(
            receipt(2), SetSwitch("halt/all", frozen(x=1)), StartAction("A-0", action(), WHO)
        ),
        store.append(receipt(3), StartAction("A-3", action(), WHO)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], StateConflict)
    assert await store.switches() == {}
    assert [body for _, body in store.receipts()] == [receipt(n).leaf() for n in (0, 1, 3)]
    assert _whole(store) == 3


async def test_a_group_of_refused_changes_alone_leaves_the_head_as_it_was(
    store: SqliteStore,
) -> None:
    await store.append(receipt(0))
    head, note = store.head(), store.checkpoint()
    with pytest.raises(StateConflict):
        await store.append(receipt(1), FinishAction("A-9", "succeeded"))
    assert (store.head(), store.checkpoint()) == (head, note)


async def test_a_hold_comes_back_as_it_was_opened(store: SqliteStore) -> None:
    await store.append(receipt(1, Mark.HELD), OpenHold(hold()))
    found = await store.get("T-1")
    assert found == hold()
    assert found is not None
    assert found.payload(Verdict.APPROVE) == hold().payload(Verdict.APPROVE)
    assert await store.find("R-1", "d" * 64) == hold()
    assert await store.open() == (hold(),)
    assert await store.get("T-2") is None


async def test_one_run_holds_the_same_action_once(store: SqliteStore) -> None:
    await store.append(receipt(1), OpenHold(hold()))
    with pytest.raises(StateConflict, match="held already"):
        await store.append(receipt(2), OpenHold(hold("T-2")))
    other = hold("T-3", who=replace(WHO, run="R-2"))
    await store.append(receipt(3), OpenHold(other))
    await store.append(receipt(4), MoveHold("T-1", HoldState.OPEN, HoldState.EXPIRED))
    await store.append(receipt(5), OpenHold(hold("T-4")))


async def test_a_run_has_at_most_so_many_open_holds(store: SqliteStore) -> None:
    for n in range(5):
        await store.append(receipt(n), OpenHold(hold(f"T-{n}", f"{n}" * 64)))
    with pytest.raises(StateConflict, match="at most 5"):
        await store.append(receipt(6), OpenHold(hold("T-6", "6" * 64)))
    await store.append(receipt(7), MoveHold("T-0", HoldState.OPEN, HoldState.REJECTED))
    await store.append(receipt(8), OpenHold(hold("T-6", "6" * 64)))


async def test_an_approved_hold_is_claimed_once(store: SqliteStore) -> None:
    await store.append(receipt(1), OpenHold(hold()))
    await store.append(receipt(2), MoveHold("T-1", HoldState.OPEN, HoldState.APPROVED))
    claim = MoveHold("T-1", HoldState.APPROVED, HoldState.CLAIMED)
    answers = await asyncio.gather(
        *(store.append(receipt(n), StartAction(f"A-{n}", action(), WHO), claim) for n in (3, 4, 5)),
        return_exceptions=True,
    )
    assert [isinstance(a, StateConflict) for a in answers] == [False, True, True]
    assert [a.action_id for a in await store.in_doubt()] == ["A-3"]


async def test_a_human_signs_a_hold_once_whichever_verdict(store: SqliteStore) -> None:
    await store.append(receipt(1), OpenHold(hold()))
    await store.append(receipt(2), AddSignOff(signed()))
    with pytest.raises(StateConflict, match="signed `T-1` before"):
        await store.append(receipt(3), AddSignOff(signed(verdict=Verdict.REJECT)))
    await store.append(receipt(4), AddSignOff(signed(human="bob")))
    assert await store.signoffs("T-1") == (signed(), signed(human="bob"))
    with pytest.raises(StateConflict, match="no hold"):
        await store.append(receipt(5), AddSignOff(signed("T-9")))


async def test_a_rejected_hold_is_found_for_a_day(tmp_path: Path) -> None:
    now = [NOW]
    store = opened(tmp_path, wall=lambda: now[0])
    await store.append(receipt(1), OpenHold(hold()))
    await store.append(receipt(2), MoveHold("T-1", HoldState.OPEN, HoldState.REJECTED))
    found = await store.find("R-1", "d" * 64)
    assert found is not None
    assert found.state is HoldState.REJECTED
    assert await store.rejected("R-1") == (found,)
    now[0] += 25 * 3_600_000
    assert await store.find("R-1", "d" * 64) is None
    assert await store.rejected("R-1") == ()
    store.close()


async def test_an_action_starts_once_and_ends_once(store: SqliteStore) -> None:
    await store.append(receipt(1), StartAction("A-1", action(), WHO))
    with pytest.raises(StateConflict, match="started before"):
        await store.append(receipt(2), StartAction("A-1", action(), WHO))
    found = await store.find_action("A-1")
    assert found is not None
    assert (found.action, found.principal, found.state) == (action(), WHO, "started")
    assert await store.in_doubt() == (found,)
    await store.append(receipt(3), FinishAction("A-1", "in_doubt"))
    assert [a.state for a in await store.in_doubt()] == ["in_doubt"]
    await store.append(receipt(4), FinishAction("A-1", "settled"))
    assert await store.in_doubt() == ()
    with pytest.raises(StateConflict, match="takes no outcome"):
        await store.append(receipt(5), FinishAction("A-1", "succeeded"))
    with pytest.raises(StateConflict, match="never started"):
        await store.append(receipt(6), FinishAction("A-2", "succeeded"))
    with pytest.raises(LedgerUnavailable, match="no outcome"):
        await store.append(receipt(7), FinishAction("A-1", "perhaps"))


async def test_undos_are_listed_newest_action_first_also_after_a_change(
    store: SqliteStore,
) -> None:
    for n in (1, 2, 3):
        await store.append(receipt(n), SaveUndo(undo(f"A-{n}")))
    done = undo("A-1", state="executed", after="w" * 64, response=frozen(Id="i-1"))
    await store.append(receipt(4), SaveUndo(done))
    assert [u.action_id for u in await store.undos("R-1")] == ["A-3", "A-2", "A-1"]
    assert await store.undo("A-1") == done
    assert await store.undo("A-9") is None
    assert await store.undos("R-2") == ()
    assert store.state.vault_references(NOW) == {"v" * 64, "w" * 64}
    assert store.state.vault_references(NOW + 11) == frozenset()


async def test_a_switch_is_seen_as_soon_as_it_is_committed(store: SqliteStore) -> None:
    assert await store.switches() == {}
    await store.append(receipt(1, Mark.CONTROL), SetSwitch("freeze/production", frozen(by="ann")))
    assert await store.switches() == {"freeze/production": frozen(by="ann")}
    await store.append(receipt(2, Mark.CONTROL), SetSwitch("freeze/production", EMPTY))
    assert await store.switches() == {}


async def test_a_run_key_is_known_until_it_is_revoked(store: SqliteStore) -> None:
    assert await store.key(KEY.key_id) is None
    await store.append(receipt(1), IssueKey(KEY))
    assert await store.key(KEY.key_id) == KEY
    with pytest.raises(StateConflict, match="issued before"):
        await store.append(receipt(2), IssueKey(KEY))
    await store.append(receipt(3), RevokeKey(KEY.key_id))
    assert await store.key(KEY.key_id) is None
    await store.append(receipt(4), RevokeKey(KEY.key_id))
    with pytest.raises(StateConflict, match="no run key"):
        await store.append(receipt(5), RevokeKey("SGNFNONE"))


async def test_no_secret_lies_open_in_the_files(store: SqliteStore, tmp_path: Path) -> None:
    secret = "hunter2-hunter2"
    asked = action(SecretString=secret)
    await store.append(receipt(1), IssueKey(KEY), StartAction("A-1", asked, WHO))
    saved = replace(undo(), action=asked, response=frozen(token=secret))
    await store.append(receipt(2), SaveUndo(saved))
    assert await store.undo("A-1") == saved
    for path in (tmp_path / "state").iterdir():
        content = path.read_bytes()
        assert secret.encode() not in content
        assert KEY.secret.encode() not in content


async def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(1), OpenHold(hold()), IssueKey(KEY))
    await store.append(receipt(2), AddSignOff(signed()), SaveUndo(undo()))
    head = store.head()
    store.close()
    again = opened(tmp_path)
    assert again.head() == head
    assert again.rollback is None
    assert await again.get("T-1") == hold()
    assert await again.signoffs("T-1") == (signed(),)
    assert await again.key(KEY.key_id) == KEY
    assert await again.undo("A-1") == undo()
    assert (await again.append(receipt(3))).index == 2
    assert _whole(again) == 3
    again.close()


async def test_the_runs_are_those_with_keys_or_changes(store: SqliteStore) -> None:
    await store.append(receipt(1), IssueKey(KEY))
    other = Principal("agent", "R-2", "olga")
    await store.append(receipt(2), StartAction("A-2", action(), other))
    await store.append(receipt(3), StartAction("A-3", action(), WHO))
    assert {(r.run, r.changes) for r in await store.runs()} == {("R-1", 1), ("R-2", 1)}
    assert store.state.principal_of("R-1") == WHO


async def test_another_process_reads_while_the_daemon_runs_and_after_it_died(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    await store.append(receipt(1), OpenHold(hold()))
    with StateFile(store.path) as other:
        assert other.checkpoint() == store.checkpoint()
        assert [h.ticket for h in other.waiting()] == ["T-1"]
        await store.append(receipt(2))
        assert [at for at, _ in other.receipts()] == [0, 1]
        with pytest.raises(LedgerUnavailable, match="sealed"):
            other.key(KEY.key_id) or other.in_doubt() or other._unsealer()
    store.close()
    with StateFile(store.path) as other:
        assert other.size() == 2
        with pytest.raises(sqlite3.OperationalError):
            other._db.execute("DELETE FROM holds")
    with pytest.raises(LedgerUnavailable, match="no ledger"):
        StateFile(tmp_path / "nothing.db")


async def test_receipts_can_be_read_from_the_middle(store: SqliteStore) -> None:
    await asyncio.gather(*(store.append(receipt(n)) for n in range(30)))
    assert [at for at, _ in store.receipts(10, 5)] == [10, 11, 12, 13, 14]
    assert [at for at, _ in store.receipts(28)] == [28, 29]
    await store.append(receipt(7, Mark.DECIDED))
    assert [at for at, _ in store.state.receipts_of("A-7")] == [30]


def test_a_second_daemon_is_kept_out(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="another daemon"):
        opened(tmp_path)


async def test_the_files_are_the_owners_alone(store: SqliteStore, tmp_path: Path) -> None:
    await store.append(receipt(1, Mark.CONTROL))
    for place in (tmp_path / "state", tmp_path / "elsewhere"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        for path in place.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_a_receipt_that_is_no_data_is_refused_alone(store: SqliteStore) -> None:
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        await store.append(receipt(1, number_of=float("nan")))
    await store.append(receipt(2))
    assert store.head()[0] == 1


async def test_text_that_is_no_text_hurts_only_its_sender(store: SqliteStore) -> None:
    half = action("half \ud800 pair")
    answers = await asyncio.gather(
        store.append(receipt(1)),
        store.append(receipt(2), StartAction("A-2", half, WHO)),
        store.append(replace(receipt(3), action_id="\ud800")),
        store.append(receipt(4), SaveUndo(undo(keep_until_ms=1 << 70))),
        store.append(receipt(5, text="\ud800"), OpenHold(replace(hold(), card={"t": "\ud800"}))),
        return_exceptions=True,
    )
    assert [isinstance(a, LedgerUnavailable) for a in answers] == [False, True, True, True, False]
    assert _whole(store) == 2
    found = await store.get("T-1")
    assert found is not None
    assert found.card == {"t": "\ud800"}


@pytest.mark.parametrize("trick", [{"$bytes": "no base64"}, {"$time": "noon"}, {"$bytes": "YQ"}])
async def test_what_only_looks_like_an_encoding_reads_back_as_it_was(
    store: SqliteStore, trick: dict[str, str]
) -> None:
    asked = action(trick=trick)
    await store.append(receipt(1), StartAction("A-1", asked, WHO))
    (doubtful,) = await store.in_doubt()
    assert doubtful.action.digest == asked.digest
    assert thaw(doubtful.action.parameters) == thaw(asked.parameters)


async def test_a_spent_hold_stays_spent_whatever_its_row_says(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.append(receipt(1), OpenHold(hold()))
    await store.append(receipt(2), MoveHold("T-1", HoldState.OPEN, HoldState.APPROVED))
    claim = MoveHold("T-1", HoldState.APPROVED, HoldState.CLAIMED)
    started = replace(receipt(3), mark=Mark.STARTED, detail=frozen(hold="T-1"))
    await store.append(started, claim)
    forger = sqlite3.connect(store.path)
    forger.execute("UPDATE holds SET state = 'approved' WHERE ticket = 'T-1'")
    forger.commit()
    with pytest.raises(StateConflict, match="used before"):
        await store.append(started, claim)


async def test_a_forged_switch_stops_everything_instead_of_lowering_a_boundary(
    store: SqliteStore,
) -> None:
    await store.append(receipt(1), SetSwitch("freeze/production", frozen(since_ms=1)))
    forger = sqlite3.connect(store.path)
    row = ("lowered/boundary-container/production", b'{"until_ms":9999999999999}', 1)
    forger.execute("INSERT INTO switches VALUES (?,?,?)", row)
    forger.commit()
    await store.append(receipt(2), SetSwitch("freeze/staging", frozen(since_ms=2)))
    with pytest.raises(SignoffError):
        await store.switches()


async def test_a_run_key_with_another_operator_in_its_row_does_not_open(
    store: SqliteStore,
) -> None:
    key = RunKey("AKIAX", "secret", WHO, 1, 1 << 50)
    await store.append(receipt(1), IssueKey(key))
    forger = sqlite3.connect(store.path)
    forger.execute("UPDATE run_keys SET operator = 'nobody'")
    forger.commit()
    with pytest.raises(SignoffError):
        await store.key("AKIAX")


async def test_nothing_is_written_after_closing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(1))
    store.close()
    store.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await store.append(receipt(2))


def test_an_append_without_an_event_loop_is_durable_too(store: SqliteStore) -> None:
    assert store.append_now(receipt(1)).index == 0
    with pytest.raises(StateConflict):
        store.append_now(receipt(2), FinishAction("A-1", "failed"))


async def test_a_full_disk_stops_everyone_and_is_forgotten_when_it_is_mended(
    store: SqliteStore,
) -> None:
    await store.append(receipt(0))
    head = store.head()
    writing = store._writer
    assert writing is not None
    assert writing._db is not None
    (pages,) = writing._db.execute("PRAGMA page_count").fetchone()
    writing._db.execute(f"PRAGMA max_page_count = {pages}")
    big = "x" * 200_000
    answers = await asyncio.gather(
        *(store.append(receipt(n, text=big)) for n in range(1, 4)), return_exceptions=True
    )
    assert all(isinstance(a, LedgerUnavailable) for a in answers)
    assert "full" in str(answers[0])
    assert "\n" not in str(answers[0])
    assert store.head() == head
    # The next attempt opens the file anew, and the limit is gone with the connection.
    sealed = await store.append(receipt(9, text=big))
    assert sealed.index == 1
    assert _whole(store) == 2


async def test_a_locked_file_is_one_clear_line_and_not_a_wait_for_ever(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(0))
    writing = store._writer
    assert writing is not None
    assert writing._db is not None
    writing._db.execute("PRAGMA busy_timeout = 0")
    thief = sqlite3.connect(store.path, isolation_level=None)
    thief.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked"):
        await store.append(receipt(1))
    thief.execute("ROLLBACK")
    thief.close()
    assert (await store.append(receipt(2))).index == 1
    store.close()


async def test_a_foreign_file_is_refused_at_opening(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "signoff.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        opened(tmp_path)


async def test_an_altered_receipt_is_found_at_opening(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await asyncio.gather(*(store.append(receipt(n)) for n in range(10)))
    store.close()
    for statement in (
        "UPDATE receipts SET body = CAST(replace(body, 'R-1', 'R-2') AS BLOB) WHERE at = 4",
        "DELETE FROM receipts WHERE at = 9",
        "DELETE FROM receipts WHERE at = 3",
    ):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(tmp_path / "state", copy / "state")
        db = sqlite3.connect(copy / "state" / "signoff.db")
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            db.execute(statement)
        db.executescript(
            "DROP TRIGGER receipts_are_not_changed;DROP TRIGGER receipts_are_not_removed;"
        )
        db.execute(statement)
        db.commit()
        db.close()
        with pytest.raises(ProofInvalid):
            opened(copy)


async def test_a_head_signed_by_another_key_is_found_at_opening(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(0))
    store.close()
    db = sqlite3.connect(store.path)
    db.execute("UPDATE checkpoints SET note = replace(note, ?, ?)", ("signoff/test\n", "other\n"))
    db.commit()
    db.close()
    with pytest.raises(ProofInvalid, match="another ledger"):
        opened(tmp_path)


def test_what_a_loop_left_behind_when_it_ended_holds_up_no_other_loop(store: SqliteStore) -> None:
    async def left_behind() -> None:
        store._writing()._busy = True  # It gathers for a moment, and the loop ends before.
        task = asyncio.create_task(store.append(receipt(1)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(left_behind())

    async def later() -> int:
        return (await asyncio.wait_for(store.append(receipt(2)), 5)).index

    assert asyncio.run(later()) == 1
    assert _whole(store) == 2


async def test_a_group_of_reads_that_cannot_be_written_leaves_nothing_of_itself(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    await store.append(receipt(1))
    # Where the second of three would stand, somebody else's row lies: the first fits.
    with sqlite3.connect(store.path) as other:
        other.execute("INSERT INTO receipts VALUES (2, 0, 'read', 'forged', '', x'00')")
    other.close()
    before = store.head()
    asked = [store.append(receipt(n)) for n in (2, 3, 4)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(a, LedgerUnavailable) for a in answers)
    assert store.head() == before
    with sqlite3.connect(store.path) as other:
        kept = other.execute("SELECT at, action_id FROM receipts ORDER BY at").fetchall()
        heads = other.execute("SELECT size FROM checkpoints").fetchall()
    other.close()
    assert kept == [(0, "A-1"), (2, "forged")]
    assert heads == [(1,)]
    store.close()

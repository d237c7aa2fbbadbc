"""The high-water mark kept elsewhere: an older copy of the state is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from durable import SIGNER, VAULT_KEY, hold, opened, receipt
from signoff.ledger.merkle import Frontier
from signoff.model.decision import HoldState
from signoff.model.errors import ConfigInvalid, ProofInvalid
from signoff.model.ports import MoveHold, OpenHold
from signoff.model.receipt import Mark
from signoff.store.mark import HighWaterMark
from signoff.store.sqlite import open_store
from signoff.vault import KeySealer


def _mark(directory: Path) -> HighWaterMark:
    return HighWaterMark(directory / "elsewhere" / "mark")


async def _two_holds(directory: Path) -> None:
    store = opened(directory)
    await store.append(receipt(1, Mark.HELD), OpenHold(hold("T-1", "1" * 64)))
    await store.append(receipt(2, Mark.HELD), OpenHold(hold("T-2", "2" * 64)))
    await store.append(
        receipt(3, Mark.APPROVED), MoveHold("T-2", HoldState.OPEN, HoldState.APPROVED)
    )
    store.close()


async def test_the_mark_is_written_before_a_change_is_acknowledged(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for n in range(3):
        await store.append(receipt(n, Mark.CONTROL))
        assert _mark(tmp_path).head(SIGNER) == (n + 1, bytes.fromhex(store.head()[1]))
    store.close()


async def test_the_mark_of_reads_is_written_at_the_latest_when_closing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for n in range(5):
        await store.append(receipt(n))
    store.close()
    assert _mark(tmp_path).head(SIGNER) == (5, bytes.fromhex(store.head()[1]))


async def test_an_older_copy_put_back_is_noticed_and_its_holds_are_voided(tmp_path: Path) -> None:
    await _two_holds(tmp_path)
    shutil.copytree(tmp_path / "state", tmp_path / "older")
    store = opened(tmp_path)
    assert store.rollback is None
    await store.append(receipt(4), MoveHold("T-2", HoldState.APPROVED, HoldState.CLAIMED))
    await store.append(receipt(5, Mark.STARTED))
    store.close()
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "older").rename(tmp_path / "state")

    store = opened(tmp_path)
    assert store.rollback is not None
    assert (store.rollback.mark_size, store.rollback.ledger_size) == (5, 3)
    assert "2 receipts are missing" in store.rollback.why
    assert await store.void_waiting_holds(store.rollback.why) == ("T-1", "T-2")
    assert await store.open() == ()
    states = [(await store.get(t)).state for t in ("T-1", "T-2")]  # type: ignore[union-attr]  # there
    assert states == [HoldState.VOID, HoldState.VOID]
    assert store.head()[0] == 5
    store.close()
    # What was lost stays as evidence; the new history has a mark of its own.
    assert HighWaterMark(tmp_path / "elsewhere" / "mark.lost-5").head(SIGNER) is not None
    again = opened(tmp_path)
    assert again.rollback is None
    again.close()


async def test_another_history_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    await _two_holds(tmp_path)
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "elsewhere").rename(tmp_path / "kept")
    store = opened(tmp_path)
    for n in range(10, 14):
        await store.append(receipt(n))
    store.close()
    shutil.rmtree(tmp_path / "elsewhere")
    (tmp_path / "kept").rename(tmp_path / "elsewhere")
    store = opened(tmp_path)
    assert store.rollback is not None
    assert "others than those that were signed" in store.rollback.why
    store.close()


async def test_a_missing_or_forged_mark_is_noticed(tmp_path: Path) -> None:
    await _two_holds(tmp_path)
    mark = tmp_path / "elsewhere" / "mark"
    note = mark.read_text()
    for text in (None, "", note.replace("\n3\n", "\n2\n"), note[:-9], "x" * 100_000):
        mark.unlink(missing_ok=True)
        if text is not None:
            mark.write_text(text)
        store = opened(tmp_path)
        assert store.rollback is not None
        assert store.rollback.mark_size == 0
        store.close()
        mark.write_text(note)


async def test_a_new_ledger_without_a_mark_is_no_rollback(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.rollback is None
    store.close()


async def test_a_mark_that_cannot_be_written_is_said_and_tried_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    (tmp_path / "elsewhere").write_text("in the way")
    await store.append(receipt(1, Mark.CONTROL))
    assert "not written" in store.mark_trouble()
    (tmp_path / "elsewhere").unlink()
    await store.append(receipt(2, Mark.CONTROL))
    assert store.mark_trouble() == ""
    store.close()
    assert _mark(tmp_path).head(SIGNER) == (2, bytes.fromhex(store.head()[1]))


def test_a_mark_of_another_ledger_is_not_read_as_ours(tmp_path: Path) -> None:
    mark = HighWaterMark(tmp_path / "mark")
    assert mark.head(SIGNER) is None
    mark.write("nonsense")
    with pytest.raises(ProofInvalid):
        mark.head(SIGNER)


def test_a_mark_inside_the_state_directory_is_refused(tmp_path: Path) -> None:
    for mark in (tmp_path / "state" / "mark", tmp_path / "x" / ".." / "state" / "deep" / "mark"):
        with pytest.raises(ConfigInvalid, match="in the state directory"):
            open_store(
                tmp_path / "state" / "signoff.db",
                tree=Frontier.unpacked,
                notary=SIGNER,
                sealer=KeySealer(VAULT_KEY),
                mark=mark,
            )
    assert not (tmp_path / "state").exists()

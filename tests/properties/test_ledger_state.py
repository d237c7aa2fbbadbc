"""The store against a model of a few lines, and against SIGKILL at any moment."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable import SIGNER, WHO, action, hold, opened, receipt, signed
from signoff.ledger.log import leaves
from signoff.ledger.verify import verify_ledger
from signoff.model.decision import HoldState
from signoff.model.errors import LedgerUnavailable, StateConflict
from signoff.model.ports import (
    AddSignOff,
    Change,
    FinishAction,
    MoveHold,
    OpenHold,
    Sealed,
    StartAction,
)
from signoff.model.values import uncanonical
from signoff.store.reading import StateFile
from signoff.store.sqlite import SqliteStore

TICKETS = st.sampled_from([f"T-{n}" for n in range(6)])
STATES = st.sampled_from(list(HoldState))
OPEN_MOST = 2

OPERATIONS = st.one_of(
    st.builds(
        lambda ticket, run, digest: OpenHold(
            hold(ticket, digest * 64, replace(WHO, run=run)), OPEN_MOST
        ),
        TICKETS,
        st.sampled_from(["R-1", "R-2"]),
        st.sampled_from("abc"),
    ),
    st.builds(MoveHold, TICKETS, STATES, STATES),
    # The moves of the story more often than chance would have them.
    st.builds(
        lambda ticket, move: MoveHold(ticket, *move),
        TICKETS,
        st.sampled_from(
            [
                (HoldState.OPEN, HoldState.APPROVED),
                (HoldState.APPROVED, HoldState.CLAIMED),
                (HoldState.OPEN, HoldState.REJECTED),
            ]
        ),
    ),
    st.builds(lambda t, h: AddSignOff(signed(t, h)), TICKETS, st.sampled_from(["ann", "bob"])),
    st.builds(lambda n: StartAction(f"A-{n}", action(), WHO), st.integers(0, 3)),
    st.builds(
        FinishAction,
        st.sampled_from([f"A-{n}" for n in range(4)]),
        st.sampled_from(["succeeded", "failed", "in_doubt"]),
    ),
)
WAITING = (HoldState.OPEN, HoldState.APPROVED)


class Model:
    """What the store must be like, said in a few lines."""

    def __init__(self) -> None:
        self.holds: dict[str, tuple[str, str, HoldState]] = {}
        self.signed: set[tuple[str, str]] = set()
        self.actions: dict[str, str] = {}
        self.receipts: list[bytes] = []

    def apply(self, leaf: bytes, changes: tuple[Change, ...]) -> bool:
        """Apply all or nothing; whether it was applied."""
        before = (dict(self.holds), set(self.signed), dict(self.actions))
        if all(self._apply(change) for change in changes):
            self.receipts.append(leaf)
            return True
        self.holds, self.signed, self.actions = before
        return False

    def _apply(self, change: Change) -> bool:
        match change:
            case OpenHold(hold=new, open_most=most):
                mine = [
                    digest
                    for run, digest, state in self.holds.values()
                    if run == new.principal.run and state in WAITING
                ]
                if new.ticket in self.holds or new.action_digest in mine or len(mine) >= most:
                    return False
                self.holds[new.ticket] = (new.principal.run, new.action_digest, new.state)
            case MoveHold(ticket=ticket, source=source, target=target):
                if ticket not in self.holds or self.holds[ticket][2] is not source:
                    return False
                run, digest, _ = self.holds[ticket]
                others = [h for t, h in self.holds.items() if t != ticket]
                same = any(h[:2] == (run, digest) and h[2] in WAITING for h in others)
                if target in WAITING and same:
                    return False
                self.holds[ticket] = (run, digest, target)
            case AddSignOff(signoff=row):
                if row.ticket not in self.holds or (row.ticket, row.human) in self.signed:
                    return False
                self.signed.add((row.ticket, row.human))
            case StartAction(action_id=action_id):
                if action_id in self.actions:
                    return False
                self.actions[action_id] = "started"
            case FinishAction(action_id=action_id, state=state):
                if self.actions.get(action_id) not in ("started", "in_doubt"):
                    return False
                self.actions[action_id] = state
        return True


async def _same(store: SqliteStore, model: Model) -> None:
    for ticket, (_, _, state) in model.holds.items():
        found = await store.get(ticket)
        assert found is not None
        assert found.state is state
        humans = {row.human for row in await store.signoffs(ticket)}
        assert humans == {h for t, h in model.signed if t == ticket}
    waiting = {h.ticket for h in await store.open()}
    assert waiting == {t for t, h in model.holds.items() if h[2] in WAITING}
    doubt = {a.action_id for a in await store.in_doubt()}
    assert doubt == {a for a, s in model.actions.items() if s in ("started", "in_doubt")}
    bodies = [body for _, body in store.receipts()]
    assert bodies == model.receipts
    if bodies:
        assert verify_ledger(bodies, store.checkpoint(), SIGNER.key).head.size == len(bodies)


@given(
    st.lists(
        st.lists(st.lists(OPERATIONS, max_size=3).map(tuple), min_size=1, max_size=8),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_order_of_changes_leaves_the_store_as_the_model(
    groups: list[list[tuple[Change, ...]]],
) -> None:
    async def run(directory: Path) -> None:
        store, model, number = opened(directory), Model(), 0
        for group in groups:
            receipts = [receipt(number + n) for n in range(len(group))]
            number += len(group)
            pairs = list(zip(receipts, group, strict=True))
            answers = await asyncio.gather(
                *(store.append(r, *changes) for r, changes in pairs), return_exceptions=True
            )
            for (given_receipt, changes), answer in zip(pairs, answers, strict=True):
                if model.apply(given_receipt.leaf(), changes):
                    assert isinstance(answer, Sealed), answer
                    assert answer.index == len(model.receipts) - 1
                else:
                    assert isinstance(answer, StateConflict), answer
        await _same(store, model)
        store.close()
        again = opened(directory)
        await _same(again, model)
        again.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory)))


def _append_for_ever(directory: Path, start: int, out: int) -> None:
    """What the killed process does: several writers, each acknowledged receipt told."""
    store = opened(directory)

    async def writer(lane: int) -> None:
        number = start + lane * 1000
        while True:
            number += 1
            changes: tuple[Change, ...] = ()
            if lane == 0:
                changes = (StartAction(f"A-{number}", action(), WHO),)
            sealed = await store.append(receipt(number), *changes)
            os.write(out, b"%d %d\n" % (sealed.index, number))

    async def everyone() -> None:
        await asyncio.gather(*(writer(lane) for lane in range(4)))

    asyncio.run(everyone())


def _killed_after(directory: Path, start: int, lines: int) -> dict[int, int]:
    """Run it in a process of its own and SIGKILL it after so many answers: what it was told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _append_for_ever(directory, start, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        told = [answers.readline() for _ in range(lines)]
        os.kill(child, signal.SIGKILL)
        told += answers.read().split(b"\n")
    os.waitpid(child, 0)
    pairs = [line.split() for line in told if line]
    return {int(index): int(number) for index, number in pairs}


def _kill_and_look(directory: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    told: dict[int, int] = {}
    for kill in range(kills):
        news = _killed_after(directory, kill * 10_000, chance.randrange(1, 40))
        assert not told.keys() & news.keys()
        told |= news
        # Whoever looks while the daemon is dead finds a whole ledger too.
        with StateFile(directory / "state" / "signoff.db") as dead:
            assert verify_ledger(leaves(dead), dead.checkpoint(), SIGNER.key).head.size > max(told)
        store = opened(directory)
        assert store.rollback is None
        bodies = [body for _, body in store.receipts()]
        verified = verify_ledger(bodies, store.checkpoint(), SIGNER.key)
        assert (verified.head.size, verified.head.root.hex()) == store.head()
        for index, number in told.items():
            assert bodies[index] == receipt(number).leaf()
        # An action is started exactly when its receipt stands in the ledger.
        numbers = [uncanonical(body)["detail"]["number"] for body in bodies]  # type: ignore[index,call-overload]  # our own receipts
        expected = {f"A-{n}" for n in numbers if n % 10_000 <= 1000}
        assert {a.action_id for a in store.state.in_doubt()} == expected
        store.close()


@pytest.mark.slow
def test_no_acknowledged_receipt_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    _kill_and_look(tmp_path, kills=20, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_no_acknowledged_receipt_is_lost_through_many_kills(tmp_path: Path, seed: int) -> None:
    _kill_and_look(tmp_path, kills=50, seed=seed)


def test_a_disk_that_is_really_full_stops_everything_and_then_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append_now(receipt(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    written = 1
    try:
        for written in range(1, 100):
            try:
                store.append_now(receipt(written, text="x" * 50_000))
            except LedgerUnavailable as error:
                assert "no receipt can be written" in str(error)  # noqa: PT017
                break
        else:
            pytest.fail("the limit was never reached")
        head = store.head()
        with pytest.raises(LedgerUnavailable):
            store.append_now(receipt(100, text="x" * 1_500_000))
        assert store.head() == head
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.append_now(receipt(101, text="x" * 50_000)).index == head[0]
    bodies = [body for _, body in store.receipts()]
    assert verify_ledger(bodies, store.checkpoint(), SIGNER.key).head.size == written + 1
    store.close()

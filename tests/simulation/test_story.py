"""A seeded simulator that kills the process between any two receipts.

Each schedule is a run of random requests, signatures, foreign writes and undos. At a
random receipt the process dies, before or after that commit; it boots again over what was
committed and goes on. Then the whole history is judged from the outside: from the world's
own list of what really happened, never from what the story says of itself.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from signoff.model.action import Action
from signoff.model.decision import HoldState, Verdict
from signoff.model.errors import ExecutionFailed, SignoffError
from signoff.model.receipt import Mark, Receipt
from signoff.testing import MemoryStore, Stopped
from story import Stage, drawer

pytestmark = pytest.mark.slow

SCHEDULES = int(os.environ.get("SIGNOFF_SCHEDULES", "1000"))
CHUNKS = 10
KEYS = ("dev-a", "dev-b", "dev-fire", "prod-a", "prod-b", "prod-fire")


def actions(seeded: random.Random) -> Action:
    verb = seeded.choice(("Look", "Put", "Put", "Remove"))
    return drawer(verb, seeded.choice(KEYS), f"text-{seeded.randrange(4)}")


async def one_move(stage: Stage, seeded: random.Random, asked: list[Action]) -> None:
    move = seeded.random()
    if move < 0.45:
        asked.append(actions(seeded))
        await stage.ask(asked[-1])
    elif move < 0.65 and asked:
        await stage.ask(seeded.choice(asked))
    elif move < 0.85:
        waiting = [h for h in stage.store.holds.values() if h.state is HoldState.OPEN]
        if waiting:
            verdict = Verdict.REJECT if seeded.random() < 0.1 else Verdict.APPROVE
            human = seeded.choice(("olga", "ana", "bo", "cy"))
            await stage.sign(seeded.choice(waiting).ticket, human, verdict)
    elif move < 0.92:
        stage.world.held[seeded.choice(KEYS)] = f"foreign-{seeded.randrange(9)}"
    elif move < 0.95:
        stage.world.cut = True
    else:
        rows = [u for u in stage.store.undo_rows.values() if u.state == "executed"]
        if rows:
            await stage.rewind.take_back([seeded.choice(rows)], "ana", verified=True)


def judge(stage: Stage) -> None:
    """INVARIANTS 1, 2 and 8, from what really happened and what is in the ledger."""
    store: MemoryStore = stage.store
    started = [r for r in store.receipts if r.mark is Mark.STARTED]
    intents: Counter[str] = Counter()
    for receipt in started:
        intents.update(changes_of(receipt))
    happened = Counter(stage.world.done)
    # No effect without its receipt, and none twice: at most as many as intents.
    assert all(intents[change] >= count for change, count in happened.items())
    # Every start without an outcome is in doubt and listed, never run again.
    ended = {r.action_id for r in store.receipts if r.mark in ENDS}
    open_ended = {r.action_id for r in started} - ended
    assert open_ended == set(store.in_doubt())
    for receipt in started:
        check_humans(store, receipt)
        check_undo(store, receipt)
    tickets = [str(r.detail["hold"]) for r in started if r.detail.get("hold")]
    assert len(tickets) == len(set(tickets)), "a sign-off was spent twice"


ENDS = (Mark.SUCCEEDED, Mark.FAILED, Mark.IN_DOUBT)


def changes_of(receipt: Receipt) -> list[str]:
    action = receipt.action
    assert action is not None
    parts = action.parameters.get("steps")
    inner = [Action.from_data(p["action"]) for p in parts] if parts else [action]
    return [f"{a.name.partition(':')[2]} {a.parameters['key']}" for a in inner]


def check_humans(store: MemoryStore, receipt: Receipt) -> None:
    """No production change by the agent without its humans, none of them the operator."""
    if not receipt.principal.is_agent:
        return
    changes = changes_of(receipt)
    if not any(" prod-" in change for change in changes):
        return
    ticket = str(receipt.detail["hold"])
    yes = {s.human for s in store.rows[ticket] if s.verdict is Verdict.APPROVE}
    assert "olga" not in yes
    needed = 2 if any("fire" in change for change in changes) else 1
    assert len(yes) >= needed


def check_undo(store: MemoryStore, receipt: Receipt) -> None:
    """No change without its captured undo."""
    assert receipt.action_id in store.undo_rows


async def schedule(seed: int) -> int:
    seeded = random.Random(seed)
    stage = Stage({key: f"first {key}" for key in KEYS if seeded.random() < 0.7})
    asked: list[Action] = []
    deaths = 0
    for _ in range(seeded.randrange(4, 16)):
        if stage.store.stop_after is None and seeded.random() < 0.4:
            stage.store.stop_after = seeded.randrange(0, 6)
            stage.store.stop_before_commit = seeded.random() < 0.5
        try:
            await one_move(stage, seeded, asked)
        except Stopped:
            deaths += 1
            stage.store.stop_after = None
            stage.boot()
        except (ExecutionFailed, SignoffError):
            pass
    judge(stage)
    return deaths


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_no_schedule_of_deaths_loses_a_receipt_or_runs_anything_twice(chunk: int) -> None:
    base = int(os.environ.get("SIGNOFF_SEED", "20260101"))
    deaths = 0
    for number in range(SCHEDULES // CHUNKS):
        seed = base * 1_000_003 + chunk * 100_000 + number
        try:
            deaths += await schedule(seed)
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}: {error}") from error
    assert deaths > 0, "no schedule killed the process: the simulator simulates nothing"

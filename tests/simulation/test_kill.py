"""A real daemon, SIGKILLed at random moments, judged by what its target really did.

One state directory lives through all schedules: in each, an agent changes things, people
sign and take back, and at a moment drawn from the seed (after a time, at a receipt, inside a
call to the target, or while it starts) the daemon is killed as a power cut does. Every eighth
daemon is a whole `signoff up`; the others are forked from a parent that has read the modules
and the operations index already (nursery.py). What follows is judged against the target's own
list of effects and the verified ledger.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from attacks.attacker import Seen, dynamodb
from attacks.fake_aws import FakeAws
from signoff.approvals.recount import payload
from signoff.approvals.signatures import Verifiers
from signoff.config import MapRow, read_secret
from signoff.demo.children import bare_environment
from signoff.demo.guard import Guard, prepare
from signoff.ledger.checkpoint import parse_checkpoint
from signoff.model.decision import Verdict
from signoff.model.errors import SignoffError
from signoff.store.reading import StateFile
from signoff.vault import KeySealer

SCHEDULES = int(os.environ.get("SIGNOFF_KILLS", "104"))
WHOLE_STARTS = 8
SEED = int(os.environ.get("SIGNOFF_SEED", "20260101"))
KEYS = ("a", "b", "c", "d")
ENDS = {"succeeded", "failed", "in_doubt"}
GONE = (OSError, http.client.HTTPException, SignoffError, ValueError)
NURSERY = str(Path(__file__).with_name("nursery.py"))


def canon(operation: str, parameters: Any) -> str:
    return json.dumps([operation, parameters], sort_keys=True)


@dataclass
class Promised:
    """What somebody was told before the kill, and so must be true after it."""

    changed: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    tickets: set[str] = field(default_factory=set)
    signed: set[tuple[str, str]] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)


@dataclass
class Theatre:
    """The daemon, its target, and everything promised since the beginning."""

    guard: Guard
    nursery: Nursery
    aws: FakeAws
    told: Promised = field(default_factory=Promised)
    key: dict[str, str] = field(default_factory=dict)
    pending: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    killed: threading.Event = field(default_factory=threading.Event)
    most_doubtful: int = 0

    def kill(self) -> None:
        """SIGKILL, once."""
        if not self.killed.is_set():
            self.killed.set()
            self.guard.kill()
            self.nursery.kill()

    def state(self) -> StateFile:
        """The state as it is on disk, with what is sealed readable."""
        key = read_secret(self.guard.config.vault.key_file, "the vault key")
        return StateFile(self.guard.config.ledger_path, KeySealer(key))


class Nursery:
    """The parent of forked daemons (nursery.py)."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        variables = bare_environment(
            HOME=str(guard.folder),
            AWS_ACCESS_KEY_ID="OWNERSREALKEYID00000",
            AWS_SECRET_ACCESS_KEY="the owners real secret",
        )
        log = str(guard.folder / "daemon.log")
        self.parent = subprocess.Popen(
            [sys.executable, NURSERY, str(guard.config.path), log],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables,
            cwd=guard.folder,
            text=True,
        )
        self.child = -1

    def fork(self) -> None:
        """One more daemon; it may not serve yet."""
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write("start\n")
        self.parent.stdin.flush()
        self.child = os.pidfd_open(int(self.parent.stdout.readline()))

    def start(self) -> None:
        """One more daemon, serving."""
        self.fork()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(SignoffError):
                gates = self.guard.control.status()["gates"]
                assert isinstance(gates, list)
                self.guard.endpoint = str(gates[0]["address"])
                return
            assert not self.ended(0), f"the daemon did not start: {self.guard.last_words()}"
            time.sleep(0.01)
        raise AssertionError("the daemon did not serve within 60 s")

    def ended(self, seconds: float) -> bool:
        """Whether it is gone, waiting a while for that (pidfd_open(2))."""
        return bool(select.select([self.child], [], [], seconds)[0])

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.child >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.child, signal.SIGKILL)
            assert self.ended(10)
            os.close(self.child)
            self.child = -1

    def stop(self) -> None:
        """End it all."""
        self.kill()
        self.parent.kill()
        self.parent.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where possible: a SIGKILL loses nothing the kernel has, so disks only cost."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="signoff-kill-", dir=memory) as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def theatre(folder: Path) -> Iterator[Theatre]:
    aws = FakeAws({"orders": {}, "dev-orders": {}})
    rules = (MapRow("development", name="dev-*"),)
    guard = prepare(folder / "guard", aws.url, rules=rules)
    nursery = Nursery(guard)
    try:
        yield Theatre(guard, nursery, aws)
    finally:
        guard.kill()
        nursery.stop()
        aws.stop()


# --- what happens on the stage -------------------------------------------------------------


def draw(seeded: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    """One operation of the agent. A put is about a value nobody put before."""
    table = seeded.choice(("orders", "dev-orders", "dev-orders"))
    key = {"id": {"S": seeded.choice(KEYS)}}
    match seeded.randrange(8):
        case 0:
            return "GetItem", {"TableName": table, "Key": key}
        case 1:
            return "DeleteItem", {"TableName": table, "Key": key}
        case 2:
            return "UpdateTable", {"TableName": "orders", "DeletionProtectionEnabled": False}
    return "PutItem", {"TableName": table, "Item": {**key, "v": {"N": str(number)}}}


def agent(stage: Theatre, seeded: random.Random, base: int) -> None:
    """The agent: new work, or again what it was told to ask again."""
    for number in range(200):
        if stage.killed.is_set():
            return
        again = bool(stage.pending) and seeded.random() < 0.6
        operation, body = seeded.choice(stage.pending)[:2] if again else draw(seeded, base + number)
        try:
            seen = dynamodb(stage.guard.endpoint, stage.key, operation, **body)
        except GONE:
            return
        hear(stage, operation, body, seen)


def hear(stage: Theatre, operation: str, body: dict[str, Any], seen: Seen) -> None:
    """Remember what the agent was told."""
    if seen.status == 200 and operation == "GetItem":
        stage.told.reads += 1
    elif seen.status == 200:
        stage.told.changed[canon(operation, body)] += 1
        stage.pending = [p for p in stage.pending if p[:2] != (operation, body)]
    elif seen.ticket:
        stage.told.tickets.add(seen.ticket)
        if all(p[2] != seen.ticket for p in stage.pending):
            stage.pending = [*stage.pending, (operation, body, seen.ticket)][-8:]
    else:
        stage.pending = [p for p in stage.pending if p[:2] != (operation, body)]


def signers(stage: Theatre, seeded: random.Random) -> None:
    """People who sign what waits, the operator among them."""
    while not stage.killed.wait(0.005):
        for _, _, ticket in stage.pending:
            who = seeded.choice(("ana", "bo", "cy", "cy", "olga"))
            verdict = Verdict.REJECT if seeded.random() < 0.04 else Verdict.APPROVE
            if (ticket, who) in stage.told.signed or stage.killed.is_set():
                continue
            with suppress(*GONE):
                stage.guard.decide(ticket, who, verdict)
                stage.told.signed.add((ticket, who))


def undoers(stage: Theatre, seeded: random.Random) -> None:
    """A person who takes back what the agent did: the last change, or the whole run."""
    stage.killed.wait(seeded.uniform(0.02, 0.3))
    whole = {"run": stage.key["run"]}
    with suppress(*GONE):
        with stage.state() as state:
            last = [u.action_id for u in state.undos(stage.key["run"])][:1]
        done = stage.guard.undo(
            "ana", **({"action": last[0]} if last and seeded.random() < 0.8 else whole)
        )
        rows = done["undone"]
        assert isinstance(rows, list)
        stage.told.undone |= {str(r["action"]) for r in rows if r["state"] == "undone"}


def killer(stage: Theatre, seeded: random.Random) -> Callable[[], None]:
    """How this schedule ends: the moment is the seed's."""
    match seeded.randrange(3):
        case 0:
            wait = seeded.uniform(0.02, 0.6)
            return lambda: stage.killed.wait(wait) or stage.kill()
        case 1:
            with stage.state() as state:
                base = state.size()
            return lambda: at_receipt(stage, base + seeded.randrange(1, 40))
        case _:
            left = [seeded.randrange(1, 60)]
            pause = seeded.uniform(0, 0.004)

            def in_a_call(operation: str) -> None:
                left[0] -= 1
                if left[0] == 0:
                    stage.kill()
                time.sleep(pause)

            stage.aws.delay = in_a_call
            return lambda: stage.killed.wait(1.0) or stage.kill()


def at_receipt(stage: Theatre, size: int) -> None:
    """Watch the ledger from outside, and kill as soon as it has so many receipts."""
    deadline = time.monotonic() + 1.0
    with stage.state() as state:
        while time.monotonic() < deadline and state.size() < size:
            time.sleep(0.0005)
    stage.kill()


def play(stage: Theatre, seeded: random.Random, number: int) -> None:
    """One schedule, from a running daemon to a dead one."""
    if number % 2 == 0 or not stage.key:
        stage.pending = []
        stage.key = stage.guard.key(agent=f"builder-{number}")
        stage.told.keys.add(stage.key["key_id"])
    stage.killed.clear()
    warm = {"TableName": "orders", "Key": {"id": {"S": "a"}}}
    seen = dynamodb(stage.guard.endpoint, stage.key, "GetItem", **warm)
    assert seen.status == 200, seen.text
    stage.told.reads += 1
    end = killer(stage, seeded)
    rest = [random.Random(seeded.random()) for _ in range(3)]
    workers = [
        threading.Thread(target=agent, args=(stage, rest[0], number * 1000)),
        threading.Thread(target=signers, args=(stage, rest[1])),
        threading.Thread(target=undoers, args=(stage, rest[2])),
    ]
    for worker in workers:
        worker.start()
    end()
    for worker in workers:
        worker.join(10)
        assert not worker.is_alive()
    stage.aws.delay = lambda operation: None
    stage.aws.drain()


# --- what is judged ------------------------------------------------------------------------


def parts(parameters: Any, name: str) -> list[tuple[str, Any]]:
    """The changes of one recorded action: itself, or the steps of an undo."""
    if name != "signoff:Undo":
        return [(name.partition(":")[2], parameters)]
    return [
        (step["action"]["name"].partition(":")[2], step["action"]["parameters"])
        for step in parameters["steps"]
    ]


def plain(value: Any) -> Any:
    """Recorded parameters as JSON has them."""
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if hasattr(value, "items"):
        return {name: plain(one) for name, one in value.items()}
    return value


def judge(stage: Theatre, verifiers: Verifiers) -> set[str]:
    """Every invariant, over the whole history. Returns the actions without an outcome."""
    with stage.state() as state:
        rows = [json.loads(body) for _, body in state.receipts()]
        intents: Counter[str] = Counter()
        done: Counter[str] = Counter()
        ended = {r["action_id"] for r in rows if r["mark"] in ENDS}
        succeeded = {r["action_id"] for r in rows if r["mark"] == "succeeded"}
        started = [r for r in rows if r["mark"] == "started"]
        for receipt in started:
            recorded = state.action(receipt["action_id"])
            assert recorded is not None, "a start without its action"
            changes = parts(plain(recorded.action.parameters), recorded.action.name)
            for change in changes:
                intents[canon(*change)] += 1
                done[canon(*change)] += receipt["action_id"] in succeeded
            assert state.undo(receipt["action_id"]), "a change without its captured undo"
            check_humans(state, receipt, changes, stage.guard, verifiers)
        tickets = [r["detail"]["hold"] for r in started if r["detail"].get("hold")]
        assert len(tickets) == len(set(tickets)), "a sign-off was spent twice"
        check_effects(stage, intents, done)
        check_promises(stage, state, rows)
        return {r["action_id"] for r in started} - ended


def check_effects(stage: Theatre, intents: Counter[str], done: Counter[str]) -> None:
    """No effect without its intent, none twice, and nothing acknowledged that is not there."""
    happened = Counter(canon(*effect) for effect in stage.aws.effects)
    for change, count in happened.items():
        assert count <= intents[change], f"{change} happened {count}, intended {intents[change]}"
    for change, count in done.items():
        assert happened[change] >= count, f"{change} is recorded as done and never happened"
    for change, count in stage.told.changed.items():
        assert done[change] >= count, f"{change} was acknowledged and is not in the ledger"


def check_humans(
    state: StateFile,
    receipt: dict[str, Any],
    changes: list[tuple[str, Any]],
    guard: Guard,
    verifiers: Verifiers,
) -> None:
    """No production change of the agent without its humans, by their signatures."""
    if not receipt["principal"]["agent"]:
        return
    if all(body["TableName"].startswith("dev-") for _, body in changes):
        return
    needed = 2 if any(name == "UpdateTable" for name, _ in changes) else 1
    hold = state.hold(receipt["detail"]["hold"])
    assert hold is not None, "a production change without a hold"
    approved = set()
    for row in state.signoffs(hold.ticket):
        assert row.verdict is Verdict.APPROVE, "it ran although somebody said no"
        key = guard.people[row.human].key
        verifiers.verify(key, payload(hold, row.verdict.value), row.signature)
        approved.add(row.human)
    assert "olga" not in approved
    assert len(approved) >= needed


def check_promises(stage: Theatre, state: StateFile, rows: list[dict[str, Any]]) -> None:
    """What somebody was told before a kill is still so."""
    told = stage.told
    assert sum(r["mark"] == "read" for r in rows) >= told.reads
    assert all(state.hold(ticket) for ticket in told.tickets), "a ticket was lost"
    kept = {(t, s.human) for t in told.tickets for s in state.signoffs(t)}
    assert {s for s in told.signed if s[0] in told.tickets} <= kept, "a sign-off was lost"
    assert all(state.key(key) for key in told.keys), "a run key was lost"
    undone = {r["detail"]["of"] for r in rows if r["mark"] == "undone"}
    assert told.undone <= undone, "an undo was lost"


def start_and_look(stage: Theatre, doubtful: set[str], *, whole: bool) -> None:
    """The next start lists what is in doubt, tries none of it, and the ledger verifies."""
    before = len(stage.aws.effects)
    if whole:
        stage.guard.start()
    else:
        stage.nursery.start()
    listed = stage.guard.control.status()["in_doubt"]
    assert isinstance(listed, list)
    assert {str(line).partition(" ")[0] for line in listed} == doubtful
    with stage.state() as state:
        last = [json.loads(b) for _, b in state.receipts() if b'"mark":"startup"' in b][-1]
        mark = stage.guard.config.high_water.read_text("utf-8")
        assert parse_checkpoint(mark)[0].size <= state.size()
    assert set(last["detail"]["in_doubt"]) == doubtful
    assert last["detail"]["rollback"] == ""
    assert len(stage.aws.effects) == before, "something in doubt was tried again"
    assert stage.guard.control.verify()["findings"] == []
    if whole:
        ran = subprocess.run(
            [sys.executable, "-m", "signoff", "verify"],
            env=bare_environment(
                SIGNOFF_CONFIG=str(stage.guard.config.path), HOME=str(stage.guard.folder)
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr


def die_while_starting(stage: Theatre, seeded: random.Random) -> None:
    """Killed before it serves, or just then: nothing may come of that either."""
    stage.nursery.fork()
    time.sleep(seeded.uniform(0, 0.3))
    stage.nursery.kill()


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(600)
def test_no_sigkill_of_the_daemon_loses_repeats_or_lets_anything_through(theatre: Theatre) -> None:
    doubtful: set[str] = set()
    for number in range(SCHEDULES):
        seed = SEED * 1_000_003 + number
        seeded = random.Random(seed)
        try:
            if number % 9 == 8:
                die_while_starting(theatre, seeded)
            start_and_look(theatre, doubtful, whole=number % WHOLE_STARTS == 0)
            play(theatre, seeded, number)
            doubtful = judge(theatre, Verifiers())
            theatre.most_doubtful = max(theatre.most_doubtful, len(doubtful))
        except AssertionError as error:
            raise AssertionError(f"schedule {number} of seed {seed}: {error}") from error
    start_and_look(theatre, doubtful, whole=True)
    assert len(theatre.aws.effects) > SCHEDULES, "next to nothing happened: nothing was tested"
    assert theatre.most_doubtful > 0, "no kill fell inside a change"
    assert theatre.told.undone
    assert theatre.told.signed
    assert theatre.told.changed

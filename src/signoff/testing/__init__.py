"""Public fakes of the ports, a toy surface, and a scene to put them in.

Everything here is deterministic: a clock that moves when told, a store in memory that
keeps the same rules as the real one, and a world of drawers that hold texts. The
simulator stops the process between any two receipts by making `MemoryStore.stop_after`
run out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from signoff.model.action import Action, Answer, Answers, Question
from signoff.model.decision import Hold, HoldState, SignOff
from signoff.model.effect import (
    Bound,
    Effect,
    Kind,
    Resource,
    Reversibility,
    Step,
    Understanding,
    Verb,
)
from signoff.model.errors import CaptureFailed, ExecutionFailed, LedgerUnavailable, StateConflict
from signoff.model.grant import Grant
from signoff.model.ports import (
    AddSignOff,
    Change,
    FinishAction,
    IssueKey,
    MoveHold,
    OpenGrant,
    OpenHold,
    Outcome,
    RevokeGrant,
    RevokeKey,
    RunKey,
    SaveUndo,
    Sealed,
    SetSwitch,
    StartAction,
    Undo,
    UseGrant,
)
from signoff.model.receipt import Receipt
from signoff.model.values import Data, digest, frozen
from signoff.surfaces.base import Captured, Places, Restoration


class Stopped(BaseException):
    """The simulated death of the process: nothing in the story may catch it."""


@dataclass
class FakeClock:
    """A clock that moves only when told."""

    ms: int = 1_800_000_000_000

    def now_ms(self) -> int:
        """The time it was set to."""
        return self.ms

    def pass_ms(self, ms: int) -> None:
        """Let time pass."""
        self.ms += ms


@dataclass
class MemoryVault:
    """A vault in memory with a budget per run."""

    budget: int = 1 << 30
    blobs: dict[str, bytes] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    full: bool = False

    async def put(self, run: str, content: bytes) -> str:
        """Keep the content; `CaptureFailed` over the budget or when `full` is set."""
        if self.full or self.spent.get(run, 0) + len(content) > self.budget:
            raise CaptureFailed("cannot keep the capture", "the vault is full", "free some space")
        self.spent[run] = self.spent.get(run, 0) + len(content)
        reference = digest(content.hex())
        self.blobs[reference] = content
        return reference

    async def get(self, reference: str) -> bytes:
        """The content."""
        if reference not in self.blobs:
            raise CaptureFailed(f"no capture `{reference}`", "it is gone", "")
        return self.blobs[reference]

    async def left(self, run: str) -> int:
        """Bytes left of the run's budget."""
        return self.budget - self.spent.get(run, 0)


class MemoryStore:
    """Ledger, Holds and Keys in memory, with the rules the real store keeps.

    `stop_after` lets that many more appends through and then raises `Stopped` forever:
    half of the time before the commit, half after it, as `stop_before_commit` says.
    """

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.holds: dict[str, Hold] = {}
        self.rows: dict[str, list[SignOff]] = {}
        self.undo_rows: dict[str, Undo] = {}
        self.started: dict[str, str] = {}
        self.actions: dict[str, Action] = {}
        self.settings: dict[str, Data] = {}
        self.keys: dict[str, RunKey] = {}
        self.grant_rows: dict[str, Grant] = {}
        self.stop_after: int | None = None
        self.stop_before_commit = True
        self.broken = False

    async def append(self, receipt: Receipt, *changes: Change) -> Sealed:
        """All or nothing, as the real store."""
        if self.broken:
            raise LedgerUnavailable("no receipt can be written", "the disk is full", "free space")
        stopping = False
        if self.stop_after is not None:
            self.stop_after -= 1
            stopping = self.stop_after < 0
            if stopping and self.stop_before_commit:
                raise Stopped
        for change in changes:
            self._check(change, receipt.time_ms)
        for change in changes:
            self._apply(change, receipt.time_ms)
        self.receipts.append(receipt)
        if stopping:
            raise Stopped
        return Sealed(len(self.receipts) - 1, *self.head())

    def head(self) -> tuple[int, str]:
        """The size and a stand-in root."""
        return len(self.receipts), digest([r.body() for r in self.receipts[-1:]])

    async def find(self, run: str, action_digest: str) -> Hold | None:
        """The newest hold of the run for the action that is open, approved or rejected."""
        for hold in reversed(self.holds.values()):
            alive = hold.state in (HoldState.OPEN, HoldState.APPROVED, HoldState.REJECTED)
            if hold.principal.run == run and hold.action_digest == action_digest and alive:
                return hold
        return None

    async def get(self, ticket: str) -> Hold | None:
        """The hold with this ticket."""
        return self.holds.get(ticket)

    async def signoffs(self, ticket: str) -> tuple[SignOff, ...]:
        """Its sign-offs, oldest first."""
        return tuple(self.rows.get(ticket, ()))

    async def open(self) -> tuple[Hold, ...]:
        """Every hold that still waits."""
        waiting = (HoldState.OPEN, HoldState.APPROVED)
        return tuple(h for h in self.holds.values() if h.state in waiting)

    async def rejected(self, run: str) -> tuple[Hold, ...]:
        """The run's rejected holds, newest first."""
        mine = [h for h in self.holds.values() if h.principal.run == run]
        return tuple(h for h in reversed(mine) if h.state is HoldState.REJECTED)

    async def switches(self) -> Mapping[str, Data]:
        """All settings."""
        return self.settings

    async def undo(self, action_id: str) -> Undo | None:
        """One undo record."""
        return self.undo_rows.get(action_id)

    async def undos(self, run: str) -> tuple[Undo, ...]:
        """The run's undo records, newest first."""
        return tuple(u for u in reversed(self.undo_rows.values()) if u.run == run)

    async def grants(self, run: str) -> tuple[Grant, ...]:
        """Every grant of the run, oldest first."""
        return tuple(g for g in self.grant_rows.values() if g.run == run)

    async def key(self, key_id: str) -> RunKey | None:
        """One run key."""
        return self.keys.get(key_id)

    def in_doubt(self) -> list[str]:
        """Actions that were started and have no outcome."""
        return [a for a, state in self.started.items() if state == "started"]

    def _check(self, change: Change, now_ms: int) -> None:
        match change:
            case OpenHold(hold, most):
                mine = [h for h in self.holds.values() if h.principal.run == hold.principal.run]
                alive = [h for h in mine if h.state in (HoldState.OPEN, HoldState.APPROVED)]
                if any(h.action_digest == hold.action_digest for h in alive):
                    raise StateConflict("this action already has a hold", "join it", "")
                if len(alive) >= most:
                    raise StateConflict(f"the run has {most} open holds", "the most there may be")
            case AddSignOff(row):
                if any(r.human == row.human for r in self.rows.get(row.ticket, ())):
                    raise StateConflict(f"`{row.human}` already signed `{row.ticket}`")
            case MoveHold(ticket, source, _):
                if self.holds[ticket].state is not source:
                    raise StateConflict(f"hold `{ticket}` is not `{source.value}`")
            case StartAction(action_id, _, _):
                if action_id in self.started:
                    raise StateConflict(f"action `{action_id}` was started before")
            case FinishAction(action_id, _):
                if action_id not in self.started:
                    raise StateConflict(f"action `{action_id}` was never started")
            case OpenGrant(grant):
                if grant.id in self.grant_rows:
                    raise StateConflict(f"grant `{grant.id}` exists already")
            case UseGrant(grant_id):
                self.grant_rows[grant_id].use(now_ms)
            case RevokeGrant(grant_id):
                self.grant_rows[grant_id].revoke(now_ms)
            case _:
                pass

    def _apply(self, change: Change, now_ms: int) -> None:
        match change:
            case OpenHold(hold, _):
                self.holds[hold.ticket] = hold
            case AddSignOff(row):
                self.rows.setdefault(row.ticket, []).append(row)
            case MoveHold(ticket, _, target):
                self.holds[ticket] = replace(self.holds[ticket], state=target)
            case StartAction(action_id, action, _):
                self.started[action_id] = "started"
                self.actions[action_id] = action
            case FinishAction(action_id, state):
                self.started[action_id] = state
            case SaveUndo(undo):
                self.undo_rows[undo.action_id] = undo
            case SetSwitch(name, content):
                self.settings.pop(name, None)
                if content:
                    self.settings[name] = content
            case IssueKey(key):
                self.keys[key.key_id] = key
            case RevokeKey(key_id):
                self.keys.pop(key_id, None)
            case OpenGrant(grant):
                self.grant_rows[grant.id] = grant
            case UseGrant(grant_id):
                self.grant_rows[grant_id] = self.grant_rows[grant_id].use(now_ms)
            case RevokeGrant(grant_id):
                self.grant_rows[grant_id] = self.grant_rows[grant_id].revoke(now_ms)


@dataclass
class SilentNotifier:
    """Remembers what it would have told."""

    told: list[str] = field(default_factory=list)

    async def notify(self, hold: Hold) -> None:
        """Remember the ticket."""
        self.told.append(hold.ticket)


@dataclass
class Drawers:
    """A world of named drawers that hold texts, and the executor that changes them.

    `done` lists every change that really happened. `cut` makes the next change happen
    without an answer; `deaf` lets every question go unanswered.
    """

    held: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    cut: bool = False
    deaf: bool = False

    async def ask(self, question: Question) -> Answer:
        """What is in a drawer; `Empty` when nothing is."""
        if self.deaf:
            return Answer(unanswered="nobody is there")
        key = str(question.parameters["key"])
        if key not in self.held:
            return Answer(error="Empty")
        return Answer(frozen(text=self.held[key]))

    async def execute(self, action: Action, *, original: bool, until: str) -> Outcome:
        """Put, remove or look."""
        key = str(action.parameters["key"])
        verb = action.name.partition(":")[2]
        if verb == "Put":
            self.held[key] = str(action.parameters["text"])
        elif verb == "Remove":
            if key not in self.held:
                return Outcome(False, "Empty")
            del self.held[key]
        if verb != "Look":
            self.done.append(f"{verb} {key}")
        if self.cut:
            self.cut = False
            raise ExecutionFailed("the answer never came", "cut off", "ask the target")
        return Outcome(True, reply=self.held.get(key))

    def reading(self) -> Drawers:
        """Looking is done as everything else is."""
        return self


class DrawerSurface:
    """The five functions for drawers; drawers named `prod-...` are production."""

    def parse(self, given: object, scope: Mapping[str, str]) -> Action:
        """`{"name", "key", "text"}`; anything else is unknown."""
        if not isinstance(given, Mapping) or not isinstance(given.get("key"), str):
            return Action("drawers", "drawers:Unknown", unknown=("not a drawer action",))
        members = {k: v for k, v in given.items() if k != "name"}
        return Action("drawers", f"drawers:{given.get('name')}", frozen(**members), dict(scope))

    def questions(self, action: Action, answers: Answers) -> tuple[Question, ...]:
        """What is in the drawer now."""
        key = action.parameters.get("key")
        return (Question("drawers", "drawers:Look", frozen(key=key)),) if key else ()

    def effects(self, action: Action, answers: Answers, places: Places) -> Understanding:
        """Put creates or replaces, Remove deletes; `fire` in the name cannot come back."""
        key = str(action.parameters.get("key", ""))
        where = "production" if key.startswith("prod-") else "development"
        drawer = Resource(f"drawer/{key}", "drawers:drawer", where, Kind.DATA)
        verbs = {"Look": Verb.READ, "Put": Verb.UPDATE, "Remove": Verb.DELETE}
        verb = verbs.get(action.name.partition(":")[2], Verb.UNKNOWN)
        answer = next(iter(answers.values()), None)
        known = answer is not None and not answer.unanswered
        back = Reversibility.EXACT if known and "fire" not in key else Reversibility.NONE
        size = 0
        if answer is not None and answer.ok:
            size = len(str(answer.value.get("text", "")))
        bound = Bound(size if known else None, "letters")
        effect = Effect(verb, drawer, (bound,), back, because="drawers")
        return Understanding(action, (effect,), action.unknown, (Step(action),))

    def capture(self, understanding: Understanding, answers: Answers) -> tuple[Question, ...]:
        """What was in the drawer."""
        return self.questions(understanding.action, answers)

    def restore(self, action: Action, captured: Captured) -> Restoration:
        """Put back what was there, or remove what was not."""
        key = str(action.parameters["key"])
        asked = Question("drawers", "drawers:Look", frozen(key=key))
        before = captured.before[asked.key]
        if before.ok:
            back = Action("drawers", "drawers:Put", frozen(key=key, text=before.value["text"]))
        else:
            back = Action("drawers", "drawers:Remove", frozen(key=key))
        return Restoration((Step(back),))

    def fingerprint(self, question: Question, answer: Answer) -> str:
        """All of it."""
        return digest(answer.as_data())

    def sound(self, question: Question, answer: Answer) -> bool:
        """Whether somebody looked into the drawer."""
        return not answer.unanswered

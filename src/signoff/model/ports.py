"""All I/O passes these Protocols; `testing.py` has a fake of each. Pure.

That one choice buys the fakes, the simulator that stops between any two receipts,
and the proofs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeAlias

from signoff.model.action import Action, Answer, Principal, Question
from signoff.model.decision import Decision, Hold, HoldState, SignOff
from signoff.model.effect import Understanding
from signoff.model.grant import Grant
from signoff.model.receipt import Receipt
from signoff.model.values import EMPTY, Data


class Clock(Protocol):
    """The time. Never goes back, also not across restarts."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch (UTC)."""
        ...


class World(Protocol):
    """Read-only answers about the target, each within a time limit."""

    async def ask(self, question: Question) -> Answer:
        """The world's answer, asked now: nothing a decision rests on is ever cached.
        Never raises: an unanswered question says so in its answer."""
        ...


class Vault(Protocol):
    """Captured state: content-addressed, encrypted, kept for a stated time."""

    async def put(self, run: str, content: bytes) -> str:
        """A reference to the content, durable when this returns.

        Raises `CaptureFailed` when it cannot be kept or the run's budget is spent.
        """
        ...

    async def get(self, reference: str) -> bytes:
        """The content, checked against its address; raises `CaptureFailed` otherwise."""
        ...

    async def left(self, run: str) -> int:
        """How many bytes of its capture budget the run has left."""
        ...


@dataclass(frozen=True)
class Undo:
    """What is needed to take one executed action back.

    `vault` is the reference of the captured answers (before); `after` the reference of
    the same questions' answers right after the execution, empty until then. `undone_by`
    is the action id of the undo that took it back. `state`: `captured`, `executed`,
    `undone`.
    """

    action_id: str
    run: str
    action: Action
    vault: str
    after: str = ""
    response: Data = EMPTY
    state: str = "captured"
    undone_by: str = ""
    captured_ms: int = 0
    keep_until_ms: int = 0


# What may change in the store together with a receipt, in one transaction.


@dataclass(frozen=True)
class OpenHold:
    """A new hold. Refused (`StateConflict`) when the run has too many open, or when an
    open hold for the same run and action digest exists."""

    hold: Hold
    open_most: int = 5


@dataclass(frozen=True)
class AddSignOff:
    """One verified sign-off; refused when the human already signed this hold."""

    signoff: SignOff


@dataclass(frozen=True)
class MoveHold:
    """A move of a hold from one state to another; refused when it is not in `source`."""

    ticket: str
    source: HoldState
    target: HoldState


@dataclass(frozen=True)
class StartAction:
    """The intent, committed before the effect. Refused when the id was started before."""

    action_id: str
    action: Action
    principal: Principal


@dataclass(frozen=True)
class FinishAction:
    """The outcome of a started action: `succeeded`, `failed`, `in_doubt`, `settled`."""

    action_id: str
    state: str


@dataclass(frozen=True)
class SaveUndo:
    """A new or changed undo record, by its action id."""

    undo: Undo


@dataclass(frozen=True)
class SetSwitch:
    """One of Signoff's own settings, by name: `freeze/production`, `halt/run/R-1`,
    `lowered/<boundary>/<environment>`. Empty content removes it."""

    name: str
    content: Data


@dataclass(frozen=True)
class SealConfiguration:
    """The configuration that is in force from now on: its texts, and their digest. Refused
    when the one in force is not `before` (empty for the first)."""

    content: Data
    digest: str
    before: str


@dataclass(frozen=True)
class RunKey:
    """What an agent holds instead of credentials. `key_id` looks like an AWS access key id
    and names the run; `secret` only ever proves to a gate that the run is speaking.

    `token` is the session token a client must send too, empty when there is none.
    """

    key_id: str
    secret: str
    principal: Principal
    issued_ms: int
    expires_ms: int
    token: str = ""


@dataclass(frozen=True)
class IssueKey:
    """A new run key; its secret is sealed with the vault key before it is stored."""

    key: RunKey


@dataclass(frozen=True)
class RevokeKey:
    """A run key that no gate accepts any more."""

    key_id: str


@dataclass(frozen=True)
class OpenGrant:
    """A new grant, signed; refused when its id is taken."""

    grant: Grant


@dataclass(frozen=True)
class UseGrant:
    """One more change of a run under a grant, counted with the receipt that starts it;
    refused unless the grant is live at that moment."""

    grant_id: str


@dataclass(frozen=True)
class RevokeGrant:
    """A grant taken back; refused when it is over already."""

    grant_id: str


Change: TypeAlias = (
    OpenHold
    | AddSignOff
    | MoveHold
    | StartAction
    | FinishAction
    | SaveUndo
    | SetSwitch
    | SealConfiguration
    | IssueKey
    | RevokeKey
    | OpenGrant
    | UseGrant
    | RevokeGrant
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Where a receipt stands in the ledger: its index, and the size and root (hex)
    of the tree after the commit it was part of."""

    index: int
    size: int
    root: str


class Ledger(Protocol):
    """The Merkle log and the state that moves with it."""

    async def append(self, receipt: Receipt, *changes: Change) -> Sealed:
        """Write the receipt and make the changes, all or nothing; durable on return.

        Raises `StateConflict` when a change is refused, `LedgerUnavailable` when
        nothing can be written.
        """
        ...

    def head(self) -> tuple[int, str]:
        """The committed size and root (hex)."""
        ...


class Holds(Protocol):
    """Reading holds, sign-offs and switches; writing goes through `Ledger.append`."""

    async def find(self, run: str, action_digest: str) -> Hold | None:
        """The newest open, approved or recently rejected hold of a run for an action."""
        ...

    async def get(self, ticket: str) -> Hold | None: ...

    async def signoffs(self, ticket: str) -> tuple[SignOff, ...]: ...

    async def open(self) -> tuple[Hold, ...]:
        """Every hold that still waits, oldest first."""
        ...

    async def rejected(self, run: str) -> tuple[Hold, ...]:
        """The run's rejected holds of the last day, newest first."""
        ...

    async def switches(self) -> Mapping[str, Data]:
        """All of Signoff's own settings by name."""
        ...

    async def undo(self, action_id: str) -> Undo | None: ...

    async def undos(self, run: str) -> tuple[Undo, ...]:
        """Every undo of a run, newest action first."""
        ...


class Grants(Protocol):
    """Reading grants; writing goes through `Ledger.append`."""

    async def grants(self, run: str) -> tuple[Grant, ...]:
        """Every grant that was ever signed for the run, oldest first."""
        ...


class Keys(Protocol):
    """Run keys, as the gates look them up."""

    async def key(self, key_id: str) -> RunKey | None:
        """The key as issued, also when it has expired; None when unknown or revoked."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How an execution went. `response` is plain data the surface's restore may need
    (new ids, version ids); `reply` is the gate's own object, never stored. `refused` says
    that nothing was sent, and nothing ever will be: a region that is not allowed."""

    succeeded: bool
    error: str = ""
    response: Data = EMPTY
    reply: object = field(default=None, compare=False)
    refused: bool = False


class Executor(Protocol):
    """Carries out one step against the target, with the credentials Signoff holds."""

    async def execute(self, action: Action, *, original: bool, until: str) -> Outcome:
        """Send it, once. `succeeded=False` means the target said no. Raises
        `ExecutionFailed` when nobody knows whether it happened (cut off, timed out)."""
        ...

    def reading(self) -> Executor:
        """The same for an action that was understood, for certain, as only reading: its
        steps may go to the target as they were received."""
        ...


class Notifier(Protocol):
    """Tells people that something waits for them. Never blocks, never raises."""

    async def notify(self, hold: Hold) -> None: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision rests on besides the principal and the understanding.

    `approvers` are the verified, distinct humans who approved this very hold, never the
    requester or the operator; `eligible` are those who still could. `lowered` holds
    (boundary id, environment) pairs that a two-person change lowered. Rates are counted
    by `breaker.py`, over the run. `undo` marks the taking back of an earlier action by a
    human who proved who they are (`requester_verified`); `overwrites_newer` says that it
    would overwrite what someone else wrote since. `granted` holds the (environment, verb)
    pairs for which a live grant covers this run and one more change.
    """

    approvers: frozenset[str] = frozenset()
    eligible: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    halted: bool = False
    calls_last_minute: int = 0
    changes_last_minute: int = 0
    repeats: int = 0
    capture_left_bytes: int = 1 << 40
    lowered: frozenset[tuple[str, str]] = frozenset()
    disposable: frozenset[str] = frozenset()
    gate: str = ""
    undo: bool = False
    overwrites_newer: bool = False
    requester_verified: bool = False
    granted: frozenset[tuple[str, str]] = frozenset()
    now_ms: int = 0

    def as_data(self) -> dict[str, object]:
        """What a receipt keeps, so that the decision can be made again: every fact that is
        not the default, but for those of the settings and of the receipt itself."""
        kept: dict[str, object] = {}
        for name, none in _NOTED.items():
            value = getattr(self, name)
            if value != none:
                kept[name] = sorted(value) if isinstance(value, frozenset) else value
        return kept

    @classmethod
    def from_data(cls, data: Data) -> Facts:
        """The facts that `as_data` wrote down; what is none of them is left out."""
        found: dict[str, Any] = {}
        for name, value in data.items():
            if name in _NOTED:
                found[name] = frozenset(value) if isinstance(value, tuple) else value
        return cls(**found)


_NOTED: Mapping[str, object] = {
    f.name: f.default for f in fields(Facts) if f.name not in {"eligible", "disposable", "gate"}
}
"""The facts a receipt keeps, with what each is when nothing was noted."""


class Judge(Protocol):
    """The decision point: pure, given the facts."""

    def decide(self, principal: Principal, understanding: Understanding, facts: Facts) -> Decision:
        """Total: any error inside is a `deny` that says so."""
        ...

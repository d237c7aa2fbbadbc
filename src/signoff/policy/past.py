"""The decisions of the past, read back from receipts: who asked what, and on which facts. Pure.

A receipt keeps the effects, what stayed unknown, the ruling and the facts it rested on. Older
ones keep no facts; then switches and rates come from the receipts before them, the rest is
assumed, and every assumption is named.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from signoff.model.action import Action, Principal
from signoff.model.decision import Ruling
from signoff.model.effect import Effect, Understanding
from signoff.model.ports import Facts
from signoff.model.receipt import SCHEMA, Mark
from signoff.model.values import EMPTY, Data, uncanonical

MINUTE_MS = 60_000
UNDO, LOWER = "signoff:Undo", "signoff:LowerBoundary"

RATES = "rates: calls and changes of the last minute, counted from the receipts themselves"
REPEATS = "repeats: no action had failed in the same way before"
CAPTURE = "budget: the run's budget for undo material was not spent"
GRANTED = "grants: every run had a grant for what it did"
OVERWRITES = "undo: no undo overwrote newer work"
ASSUMED = (RATES, REPEATS, CAPTURE, GRANTED, OVERWRITES)
"""What is assumed for receipts that keep no facts."""

_CLOSING = frozenset({Mark.REJECTED, Mark.EXPIRED, Mark.STALE, Mark.VOIDED})


@dataclass(frozen=True)
class Past:
    """One decision as it was made. `facts` lacks what the settings say (who could sign, what
    is disposable). `digest` is the action's, by which equal requests are known; `assumed` is
    set when the receipt kept no facts; `observed` when the action was forwarded anyhow."""

    index: int
    action_id: str
    time_ms: int
    principal: Principal
    understanding: Understanding
    facts: Facts
    ruling: Ruling
    quorum: int
    reasons: tuple[str, ...]
    bundle: str
    digest: str
    assumed: bool = False
    observed: bool = False


@dataclass(frozen=True)
class Closed:
    """A hold for this action of this run ended: carried out, rejected, expired or stale."""

    run: str
    digest: str


@dataclass
class History:
    """Reads receipts in order. `skipped` counts those that could not be read as receipts of
    this version; they are left out, never guessed."""

    skipped: int = 0
    _switches: dict[str, int] = field(default_factory=dict)
    _calls: dict[str, deque[tuple[int, bool]]] = field(default_factory=dict)
    _holds: dict[str, Closed] = field(default_factory=dict)

    def read(
        self, receipts: Iterable[tuple[int, bytes]], since_ms: int = 0
    ) -> Iterator[Past | Closed]:
        """The decisions from `since_ms` on, with the ends of holds between them. Receipts
        before it are read too: what was frozen or halted then may still be."""
        for index, body in receipts:
            try:
                found = self._one(index, body)
            except (ValueError, KeyError, TypeError, AttributeError):
                self.skipped += 1
                continue
            if found is not None and (not isinstance(found, Past) or found.time_ms >= since_ms):
                yield found

    def _one(self, index: int, body: bytes) -> Past | Closed | None:
        given = uncanonical(body)
        if not isinstance(given, Mapping) or given["schema"] != SCHEMA:
            raise ValueError("not a receipt of this version")
        mark, detail = Mark(given["mark"]), _data(given.get("detail", EMPTY))
        if mark is Mark.CONTROL:
            self._switch(detail)
            return None
        if mark is Mark.STARTED:
            who, action = _principal(given), _data(given["action"])
            return Closed(who.run or who.operator, str(action["digest"]))
        if mark in _CLOSING:
            return self._holds.pop(str(detail.get("hold", "")), None)
        if mark is Mark.HELD:
            who, action = _principal(given), _data(given["action"])
            self._holds[str(detail.get("hold", ""))] = Closed(
                who.run or who.operator, str(action["digest"])
            )
            return None
        if "decision" not in given or "effects" not in given or "action" not in given:
            return None
        return self._decided(index, given, detail)

    def _decided(self, index: int, given: Data, detail: Data) -> Past:
        who, when = _principal(given), _whole(given["time_ms"])
        understanding, decision = _understood(given), _data(given["decision"])
        noted = detail.get("facts")
        if isinstance(noted, Mapping):
            facts = Facts.from_data(noted)
            self._count(who.run, when, not understanding.is_read)
        else:
            facts = self._assumed(who, when, understanding)
        return Past(
            index=index,
            action_id=str(given["action_id"]),
            time_ms=when,
            principal=who,
            understanding=understanding,
            facts=replace(facts, gate=str(given["gate"])),
            ruling=Ruling(decision["ruling"]),
            quorum=_whole(decision["quorum"]),
            reasons=_texts(decision["reasons"]),
            bundle=str(decision["bundle"]),
            digest=str(_data(given["action"])["digest"]),
            assumed=not isinstance(noted, Mapping),
            observed=detail.get("observed") is True,
        )

    def _assumed(self, who: Principal, when: int, understanding: Understanding) -> Facts:
        """The facts of a receipt that keeps none."""
        calls, changes = self._count(who.run, when, not understanding.is_read)
        own = understanding.action.name in (UNDO, LOWER) and not who.is_agent
        names = {"halt/all", f"halt/agent/{who.agent}", f"halt/run/{who.run}"}
        return Facts(
            frozen=frozenset(
                name.removeprefix("freeze/") for name in self._switches if name[:7] == "freeze/"
            ),
            halted=who.is_agent and not names.isdisjoint(self._switches),
            calls_last_minute=calls,
            changes_last_minute=changes,
            lowered=frozenset(
                (parts[1], parts[2])
                for name, until in self._switches.items()
                if len(parts := name.split("/", 2)) == 3 and parts[0] == "lowered" and when < until
            ),
            undo=own and understanding.action.name == UNDO,
            requester_verified=own,
            granted=frozenset(
                (e.resource.environment, verb)
                for e in understanding.effects
                for verb in (e.verb.value, "unknown")
            ),
            now_ms=when,
        )

    def _count(self, run: str, when: int, is_change: bool) -> tuple[int, int]:
        """Calls and changes of the run in the minute before; then this one is counted too."""
        recent = self._calls.setdefault(run, deque())
        while recent and recent[0][0] <= when - MINUTE_MS:
            recent.popleft()
        counted = len(recent), sum(change for _, change in recent)
        recent.append((when, is_change))
        return counted

    def _switch(self, detail: Data) -> None:
        """Follow a freeze, a halt, a lowered boundary, and their ends."""
        name, act = detail.get("switch"), detail.get("act")
        if not isinstance(name, str):
            return
        if act in ("freeze", "halt", "lower"):
            until = detail.get("until_ms")
            self._switches[name] = until if isinstance(until, int) else 0
        else:
            self._switches.pop(name, None)


def _understood(given: Data) -> Understanding:
    action = _data(given["action"])
    effects, unknown = given["effects"], given["unknown"]
    if not isinstance(effects, tuple):
        raise ValueError("no effects")
    made = Action(
        str(action["surface"]),
        str(action["name"]),
        scope={k: str(v) for k, v in _data(action["scope"]).items()},
        public=_data(action["public"]),
    )
    return Understanding(made, tuple(Effect.from_data(_data(e)) for e in effects), _texts(unknown))


def _principal(given: Data) -> Principal:
    who = _data(given["principal"])
    return Principal(str(who["agent"]), str(who["run"]), str(who["operator"]))


def _data(value: object) -> Data:
    if not isinstance(value, Mapping):
        raise ValueError("not an object")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, tuple):
        raise ValueError("not a list")
    return tuple(str(v) for v in value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not a whole number")
    return value

"""What happened in production, and who has looked at it since: the ledger's receipts in,
a list out. Pure.

Whether an action was looked at is a receipt as well, signed by the human who looked, so the
list needs no state of its own and `verify` covers it. A look counts for what had happened
when the list was read: whatever comes later (an outcome, an undo) has to be looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from signoff.model.human import folded
from signoff.model.receipt import Mark

NOT_PRODUCTION = frozenset({"staging", "development", "workspace"})
"""The shipped environments whose actions are not listed. Every name that is not known to
lie elsewhere counts as production."""


class Why(str, Enum):
    """Why an action is on the list."""

    DONE = "carried out"
    FAILED = "failed"
    DOUBT = "in doubt"
    BOUNDARY = "tried a boundary"
    OBSERVED = "only observed"
    UNDONE = "undone"
    SETTLED = "settled"


@dataclass(frozen=True)
class Look:
    """One human's look, by the receipt at `index`. `seen` is the size of the ledger they had
    read; `counts` is false for who asked for the action and for the operator it was asked
    for, unless the profile is solo."""

    human: str
    time_ms: int
    index: int
    seen: int
    counts: bool

    def as_data(self) -> dict[str, object]:
        """The look as `--json` prints it."""
        return {
            "human": self.human,
            "time_ms": self.time_ms,
            "index": self.index,
            "seen": self.seen,
            "counts": self.counts,
        }


@dataclass(frozen=True)
class Item:
    """One action to look at. `first` and `last` are the indexes of its first and its newest
    receipt, `time_ms` the time of the newest; `signed` are the humans who signed its hold."""

    action_id: str
    name: str
    agent: str
    run: str
    operator: str
    first: int
    last: int
    time_ms: int
    why: tuple[Why, ...]
    effects: tuple[tuple[str, str, str], ...]
    environments: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    digest: str = ""
    ticket: str = ""
    signed: tuple[str, ...] = ()
    looks: tuple[Look, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether nobody who counts has looked at it as it is now."""
        return not any(look.counts and look.seen > self.last for look in self.looks)

    @property
    def own_look_only(self) -> bool:
        """Whether it was looked at, but only by who asked or by their operator."""
        current = [look for look in self.looks if look.seen > self.last]
        return bool(current) and not any(look.counts for look in current)

    def as_data(self) -> dict[str, object]:
        """The item as `--json` prints it; an effect is verb, resource and environment."""
        return {
            "action": self.action_id,
            "name": self.name,
            "agent": self.agent,
            "run": self.run,
            "operator": self.operator,
            "first": self.first,
            "last": self.last,
            "time_ms": self.time_ms,
            "why": [why.value for why in self.why],
            "effects": [dict(zip(_EFFECT, e, strict=True)) for e in self.effects],
            "reasons": list(self.reasons),
            "ticket": self.ticket,
            "signed": list(self.signed),
            "looks": [look.as_data() for look in self.looks],
            "pending": self.pending,
        }


_EFFECT = ("verb", "resource", "environment")


def items(
    receipts: Iterable[tuple[int, Mapping[str, object]]],
    elsewhere: frozenset[str] = NOT_PRODUCTION,
) -> tuple[Item, ...]:
    """Every production action worth a look, newest first, with who looked at it.

    `receipts` are index and members, in order; `elsewhere` names the environments that are
    not production. On the list are changes that were started, whatever became of them, what
    was only observed, and every attempt at a boundary, wherever that was. Total: a receipt
    that has not the members of its mark is left out.
    """
    reading = _Reading(elsewhere)
    for index, receipt in receipts:
        try:
            reading.read(index, receipt)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return tuple(sorted(reading.found.values(), key=lambda i: (i.last, i.first), reverse=True))


def chosen(
    found: Sequence[Item], actions: Sequence[str], run: str = "", until: int | None = None
) -> tuple[Item, ...]:
    """The items a human means: by action, or those still to look at of a run, or up to and
    with the receipt `until`."""
    if actions:
        wanted = set(actions)
        return tuple(item for item in found if item.action_id in wanted)
    return tuple(
        item
        for item in found
        if item.pending and (not run or item.run == run) and (until is None or item.last <= until)
    )


def counts(human: str, agent: str, run: str, operator: str, *, solo: bool) -> bool:
    """Whether this human's look at an action counts: in a team somebody else has to look."""
    apart = {folded(name) for name in (agent, run, operator) if name}
    return solo or folded(human) not in apart


@dataclass
class _Reading:
    elsewhere: frozenset[str]
    found: dict[str, Item] = field(default_factory=dict)
    _decided: dict[tuple[str, str], Item] = field(default_factory=dict)
    _signed: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def read(self, index: int, receipt: Mapping[str, object]) -> None:
        """One receipt, by its mark."""
        mark, action = Mark(receipt["mark"]), str(receipt["action_id"])
        given = receipt.get("detail")
        detail: Mapping[str, object] = given if isinstance(given, Mapping) else {}
        when = receipt["time_ms"]
        if not isinstance(when, int):
            raise TypeError("no time")
        if mark is Mark.DECIDED:
            self._decide(_item(index, when, receipt), receipt, detail)
        elif mark in (Mark.SIGNED, Mark.APPROVED):
            ticket = str(detail.get("hold", ""))
            self._signed[ticket] = (*self._signed.get(ticket, ()), str(detail["human"]))
        elif mark is Mark.STARTED:
            self._start(index, when, _item(index, when, receipt), str(detail.get("hold", "")))
        elif mark is Mark.IN_DOUBT:
            self._note(index, when, action, Why.DOUBT)
        elif mark in (Mark.SUCCEEDED, Mark.FAILED) and detail.get("step") != "capture":
            why = Why.DONE if mark is Mark.SUCCEEDED else Why.FAILED
            self._note(index, when, action, why, instead=Why.DOUBT)
        elif mark is Mark.SETTLED:
            self._note(index, when, str(detail["action"]), Why.SETTLED, instead=Why.DOUBT)
        elif mark is Mark.UNDONE:
            self._note(index, when, str(detail["of"]), Why.UNDONE)
        elif mark is Mark.CONTROL and detail.get("act") == "review":
            self._look(index, when, detail)

    def _decide(
        self, item: Item, receipt: Mapping[str, object], detail: Mapping[str, object]
    ) -> None:
        decision = receipt.get("decision")
        if not isinstance(decision, Mapping) or not item.effects:
            return
        stopped = decision["ruling"] != "allow"
        why: tuple[Why, ...] = ()
        if decision["ruling"] == "deny" and "notify" in decision["obligations"]:
            why = (Why.BOUNDARY,)
        if detail.get("observed") is True and stopped and self._in_production(item):
            why = (*why, Why.OBSERVED)
        item = replace(item, why=why, reasons=tuple(str(r) for r in decision["reasons"]))
        if why:
            self.found[item.action_id] = item
        elif decision["ruling"] != "deny" or detail.get("observed") is True:
            self._decided[item.run or item.operator, item.digest] = item

    def _start(self, index: int, when: int, started: Item, ticket: str) -> None:
        """The intent: from here on something may have happened. Equal requests of a run share
        what was understood; where nothing is known of it, it counts as production."""
        key = (started.run or started.operator, started.digest)
        known = self.found.get(started.action_id) or self._decided.pop(key, None)
        item = replace(known, action_id=started.action_id) if known else started
        if not self._in_production(item) and not item.why:
            return
        signed = self._signed.pop(ticket, ()) if ticket else ()
        self.found[item.action_id] = replace(item, ticket=ticket, signed=signed)
        self._note(index, when, item.action_id, Why.DOUBT)

    def _note(
        self, index: int, when: int, action: str, why: Why, instead: Why | None = None
    ) -> None:
        item = self.found.get(action)
        if item is not None:
            kept = tuple(w for w in item.why if w not in (why, instead))
            self.found[action] = replace(item, why=(*kept, why), last=index, time_ms=when)

    def _look(self, index: int, when: int, detail: Mapping[str, object]) -> None:
        human, seen, actions = str(detail["human"]), detail["until"], detail["actions"]
        if not isinstance(seen, int) or not isinstance(actions, Sequence):
            return
        for action in actions:
            item = self.found.get(str(action))
            if item is None:
                continue
            solo = detail.get("profile") == "solo"
            valid = counts(human, item.agent, item.run, item.operator, solo=solo)
            # Nobody can have looked at what was not written yet.
            look = Look(human, when, index, min(seen, index), valid)
            self.found[item.action_id] = replace(item, looks=(*item.looks, look))

    def _in_production(self, item: Item) -> bool:
        return not item.environments or not self.elsewhere.issuperset(item.environments)


def _item(index: int, when: int, receipt: Mapping[str, object]) -> Item:
    """The action of a receipt, with its effects where the receipt has them."""
    who, what, effects = receipt["principal"], receipt["action"], receipt.get("effects", ())
    if not (isinstance(who, Mapping) and isinstance(what, Mapping)):
        raise TypeError("not who or what")
    listed = effects if isinstance(effects, (list, tuple)) else ()
    known = tuple(e for e in listed if isinstance(e, Mapping))
    return Item(
        action_id=str(receipt["action_id"]),
        name=str(what["name"]),
        agent=str(who["agent"]),
        run=str(who["run"]),
        operator=str(who["operator"]),
        first=index,
        last=index,
        time_ms=when,
        why=(),
        effects=tuple((str(e["verb"]), str(e["resource"]), str(e["environment"])) for e in known),
        environments=tuple(sorted({str(e["environment"]) for e in known})),
        digest=str(what["digest"]),
    )

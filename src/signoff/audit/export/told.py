"""One receipt, read once for every format: who, what, how grave, and where it stands. Pure.

Nothing is added that the ledger does not hold, and the ledger holds no secret: parameters
are there as a digest and as the members that may be written down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from signoff.model.receipt import Mark

DETAIL_MOST = 8_192
"""How many characters of a receipt's detail are told; a longer one is cut, and says so."""


class Gravity(Enum):
    """How grave a receipt is: the OCSF severity and the OpenTelemetry number and text."""

    INFORMATIONAL = (1, "Informational", 9, "INFO")
    LOW = (2, "Low", 11, "INFO3")
    MEDIUM = (3, "Medium", 13, "WARN")
    HIGH = (4, "High", 17, "ERROR")

    @property
    def ocsf(self) -> tuple[int, str]:
        """`severity_id` and `severity`."""
        return self.value[0], self.value[1]

    @property
    def otel(self) -> tuple[int, str]:
        """`severityNumber` and `severityText`."""
        return self.value[2], self.value[3]


@dataclass(frozen=True)
class Standing:
    """The ledger a receipt is from: its name, and the size and root (hex) of its newest
    checkpoint when it was read."""

    origin: str
    size: int
    root: str


@dataclass(frozen=True)
class Touched:
    """One effect."""

    verb: str
    resource: str
    kind: str
    environment: str
    reversibility: str
    bound: str


@dataclass(frozen=True)
class Told:
    """One receipt. `uid` names it for good: the ledger and the index."""

    index: int
    uid: str
    mark: Mark
    time_ms: int
    action_id: str
    agent: str
    run: str
    operator: str
    gate: str
    level: str
    name: str = ""
    surface: str = ""
    digest: str = ""
    scope: Mapping[str, str] = field(default_factory=dict)
    effects: tuple[Touched, ...] = ()
    unknown: tuple[str, ...] = ()
    ruling: str = ""
    quorum: int = 0
    reasons: tuple[str, ...] = ()
    bundle: str = ""
    safeguard: str = ""
    message: str = ""
    notify: bool = False
    observed: bool = False
    error: str = ""
    act: str = ""
    subject: str = ""
    detail: str = ""

    @property
    def is_action(self) -> bool:
        """Whether it is a step of an action, not an act of a person or of Signoff."""
        return bool(self.name)

    @property
    def at_boundary(self) -> bool:
        """Whether somebody tried what nobody may ask of an agent."""
        return self.ruling == "deny" and self.notify

    @property
    def gravity(self) -> Gravity:
        """How much somebody should look at it."""
        if self.at_boundary or self.mark is Mark.IN_DOUBT:
            return Gravity.HIGH
        if self.observed and self.ruling in ("deny", "hold"):
            return Gravity.HIGH
        if self.act in ("lower", "apply"):
            return Gravity.HIGH
        odd = self.mark in (Mark.CONFLICT, Mark.VOIDED) or self.act == "files-differ"
        if self.ruling in ("deny", "hold") or odd:
            return Gravity.MEDIUM
        if self.error or self.mark in (Mark.FAILED, Mark.STALE, Mark.REJECTED):
            return Gravity.LOW
        return Gravity.INFORMATIONAL

    @property
    def words(self) -> str:
        """One line for people."""
        who = self.agent or self.operator or "signoff"
        what = self.name or self.act or self.mark.value
        text = f"{self.mark.value}: {what} by {who}"
        return f"{text}: {self.message}" if self.message else text


def told(index: int, receipt: Mapping[str, object], standing: Standing) -> Told:
    """A receipt (docs/spec/receipt.md) read for export. Total: what is missing stays empty,
    and a mark of a later version is told as `control`."""
    who, action = _members(receipt, "principal"), _members(receipt, "action")
    decision, detail = _members(receipt, "decision"), _members(receipt, "detail")
    when = receipt.get("time_ms")
    return Told(
        index=index,
        uid=f"{standing.origin}/{index}",
        mark=_mark(receipt.get("mark")),
        time_ms=when if isinstance(when, int) else 0,
        action_id=_text(receipt.get("action_id")),
        agent=_text(who.get("agent")),
        run=_text(who.get("run")),
        operator=_text(who.get("operator")),
        gate=_text(receipt.get("gate")),
        level=_text(receipt.get("level")),
        name=_text(action.get("name")),
        surface=_text(action.get("surface")),
        digest=_text(action.get("digest")),
        scope={k: _text(v) for k, v in _members(action, "scope").items()},
        effects=tuple(_touched(e) for e in _list(receipt.get("effects"))),
        unknown=tuple(_text(u) for u in _list(receipt.get("unknown"))),
        ruling=_text(decision.get("ruling")),
        quorum=_whole(decision.get("quorum")),
        reasons=tuple(_text(r) for r in _list(decision.get("reasons"))),
        bundle=_text(decision.get("bundle")),
        safeguard=_text(decision.get("safeguard")),
        message=_text(decision.get("message")),
        notify="notify" in _list(decision.get("obligations")),
        observed=detail.get("observed") is True,
        error=_text(detail.get("error")) or _text(detail.get("refused")),
        act=_text(detail.get("act")),
        subject=_subject(detail),
        detail=_detail(detail),
    )


def _mark(value: object) -> Mark:
    try:
        return Mark(value)
    except ValueError:
        return Mark.CONTROL


def _subject(detail: Mapping[str, object]) -> str:
    """What an act is about: the hold, the switch, the key, the action, the grant."""
    for name in ("hold", "switch", "key_id", "action", "grant", "configuration", "of"):
        if isinstance(detail.get(name), str) and detail[name]:
            return _text(detail[name])
    return ""


def _detail(detail: Mapping[str, object]) -> str:
    if not detail:
        return ""
    text = json.dumps(detail, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return _text(text if len(text) <= DETAIL_MOST else text[:DETAIL_MOST] + " (cut)")


def _touched(given: object) -> Touched:
    effect = given if isinstance(given, Mapping) else {}
    bounds = (b for b in _list(effect.get("bound")) if isinstance(b, Mapping))
    return Touched(
        verb=_text(effect.get("verb")),
        resource=_text(effect.get("resource")),
        kind=_text(effect.get("type")),
        environment=_text(effect.get("environment")),
        reversibility=_text(effect.get("reversibility")),
        bound=", ".join(
            f"{'?' if b.get('most') is None else b['most']} {_text(b.get('unit'))}" for b in bounds
        ),
    )


def _members(value: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else ()


def _text(value: object) -> str:
    """Text that any UTF-8 can carry: a lone surrogate becomes a question mark."""
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode()


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0

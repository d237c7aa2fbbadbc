"""One step of one action, as it stands in the ledger. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Decision
from signoff.model.effect import Understanding
from signoff.model.values import EMPTY, Data, canonical, thaw

SCHEMA = "signoff/receipt/1"


class Mark(str, Enum):
    """What a receipt records. A chain that ends in `started` is in doubt."""

    READ = "read"
    DECIDED = "decided"
    HELD = "held"
    SIGNED = "signed"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    STALE = "stale"
    VOIDED = "voided"
    CAPTURED = "captured"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SETTLED = "settled"
    UNDONE = "undone"
    CONFLICT = "conflict"
    CONTROL = "control"
    STARTUP = "startup"
    SEALED = "sealed"


@dataclass(frozen=True)
class Receipt:
    """One leaf of the ledger. `detail` carries what is particular to the mark.

    `about` is the ticket or action id a later receipt refers back to. Times are
    milliseconds since the epoch (UTC). `detail` must hold no secret: it is written as is.
    """

    mark: Mark
    time_ms: int
    action_id: str
    principal: Principal
    gate: str = ""
    level: Level = Level.ADVISORY
    action: Action | None = None
    understanding: Understanding | None = None
    decision: Decision | None = None
    detail: Data = EMPTY

    def body(self) -> dict[str, object]:
        """The receipt as plain data; its canonical bytes are the leaf (docs/spec/receipt.md)."""
        who = self.principal
        body: dict[str, object] = {
            "schema": SCHEMA,
            "mark": self.mark.value,
            "time_ms": self.time_ms,
            "action_id": self.action_id,
            "principal": {"agent": who.agent, "run": who.run, "operator": who.operator},
            "gate": self.gate,
            "level": self.level.value,
        }
        if self.action is not None:
            body["action"] = {
                "surface": self.action.surface,
                "name": self.action.name,
                "scope": dict(self.action.scope),
                "digest": self.action.digest,
                "public": thaw(self.action.public),
            }
        if self.understanding is not None:
            body["effects"] = [e.as_data() for e in self.understanding.effects]
            body["unknown"] = list(self.understanding.unknown)
        if self.decision is not None:
            body["decision"] = self.decision.as_data()
        if self.detail:
            body["detail"] = thaw(self.detail)
        return body

    def leaf(self) -> bytes:
        """The canonical bytes that are hashed into the tree."""
        return canonical(self.body())

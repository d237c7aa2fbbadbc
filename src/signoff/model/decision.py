"""What was decided, and what is owed before the action may run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from signoff.model.action import Principal
from signoff.model.effect import Bound, Reversibility, Understanding
from signoff.model.values import digest


class Ruling(str, Enum):
    """`hold` is computed: denied now, allowed with `quorum` more sign-offs."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


class Obligation(str, Enum):
    """What must happen besides the ruling."""

    CAPTURE = "capture"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Decision:
    """A ruling, the policies that made it, and what is owed.

    `reasons` are policy `@id`s; `quorum` is how many sign-offs in all are needed
    (0 unless held); `message` is one line for the agent; `safeguard` says how far the
    loaded bundle is proved: in a daemon it is, where only is explained nobody asked.
    """

    ruling: Ruling
    reasons: tuple[str, ...]
    quorum: int = 0
    obligations: tuple[Obligation, ...] = ()
    message: str = ""
    bundle: str = ""
    safeguard: str = "safeguard not proved"

    def as_data(self) -> dict[str, object]:
        """The decision as receipts and `--json` carry it."""
        return {
            "ruling": self.ruling.value,
            "quorum": self.quorum,
            "reasons": list(self.reasons),
            "obligations": [o.value for o in self.obligations],
            "message": self.message,
            "bundle": self.bundle,
            "safeguard": self.safeguard,
        }


class Verdict(str, Enum):
    """What one human signs: approve or reject. Never inferred from anything else."""

    APPROVE = "approve"
    REJECT = "reject"


class HoldState(str, Enum):
    """Where a hold stands; the moves between them are one table in `approvals/quorum.py`."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    STALE = "stale"
    CLAIMED = "claimed"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing a hold's signers agreed to: verb, resource, environment, ceilings."""

    verb: str
    resource: str
    environment: str
    bounds: tuple[Bound, ...]
    reversibility: Reversibility

    def as_data(self) -> dict[str, object]:
        return {
            "verb": self.verb,
            "resource": self.resource,
            "environment": self.environment,
            "bound": [{"most": b.most, "unit": b.unit} for b in self.bounds],
            "reversibility": self.reversibility.value,
        }


def targets_of(understanding: Understanding) -> tuple[Target, ...]:
    """What signers are asked to agree to: every effect that is not a read."""
    return tuple(
        Target(
            verb=e.verb.value,
            resource=e.resource.uid,
            environment=e.resource.environment,
            bounds=e.bounds,
            reversibility=e.reversibility,
        )
        for e in understanding.effects
        if not e.is_read
    )


@dataclass(frozen=True)
class Hold:
    """An action waiting for its quorum. `ticket` is its public id.

    `nonce` is made by the server; `ledger_size` and `ledger_root` (hex) pin the ledger
    the signers saw; times are milliseconds since the epoch (UTC). `card` is what people
    are shown: the effects, residues and plan as data.
    """

    ticket: str
    principal: Principal
    action_digest: str
    understanding_digest: str
    targets: tuple[Target, ...]
    unknown: tuple[str, ...]
    plan: tuple[str, ...]
    quorum: int
    bundle: str
    nonce: str
    opened_ms: int
    expires_ms: int
    ledger_size: int
    ledger_root: str
    state: HoldState = HoldState.OPEN
    action_id: str = ""
    card: Mapping[str, object] = field(default_factory=dict)

    def payload(self, verdict: Verdict) -> dict[str, object]:
        """What one human signs, as plain data; `values.canonical` of it is the message.

        See docs/spec/hold.md. The domain and the verdict are inside, so an approval is
        never a rejection, and neither is a signature for anything else.
        """
        return {
            "domain": "signoff/sign-off/v1",
            "verdict": verdict.value,
            "nonce": self.nonce,
            "hold": self.ticket,
            "run": self.principal.run,
            "agent": self.principal.agent,
            "operator": self.principal.operator,
            "action": self.action_digest,
            "targets": [t.as_data() for t in self.targets],
            "unknown": list(self.unknown),
            "plan": list(self.plan),
            "quorum": self.quorum,
            "bundle": self.bundle,
            "expires_ms": self.expires_ms,
            "card": digest(self.card),
            "ledger": {"size": self.ledger_size, "root": self.ledger_root},
        }


@dataclass(frozen=True, slots=True)
class SignOff:
    """One human's signature over one hold and one verdict. Single use.

    `signature` is raw bytes for `ed25519` and the armoured text for `ssh`.
    `key` is the fingerprint of the enrolled key that made it.
    """

    ticket: str
    human: str
    verdict: Verdict
    key: str
    signature: bytes
    signed_ms: int

"""What an action does to the world: verbs, bounds, reversibility, understanding. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from signoff.model.action import Action
from signoff.model.values import Data, Value, digest


class Verb(str, Enum):
    """What is done to a resource.

    `disarm` removes a safeguard, `permit` widens who may do what, `disclose` hands out
    a secret or a credential that works outside the gates, `execute` runs code Signoff
    cannot see into. `unknown` is a value: it is never treated as `read`.
    """

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"
    DISARM = "disarm"
    PERMIT = "permit"
    EXECUTE = "execute"
    DISCLOSE = "disclose"
    UNKNOWN = "unknown"

    @property
    def severity(self) -> int:
        """A rank for `the strictest wins`: 0 (read) to 9 (unknown)."""
        return _SEVERITY[self]


_SEVERITY = {
    Verb.READ: 0,
    Verb.CREATE: 1,
    Verb.UPDATE: 2,
    Verb.EXECUTE: 3,
    Verb.PERMIT: 4,
    Verb.DISARM: 5,
    Verb.REPLACE: 6,
    Verb.DELETE: 7,
    Verb.DISCLOSE: 8,
    Verb.UNKNOWN: 9,
}


class Reversibility(str, Enum):
    """How well the effect can be taken back: `exact > bounded > degraded > none`."""

    EXACT = "exact"
    BOUNDED = "bounded"
    DEGRADED = "degraded"
    NONE = "none"

    @property
    def rank(self) -> int:
        """3 (exact) down to 0 (none)."""
        return _RANK[self]

    def at_most(self, other: Reversibility) -> Reversibility:
        """The weaker of the two: a class is only ever lowered."""
        return self if self.rank <= other.rank else other


_RANK = {
    Reversibility.EXACT: 3,
    Reversibility.BOUNDED: 2,
    Reversibility.DEGRADED: 1,
    Reversibility.NONE: 0,
}


class Kind(str, Enum):
    """What a resource is to its owners; boundaries are drawn by it.

    `container` is an environment's container (a stack, cluster, database instance,
    hosted zone, account), `recovery` a backup, snapshot, version or undo material,
    `audit` an audit log, `key` an encryption key, `access` an identity or policy,
    `data` a store of data, `config` anything whose whole content Signoff can capture.
    """

    CONTAINER = "container"
    RECOVERY = "recovery"
    AUDIT = "audit"
    KEY = "key"
    ACCESS = "access"
    DATA = "data"
    CONFIG = "config"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing in the world. `uid` is its stable name (an ARN), `type` the surface's
    own (`dynamodb:table`), `environment` the name it resolves to (unmapped: `production`)."""

    uid: str
    type: str
    environment: str
    kind: Kind = Kind.OTHER


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many of something: `Bound(5000, "items")`. `None` is: nobody knows."""

    most: int | None
    unit: str

    def __str__(self) -> str:
        return f"<= {self.most:,} {self.unit}" if self.most is not None else f"? {self.unit}"


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect on one resource. `residue` names in words what would not come back;
    `because` names the source of the classification (a table row, a verb, a describe)."""

    verb: Verb
    resource: Resource
    bounds: tuple[Bound, ...] = ()
    reversibility: Reversibility = Reversibility.NONE
    residue: str = ""
    because: str = ""

    @property
    def is_read(self) -> bool:
        return self.verb is Verb.READ

    def as_data(self) -> dict[str, object]:
        """The effect as the command line contract prints it, plus what the card shows."""
        return {
            "verb": self.verb.value,
            "resource": self.resource.uid,
            "type": self.resource.type,
            "kind": self.resource.kind.value,
            "environment": self.resource.environment,
            "bound": [{"most": b.most, "unit": b.unit} for b in self.bounds],
            "reversibility": self.reversibility.value,
            "residue": self.residue,
            "because": self.because,
        }

    @classmethod
    def from_data(cls, data: Data) -> Effect:
        """The effect that `as_data` wrote down; raises `ValueError` or `KeyError` for others."""
        bounds = data["bound"]
        uid, kind, where = str(data["resource"]), str(data["type"]), str(data["environment"])
        return cls(
            verb=Verb(data["verb"]),
            resource=Resource(uid, kind, where, Kind(data["kind"])),
            bounds=tuple(_bound(b) for b in bounds) if isinstance(bounds, tuple) else (),
            reversibility=Reversibility(data["reversibility"]),
            residue=str(data["residue"]),
            because=str(data["because"]),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One request Signoff will send, in order. `until` names the state to wait for
    before the next step (`stack settled`); `original` marks the step whose answer is
    given back to the agent: exactly one step of a plan is. `foreseen` is what the surface
    that planned the step knows it will do; it counts only where the step cannot be
    understood by itself because an earlier step has not run yet."""

    action: Action
    original: bool = True
    until: str = ""
    foreseen: tuple[Effect, ...] = ()


def _bound(given: Value) -> Bound:
    if not isinstance(given, Mapping):
        raise ValueError("not a bound")
    most = given["most"]
    return Bound(most if isinstance(most, int) else None, str(given["unit"]))


@dataclass(frozen=True)
class Understanding:
    """What an action would do: ordered effects, what stayed unknown, what will be sent.

    `plan` is the action as it will be carried out; a rewrite (a stack deletion that
    first retains its data) has several steps. `safer` names the safe way to the same
    end, shown with every hold and refusal. The digest covers all of it but `safer`.
    """

    action: Action
    effects: tuple[Effect, ...]
    unknown: tuple[str, ...] = ()
    plan: tuple[Step, ...] = ()
    safer: str = ""

    @property
    def is_read(self) -> bool:
        """Whether nothing but reading happens, for certain."""
        return bool(self.effects) and not self.unknown and all(e.is_read for e in self.effects)

    @property
    def reversibility(self) -> Reversibility:
        """The weakest of all effects; `none` when anything is unknown or nothing is known."""
        if self.unknown or not self.effects:
            return Reversibility.NONE
        weakest = Reversibility.EXACT
        for effect in self.effects:
            if effect.verb is Verb.UNKNOWN:
                return Reversibility.NONE
            if not effect.is_read:
                weakest = weakest.at_most(effect.reversibility)
        return weakest

    @property
    def environments(self) -> tuple[str, ...]:
        return tuple(sorted({e.resource.environment for e in self.effects}))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over action digest, effects, unknowns and the plan's digests."""
        steps = [[s.action.digest, s.original, s.until] for s in self.plan]
        effects = [e.as_data() for e in self.effects]
        return digest([self.action.digest, effects, list(self.unknown), steps])

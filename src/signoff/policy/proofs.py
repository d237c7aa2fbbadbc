"""What a proof says: the outcome, its counterexamples, and what it rests on. Pure.

A proof is about a bundle and its invariants. It is `PROVED` only when the solver showed, for
every request that can be asked, that none is allowed which an invariant forbids; whatever is
not shown is `UNKNOWN`, and `UNKNOWN` does not load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from signoff.policy.statements import Policy


class Outcome(str, Enum):
    """`PROVED`: no request breaks an invariant. `VIOLATED`: one does, and the engine agrees.
    `UNKNOWN`: neither was shown."""

    PROVED = "proved"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Premise:
    """Something a setting makes true of every request, as a Cedar boolean expression over
    `principal`, `action`, `resource` and `context`.

    It constrains the requests the solver may choose, so it must be true of every request the
    engine is ever asked. A request on which it errs is left out too. `says` is the premise in
    words; `file` and `line` (from 1; 0 for none) say where it was set; `discharged_by` names
    what keeps it true at run time.
    """

    expression: str
    says: str
    file: str = ""
    line: int = 0
    discharged_by: str = ""


@dataclass(frozen=True)
class Assumption:
    """What a proof takes for granted, in words; where it was set, and the run-time check that
    keeps it true."""

    says: str
    file: str = ""
    line: int = 0
    discharged_by: str = ""


@dataclass(frozen=True)
class Counterexample:
    """One request that is allowed although an invariant forbids it; the engine agreed.

    `request` holds `principal`, `action`, `resource` and `context` as cedarpy takes them, and
    `entities` the entities to ask it with. `words` is one paragraph for people. `culprits` are
    the permits that allow it; `premises` those that speak of what they or the invariant look at.
    """

    invariant: str
    why: str
    request: Mapping[str, Any]
    entities: tuple[Mapping[str, Any], ...]
    words: str
    culprits: tuple[Policy, ...] = ()
    premises: tuple[Premise, ...] = ()


@dataclass(frozen=True)
class Proof:
    """The answer for one bundle.

    `unknown` says, one line each, what could not be shown. `queries` counts the questions put
    to the solver. `digest` (hex) covers all the answer depends on: bundle, premises, invariants
    and the version of the prover.
    """

    outcome: Outcome
    counterexamples: tuple[Counterexample, ...] = ()
    unknown: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    invariants: tuple[str, ...] = ()
    queries: int = 0
    digest: str = ""

    @property
    def proved(self) -> bool:
        """Whether the bundle may be loaded."""
        return self.outcome is Outcome.PROVED


STANDING = (
    Assumption(
        "a request on which any policy errs is refused",
        discharged_by="policy/engine.py `CedarJudge._ask`",
    ),
    Assumption(
        "a human whom the bundle does not know is refused",
        discharged_by="policy/engine.py `CedarJudge._decide`",
    ),
    Assumption(
        "an agent whom the bundle does not know may ask, and is in no team",
        discharged_by="policy/engine.py `CedarJudge.introduce`",
    ),
    Assumption(
        "only environments of the bundle are asked about; any other is judged as `production`",
        discharged_by="policy/bundle.py `Bundle.within`",
    ),
    Assumption(
        "`approvals` counts distinct verified humans besides requester and operator",
        discharged_by="approvals/recount.py, over the signatures themselves, before each act",
    ),
    Assumption(
        "verb, kind, `reversibility` and `certain` are what the action does, or stricter",
        discharged_by="the tables of surfaces/, and their tests; what is in none is `unknown`",
    ),
)
"""What every proof of this prover rests on, whatever the settings."""

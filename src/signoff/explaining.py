"""`signoff explain`: understanding and decision of one action, and nothing else.

The same reader and the same judge as the pipeline, over a world that answers nothing: so
what it says of counts and undo is the cautious half of what the daemon would find.
Works without a daemon and without settings: the shipped policies, the team profile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache

from signoff.model.action import Action, Principal
from signoff.model.decision import Decision
from signoff.model.effect import Understanding
from signoff.model.ports import Facts
from signoff.policy.bundle import load_bundle
from signoff.policy.engine import CedarJudge
from signoff.surfaces.base import Places
from signoff.understand import Reader, find_surfaces
from signoff.world import AskedWorld

AGENT = Principal("agent", "explain", "operator")
OTHERS = frozenset({"first", "second"})
ACCOUNT, REGION = "000000000000", "us-east-1"


@cache
def _judge() -> CedarJudge:
    people: dict[str, tuple[str, ...]] = dict.fromkeys(sorted(OTHERS), ())
    return CedarJudge(load_bundle("team", agents={AGENT.agent: ()}, humans=people))


def explain_action(asked: Mapping[str, object]) -> dict[str, object]:
    """The answer of the command line contract to one object
    `{"surface", "action", "cwd"?, "env"?, "id"?}`. Total: what is not understood says so."""
    surface = asked.get("surface")
    environment = asked.get("env")
    places = Places(override=environment if isinstance(environment, str) else "")
    surfaces = find_surfaces()
    known = surfaces.get(surface) if isinstance(surface, str) else None
    if known is None:
        action = Action(str(surface), "unknown", unknown=(f"no surface `{surface}`",))
    else:
        action = known.parse(asked.get("action"), {"account": ACCOUNT, "region": REGION})
    reader = Reader(surfaces, AskedWorld({}), places)
    understanding = asyncio.run(reader.understand(action)).understanding
    decision = _judge().decide(AGENT, understanding, Facts(eligible=OTHERS, gate="explain"))
    return {"id": asked.get("id"), **told(understanding, decision)}


def told(understanding: Understanding, decision: Decision) -> dict[str, object]:
    """Understanding and decision in the contract's members."""
    return {
        "ruling": decision.ruling.value,
        "quorum": decision.quorum,
        "effects": [e.as_data() for e in understanding.effects],
        "unknown": list(understanding.unknown),
        "obligations": [o.value for o in decision.obligations],
        "reasons": list(decision.reasons),
        "message": decision.message,
        "safer": understanding.safer,
    }

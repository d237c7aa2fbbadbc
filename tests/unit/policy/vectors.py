"""Reading the vectors of `testkit/policy`: a sentence, what is given, what is expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from signoff.model.action import Action, Principal
from signoff.model.decision import Decision
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.ports import Facts
from signoff.policy.bundle import Bundle, compile_bundle
from signoff.policy.engine import CedarJudge

FOLDER = Path(__file__).resolve().parents[3] / "testkit" / "policy"
HUMANS = {"olga": ["platform"], "ana": ["platform"], "bo": ["data"], "cy": ["data"]}


@cache
def shipped(profile: str) -> Bundle:
    return compile_bundle(profile, humans=HUMANS)


@cache
def judge(profile: str, settings: str = "{}") -> CedarJudge:
    if settings == "{}":
        return CedarJudge(shipped(profile))
    return CedarJudge(compile_bundle(profile, humans=HUMANS, settings=json.loads(settings)))


def load_text(text: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    sentence, _, rest = text.partition("\n")
    given, _, expected = rest.partition("\n---\n")
    return sentence.removeprefix("# "), json.loads(given), json.loads(expected)


def judge_vector(given: Mapping[str, Any]) -> Decision:
    return judge(given["profile"], json.dumps(given.get("settings", {}))).decide(
        Principal(**given["principal"]), understanding(given), facts(given["facts"])
    )


def understanding(given: Mapping[str, Any]) -> Understanding:
    effects = tuple(
        Effect(
            Verb(e["verb"]),
            Resource(e["resource"], e["type"], e["environment"], Kind(e["kind"])),
            tuple(Bound(most, unit) for most, unit in e.get("bound", ())),
            Reversibility(e["reversibility"]),
        )
        for e in given["effects"]
    )
    return Understanding(Action(**given["action"]), effects, tuple(given["unknown"]))


def facts(given: Mapping[str, Any]) -> Facts:
    sets = {"approvers", "eligible", "frozen", "disposable"}
    ready = {k: frozenset(v) if k in sets else v for k, v in given.items()}
    for pairs in ("lowered", "granted"):
        if pairs in ready:
            ready[pairs] = frozenset((left, right) for left, right in ready[pairs])
    return Facts(**ready)

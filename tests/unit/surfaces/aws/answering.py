"""A world made of a few lines: answers for the questions a test foresees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.model.action import Action, Answer, Question
from signoff.model.effect import Understanding
from signoff.model.values import frozen
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.base import ROUNDS_MOST, Places

SCOPE = {"account": "111122223333", "region": "eu-west-1"}

World = Mapping[str, Any]
"""Operation -> its answer: a mapping (said), a text (the target's error code), or a
function of the question."""


def act(name: str, **parameters: Any) -> Action:
    """An action in the tests' account."""
    return Action("aws", name, frozen(**parameters), SCOPE)


def answer(world: World, question: Question) -> Answer:
    """What this world says; what it does not know stays unanswered."""
    said = world.get(question.name)
    if callable(said):
        said = said(question)
    if said is None:
        return Answer(unanswered="not part of the test")
    return Answer(error=said) if isinstance(said, str) else Answer(frozen(**said))


def answers(world: World, action: Action) -> dict[str, Answer]:
    """All rounds of questions, answered."""
    found: dict[str, Answer] = {}
    for _ in range(ROUNDS_MOST):
        new = [q for q in SURFACE.questions(action, found) if q.key not in found]
        if not new:
            return found
        found.update({q.key: answer(world, q) for q in new})
    raise AssertionError("questions without end")


def understand(
    action: Action, world: World | None = None, places: Places | None = None
) -> Understanding:
    """The understanding after all rounds; without a world, what is known without asking."""
    known = answers(world, action) if world is not None else {}
    return SURFACE.effects(action, known, places or Places())


def told(understanding: Understanding) -> list[tuple[str, str, str]]:
    """(verb, type, reversibility) of every effect."""
    return [(e.verb.value, e.resource.type, e.reversibility.value) for e in understanding.effects]

"""AWS: the five functions of a surface, for every operation botocore knows.

A few services are read in depth (`services/`), everything else is classified by data.
Nothing here does I/O: what the world says comes in as answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from signoff.model.action import Action, Answer, Answers, Question
from signoff.model.effect import Effect, Kind, Resource, Step, Understanding, Verb
from signoff.surfaces.aws import generic
from signoff.surfaces.aws.case import Case, Undoing
from signoff.surfaces.aws.classify import MINTED, assumptions, classify, discloses, preload
from signoff.surfaces.aws.fingerprints import fingerprint, sound
from signoff.surfaces.aws.given import parse_given
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.services import OPERATIONS
from signoff.surfaces.base import PRODUCTION, Captured, Places, Restoration

__all__ = ["SURFACE", "Aws", "assumptions", "fingerprint", "preload", "sound"]

# What hostile data can make pure code over it raise. Everything else is a bug and shows.
HOSTILE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    RecursionError,
)


class Aws:
    """The AWS surface. Total: what cannot be read is `unknown`, never an exception."""

    name = "aws"

    def parse(self, given: object, scope: Mapping[str, str]) -> Action:
        """The action of a `{"service", "operation", "parameters"}` object."""
        return parse_given(_models(), given, scope)

    def questions(self, action: Action, answers: Answers) -> tuple[Question, ...]:
        """The reads that are still missing to understand the action; () when done."""
        if action.name not in OPERATIONS:
            return ()  # What is only classified is classified without a question.
        case = Case(action, answers)
        try:
            self._read(case)
        except HOSTILE:
            return ()
        return case.open()

    def effects(self, action: Action, answers: Answers, places: Places) -> Understanding:
        """What the action would do, as far as the answers tell."""
        case = Case(action, answers, places)
        try:
            return self._read(case)
        except HOSTILE as error:
            why = f"`{action.name}` could not be read: {type(error).__name__}"
            nowhere = Resource(action.name, "aws", places.override or PRODUCTION, Kind.OTHER)
            effect = Effect(Verb.UNKNOWN, nowhere, because=why)
            return Understanding(action, (effect,), (*action.unknown, why), (Step(action),))

    def capture(self, understanding: Understanding, answers: Answers) -> tuple[Question, ...]:
        """Every read the undo rests on that can be known by now: the whole set each time,
        growing with the answers; done when none of them is new."""
        action = understanding.action
        if action.name not in OPERATIONS:
            return ()
        case = Case(action, answers)
        try:
            OPERATIONS[action.name][1](case)
        except HOSTILE:
            return ()
        return tuple(case.asked.values())

    def restore(self, action: Action, captured: Captured) -> Restoration:
        """The way back from now to before; no step when there is none."""
        if action.name not in OPERATIONS:
            return Restoration((), (f"`{action.name}` has no undo",))
        try:
            return OPERATIONS[action.name][2](Undoing(action, captured))
        except HOSTILE as error:
            why = f"the capture of `{action.name}` could not be read: {type(error).__name__}"
            return Restoration((), (why,))

    def fingerprint(self, question: Question, answer: Answer) -> str:
        """Equal for two answers that say the same about what matters."""
        return fingerprint(question, answer)

    def sound(self, question: Question, answer: Answer) -> bool:
        """Whether an undo can rest on this answer."""
        return sound(question, answer)

    def preload(self) -> None:
        """Read every table now, so that no request waits for it."""
        preload()

    def _read(self, case: Case) -> Understanding:
        found = classify(case.action)
        if case.action.name in OPERATIONS and (
            case.action.name in MINTED or not discloses(case.action.name)
        ):
            reading = OPERATIONS[case.action.name][0](case)
            passed = generic.passed_roles(case)
            known = {e.resource.uid for e in reading.effects}
            extra = tuple(e for e in passed if e.resource.uid not in known)
        else:
            reading, extra = generic.read(case, found), ()
        extra += generic.moved_places(case, (*reading.effects, *extra))
        if extra:
            reading = replace(reading, effects=(*reading.effects, *extra))
        return reading.of(case.action)


@cache
def _models() -> Models:
    return Models()


SURFACE = Aws()
"""The surface `understand.py` finds."""

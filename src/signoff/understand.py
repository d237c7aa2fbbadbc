"""Action to understanding: the rounds of questions, and actions made of other actions.

A composite action (an undo of several steps) is understood by understanding each of its
steps with the surface that step is on. What no surface claims is `unknown`.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import signoff.surfaces
from signoff.model.action import Action, Answer, Answers, Question
from signoff.model.effect import Effect, Resource, Step, Understanding, Verb
from signoff.model.ports import World
from signoff.model.values import EMPTY, Data, frozen
from signoff.surfaces.base import ROUNDS_MOST, Captured, Places, Restoration, Surface

COMPOSITE = "signoff"
QUESTIONS_MOST = 2_000
AT_ONCE_MOST = 16


@dataclass(frozen=True)
class Seen:
    """An understanding with the answers it rests on."""

    understanding: Understanding
    answers: Answers

    def as_asked(self) -> Seen:
        """The same, to be carried out exactly as it was asked for, without any rewrite."""
        asked = Step(self.understanding.action)
        return Seen(replace(self.understanding, plan=(asked,)), self.answers)


def find_surfaces() -> dict[str, Surface]:
    """Every surface whose folder lies in `surfaces/`, by name."""
    found: dict[str, Surface] = {}
    for module in pkgutil.iter_modules(signoff.surfaces.__path__):
        if module.ispkg:
            folder = importlib.import_module(f"signoff.surfaces.{module.name}")
            surface = getattr(folder, "SURFACE", None)
            if surface is not None:
                found[module.name] = surface
    return found


def compose(name: str, steps: tuple[Step, ...], **members: object) -> Action:
    """One action made of several, in order; `members` say what it is for."""
    parts = [
        {
            "action": s.action.as_data(),
            "until": s.until,
            "foreseen": [e.as_data() for e in s.foreseen],
        }
        for s in steps
    ]
    public = frozen(**members, steps=[s.action.name for s in steps])
    scope = dict(steps[0].action.scope) if steps else {}
    return Action(COMPOSITE, name, frozen(**members, steps=parts), scope, public=public)


def steps_of(action: Action) -> tuple[Step, ...]:
    """The steps of a composite action; () when it is not one, or not well-formed."""
    parts = action.parameters.get("steps") if action.surface == COMPOSITE else None
    if not isinstance(parts, tuple):
        return ()
    steps = []
    for part in parts:
        if not isinstance(part, Mapping) or not isinstance(part.get("action"), Mapping):
            return ()
        given = part["action"]
        assert isinstance(given, Mapping)
        foreseen = part.get("foreseen", ())
        effects = foreseen if isinstance(foreseen, tuple) else ()
        steps.append(
            Step(
                Action.from_data(given),
                original=False,
                until=str(part["until"]),
                foreseen=tuple(Effect.from_data(e) for e in effects if isinstance(e, Mapping)),
            )
        )
    if steps:
        steps[-1] = replace(steps[-1], original=True)
    return tuple(steps)


class Reader:
    """Reads actions: which surface, which questions, which effects, what to capture.

    Never raises for a hostile action: what is not understood is `unknown`.
    """

    def __init__(self, surfaces: Mapping[str, Surface], world: World, places: Places) -> None:
        self._surfaces = surfaces
        self._world = world
        self._places = places

    async def understand(self, action: Action) -> Seen:
        """What the action would do, by asking the world in rounds."""
        parts = steps_of(action)
        if parts:
            return await self._understand_all(action, parts)
        surface = self._surfaces.get(action.surface)
        if surface is None:
            return Seen(_not_understood(action, f"no surface claims `{action.surface}`"), {})
        answers = await self._ask(lambda a: surface.questions(action, a), {})
        understanding = surface.effects(action, answers, self._places)
        if not understanding.plan:
            understanding = replace(understanding, plan=(Step(action),))
        return Seen(understanding, answers)

    async def capture(self, seen: Seen) -> tuple[tuple[Question, ...], Answers]:
        """The questions whose answers make the undo, asked now, with their answers."""
        asked: dict[str, Question] = {}
        answers: dict[str, Answer] = {}
        action = seen.understanding.action
        for part in steps_of(action) or (Step(action),):
            surface = self._surfaces.get(part.action.surface)
            if surface is None:
                continue
            one = replace(seen.understanding, action=part.action)
            known = dict(seen.answers)

            def wanted(
                a: Answers,
                surface: Surface = surface,
                one: Understanding = one,
                known: Mapping[str, Answer] = known,
            ) -> tuple[Question, ...]:
                questions = surface.capture(one, {**known, **a})
                asked.update({q.key: q for q in questions})
                return questions

            answers.update(await self._ask(wanted, answers))
        return tuple(asked.values()), answers

    async def ask_again(self, questions: tuple[Question, ...]) -> Answers:
        """Answers to the same questions: right after an act, or before an undo."""
        return await self._answers(questions)

    def restore(self, action: Action, captured: Captured) -> Restoration:
        """The way back, by the surface of each step, last step first."""
        parts = steps_of(action)
        if not parts:
            surface = self._surfaces.get(action.surface)
            return surface.restore(action, captured) if surface else Restoration(())
        steps: list[Step] = []
        residue: list[str] = []
        for number in reversed(range(len(parts))):
            own = replace(captured, response=_response_of(captured.response, number))
            back = self.restore(parts[number].action, own)
            steps.extend(back.steps)
            residue.extend(back.residue)
        return Restoration(tuple(steps), tuple(residue))

    def sound(self, question: Question, answer: Answer) -> bool:
        """Whether an undo can rest on this answer."""
        surface = self._surfaces.get(question.surface)
        return surface is not None and surface.sound(question, answer)

    def changed(
        self, questions: tuple[Question, ...], one: Answers, other: Answers
    ) -> tuple[Question, ...]:
        """The questions whose answers differ in what an undo is about."""
        return tuple(q for q in questions if self._print(q, one) != self._print(q, other))

    def _print(self, question: Question, answers: Answers) -> str:
        answer = answers.get(question.key)
        surface = self._surfaces.get(question.surface)
        if answer is None or surface is None:
            return "unanswered"
        return surface.fingerprint(question, answer)

    async def _understand_all(self, action: Action, parts: tuple[Step, ...]) -> Seen:
        effects: list[Effect] = []
        unknown: list[str] = []
        plan: list[Step] = []
        answers: dict[str, Answer] = {}
        for part in parts:
            seen = await self.understand(part.action)
            if seen.understanding.unknown and part.foreseen:
                effects.extend(part.foreseen)
            else:
                effects.extend(seen.understanding.effects)
                unknown.extend(seen.understanding.unknown)
            answers.update(seen.answers)
            plan.append(part)
        whole = Understanding(action, tuple(effects), tuple(unknown), tuple(plan))
        return Seen(whole, answers)

    async def _ask(
        self,
        wanted: Callable[[Answers], tuple[Question, ...]],
        known: Answers,
    ) -> Answers:
        answers: dict[str, Answer] = dict(known)
        for _ in range(ROUNDS_MOST):
            questions = [q for q in wanted(answers) if q.key not in answers]
            if not questions:
                return answers
            if len(answers) + len(questions) > QUESTIONS_MOST:
                why = f"more than {QUESTIONS_MOST:,} questions would have to be asked"
                answers.update({q.key: Answer(unanswered=why) for q in questions})
                return answers
            answers.update(await self._answers(questions))
        return answers

    async def _answers(self, questions: Sequence[Question]) -> Answers:
        answers: dict[str, Answer] = {}
        for start in range(0, len(questions), AT_ONCE_MOST):
            batch = questions[start : start + AT_ONCE_MOST]
            found = await asyncio.gather(*(self._world.ask(q) for q in batch))
            answers.update({q.key: a for q, a in zip(batch, found, strict=True)})
        return answers


def _response_of(response: Data, number: int) -> Data:
    """The answer to one step of a composite, as the story filed it under `steps`."""
    steps = response.get("steps")
    one = steps.get(str(number)) if isinstance(steps, Mapping) else None
    return one if isinstance(one, Mapping) else EMPTY


def _not_understood(action: Action, why: str) -> Understanding:
    nowhere = Resource(action.name or "unknown", action.surface, "production")
    effect = Effect(Verb.UNKNOWN, nowhere, because=why)
    return Understanding(action, (effect,), (*action.unknown, why), (Step(action),))

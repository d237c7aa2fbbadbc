"""Keeping what an undo needs: read before the act, checked, and read again after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from signoff.model.action import Answer, Answers, Question
from signoff.model.errors import CaptureFailed
from signoff.model.ports import Clock, Outcome, Undo, Vault
from signoff.model.values import canonical, uncanonical
from signoff.steps.chain import Chain
from signoff.surfaces.base import Captured
from signoff.understand import Reader, Seen

DAY_MS = 86_400_000


class Keeper:
    """Captures before an act, observes right after it, and recalls both for an undo."""

    def __init__(self, reader: Reader, vault: Vault, clock: Clock, *, keep_days: int = 7) -> None:
        self._reader = reader
        self._vault = vault
        self._clock = clock
        self._keep_ms = keep_days * DAY_MS

    async def capture(self, chain: Chain, seen: Seen, *, owed: bool) -> Undo | None:
        """The undo of an action that has not run yet, durable and read back; None when
        the surface knows nothing worth saving.

        `owed` says that the ruling rests on the undo, so there has to be one. Raises
        `CaptureFailed`: then nothing may run.
        """
        questions, answers = await self._reader.capture(seen)
        if not questions:
            if owed:
                raise CaptureFailed(
                    f"no undo for `{seen.understanding.action.name}`",
                    "the surface captured nothing although it promised a way back",
                    "ask for the action without its undo, which needs more sign-offs",
                )
            return None
        for question in questions:
            answer = answers.get(question.key, Answer(unanswered="never asked"))
            if not self._reader.sound(question, answer):
                many = f"more than {question.most:,} entries" if answer.truncated else ""
                why = answer.unanswered or answer.error or many
                raise CaptureFailed(
                    f"cannot save the undo of `{seen.understanding.action.name}`",
                    f"`{question.name}` was not answered: {why}",
                    "try again when the target answers",
                )
        run = chain.request.principal.run
        content = _pack(questions, {q.key: answers[q.key] for q in questions})
        reference = await self._vault.put(run, content)
        if await self._vault.get(reference) != content:
            raise CaptureFailed("the saved undo does not read back", "the vault is damaged", "")
        now = self._clock.now_ms()
        return Undo(
            action_id=chain.action_id,
            run=run,
            action=seen.understanding.action,
            vault=reference,
            captured_ms=now,
            keep_until_ms=now + self._keep_ms,
        )

    async def observe(self, undo: Undo, outcome: Outcome) -> Undo:
        """The undo with what is there now. Never raises: the act has already happened,
        and an undo without its after-image still says so when it is used."""
        done = replace(undo, response=outcome.response, state="executed")
        try:
            questions, _ = _unpack(await self._vault.get(undo.vault))
            answers = await self._reader.ask_again(questions)
            return replace(done, after=await self._vault.put(undo.run, _pack(questions, answers)))
        except CaptureFailed:
            return done

    async def recall(self, undo: Undo) -> Captured:
        """Everything that was kept, with what is there now, asked freshly.

        Raises `CaptureFailed` when the material is gone or damaged.
        """
        now_ms = self._clock.now_ms()
        if now_ms > undo.keep_until_ms:
            days = (now_ms - undo.captured_ms) // DAY_MS
            raise CaptureFailed(
                f"undo of `{undo.action_id}` expired",
                f"captured {days} d ago, kept {self._keep_ms // DAY_MS} d",
                "restore from your backup; raise `vault.keep_days` to keep longer",
            )
        questions, before = _unpack(await self._vault.get(undo.vault))
        after: Answers = {}
        if undo.after:
            _, after = _unpack(await self._vault.get(undo.after))
        now = await self._reader.ask_again(questions)
        return Captured(questions, before, after, now, undo.response)


def _pack(questions: tuple[Question, ...], answers: Answers) -> bytes:
    rows = [[q.as_data(), answers[q.key].as_data()] for q in questions]
    return canonical({"captured": rows})


def _unpack(content: bytes) -> tuple[tuple[Question, ...], Answers]:
    try:
        data = uncanonical(content)
        assert isinstance(data, Mapping)
        rows = data["captured"]
        assert isinstance(rows, tuple)
        questions: list[Question] = []
        answers: dict[str, Answer] = {}
        for row in rows:
            assert isinstance(row, tuple)
            asked, answered = row
            assert isinstance(asked, Mapping)
            assert isinstance(answered, Mapping)
            question = Question.from_data(asked)
            questions.append(question)
            answers[question.key] = Answer.from_data(answered)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise CaptureFailed("the saved undo cannot be read", str(error), "") from error
    return tuple(questions), answers

"""Read-only questions to the world, each with a time limit, behind one port.

A cached answer may serve a first look; nothing a person signed rests on one, because
whatever follows a sign-off is asked with `fresh`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from signoff.model.action import Answer, Question
from signoff.model.ports import Clock

Asker = Callable[[Question], Awaitable[Answer]]

CACHE_MOST = 4_096


class AskedWorld:
    """The World port over one asker per surface."""

    def __init__(
        self,
        askers: Mapping[str, Asker],
        clock: Clock,
        *,
        limit_seconds: float = 20.0,
        keep_ms: int = 2_000,
    ) -> None:
        self._askers = askers
        self._clock = clock
        self._limit_seconds = limit_seconds
        self._keep_ms = keep_ms
        self._cache: OrderedDict[str, tuple[int, Answer]] = OrderedDict()

    async def ask(self, question: Question, *, fresh: bool = False) -> Answer:
        """The world's answer; `unanswered` says why when there is none."""
        asker = self._askers.get(question.surface)
        if asker is None:
            return Answer(unanswered=f"nobody answers for `{question.surface}`")
        now = self._clock.now_ms()
        known = self._cache.get(question.key)
        if known is not None and not fresh and now - known[0] <= self._keep_ms:
            return known[1]
        try:
            answer = await asyncio.wait_for(asker(question), self._limit_seconds)
        except TimeoutError:
            answer = Answer(unanswered=f"`{question.name}` took over {self._limit_seconds:.0f} s")
        except Exception as error:  # The world must never break a decision; it goes unanswered.
            answer = Answer(unanswered=f"`{question.name}`: {type(error).__name__}: {error}")
        if answer.ok and not answer.truncated:
            self._cache[question.key] = (now, answer)
            self._cache.move_to_end(question.key)
            while len(self._cache) > CACHE_MOST:
                self._cache.popitem(last=False)
        return answer

    def forget(self) -> None:
        """Drop every cached answer: something has just been changed."""
        self._cache.clear()

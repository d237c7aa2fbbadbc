"""Read-only questions to the world, each with a time limit, behind one port.

Nothing is cached. An agent that changes a thing and acts on it a second later must not be
judged by what the thing was before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from signoff.model.action import Answer, Question

Asker = Callable[[Question], Awaitable[Answer]]


class AskedWorld:
    """The World port over one asker per surface."""

    def __init__(self, askers: Mapping[str, Asker], *, limit_seconds: float = 20.0) -> None:
        self._askers = askers
        self._limit_seconds = limit_seconds

    async def ask(self, question: Question) -> Answer:
        """The world's answer; `unanswered` says why when there is none."""
        asker = self._askers.get(question.surface)
        if asker is None:
            return Answer(unanswered=f"nobody answers for `{question.surface}`")
        try:
            return await asyncio.wait_for(asker(question), self._limit_seconds)
        except TimeoutError:
            return Answer(unanswered=f"`{question.name}` took over {self._limit_seconds:.0f} s")
        except Exception as error:  # The world must never break a decision; it goes unanswered.
            return Answer(unanswered=f"`{question.name}`: {type(error).__name__}: {error}")

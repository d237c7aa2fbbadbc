"""Asking the solver whether some request of a world satisfies conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import z3

from signoff.policy.symbolic.logic import Term, Truth
from signoff.policy.symbolic.strings import Texts, Undecided
from signoff.policy.symbolic.world import World

LEMMAS_MOST = 2_000
"""How often the solver is told what it does not know of texts before it is given up."""

EFFORT_MOST = 60_000_000
"""The solver's own measure of work for one check (z3's `rlimit`); unlike a time limit it
gives the same answer on a busy machine."""


@dataclass(frozen=True)
class Found:
    """A request the solver thinks possible: its model, and the texts of its strings."""

    model: Term
    texts: Texts


@dataclass(frozen=True)
class Unsure:
    """The solver gave up; `why` in its words."""

    why: str


class Questions:
    """One solver for a world; what was learnt for one question serves the next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0
        self._solver = z3.Solver(ctx=world.logic.context)
        # Free truth values are tried as false first, which makes plainer examples.
        self._solver.set("phase_selection", 0)
        self._solver.set("rlimit", EFFORT_MOST)
        self._lemmas: list[Truth] = []

    def given(self, *conditions: Truth) -> None:
        """Conditions on every request from now on."""
        self._add(conditions)

    def find(self, *conditions: Truth) -> Found | Unsure | None:
        """A request that satisfies all conditions; None when there is none."""
        if any(condition is False for condition in conditions):
            return None
        self._add(self.world.facts())
        self._solver.push()
        try:
            self._add(conditions)
            return self._search()
        finally:
            self._solver.pop()
            # What is true of texts is true of every question.
            self._add(self._lemmas)
            self._lemmas = []

    def _search(self) -> Found | Unsure | None:
        axioms = False
        for _ in range(LEMMAS_MOST):
            self.count += 1
            outcome = self._solver.check()
            if outcome == z3.unsat:
                return None
            if outcome != z3.sat:
                return Unsure(self._solver.reason_unknown())
            if not axioms:
                axioms = True
                hierarchy = list(self.world.hierarchy())
                if hierarchy:
                    self._add(hierarchy)
                    continue
            model = self._solver.model()
            texts = Texts(self.world, model)
            try:
                lemmas = texts.lemmas()
            except Undecided as gap:
                return Unsure(str(gap))
            if not lemmas:
                return Found(model, texts)
            self._lemmas += lemmas
            self._add([*lemmas, *self.world.facts()])
        return Unsure("too many texts to tell apart")

    def _add(self, conditions: Sequence[Truth]) -> None:
        self._solver.add(*(self.world.logic.term(each) for each in conditions if each is not True))

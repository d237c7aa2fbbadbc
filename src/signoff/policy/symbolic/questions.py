"""Asking the solver whether some request of a world satisfies conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import z3

from signoff.policy.symbolic.logic import Term, Truth
from signoff.policy.symbolic.strings import Texts, Undecided
from signoff.policy.symbolic.world import World

LEMMAS_MOST = 2_000
"""How often the solver is told what it does not know of texts before it is given up."""

EFFORT_MOST = 15_000_000
"""The solver's own measure of work for one check (z3's `rlimit`); unlike a time limit it
gives the same answer on a busy machine. A check of 1,000 policies takes a twentieth of it;
products of unknown numbers may take any amount."""


@dataclass(frozen=True)
class Found:
    """A request the solver thinks possible: its model, and the texts of its strings."""

    model: Term
    texts: Texts

    def holds(self, truth: Truth) -> bool:
        """Whether something is true of this request."""
        if isinstance(truth, bool):
            return truth
        return bool(z3.is_true(self.model.eval(truth, model_completion=True)))


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
        self._under: list[tuple[Truth, ...]] = []
        self._lasting: list[Truth] = []
        self._impossible: dict[frozenset[int], tuple[Truth, ...]] = {}

    def given(self, *conditions: Truth) -> None:
        """Conditions on every request from now on."""
        self._last(conditions)

    @contextmanager
    def under(self, *conditions: Truth) -> Iterator[None]:
        """Conditions on the requests that are asked for within."""
        self._last(self.world.facts())
        self._solver.push()
        self._under.append(conditions)
        try:
            self._add(conditions)
            yield
        finally:
            self._solver.pop()
            self._under.pop()
            # What is true of every request outlasts the question it was learnt for.
            self._add(self._lasting)
            if not self._under:
                self._lasting = []

    def find(self, *conditions: Truth) -> Found | Unsure | None:
        """A request that satisfies all conditions; None when there is none. What was found
        impossible is not asked again: many actions differ in nothing a policy looks at."""
        everything = tuple(chain(*self._under, conditions))
        if any(condition is False for condition in everything):
            return None
        # Equal terms are one object in z3, with one number as long as someone holds it.
        known = frozenset(term.get_id() for term in everything if not isinstance(term, bool))
        if known in self._impossible:
            return None
        with self.under(*conditions):
            try:
                found = self._search()
            except z3.Z3Exception as error:
                return Unsure(" ".join(str(error).split()))
        if found is None:
            self._impossible[known] = everything
        return found

    def _search(self) -> Found | Unsure | None:
        axioms = False
        for _ in range(LEMMAS_MOST):
            self.count += 1
            outcome = self._solver.check()
            if outcome == z3.unsat:
                return None
            if outcome != z3.sat:
                why = self._solver.reason_unknown()
                return Unsure("it took too much work" if why == "canceled" else why)
            if not axioms:
                axioms = True
                hierarchy = list(self.world.hierarchy())
                if hierarchy:
                    self._last([*hierarchy, *self.world.facts()])
                    continue
            model = self._solver.model()
            texts = Texts(self.world, model)
            try:
                lemmas = texts.lemmas()
            except Undecided as gap:
                return Unsure(str(gap))
            if not lemmas:
                return Found(model, texts)
            self._last([*lemmas, *self.world.facts()])
        return Unsure("too many texts to tell apart")

    def _last(self, conditions: Sequence[Truth]) -> None:
        self._add(conditions)
        if self._under:
            self._lasting += conditions

    def _add(self, conditions: Sequence[Truth]) -> None:
        self._solver.add(*(self.world.logic.term(each) for each in conditions if each is not True))

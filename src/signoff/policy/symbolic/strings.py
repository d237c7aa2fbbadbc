"""Texts for a solver that knows nothing of letters.

A pattern of `like` is to the solver a predicate it may choose freely. When it finds a model,
each string of it is given a real text; where none exists ("it matches `a*` and `b*`"), the
solver is told so and asked again. A theory of strings would be exact from the start, and
takes minutes where this takes milliseconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import z3

from signoff.policy.symbolic.logic import Term, Truth
from signoff.policy.symbolic.world import Pattern, World

LETTER_MOST = 0x2FFFF
"""The last letter of z3's alphabet."""

TEXT_EFFORT_MOST = 2_000_000
"""The solver's own measure of work (z3's `rlimit`) for one text."""

REFINEMENTS_MOST = 24
"""How often one string is tried again with one more pattern it must not match."""


class Undecided(Exception):
    """Whether a text exists was not found out."""


def matches(text: str, pattern: Pattern) -> bool:
    """Whether a text matches a `like` pattern; None in it stands for any text."""
    pieces = _pieces(pattern)
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return text == first
    if len(text) < len(first) + len(last) or not text.startswith(first):
        return False
    if not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in pieces[1:-1]:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@dataclass
class Class:
    """One string of a model: a term of it, and which patterns it is said to match."""

    term: Term
    said: dict[Pattern, bool] = field(default_factory=dict)

    @cached_property
    def yes(self) -> list[Pattern]:
        """The patterns it has to match."""
        return [pattern for pattern, said in self.said.items() if said]


@dataclass(frozen=True, eq=False)
class Asked:
    """A language a text has to be in, and what the solver learns where that is too much."""

    language: Term
    learnt: Truth


class Texts:
    """Gives the strings of a model their texts, or says what the solver has to learn."""

    def __init__(self, world: World, model: Term) -> None:
        self._world = world
        self._model = model
        # A value of a model is one object in z3; kept alive, its number stands for it.
        self._alive: list[Term] = []
        self.by_value: dict[int, str] = {
            self.key(term): text for text, term in world.literal_texts.items()
        }
        self._used = set(self.by_value.values())

    def key(self, term: Term) -> int:
        """What stands for a term's value in this model."""
        value = self._model.eval(term, model_completion=True)
        self._alive.append(value)
        return int(value.get_id())

    def lemmas(self) -> list[Truth]:
        """What the solver got wrong about this model's strings; empty when each has a text.
        Raises `Undecided`."""
        classes: dict[int, Class] = {}
        wrong: list[Truth] = []
        keys: dict[int, int] = {}
        for pattern, term, holds in self._world.patterns.values():
            said = z3.is_true(self._model.eval(holds, model_completion=True))
            if term.get_id() not in keys:
                keys[term.get_id()] = self.key(term)
            key = keys[term.get_id()]
            literal = self.by_value.get(key)
            if literal is None:
                classes.setdefault(key, Class(term)).said[pattern] = said
            elif matches(literal, pattern) is not said:
                wrong += self._of_literal(literal, pattern)
        if wrong:
            return wrong
        for key, each in classes.items():
            lemma = self._give(key, each)
            if lemma is not None:
                return [lemma]
        return []

    def _of_literal(self, literal: str, pattern: Pattern) -> Iterator[Truth]:
        logic = self._world.logic
        term = self._world.likeness(pattern)(self._world.text(literal))
        yield term if matches(literal, pattern) else logic.no(term)

    def _give(self, key: int, each: Class) -> Truth | None:
        for text in _plain(each.yes):
            if text not in self._used and all(matches(text, p) is s for p, s in each.said.items()):
                self._take(key, text)
                return None
        return self._search(key, each)

    def _take(self, key: int, text: str) -> None:
        self.by_value[key] = text
        self._used.add(text)

    def _search(self, key: int, each: Class) -> Truth | None:
        """An exact search, with those patterns it must not match that candidates ran into."""
        logic = self._world.logic
        asked: list[Asked] = []

        def ask(pattern: Pattern, said: bool) -> None:
            holds, language = self._world.likeness(pattern)(each.term), self._language(pattern)
            if said:
                asked.append(Asked(language, logic.no(holds)))
            else:
                asked.append(Asked(z3.Complement(language), holds))

        for pattern in each.yes:
            ask(pattern, True)
        for _ in range(REFINEMENTS_MOST + len(self._used)):
            found = self._text(asked)
            if found is None:
                return logic.any(*(each.learnt for each in self._needed(asked)))
            broken = [p for p, truth in each.said.items() if matches(found, p) is not truth]
            if not broken and found not in self._used:
                self._take(key, found)
                return None
            for pattern in broken[:4]:
                ask(pattern, each.said[pattern])
            if not broken:
                apart = z3.Complement(self._language((found,)))
                asked.append(Asked(apart, self._equal(found, each)))
        raise Undecided("a text for its patterns")

    def _text(self, asked: Sequence[Asked]) -> str | None:
        """A text in all languages; None when there is none. Raises `Undecided`."""
        context = self._world.logic.context
        text = z3.String("text", context)
        # One language that is the intersection of all is decided in milliseconds; the same as
        # so many conditions often is not.
        languages = [each.language for each in asked] or [z3.Full(self._regexes())]
        whole = z3.Intersect(*languages) if len(languages) > 1 else languages[0]
        solver = z3.Solver(ctx=context)
        solver.set("rlimit", TEXT_EFFORT_MOST)
        solver.add(z3.InRe(text, whole))
        outcome = solver.check()
        if outcome == z3.unsat:
            return None
        if outcome != z3.sat:
            raise Undecided("a text for its patterns")
        return str(solver.model().eval(text, model_completion=True).py_value())

    def _needed(self, asked: Sequence[Asked]) -> list[Asked]:
        """Of what no text satisfies, a part that no text satisfies either."""
        needed = list(asked)
        for each in asked:
            fewer = [other for other in needed if other is not each]
            if self._text(fewer) is None:
                needed = fewer
        return needed

    def _exactly(self, text: str) -> Term:
        return z3.Re(z3.StringVal(_escaped(text), self._world.logic.context))

    def _regexes(self) -> Term:
        return z3.ReSort(z3.StringSort(self._world.logic.context))

    def _equal(self, text: str, each: Class) -> Truth:
        if text not in self._world.literal_texts:
            # Another string of this model took the text: what to learn is not about this one.
            raise Undecided("texts that differ")
        return each.term == self._world.text(text)

    def _language(self, pattern: Pattern) -> Term:
        context = self._world.logic.context
        parts = [
            z3.Full(self._regexes())
            if part is None
            else z3.Re(z3.StringVal(_escaped(part), context))
            for part in _joined(pattern)
        ]
        if not parts:
            return z3.Re(z3.StringVal("", context))
        return z3.Concat(*parts) if len(parts) > 1 else parts[0]


def _pieces(pattern: Pattern) -> list[str]:
    """The texts between the wildcards: one more than there are wildcards."""
    pieces = [""]
    for part in pattern:
        if part is None:
            pieces.append("")
        else:
            pieces[-1] += part
    return pieces


def _escaped(text: str) -> str:
    """A text as z3 reads it: a backslash of its own begins an escape there."""
    if any(ord(letter) > LETTER_MOST for letter in text):
        raise Undecided("a letter the solver does not have")
    return text.replace("\\", "\\u{5c}")


def _joined(pattern: Pattern) -> Iterator[str | None]:
    for wild, parts in itertools.groupby(pattern, key=lambda part: part is None):
        yield None if wild else "".join(part or "" for part in parts)


def _plain(yes: Iterable[Pattern]) -> Iterator[str]:
    """Texts a person can read that may match the patterns."""
    patterns = list(yes)
    if not patterns:
        yield from ("", "something", *(f"something-{n}" for n in range(2, 6)))
    for pattern, fill in itertools.product(patterns, ("", "x", "any")):
        yield "".join(fill if part is None else part for part in pattern)

"""All requests of one kind at once: a symbolic principal, resource, context and entities.

Entities and strings are values of sorts of their own (Cedar compares strings only with `==`
and `like`), an entity's attributes and ancestors are functions. What is true of these is
said as facts, and only about terms that occur, so that no question needs quantifiers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from signoff.policy.symbolic.logic import Logic, Term, Truth
from signoff.policy.symbolic.schema import (
    ActionName,
    Bool,
    EntityOf,
    Long,
    RecordOf,
    Schema,
    SetOf,
    Text,
    Type,
)

Uid: TypeAlias = tuple[str, str]


class Unsupported(Exception):
    """No exact counterpart for this form; the nearest truth value around it becomes free."""


@dataclass(frozen=True)
class Scalar:
    """A Bool, Long, Text or entity; `term` of a Bool is a truth value."""

    type: Type
    term: Term


@dataclass(frozen=True)
class Named:
    """An action, known by name."""

    name: str
    type: ActionName = field(default_factory=ActionName)


@dataclass(frozen=True)
class Elements:
    """A set written out."""

    type: SetOf
    members: tuple[Value, ...]


@dataclass(frozen=True)
class Collection:
    """A set of the request or of an entity: a function from values to truth."""

    type: SetOf
    term: Term


@dataclass(frozen=True)
class Member:
    """An attribute: whether it is there, and its value (None where there is no counterpart)."""

    present: Truth
    value: Value | None


@dataclass(frozen=True)
class Fields:
    """A record."""

    type: RecordOf
    members: Mapping[str, Member]


Value: TypeAlias = Scalar | Named | Elements | Collection | Fields
Leaf: TypeAlias = Callable[[str, Term], Term]
Pattern: TypeAlias = tuple[str | None, ...]
"""A `like` pattern: texts, and None for any text."""


@dataclass(frozen=True)
class Known:
    """What is certain about entities, whatever is asked.

    `closed`: the types of which all ancestors are known: those in `above`, and no others.
    `askable`: for a type, the only names a principal or resource of it can have. `exist`: no
    entity is missing.
    """

    above: Mapping[Uid, frozenset[Uid]] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    askable: Mapping[str, frozenset[str]] = field(default_factory=dict)
    exist: bool = False


class World:
    """The request and its entities, and the facts about the terms made so far."""

    def __init__(
        self,
        schema: Schema,
        principal: str,
        resource: str,
        context: RecordOf,
        known: Known | None = None,
        logic: Logic | None = None,
    ) -> None:
        self.schema = schema
        self.known = known or Known()
        self.logic = logic or Logic()
        self.texts = self.logic.sort("Text")
        self.literals: dict[Uid, Term] = {}
        self.literal_texts: dict[str, Term] = {}
        self.footprint: dict[str, dict[int, Term]] = {}
        self.functions: dict[str, Term] = {}
        self.patterns: dict[tuple[Pattern, int], tuple[Pattern, Term, Term]] = {}
        self.tag_names: dict[int, Term] = {}
        self._uids: dict[int, Uid] = {}
        self._sorts: dict[str, Term] = {}
        self._noted: dict[int, Term] = {}
        self._new: list[Truth] = []
        self._distinct: dict[str, int] = {}
        self.principal = self._asker("principal", principal)
        self.resource = self._asker("resource", resource)
        self.context = self.value(context, self.logic.constant, "context")

    def _asker(self, name: str, kind: str) -> Scalar:
        term = self.logic.constant(name, self.sort(EntityOf(kind)))
        self._seen(kind, term)
        if kind in self.known.askable:
            names = sorted(self.known.askable[kind])
            self._new.append(self.logic.any(*(term == self.literal(kind, n) for n in names)))
        return Scalar(EntityOf(kind), term)

    # --- terms -------------------------------------------------------------------

    def sort(self, kind: Type) -> Term:
        """The sort of a type. Raises `Unsupported` where there is none."""
        match kind:
            case Bool():
                return self.logic.bools
            case Long():
                return self.logic.longs
            case Text():
                return self.texts
            case EntityOf(name):
                if name not in self._sorts:
                    self._sorts[name] = self.logic.sort(f"entity:{name}")
                return self._sorts[name]
            case SetOf(Bool() | Long() | Text() | EntityOf() as element):
                return self.logic.sets(self.sort(element))
        raise Unsupported(str(kind))

    def value(self, kind: Type, leaf: Leaf, path: str) -> Value:
        """A value of a type whose parts `leaf` makes, each by its path."""
        if isinstance(kind, RecordOf):
            return Fields(
                kind,
                {
                    name: Member(
                        each.required or leaf(f"{path}.{name}?", self.logic.bools),
                        self._or_none(each.type, leaf, f"{path}.{name}"),
                    )
                    for name, each in kind.attributes.items()
                },
            )
        term = leaf(path, self.sort(kind))
        if isinstance(kind, SetOf):
            if kind.element != Bool() and self._first(term):
                self._new.append(self.logic.finite(term))
            return Collection(kind, term)
        if isinstance(kind, Long):
            self.ranged(term)
        if isinstance(kind, EntityOf):
            self._seen(kind.name, term)
        return Scalar(kind, term)

    def _or_none(self, kind: Type, leaf: Leaf, path: str) -> Value | None:
        try:
            return self.value(kind, leaf, path)
        except Unsupported:
            return None

    def ranged(self, term: Term) -> None:
        """Note that a term is a Long, so within 64 bits."""
        if self._first(term):
            self._new.append(self.logic.in_range(term))

    def _first(self, term: Term) -> bool:
        """Whether a fact about a term is not noted yet."""
        if term.get_id() in self._noted:
            return False
        self._noted[term.get_id()] = term
        return True

    def function(self, name: str, *sorts: Term) -> Term:
        """The one function of a name."""
        if name not in self.functions:
            self.functions[name] = self.logic.function(name, *sorts)
        return self.functions[name]

    def literal(self, kind: str, name: str) -> Term:
        """The entity of a type and name."""
        uid = (kind, name)
        if uid not in self.literals:
            term = self.logic.constant(f'{kind}::"{name}"', self.sort(EntityOf(kind)))
            self.literals[uid] = term
            self._uids[term.get_id()] = uid
            self._seen(kind, term)
        return self.literals[uid]

    def text(self, text: str) -> Term:
        """A string literal."""
        if text not in self.literal_texts:
            self.literal_texts[text] = self.logic.constant(f'text:"{text}"', self.texts)
        return self.literal_texts[text]

    def _seen(self, kind: str, term: Term) -> None:
        self.footprint.setdefault(kind, {})[term.get_id()] = term

    # --- entities ----------------------------------------------------------------

    def exists(self, kind: str, entity: Term) -> Truth:
        """Whether the engine will find the entity; the attributes of others err."""
        if self.known.exist:
            return True
        return self.function(f"exists:{kind}", entity.sort(), self.logic.bools)(entity)

    def attribute(self, kind: str, entity: Term, name: str) -> Member:
        """An attribute of an entity of a type."""
        each = self.schema.entities[kind].attributes.attributes.get(name)
        if each is None:
            return Member(False, None)

        def leaf(path: str, sort: Term) -> Term:
            return self.function(f"{kind}.{path}", entity.sort(), sort)(entity)

        there = each.required or leaf(f"{name}?", self.logic.bools)
        return Member(
            self.logic.all(self.exists(kind, entity), there),
            self._or_none(each.type, leaf, name),
        )

    def tag(self, kind: str, entity: Term, name: Term) -> Member:
        """A tag of an entity of a type. Raises `Unsupported` for a type without tags."""
        tags = self.schema.entities[kind].tags
        if tags is None:
            raise Unsupported("tags")

        self.tag_names[name.get_id()] = name

        def leaf(path: str, sort: Term) -> Term:
            return self.function(f"tag:{kind}{path}", entity.sort(), self.texts, sort)(entity, name)

        there = self.logic.all(self.exists(kind, entity), leaf("?", self.logic.bools))
        return Member(there, self.value(tags, leaf, ""))

    def is_in(self, kind: str, entity: Term, above: str, ancestor: Term) -> Truth:
        """Cedar's `in` for two entities: the same one, or an ancestor."""
        same: Truth = entity == ancestor if kind == above else False
        if entity is ancestor:
            same = True
        if above not in self.schema.entities[kind].above:
            return same
        return self.logic.any(same, self._below(kind, entity, above, ancestor))

    def _below(self, kind: str, entity: Term, above: str, ancestor: Term) -> Truth:
        if kind not in self.known.closed:
            name = f"in:{kind}:{above}"
            below = self.function(name, entity.sort(), ancestor.sort(), self.logic.bools)
            return below(entity, ancestor)
        named = self._uids.get(ancestor.get_id())
        pairs = [
            (uid, up)
            for uid, ups in self.known.above.items()
            if uid[0] == kind
            for up in sorted(ups)
            if up[0] == above and (named is None or up == named)
        ]
        return self.logic.any(
            *(
                self.logic.all(
                    entity == self.literal(*uid),
                    True if named else ancestor == self.literal(*up),
                )
                for uid, up in pairs
            )
        )

    def like(self, text: Term, pattern: Pattern) -> Truth:
        """Whether a text matches a pattern: a predicate per pattern, about which the solver
        is told what it needs to know when it errs (`strings.py`)."""
        if None not in pattern:
            return text == self.text("".join(part or "" for part in pattern))
        key = (pattern, text.get_id())
        if key not in self.patterns:
            self.patterns[key] = (pattern, text, self.likeness(pattern)(text))
        return self.patterns[key][2]

    def likeness(self, pattern: Pattern) -> Term:
        """The predicate of a pattern."""
        return self.function(f"like:{pattern!r}", self.texts, self.logic.bools)

    # --- facts -------------------------------------------------------------------

    def facts(self) -> list[Truth]:
        """What is true of the terms made since this was last asked."""
        found, self._new = self._new, []
        kinds = {kind for kind, _ in self.literals}
        for kind in sorted(kinds):
            found += self._apart(
                f"entity:{kind}", [t for u, t in self.literals.items() if u[0] == kind]
            )
        found += self._apart("text", list(self.literal_texts.values()))
        return found

    def _apart(self, name: str, terms: list[Term]) -> Iterator[Truth]:
        if self._distinct.get(name, 1) < len(terms):
            self._distinct[name] = len(terms)
            yield self.logic.distinct(terms)

    def hierarchy(self) -> Iterator[Truth]:
        """`in` is transitive, nothing is above itself, and what does not exist is in nothing:
        for the entity terms that occur. A question is first tried without."""
        for kind, above in itertools.product(sorted(self.footprint), repeat=2):
            below = self.functions.get(f"in:{kind}:{above}")
            if below is None:
                continue
            for entity, ancestor in self._pairs(kind, above):
                inside = below(entity, ancestor)
                if kind == above:
                    yield self.logic.no(below(entity, entity))
                yield self.logic.implies(inside, self.exists(kind, entity))
                for top in sorted(self.footprint):
                    yield from self._onward(inside, (kind, entity), (above, ancestor), top)

    def _onward(
        self, inside: Truth, low: tuple[str, Term], mid: tuple[str, Term], top: str
    ) -> Iterator[Truth]:
        (kind, entity), (above, ancestor) = low, mid
        if top not in self.schema.entities[above].above:
            return
        for highest in list(self.footprint[top].values()):
            through = self.logic.all(inside, self._below(above, ancestor, top, highest))
            yield self.logic.implies(through, self._below(kind, entity, top, highest))

    def _pairs(self, kind: str, above: str) -> Iterable[tuple[Term, Term]]:
        return itertools.product(
            list(self.footprint[kind].values()), list(self.footprint[above].values())
        )

"""Cedar expressions in a world: a value, and the condition under which it does not err.

What the operators have in common; each has its rule in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import z3

from signoff.policy.symbolic.logic import Term, Truth
from signoff.policy.symbolic.schema import (
    Bool,
    EntityOf,
    Long,
    NotUnderstood,
)
from signoff.policy.symbolic.world import (
    Collection,
    Elements,
    Fields,
    Member,
    Named,
    Scalar,
    Unsupported,
    Value,
    World,
)

Node: TypeAlias = Mapping[str, Any]

INEXACT = frozenset(
    (
        *("decimal", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"),
        *("ip", "isIpv4", "isIpv6", "isLoopback", "isMulticast", "isInRange"),
        *("datetime", "offset", "durationSince", "toDate", "toTime"),
        *("duration", "toMilliseconds", "toSeconds", "toMinutes", "toHours", "toDays"),
    )
)
"""Operators of Cedar without an exact counterpart here: any value, any error."""


class AlwaysErrs(Exception):
    """The engine cannot evaluate this, whatever the request."""


@dataclass(frozen=True)
class Outcome:
    """What an expression evaluates to wherever `ok` holds; elsewhere it errs."""

    value: Value
    ok: Truth


@dataclass(frozen=True)
class Expressions:
    """Compiles expressions of one world, for one action."""

    world: World
    action: str
    rules: Mapping[str, Rule]

    def truth(self, node: Node) -> tuple[Truth, Truth]:
        """A boolean expression: its value, and whether it does not err. What has no exact
        counterpart within becomes free here."""
        free = self.world.logic.free
        try:
            outcome = self.outcome(node)
        except AlwaysErrs:
            return False, False
        except Unsupported:
            return free(), free()
        value = outcome.value
        if not isinstance(value, Scalar) or value.type != Bool():
            return free(), free()
        return value.term, outcome.ok

    def outcome(self, node: Node) -> Outcome:
        """Any expression. Raises `Unsupported`, `AlwaysErrs`, and `NotUnderstood` for an
        operator that is none of Cedar's."""
        if len(node) != 1:
            raise NotUnderstood(f"an expression of {len(node)} parts")
        ((operator, inner),) = node.items()
        rule = self.rules.get(operator)
        if rule is None:
            if operator in INEXACT:
                raise Unsupported(operator)
            raise NotUnderstood(f"the operator `{operator}`")
        return rule(self, inner)

    def long(self, node: Node) -> tuple[Term, Truth]:
        """An expression that has to be a Long."""
        outcome = self.outcome(node)
        if not isinstance(outcome.value, Scalar) or outcome.value.type != Long():
            raise Unsupported("a number")
        return outcome.value.term, outcome.ok

    def both(self, inner: Node) -> tuple[Value, Value, Truth]:
        """Both sides of an operator that evaluates both, and whether neither errs."""
        left, right = self.outcome(inner["left"]), self.outcome(inner["right"])
        return left.value, right.value, self.world.logic.all(left.ok, right.ok)

    def equal(self, left: Value, right: Value) -> Truth:
        """Cedar's `==`: values of different types are not equal."""
        logic = self.world.logic
        match left, right:
            case Named(name), Named(other):
                return name == other
            case Elements(), Elements():
                return logic.all(
                    *(self.member(right, each) for each in left.members),
                    *(self.member(left, each) for each in right.members),
                )
            case ((Elements() | Collection()), (Elements() | Collection())):
                return self._same_sets(left, right)
            case Fields(), Fields():
                names = sorted({*left.members, *right.members})
                return logic.all(*(self._same_member(left, right, name) for name in names))
            case Scalar(Bool()), Scalar(Bool()):
                return logic.same(left.term, right.term)
            case Scalar(), Scalar():
                if left.type != right.type:
                    return False
                return True if left.term is right.term else left.term == right.term
        return False

    def _same_sets(self, left: Value, right: Value) -> Truth:
        one, other = (left, right) if isinstance(left, Collection) else (right, left)
        assert isinstance(one, Collection)
        return one.term == self.collected(other, one)

    def _same_member(self, left: Fields, right: Fields, name: str) -> Truth:
        logic, none = self.world.logic, Member(False, None)
        one, other = left.members.get(name, none), right.members.get(name, none)
        if one.present is False or other.present is False:
            return logic.all(logic.no(one.present), logic.no(other.present))
        if one.value is None or other.value is None:
            raise Unsupported(name)
        same = self.equal(one.value, other.value)
        return logic.all(logic.same(one.present, other.present), logic.implies(one.present, same))

    def member(self, held: Value, value: Value) -> Truth:
        """Whether a set contains a value."""
        if isinstance(held, Elements):
            return self.world.logic.any(*(self.equal(each, value) for each in held.members))
        if not isinstance(held, Collection) or not isinstance(value, Scalar):
            raise Unsupported("contains")
        if value.type != held.type.element:
            return False
        return z3.Select(held.term, self._element(value))

    def collected(self, value: Value, like: Collection) -> Term:
        """A set as a function, over the elements of another."""
        if isinstance(value, Collection):
            if value.type != like.type:
                raise Unsupported("sets of different types")
            return value.term
        term = self.world.logic.empty(like.term.sort().domain())
        if not isinstance(value, Elements):
            raise Unsupported("a set")
        for each in value.members:
            if not isinstance(each, Scalar) or each.type != like.type.element:
                raise Unsupported("sets of different types")
            term = z3.Store(term, self._element(each), self.world.logic.term(True))
        return term

    def _element(self, value: Scalar) -> Term:
        return self.world.logic.term(value.term) if value.type == Bool() else value.term

    def inside(self, left: Value, right: Value) -> Truth:
        """Cedar's `in`: an entity in another, or in one of a written-out set."""
        if isinstance(right, Elements):
            return self.world.logic.any(*(self.inside(left, each) for each in right.members))
        match left, right:
            case Named(name), Named(other):
                return name == other or other in self.world.schema.actions[name].groups
            case Scalar(EntityOf(kind)), Scalar(EntityOf(above)):
                return self.world.is_in(kind, left.term, above, right.term)
            case Scalar(EntityOf()) | Named(), Scalar(EntityOf()) | Named():
                return False
        raise Unsupported("in")

    def member_of(self, inner: Node) -> tuple[Member, Truth]:
        """The attribute that `.` and `has` speak of, and whether what holds it does not err."""
        held = self.outcome(inner["left"])
        match held.value:
            case Fields(members=members):
                return members.get(inner["attr"], Member(False, None)), held.ok
            case Scalar(EntityOf(kind), term):
                return self.world.attribute(kind, term, inner["attr"]), held.ok
        raise Unsupported("an attribute")

    def boolean(self, term: Truth, ok: Truth) -> Outcome:
        """A truth value as an outcome."""
        return Outcome(Scalar(Bool(), term), ok)


Rule: TypeAlias = Callable[[Expressions, Any], Outcome]

"""One rule for each operator of Cedar's JSON form.

https://docs.cedarpolicy.com/policies/json-format.html; what each does, and when it errs:
https://docs.cedarpolicy.com/policies/syntax-operators.html

`RULES` is also the seam through which tests plant bugs: they replace a rule, and expect the
suite to notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import z3

from signoff.policy.symbolic.expressions import AlwaysErrs, Expressions, Node, Outcome, Rule
from signoff.policy.symbolic.logic import LONG_MOST, Term, Truth
from signoff.policy.symbolic.schema import (
    Attribute,
    Bool,
    EntityOf,
    Long,
    NotUnderstood,
    RecordOf,
    SetOf,
    Text,
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
)


def literal(at: Expressions, inner: object) -> Outcome:
    """A Bool, a Long, a string or an entity, written out."""
    match inner:
        case bool():
            return at.boolean(inner, True)
        case int():
            return Outcome(Scalar(Long(), at.world.logic.long(inner)), True)
        case str():
            return Outcome(Scalar(Text(), at.world.text(inner)), True)
        case {"__entity": {"type": "Action", "id": str(name)}}:
            return Outcome(Named(name), True)
        case {"__entity": {"type": str(kind), "id": str(name)}}:
            if kind not in at.world.schema.entities:
                raise NotUnderstood(f"the entity type `{kind}`")
            return Outcome(Scalar(EntityOf(kind), at.world.literal(kind, name)), True)
    raise Unsupported("a literal")


def variable(at: Expressions, name: str) -> Outcome:
    """`principal`, `action`, `resource` or `context`."""
    found: Mapping[str, Value] = {
        "principal": at.world.principal,
        "resource": at.world.resource,
        "context": at.world.context,
        "action": Named(at.action),
    }
    if name not in found:
        raise NotUnderstood(f"the variable `{name}`")
    return Outcome(found[name], True)


def conjunction(at: Expressions, inner: Node) -> Outcome:
    """`&&`: the right side is evaluated only where the left is true."""
    logic = at.world.logic
    left, left_ok = at.truth(inner["left"])
    if left is False and left_ok is True:
        return at.boolean(False, True)
    right, right_ok = at.truth(inner["right"])
    return at.boolean(logic.all(left, right), logic.all(left_ok, logic.implies(left, right_ok)))


def disjunction(at: Expressions, inner: Node) -> Outcome:
    """`||`: the right side is evaluated only where the left is false."""
    logic = at.world.logic
    left, left_ok = at.truth(inner["left"])
    if left is True and left_ok is True:
        return at.boolean(True, True)
    right, right_ok = at.truth(inner["right"])
    return at.boolean(logic.any(left, right), logic.all(left_ok, logic.any(left, right_ok)))


def negation(at: Expressions, inner: Node) -> Outcome:
    """`!`."""
    value, ok = at.truth(inner["arg"])
    return at.boolean(at.world.logic.no(value), ok)


def choice(at: Expressions, inner: Node) -> Outcome:
    """`if then else`: only the branch taken can err."""
    logic = at.world.logic
    condition, condition_ok = at.truth(inner["if"])
    then, other = (_branch(at, inner[name]) for name in ("then", "else"))
    if then is None and other is None:
        raise AlwaysErrs
    if then is None or other is None:
        taken, when = (then, condition) if then is not None else (other, logic.no(condition))
        assert taken is not None
        return Outcome(taken.value, logic.all(condition_ok, when, taken.ok))
    ok = logic.all(condition_ok, logic.choose(condition, then.ok, other.ok))
    if isinstance(condition, bool):
        return Outcome((then if condition else other).value, ok)
    match then.value, other.value:
        case Scalar(Bool(), left), Scalar(Bool(), right):
            return at.boolean(logic.choose(condition, left, right), ok)
        case (Scalar(kind, left), Scalar(same, right)) if kind == same:
            return Outcome(Scalar(kind, z3.If(condition, left, right)), ok)
    raise Unsupported("if")


def _branch(at: Expressions, node: Node) -> Outcome | None:
    try:
        return at.outcome(node)
    except AlwaysErrs:
        return None


def equality(at: Expressions, inner: Node) -> Outcome:
    """`==`."""
    left, right, ok = at.both(inner)
    return at.boolean(at.equal(left, right), ok)


def inequality(at: Expressions, inner: Node) -> Outcome:
    """`!=`."""
    left, right, ok = at.both(inner)
    return at.boolean(at.world.logic.no(at.equal(left, right)), ok)


def _comparison(compare: Callable[[Term, Term], Truth]) -> Rule:
    def rule(at: Expressions, inner: Node) -> Outcome:
        (left, left_ok), (right, right_ok) = at.long(inner["left"]), at.long(inner["right"])
        return at.boolean(compare(left, right), at.world.logic.all(left_ok, right_ok))

    return rule


def _arithmetic(combine: Callable[[Term, Term], Term]) -> Rule:
    def rule(at: Expressions, inner: Node) -> Outcome:
        logic = at.world.logic
        (left, left_ok), (right, right_ok) = at.long(inner["left"]), at.long(inner["right"])
        term = combine(left, right)
        return Outcome(Scalar(Long(), term), logic.all(left_ok, right_ok, logic.in_range(term)))

    return rule


def minus(at: Expressions, inner: Node) -> Outcome:
    """Unary `-`; the least Long has no counterpart."""
    value, ok = at.long(inner["arg"])
    return Outcome(Scalar(Long(), -value), at.world.logic.all(ok, -value <= LONG_MOST))


def membership(at: Expressions, inner: Node) -> Outcome:
    """`in`."""
    left, right, ok = at.both(inner)
    return at.boolean(at.inside(left, right), ok)


def type_test(at: Expressions, inner: Node) -> Outcome:
    """`is` and `is in`; the entity is looked at only where the type is right."""
    left = at.outcome(inner["left"])
    match left.value:
        case Scalar(EntityOf(kind)):
            right_type = kind == inner["entity_type"]
        case Named():
            right_type = inner["entity_type"] == "Action"
        case _:
            raise Unsupported("is")
    if not right_type or "in" not in inner:
        return at.boolean(right_type, left.ok)
    above = at.outcome(inner["in"])
    return at.boolean(at.inside(left.value, above.value), at.world.logic.all(left.ok, above.ok))


def attribute(at: Expressions, inner: Node) -> Outcome:
    """`.`: errs where the attribute, or the entity, is missing."""
    member, ok = at.member_of(inner)
    if member.present is False:
        raise AlwaysErrs
    if member.value is None:
        raise Unsupported(inner["attr"])
    return Outcome(member.value, at.world.logic.all(ok, member.present))


def presence(at: Expressions, inner: Node) -> Outcome:
    """`has`."""
    member, ok = at.member_of(inner)
    return at.boolean(member.present, ok)


def likeness(at: Expressions, inner: Node) -> Outcome:
    """`like`."""
    left = at.outcome(inner["left"])
    if not isinstance(left.value, Scalar) or left.value.type != Text():
        raise Unsupported("like")
    pattern = tuple(None if part == "Wildcard" else part["Literal"] for part in inner["pattern"])
    return at.boolean(at.world.like(left.value.term, pattern), left.ok)


def contains(at: Expressions, inner: Node) -> Outcome:
    """`contains`."""
    left, right, ok = at.both(inner)
    return at.boolean(at.member(left, right), ok)


def contains_all(at: Expressions, inner: Node) -> Outcome:
    """`containsAll`."""
    left, right, ok = at.both(inner)
    if isinstance(right, Elements):
        found = at.world.logic.all(*(at.member(left, each) for each in right.members))
        return at.boolean(found, ok)
    if not isinstance(right, Collection):
        raise Unsupported("containsAll")
    return at.boolean(z3.IsSubset(right.term, at.collected(left, right)), ok)


def contains_any(at: Expressions, inner: Node) -> Outcome:
    """`containsAny`."""
    left, right, ok = at.both(inner)
    for held, written in ((left, right), (right, left)):
        if isinstance(written, Elements):
            found = at.world.logic.any(*(at.member(held, each) for each in written.members))
            return at.boolean(found, ok)
    if not isinstance(left, Collection) or not isinstance(right, Collection):
        raise Unsupported("containsAny")
    shared = z3.SetIntersect(left.term, at.collected(right, left))
    return at.boolean(shared != at.world.logic.empty(left.term.sort().domain()), ok)


def is_empty(at: Expressions, inner: Node) -> Outcome:
    """`isEmpty`."""
    held = at.outcome(inner["arg"])
    match held.value:
        case Elements(members=members):
            return at.boolean(not members, held.ok)
        case Collection(term=term):
            return at.boolean(term == at.world.logic.empty(term.sort().domain()), held.ok)
    raise Unsupported("isEmpty")


def written_set(at: Expressions, inner: list[Node]) -> Outcome:
    """A set written out."""
    found = [at.outcome(each) for each in inner]
    kind = SetOf(found[0].value.type if found else None)
    ok = at.world.logic.all(*(each.ok for each in found))
    return Outcome(Elements(kind, tuple(each.value for each in found)), ok)


def written_record(at: Expressions, inner: Node) -> Outcome:
    """A record written out."""
    found = {name: at.outcome(each) for name, each in inner.items()}
    kind = RecordOf({name: Attribute(each.value.type) for name, each in found.items()})
    ok = at.world.logic.all(*(each.ok for each in found.values()))
    return Outcome(Fields(kind, {n: Member(True, each.value) for n, each in found.items()}), ok)


def has_tag(at: Expressions, inner: Node) -> Outcome:
    """`hasTag`."""
    tag, ok = _tag(at, inner)
    return at.boolean(tag.present, ok)


def get_tag(at: Expressions, inner: Node) -> Outcome:
    """`getTag`: errs where the tag, or the entity, is missing."""
    tag, ok = _tag(at, inner)
    if tag.value is None:
        raise Unsupported("a tag")
    return Outcome(tag.value, at.world.logic.all(ok, tag.present))


def _tag(at: Expressions, inner: Node) -> tuple[Member, Truth]:
    left, right, ok = at.both(inner)
    match left, right:
        case Scalar(EntityOf(kind), entity), Scalar(Text(), name):
            return at.world.tag(kind, entity, name), ok
    raise Unsupported("a tag")


RULES: dict[str, Rule] = {
    "Value": literal,
    "Var": variable,
    "&&": conjunction,
    "||": disjunction,
    "!": negation,
    "neg": minus,
    "if-then-else": choice,
    "==": equality,
    "!=": inequality,
    "<": _comparison(lambda left, right: left < right),
    "<=": _comparison(lambda left, right: left <= right),
    ">": _comparison(lambda left, right: left > right),
    ">=": _comparison(lambda left, right: left >= right),
    "+": _arithmetic(lambda left, right: left + right),
    "-": _arithmetic(lambda left, right: left - right),
    "*": _arithmetic(lambda left, right: left * right),
    "in": membership,
    "is": type_test,
    ".": attribute,
    "has": presence,
    "like": likeness,
    "contains": contains,
    "containsAll": contains_all,
    "containsAny": contains_any,
    "isEmpty": is_empty,
    "Set": written_set,
    "Record": written_record,
    "hasTag": has_tag,
    "getTag": get_tag,
}

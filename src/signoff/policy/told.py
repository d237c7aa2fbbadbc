"""What a set of policies can tell apart: the part of a context its answers rest on. Pure.

Two requests of one principal, action and environment that agree in all that the policies
look at get the same answer from the engine, so it need not be asked twice. Most of a
context is looked at by no policy; and what changes with every call (how many there were
in the last minute) is looked at only as a comparison, whose outcome hardly ever changes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from signoff.policy.statements import Policy, path_of

Operand: TypeAlias = "str | int"
Comparison: TypeAlias = tuple[str, Operand, Operand]

COMPARED = frozenset({"callsLastMinute", "changesLastMinute", "captureLeftBytes"})
"""Longs that differ from call to call; a comparison of one counts by its outcome."""

BEGUN = "target.uid"
"""The path of which a beginning (`like "signoff:*"`) counts by whether it is there."""

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Told:
    """The paths policies read, the comparisons they make, the beginnings they look for.

    `whole`: a policy reads a record as a whole, so that everything counts.
    """

    paths: tuple[tuple[str, ...], ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    beginnings: tuple[str, ...] = ()
    whole: bool = False

    def of(self, context: Mapping[str, Any]) -> Hashable:
        """Equal for two contexts the policies cannot tell apart; None when nobody can say.

        A text that JSON may not carry unharmed is for the engine itself to refuse.
        """
        target = context["target"]
        uid = target["uid"]
        if self.whole or not (uid.isascii() and context["name"].isascii()):
            return None
        values: list[Hashable] = []
        for path in self.paths:
            value: Any = context.get(path[0])
            if len(path) == 2:
                value = value.get(path[1])
            values.append(tuple(value) if isinstance(value, list) else value)
        for name, left, right in self.comparisons:
            low = context[left] if isinstance(left, str) else left
            high = context[right] if isinstance(right, str) else right
            values.append(_OPERATORS[name](low, high))
        for text in self.beginnings:
            values.append(uid.startswith(text))
        return tuple(values)


def told(policies: Iterable[Policy]) -> Told:
    """What these policies look at, signatures apart: those are always told apart."""
    return gathered(atoms_of(policy) for policy in policies)


def atoms_of(policy: Policy) -> frozenset[str | Comparison]:
    """What one policy looks at; a bundle asks once and gathers it for each of its slices."""
    return frozenset(_atoms(policy.est["conditions"]))


def gathered(looked: Iterable[frozenset[str | Comparison]]) -> Told:
    """What policies look at together."""
    atoms = frozenset().union(*looked)
    paths = {tuple(atom.split(".")) if atom else () for atom in atoms if isinstance(atom, str)}
    records = {(), ("target",)}
    return Told(
        paths=tuple(sorted(p for p in paths if p not in records)),
        comparisons=tuple(
            sorted((a for a in atoms if not isinstance(a, str) and a[0] != "like"), key=str)
        ),
        beginnings=tuple(
            sorted(str(a[1]) for a in atoms if not isinstance(a, str) and a[0] == "like")
        ),
        whole=any(p in records or len(p) > 2 for p in paths),
    )


def _atoms(node: object) -> Iterator[str | Comparison]:
    """Paths as text, comparisons and beginnings as tuples; whatever has another form is
    taken apart into the paths in it."""
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _atoms(value)
    if not isinstance(node, Mapping):
        return
    atom = _comparison(node) or _beginning(node) or path_of(node)
    if atom is not None:
        yield atom
        return
    for value in node.values():
        yield from _atoms(value)


def _comparison(node: Mapping[str, Any]) -> Comparison | None:
    for name in _OPERATORS:
        inner = node.get(name)
        if len(node) == 1 and isinstance(inner, Mapping):
            left, right = _operand(inner.get("left")), _operand(inner.get("right"))
            if left is not None and right is not None and {left, right} & COMPARED:
                return name, left, right
    return None


def _operand(node: object) -> Operand | None:
    """A number, or the path of a Long at the top of the context."""
    if not isinstance(node, Mapping) or len(node) != 1:
        return None
    value = node.get("Value")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    path = path_of(node) if "." in node else None
    return path if path and "." not in path else None


def _beginning(node: Mapping[str, Any]) -> Comparison | None:
    """`context.target.uid like "TEXT*"`, in Cedar's own form: a list of letters, then any."""
    inner = node.get("like")
    if len(node) != 1 or not isinstance(inner, Mapping) or not isinstance(inner["left"], Mapping):
        return None
    pattern = inner["pattern"]
    if path_of(inner["left"]) != BEGUN or not pattern or pattern[-1] != "Wildcard":
        return None
    letters = [p["Literal"] for p in pattern[:-1] if isinstance(p, Mapping) and "Literal" in p]
    if len(letters) != len(pattern) - 1:
        return None
    return "like", "".join(letters), ""

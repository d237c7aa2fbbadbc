"""Truth with the known part folded away: Python's own `bool` where it is known, else z3's.

z3 has no types for Python; this module and its siblings are where its values are `Any`.
Each proof has a context of its own, so that proofs may run in several threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import z3

Term: TypeAlias = Any
"""Any z3 expression."""

Truth: TypeAlias = "bool | z3.BoolRef"

LONG_LEAST, LONG_MOST = -(2**63), 2**63 - 1


class Logic:
    """Connectives in one z3 context; a known operand costs no term."""

    def __init__(self) -> None:
        self.context = z3.Context()
        # Python may collect a term in another thread than the one that proves.
        z3.Z3_enable_concurrent_dec_ref(self.context.ref())
        self.bools = z3.BoolSort(self.context)
        self.longs = z3.IntSort(self.context)
        self._free = 0

    def all(self, *terms: Truth) -> Truth:
        """Conjunction."""
        if any(term is False for term in terms):
            return False
        left = [term for term in terms if term is not True]
        if not left:
            return True
        return left[0] if len(left) == 1 else self._joined(z3.Z3_mk_and, left)

    def any(self, *terms: Truth) -> Truth:
        """Disjunction."""
        if any(term is True for term in terms):
            return True
        left = [term for term in terms if term is not False]
        if not left:
            return False
        return left[0] if len(left) == 1 else self._joined(z3.Z3_mk_or, left)

    def _joined(self, make: Callable[..., Term], terms: list[Term]) -> Term:
        # What z3.And and z3.Or do, less the coercion of operands that are truth values of
        # this context already; there are thousands.
        operands = (z3.Ast * len(terms))(*(term.as_ast() for term in terms))
        return z3.BoolRef(make(self.context.ref(), len(terms), operands), self.context)

    def no(self, term: Truth) -> Truth:
        """Negation."""
        if isinstance(term, bool):
            return not term
        return z3.BoolRef(z3.Z3_mk_not(self.context.ref(), term.as_ast()), self.context)

    def implies(self, condition: Truth, then: Truth) -> Truth:
        """Implication."""
        return self.any(self.no(condition), then)

    def same(self, left: Truth, right: Truth) -> Truth:
        """Whether two truth values agree."""
        if isinstance(left, bool):
            return right if left else self.no(right)
        if isinstance(right, bool):
            return left if right else self.no(left)
        return left == right

    def choose(self, condition: Truth, then: Truth, other: Truth) -> Truth:
        """`if condition then then else other` over truth values."""
        return self.all(self.implies(condition, then), self.any(condition, other))

    def term(self, truth: Truth) -> Term:
        """The z3 form of a truth value."""
        return z3.BoolVal(truth, self.context) if isinstance(truth, bool) else truth

    def long(self, number: int) -> Term:
        """A Long."""
        return z3.IntVal(number, self.context)

    def in_range(self, number: Term) -> Truth:
        """Whether an integer is a Long; Cedar errs where it is not."""
        return z3.And(number >= LONG_LEAST, number <= LONG_MOST)

    def free(self) -> Truth:
        """A truth value nothing is known about."""
        self._free += 1
        return z3.Bool(f"free!{self._free}", self.context)

    def sort(self, name: str) -> Term:
        """A sort of its own, with as many values as anyone needs."""
        return z3.DeclareSort(_symbol(name), self.context)

    def constant(self, name: str, sort: Term) -> Term:
        """A value nothing is known about."""
        return z3.Const(_symbol(name), sort)

    def function(self, name: str, *sorts: Term) -> Term:
        """A function nothing is known about; the last sort is that of its values."""
        return z3.Function(_symbol(name), *sorts)

    def sets(self, element: Term) -> Term:
        """The sort of sets over a sort."""
        return z3.ArraySort(element, self.bools)

    def empty(self, element: Term) -> Term:
        """The empty set over a sort."""
        return z3.K(element, self.term(False))

    def finite(self, held: Term) -> Truth:
        """Whether a set leaves out all but some of the values there are, which are endless."""
        return self.no(z3.Default(held))

    def distinct(self, terms: list[Term]) -> Truth:
        """Whether no two of the terms are the same."""
        return z3.Distinct(*terms)


def _symbol(name: str) -> str:
    """A name as z3 takes it: to its C strings a NUL is the end, and two names that begin alike
    would be one."""
    return name.encode("unicode_escape").decode("ascii")

"""What is weak in an owner's policies although the safeguard holds: told, with its line.

The shipped `forbid`s always load and always win, so an owner's `permit` that asks for too
little lets nothing through. It is still not what its author meant, and would be a hole the
day the shipped ones changed. The same goes for a policy that can err: the request is refused,
whatever the policy wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

from signoff.model.errors import PolicyInvalid
from signoff.policy.bundle import Bundle, with_only
from signoff.policy.invariants import shipped_invariants
from signoff.policy.proofs import Assumption, Counterexample, Premise
from signoff.policy.prove import prove
from signoff.policy.statements import Policy

PEOPLE = frozenset(
    {
        "invariant-one-person",
        "invariant-two-person",
        "invariant-two-person-grave",
        "invariant-no-irreversible",
    }
)
"""Asked of every `permit` of an owner: does it ask for the people the safeguard asks for?"""

SPOKEN_OF: Mapping[str, frozenset[str]] = {
    "invariant-frozen": frozenset({"frozen"}),
    "invariant-halted": frozenset({"halted"}),
    "invariant-grant": frozenset({"granted", "grantNeeded", "run"}),
    "invariant-container": frozenset({"lowered", "target.kind"}),
    "invariant-recovery": frozenset({"lowered", "target.kind"}),
    "invariant-audit": frozenset({"lowered", "target.kind"}),
    "invariant-key": frozenset({"lowered", "target.kind"}),
    "invariant-credentials": frozenset({"target.kind"}),
}
"""Asked only of a `permit` that looks at one of these: the others leave it to the shipped."""

ARITHMETIC = frozenset({"+", "-", "*", "neg"})
"""The only operators that can err in a policy the schema accepts: a Long overflows."""

COUNTEREXAMPLES_MOST = 16
"""After so many for one invariant the prover stops; there may be more."""

CLOSED = frozenset({"Environment", "Human", "Team"})
"""Entities that a bundle lists completely. An agent may come that nobody listed."""


def check_names(bundle: Bundle, known: Set[tuple[str, str]]) -> None:
    """Refuse a policy of the owner that names a human, team or environment nobody configured:
    it could never match, and a `forbid` that never matches is no safeguard. `known` holds
    (type, id). Raises `PolicyInvalid` with file and line."""
    for policy in _owned(bundle):
        for kind, name in _entities(policy.est):
            if kind in CLOSED and (kind, name) not in known:
                there = sorted(n for k, n in known if k == kind)
                raise PolicyInvalid(
                    f"the policies do not load: `{policy.file}` line {policy.line}",
                    f"`{policy.id}` names the {kind.lower()} `{name}`, which nobody configured; "
                    f"known: {', '.join(there) or 'none'}",
                    "correct the name, or add it to the settings",
                )


def disclosures(bundle: Bundle, premises: Sequence[Premise]) -> tuple[Assumption, ...]:
    """What an owner should know of their own policies, each with file and line. Asks the
    solver, so it takes as long as a proof; nothing is asked when there are none."""
    owned = _owned(bundle)
    found = [_erring(policy) for policy in owned if _operators(policy.est) & ARITHMETIC]
    return (*found, *_leaning(bundle, owned, premises))


def _leaning(
    bundle: Bundle, owned: Sequence[Policy], premises: Sequence[Premise]
) -> Iterator[Assumption]:
    permits = [policy for policy in owned if policy.effect == "permit"]
    forbids = [policy for policy in owned if policy.effect == "forbid"]
    # Invariants that ask the same permits are asked together.
    questions: dict[tuple[str, ...], list[Policy]] = {}
    for invariant in shipped_invariants(bundle.profile):
        looking = SPOKEN_OF.get(invariant.id, frozenset())
        ids = (p.id for p in permits if invariant.id in PEOPLE or p.paths & looking)
        questions.setdefault(tuple(ids), []).append(invariant)
    told: set[str] = set()
    for names, invariants in questions.items():
        asked = [p for p in permits if p.id in names]
        if not asked:
            continue
        proof = prove(
            with_only(bundle, [*asked, *forbids]), premises=premises, invariants=invariants
        )
        for example in proof.counterexamples:
            yield from _told(example, told)
        counts = Counter(example.invariant for example in proof.counterexamples)
        if any(count >= COUNTEREXAMPLES_MOST for count in counts.values()):
            yield Assumption(
                "more policies alone ask for less than the safeguard than are listed here",
                discharged_by="the shipped policies, which always load and win",
            )


def _told(example: Counterexample, told: set[str]) -> Iterator[Assumption]:
    for culprit in example.culprits:
        if culprit.id not in told:
            told.add(culprit.id)
            yield Assumption(
                f"`{culprit.id}` alone asks for less than the safeguard: {example.words}",
                culprit.file,
                culprit.line,
                "the shipped policies, which always load and win",
            )


def _erring(policy: Policy) -> Assumption:
    return Assumption(
        f"`{policy.id}` calculates, and errs when a number grows beyond a Long",
        policy.file,
        policy.line,
        "a request on which a policy errs is refused: policy/engine.py",
    )


def _owned(bundle: Bundle) -> tuple[Policy, ...]:
    return tuple(policy for policy in bundle.policies if not policy.shipped)


def _operators(node: object) -> frozenset[str]:
    """Every operator of an expression in Cedar's JSON form, and every other key in it."""
    if isinstance(node, Mapping):
        below = (_operators(value) for value in node.values())
        return frozenset(node).union(*below)
    if isinstance(node, (list, tuple)):
        return frozenset[str]().union(*(_operators(value) for value in node))
    return frozenset()


def _entities(node: object) -> Iterator[tuple[str, str]]:
    """Every entity an expression or a scope names."""
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _entities(value)
    if not isinstance(node, Mapping):
        return
    kind, name = node.get("type"), node.get("id")
    if isinstance(kind, str) and isinstance(name, str):
        yield kind, name
    for value in node.values():
        yield from _entities(value)

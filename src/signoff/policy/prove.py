"""Whether a bundle keeps its invariants, for every request there can be.

    for each kind of request (who, what, on what):
        1. can an invariant be broken although the shipped `forbid`s stand?  no: kept
        2. can it be broken by a request that all the policies allow?        no: kept
        3. does the engine agree that this request is allowed?               yes: VIOLATED
                                                                             no: UNKNOWN

A policy left out of a question only lets more through, so the first question is worth asking:
it does not look at the owner's policies, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from signoff.model.values import digest
from signoff.policy.bundle import Bundle
from signoff.policy.invariants import shipped_invariants
from signoff.policy.proofs import (
    STANDING,
    Assumption,
    Counterexample,
    Outcome,
    Premise,
    Proof,
)
from signoff.policy.statements import Policy

__all__ = ["Assumption", "Counterexample", "Outcome", "Premise", "Proof", "proof_digest", "prove"]

PROVER = "4"
"""The version of the prover: a proof made by another one is made again."""


def prove(
    bundle: Bundle,
    *,
    premises: Sequence[Premise] = (),
    invariants: Sequence[Policy] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Whether some request that `bundle` allows breaks an invariant (the shipped ones of its
    profile when None).

    `premises` are true of every request. `progress` is told how many of how many kinds of
    request are done. Raises `PolicyInvalid` for a premise that is no Cedar expression. Takes
    tenths of a second to seconds: for a thread, never for a request's path.
    """
    # The solver is some 60 MB of code that nothing but this needs.
    from signoff.policy.symbolic.examination import Examination

    chosen = tuple(shipped_invariants(bundle.profile) if invariants is None else invariants)
    seen = Examination(bundle, chosen, tuple(premises))
    seen.run(progress or (lambda done, total: None))
    if seen.counterexamples:
        outcome = Outcome.VIOLATED
    else:
        outcome = Outcome.UNKNOWN if seen.unknown else Outcome.PROVED
    return Proof(
        outcome=outcome,
        counterexamples=tuple(seen.counterexamples),
        unknown=tuple(seen.unknown),
        assumptions=(*STANDING, *_stated(premises), *seen.assumptions),
        invariants=tuple(policy.id for policy in chosen),
        queries=seen.queries,
        digest=proof_digest(bundle, premises, chosen),
    )


def proof_digest(
    bundle: Bundle,
    premises: Sequence[Premise] = (),
    invariants: Sequence[Policy] | None = None,
) -> str:
    """What a proof depends on, as hex: the key to remember it by."""
    chosen = shipped_invariants(bundle.profile) if invariants is None else invariants
    return digest(
        {
            "bundle": bundle.digest,
            "premises": [[p.expression, p.says, p.file, p.line, p.discharged_by] for p in premises],
            "invariants": {policy.id: policy.est for policy in chosen},
            "prover": PROVER,
        }
    )


def _stated(premises: Sequence[Premise]) -> Iterator[Assumption]:
    for each in premises:
        yield Assumption(each.says, each.file, each.line, each.discharged_by)

"""Whether a bundle keeps its invariants, for every request there can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from signoff.model.values import digest
from signoff.policy.bundle import Bundle
from signoff.policy.proofs import Assumption, Counterexample, Outcome, Premise, Proof
from signoff.policy.statements import Policy

__all__ = ["Assumption", "Counterexample", "Outcome", "Premise", "Proof", "proof_digest", "prove"]

PROVER = "1"
"""The version of the prover: a proof made by another one is made again."""


def prove(
    bundle: Bundle,
    *,
    premises: Sequence[Premise] = (),
    invariants: Sequence[Policy] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Whether some request that `bundle` allows breaks an invariant (the shipped ones of its
    profile when None)."""
    del progress
    return Proof(
        Outcome.UNKNOWN,
        unknown=("the prover is not built yet",),
        digest=proof_digest(bundle, premises, invariants),
    )


def proof_digest(
    bundle: Bundle,
    premises: Sequence[Premise] = (),
    invariants: Sequence[Policy] | None = None,
) -> str:
    """What a proof depends on, as hex: the key to remember it by."""
    return digest(
        {
            "bundle": bundle.digest,
            "premises": [[p.expression, p.says, p.file, p.line, p.discharged_by] for p in premises],
            "invariants": {p.id: p.est for p in invariants or ()},
            "prover": PROVER,
        }
    )

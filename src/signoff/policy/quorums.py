"""How many people the settings ask for one effect, and from which groups. Pure.

One function, used for every request the engine is asked; `premises.py` says the same in
Cedar for the solver, and a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from signoff.config.values import QuorumRow
from signoff.model.effect import Verb

REVERSIBLE = 2
"""The least reversibility (2 bounded, 3 exact) of a change that can be taken back."""

GRAVE = frozenset({Verb.DISARM, Verb.PERMIT, Verb.EXECUTE, Verb.DISCLOSE, Verb.UNKNOWN})
"""Verbs that ask for as many people as what cannot be taken back, whatever they claim."""

SHIPPED: Mapping[str, tuple[int, int]] = {"team": (1, 2), "solo": (1, 1)}
"""By profile: people for an undoable production change, and for any other, unless a row says
so. (In solo the other ones are denied, whoever signs.)"""


@dataclass(frozen=True)
class Quorum:
    """So many people, one of each group among them."""

    people: int
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quorums:
    """The rows of the settings, the first that matches counts, and the profile's numbers."""

    rows: tuple[QuorumRow, ...] = ()
    profile: str = "team"

    @property
    def groups(self) -> frozenset[str]:
        """Every group some row asks for."""
        return frozenset(group for row in self.rows for group in row.groups)

    def of(
        self, agent: str, verb: Verb, within: Sequence[str], *, certain: bool, reversibility: int
    ) -> Quorum:
        """The quorum of one effect. `agent` is empty for a human, whom no row speaks of;
        `within` is the environment as the bundle knows it and those it lies in. Nobody is
        asked for a read, nor outside production unless a row says so: what the shipped
        policies ask there stands in them."""
        if verb is Verb.READ:
            return Quorum(0)
        undoable = certain and reversibility >= REVERSIBLE and verb not in GRAVE
        row = self.row(agent, within)
        if row is not None:
            return Quorum(row.undoable if undoable else row.irreversible, row.groups)
        if "production" not in within:
            return Quorum(0)
        return Quorum(SHIPPED[self.profile][0 if undoable else 1])

    def row(self, agent: str, within: Sequence[str]) -> QuorumRow | None:
        """The first row that speaks of an agent's changes there."""
        if not agent:
            return None
        for row in self.rows:
            if row.environment in within and (not row.agents or agent in row.agents):
                return row
        return None

"""Whether the people of a `[[quorum]]` row are there at all. Pure.

Whether a row breaks the safeguard is not asked here: the proof says so, with a request that
shows it. Here only what could never be reached, or names nobody, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from signoff.config.values import Config, QuorumRow

Wrong = tuple[str, str, str]


def quorum_faults(
    config: Config, row: QuorumRow, environments: Set[str]
) -> Iterator[tuple[str, Wrong]]:
    """The key at fault, and (what, why, next step), for everything wrong with one row."""
    if config.profile == "solo":
        why = "one human signs, or nobody"
        yield "environment", ("`[[quorum]]` in the solo profile", why, "use the team profile")
    if row.environment not in environments:
        known = f"known: {', '.join(sorted(environments))}"
        step = f"add `[environment.{row.environment}]`"
        yield "environment", (f"unknown environment `{row.environment}`", known, step)
    for name in row.agents:
        if not name or any(c in name for c in "*?["):
            why = "agents are named one by one; an empty list is all of them"
            yield "agents", (f"`{name}` names no agent", why, "name agents, or leave `agents` out")
    yield from _unreachable(config, row)


def _unreachable(config: Config, row: QuorumRow) -> Iterator[tuple[str, Wrong]]:
    # The operator of a run never counts, and anyone enrolled may be an operator.
    besides = len(config.humans) - 1
    for key in ("undoable", "irreversible"):
        asked = int(getattr(row, key))
        if asked > besides:
            why = f"besides the operator only {besides} could sign"
            yield key, (f"a quorum of {asked} people cannot be reached", why, "enrol more humans")
    for group in row.groups:
        members = [h.name for h in config.humans if group in h.groups]
        if not members:
            known = sorted({g for h in config.humans for g in h.groups})
            why = "nobody is in it; groups do not nest; known: " + (", ".join(known) or "none")
            yield "groups", (f"unknown group `{group}`", why, "put each human's groups there")
        elif len(members) == 1:
            why = f"only `{members[0]}` is in it, and could never sign for a run of their own"
            yield "groups", (f"the group `{group}` is one person", why, "put another human in it")

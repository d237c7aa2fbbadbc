"""Recording a look: which actions somebody looked at, and for which of them that counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from signoff.audit.review import counts
from signoff.model.errors import MalformedRequest, Refused

ACTIONS_MOST = 1_000
"""How many actions one signature covers; a signature for more was not a look."""


@dataclass(frozen=True)
class Seen:
    """The actions a look covers: where it counts, and where the human is on the side that
    asked, so that somebody else still has to look."""

    counted: tuple[str, ...]
    own: tuple[str, ...]


def looked_at(
    actions: Sequence[object],
    until: int,
    size: int,
    human: str,
    receipts_of: Callable[[str], tuple[tuple[int, bytes], ...]],
    *,
    solo: bool,
) -> Seen:
    """What a look covers. `until` is the size of the ledger the human had read.

    Raises `MalformedRequest` for what is no list of action ids, `Refused` for an action
    that is not in the ledger, none or too many of them, or a ledger that is not that long.
    """
    names = [a for a in actions if isinstance(a, str)]
    if len(names) != len(actions) or len(set(names)) != len(names):
        raise MalformedRequest("`actions` is not a list of different action ids")
    if not 0 < len(names) <= ACTIONS_MOST:
        raise Refused(
            f"a look at {len(names):,} actions",
            f"1 to {ACTIONS_MOST:,} at a time",
            "name fewer, or use `--run` or `--until`",
        )
    if not 0 <= until <= size:
        raise Refused(
            f"a look at {until:,} receipts",
            f"the ledger has {size:,}",
            "signoff review, then again",
        )
    counted: list[str] = []
    own: list[str] = []
    for name in names:
        rows = receipts_of(name)
        if not rows or rows[0][0] >= until:
            raise Refused(f"no action `{name[:40]}` to look at", "", "signoff review")
        who = json.loads(rows[0][1])["principal"]
        valid = counts(human, who["agent"], who["run"], who["operator"], solo=solo)
        (counted if valid else own).append(name)
    return Seen(tuple(counted), tuple(own))

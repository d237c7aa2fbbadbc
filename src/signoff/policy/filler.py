"""Rules like an owner's, in any number, for measuring decisions with a full bundle. Pure."""

from __future__ import annotations

from signoff.policy.statements import Source

_ACTIONS = (
    'action in [Action::"read", Action::"change"]',
    'action in Action::"change"',
    "action",
)
_PLACES = ("resource", 'resource in Environment::"production"', "resource")


def filler_rules(count: int) -> Source:
    """`count` policies that parse, validate and never match: each has to be evaluated, by
    its service, its type of target, its sign-offs and its bound. Most apply to reads and
    changes in every environment, which is the dear case."""
    rules = [
        f'@id("filler-{n}") @why("a rule about service {n}") '
        f"{'forbid' if n % 2 else 'permit'} (principal is Agent, {_ACTIONS[n % 3]}, "
        f"{_PLACES[n % 3]}) when {{ "
        f'context.name like "service{n}:*" && context.target.type == "service{n}:thing" && '
        f"context.approvals < {n % 5} && context.bound > {n} }};"
        for n in range(count)
    ]
    return Source("filler.cedar", "\n".join(rules))

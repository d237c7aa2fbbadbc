"""What a proof costs: a process that loads a bundle and proves it, from its first statement.

The rules are like an owner's: by service, by type of target, by sign-offs, bounds, teams and
hours, half of them permits that keep the invariants themselves. For the planted permit the
shipped guards are left out, so that the answer rests on the permits, which is the dear case.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

BEGUN = time.process_time()
"""CPU spent before the first statement here: the start of the interpreter."""

from signoff.demo.children import bare_environment  # noqa: E402 - after the clock
from signoff.model.errors import SignoffError  # noqa: E402
from signoff.policy.statements import Source  # noqa: E402

PLANTED = "planted"
GUARDS = frozenset({"one-person", "two-person", "two-person-grave"})
RUNS = 2
"""Each cost is the least of so many runs: another process on the machine only adds."""

HUMANS = {"olga": ("platform",), "ana": ("platform",), "bo": ("data",), "cy": ("data", "sre")}

_FORMS = (
    # A service whose items may be changed with one sign-off.
    """permit (principal is Agent, action in [Action::"create", Action::"update"],
        resource in Environment::"production")
    when {{ context.name like "service{n}:*" && context.certain && context.reversibility >= 2 &&
        context.approvals >= 1 && context.bound < {most} }};""",
    # A service that a team signs for.
    """forbid (principal is Agent, action in Action::"change", resource)
    when {{ context.name like "service{n}:*" && context.target.type == "service{n}:thing" &&
        context.bound > {most} }}
    unless {{ context.approverTeams.contains("sre") || context.approvals >= 3 }};""",
    # Names that no agent touches at night.
    """forbid (principal is Agent, action in Action::"destroy", resource)
    when {{ context.target.uid like "*:table/orders-{n}*" &&
        (context.hourUtc < 6 || context.hourUtc > 20) }};""",
    # What an agent may do outside production.
    """permit (principal is Agent, action in Action::"change",
        resource in Environment::"staging")
    when {{ context.target.type == "service{n}:thing" && context.certain &&
        context.reversibility >= 2 && context.bound + {n} < 100000 }};""",
    # A service behind two sign-offs whatever it does.
    """permit (principal is Agent, action in Action::"change",
        resource in Environment::"production")
    when {{ context.target.type == "service{n}:thing" && context.approvals >= 2 &&
        context.target has region && context.target.region == "eu-west-1" }};""",
)


@dataclass(frozen=True)
class Proved:
    """One proof: CPU seconds, what came out, and whom the counterexamples blame."""

    seconds: float
    outcome: str
    blamed: tuple[str, ...]


def owners_rules(count: int) -> Source:
    """`count` rules like an owner's; their permits keep the invariants."""
    rules = (
        f'@id("rule-{n}") @why("a rule about service {n}") '
        + _FORMS[n % len(_FORMS)].format(n=n, most=1_000 + n)
        for n in range(count)
    )
    return Source("owner.cedar", "\n".join(rules))


def planted_permit() -> Source:
    """One sign-off where two are needed, for the names of one service."""
    return Source(
        "planted.cedar",
        f'@id("{PLANTED}") @why("costs are only data")\n'
        'permit (principal is Agent, action == Action::"delete", '
        'resource in Environment::"production")\n'
        'when { context.name like "ce:*" && context.approvals >= 1 };\n',
    )


def measured(profile: str, count: int, *, planted: bool = False) -> Proved:
    """The least CPU of some processes that load and prove. Raises `SignoffError` when a child
    fails."""
    command = [sys.executable, "-m", __name__, profile, str(count), str(int(planted))]
    runs = [_run(command) for _ in range(RUNS)]
    return min(runs, key=lambda run: run.seconds)


def _run(command: list[str]) -> Proved:
    done = subprocess.run(command, env=bare_environment(), capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise SignoffError("a proof that is measured failed", " ".join(last), "")
    told = json.loads(done.stdout)
    return Proved(told["seconds"], told["outcome"], tuple(told["blamed"]))


def _prove(profile: str, count: int, planted: bool) -> dict[str, object]:
    from signoff.policy.bundle import compile_bundle, with_only
    from signoff.policy.premises import premises
    from signoff.policy.prove import prove
    from signoff.policy.statements import policies

    rules = [owners_rules(count)] if count else []
    if planted:
        # The canaries of a bundle refuse one without its guards, so it is put together here.
        shipped = compile_bundle(profile, humans=HUMANS)
        kept = [p for p in shipped.policies if p.id not in GUARDS]
        for source in (*rules, planted_permit()):
            kept += policies(source, shipped.schema)
        bundle = with_only(shipped, kept)
    else:
        bundle = compile_bundle(profile, rules, humans=HUMANS)
    proof = prove(bundle, premises=premises(bundle))
    blamed = {culprit.id for each in proof.counterexamples for culprit in each.culprits}
    return {"outcome": proof.outcome.value, "blamed": sorted(blamed)}


def _main(profile: str, count: str, planted: str) -> None:
    told = _prove(profile, int(count), planted == "1")
    told["seconds"] = time.process_time() - BEGUN
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _main(*sys.argv[1:])

"""STS: calls that would issue credentials are answered by Signoff itself. Pure.

A real credential never passes a gate: AssumeRole, GetSessionToken and GetFederationToken
are turned into the making of a run key, and nothing is sent to AWS.
"""

from __future__ import annotations

from signoff.model.action import Action
from signoff.model.effect import Kind, Reversibility, Step, Verb
from signoff.model.values import frozen
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.case import Case, Reading, effect

MINT = "signoff:MintRunKey"
RUN_KEY = "signoff:run-key"


def run_key(case: Case) -> Reading:
    """One read of Signoff's own: the gate answers with a fresh run key."""
    asked = {
        member: case.text(member)
        for member in ("RoleArn", "RoleSessionName", "Name")
        if case.text(member)
    }
    given = frozen(service=case.service, operation=case.operation, **asked)
    mint = Action("aws", MINT, given, dict(case.action.scope), public=given)
    key = case.resource(RUN_KEY, RUN_KEY, Kind.ACCESS)
    why = "answered by Signoff with a run key; no real credential is issued"
    seen = effect(Verb.READ, key, Reversibility.EXACT, because=why)
    return Reading((seen,), plan=(Step(mint),))


OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    f"sts:{o}": (run_key, c.capture_nothing, c.nothing_to_restore)
    for o in ("AssumeRole", "GetSessionToken", "GetFederationToken")
}
"""How each operation is read, captured and restored."""

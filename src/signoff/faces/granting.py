"""Grants as the control socket speaks of them: drafted, signed, listed, taken back.

Granting takes two calls: the daemon makes the text up, with its own nonce and the ledger's
head, and hands it out; a peer's signature over exactly that text opens the grant, once.
"""

from __future__ import annotations

from collections.abc import Sequence

from signoff.approvals.quorum import eligible
from signoff.faces.backend import Json
from signoff.house import House
from signoff.model.action import Principal
from signoff.model.errors import Refused
from signoff.model.grant import Grant
from signoff.model.human import Profile
from signoff.model.values import canonical


class GrantOffice:
    """Implements `faces.backend.Granting` over a wired house."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def grants(self, run: str) -> tuple[Json, ...]:
        """The newest grants, of one run or (empty) of all, newest first."""
        found = self._house.store.state.all_grants()
        return tuple(self._told(g) for g in found if run in ("", g.run))

    async def draft(
        self,
        run: str,
        environment: str,
        verbs: Sequence[str],
        changes: int,
        ttl_ms: int,
        why: str,
    ) -> Json:
        """The text of a grant, for a peer to sign; raises `Refused` when there is none to give."""
        who = self._house.store.state.signed_for(run)
        if who is None:
            raise Refused(f"no run `{run[:40]}`", "no run key was issued for it", "signoff status")
        self._check_environment(environment)
        grant = self._house.granting.draft(who, environment, verbs, changes, ttl_ms, why)
        return {
            "grant": self._told(grant),
            "payload": canonical(grant.payload()).decode(),
            "eligible": sorted(self._peers(who)),
        }

    async def sign(self, grant: str, human: str, key: str, signature: bytes) -> Json:
        """Open the grant this human signed."""
        return self._told(await self._house.granting.sign(grant, human, key, signature))

    async def revoke(self, grant: str) -> Json:
        """Take a grant back at once; nobody has to sign for that."""
        found = self._house.store.state.grant(grant)
        if found is None:
            raise Refused(f"no grant `{grant[:40]}`", "", "signoff grants")
        await self._house.granting.revoke(found)
        again = self._house.store.state.grant(grant)
        return self._told(again or found)

    def _check_environment(self, environment: str) -> None:
        config = self._house.config
        known = sorted(e.name for e in config.environments)
        if environment not in known:
            there = ", ".join(f"`{n}`" for n in known)
            raise Refused(
                f"no environment `{environment[:40]}`", f"there are {there}", "choose one of them"
            )
        if not config.is_production(environment):
            raise Refused(
                f"`{environment}` needs no grant",
                "grants are for production and what lies in it",
                "let the agent go on",
            )

    def _peers(self, who: Principal) -> frozenset[str]:
        solo = self._house.config.profile == Profile.SOLO.value
        return eligible(who, self._house.config.humans, operator_counts=solo)

    def _told(self, grant: Grant) -> Json:
        return {
            "grant": grant.id,
            "state": grant.state(self._house.clock.now_ms()).value,
            "run": grant.run,
            "agent": grant.agent,
            "operator": grant.operator,
            "environment": grant.environment,
            "verbs": sorted(grant.verbs),
            "changes": grant.changes,
            "used": grant.used,
            "opened_ms": grant.opened_ms,
            "until_ms": grant.until_ms,
            "revoked_ms": grant.revoked_ms,
            "by": list(grant.by),
            "why": grant.why,
        }

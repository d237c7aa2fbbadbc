"""Where peers sign grants: the text they sign, who may, and when a stored one counts.

A draft grants nothing, is kept in memory alone and is signed once, within five minutes.
The desk checks the signature before a grant is stored; `SignedGrants` checks it again
before anything rests on the row, so that a row nobody signed opens nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from signoff.approvals.grants import (
    Grant,
    GrantSignature,
    GrantState,
    GrantTerms,
    draft_grant,
)
from signoff.approvals.quorum import eligible, persons
from signoff.approvals.signatures import Verifier, Verifiers
from signoff.model.action import Principal
from signoff.model.errors import SignOffInvalid
from signoff.model.human import EnrolledKey, Human, Profile
from signoff.model.ports import Clock, Grants, Ledger, OpenGrant, RevokeGrant
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import canonical, frozen

DRAFT_MS = 5 * 60 * 1000
DRAFTS_MOST = 1_000
CHECKED_MOST = 10_000
REVOKED = "grant-revoked"
"""What the receipt of a revocation says in `detail.act`; the store looks for it."""


def check_grant(
    grant: Grant,
    given: GrantSignature,
    humans: Sequence[Human],
    *,
    verifier: Verifier,
    profile: Profile = Profile.TEAM,
) -> Human:
    """The peer whose signature of this grant counts; raises `SignOffInvalid` otherwise.

    In team it is an enrolled human who is neither the agent nor the human it acts for,
    under any name; in solo it may be that human, when the signature shows they were there.
    """
    human = next((h for h in humans if h.name == given.human), None)
    if human is None:
        raise SignOffInvalid(
            f"`{given.human[:80]}` is not enrolled", "only enrolled humans sign", "signoff status"
        )
    key = next((k for k in human.keys if k.fingerprint == given.key), None)
    if key is None:
        raise SignOffInvalid(
            f"key `{given.key[:80]}` is not enrolled for `{human.name}`",
            "nobody signs with a key of somebody else",
            "sign with a key of your own",
        )
    if not _verified(grant, key, given.signature, verifier) and profile is Profile.SOLO:
        raise SignOffInvalid(
            f"`{human.name}` was not shown to be there",
            "with one human a grant needs a passphrase or a security key that is touched",
            "sign with such a key",
        )
    able = eligible(grant.principal, humans, operator_counts=profile is Profile.SOLO)
    if persons(humans)[human.name] not in able:
        raise SignOffInvalid(
            f"`{human.name}` cannot grant this to run `{grant.run}`",
            "nobody grants production to themselves or to an agent of theirs",
            f"ask a peer: {', '.join(sorted(able)) or 'nobody is enrolled who could'}",
        )
    return human


def _verified(grant: Grant, key: EnrolledKey, signature: bytes, verifier: Verifier) -> bool:
    """Whether the good signature shows that its human was there; raises when it is not good."""
    try:
        return verifier.verify(key, canonical(grant.payload()), signature).user_verified
    except SignOffInvalid as error:
        raise SignOffInvalid(
            f"the signature of grant `{grant.id}` does not count",
            "it was made by another key, or over another run, environment, number or time",
            "ask for the grant again, and sign what is shown",
        ) from error


@dataclass
class GrantDesk:
    """The desk of one daemon at which grants are drafted, signed and taken back."""

    ledger: Ledger
    clock: Clock
    humans: tuple[Human, ...]
    profile: Profile = Profile.TEAM
    terms: GrantTerms = field(default_factory=GrantTerms)
    verifier: Verifier | None = None
    random: Callable[[int], bytes] = secrets.token_bytes
    drafts: dict[str, Grant] = field(default_factory=dict)

    def draft(
        self,
        who: Principal,
        environment: str,
        verbs: Iterable[str],
        changes: int,
        ttl_ms: int,
        why: str = "",
    ) -> Grant:
        """A grant that waits for its signature; raises `Refused` out of bounds.

        Its time runs from now: whoever signs late grants less, never more.
        """
        now = self.clock.now_ms()
        for name in [n for n, g in self.drafts.items() if now >= g.opened_ms + DRAFT_MS]:
            del self.drafts[name]
        if len(self.drafts) >= DRAFTS_MOST:
            raise SignOffInvalid(
                f"{DRAFTS_MOST:,} grants wait for a signature", "each expires", "try in 5 minutes"
            )
        grant = draft_grant(
            who,
            environment,
            verbs,
            changes,
            ttl_ms,
            now_ms=now,
            random=self.random,
            ledger=self.ledger.head(),
            terms=self.terms,
            why=why,
        )
        self.drafts[grant.id] = grant
        return grant

    async def sign(self, grant_id: str, human: str, key: str, signature: bytes) -> Grant:
        """Store the grant this human signed. The draft is gone, whatever comes of it.

        Raises `SignOffInvalid` when the signature does not count; then a receipt says who
        tried, and nothing is granted.
        """
        grant = self.drafts.pop(grant_id, None)
        if grant is None or self.clock.now_ms() >= grant.opened_ms + DRAFT_MS:
            raise SignOffInvalid(
                f"no grant `{grant_id[:40]}` waits for a signature",
                "it was signed, or is older than 5 minutes, or is not of this daemon",
                "ask for it again: signoff grant",
            )
        given = GrantSignature(human, key, signature)
        try:
            signer = await asyncio.to_thread(
                check_grant,
                grant,
                given,
                self.humans,
                verifier=self.verifier or Verifiers(),
                profile=self.profile,
            )
        except SignOffInvalid as error:
            await self._note(grant, act="grant", refused=str(error), human=human)
            raise
        signed = replace(grant, by=(signer.name,), signatures=(given,))
        await self._note(
            signed,
            OpenGrant(signed),
            act="grant",
            human=signer.name,
            key=key,
            message=canonical(grant.payload()).decode(),
            signature=signature,
        )
        return signed

    async def revoke(self, grant: Grant) -> None:
        """Take a grant back at once; nobody has to sign for that. Raises `StateConflict`."""
        await self._note(grant, RevokeGrant(grant.id), act=REVOKED)

    async def void(self, grants: Iterable[Grant], why: str) -> int:
        """Take back all of these that are not over, whose counts rest on a ledger that was
        rolled back; how many there were."""
        now, voided = self.clock.now_ms(), 0
        for grant in grants:
            if grant.state(now) in (GrantState.LIVE, GrantState.USED_UP):
                await self._note(grant, RevokeGrant(grant.id), act=REVOKED, why=why)
                voided += 1
        return voided

    async def _note(
        self, grant: Grant, *changes: OpenGrant | RevokeGrant, **detail: object
    ) -> None:
        receipt = Receipt(
            mark=Mark.CONTROL,
            time_ms=self.clock.now_ms(),
            action_id="",
            principal=grant.principal,
            gate="control",
            detail=frozen(grant=grant.id, **detail),
        )
        await self.ledger.append(receipt, *changes)


class SignedGrants:
    """The port `Grants` over stored rows: only those whose signatures count today.

    A human who is no longer enrolled, or whose key is not, grants nothing any more.
    """

    def __init__(
        self,
        rows: Grants,
        humans: Sequence[Human],
        *,
        profile: Profile = Profile.TEAM,
        verifier: Verifier | None = None,
    ) -> None:
        self._rows, self._humans, self._profile = rows, tuple(humans), profile
        self._verifier = verifier or Verifiers()
        self._checked: dict[Grant, bool] = {}
        self._seen: dict[str, tuple[tuple[Grant, ...], tuple[Grant, ...]]] = {}

    async def grants(self, run: str) -> tuple[Grant, ...]:
        """Every grant of the run that a peer really signed, oldest first."""
        rows = await self._rows.grants(run)
        seen = self._seen.get(run)
        # The store hands out the very same rows until one of them moves.
        if seen is None or seen[0] is not rows:
            if len(self._seen) >= CHECKED_MOST:
                self._seen.clear()
            seen = self._seen[run] = (rows, tuple([g for g in rows if await self._good(g)]))
        return seen[1]

    async def _good(self, grant: Grant) -> bool:
        # What moves after the signature is not part of what was signed.
        signed = replace(grant, used=0, revoked_ms=0)
        found = self._checked.get(signed)
        if found is None:
            found = await asyncio.to_thread(self._check, signed)
            if len(self._checked) >= CHECKED_MOST:
                self._checked.clear()
            self._checked[signed] = found
        return found

    def _check(self, grant: Grant) -> bool:
        try:
            names = {
                check_grant(
                    grant, given, self._humans, verifier=self._verifier, profile=self._profile
                ).name
                for given in grant.signatures
            }
        except SignOffInvalid:
            return False
        return bool(names) and names == set(grant.by)

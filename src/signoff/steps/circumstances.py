"""What a decision rests on besides the action: who signed, who could, rates, switches."""

from __future__ import annotations

from collections.abc import Mapping

from signoff.approvals.grants import chosen, covered
from signoff.approvals.quorum import eligible
from signoff.breaker import Attempt, Breaker
from signoff.model.action import Principal
from signoff.model.effect import Reversibility, Verb
from signoff.model.human import Human
from signoff.model.ports import Clock, Facts, Grants, Holds, Outcome, UseGrant, Vault
from signoff.model.values import Data
from signoff.policy.request import verb_asked
from signoff.steps.chain import Request
from signoff.understand import Seen

PRINCIPALS_MOST = 1_024


class Circumstances:
    """Gathers the facts for one decision, and hears what became of it."""

    def __init__(
        self,
        holds: Holds,
        vault: Vault,
        breaker: Breaker,
        clock: Clock,
        *,
        humans: tuple[Human, ...],
        solo: bool = False,
        disposable: frozenset[str] = frozenset(),
        grants: Grants | None = None,
    ) -> None:
        self._holds, self._vault, self._breaker, self._clock = holds, vault, breaker, clock
        self._humans = humans
        self._solo = solo
        self._disposable = disposable
        self._grants = grants
        self._could_sign: dict[Principal, frozenset[str]] = {}

    async def gather(self, request: Request, seen: Seen, approvers: frozenset[str]) -> Facts:
        """The facts as they stand now."""
        who = request.principal
        now = self._clock.now_ms()
        switches = await self._holds.switches()
        change = not seen.understanding.is_read
        rates = self._breaker.pace(who, request.action.digest, now, is_change=change)
        left = 1 << 40
        if change:
            left = await self._vault.left(who.run)
        return Facts(
            approvers=approvers,
            eligible=self._eligible(who) - approvers,
            frozen=_frozen(switches),
            halted=_halted(switches, who.agent, who.run),
            calls_last_minute=rates.calls_last_minute,
            changes_last_minute=rates.changes_last_minute,
            repeats=rates.repeats,
            capture_left_bytes=left,
            lowered=_lowered(switches, now),
            disposable=self._disposable,
            gate=request.gate,
            undo=request.undo,
            overwrites_newer=request.overwrites_newer,
            requester_verified=request.requester_verified,
            granted=await self._granted(who, seen, now),
            now_ms=now,
        )

    async def halted(self, request: Request) -> bool:
        """Whether somebody pressed the stop button for this run, its agent, or everything."""
        switches = await self._holds.switches()
        return _halted(switches, request.principal.agent, request.principal.run)

    async def claim(
        self, request: Request, seen: Seen, facts: Facts
    ) -> tuple[tuple[UseGrant, ...], str]:
        """What is counted with the start of a change, and why it may not start after all
        (empty when it may).

        A grant that the decision rested on must be live still. What is only observed uses
        none: nothing rests on a grant there.
        """
        if await self.halted(request):
            return (), "halted meanwhile"
        known, who = seen.understanding, request.principal
        pairs = {(where, verb) for where, verb in facts.granted if verb != Verb.READ.value}
        if self._grants is None or not pairs or request.only_observes(known):
            return (), ""
        found = chosen(await self._grants.grants(who.run), who, pairs, self._clock.now_ms())
        if found is None:
            return (), f"the grant of `{who.run}` is over meanwhile; next: ask a peer for another"
        return tuple(UseGrant(grant.id) for grant in found), ""

    async def _granted(self, who: Principal, seen: Seen, now_ms: int) -> frozenset[tuple[str, str]]:
        """Which of its effects live grants cover for this run: asked anew for every decision."""
        if self._grants is None or not who.is_agent:
            return frozenset()
        grants = await self._grants.grants(who.run)
        if not grants:
            return frozenset()
        known = seen.understanding
        pairs = {(e.resource.environment, verb_asked(e, known).value) for e in known.effects}
        return covered(grants, who, pairs, now_ms)

    def _eligible(self, who: Principal) -> frozenset[str]:
        """Who could sign for this principal; the humans stay the same until a restart."""
        found = self._could_sign.get(who)
        if found is None:
            if len(self._could_sign) >= PRINCIPALS_MOST:
                self._could_sign.clear()
            found = eligible(who, self._humans, operator_counts=self._solo)
            self._could_sign[who] = found
        return found

    def happened(
        self, request: Request, seen: Seen, outcome: Outcome | None, *, waits: bool = False
    ) -> None:
        """Count the action. Its outcome tells repetition of a failure from progress; an
        agent that asks whether its hold was signed (`waits`) repeats nothing."""
        now = self._clock.now_ms()
        denied = outcome is None and not waits
        ended = "stopped" if outcome is None else outcome.error or "done"
        if waits:
            ended = f"waits at {now}"
        attempt = Attempt(
            digest=request.action.digest,
            outcome=ended,
            is_change=not seen.understanding.is_read,
            effects=_pairs(seen),
            denied=denied,
            irreversible=seen.understanding.reversibility is Reversibility.NONE,
        )
        self._breaker.record(request.principal, attempt, now)


def _frozen(switches: Mapping[str, Data]) -> frozenset[str]:
    return frozenset(name.split("/", 1)[1] for name in switches if name.startswith("freeze/"))


def _halted(switches: Mapping[str, Data], agent: str, run: str) -> bool:
    names = {"halt/all", f"halt/agent/{agent}", f"halt/run/{run}"}
    return bool(agent) and not names.isdisjoint(switches)


def _lowered(switches: Mapping[str, Data], now_ms: int) -> frozenset[tuple[str, str]]:
    lowered = set()
    for name, content in switches.items():
        if name.startswith("lowered/"):
            _, boundary, environment = name.split("/", 2)
            until = content.get("until_ms")
            if isinstance(until, int) and now_ms < until:
                lowered.add((boundary, environment))
    return frozenset(lowered)


def _pairs(seen: Seen) -> tuple[tuple[str, str], ...]:
    """(verb, resource) of every effect that is not a read, as the breaker remembers them."""
    effects = seen.understanding.effects
    return tuple((e.verb.value, e.resource.uid) for e in effects if not e.is_read)

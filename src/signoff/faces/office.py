"""The daemon as the control socket speaks to it: looking, signing, stopping, undoing.

Everything that loosens arrives with a `Proof` that `authenticate` has checked; the proof
goes into the receipt, so that anybody can check it again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping

from signoff.approvals.quorum import eligible
from signoff.approvals.signatures import Verifiers
from signoff.faces.backend import Json, Proof
from signoff.faces.changing import Changing, Sealing
from signoff.faces.granting import GrantOffice
from signoff.faces.reviewing import looked_at
from signoff.gates.aws_mint import new_key_id
from signoff.house import House
from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Hold, HoldState, SignOff, Verdict
from signoff.model.errors import ExecutionFailed, Refused, SignOffInvalid
from signoff.model.human import Profile
from signoff.model.ports import (
    Change,
    FinishAction,
    IssueKey,
    Outcome,
    RunKey,
    Sealed,
    SetSwitch,
    Undo,
)
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import digest, frozen
from signoff.steps.chain import Request
from signoff.surfaces.control import TTL_MS_MOST, lower_boundary
from signoff.undo import UndoPlan

HOUR_MS = 3_600_000
KEY_TTL_MS_MOST = 7 * 24 * HOUR_MS


class Office:
    """Implements `faces.backend.Backend` over a wired house."""

    def __init__(self, house: House, gates: list[dict[str, str]], endpoint: str) -> None:
        self._house, self._gates, self._endpoint = house, gates, endpoint
        self._verifiers = Verifiers()
        self._changing = Changing(house)

    async def status(self) -> Json:
        """What stands now, as `render.status` reads it."""
        return await self._house.status(self._gates)

    async def holds(self) -> tuple[Json, ...]:
        """Every hold that waits."""
        await self._house.desk.expire()
        return tuple([await self._told(hold) for hold in await self._house.store.open()])

    async def show(self, ticket: str) -> Json:
        """One hold in full."""
        return await self._told(await self._hold(ticket))

    async def challenge(self, ticket: str, human: str, verdict: Verdict) -> str:
        """The exact text to sign."""
        if self._house.config.human(human) is None:
            raise SignOffInvalid(
                f"`{human}` is not enrolled", "only enrolled humans sign", "signoff status"
            )
        return (await self._house.desk.text(ticket, verdict)).decode()

    async def submit(
        self, ticket: str, human: str, verdict: Verdict, key: str, signature: bytes
    ) -> Json:
        """Add one sign-off."""
        now = self._house.clock.now_ms()
        row = SignOff(ticket, human, verdict, key, signature, now)
        return await self._told(await self._house.desk.sign(row))

    async def authenticate(self, proof: Proof) -> None:
        """Whether the human's own enrolled key made the signature, and they were there."""
        human = self._house.config.human(proof.human)
        key = next((k for k in human.keys if k.fingerprint == proof.key), None) if human else None
        if key is None:
            raise SignOffInvalid(
                f"key `{proof.key}` is not enrolled for `{proof.human}`", "", "signoff status"
            )
        await asyncio.to_thread(self._verifiers.verify, key, proof.message, proof.signature)

    async def issue_key(self, agent: str, operator: str, ttl_ms: int, proof: Proof) -> Json:
        """A run key for an agent that acts for the human who signs."""
        if operator != proof.human:
            raise Refused(
                f"`{proof.human}` cannot issue a key for an agent of `{operator}`",
                "whom an agent acts for is fixed by that human alone",
                f"let `{operator}` run the command",
            )
        if not 60_000 <= ttl_ms <= KEY_TTL_MS_MOST:
            raise Refused(
                f"a run key that lives {ttl_ms // 1000:,} s",
                f"60 s to {KEY_TTL_MS_MOST // 1000:,} s are possible",
                "choose another `--ttl`",
            )
        now = self._house.clock.now_ms()
        run = f"R-{secrets.token_hex(4)}"
        who = Principal(agent, run, operator)
        self._house.judge.introduce(agent)
        key = RunKey(
            new_key_id(secrets.token_bytes(10)), secrets.token_urlsafe(30), who, now, now + ttl_ms
        )
        await self._note(who, IssueKey(key), act="key", key_id=key.key_id, proof=proof)
        return {
            "key_id": key.key_id,
            "secret": key.secret,
            "token": "",
            "run": run,
            "agent": agent,
            "operator": operator,
            "expires_ms": key.expires_ms,
            "endpoint": self._endpoint,
            "region": self._house.region,
        }

    async def log(self, start: int, most: int, wait_ms: int) -> Json:
        """Receipts from an index; waits a while for a first one."""
        store, waited = self._house.store, 0
        size, _ = store.head()
        begin = max(0, size + start) if start < 0 else start
        changed = self._house.drift.changed  # The house is about to be opened anew.
        while begin >= size and waited < wait_ms and not changed.is_set():
            await asyncio.sleep(0.2)
            waited += 200
            size, _ = store.head()
        rows = [{"index": index, **json.loads(body)} for index, body in store.receipts(begin, most)]
        return {"receipts": rows, "next": begin + len(rows), "size": size}

    async def halt(self, agent: str, run: str) -> Json:
        """Stop at once; nobody has to sign for that. A name nobody had yet is stopped as well:
        a stop is never refused, and says that it may be mistyped."""
        name = f"halt/run/{run}" if run else f"halt/agent/{agent}" if agent else "halt/all"
        now = self._house.clock.now_ms()
        await self._note(_NOBODY, SetSwitch(name, frozen(since_ms=now)), act="halt", switch=name)
        runs = self._house.store.state.runs() if name != "halt/all" else ()
        known = name == "halt/all" or any(run == r.run if run else agent == r.agent for r in runs)
        return {"state": "halted", "switch": name, "known": known}

    async def resume(self, agent: str, run: str, proof: Proof) -> Json:
        """Take one halt back."""
        name = f"halt/run/{run}" if run else f"halt/agent/{agent}" if agent else "halt/all"
        return await self._switch_off(name, "resume", proof)

    async def freeze(self, environment: str) -> Json:
        """No changes in an environment until it is lifted.

        Raises `Refused` for a name that is no environment: nothing would be frozen.
        """
        self._check_environment(environment)
        name, now = f"freeze/{environment}", self._house.clock.now_ms()
        await self._note(_NOBODY, SetSwitch(name, frozen(since_ms=now)), act="freeze", switch=name)
        return {"state": "frozen", "switch": name}

    async def lift(self, environment: str, proof: Proof) -> Json:
        """Take one freeze back."""
        return await self._switch_off(f"freeze/{environment}", "lift", proof)

    def _check_environment(self, environment: str) -> None:
        known = self._house.config.environments
        if known and environment not in (names := sorted(e.name for e in known)):
            there = ", ".join(f"`{n}`" for n in names)
            raise Refused(
                f"no environment `{environment}`", f"there are {there}", "choose one of them"
            )

    async def lower(self, boundary: str, environment: str, ttl_ms: int, proof: Proof) -> Json:
        """Ask for a boundary to be lowered: the whole story, with its own hold."""
        if boundary not in self._house.bundle.boundaries:
            known = ", ".join(f"`{b}`" for b in sorted(self._house.bundle.boundaries))
            raise Refused(f"no boundary `{boundary}`", f"there are {known}", "choose one of them")
        if not self._house.bundle.boundaries[boundary]:
            raise Refused(f"boundary `{boundary}` is never lowered", "nobody can", "")
        self._check_environment(environment)
        if not 0 < ttl_ms <= TTL_MS_MOST:
            hours = TTL_MS_MOST // HOUR_MS
            raise Refused(f"{ttl_ms} ms is no time to lower it for", f"at most {hours} h", "")
        action = lower_boundary(boundary, environment, ttl_ms)
        who = Principal("", "", proof.human)
        there = await self._there(proof)
        request = Request(who, action, "control", Level.SEPARATED, requester_verified=there)
        reply = await self._house.pipeline.handle(request, _Switches(self, proof))
        if reply.outcome is not None:
            return {"state": "lowered", "boundary": boundary, "environment": environment}
        if not reply.ticket:
            raise Refused("the boundary is not lowered", reply.message, "signoff holds")
        hold = await self._hold(reply.ticket)
        return {**await self._told(hold), "message": reply.message}

    async def configuration(self) -> Json:
        """What is sealed."""
        return self._changing.configuration()

    async def consider(self, texts: Mapping[str, object]) -> Json:
        """Check, prove and compare a candidate; nothing is changed."""
        return await self._changing.consider(texts)

    async def apply(self, configuration: str, proof: Proof) -> Json:
        """Ask for another configuration: the whole story, with its own hold."""
        action, who = self._changing.action(configuration), Principal("", "", proof.human)
        there = await self._there(proof)
        request = Request(who, action, "control", Level.SEPARATED, requester_verified=there)
        waiting = await self._house.store.find("", action.digest)
        rows = await self._house.store.signoffs(waiting.ticket) if waiting else ()
        signers = tuple(s.human for s in rows if s.verdict is Verdict.APPROVE)
        sealing = Sealing(self._house, proof.human, signers, _proof(proof))
        reply = await self._house.pipeline.handle(request, sealing)
        if reply.outcome is not None and reply.outcome.succeeded:
            return {"state": "sealed", "configuration": configuration}
        if reply.outcome is not None or not reply.ticket:
            why = reply.outcome.error if reply.outcome else reply.message
            raise Refused("the configuration is not sealed", why, "signoff apply")
        hold = await self._hold(reply.ticket)
        return {**await self._told(hold), "message": reply.message}

    async def undo_plan(self, action: str, run: str, since_ms: int) -> Json:
        """What an undo would do; changes nothing."""
        plans = await self._plans(action, run, since_ms)
        return {
            "digest": _digest(plans),
            "actions": [p.as_data() for p in plans],
            "conflicts": [c for p in plans for c in p.conflicts],
            "residue": [r for p in plans for r in p.restoration.residue],
            "effects": [],
        }

    async def undo(self, action: str, run: str, since_ms: int, plan: str, proof: Proof) -> Json:
        """Carry out the plan the human was shown, or say that it is another by now."""
        plans = await self._plans(action, run, since_ms)
        if _digest(plans) != plan:
            raise Refused("the undo is no longer what was shown", "the world moved", "look again")
        conflicts = [c for p in plans for c in p.conflicts]
        results = await self._house.rewind.take_back(
            [p.undo for p in plans], proof.human, verified=True, overwrite=bool(conflicts)
        )
        states = {r.state for r in results}
        bad = next((s for s in ("conflict", "held", "denied", "failed") if s in states), "done")
        ticket = next((r.ticket for r in results if r.ticket), "")
        return {
            "state": bad,
            "undone": [r.as_data() for r in results],
            "ticket": ticket,
            "conflicts": [c for r in results for c in r.conflicts],
        }

    @property
    def granting(self) -> GrantOffice:
        """Peer-reviewed access."""
        return GrantOffice(self._house)

    async def verify(self) -> Json:
        """The daemon's own check of its ledger."""
        return await asyncio.to_thread(self._house.verify)

    async def settle(self, action: str, state: str, proof: Proof) -> Json:
        """A human's word on an action in doubt."""
        doubtful = {a.action_id for a in await self._house.store.in_doubt()}
        if action not in doubtful or state not in {"succeeded", "failed"}:
            raise Refused(f"`{action}` is not in doubt", "", "signoff status")
        await self._note(
            Principal("", "", proof.human),
            FinishAction(action, "settled"),
            mark=Mark.SETTLED,
            act="settle",
            action=action,
            state=state,
            proof=proof,
        )
        return {"state": "settled", "action": action}

    async def _there(self, proof: Proof) -> bool:
        """Whether the one who asks proved who they are. With one human their own proof is
        all there is, so it has to show that they were there themselves."""
        if self._house.config.profile != Profile.SOLO.value:
            return True
        human = self._house.config.human(proof.human)
        key = next((k for k in human.keys if k.fingerprint == proof.key), None) if human else None
        if key is None:
            return False
        shown = await asyncio.to_thread(self._verifiers.verify, key, proof.message, proof.signature)
        return shown.user_verified

    async def review(self, actions: list[object], until: int, proof: Proof) -> Json:
        """Record who looked at what; it counts where they are not on the side that asked."""
        store, profile = self._house.store, self._house.config.profile
        seen = looked_at(
            actions,
            until,
            store.head()[0],
            proof.human,
            store.state.receipts_of,
            solo=profile == Profile.SOLO.value,
        )
        who = Principal("", "", proof.human)
        await self._note(
            who, act="review", actions=actions, until=until, profile=profile, proof=proof
        )
        return {"state": "reviewed", "counted": list(seen.counted), "own": list(seen.own)}

    async def _plans(self, action: str, run: str, since_ms: int) -> list[UndoPlan]:
        found: list[Undo] = await self._house.rewind.find(action, run, since_ms)
        return await self._house.rewind.plan_all(found)

    async def _switch_off(self, name: str, act: str, proof: Proof) -> Json:
        if name not in await self._house.store.switches():
            doing, _, what = name.partition("/")
            state = "frozen" if doing == "freeze" else "halted"
            raise Refused(f"`{what}` is not {state}", "nothing to take back", "signoff status")
        who = Principal("", "", proof.human)
        await self._note(who, SetSwitch(name, frozen()), act=act, switch=name, proof=proof)
        return {"state": act, "switch": name}

    async def _hold(self, ticket: str) -> Hold:
        hold = await self._house.store.get(ticket)
        if hold is None:
            raise Refused(f"no hold `{ticket[:40]}`", "", "signoff holds")
        return hold

    async def _told(self, hold: Hold) -> Json:
        rows = await self._house.store.signoffs(hold.ticket)
        solo = self._house.config.profile == Profile.SOLO.value
        able = eligible(hold.principal, self._house.config.humans, operator_counts=solo)
        signed = [s.human for s in rows if s.verdict is Verdict.APPROVE]
        who = hold.principal
        return {
            "ticket": hold.ticket,
            "state": hold.state.value,
            "agent": who.agent,
            "run": who.run,
            "operator": who.operator,
            "quorum": hold.quorum,
            "opened_ms": hold.opened_ms,
            "expires_ms": hold.expires_ms,
            "card": hold.card,
            "targets": [t.as_data() for t in hold.targets],
            "unknown": list(hold.unknown),
            "plan": list(hold.plan),
            "signoffs": [
                {"human": s.human, "verdict": s.verdict.value, "signed_ms": s.signed_ms}
                for s in rows
            ],
            "signed": signed,
            "missing": max(0, hold.quorum - len(signed)) if hold.state is HoldState.OPEN else 0,
            "eligible": sorted(able - set(signed)),
        }

    async def _note(
        self,
        who: Principal,
        *changes: Change,
        mark: Mark = Mark.CONTROL,
        proof: Proof | None = None,
        **detail: object,
    ) -> Sealed:
        receipt = Receipt(
            mark=mark,
            time_ms=self._house.clock.now_ms(),
            action_id="",
            principal=who,
            gate="control",
            level=self._house.level,
            detail=frozen(**detail, **(_proof(proof) if proof else {})),
        )
        return await self._house.store.append(receipt, *changes)


class _Switches:
    """The executor of changes to Signoff's own settings."""

    def __init__(self, office: Office, proof: Proof) -> None:
        self._office, self._proof = office, proof

    async def execute(self, action: Action, *, original: bool, until: str) -> Outcome:
        """Lower the boundary until its time is over."""
        members, house = action.parameters, self._office._house
        ttl = members["ttl_ms"]
        if not isinstance(ttl, int):
            raise ExecutionFailed("not a time", "", "")
        name = f"lowered/{members['boundary']}/{members['environment']}"
        until_ms = house.clock.now_ms() + ttl
        await self._office._note(
            Principal("", "", self._proof.human),
            SetSwitch(name, frozen(until_ms=until_ms)),
            act="lower",
            switch=name,
            until_ms=until_ms,
            proof=self._proof,
        )
        return Outcome(True)

    def reading(self) -> _Switches:
        """A switch is only ever changed."""
        return self


_NOBODY = Principal("", "", "")


def _proof(proof: Proof) -> Mapping[str, object]:
    """What of a proof goes into the receipt: all that is needed to check it again."""
    return {
        "human": proof.human,
        "key": proof.key,
        "message": proof.message.decode(),
        "signature": proof.signature,
    }


def _digest(plans: list[UndoPlan]) -> str:
    """What two looks at an undo must agree in to be the same plan."""
    rows = [[p.undo.action_id, p.action.digest, list(p.conflicts), p.nothing_to_do] for p in plans]
    return digest(rows)

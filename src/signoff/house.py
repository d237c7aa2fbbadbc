"""Everything behind its ports, once it is wired: what the gate and the office are given.

`wiring.py` builds a `House`; nothing here opens a file or decides anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from signoff.approvals.desk import Desk
from signoff.approvals.granting import GrantDesk
from signoff.config import Config
from signoff.gates.aws import AwsGate, GateTerms
from signoff.gates.aws_client import AwsClient, UpstreamReply
from signoff.gates.aws_executor import AwsExecutor
from signoff.gates.aws_mint import new_key_id, render_minted
from signoff.gates.aws_session import RunSessions
from signoff.gates.sigv4 import Credentials
from signoff.ledger.checkpoint import Signer
from signoff.ledger.log import leaves
from signoff.ledger.verify import verify_ledger
from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Hold, HoldState, Verdict
from signoff.model.errors import SignoffError
from signoff.model.ports import Clock, Executor, IssueKey, RunKey, SealConfiguration
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.pipeline import Pipeline
from signoff.policy.bundle import Bundle
from signoff.policy.engine import CedarJudge
from signoff.standing import Drifting, Standing
from signoff.store.mark import HighWaterMark
from signoff.store.reading import StateFile
from signoff.store.sqlite import SqliteStore
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import Reading
from signoff.surfaces.aws.wire import WireRequest
from signoff.undo import Rewind
from signoff.vault import DirectoryVault

POLL_SECONDS = 1.0
HOUR_MS = 3_600_000
CHILD_TTL_MS = HOUR_MS
MINUTE_SECONDS = 60.0


class StderrNotifier:
    """Tells the terminal of the daemon that something waits. Never blocks, never raises."""

    async def notify(self, hold: Hold) -> None:
        """One line with the ticket, the action and the next step."""
        what = hold.card.get("action", "an action")
        people = "one person" if hold.quorum == 1 else f"{hold.quorum} people"
        line = f"signoff: held {what} for {people}; next: signoff show {hold.ticket}\n"
        # Whether anybody hears it decides nothing.
        with contextlib.suppress(OSError):
            sys.stderr.write(line)
            sys.stderr.flush()


@dataclass(frozen=True)
class House:
    """Everything, wired. One per daemon."""

    config: Config
    bundle: Bundle
    judge: CedarJudge
    store: SqliteStore
    vault: DirectoryVault
    client: AwsClient
    models: Models
    index: Index
    pipeline: Pipeline
    desk: Desk
    rewind: Rewind
    level: Level
    observe: frozenset[str]
    signer: Signer
    granting: GrantDesk
    code_warning: str = ""
    standing: Standing | None = None
    seal: Callable[[Standing], str] = lambda state: ""
    drift: Drifting = field(default_factory=Drifting)
    sessions: RunSessions | None = None

    @property
    def clock(self) -> Clock:
        """The one clock, which never goes back."""
        return self.store.clock

    @property
    def region(self) -> str:
        """The region agents are told to use."""
        return self.config.aws.regions[0] if self.config.aws.regions else "us-east-1"

    @property
    def mode(self) -> str:
        """`enforce`, or `observe` where anything is only observed."""
        return "observe" if self.observe else "enforce"

    def gate(self) -> AwsGate:
        """The AWS gate over this house."""
        return AwsGate(
            self.pipeline,
            self.store,
            self.store,
            self.clock,
            self.models,
            self.index,
            self.executor_for,
            self.ticket,
            GateTerms(self.client.account, self.observe, self.config.gate.body_most_mb * 1_000_000),
        )

    def executor_for(self, wire: WireRequest, reading: Reading, key: RunKey) -> Executor:
        """What carries out one request; a read is forwarded as it came, but for its signature."""

        async def mint(action: Action) -> UpstreamReply:
            return await self._mint(action, key)

        async def session(name: str, reads: bool) -> Credentials:
            assert self.sessions is not None
            return await self.sessions.credentials(key.principal, name, reads)

        return AwsExecutor(
            self.client,
            protocol=reading.protocol,
            body=reading.body,
            verbatim=wire,
            mint=mint,
            session=session if self.sessions is not None else None,
            poll_seconds=POLL_SECONDS,
        )

    async def ticket(self, ticket: str, principal: Principal) -> dict[str, object] | None:
        """What an agent may see of a hold of its own run."""
        hold = await self.store.get(ticket)
        if hold is None or hold.principal.run != principal.run:
            return None
        signed = [s for s in await self.store.signoffs(ticket) if s.verdict is Verdict.APPROVE]
        following = {
            HoldState.OPEN: "wait, then make the same call again",
            HoldState.APPROVED: "make the same call again now",
            HoldState.REJECTED: "choose another way; people said no",
        }
        return {
            "ticket": ticket,
            "state": hold.state.value,
            "quorum": hold.quorum,
            "signed": len(signed),
            "expires_ms": hold.expires_ms,
            "next": following.get(hold.state, "ask again for a new hold"),
        }

    def verify(self) -> dict[str, object]:
        """Check the whole ledger against its newest signed head and the high-water mark."""
        with StateFile(self.config.ledger_path) as state, state.snapshot():
            note = state.checkpoint()
            if not note:
                return {"size": 0, "root": "", "checked": 0, "findings": []}
            seen = verify_ledger(leaves(state), note, self.signer.key, self._remembered())
        return {
            "size": seen.head.size,
            "root": seen.head.root.hex(),
            "checked": seen.head.size,
            "findings": [f"receipt {at}: the time goes back" for at in seen.backwards],
        }

    def _remembered(self) -> tuple[str, ...]:
        """The high-water mark, as a checkpoint somebody kept."""
        try:
            note = HighWaterMark(self.config.high_water).read()
        except OSError:
            return ()
        return (note,) if note else ()

    async def status(self, gates: list[dict[str, str]]) -> dict[str, object]:
        """What stands now, as `render.status` reads it."""
        size, root = self.store.head()
        switches = await self.store.switches()
        troubles = (self.store.mark_trouble(), self.client.trouble, self.code_warning)
        warnings = [w for w in (*troubles, *self.drift.warnings()) if w]
        if self.store.rollback is not None:
            warnings.append(f"the ledger was rolled back: {self.store.rollback.why}")

        def named(prefix: str) -> list[str]:
            return [n.removeprefix(prefix) for n in sorted(switches) if n.startswith(prefix)]

        return {
            "daemon": "running",
            "profile": self.config.profile,
            "level": self.level.value,
            "gates": gates,
            "safeguard": self.bundle.safeguard,
            "bundle": self.bundle.digest,
            "configuration": self.drift.told(),
            "ledger": {"size": size, "root": root, "anchored": False},
            "holds": len(await self.store.open()),
            "in_doubt": [f"{a.action_id} {a.action.name}" for a in await self.store.in_doubt()],
            "frozen": named("freeze/"),
            "halted": named("halt/"),
            "lowered": named("lowered/"),
            "humans": len(self.config.humans),
            "sessions": dict(self.sessions.widened) if self.sessions is not None else {},
            "warnings": warnings,
        }

    async def start(self) -> None:
        """Load the credentials, void what a rollback made worthless, list what is in doubt."""
        await self.client.start()
        if self.store.rollback is not None:
            await self.desk.void(self.store.rollback.why)
            standing = self.store.state.all_grants(1 << 31)
            await self.granting.void(standing, self.store.rollback.why)
        doubtful = [a.action_id for a in await self.store.in_doubt()]
        receipt = Receipt(
            mark=Mark.STARTUP,
            time_ms=self.clock.now_ms(),
            action_id="",
            principal=Principal("", "", ""),
            gate="control",
            level=self.level,
            detail=frozen(
                bundle=self.bundle.digest,
                mode=self.mode,
                observes=sorted(self.observe),
                in_doubt=doubtful,
                rollback=self.store.rollback.why if self.store.rollback else "",
            ),
        )
        await self.store.append(receipt)
        await self._seal_first()

    async def _seal_first(self) -> None:
        """Seal the first configuration, once everything that it says has been opened; and
        keep the seal beside the settings in step with the state."""
        state = self.standing
        if state is None:
            return
        if state.to_seal:
            now = self.clock.now_ms()
            receipt = Receipt(
                mark=Mark.SEALED,
                time_ms=now,
                action_id="",
                principal=Principal("", "", ""),
                gate="control",
                level=self.level,
                detail=frozen(act="first", configuration=state.texts.digest, how=state.how),
            )
            change = SealConfiguration(frozen(**state.texts.as_data()), state.texts.digest, "")
            written = await self.store.append(receipt, change)
            state = replace(state, at=written.index, time_ms=now)
        self.drift.standing = state
        self.drift.trouble = await asyncio.to_thread(self.seal, state)

    async def keep(self) -> None:
        """Keep house until cancelled: close holds whose time is over, every minute, and
        remove captures whose promised time is over, every hour. Trouble is told, and tried
        again; what is still promised is never touched."""
        minutes = 0
        while True:
            await asyncio.sleep(MINUTE_SECONDS)
            minutes += 1
            try:
                await self.desk.expire()
                if minutes % 60 == 0:
                    now = self.clock.now_ms()
                    live = self.store.state.vault_references(now)
                    await asyncio.to_thread(self.vault.purge, live, older_than_ms=now - HOUR_MS)
            except SignoffError as error:
                with contextlib.suppress(OSError):
                    sys.stderr.write(f"signoff: {error}\n")

    async def stop(self) -> None:
        """Close everything; what is queued is written first."""
        await self.client.stop()
        self.store.close()

    async def _mint(self, action: Action, parent: RunKey) -> UpstreamReply:
        """A child of the run's own key, in the native form the SDK expects."""
        now = self.clock.now_ms()
        child = RunKey(
            new_key_id(secrets.token_bytes(10), child=True),
            secrets.token_urlsafe(30),
            parent.principal,
            now,
            min(parent.expires_ms, now + CHILD_TTL_MS),
            token=secrets.token_urlsafe(48),
        )
        receipt = Receipt(
            mark=Mark.CONTROL,
            time_ms=now,
            action_id="",
            principal=parent.principal,
            gate="aws",
            level=self.level,
            detail=frozen(act="mint", key_id=child.key_id, parent=parent.key_id),
        )
        await self.store.append(receipt, IssueKey(child))
        asked = action.parameters
        return render_minted(
            str(asked.get("operation", "")),
            child,
            account=self.client.account,
            request_id=secrets.token_hex(8),
            role_arn=str(asked.get("RoleArn", "")),
            session=str(asked.get("RoleSessionName") or asked.get("Name", "")),
        )

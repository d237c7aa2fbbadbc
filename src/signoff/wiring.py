"""The only place where real things are put behind the ports.

`open_house` checks what Signoff trusts, opens the state, and builds the one pipeline;
`House.start` loads the credentials. Anything that is not as it has to be raises, and the
daemon does not start.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.approvals.desk import Desk
from signoff.approvals.holds import Terms
from signoff.approvals.signatures import Verifiers, check_enrolment
from signoff.breaker import Breaker
from signoff.config import QUORUM_MOST, Config, check_owned, read_secret
from signoff.gates.aws import AwsGate, GateTerms
from signoff.gates.aws_client import AwsClient, UpstreamReply
from signoff.gates.aws_credentials import EnvironmentSource, ProfileSource, RoleSource
from signoff.gates.aws_endpoints import Endpoints
from signoff.gates.aws_executor import AwsExecutor
from signoff.gates.aws_mint import new_key_id, render_minted
from signoff.ledger.checkpoint import Signer
from signoff.ledger.log import leaves
from signoff.ledger.merkle import Frontier
from signoff.ledger.verify import verify_ledger
from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Hold, HoldState, Verdict
from signoff.model.errors import ConfigInvalid, SignOffInvalid
from signoff.model.human import Profile
from signoff.model.ports import Clock, Executor, IssueKey, RunKey
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import canonical, frozen
from signoff.pipeline import Pipeline
from signoff.policy.bundle import Bundle, load_bundle
from signoff.policy.engine import CedarJudge
from signoff.steps.circumstances import Circumstances
from signoff.steps.keeping import Keeper
from signoff.steps.waiting import WaitingRoom
from signoff.store.clock import wall_ms
from signoff.store.mark import HighWaterMark
from signoff.store.reading import StateFile
from signoff.store.sqlite import SqliteStore, open_store
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import Reading
from signoff.surfaces.aws.wire import WireRequest
from signoff.surfaces.base import Places
from signoff.understand import Reader, find_surfaces
from signoff.undo import Rewind
from signoff.vault import DirectoryVault, KeySealer
from signoff.world import AskedWorld

MINUTE_MS = 60_000
POLL_SECONDS = 1.0
CHILD_TTL_MS = 60 * MINUTE_MS
PRELOADED = ("cloudformation", "dynamodb", "iam", "rds", "s3", "sqs", "sts")
"""The services whose models are read before the gate listens."""


class StderrNotifier:
    """Tells the terminal of the daemon that something waits. Never blocks, never raises."""

    async def notify(self, hold: Hold) -> None:
        """One line with the ticket, the action and the next step."""
        what = hold.card.get("action", "an action")
        people = "one person" if hold.quorum == 1 else f"{hold.quorum} people"
        line = f"signoff: held {what} for {people}; next: signoff show {hold.ticket}\n"
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
            GateTerms(self.client.account, self.level, self.observe),
        )

    def executor_for(self, wire: WireRequest, reading: Reading, key: RunKey) -> Executor:
        """What carries out one request; a read is forwarded as it came, but for its signature."""

        async def mint(action: Action) -> UpstreamReply:
            return await self._mint(action, key)

        return AwsExecutor(
            self.client,
            protocol=reading.protocol,
            body=reading.body,
            mint=mint,
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
        warnings = [w for w in (self.store.mark_trouble(), self.client.trouble) if w]
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
            "ledger": {"size": size, "root": root, "anchored": False},
            "holds": len(await self.store.open()),
            "in_doubt": [f"{a.action_id} {a.action.name}" for a in await self.store.in_doubt()],
            "frozen": named("freeze/"),
            "halted": named("halt/"),
            "lowered": named("lowered/"),
            "humans": len(self.config.humans),
            "warnings": warnings,
        }

    async def start(self) -> None:
        """Load the credentials, void what a rollback made worthless, list what is in doubt."""
        await self.client.start()
        if self.store.rollback is not None:
            await self.desk.void(self.store.rollback.why)
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
            role_arn=str(asked.get("role_arn", "")),
            session=str(asked.get("session", "")),
        )


def open_house(config: Config, *, observe: bool = False) -> House:
    """Check, open and build. Raises `ConfigInvalid`, `PolicyInvalid`, `LedgerUnavailable` or
    `ProofInvalid`, and then nothing is left open."""
    profile = Profile(config.profile)
    check_enrolment(config.humans, QUORUM_MOST[config.profile], profile)
    if config.path is not None:
        check_owned(config.path, "the settings")
    config.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    check_owned(config.state_dir, "the state directory")
    vault_key = read_secret(config.vault.key_file, "the vault key")
    signing = Ed25519PrivateKey.from_private_bytes(
        read_secret(config.ledger.key_file, "the ledger key")
    )
    signer = Signer(config.ledger.origin, signing)
    bundle = _bundle(config)
    models, index = _aws_index(config)
    watched = _observed(config, wall_ms()) if observe else frozenset[str]()
    store = open_store(
        config.ledger_path,
        tree=Frontier.unpacked,
        notary=signer,
        sealer=KeySealer(vault_key),
        mark=config.high_water,
    )
    try:
        return _furnish(config, bundle, signer, models, index, store, vault_key, watched)
    except BaseException:
        store.close()
        raise


def _furnish(
    config: Config,
    bundle: Bundle,
    signer: Signer,
    models: Models,
    index: Index,
    store: SqliteStore,
    vault_key: bytes,
    observe: frozenset[str],
) -> House:
    profile = Profile(config.profile)
    clock = store.clock
    budget = config.vault.budget_mb * 1_000_000
    vault = DirectoryVault(config.vault_dir, vault_key, budget_bytes=budget)
    client = _client(config, models, clock)
    places = Places(config.place_rules(), config.disposable)
    reader = Reader(find_surfaces(), AskedWorld({"aws": client.ask}), places)
    keeper = Keeper(reader, vault, clock, keep_days=config.vault.keep_days)
    judge = CedarJudge(bundle)
    waiting = WaitingRoom(
        store,
        store,
        clock,
        StderrNotifier(),
        config.humans,
        bundle=lambda: bundle.digest,
        profile=profile,
        terms=Terms(lifetime_ms=config.holds.expires_minutes * MINUTE_MS),
        open_most=config.holds.open_most,
    )
    facts = Circumstances(
        store,
        vault,
        Breaker(),
        clock,
        humans=config.humans,
        solo=profile is Profile.SOLO,
        disposable=config.disposable,
    )
    pipeline = Pipeline(reader, judge, facts, waiting, keeper, store, clock)
    rewind = Rewind(
        pipeline,
        reader,
        keeper,
        store,
        store,
        clock,
        lambda action: AwsExecutor(client, poll_seconds=POLL_SECONDS),
    )
    desk = Desk(store, store, clock, config.humans, profile)
    level = Level.ADVISORY
    return House(
        config, bundle, judge, store, vault, client, models, index, pipeline, desk, rewind,
        level, observe, signer,
    )  # fmt: skip


def _bundle(config: Config) -> Bundle:
    critical = {e.name for e in config.environments if e.criticality == "high"}
    return load_bundle(
        config.profile,
        config.policies,
        humans={h.name: h.groups for h in config.humans},
        environments={
            name: within or ("production" if name in critical else "")
            for name, within in config.places_within().items()
        },
        settings={
            "calls_per_minute": config.limits.calls_per_minute,
            "changes_per_minute": config.limits.changes_per_minute,
            "map": [dict(rule) for rule in config.place_rules()],
            "disposable": sorted(config.disposable),
        },
    )


def _aws_index(config: Config) -> tuple[Models, Index]:
    """The models and the index of every operation, built once and kept beside the state."""
    models = Models()
    models.preload(PRELOADED)
    path = config.state_dir / "cache" / "aws-operations.json"
    try:
        return models, Index.load(path)
    except ConfigInvalid:
        index = Index.build()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        index.save(path)
        return models, index


def _client(config: Config, models: Models, clock: Clock) -> AwsClient:
    aws = config.aws
    base: EnvironmentSource | ProfileSource
    if aws.credentials == "environment":
        base = EnvironmentSource(os.environ)
    else:
        base = ProfileSource(aws.profile)
    region = aws.regions[0] if aws.regions else "us-east-1"
    source: EnvironmentSource | ProfileSource | RoleSource = base
    if aws.assume_role:
        policy = aws.session_policy.read_text("utf-8") if aws.session_policy else ""
        source = RoleSource(
            base,
            aws.assume_role,
            region=region,
            session_policy=policy,
            endpoint=aws.endpoint,
            clock_ms=clock.now_ms,
        )
    endpoints = Endpoints(models, aws.regions, aws.endpoint)
    return AwsClient(
        models, endpoints, source, region=region, account=aws.account, clock_ms=clock.now_ms
    )


def _observed(config: Config, now_ms: int) -> frozenset[str]:
    """The environments that are only observed; production only with two humans' signatures."""
    found = frozenset(config.observe.environments)
    if not found:
        raise ConfigInvalid(
            "nothing may be observed",
            "`observe.environments` is empty",
            "name the environments in `[observe]`, or start without --observe",
        )
    until = config.observe.until_ms()
    if until and now_ms >= until:
        raise ConfigInvalid(
            "the time for observing is over",
            f"`observe.until` is {config.observe.until}",
            "start without --observe, or let it be signed again",
        )
    if "production" not in found:
        return found
    message = canonical(config.observe.message())
    signed = {_signer(config, row, message) for row in config.observe.signed}
    if len(signed) < 2:
        raise ConfigInvalid(
            "production may not be observed instead of guarded",
            f"{len(signed)} of 2 humans signed `[observe]`",
            "let two humans sign it (docs/how-to/observe.md)",
        )
    return found


def _signer(config: Config, row: str, message: bytes) -> str:
    """The human whose signature a row of `observe.signed` is; raises `ConfigInvalid`."""
    words = row.split()
    human = config.human(words[0]) if len(words) == 3 else None
    key = next((k for k in human.keys if k.fingerprint == words[1]), None) if human else None
    try:
        if human is None or key is None:
            raise SignOffInvalid(f"`{row[:60]}` names no enrolled human and key")
        Verifiers().verify(key, message, base64.b64decode(words[2], validate=True))
    except (SignOffInvalid, ValueError) as error:
        raise ConfigInvalid(
            "a signature in `observe.signed` does not count", str(error), "sign it again"
        ) from error
    return human.name

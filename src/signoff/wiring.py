"""The only place where real things are put behind the ports.

`open_house` checks what Signoff trusts, opens the state, and builds the one pipeline;
`House.start` loads the credentials. Anything that is not as it has to be raises, and the
daemon does not start.
"""

from __future__ import annotations

import base64
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.approvals.desk import Desk
from signoff.approvals.granting import GrantDesk, SignedGrants
from signoff.approvals.grants import GrantTerms
from signoff.approvals.holds import Terms
from signoff.approvals.signatures import Verifiers, check_enrolment
from signoff.breaker import Breaker
from signoff.config import QUORUM_MOST, Config, check_owned, read_secret
from signoff.gates.aws_client import AwsClient
from signoff.gates.aws_credentials import EnvironmentSource, ProfileSource, RoleSource
from signoff.gates.aws_endpoints import Endpoints, check_regions
from signoff.gates.aws_executor import AwsExecutor
from signoff.gates.aws_session import Openness, RunSessions, StsLender
from signoff.house import POLL_SECONDS, House, StderrNotifier
from signoff.ledger.checkpoint import Signer
from signoff.ledger.merkle import Frontier
from signoff.model.action import Level
from signoff.model.errors import ConfigInvalid, SignOffInvalid
from signoff.model.human import Profile
from signoff.model.ports import Clock, Grants
from signoff.model.values import canonical
from signoff.pipeline import Pipeline
from signoff.policy.bundle import Bundle
from signoff.policy.cache import ProofCache, cache_key
from signoff.policy.engine import CedarJudge
from signoff.policy.loading import proved_bundle
from signoff.standing import sealed_on_disk, standing
from signoff.steps.circumstances import Circumstances
from signoff.steps.keeping import Keeper
from signoff.steps.waiting import WaitingRoom
from signoff.store.clock import wall_ms
from signoff.store.sqlite import SqliteStore, open_store
from signoff.surfaces.aws import preload
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.base import Places
from signoff.understand import Reader, find_surfaces
from signoff.undo import Rewind
from signoff.vault import DirectoryVault, KeySealer
from signoff.world import AskedWorld

MINUTE_MS = 60_000
PRELOADED = ("cloudformation", "dynamodb", "iam", "rds", "s3", "sqs", "sts")
"""The services whose models are read before the gate listens."""


def open_house(config: Config, *, observe: bool = False) -> House:
    """Check, open and build what is sealed. `config` says where the state lies
    (`standing.first_settings`), and is what will be sealed when nothing was yet.

    Raises `ConfigInvalid`, `PolicyInvalid`, `LedgerUnavailable` or `ProofInvalid`, and then
    nothing is left open.
    """
    fresh = not config.ledger_path.exists()
    if fresh:
        # Nothing of a first configuration that does not load is left on the disk.
        loadable(standing(config, None, _vault_key(config)).config)
    config.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    check_owned(config.state_dir, "the state directory")
    vault_key = _vault_key(config)
    signing = Ed25519PrivateKey.from_private_bytes(
        read_secret(config.ledger.key_file, "the ledger key")
    )
    signer = Signer(config.ledger.origin, signing)
    models, index = _aws_index(config)
    store = open_store(
        config.ledger_path,
        tree=Frontier.unpacked,
        notary=signer,
        sealer=KeySealer(vault_key),
        mark=config.high_water,
    )
    try:
        state = standing(config, store.configuration(), vault_key)
        config = state.config
        bundle = loadable(config)
        watched = _observed(config, wall_ms()) if observe else frozenset[str]()
        house = _furnish(config, bundle, signer, models, index, store, vault_key, watched)
        return replace(house, standing=state, seal=partial(sealed_on_disk, vault_key=vault_key))
    except BaseException:
        store.close()
        raise


def _vault_key(config: Config) -> bytes:
    return read_secret(config.vault.key_file, "the vault key")


def loadable(config: Config) -> Bundle:
    """The bundle of a configuration that may run, proved; raises what refuses it.

    A proof that was made before is taken from beside the state, once its MAC is right.
    """
    check_enrolment(config.humans, QUORUM_MOST[config.profile], Profile(config.profile))
    check_regions(config.aws.regions)
    cache = ProofCache(config.state_dir / "cache" / "proofs.json", cache_key(_vault_key(config)))
    return proved_bundle(config, cache=cache)


async def rehearse(config: Config, house: House) -> None:
    """Load the credentials a candidate names, as a start would, and let go of them: what
    cannot be opened is not sealed. Raises what refuses it."""
    if config.aws == house.config.aws and config.files == house.config.files:
        return
    client = _client(config, house.models, house.index, house.clock)
    try:
        await client.start()
    finally:
        await client.stop()


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
    client = _client(config, models, index, clock)
    places = Places(config.place_rules(), config.disposable)
    reader = Reader(find_surfaces(), AskedWorld({"aws": client.ask}), places)
    keeper = Keeper(reader, vault, clock, keep_days=config.vault.keep_days)
    judge = CedarJudge(bundle, needs_proof=True)
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
        outside=config.outside,
    )
    signed = SignedGrants(store, config.humans, profile=profile)
    facts = Circumstances(
        store,
        vault,
        Breaker(),
        clock,
        humans=config.humans,
        solo=profile is Profile.SOLO,
        disposable=config.disposable,
        grants=signed,
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
    bounds = GrantTerms(config.grants.hours_most, config.grants.changes_most)
    granting = GrantDesk(store, clock, config.humans, profile, bounds)
    level = Level.ADVISORY
    return House(
        config, bundle, judge, store, vault, client, models, index, pipeline, desk, rewind,
        level, observe, signer, granting, _code_warning(),
        sessions=_sessions(config, models, signed, clock, bool(observe)),
    )  # fmt: skip


def _code_warning() -> str:
    """Why somebody else could change the program itself; empty when nobody can.

    Told by `status`, not refused: a checkout is often writable by its owner's own group.
    """
    try:
        for path in (Path(__file__), Path(sys.executable)):
            check_owned(path, "signoff's code")
    except ConfigInvalid as error:
        return f"{error.what}: {error.why}; next: {error.next_step}"
    return ""


def _text(config: Config, path: Path) -> str:
    """A file the settings name, as it was sealed."""
    if config.files is None or str(path) not in config.files:
        raise ConfigInvalid(f"`{path}` was not read with the settings", "", "signoff apply")
    return config.files[str(path)]


def _aws_index(config: Config) -> tuple[Models, Index]:
    """The models and the index of every operation, built once and kept beside the state."""
    models = Models()
    models.preload(PRELOADED)
    preload()
    path = config.state_dir / "cache" / "aws-operations.json"
    try:
        return models, Index.load(path)
    except ConfigInvalid:
        index = Index.build()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        index.save(path)
        return models, index


def _base(config: Config) -> EnvironmentSource | ProfileSource:
    """Where the daemon's own credentials come from."""
    if config.aws.credentials == "environment":
        return EnvironmentSource(os.environ)
    return ProfileSource(config.aws.profile)


def _sessions(
    config: Config, models: Models, grants: Grants, clock: Clock, watched: bool
) -> RunSessions | None:
    """Each run's own session of the role; None where no role is assumed."""
    aws = config.aws
    if not aws.assume_role:
        return None
    region = aws.regions[0] if aws.regions else "us-east-1"
    lender = StsLender(_base(config), aws.assume_role, region=region, endpoint=aws.endpoint)
    openness = Openness(
        required=config.grants_required and not watched,
        reads_need_one=config.grants.reads,
        outside=any(not config.is_production(row.environment) for row in config.rules),
    )
    configured = _text(config, aws.session_policy) if aws.session_policy else ""
    return RunSessions(
        lender,
        grants,
        clock,
        openness=openness,
        configured=configured,
        signing_name=lambda service: str(models.service(service).signing_name),
    )


def _client(config: Config, models: Models, index: Index, clock: Clock) -> AwsClient:
    aws, base = config.aws, _base(config)
    check_regions(aws.regions)
    region = aws.regions[0] if aws.regions else "us-east-1"
    source: EnvironmentSource | ProfileSource | RoleSource = base
    if aws.assume_role:
        policy = _text(config, aws.session_policy) if aws.session_policy else ""
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
        models,
        endpoints,
        source,
        region=region,
        account=aws.account,
        clock_ms=clock.now_ms,
        index=index,
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
    if not config.observes_production:
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

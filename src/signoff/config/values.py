"""The settings as frozen values, and what follows from them without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from signoff.model.human import Human

SHIPPED_ENVIRONMENTS = ("production", "staging", "development", "workspace")


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Where agents reach the AWS gate. `port` 0 lets the system choose one."""

    host: str = "127.0.0.1"
    port: int = 4690
    body_most_mb: int = 64


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """The checkpoint key and the high-water mark, both kept apart from the ledger."""

    key_file: Path
    high_water: Path
    origin: str = "signoff.local/ledger"


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Budget per run in megabytes (10^6 bytes), retention in days, and the sealing key."""

    key_file: Path
    budget_mb: int = 1024
    keep_days: int = 7


@dataclass(frozen=True, slots=True)
class HoldSettings:
    """How long a hold waits, and how many one run may have open."""

    expires_minutes: int = 60
    open_most: int = 5


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Rates the policy compares a run's own with."""

    calls_per_minute: int = 600
    changes_per_minute: int = 60


@dataclass(frozen=True, slots=True)
class GrantSettings:
    """Peer-reviewed access to production. `required` None is the profile's own: true in
    team, false in solo; `reads` asks for a grant for reading too."""

    required: bool | None = None
    reads: bool = False
    hours_most: int = 24
    changes_most: int = 1000
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """A named place. `within` is the shipped environment it is part of ("" for none);
    `disposable`: changes that cannot be taken back are fine there."""

    name: str
    criticality: str = "high"
    within: str = ""
    disposable: bool = False
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class MapRow:
    """One rule: whatever matches all it names is in `environment`. Empty matches anything."""

    environment: str
    account: str = ""
    region: str = ""
    name: str = ""
    tag: str = ""
    tags_trusted: bool = False
    line: int = field(default=0, compare=False)

    def as_rule(self) -> Mapping[str, str]:
        """The row as `surfaces.base.Places` takes it: only what it names."""
        row = {
            "environment": self.environment,
            "account": self.account,
            "region": self.region,
            "name": self.name,
            "tag": self.tag,
            "tags_trusted": "true" if self.tags_trusted else "",
        }
        return {key: text for key, text in row.items() if text}


@dataclass(frozen=True, slots=True)
class QuorumRow:
    """How many people a change by an agent needs, where the shipped numbers are not meant.

    `environment` is where (with what lies in it), `agents` whose changes (empty: all);
    `undoable` people for a change that can be taken back, `irreversible` for the rest, and
    one of each of `groups` among them. `line` is where the settings say so, 0 when unknown.
    """

    environment: str = "production"
    agents: tuple[str, ...] = ()
    undoable: int = 1
    irreversible: int = 2
    groups: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)

    def as_data(self) -> dict[str, object]:
        """The row as plain values, without its line: what the bundle's digest covers."""
        return {
            "environment": self.environment,
            "agents": list(self.agents),
            "undoable": self.undoable,
            "irreversible": self.irreversible,
            "groups": list(self.groups),
        }


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """Where the real credentials come from and where requests may go.

    `session_policy` is the path of a JSON document, `endpoint` another address for all
    services (plain http only on the loopback interface).
    """

    credentials: str = "profile"
    profile: str = ""
    account: str = ""
    regions: tuple[str, ...] = ()
    assume_role: str = ""
    session_policy: Path | None = None
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What `signoff audit` accepts: the worst severity that does not end with exit code 6."""

    tolerance: str = "low"


@dataclass(frozen=True, slots=True)
class ObserveSettings:
    """Where `up --observe` only records. `signed` are two humans' sign-offs over `message`,
    needed as soon as one of the environments is production or lies within it."""

    environments: tuple[str, ...] = ()
    until: str = ""
    signed: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)

    def until_ms(self) -> int:
        """The end of the last day observing counts, in milliseconds (UTC); 0 without one."""
        if not self.until:
            return 0
        day = date.fromisoformat(self.until) + timedelta(days=1)
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000

    def message(self) -> dict[str, object]:
        """What two humans sign before production may be observed instead of guarded."""
        return {
            "domain": "signoff/control/v1",
            "act": "observe",
            "arguments": {"environments": list(self.environments), "until": self.until},
        }


@dataclass(frozen=True)
class Config:
    """Everything the owners set, checked, with every path absolute.

    `path` is the file it came from, None for the shipped settings. `files` are the sealed
    texts of the policy files by path; None when those files are to be read from disk.
    """

    profile: str
    state_dir: Path
    ledger: LedgerSettings
    vault: VaultSettings
    gate: GateSettings = field(default_factory=GateSettings)
    holds: HoldSettings = field(default_factory=HoldSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    grants: GrantSettings = field(default_factory=GrantSettings)
    humans: tuple[Human, ...] = ()
    environments: tuple[Environment, ...] = ()
    rules: tuple[MapRow, ...] = ()
    quorums: tuple[QuorumRow, ...] = ()
    aws: AwsSettings = field(default_factory=AwsSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    policies: tuple[Path, ...] = ()
    observe: ObserveSettings = field(default_factory=ObserveSettings)
    path: Path | None = None
    files: Mapping[str, str] | None = None

    @property
    def high_water(self) -> Path:
        """Where the ledger's size and root are remembered, outside `state_dir`."""
        return self.ledger.high_water

    @property
    def ledger_path(self) -> Path:
        """The ledger and the state that moves with it, one SQLite file."""
        return self.state_dir / "ledger.db"

    @property
    def vault_dir(self) -> Path:
        """Where sealed captures lie."""
        return self.state_dir / "vault"

    @property
    def gate_socket(self) -> Path:
        """The unix socket agents may reach, alone in its directory (0755)."""
        return self.state_dir / "gate" / "gate.sock"

    @property
    def control_socket(self) -> Path:
        """The unix socket of humans, in a directory of its own (0700, socket 0600)."""
        return self.state_dir / "control" / "control.sock"

    @property
    def disposable(self) -> frozenset[str]:
        """Environments where changes that cannot be taken back are fine."""
        return frozenset(e.name for e in self.environments if e.disposable)

    @property
    def grants_required(self) -> bool:
        """Whether a run changes production only under a grant."""
        stated = self.grants.required
        return self.profile == "team" if stated is None else stated

    def places_within(self) -> Mapping[str, str]:
        """The owner's own environments and the shipped one each is part of."""
        return {e.name: e.within for e in self.environments if e.name not in SHIPPED_ENVIRONMENTS}

    def is_production(self, name: str) -> bool:
        """Whether production's policies hold in an environment: `production` itself, what
        lies within it, and what is critical and lies nowhere."""
        own = next((e for e in self.environments if e.name == name), None)
        if own is None or name in SHIPPED_ENVIRONMENTS:
            return name == "production"
        return own.within == "production" or (not own.within and own.criticality == "high")

    @property
    def observes_production(self) -> bool:
        """Whether `[observe]` names an environment in which production's policies hold."""
        return any(self.is_production(name) for name in self.observe.environments)

    @property
    def outside(self) -> frozenset[str]:
        """The environments in which production's policies do not hold."""
        return frozenset(e.name for e in self.environments if not self.is_production(e.name))

    def place_rules(self) -> tuple[Mapping[str, str], ...]:
        """The map as `surfaces.base.Places.rules` takes it."""
        return tuple(row.as_rule() for row in self.rules)

    def human(self, name: str) -> Human | None:
        """The enrolled human of that name."""
        return next((h for h in self.humans if h.name == name), None)

"""The table of settings: every key of `signoff.toml`, its type, bounds and meaning. Pure.

One table serves the reader (an unknown key is whatever is not in it), the writer (its
comments) and docs/reference/config.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Shape(str, Enum):
    """What a setting's value looks like in the file."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "true or false"
    PATH = "path"
    TEXTS = "list of texts"
    PATHS = "list of paths"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. `low` and `high` bound a number (both included), in `unit`; `choices`
    closes a text; a `required` key has no default."""

    section: str
    key: str
    shape: Shape
    says: str
    default: object = None
    low: int = 0
    high: int = 0
    unit: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False

    @property
    def heading(self) -> str:
        """The name as documents and messages write it: `vault.budget_mb`."""
        return f"{self.section}.{self.key}" if self.section else self.key


def _text(
    section: str,
    key: str,
    says: str,
    default: str = "",
    *,
    choices: tuple[str, ...] = (),
    required: bool = False,
) -> Setting:
    return Setting(section, key, Shape.TEXT, says, default, choices=choices, required=required)


def _number(
    section: str, key: str, says: str, default: int, low: int, high: int, unit: str
) -> Setting:
    return Setting(section, key, Shape.NUMBER, says, default, low, high, unit)


def _path(section: str, key: str, says: str, required: bool = False) -> Setting:
    return Setting(section, key, Shape.PATH, says, None, required=required)


def _texts(section: str, key: str, says: str, required: bool = False) -> Setting:
    return Setting(section, key, Shape.TEXTS, says, (), required=required)


SETTINGS: tuple[Setting, ...] = (
    _text(
        "",
        "profile",
        "`team` (two or more humans besides the operator) or `solo` (one human).",
        choices=("team", "solo"),
        required=True,
    ),
    _path("", "state_dir", "Where the ledger, the vault and the sockets live.", required=True),
    _text("gate", "host", "The address agents reach the AWS gate at.", "127.0.0.1"),
    _number("gate", "port", "The port of the AWS gate.", 4690, 0, 65535, ""),
    _number("gate", "body_most_mb", "The largest request body the gate reads.", 64, 1, 1024, "MB"),
    _path("ledger", "key_file", "The Ed25519 key that signs checkpoints."),
    _path(
        "ledger",
        "high_water",
        "Where the size and root of the ledger are remembered, outside `state_dir`.",
    ),
    _text("ledger", "origin", "The name checkpoints are signed under.", "signoff.local/ledger"),
    _number("vault", "budget_mb", "How much one run may have captured.", 1024, 1, 1_000_000, "MB"),
    _number("vault", "keep_days", "How long a capture can be restored.", 7, 1, 3650, "days"),
    _path("vault", "key_file", "The key captures are sealed with, outside `state_dir`."),
    _number("holds", "expires_minutes", "How long a hold waits.", 60, 1, 10_080, "minutes"),
    _number("holds", "open_most", "How many holds one run may have open.", 5, 1, 100, "holds"),
    _number(
        "limits", "calls_per_minute", "Calls of one run.", 600, 1, 1_000_000, "calls per minute"
    ),
    _number(
        "limits", "changes_per_minute", "Changes of one run.", 60, 1, 100_000, "changes per minute"
    ),
    Setting(
        "grants",
        "required",
        Shape.FLAG,
        "Whether a run changes production only under a grant that a peer signed "
        "(unless stated: true in `team`, false in `solo`).",
    ),
    Setting("grants", "reads", Shape.FLAG, "Whether reading production needs a grant too.", False),
    _number("grants", "hours_most", "How long a grant may live.", 24, 1, 168, "hours"),
    _number(
        "grants", "changes_most", "How many changes a grant may allow.", 1000, 1, 10_000, "changes"
    ),
    _text("human", "name", "Who it is; one name, one person.", required=True),
    _texts(
        "human",
        "keys",
        "Public keys, one line each: `signoff-ed25519 BASE64`, or the line of a `.pub` file.",
        required=True,
    ),
    _texts("human", "groups", "The groups policies may ask sign-offs of."),
    _text(
        "environment",
        "criticality",
        "How much depends on it.",
        "high",
        choices=("low", "medium", "high"),
    ),
    _text(
        "environment",
        "within",
        "The shipped environment it is part of, whose policies hold for it too.",
        choices=("", "production", "staging", "development"),
    ),
    Setting(
        "environment",
        "disposable",
        Shape.FLAG,
        "Whether changes that cannot be taken back are fine there. Never for `production`.",
        False,
    ),
    _text(
        "quorum",
        "environment",
        "Where the row holds, with what lies in it.",
        "production",
    ),
    _texts("quorum", "agents", "Whose changes it holds for; empty: every agent's."),
    _number(
        "quorum",
        "undoable",
        "How many people sign a change that can be taken back. The first row that matches "
        "counts; in production the safeguard is proved to hold with it, or nothing starts.",
        1,
        0,
        9,
        "people",
    ),
    _number("quorum", "irreversible", "How many people sign any other change.", 2, 0, 9, "people"),
    _texts("quorum", "groups", "Groups of which one each must be among those who sign."),
    _text("map", "environment", "The environment of whatever the row matches.", required=True),
    _text("map", "account", "The account must be this one."),
    _text("map", "region", "The region must be this one."),
    _text("map", "name", "The resource's name must match this pattern (`*` and `?`)."),
    _text("map", "tag", "The resource must carry this tag: `key=value`."),
    Setting(
        "map",
        "tags_trusted",
        Shape.FLAG,
        "Only people write this tag, so it may lower what a resource counts as.",
        False,
    ),
    _text(
        "aws",
        "credentials",
        "Where the real credentials come from.",
        "profile",
        choices=("profile", "environment"),
    ),
    _text("aws", "profile", "The profile of the AWS configuration the daemon reads."),
    _text("aws", "account", "The account the credentials must belong to (12 digits)."),
    _texts("aws", "regions", "The regions agents may call; empty: all of the partition."),
    _text("aws", "assume_role", "A role the daemon assumes before it calls (ARN)."),
    _path("aws", "session_policy", "A session policy that narrows the assumed role (JSON)."),
    _text("aws", "endpoint", "Another endpoint for all services (a local AWS for tests)."),
    _text(
        "audit",
        "tolerance",
        "The worst severity of a finding that `signoff audit` accepts without exit code 6.",
        "low",
        choices=("none", "low", "medium", "high"),
    ),
    Setting(
        "policies", "extra", Shape.PATHS, "More Cedar policies, loaded beside the shipped.", ()
    ),
    _texts("observe", "environments", "Where `up --observe` records instead of enforcing."),
    _text("observe", "until", "The last day observing counts (`2026-12-31`)."),
    _texts(
        "observe",
        "signed",
        "For `production`: two sign-offs, each `HUMAN FINGERPRINT BASE64` (see the how-to).",
    ),
)

LISTS = frozenset({"human", "map", "quorum"})
"""Sections written as `[[human]]`: any number of them."""

NAMED = frozenset({"environment"})
"""Sections written as `[environment.NAME]`."""


def section(name: str) -> dict[str, Setting]:
    """The settings of one section by key."""
    return {s.key: s for s in SETTINGS if s.section == name}


def sections() -> tuple[str, ...]:
    """Every section name, in the table's order; the top level is the empty one."""
    return tuple(dict.fromkeys(s.section for s in SETTINGS))

"""`signoff.toml` to one frozen `Config`: read whole, checked whole, or refused.

Whatever the table of settings does not know is refused, with its line; a setting that is
ignored is a safeguard somebody believes in and does not have.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from signoff.config.lines import line_of
from signoff.config.owners import check_owned
from signoff.config.quorums import quorum_faults
from signoff.config.settings import Setting, Shape, section, sections
from signoff.config.values import (
    SHIPPED_ENVIRONMENTS,
    AuditSettings,
    AwsSettings,
    Config,
    Environment,
    GateSettings,
    GrantSettings,
    HoldSettings,
    LedgerSettings,
    LimitSettings,
    MapRow,
    ObserveSettings,
    QuorumRow,
    VaultSettings,
)
from signoff.model.errors import ConfigInvalid
from signoff.model.human import EnrolledKey, Human, Profile, check_enrolment

CONFIG_BYTES_MOST = 1_000_000
QUORUM_MOST = {"team": 2, "solo": 1}
"""The largest quorum the shipped policies of a profile ask for."""


def config_path() -> Path:
    """`$SIGNOFF_CONFIG`, or `~/.config/signoff/signoff.toml` (root: `/etc/signoff/`)."""
    named = os.environ.get("SIGNOFF_CONFIG", "")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/etc/signoff/signoff.toml")
    return Path.home() / ".config" / "signoff" / "signoff.toml"


def load_config(path: Path | None = None, *, owners: bool = True) -> Config:
    """The settings in `path` (default: `config_path()`), every path in them absolute.

    Raises `ConfigInvalid` for an unknown key, a wrong type, a number out of bounds, an
    unreadable file, one that others could have written (unless `owners` is False, which
    is for looking only), fewer humans than the profile's quorum, or one key on two humans.
    """
    named = path or config_path()
    if not named.exists():
        raise ConfigInvalid(
            f"there are no settings at `{named}`", "the file does not exist", "signoff init"
        )
    real = check_owned(named, "the settings file") if owners else named
    try:
        raw = real.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(f"cannot read `{named}`", reason, f"chmod u+r {named}") from error
    if len(raw) > CONFIG_BYTES_MOST:
        raise ConfigInvalid(
            f"`{named}` has {len(raw):,} bytes", f"at most {CONFIG_BYTES_MOST:,} are read"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"`{named}` is not UTF-8", f"byte {error.start}") from error
    return parse_config(text, Path(os.path.abspath(named)))


def parse_config(text: str, path: Path) -> Config:
    """The settings written in `text`; `path` names the file in messages and is what
    relative paths in it are relative to. Raises `ConfigInvalid`; touches no file."""
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigInvalid(
            f"`{path}` is not TOML", str(error).lower(), "correct the line and try again"
        ) from error
    return _Reading(text, path).config(given)


@dataclass(frozen=True)
class _Reading:
    text: str
    path: Path

    def config(self, given: Mapping[str, object]) -> Config:
        top = {k: v for k, v in given.items() if k not in sections()}
        values = self._values("", 0, "", top)
        profile, state = _str(values["profile"]), _path(values["state_dir"])
        config = Config(
            profile=profile,
            state_dir=state,
            ledger=self._ledger(given, state),
            vault=self._vault(given, state),
            gate=GateSettings(**self._one(given, "gate")),  # type: ignore[arg-type] # the table of settings checked each type
            holds=HoldSettings(**self._one(given, "holds")),  # type: ignore[arg-type] # as above
            limits=LimitSettings(**self._one(given, "limits")),  # type: ignore[arg-type] # as above
            grants=GrantSettings(
                **self._one(given, "grants"),  # type: ignore[arg-type] # as above
                line=self._line("grants", 0, "required"),
            ),
            humans=self._humans(given, profile),
            environments=self._environments(given),
            rules=tuple(
                MapRow(**row, line=self._line("map", i, "environment"))  # type: ignore[arg-type] # as above
                for i, row in enumerate(self._rows(given, "map"))
            ),
            quorums=tuple(
                QuorumRow(**row, line=self._line("quorum", i, ""))  # type: ignore[arg-type] # as above
                for i, row in enumerate(self._rows(given, "quorum"))
            ),
            aws=AwsSettings(**self._one(given, "aws")),  # type: ignore[arg-type] # as above
            audit=AuditSettings(**self._one(given, "audit")),  # type: ignore[arg-type] # as above
            policies=self._policies(given),
            observe=ObserveSettings(
                **self._one(given, "observe"),  # type: ignore[arg-type] # as above
                line=self._line("observe", 0, "environments"),
            ),
            path=self.path,
        )
        self._consistent(config)
        return config

    def _fail(
        self, what: str, why: str, next_step: str, name: str = "", index: int = 0, key: str = ""
    ) -> ConfigInvalid:
        line = line_of(self.text, name, index, key)
        place = f"`{self.path}` line {line}" if line else f"`{self.path}`"
        return ConfigInvalid(f"{place}: {what}", why, next_step)

    def _line(self, name: str, index: int, key: str) -> int:
        return line_of(self.text, name, index, key)

    # Tables.

    def _values(
        self, name: str, index: int, heading: str, given: Mapping[str, object]
    ) -> dict[str, object]:
        known = section(name)
        names = sorted({*known, *(s for s in sections() if s and not name)})
        for key in given:
            if key not in known:
                raise self._fail(
                    f"unknown key `{key}`",
                    f"known here: {', '.join(names) or 'nothing'}",
                    f"remove `{key}` or correct its name",
                    heading,
                    index,
                    key,
                )
        values: dict[str, object] = {}
        for key, setting in known.items():
            if key in given:
                values[key] = self._value(setting, given[key], heading, index)
            elif setting.required:
                raise self._fail(
                    f"`{setting.heading}` is missing",
                    setting.says.rstrip(".").lower(),
                    f"add `{key} = ...`",
                    heading,
                    index,
                )
            else:
                values[key] = setting.default
        return values

    def _value(self, setting: Setting, given: object, heading: str, index: int) -> object:
        wrong = self._wrong(setting, given)
        if wrong:
            raise self._fail(
                f"`{setting.heading}` {wrong[0]}",
                wrong[1],
                "correct it",
                heading,
                index,
                setting.key,
            )
        if setting.shape is Shape.PATH:
            return self._absolute(str(given))
        if setting.shape is Shape.PATHS:
            return tuple(self._absolute(str(p)) for p in _list(given))
        return tuple(_list(given)) if setting.shape is Shape.TEXTS else given

    def _wrong(self, setting: Setting, given: object) -> tuple[str, str] | None:
        match setting.shape:
            case Shape.FLAG:
                fits = isinstance(given, bool)
            case Shape.NUMBER:
                fits = isinstance(given, int) and not isinstance(given, bool)
            case Shape.TEXT | Shape.PATH:
                fits = isinstance(given, str) and "\0" not in given
            case Shape.TEXTS | Shape.PATHS:
                fits = isinstance(given, list) and all(isinstance(g, str) for g in given)
        if not fits:
            return f"is {_kind(given)}", f"expected {setting.shape.value}"
        if isinstance(given, int) and not isinstance(given, bool):
            bounds = f"expected {setting.low:,} to {setting.high:,} {setting.unit}".rstrip()
            return None if setting.low <= given <= setting.high else (f"is `{given}`", bounds)
        if setting.choices and given not in setting.choices:
            return f"is `{given}`", f"expected one of: {', '.join(setting.choices)}"
        if setting.required and not given:
            return "is empty", setting.says.rstrip(".").lower()
        return None

    def _absolute(self, text: str) -> Path:
        return Path(os.path.normpath(self.path.parent / Path(text).expanduser()))

    def _one(self, given: Mapping[str, object], name: str) -> dict[str, object]:
        table = given.get(name, {})
        if not isinstance(table, dict):
            raise self._fail(
                f"`{name}` is {_kind(table)}", "expected a table", f"write `[{name}]`", "", 0, name
            )
        return self._values(name, 0, name, table)

    def _rows(self, given: Mapping[str, object], name: str) -> list[dict[str, object]]:
        rows = given.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._fail(
                f"`{name}` is {_kind(rows)}", "expected a list of tables", f"write `[[{name}]]`"
            )
        return [self._values(name, i, name, row) for i, row in enumerate(rows)]

    # Sections with a meaning of their own.

    def _ledger(self, given: Mapping[str, object], state: Path) -> LedgerSettings:
        values = self._one(given, "ledger")
        values["key_file"] = values["key_file"] or self.path.parent / "keys" / "ledger.key"
        values["high_water"] = values["high_water"] or self.path.parent / "high-water"
        settings = LedgerSettings(**values)  # type: ignore[arg-type] # the table of settings checked each type
        if settings.high_water.is_relative_to(state):
            raise self._fail(
                "`ledger.high_water` lies inside `state_dir`",
                "whoever puts an old ledger back would put the old mark back with it",
                f"name a path outside `{state}`",
                "ledger",
                0,
                "high_water",
            )
        return settings

    def _vault(self, given: Mapping[str, object], state: Path) -> VaultSettings:
        values = self._one(given, "vault")
        values["key_file"] = values["key_file"] or self.path.parent / "keys" / "vault.key"
        settings = VaultSettings(**values)  # type: ignore[arg-type] # the table of settings checked each type
        if settings.key_file.is_relative_to(state):
            raise self._fail(
                "`vault.key_file` lies inside `state_dir`",
                "the key is not kept beside what it seals",
                f"name a path outside `{state}`",
                "vault",
                0,
                "key_file",
            )
        return settings

    def _humans(self, given: Mapping[str, object], profile: str) -> tuple[Human, ...]:
        humans = tuple(self._human(i, row) for i, row in enumerate(self._rows(given, "human")))
        try:
            check_enrolment(humans, QUORUM_MOST[profile], Profile(profile))
        except ConfigInvalid as error:
            raise ConfigInvalid(
                f"`{self.path}`: {error.what}", error.why, error.next_step
            ) from error
        return humans

    def _human(self, index: int, row: Mapping[str, object]) -> Human:
        line = line_of(self.text, "human", index, "keys")
        try:
            keys = tuple(EnrolledKey.parse(text, line) for text in _strs(row["keys"]))
        except ConfigInvalid as error:
            raise ConfigInvalid(
                f"`{self.path}`: {error.what}", error.why, error.next_step
            ) from error
        named = line_of(self.text, "human", index, "name")
        return Human(_str(row["name"]), keys, _strs(row["groups"]), named)

    def _environments(self, given: Mapping[str, object]) -> tuple[Environment, ...]:
        tables = given.get("environment", {})
        if not isinstance(tables, dict):
            raise self._fail(
                f"`environment` is {_kind(tables)}",
                "expected tables",
                "write `[environment.NAME]`",
                "",
                0,
                "environment",
            )
        found = []
        for name, table in tables.items():
            heading = f"environment.{name}"
            if not isinstance(table, dict):
                raise self._fail(
                    f"unknown key `{name}`",
                    "expected a table",
                    f"write `[{heading}]`",
                    "environment",
                    0,
                    name,
                )
            values = self._values("environment", 0, heading, table)
            line = self._line(heading, 0, "")
            environment = Environment(name=name, **values, line=line)  # type: ignore[arg-type] # the table of settings checked each type
            unplaced = not environment.within and environment.criticality == "high"
            own = name not in SHIPPED_ENVIRONMENTS
            if environment.disposable and (
                "production" in (name, environment.within) or (own and unplaced)
            ):
                raise self._fail(
                    f"`{name}` is production and marked disposable",
                    "what nobody mapped is production, and so is what is critical and lies nowhere",
                    "say `within` or another `criticality`, or map what is disposable elsewhere",
                    heading,
                    0,
                    "disposable",
                )
            if environment.within and not own:
                raise self._fail(
                    f"`{name}` lies in `{environment.within}`",
                    "a shipped environment lies in no other",
                    f"remove `within`, or map what is meant to `{environment.within}`",
                    heading,
                    0,
                    "within",
                )
            found.append(environment)
        named = {e.name for e in found}
        shipped = [Environment(n, "high") for n in SHIPPED_ENVIRONMENTS[:1] if n not in named]
        others = [Environment(n, "low") for n in SHIPPED_ENVIRONMENTS[1:] if n not in named]
        return (*found, *shipped, *others)

    def _policies(self, given: Mapping[str, object]) -> tuple[Path, ...]:
        extra = self._one(given, "policies")["extra"]
        return tuple(p for p in extra if isinstance(p, Path)) if isinstance(extra, tuple) else ()

    def _consistent(self, config: Config) -> None:
        known = {e.name for e in config.environments}
        for index, row in enumerate(config.rules):
            if row.environment not in known:
                raise self._fail(
                    f"unknown environment `{row.environment}`",
                    f"known: {', '.join(sorted(known))}",
                    f"add `[environment.{row.environment}]`",
                    "map",
                    index,
                    "environment",
                )
            matchers = replace(row, environment="", tags_trusted=False).as_rule()
            if not matchers and row.environment != "production":
                raise self._fail(
                    f"the row matches everything and says `{row.environment}`",
                    "production would cease to be what nobody mapped",
                    "name an account, region, name or tag",
                    "map",
                    index,
                    "environment",
                )
            if row.tag and row.environment != "production" and not row.tags_trusted:
                raise self._fail(
                    f"the tag `{row.tag}` would make a resource `{row.environment}`",
                    "an agent that can write the tag could call production something else",
                    "add `tags_trusted = true` when only people write it, or name an account",
                    "map",
                    index,
                    "tag",
                )
        for index, quorum in enumerate(config.quorums):
            for key, wrong in quorum_faults(config, quorum, known):
                raise self._fail(*wrong, "quorum", index, key)
        self._aws(config.aws)
        self._observe(config, known)

    def _aws(self, aws: AwsSettings) -> None:
        if aws.account and not (len(aws.account) == 12 and aws.account.isdigit()):
            raise self._fail(
                f"`aws.account` is `{aws.account}`",
                "expected 12 digits",
                "correct it",
                "aws",
                0,
                "account",
            )
        if aws.endpoint and not _endpoint_is_safe(aws.endpoint):
            raise self._fail(
                f"`aws.endpoint` is `{aws.endpoint}`",
                "expected https://, or http:// on the loopback interface",
                "correct it",
                "aws",
                0,
                "endpoint",
            )
        if aws.session_policy and not aws.assume_role:
            raise self._fail(
                "`aws.session_policy` without `aws.assume_role`",
                "only an assumed role can be narrowed by one",
                "add `assume_role` or remove `session_policy`",
                "aws",
                0,
                "session_policy",
            )

    def _observe(self, config: Config, known: set[str]) -> None:
        observe = config.observe
        for name in observe.environments:
            if name not in known:
                raise self._fail(
                    f"unknown environment `{name}`",
                    f"known: {', '.join(sorted(known))}",
                    "correct it",
                    "observe",
                    0,
                    "environments",
                )
        try:
            observe.until_ms()
        except (ValueError, OverflowError) as error:
            raise self._fail(
                f"`observe.until` is `{observe.until}`",
                "expected a day such as 2026-12-31",
                "correct it",
                "observe",
                0,
                "until",
            ) from error
        if config.observes_production and not observe.until:
            raise self._fail(
                "`production` may not be observed without an end",
                "what was meant for a week would last",
                "add `until`",
                "observe",
            )
        humans = {text.split(" ")[0] for text in observe.signed if text}
        unknown = sorted(h for h in humans if config.human(h) is None)
        if config.observes_production and (len(humans) < 2 or unknown):
            raise self._fail(
                "`production` may not be observed instead of guarded",
                "any change by any agent would be forwarded there; two enrolled humans must sign "
                + (f"that, `{unknown[0]}` is not one" if unknown else f"that, {len(humans)} did"),
                "remove `production`, or have two humans sign it",
                "observe",
                0,
                "environments",
            )


def _endpoint_is_safe(text: str) -> bool:
    scheme, _, rest = text.partition("://")
    host = rest.partition("/")[0]
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    local = name in {"localhost", "127.0.0.1", "[::1]"}
    return bool(name) and "@" not in host and (scheme == "https" or (scheme == "http" and local))


def _kind(given: object) -> str:
    names = {bool: "a flag", int: "a number", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(given), f"a {type(given).__name__}")


def _list(given: object) -> list[str]:
    return [str(g) for g in given] if isinstance(given, (list, tuple)) else []


def _str(given: object) -> str:
    return given if isinstance(given, str) else ""


def _strs(given: object) -> tuple[str, ...]:
    return tuple(str(g) for g in given) if isinstance(given, tuple) else ()


def _path(given: object) -> Path:
    return given if isinstance(given, Path) else Path(str(given))

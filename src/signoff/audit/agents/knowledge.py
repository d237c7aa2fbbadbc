"""What is known of each agent's settings: the tables beside this file, one per agent.

A table says where the settings lie, which values switch safeguards off, how rules and hooks
are written, and what its statements rest on. Adding an agent is adding a table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from signoff.model.errors import ConfigInvalid

T = TypeVar("T")

SCOPES = ("managed", "user", "project", "local")
"""Whose a settings file is: the machine owner's, the user's, the work tree's (shared or not)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Files with settings: `path` below `base` (`system`, `home`, `project`), `*` allowed.
    `role` is what rows select by; `form` is `json`, `toml`, `yaml`, `starlark` or `text`. A
    `shared` file is read by other programs too, so it is no sign that the agent is in use."""

    path: str
    base: str
    scope: str
    form: str = "json"
    role: str = "settings"
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A value that is a hole. Fires where `key` leads to one of `among`, or (`unless`) to
    anything else than those; `expected` fires when no file of `scopes` has such a value."""

    check: str
    severity: str
    key: str
    says: str
    next_step: str
    why: str = ""
    among: tuple[object, ...] = ()
    unless: bool = False
    expected: bool = False
    contains: str = ""
    roles: tuple[str, ...] = ("settings",)
    scopes: tuple[str, ...] = SCOPES
    file: str = ""


@dataclass(frozen=True, slots=True)
class RuleList:
    """Rules that let calls pass or stop them. `key` leads to each rule's text; with `named`
    the text is the member's name and its value is one of `allow`, `deny`.

    `dialect`: `call` is `Tool(pattern)`, `command` a command with `*`, `regex` an anchored
    expression, `tool` a tool's name, `argv` a list of leading words, `table` an object with
    `tool_key`, `pattern_key`, `effect_key` (`other_keys` narrow it further). `prefix`: a
    rule without `*` matches what starts with it. `change` are tools that reach a cloud.
    `splits`: whether the agent judges the parts of a line with `;` and `&&` apart (`yes`,
    `no`, `unknown`). `last`: the last match counts.
    """

    key: str
    dialect: str
    effect: str = "allow"
    named: bool = False
    allow: tuple[object, ...] = (True, "allow")
    deny: tuple[object, ...] = (False, "deny")
    shell: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    tool_key: str = ""
    pattern_key: str = ""
    effect_key: str = ""
    other_keys: tuple[str, ...] = ()
    mcp: str = ""
    prefix: bool = False
    splits: str = "unknown"
    last: bool = False
    anchored: bool = False
    roles: tuple[str, ...] = ("settings",)


@dataclass(frozen=True, slots=True)
class HookList:
    """How hooks before a tool call are written. `key` leads to each handler; the rest are
    names of members of the handler, or (`^name`) of the object around its list.

    `unit_ms` is what one unit of the timeout is worth, `least` the shortest that leaves
    people time, in those units, `default` what holds without one (-1: not known). `needs`
    are events that each need a hook; `each`: every file of these roles needs one of its own.
    `blocks` are the exit codes that stop a call (none listed: every one but 0).
    `timeout_opens`: a hook that runs out of time lets the call
    pass. `closed` is the member that makes failures stop the call, `closed_is` its value.
    """

    key: str
    command: tuple[str, ...] = ("command",)
    matcher: str = ""
    everything: tuple[str, ...] = ("", "*", ".*")
    timeout: str = ""
    least: int = 0
    unit: str = "s"
    default: int = 0
    timeout_opens: bool = True
    closed: str = ""
    closed_is: tuple[object, ...] = ()
    switch: str = ""
    switch_on: tuple[object, ...] = (True,)
    kind: str = ""
    kind_open: tuple[str, ...] = ()
    event: str = ""
    events: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    each: bool = False
    blocks: tuple[int, ...] = (2,)
    roles: tuple[str, ...] = ("settings",)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where MCP servers stand, and which members hold what a secret may hide in."""

    key: str
    blocks: tuple[str, ...] = ("env", "headers")
    lists: tuple[str, ...] = ("args",)
    urls: tuple[str, ...] = ("url",)
    roles: tuple[str, ...] = ("settings", "mcp")


@dataclass(frozen=True, slots=True)
class Version:
    """The member that states a format, and the values this table knows."""

    key: str
    known: tuple[object, ...]
    required: bool = False
    roles: tuple[str, ...] = ("hooks",)


@dataclass(frozen=True)
class Agent:
    """One agent's table. `hook` is the word after `signoff hook`, "" where none can guard it;
    `plugin` says that the guard is a text file of those sources instead of a list of hooks."""

    name: str
    title: str
    tested: str
    basis: str
    hook: str = ""
    hook_file: str = ""
    plugin: bool = False
    signs: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    checks: tuple[Check, ...] = ()
    rules: tuple[RuleList, ...] = ()
    hooks: tuple[HookList, ...] = ()
    servers: tuple[Servers, ...] = ()
    secrets: tuple[str, ...] = ()
    versions: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """What an open rule for a program lets pass: `code` (anything at all), `change` (what
    cannot be taken back). `safe` are leading words after which it only reads."""

    kind: str
    safe: tuple[str, ...] = ()
    example: str = ""


@cache
def known_agents() -> Mapping[str, Agent]:
    """Every agent's table by name, in the order of their names."""
    folder = resources.files("signoff.audit.agents")
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml") and entry.name != "programs.toml":
            agent = _agent(tomllib.loads(entry.read_text("utf-8")))
            found[agent.name] = agent
    return found


@cache
def programs() -> Mapping[str, Program]:
    """What open rules for well-known programs let pass, by the program's name."""
    table = tomllib.loads(
        (resources.files("signoff.audit.agents") / "programs.toml").read_text("utf-8")
    )
    found: dict[str, Program] = {}
    for row in table["program"]:
        made = Program(row["kind"], tuple(row.get("safe", ())), row.get("example", ""))
        found.update(dict.fromkeys(row["names"], made))
    return found


def chosen(names: tuple[str, ...]) -> tuple[Agent, ...]:
    """The agents of those names, all without any. Raises `ConfigInvalid` for an unknown one."""
    known = known_agents()
    for name in names:
        if name not in known:
            raise ConfigInvalid(
                f"nothing is known of an agent `{name}`",
                f"known: {', '.join(known)}",
                "choose one of them, or leave `--agent` out",
            )
    return tuple(known[name] for name in names or tuple(known))


def _agent(table: Mapping[str, Any]) -> Agent:
    rows: Mapping[str, type] = {
        "sources": Source,
        "checks": Check,
        "rules": RuleList,
        "hooks": HookList,
        "servers": Servers,
        "versions": Version,
    }
    members = {
        name: tuple(_row(rows[name], row) for row in value) if name in rows else _plain(value)
        for name, value in table.items()
    }
    return Agent(**members)


def _row(kind: type[T], row: Mapping[str, Any]) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]  # all are dataclasses
    unknown = set(row) - known
    if unknown:
        raise ConfigInvalid(f"a table of agents has an unknown key `{sorted(unknown)[0]}`")
    return kind(**{name: _plain(value) for name, value in row.items()})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

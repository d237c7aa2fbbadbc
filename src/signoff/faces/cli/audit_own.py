"""`signoff audit self`: Signoff's own keys, code, people, and what is open for a time."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click

from signoff.audit.access import Who, user
from signoff.audit.agents import Ground, audit_agents
from signoff.audit.findings import Finding
from signoff.audit.own import KeyLine, Seen, audit_self
from signoff.config import Config, load_config, read_secret
from signoff.faces.cli.audit import present, report_options
from signoff.faces.render import moment
from signoff.model.errors import ConfigInvalid, SignoffError
from signoff.model.values import Data


@click.command("self")
@click.option("--agent-user", default="", help="The user the agent runs as, when it is known.")
@report_options
def own(agent_user: str, as_json: bool, html: Path | None, tolerance: str) -> int:
    """Who could read Signoff's keys or change its mind, and who is there to sign.

    Looks at owners, modes, access lists and folders, at the people and quorums of the
    settings, at run keys, switches, grants and hooks. Opens no secret but the vault's key,
    to read which grants are open.
    """
    config = load_config()
    return present(audit_self(config, look_up(config, agent_user)), as_json, html, tolerance)


def look_up(config: Config, agent_user: str = "") -> Seen:
    """What the audit needs of the machine and of the state, as far as it can be read; what
    cannot is told in `unread`. Raises `ConfigInvalid` for an unknown user."""
    from signoff.gates.run import probe

    probed = probe()
    unread: list[str] = []
    keys, switches, grants = _state(config, unread)
    return Seen(
        now_ms=_now(),
        uid=os.geteuid(),
        home=Path.home(),
        agent=_agent(agent_user),
        uncontained="" if probed.works else probed.why,
        keys=keys,
        switches=switches,
        grants=grants,
        unread=tuple(unread),
        comments=_comments(config),
        hooks=_hooks(),
    )


def _state(
    config: Config, unread: list[str]
) -> tuple[tuple[KeyLine, ...], tuple[str, ...], tuple[str, ...]]:
    from signoff.faces.cli.verification import unwritten
    from signoff.store.reading import StateFile
    from signoff.vault import KeySealer

    if unwritten(config):
        return (), (), ()
    try:
        sealer = KeySealer(read_secret(config.vault.key_file, "the vault key"))
        with StateFile(config.ledger_path, sealer) as state:
            now = _now()
            keys = tuple(KeyLine(*row) for row in state.live_keys())
            live = [g for g in state.all_grants() if g.state(now).value == "live"]
            grants = tuple(
                f"run {g.run} in {g.environment}, {g.changes - g.used} changes of "
                f"{', '.join(sorted(g.verbs))}, until {moment(g.until_ms)}, by {', '.join(g.by)}"
                for g in live
            )
            return keys, _standing(state.switches(), now), grants
    except SignoffError as error:
        unread.append(f"run keys, switches and grants were not read: {error.what}")
        return (), (), ()


def _standing(switches: Mapping[str, Data], now_ms: int) -> tuple[str, ...]:
    """The switches that hold now; a lowered boundary goes up by itself."""
    found = []
    for name, content in sorted(switches.items()):
        until = content.get("until_ms")
        if isinstance(until, int):
            if until <= now_ms:
                continue
            name = f"{name}, until {moment(until)}"
        found.append(name)
    return tuple(found)


def _comments(config: Config) -> tuple[tuple[str, str], ...]:
    """The comments behind the public keys; the settings drop them when they are read."""
    if config.path is None:
        return ()
    try:
        rows = tomllib.loads(config.path.read_text("utf-8")).get("human", [])
    except (OSError, ValueError):
        return ()
    found = []
    for row in rows if isinstance(rows, list) else ():
        for key in row.get("keys", ()):
            comment = " ".join(str(key).split()[2:])
            if comment:
                found.append((str(row.get("name", "")), comment))
    return tuple(found)


def _hooks() -> tuple[Finding, ...]:
    """What is wrong with hooks that are registered; agents without one are another audit's."""
    path = tuple(os.environ.get("PATH", "").split(":"))
    report = audit_agents(Ground(Path.home(), Path.cwd(), path=path))
    return tuple(
        f for f in report.findings if f.check.startswith("hook") and f.check != "hook-missing"
    )


def _agent(name: str) -> Who | None:
    if not name:
        return None
    try:
        return user(name)
    except KeyError as error:
        raise ConfigInvalid(f"there is no user `{name}`", "", "name the agent's user") from error


def _now() -> int:
    return time.time_ns() // 1_000_000

"""Agents' own settings: what switches their safeguards off, and what fails open.

`audit_agents` reads settings and changes nothing; it tells the place of a secret, never the
secret. What it knows of each agent is data: the tables in this folder.
"""

from __future__ import annotations

import secrets as entropy
from collections.abc import Iterator
from dataclasses import replace

from signoff.audit.agents.hooks import judge_hooks
from signoff.audit.agents.knowledge import Agent, Check, chosen, known_agents, programs
from signoff.audit.agents.places import Ground
from signoff.audit.agents.reading import Settings, misshapen, present, read_settings, versions
from signoff.audit.agents.secrets import hidden
from signoff.audit.agents.values import (
    check_rules,
    check_secrets,
    check_values,
    expected_hole,
    satisfies,
)
from signoff.audit.findings import Finding, Report, Section

__all__ = ["Agent", "Ground", "audit_agents", "chosen", "known_agents"]


def audit_agents(
    ground: Ground,
    names: tuple[str, ...] = (),
    *,
    hook: bool = True,
    digest_key: bytes | None = None,
) -> Report:
    """The settings of the agents that are in use here (or of those named).

    `hook` asks for Signoff's own hook. `digest_key` keys the digests of secrets (a new one
    each time by default). Raises `ConfigInvalid` for the name of an unknown agent.
    """
    key = digest_key or entropy.token_bytes(16)
    findings: list[Finding] = []
    looked: list[str] = []
    limits: list[str] = []
    rows: list[tuple[str, ...]] = []
    for agent in chosen(names):
        files, troubles = read_settings(agent, ground)
        here = bool(names) or present(agent, ground, files)
        found = [*troubles, *_written(agent, files, key)]
        if here:
            found += _missing(agent, files, ground, hook)
        elif not found:
            continue
        findings += found
        looked += [f"{agent.title}: {s.path}" for s in files]
        limits += [f"{agent.title}: {limit}" for limit in agent.limits]
        rows.append((agent.title, str(len(files)), str(len(found)), agent.tested, agent.basis))
    section = Section(
        "Agents",
        "What was looked at, and what the knowledge of each agent rests on.",
        ("agent", "files", "findings", "version", "knowledge"),
        tuple(rows),
    )
    limits.insert(
        0,
        "hooks and settings see tool calls, not effects: a script that an agent wrote and then "
        "runs passes each of them; switches given on the command line are not in any file",
    )
    title = "settings of agents" if rows else "settings of agents: no file of any is here"
    shown = tuple(_without_secrets(f) for f in findings)
    return Report("agents", title, tuple(looked), shown, (section,), tuple(limits))


def _without_secrets(finding: Finding) -> Finding:
    """The finding as it may be shown: a rule or a command line in it may hold a secret."""
    return replace(
        finding,
        what=hidden(finding.what),
        why=hidden(finding.why),
        next_step=hidden(finding.next_step),
        where=replace(finding.where, name=hidden(finding.where.name)),
        evidence=tuple(map(hidden, finding.evidence)),
    )


def _written(agent: Agent, files: list[Settings], key: bytes) -> Iterator[Finding]:
    """What stands in the files and should not."""
    yield from versions(agent, files)
    for settings in files:
        if settings.tree is None:
            continue
        place, source = str(settings.path), settings.source
        yield from misshapen(agent, settings)
        yield from check_values(agent, place, source.role, source.scope, settings.tree)
        yield from check_rules(agent, place, source.role, settings.tree, programs())
        yield from check_secrets(agent, place, source.role, settings.tree, key)


def _missing(agent: Agent, files: list[Settings], ground: Ground, hook: bool) -> Iterator[Finding]:
    """What does not stand in any file and should; and hooks, which need each other."""
    for row in agent.checks:
        if row.expected and not _somewhere(row, files):
            yield expected_hole(agent, row, str(ground.named(row.file)))
    if hook:
        yield from judge_hooks(agent, files, ground)


def _somewhere(row: Check, files: list[Settings]) -> bool:
    return any(
        satisfies(row, s.tree)
        for s in files
        if s.tree is not None and s.source.role in row.roles and s.source.scope in row.scopes
    )

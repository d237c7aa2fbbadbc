"""The settings of one agent, read: every file its table names, with what could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from signoff.audit.agents.knowledge import Agent, Source
from signoff.audit.agents.places import Ground
from signoff.audit.agents.tree import Node, Unreadable, misfits, read_tree
from signoff.audit.findings import Finding, Severity, Where


@dataclass(frozen=True)
class Settings:
    """One file: where it lies, its row, its text and tree (None for text files and for what
    could not be read)."""

    path: Path
    source: Source
    text: str
    tree: Node | None


def read_settings(agent: Agent, ground: Ground) -> tuple[list[Settings], list[Finding]]:
    """Every settings file of an agent that is there, and a finding for each unreadable one."""
    files: list[Settings] = []
    troubles: list[Finding] = []
    seen: set[tuple[Path, str]] = set()
    for source in agent.sources:
        for path in ground.files(source):
            if (path, source.role) in seen:
                continue
            seen.add((path, source.role))
            try:
                text = ground.read(path)
                tree = None if source.form == "text" else read_tree(text, source.form)
                files.append(Settings(path, source, text, tree))
                troubles += _shape(agent, path, tree)
            except Unreadable as error:
                troubles.append(_unreadable(agent, path, error.why, error.line))
            except (OSError, ValueError) as error:
                reason = (getattr(error, "strerror", None) or str(error)).lower()
                troubles.append(_unreadable(agent, path, reason, 0))
    return files, troubles


def present(agent: Agent, ground: Ground, files: list[Settings]) -> bool:
    """Whether there is any sign of the agent here."""
    own = any(not s.source.shared for s in files)
    return own or any(ground.there(sign) for sign in agent.signs)


def versions(agent: Agent, files: list[Settings]) -> Iterator[Finding]:
    """A finding for each file that states a format this table does not know."""
    for row in agent.versions:
        for settings in files:
            if settings.tree is None or settings.source.role not in row.roles:
                continue
            node = settings.tree.members.get(row.key)
            if node is None and not row.required:
                continue
            if node is None or node.value not in row.known:
                told = "none" if node is None else f"`{node.value}`"
                known = ", ".join(f"`{k}`" for k in row.known)
                yield Finding(
                    Severity.HIGH,
                    agent.title,
                    f"a format this audit does not know: `{row.key}` is {told}, known is {known}",
                    "what the file allows is unknown",
                    "look at the file by hand, or take a Signoff that knows the format",
                    Where(str(settings.path), node.line if node else 1, row.key),
                    (),
                    "unknown-version",
                )


def misshapen(agent: Agent, settings: Settings) -> Iterator[Finding]:
    """Values of another shape than the table knows: what they allow is unknown too."""
    if settings.tree is None:
        return
    role = settings.source.role
    judged = [
        *((row.key, row.roles) for row in agent.checks),
        *((row.key, row.roles) for row in agent.rules),
        *((row.key, row.roles) for row in agent.hooks),
        *((row.key, row.roles) for row in agent.servers),
    ]
    keys = [one for key, roles in judged if role in roles for one in key.split("|")]
    told: set[str] = set()
    for key in keys:
        for way, found in misfits(settings.tree, key):
            # A value that another row judges as it stands has two shapes, both known.
            if way in keys or found.key in told or not found.key:
                continue
            told.add(found.key)
            yield Finding(
                Severity.MEDIUM,
                agent.title,
                f"`{found.key}` has another shape than this audit knows",
                "what it allows is unknown",
                "look at it by hand, or take a Signoff that knows the format",
                Where(str(settings.path), found.node.line, found.key),
                (),
                "not-understood",
            )


def _shape(agent: Agent, path: Path, tree: Node | None) -> list[Finding]:
    if tree is None or isinstance(tree.value, dict):
        return []
    return [_unreadable(agent, path, "it holds no object", tree.line)]


def _unreadable(agent: Agent, path: Path, why: str, line: int) -> Finding:
    return Finding(
        Severity.HIGH,
        agent.title,
        "the settings file cannot be read, so what it allows is unknown",
        why,
        "correct the file; until then the agent may ignore it, or what is in it",
        Where(str(path), line),
        (),
        "unreadable",
    )

"""Signoff itself: who could read its keys and change its mind, and whether enough people are
there to sign. Looks, opens no secret, and changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from signoff.audit.access import ANYONE, Access, Who, look, replaces
from signoff.audit.findings import Finding, Report, Section, Severity, Where
from signoff.audit.people import humans, named, people, quorums
from signoff.config import Config

DAY_MS = 86_400_000
KEY_TTL_MS_MOST = DAY_MS
"""A run key that lives longer is named: a run is a span of work, not an account."""
FILES_MOST = 5_000


@dataclass(frozen=True, slots=True)
class Thing:
    """Something whose readers or writers matter. `secret`: reading it is enough."""

    name: str
    path: Path
    secret: bool = False
    severity: Severity = Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A run key that was not revoked, as the state's columns tell it."""

    agent: str
    run: str
    operator: str
    issued_ms: int
    expires_ms: int


@dataclass(frozen=True)
class Seen:
    """What the caller looked up: the moment, the uid of the daemon, the agent's user (None:
    not known), why agents cannot be contained here ("" when they can), run keys, switches
    (freezes, halts, lowered boundaries) and grants that are live, each in words."""

    now_ms: int
    uid: int
    home: Path
    agent: Who | None = None
    uncontained: str = ""
    keys: tuple[KeyLine, ...] = ()
    switches: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    comments: tuple[tuple[str, str], ...] = ()
    """Humans and the comments of their keys, as the settings have them."""
    hooks: tuple[Finding, ...] = ()
    """What the audit of agents says of hooks."""


def audit_self(config: Config, seen: Seen) -> Report:
    """Everything about Signoff itself that is wider than it should be."""
    things = list(_things(config, seen.home))
    looked = [(t, look(t.path, seen.uid, (seen.agent,) if seen.agent else ())) for t in things]
    findings = [
        *_access(looked, seen),
        *_code(seen),
        *_level(seen),
        *_apart(config),
        *humans(config, seen.comments),
        *quorums(config),
        *_keys(seen),
        *_loosened(config, seen),
        *seen.hooks,
    ]
    rows = tuple(
        (
            thing.name,
            str(access.path),
            access.owner if access.there else "not there",
            f"{access.mode:04o}" if access.there else "-",
            ", ".join(access.readers) or "-",
            ", ".join(access.writers) or "-",
        )
        for thing, access in looked
    )
    reach = Section(
        "Who can reach what",
        "Others than the daemon's user and root, by modes, access lists and folders above.",
        ("thing", "path", "owner", "mode", "can read", "can change"),
        rows,
    )
    limits = (
        "root and whoever can become root can everything",
        "capabilities, mandatory access control and network file systems are not looked at",
        *(("which user agents run as was not said: name them with `--agent-user`",)
          if seen.agent is None else ()),
        *seen.unread,
    )  # fmt: skip
    title = f"Signoff itself, profile {config.profile}"
    paths = tuple(str(access.path) for _, access in looked if access.there)
    return Report("self", title, paths, tuple(findings), (reach, people(config)), limits)


def _things(config: Config, home: Path) -> Iterator[Thing]:
    if config.path is not None:
        yield Thing("settings", config.path)
        folder = config.path.parent / "keys"
        for key in sorted(folder.glob("*.key")) if folder.is_dir() else ():
            if key not in (config.ledger.key_file, config.vault.key_file):
                yield Thing(f"key of {key.stem}", key, True, Severity.HIGH)
    for policy in config.policies:
        yield Thing("policy", policy)
    yield Thing("ledger key", config.ledger.key_file, True)
    yield Thing("vault key", config.vault.key_file, True)
    yield Thing("ledger", config.ledger_path, True, Severity.HIGH)
    yield Thing("vault", config.vault_dir, True, Severity.HIGH)
    yield Thing("high-water mark", config.high_water, False, Severity.HIGH)
    yield Thing("control socket", config.control_socket, True)
    yield Thing("AWS credentials", home / ".aws" / "credentials", True)


def _access(looked: Iterable[tuple[Thing, Access]], seen: Seen) -> Iterator[Finding]:
    for thing, access in looked:
        if not access.there:
            continue
        if access.writers:
            yield _reached(thing, access, "change", access.writers, "; ".join(access.because))
        if thing.secret and access.readers:
            why = f"it has mode {access.mode:04o}, and its folders let them through"
            yield _reached(thing, access, "read", access.readers, why)
    if seen.agent is not None and seen.agent.uid == seen.uid:
        yield Finding(
            Severity.HIGH,
            "separation",
            f"agents run as `{seen.agent.name}`, the daemon's own user",
            "whatever that user can read and write, an agent outside `signoff run` can too: "
            "keys, settings and real credentials",
            "start agents with `signoff run`, or run the daemon as a user of its own",
            Where(name=f"user {seen.agent.name}"),
            (),
            "same-user",
        )


def _reached(thing: Thing, access: Access, verb: str, who: tuple[str, ...], why: str) -> Finding:
    names = ", ".join(f"`{name}`" if name != ANYONE else name for name in who)
    mend = "chmod go-w" if verb == "change" else "chmod go-rwx"
    return Finding(
        thing.severity,
        thing.name,
        f"{names} can {verb} it",
        why,
        f"{mend} what is named, and chown it to the daemon's user: `{access.path}`",
        Where(str(access.path)),
        (),
        f"others-{verb}",
    )


def _code(seen: Seen) -> Iterator[Finding]:
    """Signoff's own code and interpreter: whoever changes those changes every answer."""
    package = Path(__file__).resolve().parents[1]
    others = [Who(ANYONE), *([seen.agent] if seen.agent and seen.agent.uid != seen.uid else [])]
    files = [Path(sys.executable), *sorted(package.rglob("*.py"))[:FILES_MOST]]
    for who in others:
        hit = next(((f, step) for f in files if (step := replaces(who, f))), None)
        if hit is not None:
            yield Finding(
                Severity.CRITICAL,
                "signoff's code",
                f"`{who.name}` can change it",
                hit[1],
                "install signoff where only root or the daemon's user can write",
                Where(str(hit[0])),
                (),
                "others-change",
            )


def _level(seen: Seen) -> Iterator[Finding]:
    if seen.uncontained:
        apart = seen.agent is not None and seen.agent.uid != seen.uid
        yield Finding(
            Severity.LOW if apart else Severity.HIGH,
            "level",
            "agents cannot be contained here"
            + ("; they run as another user: separated" if apart else ": advisory"),
            seen.uncontained,
            "signoff doctor",
            Where(name="signoff run"),
            (),
            "level",
        )
    elif seen.agent is None or seen.agent.uid == seen.uid:
        yield Finding(
            Severity.NOTE,
            "level",
            "contained under `signoff run`; advisory for agents started in any other way",
            where=Where(name="signoff run"),
            check="level",
        )


def _apart(config: Config) -> Iterator[Finding]:
    state = config.state_dir.resolve()
    for name, path in (
        ("vault key", config.vault.key_file),
        ("ledger key", config.ledger.key_file),
        ("high-water mark", config.high_water),
    ):
        if path.resolve().is_relative_to(state):
            yield Finding(
                Severity.HIGH,
                name,
                "it lies in the state directory",
                "whoever copies or puts back the one has the other",
                "move it, and say where in the settings",
                Where(str(path)),
                (),
                "beside-the-state",
            )
        elif name == "high-water mark" and _same_device(path, state):
            yield Finding(
                Severity.NOTE,
                name,
                "it lies on the same disk as the ledger",
                "one restored disk image brings both back",
                "keep a checkpoint on another machine (docs/how-to/verify-the-ledger.md)",
                Where(str(path)),
                (),
                "same-device",
            )


def _same_device(one: Path, other: Path) -> bool:
    try:
        return one.parent.stat().st_dev == other.stat().st_dev
    except OSError:
        return False


# What is open for a time.


def _keys(seen: Seen) -> Iterator[Finding]:
    for key in seen.keys:
        life = key.expires_ms - key.issued_ms
        if key.expires_ms <= 0:
            says, severity = "never expires", Severity.HIGH
        elif key.expires_ms > seen.now_ms and life > KEY_TTL_MS_MOST:
            says, severity = f"lives {life / DAY_MS:.1f} d", Severity.LOW
        else:
            continue
        yield Finding(
            severity,
            f"run {key.run}",
            f"the run key of agent `{key.agent}` for `{key.operator}` {says}",
            "whoever copies it is that agent until then",
            f"signoff halt --run {key.run}, and issue one for as long as the work takes",
            Where(name=f"run {key.run}"),
            (),
            "long-key",
        )


def _loosened(config: Config, seen: Seen) -> Iterator[Finding]:
    if config.observe.environments:
        production = config.observes_production
        yield Finding(
            Severity.HIGH if production else Severity.MEDIUM,
            "observe",
            f"with `up --observe` nothing is stopped in {named(config.observe.environments)}",
            f"until {config.observe.until or 'somebody changes it'}",
            "remove `[observe]` when you have seen enough",
            Where(str(config.path or "")),
            (),
            "observe",
        )
    if config.profile == "team" and not config.grants_required:
        yield Finding(
            Severity.MEDIUM,
            "grants",
            "runs reach production without a grant that a peer signed",
            "`grants.required` is false",
            "remove it: the team profile asks for grants",
            Where(str(config.path or ""), config.grants.line),
            (),
            "grants-off",
        )
    for name in sorted(config.disposable):
        yield Finding(
            Severity.NOTE,
            "environments",
            f"`{name}` is disposable: changes that cannot be taken back pass there",
            where=Where(str(config.path or ""), name=f"environment {name}"),
            check="disposable",
        )
    words: Mapping[str, tuple[Severity, str]] = {
        "lowered/": (Severity.MEDIUM, "boundary lowered"),
        "freeze/": (Severity.NOTE, "frozen"),
        "halt/": (Severity.NOTE, "halted"),
    }
    for switch in seen.switches:
        for prefix, (severity, says) in words.items():
            if switch.startswith(prefix):
                yield Finding(
                    severity,
                    "switches",
                    f"{says}: {switch.removeprefix(prefix)}",
                    where=Where(name=switch),
                    check="switch",
                )
    for grant in seen.grants:
        yield Finding(Severity.NOTE, "grants", f"open grant: {grant}", check="grant")

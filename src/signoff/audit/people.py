"""Whether the humans of the settings are as many as they seem, and enough to sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from signoff.audit.findings import Finding, Section, Severity, Where
from signoff.config import Config, QuorumRow
from signoff.model.human import Human, folded


def humans(config: Config, comments: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Humans who may be one: shared keys, names that read alike, keys kept together."""
    for one, other in combinations(config.humans, 2):
        if {k.material for k in one.keys} & {k.material for k in other.keys}:
            yield _two(Severity.CRITICAL, one, other, "share a key", "shared-key")
        if folded(one.name) == folded(other.name):
            yield _two(Severity.CRITICAL, one, other, "have names that read alike", "same-name")
    known: dict[str, str] = {}
    for name, comment in comments:
        first = known.setdefault(comment, name)
        if first != name:
            yield Finding(
                Severity.NOTE,
                "humans",
                f"`{first}` and `{name}` have keys with the comment `{comment}`",
                "a comment proves nothing; ask them",
                where=Where(name=f"human {name}"),
                check="same-comment",
            )
    folder = config.path.parent / "keys" if config.path else None
    here = [h.name for h in config.humans if folder and (folder / f"{h.name}.key").is_file()]
    if len(here) > 1:
        yield Finding(
            Severity.MEDIUM,
            "humans",
            f"the private keys of {named(here)} all lie on this machine",
            "whoever learns their passphrases here signs for each of them",
            "let each human keep their own key: `signoff human key` on their machine",
            Where(str(folder)),
            (),
            "keys-together",
        )


def _two(severity: Severity, one: Human, other: Human, says: str, check: str) -> Finding:
    return Finding(
        severity,
        "humans",
        f"`{one.name}` and `{other.name}` {says}",
        "one human under two names counts twice",
        "remove one of the two entries",
        Where(name=f"human {other.name}", line=0),
        (),
        check,
    )


def quorums(config: Config) -> Iterator[Finding]:
    """Whether the people listed can sign what the profile and each row ask for, with the
    operator of a run left out, and with one more of them away."""
    rows: list[QuorumRow | None] = [None, *config.quorums]
    for row in rows:
        needed = _needed(config, row)
        groups = row.groups if row else ()
        name = f"`[[quorum]]` for {row.environment}" if row else f"the {config.profile} profile"
        where = Where(str(config.path or ""), row.line if row else 0)
        stuck = [h.name for h in config.humans if not _reachable(config, needed, groups, {h.name})]
        if config.profile == "team" and stuck:
            yield Finding(
                Severity.HIGH,
                "quorum",
                f"{name} asks for {_asked(needed, groups)}: runs of {named(stuck)} never get it",
                "the operator of a run does not count, and the rest are not enough",
                "enrol more humans, or put another one into the group",
                where,
                (),
                "quorum-unreachable",
            )
        elif config.profile == "team":
            tight = [
                pair
                for pair in combinations([h.name for h in config.humans], 2)
                if not _reachable(config, needed, groups, set(pair))
            ]
            if tight:
                yield Finding(
                    Severity.LOW,
                    "quorum",
                    f"{name} asks for {_asked(needed, groups)}: with one of {named(tight[0])} "
                    "as operator and the other away, nobody can",
                    "people are ill, and on holiday",
                    "enrol one human more",
                    where,
                    (),
                    "quorum-tight",
                )
        if row is not None and min(row.undoable, row.irreversible) == 0:
            yield Finding(
                Severity.MEDIUM,
                "quorum",
                f"{name} asks for nobody for some changes",
                "they pass with nobody looking; the proof says whether the safeguard still holds",
                "set `undoable` and `irreversible` to 1 or more",
                where,
                (),
                "quorum-none",
            )


def _needed(config: Config, row: QuorumRow | None) -> int:
    if row is not None:
        return max(row.undoable, row.irreversible)
    return 2 if config.profile == "team" else 1


def _reachable(config: Config, needed: int, groups: tuple[str, ...], away: set[str]) -> bool:
    there = [h for h in config.humans if h.name not in away]
    return len(there) >= needed and all(any(g in h.groups for h in there) for g in groups)


def _asked(needed: int, groups: tuple[str, ...]) -> str:
    people = "1 person" if needed == 1 else f"{needed} people"
    return f"{people}, one of {named(groups)} among them" if groups else people


def people(config: Config) -> Section:
    """Who signs, with what."""
    rows = tuple(
        (
            human.name,
            ", ".join(human.groups) or "-",
            ", ".join(k.algorithm for k in human.keys),
            "yes" if any(k.can_verify_user for k in human.keys) else "no",
        )
        for human in config.humans
    )
    return Section(
        "Who signs",
        "A key that can verify its user shows that a human was there.",
        ("human", "groups", "keys", "verifies the user"),
        rows,
    )


def named(names: Iterable[str]) -> str:
    """The names in backticks, with commas."""
    return ", ".join(f"`{name}`" for name in names)

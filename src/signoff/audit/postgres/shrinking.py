"""The smaller role: SQL that lets what was used go on, and nothing else. Pure.

What a statement needs is read from the names in it and from what the planner says it writes;
a statement neither can tell about is listed as not kept, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from signoff.audit.postgres.facts import PUBLIC, Relation, Server, held, quoted

NOTHING = frozenset(
    {"begin", "start", "commit", "rollback", "savepoint", "release", "set", "show", "reset"}
    | {"discard", "deallocate", "close", "fetch", "prepare", "explain", "end", "abort"}
    | {"listen", "unlisten"}
)
"""Statements that need no privilege on an object."""

WRITES: Mapping[str, tuple[str, ...]] = {
    "INSERT": ("INSERT",),
    "UPDATE": ("UPDATE", "SELECT"),
    "DELETE": ("DELETE", "SELECT"),
    "MERGE": ("INSERT", "UPDATE", "DELETE", "SELECT"),
}
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "USAGE")


@dataclass
class Need:
    """What the used statements need: privileges by object, functions, and the rest."""

    relations: dict[Relation, set[str]] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    kept: int = 0
    dropped: list[tuple[str, str]] = field(default_factory=list)


def add_statement(
    need: Need, server: Server, statement: str, writes: Mapping[str, str] | None
) -> None:
    """Add what one statement needs. `writes` is what the planner says, None when it did not."""
    words = list(tokens(statement))
    first = next((text.lower() for kind, text in words if kind == "name"), "")
    if not first or first in NOTHING:
        need.kept += 1
        return
    named = _relations(server, words)
    if first == "truncate" and named:
        _add(need, server, named[:1], ("TRUNCATE",))
    elif writes is None:
        told = _by_word(first, named)
        if told is None:
            shown = " ".join(statement.split())[:100]
            need.dropped.append((shown, "what it needs could not be told"))
            return
        _add(need, server, named[:1], told)
        _add(need, server, named[1:], ("SELECT",))
    else:
        targets = _targets(server, named, writes)
        for relation in named:
            operation = targets.get(relation, "")
            _add(need, server, [relation], WRITES.get(operation, ("SELECT",)))
    for function in server.functions:
        if ("name", function.name) in words and not function.schema.startswith("pg_"):
            need.functions.add(function.full)
    need.kept += 1


def smaller_role(server: Server, need: Need, name: str) -> str:
    """The SQL of a role that can do what was used. It has no password and owns nothing."""
    return "\n".join(_lines(server, need, name)) + "\n"


def _lines(server: Server, need: Need, name: str) -> Iterator[str]:
    role = quoted(name)
    yield f"-- Written by `signoff audit postgres` from what {_comment(quoted(server.role))} used."
    yield f"-- {need.kept} statements are covered, {len(need.dropped)} are not (listed below)."
    yield "-- Set a password or another way to log in yourself."
    yield "begin;"
    yield (
        f"create role {role} login nosuperuser nocreatedb nocreaterole noreplication "
        "nobypassrls noinherit;"
    )
    yield f"grant connect on database {quoted(server.database)} to {role};"
    for schema in sorted({r.schema for r in need.relations}):
        yield f"grant usage on schema {quoted(schema)} to {role};"
    for relation, privileges in sorted(need.relations.items(), key=lambda row: row[0].full):
        ordered = [p.lower() for p in PRIVILEGES if p in privileges]
        kind = "sequence" if relation.kind == "S" else "table"
        yield f"grant {', '.join(ordered)} on {kind} {relation.full} to {role};"
    for function in sorted(need.functions):
        yield f"grant execute on function {function} to {role};"
    path = ", ".join(quoted(schema) for schema in server.search_path)
    yield f"alter role {role} set search_path = {path};"
    if all(p == {"SELECT"} for p in need.relations.values()) and not need.functions:
        yield f"alter role {role} set default_transaction_read_only = on;"
    yield "commit;"
    for says in left_to_public(server, need):
        yield f"-- PUBLIC still has {_comment(says)}"
    for statement, why in need.dropped:
        yield f"-- not kept, {why}: {_comment(statement)}"


def left_to_public(server: Server, need: Need) -> list[str]:
    """What every role, this one too, may destroy until PUBLIC's grants are revoked."""
    return sorted(
        f"{g.privilege.lower()} on {g.name}: revoke {g.privilege.lower()} on {g.name} from public;"
        for g in held(server.grants, ())
        if g.grantee == PUBLIC
        and g.kind == "relation"
        and g.privilege in ("DELETE", "TRUNCATE", "UPDATE", "INSERT")
    )


def statements_in(text: str) -> list[str]:
    """The statements of a text, cut at the `;` that stand outside quotes and comments."""
    found, start = [], 0
    for kind, _, at in _scanned(text):
        if kind == "end":
            found.append(text[start:at])
            start = at + 1
    found.append(text[start:])
    return [s.strip() for s in found if any(True for _ in tokens(s))]


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """The names (folded to lower case unless quoted) and string literals of a statement."""
    for kind, value, _ in _scanned(text):
        if kind in ("name", "text"):
            yield kind, value


def _scanned(text: str) -> Iterator[tuple[str, str, int]]:
    at, size = 0, len(text)
    while at < size:
        letter = text[at]
        if text.startswith("--", at):
            end = text.find("\n", at)
            at = size if end < 0 else end
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            at = size if end < 0 else end + 2
        elif letter in "'\"":
            value, end = _quoted(text, at)
            yield ("text" if letter == "'" else "name"), value, at
            at = end
        elif letter == "$" and (tag := _dollar(text, at)):
            end = text.find(tag, at + len(tag))
            at = size if end < 0 else end + len(tag)
        elif letter.isalpha() or letter == "_":
            end = at
            while end < size and (text[end].isalnum() or text[end] in "_$"):
                end += 1
            yield "name", text[at:end].lower(), at
            at = end
        else:
            if letter == ";":
                yield "end", ";", at
            at += 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    quote, value, at = text[at], "", at + 1
    while at < len(text):
        if text[at] == quote:
            if text[at : at + 2] != quote * 2:
                return value, at + 1
            at += 1
        value += text[at]
        at += 1
    return value, at


def _dollar(text: str, at: int) -> str:
    end = text.find("$", at + 1)
    tag = text[at + 1 : end] if end > 0 else "-"
    return text[at : end + 1] if not tag or (tag.isidentifier() and tag.isascii()) else ""


def _relations(server: Server, words: Iterable[tuple[str, str]]) -> list[Relation]:
    """The relations a statement names, in the order they come. A name that several schemas
    have is that of the search path, else all of them."""
    found: dict[Relation, None] = {}
    by_name: dict[str, list[Relation]] = {}
    for relation in server.relations:
        by_name.setdefault(relation.name, []).append(relation)
    before = ""
    for kind, value in words:
        name = value.rpartition(".")[2] if kind == "text" else value
        rows = by_name.get(name, [])
        if kind == "text":
            rows = [r for r in rows if r.kind == "S"]
        exact = [r for r in rows if r.schema == before]
        first = next((s for s in server.search_path if any(r.schema == s for r in rows)), "")
        for relation in exact or [r for r in rows if r.schema == first] or rows:
            found.setdefault(relation)
        before = value
    return list(found)


def _targets(
    server: Server, named: list[Relation], writes: Mapping[str, str]
) -> dict[Relation, str]:
    """Who of the named is written, and how. A table that is written and not named stands
    behind a view that is."""
    found: dict[Relation, str] = {}
    views = [r for r in named if r.kind == "v"]
    for full, operation in writes.items():
        schema, _, name = full.partition(".")
        exact = [r for r in named if (r.schema, r.name) == (schema, name)]
        for relation in exact or views:
            found[relation] = operation
    return found


def _by_word(first: str, named: list[Relation]) -> tuple[str, ...] | None:
    if not named:
        return None
    plain = {"select": ("SELECT",), "table": ("SELECT",)}
    return plain.get(first) or WRITES.get(first.upper())


def _add(
    need: Need, server: Server, relations: Iterable[Relation], privileges: Iterable[str]
) -> None:
    for relation in relations:
        wanted = ("USAGE",) if relation.kind == "S" else tuple(privileges)
        need.relations.setdefault(relation, set()).update(wanted)
        if "INSERT" in wanted:
            for full in relation.sequences:
                drawn = [s for s in server.relations if f"{s.schema}.{s.name}" == full]
                _add(need, server, drawn, ("USAGE",))


def _comment(text: str) -> str:
    """On one line: a name with a line break in it would be run as what follows it."""
    return "".join(c if c.isprintable() else " " for c in text)

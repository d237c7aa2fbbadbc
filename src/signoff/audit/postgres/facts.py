"""What a PostgreSQL server says about one role, as frozen values. Pure.

Catalog names follow the PostgreSQL documentation, chapters "System Catalogs", "Privileges" and
"Predefined Roles" (versions 13 to 18).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PUBLIC = "PUBLIC"


@dataclass(frozen=True, slots=True)
class Role:
    """One role and its attributes (pg_roles)."""

    name: str
    superuser: bool = False
    createrole: bool = False
    createdb: bool = False
    replication: bool = False
    bypassrls: bool = False
    login: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    """`member` is in `role`. `inherits`: its rights count at once; `sets`: it can become the
    role with SET ROLE; `admin`: it can put anybody into it, itself too."""

    role: str
    member: str
    inherits: bool = True
    sets: bool = True
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, sequence or foreign table. `rows` is the planner's estimate (-1:
    unknown), `size` bytes on disk. `sequences` are those its serial columns draw from."""

    schema: str
    name: str
    kind: str
    owner: str
    rows: int = -1
    size: int = 0
    sequences: tuple[str, ...] = ()

    @property
    def full(self) -> str:
        """`schema.name`, quoted as SQL wants it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class Grant:
    """One privilege on one object. `kind` is `relation`, `column`, `schema`, `database`,
    `function`, `language`, `parameter`, `server` or `default` (what new objects will get)."""

    kind: str
    name: str
    grantee: str
    privilege: str
    grantable: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the user's schemas, or one of the server's dangerous ones.

    `definer`: it runs with its owner's rights; `path` is the search path it sets ("" for
    none); `trusted`: its language keeps it inside the database.
    """

    schema: str
    name: str
    arguments: str
    owner: str
    definer: bool = False
    path: str = ""
    language: str = "sql"
    trusted: bool = True

    @property
    def full(self) -> str:
        """`schema.name(arguments)`."""
        return f"{quoted(self.schema)}.{quoted(self.name)}({self.arguments})"


@dataclass(frozen=True)
class Server:
    """Everything the audit asked of one server, about `role`."""

    role: str
    database: str
    version: int
    tls: bool
    roles: tuple[Role, ...] = ()
    memberships: tuple[Membership, ...] = ()
    relations: tuple[Relation, ...] = ()
    grants: tuple[Grant, ...] = ()
    functions: tuple[Function, ...] = ()
    schemas: tuple[tuple[str, str], ...] = ()
    """Schemas and their owners."""
    databases: tuple[tuple[str, str], ...] = ()
    """Databases and their owners."""
    extensions: tuple[str, ...] = ()
    event_triggers: tuple[tuple[str, str, bool], ...] = ()
    """Event triggers, their owners, and whether they fire."""
    search_path: tuple[str, ...] = ("public",)
    statements: tuple[str, ...] = ()
    """What pg_stat_statements saw of the role; empty without it."""
    unread: tuple[str, ...] = ()
    """What could not be asked, and why."""

    def find(self, name: str) -> Role:
        """The role of that name; one without attributes when there is none."""
        return next((r for r in self.roles if r.name == name), Role(name))

    def reach(self) -> dict[str, tuple[str, ...]]:
        """Every role whose rights the audited one can use, each with the way to it: by
        inheritance, by SET ROLE, or by letting itself in (admin option)."""
        ways: dict[str, tuple[str, ...]] = {self.role: ()}
        todo = [self.role]
        while todo:
            member = todo.pop(0)
            for row in self.memberships:
                usable = row.inherits or row.sets or row.admin
                if row.member == member and usable and row.role not in ways:
                    ways[row.role] = (*ways[member], row.role)
                    todo.append(row.role)
        return ways


def quoted(name: str) -> str:
    """An identifier as SQL wants it: bare when it is plain lower case, else in quotes."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and name == name.lower()
    if plain and not name[:1].isdigit() and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


_RESERVED = """
all analyse analyze and any array as asc asymmetric both case cast check collate column
constraint create current_date current_role current_time current_timestamp current_user
default deferrable desc distinct do else end except false fetch for foreign from grant group
having in initially intersect into lateral leading limit localtime localtimestamp not null
offset on only or order placing primary references returning select session_user some
symmetric table then to trailing true union unique user using variadic when where window
with
"""

RESERVED = frozenset(_RESERVED.split())
"""The reserved words of PostgreSQL's grammar (appendix C of its documentation)."""


def held(grants: Iterable[Grant], reach: Iterable[str]) -> tuple[Grant, ...]:
    """The grants that count for anyone in `reach`, PUBLIC's too."""
    who = {*reach, PUBLIC}
    return tuple(g for g in grants if g.grantee in who)

"""What a PostgreSQL role could destroy, widen or reach outside the database. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from signoff.audit.findings import Finding, Section, Severity, Where
from signoff.audit.postgres.facts import PUBLIC, Grant, Relation, Server, held, quoted

ATTRIBUTES: Mapping[str, tuple[Severity, str]] = {
    "superuser": (Severity.CRITICAL, "everything, the server's files and programs included"),
    "bypassrls": (Severity.HIGH, "row security does not hold for it"),
    "createrole": (Severity.HIGH, "it makes and changes roles, and lets itself into them"),
    "replication": (Severity.HIGH, "it copies the whole server and drops replication slots"),
    "createdb": (Severity.MEDIUM, "it makes databases, and owns and drops what it made"),
}
PREDEFINED: Mapping[str, tuple[Severity, str]] = {
    "pg_execute_server_program": (Severity.CRITICAL, "runs programs on the server: COPY PROGRAM"),
    "pg_write_server_files": (Severity.CRITICAL, "writes files on the server, its settings too"),
    "pg_read_server_files": (Severity.HIGH, "reads files on the server, its keys too"),
    "pg_write_all_data": (Severity.HIGH, "changes and deletes the rows of every table"),
    "pg_read_all_data": (Severity.MEDIUM, "reads the rows of every table"),
    "pg_signal_backend": (Severity.MEDIUM, "ends the sessions and statements of others"),
    "pg_create_subscription": (Severity.HIGH, "connects the server to another and copies tables"),
    "pg_maintain": (Severity.MEDIUM, "locks and rewrites every table"),
    "pg_checkpoint": (Severity.LOW, "forces checkpoints"),
    "pg_monitor": (Severity.LOW, "reads what others ask, literals included"),
    "pg_read_all_stats": (Severity.LOW, "reads what others ask, literals included"),
}
"""Predefined roles (PostgreSQL documentation, 22.5) and what they give."""

DANGEROUS: Mapping[str, str] = {
    "lo_export": "writes files on the server",
    "lo_import": "reads files on the server",
    "pg_read_file": "reads files on the server",
    "pg_read_binary_file": "reads files on the server",
    "pg_ls_dir": "lists folders of the server",
    "pg_reload_conf": "makes changed settings count",
    "pg_rotate_logfile": "moves the log away",
    "pg_promote": "turns a standby into a second primary",
    "pg_switch_wal": "switches the write-ahead log",
    "pg_file_write": "writes files on the server",
    "pg_file_unlink": "deletes files on the server",
    "pg_file_rename": "renames files on the server",
    "dblink": "runs SQL in a connection of its own, which no rollback takes back",
    "dblink_exec": "runs SQL in a connection of its own, which no rollback takes back",
    "dblink_connect": "opens connections from the server to others",
    "dblink_connect_u": "opens connections as the server itself",
    "dblink_send_query": "runs SQL in a connection of its own, which no rollback takes back",
}
"""Functions of the server and of shipped extensions that reach past the transaction."""

EXTENSIONS: Mapping[str, tuple[Severity, str]] = {
    "dblink": (Severity.NOTE, "connects to other servers"),
    "postgres_fdw": (Severity.NOTE, "connects to other servers"),
    "file_fdw": (Severity.NOTE, "reads files and programs of the server"),
    "pg_cron": (Severity.NOTE, "runs SQL later, as whoever scheduled it"),
    "adminpack": (Severity.NOTE, "writes files of the server"),
    "plpython3u": (Severity.NOTE, "an untrusted language"),
    "plperlu": (Severity.NOTE, "an untrusted language"),
    "pltclu": (Severity.NOTE, "an untrusted language"),
}
DESTRUCTIVE = ("drop", "TRUNCATE", "DELETE", "UPDATE")
ROWS_MUCH = 1_000_000_000_000


def judge(server: Server) -> Iterator[Finding]:
    """Everything that is broader than a role for an agent should be."""
    yield from _attributes(server)
    yield from _memberships(server)
    yield from _objects(server)
    yield from _tables(server)
    yield from _code(server)
    yield from _other_grants(server)
    yield from _surroundings(server)


def means(server: Server) -> dict[Relation, tuple[tuple[str, str], ...]]:
    """For each relation the ways this role could destroy what is in it, each with where the
    right comes from; relations without any are left out."""
    reach = server.reach()
    rights: dict[str, list[Grant]] = {}
    for grant in held(server.grants, reach):
        if grant.kind in ("relation", "column"):
            rights.setdefault(grant.name, []).append(grant)
    everything = [n for n in reach if server.find(n).superuser]
    writes_all = "pg_write_all_data" in reach
    schema_owners, owner = dict(server.schemas), dict(server.databases).get(server.database, "")
    found = {}
    for relation in server.relations:
        ways: dict[str, str] = {}
        if everything:
            ways["drop"] = "superuser" + _by(reach, everything[0])
        elif relation.owner in reach:
            ways["drop"] = "owner" + _by(reach, relation.owner)
        elif schema_owners.get(relation.schema) in reach:
            ways["drop"] = "owner of the schema" + _by(reach, schema_owners[relation.schema])
        elif owner in reach:
            ways["drop"] = "owner of the database" + _by(reach, owner)
        for grant in rights.get(_key(relation), []):
            if grant.privilege in DESTRUCTIVE:
                ways.setdefault(grant.privilege, _source(reach, grant))
        if writes_all and relation.kind in "rpvf":
            for privilege in ("DELETE", "UPDATE"):
                ways.setdefault(privilege, "pg_write_all_data")
        if ways:
            ordered = sorted(ways.items(), key=lambda w: DESTRUCTIVE.index(w[0]))
            found[relation] = tuple(ordered)
    return dict(sorted(found.items(), key=lambda row: (-row[0].rows, row[0].full)))


def blast(server: Server) -> Section:
    """The table behind the findings: what could be destroyed, most rows first."""
    rows = tuple(
        (
            relation.full,
            "unknown" if relation.rows < 0 else f"{relation.rows:,}",
            f"{relation.size:,}",
            ", ".join(way for way, _ in ways),
            "; ".join(dict.fromkeys(source for _, source in ways)),
        )
        for relation, ways in means(server).items()
    )
    return Section(
        "What this role could destroy",
        "Rows are the planner's estimate; most rows first.",
        ("object", "rows", "bytes", "how", "by what right"),
        rows,
    )


def _attributes(server: Server) -> Iterator[Finding]:
    for name, way in server.reach().items():
        role = server.find(name)
        for attribute, (severity, says) in ATTRIBUTES.items():
            if not getattr(role, attribute):
                continue
            through = "" if not way else f", through {' > '.join(way)} (SET ROLE)"
            yield Finding(
                severity,
                server.role,
                f"`{attribute.upper()}`{through}: {says}",
                "attributes are not inherited, but a role that can be set lends them",
                f"alter role {quoted(name)} no{attribute};",
                Where(name=f"role {name}"),
                (),
                f"role-{attribute}",
            )


def _memberships(server: Server) -> Iterator[Finding]:
    reach = server.reach()
    for name, way in reach.items():
        if name in PREDEFINED:
            severity, says = PREDEFINED[name]
            yield Finding(
                severity,
                server.role,
                f"member of `{name}`: {says}",
                f"through {' > '.join(way)}",
                f"revoke {quoted(name)} from {quoted((server.role, *way)[-2])};",
                Where(name=f"role {name}"),
                (),
                "predefined-role",
            )
    for row in server.memberships:
        if row.member in reach and row.admin:
            yield Finding(
                Severity.HIGH,
                server.role,
                f"may put anybody into `{row.role}` (admin option)",
                "who hands out a role has it",
                f"revoke admin option for {quoted(row.role)} from {quoted(row.member)};",
                Where(name=f"role {row.role}"),
                (),
                "admin-option",
            )


def _objects(server: Server) -> Iterator[Finding]:
    reach = server.reach()
    for kind, rows in (("database", server.databases), ("schema", server.schemas)):
        for name, owner in rows:
            if owner in reach:
                yield Finding(
                    Severity.HIGH,
                    server.role,
                    f"owns {kind} `{name}`{_by(reach, owner)}: it can drop it",
                    "an owner needs no grant, and no revoke takes the right away",
                    f"alter {kind} {quoted(name)} owner to a role nobody logs in as;",
                    Where(name=f"{kind} {name}"),
                    (),
                    f"owns-{kind}",
                    ROWS_MUCH,
                )


def _tables(server: Server) -> Iterator[Finding]:
    if any(server.find(name).superuser for name in server.reach()):
        return
    for relation, ways in means(server).items():
        how = [way for way, _ in ways]
        public = any(source == PUBLIC for _, source in ways)
        severity = Severity.HIGH if set(how) & {"drop", "TRUNCATE", "DELETE"} else Severity.MEDIUM
        rows = "an unknown number of" if relation.rows < 0 else f"about {relation.rows:,}"
        own = "drop" in how
        fix = (
            f"alter {_word(relation)} {relation.full} owner to a role nobody logs in as;"
            if own
            else f"revoke {', '.join(how).lower()} on {relation.full} "
            f"from {PUBLIC.lower() if public else 'the role that has it'};"
        )
        yield Finding(
            severity,
            server.role,
            f"could {_listed(how)} {_word(relation)} `{relation.full}` ({rows} rows)",
            "; ".join(f"{way}: {source}" for way, source in ways),
            fix,
            Where(name=f"{_word(relation)} {relation.full}"),
            (),
            "destroys",
            max(relation.rows, 0),
        )


def _code(server: Server) -> Iterator[Finding]:
    reach = server.reach()
    callable_ = {g.name for g in held(server.grants, reach) if g.kind == "function"}
    for function in server.functions:
        mine = function.owner in reach
        if function.full not in callable_ and not mine:
            continue
        where = Where(name=f"function {function.full}")
        if function.name in DANGEROUS and function.language in ("internal", "c"):
            yield Finding(
                Severity.HIGH,
                server.role,
                f"may call `{function.full}`: {DANGEROUS[function.name]}",
                "what it does is outside the transaction",
                f"revoke execute on function {function.full} from {PUBLIC.lower()};",
                where,
                (),
                "dangerous-function",
            )
        elif function.definer and not mine and _unsafe(function.path):
            path = f"its search path is `{function.path}`" if function.path else "it sets none"
            yield Finding(
                Severity.HIGH,
                server.role,
                f"may call `{function.full}`, which runs as `{function.owner}` with names that "
                "the caller chooses",
                f"{path}; pg_temp is looked into first unless it is named last",
                f"alter function {function.full} set search_path = pg_catalog, pg_temp;",
                where,
                (),
                "security-definer",
            )
        elif function.definer and not mine:
            yield Finding(
                Severity.LOW,
                server.role,
                f"may call `{function.full}`, which runs as `{function.owner}`",
                "what it does is not seen in this role's grants",
                "read the function",
                where,
                (),
                "security-definer",
            )
        elif not function.trusted and not function.schema.startswith("pg_"):
            yield Finding(
                Severity.MEDIUM,
                server.role,
                f"may call `{function.full}`, written in `{function.language}`",
                "an untrusted language reaches the server's files and network",
                "read the function, or revoke execute",
                where,
                (),
                "untrusted-language",
            )


def _other_grants(server: Server) -> Iterator[Finding]:
    reach = server.reach()
    for grant in held(server.grants, reach):
        source = _source(reach, grant)
        told = _grant_says(grant)
        if told is None:
            continue
        severity, says, fix = told
        yield Finding(
            severity,
            server.role,
            says,
            f"granted to {source}",
            fix,
            Where(name=f"{grant.kind} {grant.name}"),
            (),
            f"grant-{grant.kind}",
        )


def _grant_says(grant: Grant) -> tuple[Severity, str, str] | None:
    who = PUBLIC.lower() if grant.grantee == PUBLIC else quoted(grant.grantee)
    revoke = f"revoke {grant.privilege.lower()} on {grant.kind} {grant.name} from {who};"
    match grant.kind, grant.privilege:
        case "default", "DELETE" | "TRUNCATE" | "UPDATE":
            says = f"gets {grant.privilege} on every new object: {grant.name}"
            return Severity.MEDIUM, says, "alter default privileges ... revoke it"
        case "schema", "CREATE":
            says = f"may create objects in schema `{grant.name}`"
            return Severity.MEDIUM, f"{says}: names there can shadow those of others", revoke
        case "database", "CREATE":
            return Severity.MEDIUM, f"may create schemas in database `{grant.name}`", revoke
        case "parameter", _:
            says = f"may {grant.privilege} the parameter `{grant.name}`"
            high = grant.name in ("session_replication_role", "log_statement", "archive_command")
            return (Severity.HIGH if high else Severity.MEDIUM), says, revoke
        case "server", "USAGE":
            return Severity.MEDIUM, f"may use the foreign server `{grant.name}`", revoke
        case "language", "USAGE":
            return Severity.HIGH, f"may write functions in `{grant.name}` (untrusted)", revoke
        case "relation", "TRIGGER":
            says = f"may put a trigger on `{grant.name}`: its code runs as whoever writes there"
            return Severity.MEDIUM, says, f"revoke trigger on {grant.name} from {who};"
        case "relation", ("DELETE" | "TRUNCATE" | "UPDATE" | "INSERT") if grant.grantable:
            says = f"may hand {grant.privilege} on `{grant.name}` on (grant option)"
            return Severity.MEDIUM, says, f"revoke grant option for ... on {grant.name} from {who};"
    return None


def _surroundings(server: Server) -> Iterator[Finding]:
    for name in server.extensions:
        if name in EXTENSIONS:
            severity, says = EXTENSIONS[name]
            where = Where(name=f"extension {name}")
            yield Finding(
                severity, server.database, f"extension `{name}`: {says}", where=where,
                check="extension",
            )  # fmt: skip
    for name, owner, fires in server.event_triggers:
        state = "fires" if fires else "is switched off"
        yield Finding(
            Severity.NOTE,
            server.database,
            f"event trigger `{name}` of `{owner}` {state}",
            where=Where(name=f"event trigger {name}"),
            check="event-trigger",
        )
    if not server.tls:
        yield Finding(
            Severity.NOTE,
            server.database,
            "this connection had no TLS",
            "fine on the same machine, not across a network",
            where=Where(name=f"database {server.database}"),
            check="no-tls",
        )


def _unsafe(path: str) -> bool:
    """Whether a function's search path lets its caller choose what its names mean: none set,
    or pg_temp not named last, or a schema that is not the server's own before it."""
    names = [p.strip().strip('"') for p in path.split(",") if p.strip()]
    return not names or names[-1] != "pg_temp" or "$user" in names


def _key(relation: Relation) -> str:
    return relation.full


def _by(reach: Mapping[str, tuple[str, ...]], name: str) -> str:
    way = reach.get(name, ())
    return f", through {' > '.join(way)}" if way else ""


def _source(reach: Mapping[str, tuple[str, ...]], grant: Grant) -> str:
    if grant.grantee == PUBLIC:
        return PUBLIC
    return f"granted to {grant.grantee}" + _by(reach, grant.grantee)


def _word(relation: Relation) -> str:
    words = {"v": "view", "m": "materialized view", "S": "sequence", "f": "foreign table"}
    return words.get(relation.kind, "table")


def _listed(how: list[str]) -> str:
    words = [way.lower() for way in how]
    texts = {"delete": "delete rows of", "update": "change rows of", "truncate": "empty"}
    shown = [texts.get(word, word) for word in words]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"

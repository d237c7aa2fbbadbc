"""What a PostgreSQL role could destroy, from a live connection, and the smaller role."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from signoff.audit.findings import Report, Section
from signoff.audit.postgres.facts import Server
from signoff.audit.postgres.judging import blast, judge, means
from signoff.audit.postgres.reading import connected, has_password, read_server, written_relations
from signoff.audit.postgres.shrinking import Need, add_statement, smaller_role, statements_in

__all__ = ["Audited", "audit_postgres", "has_password", "statements_in"]


@dataclass(frozen=True)
class Audited:
    """The report, and the SQL of the smaller role ("" when nothing is known to be used)."""

    report: Report
    sql: str = ""


async def audit_postgres(
    dsn: str, role: str = "", used: Iterable[str] = (), name: str = ""
) -> Audited:
    """Look at a role from a live connection; changes nothing.

    `used` are statements it has to be able to go on with, besides what pg_stat_statements
    saw of it; `name` is that of the smaller role (default: the role's with `_small`).
    Raises `ConfigInvalid` and `WorldUnanswered`.
    """
    async with connected(dsn) as connection:
        server = await read_server(connection, role)
        need = Need()
        statements = tuple(dict.fromkeys((*used, *server.statements)))
        for statement in statements:
            add_statement(need, server, statement, await written_relations(connection, statement))
    sql = smaller_role(server, need, name or f"{server.role}_small") if statements else ""
    return Audited(_report(server, need), sql)


def _report(server: Server, need: Need) -> Report:
    limits = [
        "what code in functions, views, triggers and rules does is not read: a function that "
        "runs as its owner is named, not understood",
        "other databases of the server, and who may connect to it (pg_hba.conf), are not asked",
        "row counts are the planner's estimates",
        "a smaller role reads views with their owner's rights: views with `security_invoker`, "
        "row security and triggers may need more",
        *(f"not asked: {what}" for what in server.unread),
    ]
    sections = [blast(server)]
    if need.kept or need.dropped:
        sections.append(_beside(server, need))
    return Report(
        "postgres",
        f"role `{server.role}` on database `{server.database}` (PostgreSQL {server.version})",
        (f"the catalogs of `{server.database}`",),
        tuple(judge(server)),
        tuple(sections),
        tuple(limits),
    )


def _beside(server: Server, need: Need) -> Section:
    granted = means(server)
    rows = []
    for relation, ways in granted.items():
        used = need.relations.get(relation, set())
        unused = [way for way, _ in ways if way not in used]
        if unused:
            rows.append((relation.full, ", ".join(sorted(used)) or "-", ", ".join(unused)))
    return Section(
        "Granted beside used",
        "What the role may destroy and was never seen to do.",
        ("object", "used", "granted and unused"),
        tuple(rows),
    )

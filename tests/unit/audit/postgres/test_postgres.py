"""The pure parts of the database audit: what a role reaches, and what a statement needs."""

from __future__ import annotations

import pytest

from signoff.audit.findings import Severity
from signoff.audit.postgres import has_password
from signoff.audit.postgres.facts import (
    PUBLIC,
    Function,
    Grant,
    Membership,
    Relation,
    Role,
    Server,
    quoted,
)
from signoff.audit.postgres.judging import judge, means
from signoff.audit.postgres.shrinking import (
    Need,
    add_statement,
    smaller_role,
    statements_in,
    tokens,
)
from signoff.model.errors import ConfigInvalid

ORDERS = Relation("shop", "orders", "r", "boss", 900, 1, ("shop.orders_id_seq",))
SEQUENCE = Relation("shop", "orders_id_seq", "S", "boss", 1)
OPEN = Relation("shop", "open_orders", "v", "boss")
NOTES = Relation("public", "notes", "r", "boss", 10)
OTHER = Relation("other", "notes", "r", "boss", 10)
SERVER = Server(
    "app",
    "db",
    18,
    True,
    roles=(Role("app", login=True), Role("boss"), Role("root", superuser=True)),
    relations=(ORDERS, SEQUENCE, OPEN, NOTES, OTHER),
    search_path=("shop", "public"),
)


def need_of(*statements: str, writes: dict[str, str] | None = None) -> Need:
    need = Need()
    for statement in statements:
        add_statement(need, SERVER, statement, writes)
    return need


def test_reach_follows_every_way_into_a_role() -> None:
    rows = (
        Membership("a", "app", inherits=True, sets=False),
        Membership("b", "a", inherits=False, sets=True),
        Membership("c", "b", inherits=False, sets=False, admin=True),
        Membership("d", "c", inherits=False, sets=False, admin=False),
        Membership("app", "a"),
    )
    reach = Server("app", "db", 18, True, memberships=rows).reach()
    assert reach == {"app": (), "a": ("a",), "b": ("a", "b"), "c": ("a", "b", "c")}


def test_a_superuser_three_steps_away_is_critical() -> None:
    rows = (Membership("boss", "app"), Membership("root", "boss", inherits=False))
    server = Server("app", "db", 18, True, roles=SERVER.roles, memberships=rows)
    (found,) = [f for f in judge(server) if f.check == "role-superuser"]
    assert found.severity is Severity.CRITICAL
    assert "boss > root" in found.what


@pytest.mark.parametrize(
    ("grant", "way"),
    [
        (Grant("relation", "shop.orders", "app", "DELETE"), "DELETE"),
        (Grant("relation", "shop.orders", PUBLIC, "TRUNCATE"), "TRUNCATE"),
        (Grant("column", "shop.orders", "app", "UPDATE"), "UPDATE"),
    ],
)
def test_each_grant_is_a_way_to_destroy(grant: Grant, way: str) -> None:
    server = Server("app", "db", 18, True, relations=(ORDERS,), grants=(grant,))
    assert [w for w, _ in means(server)[ORDERS]] == [way]


def test_a_grant_to_somebody_else_is_none() -> None:
    grants = (Grant("relation", "shop.orders", "other", "DELETE"),)
    assert means(Server("app", "db", 18, True, relations=(ORDERS,), grants=grants)) == {}


def test_the_owner_of_the_schema_or_the_database_can_drop_what_is_in_it() -> None:
    for owned in ({"schemas": (("shop", "app"),)}, {"databases": (("db", "app"),)}):
        server = Server("app", "db", 18, True, relations=(ORDERS,), **owned)  # type: ignore[arg-type]
        assert means(server)[ORDERS][0][0] == "drop"


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("", Severity.HIGH),
        ("public", Severity.HIGH),
        ('"$user", pg_temp', Severity.HIGH),
        ("pg_temp, pg_catalog", Severity.HIGH),
        ("pg_catalog, pg_temp", Severity.LOW),
    ],
)
def test_a_definer_function_is_as_safe_as_its_search_path(path: str, severity: Severity) -> None:
    function = Function("public", "f", "", "boss", definer=True, path=path)
    grants = (Grant("function", "public.f()", PUBLIC, "EXECUTE"),)
    server = Server("app", "db", 18, True, functions=(function,), grants=grants)
    assert [f.severity for f in judge(server) if f.check == "security-definer"] == [severity]


def test_an_insert_needs_the_sequence_of_its_serial_column() -> None:
    need = need_of("insert into orders (note) values ($1)", writes={"shop.orders": "INSERT"})
    assert need.relations == {ORDERS: {"INSERT"}, SEQUENCE: {"USAGE"}}


def test_a_write_through_a_view_is_the_views() -> None:
    need = need_of("update open_orders set note = ''", writes={"shop.orders": "UPDATE"})
    assert need.relations == {OPEN: {"UPDATE", "SELECT"}}


def test_names_are_those_of_the_search_path_unless_a_schema_stands_before() -> None:
    assert need_of("select * from notes", writes={}).relations == {NOTES: {"SELECT"}}
    assert need_of("select * from other.notes", writes={}).relations == {OTHER: {"SELECT"}}


def test_comments_literals_and_dollar_quotes_name_nothing() -> None:
    text = "select 'orders', $$ orders $$, $x$ orders $x$ /* orders */ -- orders\n from notes"
    assert set(need_of(text, writes={}).relations) == {NOTES}


def test_where_the_planner_is_silent_the_first_word_counts() -> None:
    assert need_of("delete from orders where id = $1").relations == {ORDERS: {"DELETE", "SELECT"}}
    assert need_of("truncate orders", writes=None).relations == {ORDERS: {"TRUNCATE"}}
    need = need_of("with x as (delete from orders returning 1) select * from x", "vacuum orders")
    assert need.relations == {}
    assert len(need.dropped) == 2
    assert need_of("begin", "commit", "set x = 1").kept == 3


def test_no_statement_can_smuggle_sql_into_the_smaller_role() -> None:
    need = need_of("vacuum orders\n;\ndrop table shop.orders", "vacuum\u2028orders; grant all")
    sql = smaller_role(SERVER, need, 'app"; drop role boss; --')
    assert 'create role "app""; drop role boss; --" login' in sql
    for line in sql.splitlines():
        assert line.startswith(("--", "begin;", "commit;", "create role", "grant ", "alter role"))
    assert "drop table" not in "".join(x for x in sql.splitlines() if not x.startswith("--"))


def test_no_name_can_smuggle_sql_into_the_comments_of_the_smaller_role() -> None:
    name = 'public."a\ndrop table orders; --"'
    grants = (Grant("relation", name, "PUBLIC", "DELETE"),)
    server = Server("app\r\ndrop table orders", "db", 18, True, grants=grants)
    lines = smaller_role(server, Need(), "smaller").splitlines()
    assert any("PUBLIC still has delete" in line for line in lines)
    assert not [line for line in lines if line.startswith("drop")]


def test_identifiers_are_quoted_where_they_need_it() -> None:
    assert [quoted(n) for n in ("orders", "order", "Orders", "1a", 'a"b', "a b")] == [
        "orders",
        '"order"',
        '"Orders"',
        '"1a"',
        '"a""b"',
        '"a b"',
    ]


def test_statements_are_cut_where_sql_ends_them() -> None:
    text = "select ';'; select $$;$$ -- ;\n; /* ; */ ;\n select 2"
    assert statements_in(text) == ["select ';'", "select $$;$$ -- ;", "select 2"]
    assert list(tokens('select "A"".b", x')) == [
        ("name", "select"),
        ("name", 'A".b'),
        ("name", "x"),
    ]


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:pa/ss@h/d", "postgresql://u:pass@[bad/d", "mysql://u:pass@h/d"]
)
def test_a_dsn_that_is_none_shows_nothing_of_its_password(dsn: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        has_password(dsn)
    assert "pa" not in str(caught.value).replace("password", "").replace("example", "")

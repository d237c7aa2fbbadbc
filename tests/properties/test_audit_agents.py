"""Settings files are hostile bytes: reading them is total, and no secret leaves an audit."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.audit.agents.knowledge import known_agents, programs
from signoff.audit.agents.rules import call_parts, weak_allow, weak_deny
from signoff.audit.agents.tree import Unreadable, lead, read_tree
from signoff.audit.agents.values import check_rules, check_secrets, check_values
from signoff.audit.postgres.shrinking import statements_in, tokens

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
SHAPES = st.sampled_from(["json", "toml", "yaml", "starlark"])
_PIECES = (
    *("{", "}", "[", "]", ":", ",", '"a"', "//x\n", "/*", "*/", "1", "\\", '"', "\n", "- "),
    *("a: ", "[[a.b]]", "a.b=1", "prefix_rule(", "pattern=['x'])", "&x", "*x"),
    "!!python/object:os",
)
PIECES = st.lists(st.sampled_from(_PIECES), max_size=30).map("".join)


@given(st.text(max_size=200) | PIECES, SHAPES)
@settings(max_examples=400, deadline=None)
def test_reading_settings_is_total(text: str, form: str) -> None:
    try:
        tree = read_tree(text, form)
    except Unreadable:
        return
    assert tree.line >= 1
    list(lead(tree, "a.*.b|=*.*"))


@given(JSONS)
@settings(deadline=None)
def test_json_means_what_json_means(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=2, ensure_ascii=False)):
        assert read_tree("// first\n" + text + "\n/* last */", "json").plain() == value


@given(JSONS, st.sampled_from(sorted(known_agents())))
@settings(max_examples=300, deadline=None)
def test_every_table_takes_every_tree(value: object, name: str) -> None:
    agent = known_agents()[name]
    keys = [r.key for r in (*agent.checks, *agent.rules, *agent.servers, *agent.hooks)]
    for key in (k.split("|")[0] for k in keys):
        nested: object = value
        for step in reversed(key.split(".")):
            nested = [nested] if step == "*" else {step.removeprefix("="): nested}
        tree = read_tree(json.dumps(nested), "json")
        for role in {s.role for s in agent.sources}:
            list(check_values(agent, "f", role, "project", tree))
            list(check_rules(agent, "f", role, tree, programs()))
            list(check_secrets(agent, "f", role, tree, b"k"))


SECRETS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=12)


@given(SECRETS, st.sampled_from(["env", "headers"]), st.sampled_from(["TOKEN", "api_key", "DSN"]))
@settings(deadline=None)
def test_a_secret_is_told_by_its_place_alone(secret: str, block: str, name: str) -> None:
    if set(secret) <= set("xX"):
        return
    tree = read_tree(json.dumps({"mcpServers": {"s": {block: {name: secret}}}}), "json")
    found = list(check_secrets(known_agents()["claude"], "f", "mcp", tree, b"k"))
    assert len(found) == 1
    assert secret not in repr(found[0].as_data())
    assert name in found[0].where.name


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_rule_is_judged_without_an_error(text: str) -> None:
    for agent in known_agents().values():
        for terms in agent.rules:
            weak_allow(text, terms, programs())
            weak_deny(text, terms, programs())


@given(st.text("abc*( )", max_size=20))
def test_a_wider_rule_is_never_judged_milder(text: str) -> None:
    terms = known_agents()["claude"].rules[0]
    tool, pattern = call_parts(f"Bash({text})")
    narrow = weak_allow(f"{tool}({pattern})", terms, programs())
    everything = weak_allow("Bash(*)", terms, programs())
    assert everything is not None
    assert narrow is None or narrow.severity.rank <= everything.severity.rank


@given(st.text(max_size=120))
@settings(max_examples=300, deadline=None)
def test_cutting_statements_loses_no_name(text: str) -> None:
    whole = [value.strip() for _, value in tokens(text)]
    parts = [value.strip() for part in statements_in(text) for _, value in tokens(part)]
    assert [v for v in whole if v] == [v for v in parts if v]

"""Values of settings that are holes: switches, rules, and secrets in plain text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from signoff.audit.agents.knowledge import Agent, Check, Program, RuleList, Servers
from signoff.audit.agents.rules import overridden, weak_allow, weak_deny
from signoff.audit.agents.secrets import looks_secret, mark, secret_argument, url_password
from signoff.audit.agents.tree import Found, Node, lead
from signoff.audit.findings import Finding, Severity, Where


def check_values(agent: Agent, file: str, role: str, scope: str, tree: Node) -> Iterator[Finding]:
    """The switches of one file that are set wrongly; `expected` rows are judged over all
    files together."""
    for row in agent.checks:
        if row.expected or role not in row.roles or scope not in row.scopes:
            continue
        for found in lead(tree, row.key):
            if _fires(row, found.node):
                yield _hole(agent, row, Where(file, found.node.line, found.key))


def satisfies(row: Check, tree: Node) -> bool:
    """Whether one file holds what an `expected` row wants: a value of `among`, or (`unless`)
    a value that has none of them."""
    return any(_matches(row, found.node) != row.unless for found in lead(tree, row.key))


def expected_hole(agent: Agent, row: Check, file: str) -> Finding:
    """The finding of an `expected` row that no file satisfies."""
    return _hole(agent, row, Where(file, 0, row.key))


def _fires(row: Check, node: Node) -> bool:
    return not _matches(row, node) if row.unless else _matches(row, node)


def _matches(row: Check, node: Node) -> bool:
    if row.contains:
        texts = [e.text for e in node.elements] if node.elements else [node.text]
        return any(row.contains in text for text in texts)
    if node.elements:
        return any(e.value in row.among for e in node.elements)
    same = [a for a in row.among if a == node.value and isinstance(a, bool) == _flag(node)]
    return bool(same)


def _flag(node: Node) -> bool:
    return isinstance(node.value, bool)


def _hole(agent: Agent, row: Check, where: Where) -> Finding:
    return Finding(
        Severity(row.severity),
        agent.title,
        row.says,
        row.why,
        row.next_step,
        where,
        (),
        row.check,
    )


# Rules.


def check_rules(
    agent: Agent, file: str, role: str, tree: Node, programs: Mapping[str, Program]
) -> Iterator[Finding]:
    """The rules of one file that let more pass, or stop less, than they say."""
    for terms in agent.rules:
        if role not in terms.roles:
            continue
        rows = list(lead(tree, terms.key))
        for at, found in enumerate(rows):
            effect = _effect(terms, found.node)
            text = found.name if terms.named else _rule_text(found.node, terms)
            if text is None or not effect:
                continue
            judged = weak_allow if effect == "allow" else weak_deny
            weak = judged(text, _as_set(terms, found.node), programs)
            where = Where(file, found.node.line, found.key)
            if weak is not None:
                yield Finding(
                    weak.severity,
                    agent.title,
                    weak.says,
                    weak.why,
                    weak.next_step,
                    where,
                    (),
                    weak.check,
                )
            if terms.last and effect == "deny":
                yield from _later(agent, terms, text, rows[at + 1 :], where)


def _as_set(terms: RuleList, node: Node) -> RuleList:
    """The rule's own terms: one that is matched against the whole line is not split."""
    whole = node.members.get("matchCommandLine")
    return replace(terms, splits="no") if whole is not None and whole.value is True else terms


def _later(
    agent: Agent, terms: RuleList, text: str, later: list[Found], where: Where
) -> Iterator[Finding]:
    for other in later:
        if _effect(terms, other.node) == "allow" and overridden(text, other.name):
            yield Finding(
                Severity.HIGH,
                agent.title,
                f"`{text}` stops nothing: `{other.name}` on line {other.node.line} allows it again",
                "the last rule that matches counts",
                f"move `{other.name}` above it",
                where,
                (),
                "deny-useless",
            )
            return


def _effect(terms: RuleList, node: Node) -> str:
    if terms.effect_key:
        said = node.members.get(terms.effect_key, Node("", 0)).text
        return said if said in ("allow", "deny") else ""
    if not terms.named:
        return terms.effect
    value = node.value
    if "approve" in node.members:
        value = node.members["approve"].value
    if any(value == a and isinstance(a, bool) == isinstance(value, bool) for a in terms.allow):
        return "allow"
    if any(value == d and isinstance(d, bool) == isinstance(value, bool) for d in terms.deny):
        return "deny"
    return ""


def _rule_text(node: Node, terms: RuleList) -> str | None:
    if terms.dialect == "table":
        return _table_text(node, terms)
    if terms.dialect == "argv" and node.elements:
        words = [e.text for e in node.elements]
        return " ".join(words)
    return node.text if isinstance(node.value, str) else None


def _table_text(node: Node, terms: RuleList) -> str | None:
    """A rule that is an object, as `Tool(pattern)`; None for one that is narrowed further
    by what this audit does not judge."""
    tool = _first(node.members.get(terms.tool_key)) or "*"
    pattern = _first(node.members.get(terms.pattern_key))
    if any(name in node.members for name in terms.other_keys):
        return None
    return f"{tool}({pattern})" if pattern else tool


def _first(node: Node | None) -> str:
    if node is None:
        return ""
    return node.text or (node.elements[0].text if node.elements else "")


# Secrets.


def check_secrets(agent: Agent, file: str, role: str, tree: Node, key: bytes) -> Iterator[Finding]:
    """Secrets in one file, each with its place and a keyed digest, never its value."""
    for servers in agent.servers:
        if role in servers.roles:
            for server in lead(tree, servers.key):
                yield from _server(agent, file, server, servers, key)
    for pattern in agent.secrets:
        for found in lead(tree, pattern):
            if looks_secret(found.name, found.node.text):
                yield _secret(agent, file, found, key)


def _server(
    agent: Agent, file: str, server: Found, terms: Servers, key: bytes
) -> Iterator[Finding]:
    for block in terms.blocks:
        for found in lead(server.node, f"{block}.*"):
            if looks_secret(found.name, found.node.text):
                yield _secret(agent, file, _inside(server, found), key)
    for block in terms.lists:
        rows = list(lead(server.node, f"{block}.*"))
        texts = [r.node.text for r in rows]
        for at, found in enumerate(rows):
            if secret_argument(texts, at):
                yield _secret(agent, file, _inside(server, found), key)
    for block in terms.urls:
        for found in lead(server.node, block):
            if url_password(found.node.text):
                yield _secret(agent, file, _inside(server, found), key)


def _inside(server: Found, found: Found) -> Found:
    joint = "" if found.key.startswith("[") else "."
    return Found(f"{server.key}{joint}{found.key}", found.name, found.node, found.parents)


def _secret(agent: Agent, file: str, found: Found, key: bytes) -> Finding:
    return Finding(
        Severity.HIGH,
        agent.title,
        f"a secret in plain text at `{found.key}` (digest {mark(found.node.text, key)})",
        "the agent and every server it starts can read it; whoever has it needs no gate",
        "make it invalid, and let a gate hold the new one",
        Where(file, found.node.line, found.key),
        (),
        "secret",
    )

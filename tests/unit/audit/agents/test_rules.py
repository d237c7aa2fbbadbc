"""Rules of agents: what an allow rule lets pass, why a deny rule stops nothing."""

from __future__ import annotations

import pytest

from signoff.audit.agents.knowledge import RuleList, known_agents, programs
from signoff.audit.agents.rules import overridden, weak_allow, weak_deny


def terms(agent: str, number: int = 0) -> RuleList:
    return known_agents()[agent].rules[number]


CLAUDE, CLAUDE_DENY = terms("claude"), terms("claude", 1)
REGEX, REGEX_DENY = terms("kiro", 1), terms("kiro", 2)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("*", "allow-everything"),
        ("Bash", "allow-everything"),
        ("Bash(*)", "allow-everything"),
        ("Bash(**)", "allow-everything"),
        ("Bash(:*)", "allow-everything"),
        ("Bash( * )", "allow-everything"),
        ("Bash(ku*)", "allow-destructive"),
        ("Bash(git*)", "allow-code"),
        ("Bash(* --version)", "allow-everything"),
        ("Bash(/bin/sh:*)", "allow-code"),
        ("Bash(env FOO=1 *)", "allow-code"),
        ("Bash(sudo *)", "allow-code"),
        ("Bash(find . *)", "allow-code"),
        ("Bash(git push *)", "allow-code"),
        ("Bash(git -c *)", "allow-code"),
        ("Bash(npx *)", "allow-code"),
        ("Bash(aws s3 *)", "allow-destructive"),
        ("Bash(aws * delete-*)", "allow-destructive"),
        ("Bash(kubectl get *)", "allow-destructive"),
        ("Bash(terraform:*)", "allow-destructive"),
        ("Bash(rm -rf /tmp/build*)", "allow-destructive"),
        ("PowerShell(*)", "allow-everything"),
        ("Write(//**)", "allow-write"),
        ("mcp__orders", "allow-mcp"),
    ],
)
def test_a_rule_that_is_too_wide_says_so(text: str, check: str) -> None:
    found = weak_allow(text, CLAUDE, programs())
    assert found is not None
    assert found.check == check


@pytest.mark.parametrize(
    "text",
    [
        "Bash(git status)",
        "Bash(git status:*)",
        "Bash(git diff *)",
        "Bash(aws s3 ls *)",
        "Bash(aws ec2 describe-instances *)",
        "Bash(kubectl get pods *)",
        "Bash(npm run test)",
        "Bash(ls *)",
        "Bash(python3 -m pytest)",
        "Edit(src/**)",
        "Read(docs/**)",
        "WebFetch(domain:docs.python.org)",
        "mcp__orders__search",
        "mcp__signoff",
    ],
)
def test_a_narrow_rule_is_left_alone(text: str) -> None:
    assert weak_allow(text, CLAUDE, programs()) is None


@pytest.mark.parametrize(
    ("text", "check"),
    [
        (".*", "allow-everything"),
        ("[a-z].*", "allow-everything"),
        ("(aws|kubectl) .*", "allow-destructive"),
        ("git (status|diff).*", "allow-prefix"),
        ("ls .*", "allow-prefix"),
        ("(", "not-understood"),
    ],
)
def test_an_expression_is_judged_by_what_it_matches(text: str, check: str) -> None:
    found = weak_allow(text, REGEX, programs())
    assert found is not None
    assert found.check == check


@pytest.mark.parametrize("text", ["git status", "npm run [a-z]+", "ls [a-z/]*"])
def test_an_expression_with_closed_ends_is_left_alone(text: str) -> None:
    assert weak_allow(text, REGEX, programs()) is None


@pytest.mark.parametrize(
    "text", ["bash(rm:*)", "Bash(rm -rf", "Execute(rm)", "Bash(rm -rf)", "Read(/home/ana/.aws/**)"]
)
def test_a_deny_rule_that_stops_nothing_is_found(text: str) -> None:
    assert weak_deny(text, CLAUDE_DENY, programs()) is not None


@pytest.mark.parametrize(
    "text", ["Bash", "Bash(rm *)", "Bash(rm:*)", "Read(//etc/**)", "Read(.env)", "mcp__orders"]
)
def test_a_deny_rule_that_can_match_is_left_alone(text: str) -> None:
    assert weak_deny(text, CLAUDE_DENY, programs()) is None


def test_an_anchored_deny_is_got_round_by_what_stands_before() -> None:
    found = weak_deny("rm .*", REGEX_DENY, programs())
    assert found is not None
    assert "cd /srv && rm -rf data" in found.says
    assert weak_deny(".*rm .*", REGEX_DENY, programs()) is None


def test_a_later_wider_pattern_overrides_an_earlier_one() -> None:
    assert overridden("rm *", "*")
    assert overridden("git push *", "git *")
    assert not overridden("rm *", "git *")
    assert not overridden("*", "*")

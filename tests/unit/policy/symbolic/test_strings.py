"""Patterns mean what the engine means by them, and texts are found or excluded exactly."""

from __future__ import annotations

import json
from collections.abc import Sequence

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pinned
from signoff.policy.symbolic.decoding import Decoder
from signoff.policy.symbolic.policies import Compiler
from signoff.policy.symbolic.questions import Found, Questions
from signoff.policy.symbolic.schema import RequestEnvironment, read_schema
from signoff.policy.symbolic.strings import Pattern, matches
from signoff.policy.symbolic.world import World

LETTERS = "ab*\\ü\0"
pieces = st.none() | st.text(LETTERS, min_size=1, max_size=2)
patterns = st.lists(pieces, min_size=1, max_size=5).map(tuple)


def engine_matches(text: str, pattern: Pattern) -> bool:
    """What the engine says, in its own form of a pattern."""
    written = [
        part
        for piece in pattern
        for part in (["Wildcard"] if piece is None else [{"Literal": letter} for letter in piece])
    ]
    scope = {"op": "All"}
    body = {"like": {"left": {"Value": text}, "pattern": written}}
    est = {
        "effect": "permit",
        **dict.fromkeys(("principal", "action", "resource"), scope),
        "conditions": [{"kind": "when", "body": body}],
    }
    static = json.dumps({"staticPolicies": {"p": est}, "templates": {}, "templateLinks": []})
    asked = {
        part: {"type": kind, "id": "x"}
        for part, kind in (("principal", "User"), ("action", "Action"), ("resource", "Doc"))
    }
    found = cedarpy.is_authorized(
        {**asked, "context": {}}, cedarpy.PolicySet.from_json_str(static), "[]"
    )
    return found.decision is cedarpy.Decision.Allow


@given(st.text(LETTERS, max_size=6), patterns)
@settings(max_examples=300, deadline=None)
def test_a_pattern_matches_what_the_engine_matches(text: str, pattern: Pattern) -> None:
    assert matches(text, pattern) is engine_matches(text, pattern)


def found(conditions: Sequence[str]) -> str | None:
    """A name that satisfies all conditions, or None when there is none."""
    schema = read_schema(pinned.SCHEMA_TEXT)
    world = World(schema, "User", "Doc", schema.actions["read"].context)
    written = " && ".join(f"({condition})" for condition in conditions)
    (policy,) = pinned.parsed(f"permit (principal, action, resource) when {{ {written} }};")
    compiled = Compiler(world).policy(policy, "read")
    answer = Questions(world).find(compiled.satisfied)
    if answer is None:
        return None
    assert isinstance(answer, Found), answer
    example = Decoder(world, answer).example(RequestEnvironment("User", "read", "Doc"))
    return example.request["context"]["name"]


@pytest.mark.parametrize(
    "conditions",
    [
        ['context.name like "a*"', 'context.name like "b*"'],
        ['context.name like "*a"', 'context.name like "*b"'],
        ['context.name == "abc"', 'context.name like "b*"'],
        ['context.name == "abc"', '!(context.name like "a*c")'],
        ['context.name like "a*"', '!(context.name like "*a*")'],
        ['context.name like "ab*"', '!(context.name like "a*")'],
        ['!(context.name like "*")'],
        ['context.name like "ü*"', '!(context.name like "*ü*")'],
        [r'context.name like "\u{5c}u{61}*"', 'context.name like "a*"'],
        [
            'context.name like "a*"',
            "context.name == context.about.note",
            'context.about.note == "b"',
        ],
    ],
)
def test_patterns_that_no_text_satisfies_have_none(conditions: list[str]) -> None:
    assert found(conditions) is None


@pytest.mark.parametrize(
    "conditions",
    [
        ['context.name like "a*c"', 'context.name like "*b*"', 'context.name != "abc"'],
        ['context.name like "*a*"', '!(context.name like "a*")', '!(context.name like "*a")'],
        [r'context.name like "*\**"', '!(context.name like "a*")'],
        ['context.name like "ü*"', 'context.name like "*x"'],
        [r'context.name like "\u{5c}u{61}*"', '!(context.name like "a*")'],
        ['context.name like "a*"', *(f'context.name != "a{n}"' for n in ("", "x", "any"))],
        ['context.name != ""', 'context.name != "something"'],
    ],
)
def test_a_text_that_is_found_satisfies_its_patterns(conditions: list[str]) -> None:
    text = found(conditions)
    assert text is not None
    for condition in conditions:
        assert engine_says(text, condition)


def engine_says(name: str, condition: str) -> bool:
    """Whether the engine finds a condition true of a name."""
    policy = f"permit (principal, action, resource) when {{ {condition} }};"
    asked = {
        "principal": {"type": "User", "id": "u"},
        "action": {"type": "Action", "id": "read"},
        "resource": {"type": "Doc", "id": "d"},
        "context": {"name": name},
    }
    return cedarpy.is_authorized(asked, policy, "[]").decision is cedarpy.Decision.Allow

"""Text that is hostile, or only too much, is refused with its line and never ends the process."""

from __future__ import annotations

import cedarpy
import pytest

from signoff.model.errors import PolicyInvalid
from signoff.policy.bundle import shipped_schema
from signoff.policy.statements import Source, policies

SCHEMA = cedarpy.Schema.from_json_str(shipped_schema())
HEAD = '@id("one") @why("x") forbid (principal, action, resource) when {\n'


def condition(text: str) -> list[object]:
    return list(policies(Source("own.cedar", f"\n{HEAD}{text}\n}};"), SCHEMA))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000 + "true" + ")" * 5_000,
        "[" * 3_000 + "1" + "]" * 3_000 + " == 1",
        "{a: " * 3_000 + "1" + "}" * 3_000 + " == 1",
        "context.frozen" + " && context.frozen" * 3_000,
        "context.frozen" + " || context.frozen" * 400,
        "if context.frozen then " * 6_000 + "true" + " else false" * 6_000,
        "1" + " + 1" * 40_000 + " == 2",
        "context" + ".a" * 40_000,
        "context" + '["a"]' * 40_000,
        'context.frozen // a comment with one quote: "\n' + "&& context.frozen" * 3_000,
    ],
    ids=lambda text: text[:24],
)
def test_what_would_overflow_a_stack_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        condition(text)
    assert caught.value.what == "the policies do not load: `own.cedar` line 2"
    assert "levels deep" in caught.value.why
    assert caught.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "(" * 60 + "context.frozen" + ")" * 60,
        "context.frozen" + " || context.frozen" * 140,
        "["
        + ", ".join(f'"arn:aws:x-{n}.if(((["' for n in range(4_000))
        + "].contains(context.name)",
        'context.frozen // with one quote " in a comment\n' + "&& context.frozen" * 100,
    ],
    ids=lambda text: text[:24],
)
def test_what_people_write_is_no_such_text(text: str) -> None:
    (policy,) = condition(text)
    assert policy.paths & {"frozen", "name"}

"""What people read is complete, counts right, and cannot be painted by an agent."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signoff.faces import render

NOW = 1_763_800_000_000


def payload(**more: Any) -> dict[str, Any]:
    return {
        "domain": "signoff/sign-off/v1",
        "verdict": "approve",
        "hold": "H-204",
        "run": "R-1",
        "agent": "kit",
        "operator": "ana",
        "targets": [
            {
                "verb": "delete",
                "resource": "arn:aws:dynamodb:eu-west-1:1:table/orders",
                "environment": "production",
                "bound": [{"most": 5000, "unit": "items"}],
                "reversibility": "none",
            }
        ],
        "unknown": [],
        "plan": ["dynamodb:DeleteTable 0123456789abcdef (added by signoff)"],
        "quorum": 2,
        "expires_ms": NOW + 3_600_000,
        **more,
    }


CARD = {
    "action": "dynamodb:DeleteTable",
    "scope": {"account": "1", "region": "eu-west-1"},
    "effects": [
        {"resource": "arn:aws:dynamodb:eu-west-1:1:table/orders", "residue": "streams are lost"}
    ],
    "safer": "disable deletion first",
}


def test_a_card_shows_all_that_is_signed() -> None:
    text = "\n".join(render.card(payload(), CARD, NOW))
    for part in (
        "dynamodb:DeleteTable",
        "H-204",
        "APPROVE",
        "delete",
        "table/orders",
        "[production]",
        "<= 5,000 items",
        "CANNOT be taken back",
        "NOT covered: streams are lost",
        "0123456789ab (added by signoff)",
        "disable deletion first",
        "kit, run R-1, on behalf of ana",
        "2 different people; nobody signed yet",
        "60 min left",
    ):
        assert part in text


def test_what_a_human_asked_for_names_no_agent() -> None:
    asked = {**payload(), "agent": "", "run": "", "operator": "mila"}
    assert "asked by  mila" in render.card(asked, CARD, NOW)


def test_a_card_leaves_no_target_out_however_many_there_are() -> None:
    one = payload()["targets"][0]
    targets = [{**one, "resource": f"thing-{i}"} for i in range(500)]
    text = "\n".join(render.card(payload(targets=targets), CARD, NOW))
    assert all(f"thing-{i} " in text for i in range(500))


def test_a_bound_nobody_knows_is_said_so() -> None:
    target = {**payload()["targets"][0], "bound": [{"most": None, "unit": "objects"}]}
    text = "\n".join(render.card(payload(targets=[target]), CARD, NOW))
    assert "nobody knows how many objects" in text


def test_the_weakest_reversibility_heads_the_undo() -> None:
    one = payload()["targets"][0]
    both = [{**one, "reversibility": "exact"}, {**one, "reversibility": "none"}]
    assert "CANNOT" in "\n".join(render.card(payload(targets=both), {}, NOW))
    exact = "\n".join(render.card(payload(targets=both[:1]), {}, NOW))
    assert "comes back exactly" in exact


@given(text=st.text())
def test_no_text_of_an_agent_moves_the_cursor_or_breaks_a_line(text: str) -> None:
    assert all(c.isprintable() for c in render.safe(text))
    shown = render.card(
        payload(agent=text, unknown=[text]), {"action": text, "safer": text, "level": text}, NOW
    )
    assert all(c.isprintable() for line in shown for c in line)


def test_direction_marks_and_invisible_joiners_are_shown() -> None:
    assert render.safe("a\u202eb\u200dc\x1b[2K\n") == r"a\u202eb\u200dc\x1b[2K\n"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(given_=st.fixed_dictionaries({}, optional=dict.fromkeys(payload(), JSON)), card=JSON)
def test_rendering_is_total(given_: dict[str, Any], card: Any) -> None:
    shown = card if isinstance(card, dict) else {}
    assert render.card(given_, shown, NOW)
    assert render.hold_row(given_, NOW)
    assert render.log_line(given_)
    assert render.status(given_)
    assert render.explanation(given_)
    render.undo_plan(given_)


def test_the_summary_counts_what_would_have_been_needed() -> None:
    rulings = (
        [{"ruling": "allow", "changed": False}] * 207
        + [{"ruling": "allow", "changed": True}] * 5
        + [{"ruling": "hold", "quorum": 2}] * 2
    )
    assert (
        render.summary(rulings) == "214 actions: 207 untouched, 5 undoable, 2 would need two people"
    )
    assert render.summary([{"ruling": "deny"}]) == (
        "1 action: 0 untouched, 0 undoable, 1 would be denied"
    )


def test_a_gate_that_observes_is_red_in_the_status() -> None:
    seen = {
        "gates": [{"name": "aws", "address": "127.0.0.1:4690", "mode": "observe"}],
        "safeguard": "safeguard not proved",
        "ledger": {"size": 1234, "root": "ab", "anchored": False},
    }
    text = "\n".join(render.status(seen, lambda colour, text: f"<{colour}>{text}"))
    assert "<red>OBSERVES" in text
    assert "safeguard not proved" in text
    assert "1,234 receipts" in text
    assert "unanchored" in text


def test_a_receipt_is_one_line() -> None:
    receipt = {
        "index": 7,
        "time_ms": NOW,
        "mark": "held",
        "principal": {"agent": "kit", "run": "R-1", "operator": "ana"},
        "action": {"name": "s3:DeleteBucket"},
        "decision": {"ruling": "hold", "quorum": 2, "reasons": ["prod-two"]},
        "detail": {"hold": "H-1\n"},
    }
    line = render.log_line(receipt)
    assert "hold (2) [prod-two]" in line
    assert "kit/R-1" in line
    assert r"hold=H-1\n" in line


def test_lengths_of_time_take_their_largest_fitting_unit() -> None:
    assert render.span(45_000) == "45 s"
    assert render.span(12 * 60_000) == "12 min"
    assert render.span(3 * 3_600_000) == "3 h"
    assert render.span(-5) == "0 s"

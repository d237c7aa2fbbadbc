"""The reference page says what is shipped."""

from __future__ import annotations

from pathlib import Path

from signoff.policy.bundle import compile_bundle
from signoff.policy.reference import policy_reference

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "policy.md"


def test_the_reference_page_is_generated_from_what_is_shipped() -> None:
    assert PAGE.read_text() == policy_reference()


def test_the_reference_names_every_policy_with_its_why() -> None:
    text = policy_reference()
    for profile in ("team", "solo"):
        for policy in compile_bundle(profile).policies:
            assert f"| `{policy.id}` | {policy.effect}" in text
            assert policy.why in text

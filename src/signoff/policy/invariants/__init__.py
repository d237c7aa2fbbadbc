"""The invariants that ship with Signoff: what no bundle of a profile may allow.

They are Cedar, so that people read the claim in the language of the policies, and are never
loaded for enforcement.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import cedarpy

from signoff.policy.bundle import shipped_schema
from signoff.policy.statements import Policy, Source, policies

FILES = {
    "team": ("shared", "grants", "two-person"),
    "solo": ("shared", "grants", "solo"),
}


@cache
def shipped_invariants(profile: str) -> tuple[Policy, ...]:
    """Every invariant of a profile, in the order of their files."""
    text = shipped_schema()
    schema = cedarpy.Schema.from_json_str(text)
    folder = resources.files("signoff.policy") / "invariants"
    return tuple(
        policy
        for name in FILES[profile]
        for policy in policies(
            Source(f"{name}.cedar", (folder / f"{name}.cedar").read_text("utf-8")),
            schema,
            shipped=True,
        )
    )

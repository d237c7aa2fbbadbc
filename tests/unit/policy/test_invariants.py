"""The invariants are Cedar under the same schema, and no bundle loads them."""

from __future__ import annotations

from importlib import resources

import cedarpy
import pytest

from signoff.policy.bundle import PROFILES, compile_bundle, shipped_schema
from signoff.policy.invariants import FILES as LOADED
from signoff.policy.invariants import shipped_invariants
from signoff.policy.statements import Source, policies

FOLDER = resources.files("signoff.policy") / "invariants"
FILES = sorted((f for f in FOLDER.iterdir() if f.name.endswith(".cedar")), key=lambda f: f.name)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_an_invariant_is_a_forbid_that_the_schema_accepts(file) -> None:
    schema = cedarpy.Schema.from_json_str(shipped_schema())
    found = policies(Source(file.name, file.read_text("utf-8")), schema)
    assert found
    for policy in found:
        assert policy.effect == "forbid"
        assert policy.id.startswith("invariant-")


@pytest.mark.parametrize("profile", ["team", "solo"])
def test_no_invariant_is_loaded_for_enforcement(profile: str) -> None:
    assert len(FILES) == 4
    assert not [i for i in compile_bundle(profile).by_id if i.startswith("invariant-")]


def test_every_profile_has_invariants_of_its_own() -> None:
    assert set(LOADED) == set(PROFILES)
    for profile in PROFILES:
        ids = [policy.id for policy in shipped_invariants(profile)]
        assert len(ids) == len(set(ids))

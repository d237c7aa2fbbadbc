"""Whatever the solver finds is a request: the engine, asked again, says the same of it."""

from __future__ import annotations

import json
import random

import cedarpy
from hypothesis import given, settings
from hypothesis import strategies as st

import pinned
from pinned import Author
from signoff.policy.symbolic.decoding import Decoder
from signoff.policy.symbolic.policies import Compiler
from signoff.policy.symbolic.questions import Found, Questions, Unsure
from signoff.policy.symbolic.schema import RequestEnvironment, read_schema
from signoff.policy.symbolic.world import World


@given(st.integers(0, 2**40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_example_of_a_policy_satisfied_or_in_error_is_confirmed(seed: int, erring: bool) -> None:
    dice = random.Random(seed)
    (policy,) = pinned.parsed(Author(dice).policy(0))
    schema = read_schema(pinned.SCHEMA_TEXT)
    world = World(schema, "User", "Doc", schema.actions["write"].context)
    compiled = Compiler(world).policy(policy, "write")
    found = Questions(world).find(compiled.errs if erring else compiled.satisfied)
    if found is None or isinstance(found, Unsure):
        return
    assert isinstance(found, Found)
    example = Decoder(world, found).example(RequestEnvironment("User", "write", "Doc"))
    rows = json.dumps(list(example.entities))
    entities = cedarpy.Entities.from_json_str(rows, schema=pinned.SCHEMA_TEXT)
    engine = pinned.Engine([policy], entities, pinned.schema())
    said = engine.says(dict(example.request))
    assert policy.id in (said.erring if erring else said.satisfied), (example, said)

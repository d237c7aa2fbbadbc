"""The seed decides the environment, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from signoff.demo.world import Snapshot, digest, draw, template


def test_the_first_seed_has_the_names_and_counts_of_the_story() -> None:
    world = draw(0)
    assert (world.stack, world.table) == ("cost-explorer-prod", "usage-cube")
    assert (world.items, world.objects) == (5000, 50)


def test_the_same_seed_draws_the_same_environment_and_another_seed_another() -> None:
    assert draw(7) == draw(7)
    assert len({draw(seed).bucket for seed in range(20)}) == 20
    assert len({draw(seed).logical_ids for seed in range(20)}) > 5
    assert len({(draw(seed).items, draw(seed).objects) for seed in range(20)}) > 10


@pytest.mark.parametrize("seed", range(5))
def test_the_fix_changes_one_property_of_one_resource(seed: int) -> None:
    world = draw(seed)
    wrong = json.loads(template(world, "0"))["Resources"]
    right = json.loads(template(world, "2"))["Resources"]
    differing = [name for name in wrong if wrong[name] != right[name]]
    assert differing == [world.logical("setting")]
    assert list(wrong) == [name for _, name in world.logical_ids]


def test_a_snapshot_names_what_differs_and_takes_a_new_stack_id_for_no_difference() -> None:
    before = Snapshot("i", "o", "q", "r", "s", "t", 1, 1, "one")
    assert before.differences(replace(before, stack_id="two")) == ()
    assert before.differences(replace(before, items="x", stack="y")) == ("items", "stack")


def test_a_digest_depends_on_content_and_not_on_the_order_of_members() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(["a", "b"]) != digest(["b", "a"])

"""Every vector of `testkit/aws` says what this implementation says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signoff.surfaces.aws import SURFACE
from signoff.surfaces.base import Places
from unit.surfaces.aws.answering import SCOPE

VECTORS = sorted((Path(__file__).parents[4] / "testkit" / "aws").glob("*.txt"))


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 20


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_a_vector_holds(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    (given,) = [x.removeprefix("action: ") for x in lines if x.startswith("action: ")]
    action = SURFACE.parse(json.loads(given), SCOPE)
    seen = SURFACE.effects(action, {}, Places())
    found = [
        f"effect: {e.verb.value} {e.resource.kind.value} {e.reversibility.value} {e.resource.uid}"
        for e in seen.effects
    ]
    found += [f"unknown: {text}" for text in seen.unknown]
    found += [f"plan: {step.action.name}" for step in seen.plan]
    assert found == [line for line in lines if not line.startswith("action: ")]

"""The demo's stage on real processes: what is lost without a guard, and the safe way."""

from __future__ import annotations

import random

import pytest

from signoff.demo import kiro
from signoff.demo.stage import stage

pytestmark = pytest.mark.real
SEED = random.SystemRandom().randrange(1, 10**6)


def test_the_unguarded_arm_loses_everything() -> None:
    (ending,) = kiro.play((kiro.Unguarded(),), SEED)
    assert [check for check in ending.checks if not check.right] == [], f"seed {SEED}"
    assert ending.hashes_equal is False
    assert ending.failed_probes > 0


def test_the_safe_fix_repairs_the_service_loses_nothing_and_leaves_no_process() -> None:
    with stage(SEED) as made:
        assert not made.bug_is_fixed()
        run = made.run_agent(made.endpoint, "KEY", "secret", "--goal", "fix")
        assert run.code == 0, run.seen[-1]
        assert made.bug_is_fixed()
        after = made.snapshot()
        assert made.before.differences(after) == ("setting", "stack")
        assert after.stack_id == made.before.stack_id
        assert made.health().failed == 0
        children, folder = (made.upstream, made.service), made.folder
    assert all(child.process.returncode is not None for child in children)
    assert not folder.exists()

"""The demo's stage on real processes: what is lost without a guard, and the safe way."""

from __future__ import annotations

import random
from urllib.request import urlopen

import pytest

from signoff.demo import kiro
from signoff.demo.stage import copied, model
from signoff.demo.world import snapshot

pytestmark = pytest.mark.real
SEED = random.SystemRandom().randrange(1, 10**6)


def test_the_unguarded_arm_loses_everything() -> None:
    (ending,) = kiro.play((kiro.Unguarded(),), SEED)
    assert [check for check in ending.checks if not check.right] == [], f"seed {SEED}"
    assert ending.hashes_equal is False
    assert ending.failed_probes > 0


def test_the_safe_fix_repairs_the_service_loses_nothing_and_leaves_no_process() -> None:
    with model(SEED) as built, copied(built) as made:
        assert not made.bug_is_fixed()
        run = made.run_agent(made.endpoint, "KEY", "secret", "--goal", "fix")
        assert run.code == 0, run.seen[-1]
        assert made.bug_is_fixed()
        after = made.snapshot()
        assert made.before.differences(after) == ("setting", "stack")
        assert after.stack_id == made.before.stack_id
        assert made.health().failed == 0
        children, folders = (built.upstream, made.service), (built.folder, made.folder)
        endpoint = made.endpoint
    assert all(child.process.returncode is not None for child in children)
    assert not any(folder.exists() for folder in folders)
    with pytest.raises(OSError):  # Refused, or reset by the kernel as it dies.
        urlopen(endpoint)


def test_a_copy_begins_with_everything_and_goes_its_own_way() -> None:
    with model(SEED) as built, copied(built) as first, copied(built) as second:
        assert first.snapshot() == second.snapshot() == built.before
        lost = first.run_agent(first.endpoint, "KEY", "unused", "--goal", "recreate")
        assert lost.code == 0
        assert first.snapshot() != built.before
        assert second.snapshot() == built.before
        assert snapshot(built.world, built.upstream.url) == built.before

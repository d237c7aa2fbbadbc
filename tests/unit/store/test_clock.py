"""Time never goes back, also across restarts."""

from __future__ import annotations

from pathlib import Path

from durable import NOW, opened, receipt
from signoff.store.clock import LedgerClock


def test_a_clock_set_back_stands_still() -> None:
    times = iter([100, 90, 95, 101])
    clock = LedgerClock(lambda: next(times))
    assert [clock.now_ms() for _ in range(4)] == [100, 100, 100, 101]


def test_how_far_the_machine_is_behind_is_said() -> None:
    clock = LedgerClock(lambda: 100)
    clock.not_before(350)
    assert clock.behind_ms() == 250
    assert clock.now_ms() == 350


async def test_a_restart_does_not_bring_an_earlier_time(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(5000))
    store.close()
    again = opened(tmp_path, wall=lambda: NOW - 86_400_000)
    assert again.clock.now_ms() == NOW + 5000
    again.close()


def test_without_a_machine_clock_given_the_real_one_is_used() -> None:
    assert LedgerClock().now_ms() > 1_700_000_000_000

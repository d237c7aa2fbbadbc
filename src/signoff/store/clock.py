"""The time that receipts carry: it never goes back, also not across restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wall_ms() -> int:
    """What the machine's clock says: milliseconds since the epoch (UTC)."""
    return time.time_ns() // 1_000_000


class LedgerClock:
    """The wall clock, held still while it is behind the last time that was told or written.

    A machine whose clock was set back therefore lengthens nothing: a sign-off that had
    expired stays expired.
    """

    def __init__(self, wall: Callable[[], int] = wall_ms, last_ms: int = 0) -> None:
        self._wall, self._last_ms = wall, last_ms
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Milliseconds since the epoch (UTC), never less than before."""
        with self._lock:
            self._last_ms = max(self._last_ms, self._wall())
            return self._last_ms

    def not_before(self, time_ms: int) -> None:
        """Never again tell a time before this one (the last receipt's)."""
        with self._lock:
            self._last_ms = max(self._last_ms, time_ms)

    def behind_ms(self) -> int:
        """How far the machine's clock is behind what was told; 0 when it is not."""
        with self._lock:
            return max(0, self._last_ms - self._wall())

"""Whether the files still say what is sealed: looked at every second, and recorded.

The daemon goes on with what is sealed, whatever it sees here; it tells people, and leaves
one receipt for each state the files are in.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from signoff.config import drift, stamp
from signoff.house import House
from signoff.model.action import Principal
from signoff.model.errors import SignoffError
from signoff.model.ports import SetSwitch
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import EMPTY, frozen

WATCH_SECONDS = 1.0
SWITCH = "differs/configuration"
"""Remembers which state of the files was recorded last, also across a restart."""


class Watching:
    """Watches the files of one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stamp: tuple[object, ...] | None = None
        self._trouble = ""

    async def keep(self) -> None:
        """Look every second until cancelled. Trouble is told once, and tried again."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Compare when a file was touched since the last look; a stat costs microseconds."""
        state = self._house.drift.standing
        if state is None:
            return
        now = await asyncio.to_thread(stamp, state.texts)
        if now == self._stamp:
            return
        seen = await asyncio.to_thread(drift, state.texts)
        self._house.drift.seen = seen
        try:
            await self._record(seen.digest, seen.lines)
        except SignoffError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                _tell(self._trouble)
            return
        self._stamp, self._trouble = now, ""

    async def _record(self, digest: str, lines: tuple[str, ...]) -> None:
        noted = (await self._house.store.switches()).get(SWITCH, EMPTY).get("digest", "")
        if noted == digest:
            return
        for line in lines:
            _tell(f"{line}; what is sealed goes on; next: signoff apply")
        if not lines:
            _tell("the files say again what is sealed")
        receipt = Receipt(
            mark=Mark.CONTROL,
            time_ms=self._house.clock.now_ms(),
            action_id="",
            principal=Principal("", "", ""),
            gate="control",
            level=self._house.level,
            detail=frozen(act="files-differ" if lines else "files-agree", files=lines),
        )
        content = frozen(digest=digest) if lines else EMPTY
        await self._house.store.append(receipt, SetSwitch(SWITCH, content))


def _tell(line: str) -> None:
    # Whether anybody hears it decides nothing.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"signoff: {line}\n")
        sys.stderr.flush()

"""The ledger's receipts for commands that read all of it: from the file, else from the daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from signoff.model.errors import LedgerUnavailable

PAGE = 5_000

Receipts = Iterator[tuple[int, dict[str, object]]]


@dataclass(frozen=True)
class Ledger:
    """Receipts as index and members, in order; `size` and `checkpoint` are of one moment.
    The checkpoint is empty when the daemon had to be asked: it does not hand one out."""

    size: int
    checkpoint: str
    receipts: Receipts


@contextmanager
def whole_ledger(db: str = "", start: int = 0) -> Iterator[Ledger]:
    """The ledger from an index on, as far as it goes now. Reads the file `db`, or that of the
    settings; where this user may not read it, the daemon is asked. Raises `LedgerUnavailable`
    or `DaemonUnreachable`."""
    from signoff.faces.cli.offline import ledger_file
    from signoff.faces.cli.parts import control
    from signoff.store.reading import StateFile

    try:
        state = StateFile(ledger_file(db))
    except (LedgerUnavailable, PermissionError):
        if db:
            raise
        page = control().log(0, 1)
        size = page.get("size")
        yield Ledger(size if isinstance(size, int) else 0, "", _asked(start, size))
        return
    with state:
        size, _, note = state.frontier()
        yield Ledger(size, note, _read(state.receipts(start, max(0, size - start))))


def _read(rows: Iterator[tuple[int, bytes]]) -> Receipts:
    for index, body in rows:
        value = json.loads(body)
        yield index, value if isinstance(value, dict) else {}


def _asked(start: int, size: object) -> Receipts:
    from signoff.faces.cli.parts import control

    end = size if isinstance(size, int) else 0
    client = control()
    while start < end:
        page = client.log(start, min(PAGE, end - start)).get("receipts")
        rows = [row for row in page if isinstance(row, dict)] if isinstance(page, list) else []
        if not rows:
            return
        for row in rows:
            index = row.pop("index", None)
            if isinstance(index, int):
                yield index, row
        start += len(rows)

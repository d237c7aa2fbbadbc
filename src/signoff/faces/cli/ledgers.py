"""The ledger's receipts for commands that read all of it: from the file, else from the daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from signoff.model.errors import DaemonUnreachable, LedgerUnavailable
from signoff.model.values import canonical

PAGE = 5_000

Receipts = Iterator[tuple[int, bytes]]


@dataclass(frozen=True)
class Ledger:
    """Receipts as index and canonical bytes, in order, with the newest checkpoint they are
    under: the ledger's name, its size, and its root (hex; name and root are empty when nothing
    was ever written)."""

    size: int
    receipts: Receipts
    origin: str = ""
    root: str = ""


@contextmanager
def whole_ledger(db: str = "", start: int = 0) -> Iterator[Ledger]:
    """The ledger from an index on, as far as it goes now. Reads the file `db`, or that of the
    settings; where this user may not read it, the daemon is asked. Raises `LedgerUnavailable`
    or `DaemonUnreachable`."""
    from signoff.faces.cli.offline import ledger_file
    from signoff.faces.cli.parts import control, settings
    from signoff.ledger.checkpoint import parse_checkpoint
    from signoff.store.reading import StateFile

    try:
        state = StateFile(ledger_file(db))
    except (LedgerUnavailable, PermissionError) as error:
        if db:
            raise
        try:
            known = control().status().get("ledger")
        except DaemonUnreachable:
            raise error from None
        head = known if isinstance(known, dict) else {}
        size, root = head.get("size"), str(head.get("root", ""))
        end = size if isinstance(size, int) else 0
        yield Ledger(end, _asked(start, end), settings().ledger.origin, root)
        return
    with state:
        size, _, note = state.frontier()
        rows = state.receipts(start, max(0, size - start))
        if not note:
            yield Ledger(size, rows)
            return
        checkpoint, _ = parse_checkpoint(note)
        yield Ledger(size, rows, checkpoint.origin, checkpoint.root.hex())


def members(receipts: Receipts) -> Iterator[tuple[int, dict[str, object]]]:
    """The receipts as plain data; bytes and times stay as they are tagged."""
    for index, body in receipts:
        value = json.loads(body)
        yield index, value if isinstance(value, dict) else {}


def _asked(start: int, end: int) -> Receipts:
    from signoff.faces.cli.parts import control

    client = control()
    while start < end:
        page = client.log(start, min(PAGE, end - start)).get("receipts")
        rows = [row for row in page if isinstance(row, dict)] if isinstance(page, list) else []
        if not rows:
            return
        for row in rows:
            index = row.pop("index", None)
            if isinstance(index, int):
                # The daemon hands out members; their canonical bytes are those it hashed.
                yield index, canonical(row)
        start += len(rows)

"""The sealed configuration in the state: written with its receipt, read against the ledger.

Three things must agree before a configuration is in force: its row opens under its own
receipt's index and digest, that receipt stands in the ledger and names the digest, and no
later receipt says that another was sealed. The seal beside the settings (`config/seal.py`)
is the fourth, and is compared where the daemon starts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from signoff.model.errors import ProofInvalid, StateConflict
from signoff.model.ports import SealConfiguration
from signoff.store import records
from signoff.store.contracts import Moment, SealedConfiguration, Sealer
from signoff.store.reading import State

_RESTORE = "restore the state directory (docs/how-to/change.md)"


def seal_configuration(
    change: SealConfiguration, sealer: Sealer
) -> Callable[[sqlite3.Connection, Moment], None]:
    """What writes the row of a configuration; refused when another one is in force than
    the change was made for."""

    def write(db: sqlite3.Connection, moment: Moment) -> None:
        query = "SELECT digest FROM configurations ORDER BY at DESC LIMIT 1"
        (found,) = db.execute(query).fetchone() or ("",)
        if found != change.before:
            raise StateConflict(
                "another configuration is in force by now",
                f"`{found[:12]}` instead of `{change.before[:12]}`",
                "look at the difference again: signoff apply",
            )
        at = moment.at
        sealed = records.configuration_sealed(at, change.digest, change.content, sealer)
        db.execute("INSERT INTO configurations VALUES (?,?,?)", (at, change.digest, sealed))

    return write


def configuration_in_force(state: State) -> SealedConfiguration | None:
    """The configuration in force, None when the ledger knows of none.

    Raises `ProofInvalid` when the row is gone, is older than the newest sealing in the
    ledger, or is not what its receipt names; `CaptureFailed` when it does not open.
    """
    rows, newest = state.configurations(), state.newest_sealing()
    if newest is None:
        if rows:
            raise _altered("the ledger knows of no sealing")
        return None
    if not rows:
        raise _altered("the sealed configuration is gone")
    (at, digest), (sealed_at, body) = rows[0], newest
    if at != sealed_at:
        raise _altered(f"the ledger sealed one at receipt {sealed_at}, the newest row is of {at}")
    receipt = json.loads(body)
    detail = receipt.get("detail", {})
    if receipt.get("mark") != "sealed" or detail.get("configuration") != digest:
        raise _altered(f"receipt {at} names another configuration")
    content = state.configuration_content(at, digest)
    how = str(detail.get("how", ""))
    return SealedConfiguration(at, int(receipt["time_ms"]), digest, how, content)


def _altered(why: str) -> ProofInvalid:
    return ProofInvalid("the state does not hold the configuration that was sealed", why, _RESTORE)

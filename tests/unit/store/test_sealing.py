"""The sealed configuration in the state: in one transaction, against the one before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from durable import opened, receipt
from signoff.model.errors import ProofInvalid, SignoffError, StateConflict
from signoff.model.ports import SealConfiguration
from signoff.model.receipt import Mark
from signoff.model.values import frozen, thaw
from signoff.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A fresh one."""
    made = opened(tmp_path)
    yield made
    made.close()


def seal(store: SqliteStore, digest: str, before: str, mark: Mark = Mark.SEALED) -> int:
    """Seal the configuration that is called by its digest; the receipt's index."""
    change = SealConfiguration(frozen(settings=f"secret of {digest}"), digest, before)
    told = receipt(1, mark, configuration=digest, how="signed")
    return store.append_now(told, change).index


def spoil(store: SqliteStore, statement: str) -> None:
    """What somebody who can write the state file does to it."""
    with closing(sqlite3.connect(store.path, timeout=10)) as db, db:
        db.execute(statement)


def test_the_newest_is_in_force_also_after_a_restart(tmp_path: Path, store: SqliteStore) -> None:
    assert store.configuration() is None
    seal(store, "aa", "")
    at = seal(store, "bb", "aa")
    store.close()
    again = opened(tmp_path)
    found = again.configuration()
    again.close()
    assert found is not None
    assert (found.at, found.digest, found.how) == (at, "bb", "signed")
    assert thaw(found.content) == {"settings": "secret of bb"}


def test_of_two_changes_of_the_same_configuration_one_is_refused_whole(store: SqliteStore) -> None:
    seal(store, "aa", "")
    seal(store, "bb", "aa")
    size = store.head()[0]
    for before in ("aa", "", "cc"):
        with pytest.raises(StateConflict, match="another configuration"):
            seal(store, "dd", before)
    assert store.head()[0] == size
    found = store.configuration()
    assert found is not None
    assert found.digest == "bb"


def test_no_text_of_a_configuration_lies_open_in_the_state(store: SqliteStore) -> None:
    seal(store, "aa", "")
    store.close()
    assert b"secret of aa" not in store.path.read_bytes()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM configurations",
        "DELETE FROM configurations WHERE digest = 'bb'",
        "UPDATE configurations SET digest = 'aa' WHERE digest = 'bb'",
        "UPDATE configurations SET sealed = (SELECT sealed FROM configurations WHERE digest = 'aa')"
        " WHERE digest = 'bb'",
        "UPDATE configurations SET at = at + 100 WHERE digest = 'aa'",
        "INSERT INTO configurations SELECT at + 100, digest, sealed FROM configurations"
        " WHERE digest = 'aa'",
    ],
)
def test_a_row_that_is_not_what_the_ledger_sealed_is_not_in_force(
    store: SqliteStore, statement: str
) -> None:
    seal(store, "aa", "")
    seal(store, "bb", "aa")
    spoil(store, statement)
    with pytest.raises(SignoffError):
        store.configuration()


def test_a_row_without_a_receipt_that_seals_is_not_in_force(store: SqliteStore) -> None:
    seal(store, "aa", "", Mark.CONTROL)
    with pytest.raises(ProofInvalid, match="no sealing"):
        store.configuration()

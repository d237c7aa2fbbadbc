"""The ledger as a plain file, and both sources read alike."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from durable import SIGNER, opened, receipt
from signoff.ledger.log import ExportedLedger, export, leaves, prove
from signoff.ledger.verify import verify_ledger, verify_receipt
from signoff.model.errors import LedgerUnavailable, ProofInvalid
from signoff.store.reading import StateFile


async def _exported(directory: Path, count: int = 25) -> Path:
    store = opened(directory)
    await asyncio.gather(*(store.append(receipt(n, text="a\nb\u2028c")) for n in range(count)))
    with StateFile(store.path) as source:
        assert export(source, directory / "ledger.jsonl") == count
    store.close()
    return directory / "ledger.jsonl"


async def test_an_exported_file_verifies_as_the_state_file_does(tmp_path: Path) -> None:
    path = await _exported(tmp_path)
    with ExportedLedger(path) as file, StateFile(tmp_path / "state" / "signoff.db") as state:
        assert list(file.receipts()) == list(state.receipts())
        assert list(file.receipts(20, 3)) == list(state.receipts(20, 3))
        assert file.checkpoint() == state.checkpoint()
        assert verify_ledger(leaves(file), file.checkpoint(), SIGNER.key).head.size == 25


async def test_a_growing_ledger_verifies_as_of_one_moment(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append(receipt(1))
    with StateFile(store.path) as state:
        with state.snapshot():
            note = state.checkpoint()
            await store.append(receipt(2))
            assert verify_ledger(leaves(state), note, SIGNER.key).head.size == 1
        assert verify_ledger(leaves(state), state.checkpoint(), SIGNER.key).head.size == 2
    store.close()


async def test_one_receipt_of_a_file_is_proved(tmp_path: Path) -> None:
    with ExportedLedger(await _exported(tmp_path)) as file:
        body, proof = prove(file, 7)
        assert verify_receipt(body, proof, SIGNER.key)[0] == 7
        with pytest.raises(ProofInvalid, match="no leaf 25"):
            prove(file, 25)


async def test_a_file_that_is_cut_off_is_said(tmp_path: Path) -> None:
    path = await _exported(tmp_path, 3)
    content = path.read_bytes()
    for cut in (0, 10, len(content.partition(b"\n\n")[0])):
        path.write_bytes(content[:cut])
        with ExportedLedger(path) as file, pytest.raises(ProofInvalid, match="cut off"):
            list(leaves(file))
    with pytest.raises(LedgerUnavailable, match="cannot read"):
        ExportedLedger(tmp_path / "none")


async def test_a_gap_in_the_state_file_is_named(tmp_path: Path) -> None:
    await _exported(tmp_path, 10)
    path = tmp_path / "state" / "signoff.db"
    db = sqlite3.connect(path)
    db.executescript("DROP TRIGGER receipts_are_not_removed; DELETE FROM receipts WHERE at = 4")
    db.close()
    with StateFile(path) as state:
        with pytest.raises(ProofInvalid, match="receipt 4 is missing"):
            verify_ledger(leaves(state), state.checkpoint(), SIGNER.key)
        with pytest.raises(ProofInvalid):
            export(state, tmp_path / "again")
    assert not (tmp_path / "again").exists()


async def test_an_export_replaces_a_file_only_when_it_is_whole(tmp_path: Path) -> None:
    path = await _exported(tmp_path, 3)
    with ExportedLedger(path) as file:
        with pytest.raises(LedgerUnavailable, match="cannot write"):
            export(file, tmp_path / "no" / "such" / "directory")
        export(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_an_export_takes_the_place_of_no_directory_and_no_device(tmp_path: Path) -> None:
    opened(tmp_path).close()
    taken = tmp_path / "directory"
    taken.mkdir()
    with (
        StateFile(tmp_path / "state" / "signoff.db") as state,
        pytest.raises(LedgerUnavailable) as found,
    ):
        export(state, taken)
    assert found.value.why == "it is there and no file"
    assert taken.is_dir()

"""The specifications say what the code does."""

from __future__ import annotations

from pathlib import Path

from durable import receipt
from signoff.ledger import log, verify
from signoff.ledger.checkpoint import MOST_BYTES
from signoff.model.receipt import SCHEMA, Mark
from signoff.store.opening import RECHECKED
from signoff.store.writer import GROUP_MOST

SPEC = Path(__file__).resolve().parents[3] / "docs" / "spec"


def test_every_mark_and_member_of_a_receipt_is_specified() -> None:
    text = (SPEC / "receipt.md").read_text()
    assert SCHEMA in text
    for mark in Mark:
        assert f"`{mark.value}`" in text, mark
    for member in receipt().body():
        assert f"`{member}`" in text, member


def test_the_limits_of_the_ledger_are_those_of_the_code() -> None:
    text = (SPEC / "ledger.md").read_text()
    for limit in (f"{GROUP_MOST:,}", f"{RECHECKED:,}"):
        assert limit in text
    assert f"{log.LEAF_MOST_BYTES // 1024 // 1024} MiB" in text
    assert f"{MOST_BYTES // 1024} KiB" in text


def test_the_argument_of_verify_has_every_step_it_announces() -> None:
    source = Path(verify.__file__).read_text()
    for step in ("(0)", "(1)", "(2)", "(3)", "(4)", "(5)"):
        assert source.count(step) >= 2, step

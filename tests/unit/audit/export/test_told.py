"""Reading a receipt for export never fails, and adds nothing the ledger does not hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.audit.export.ocsf import event
from signoff.audit.export.otel import logs_data
from signoff.audit.export.told import told
from signoff.model.decision import Ruling
from signoff.model.effect import Verb
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import canonical

from .rows import STANDING, action_receipt, every_kind, read
from .test_ocsf import label

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["mark", "detail", "human", "verb"]), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = ("mark", "time_ms", "principal", "action", "decision", "effects", "unknown", "detail")


@given(st.dictionaries(st.sampled_from(MEMBERS), plain))
@settings(max_examples=200, deadline=None)
def test_any_object_at_all_is_told(receipt: dict[str, object]) -> None:
    row = told(3, receipt, STANDING)
    assert json.dumps(event(row, STANDING, "1"), ensure_ascii=False).encode()
    assert json.dumps(logs_data([row], STANDING, "1", 0), ensure_ascii=False).encode()


def test_parameters_are_told_by_their_digest_alone() -> None:
    receipt = action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.HOLD)
    row = read(receipt)
    told_of = json.dumps([event(row, STANDING, "1"), logs_data([row], STANDING, "1", 0)])
    assert receipt.action is not None
    assert receipt.action.digest in told_of
    assert '"n"' not in told_of


def test_a_mark_of_a_later_version_is_told_as_an_act() -> None:
    assert read({"mark": "teleported"}).mark is Mark.CONTROL


@pytest.mark.parametrize("receipt", every_kind(), ids=label)
def test_a_receipt_that_was_read_as_json_has_its_canonical_bytes_again(receipt: Receipt) -> None:
    assert canonical(json.loads(receipt.leaf())) == receipt.leaf()

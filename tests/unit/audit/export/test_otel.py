"""Every receipt is a log record that OpenTelemetry's own message definitions can read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import Parse, ParseError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, SeverityNumber

from signoff.audit.export.otel import logs_data
from signoff.model.action import Principal
from signoff.model.decision import Obligation, Ruling
from signoff.model.effect import Verb
from signoff.model.receipt import Mark, Receipt

from .rows import STANDING, TABLE, WHEN, action_receipt, every_kind, read
from .test_ocsf import label

NOW = WHEN + 5_000


def parsed(*receipts: Receipt) -> LogsData:
    rows = [read(receipt, 7 + n) for n, receipt in enumerate(receipts)]
    text = json.dumps(logs_data(rows, STANDING, "1.2.3", NOW))
    # Unknown members are errors here: what is misspelt does not pass.
    found: LogsData = Parse(text, LogsData(), ignore_unknown_fields=False)
    Parse(text, ExportLogsServiceRequest(), ignore_unknown_fields=False)
    return found


def record(receipt: Receipt) -> LogRecord:
    found: LogRecord = parsed(receipt).resource_logs[0].scope_logs[0].log_records[0]
    return found


def attributes(of: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in of.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


@pytest.mark.parametrize("receipt", every_kind(), ids=label)
def test_every_kind_of_receipt_is_read_by_the_published_messages(receipt: Receipt) -> None:
    found = record(receipt)
    assert found.time_unix_nano == WHEN * 1_000_000
    assert found.observed_time_unix_nano == NOW * 1_000_000
    assert found.severity_number != SeverityNumber.SEVERITY_NUMBER_UNSPECIFIED
    assert found.event_name == f"signoff.{receipt.mark.value}"
    assert attributes(found)["signoff.receipt"] == 7


def test_the_resource_says_which_signoff_and_which_ledger() -> None:
    (found,) = parsed(action_receipt(Mark.SUCCEEDED)).resource_logs
    assert attributes(found.resource) == {
        "service.name": "signoff",
        "service.version": "1.2.3",
        "service.instance.id": "signoff.example/ledger",
    }
    assert found.scope_logs[0].scope.name == "signoff.ledger"


def test_a_record_has_who_what_and_where_its_receipt_stands() -> None:
    found = attributes(record(action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.HOLD)))
    assert found["log.record.uid"] == "signoff.example/ledger/7"
    assert (found["signoff.checkpoint.size"], found["signoff.checkpoint.root"]) == (40, "ab" * 32)
    assert (found["gen_ai.agent.name"], found["session.id"], found["user.name"]) == (
        "kit",
        "R-1",
        "olga",
    )
    assert found["signoff.effects"] == [f"delete {TABLE} [production] none"]
    assert (found["signoff.ruling"], found["signoff.quorum"]) == ("hold", 2)
    assert (found["cloud.account.id"], found["cloud.region"]) == ("111122223333", "eu-west-1")


def test_a_boundary_attempt_is_an_error_and_a_read_is_not() -> None:
    boundary = record(
        action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.DENY, owed=(Obligation.NOTIFY,))
    )
    assert boundary.severity_number == SeverityNumber.SEVERITY_NUMBER_ERROR
    assert attributes(boundary)["signoff.boundary"] is True
    read_one = record(action_receipt(Mark.READ, (Verb.READ,), Ruling.ALLOW))
    assert (read_one.severity_number, read_one.severity_text) == (
        SeverityNumber.SEVERITY_NUMBER_INFO,
        "INFO",
    )


def test_records_keep_their_order() -> None:
    found = parsed(*[action_receipt(Mark.SUCCEEDED)] * 3).resource_logs[0].scope_logs[0]
    indexes = [attributes(r)["signoff.receipt"] for r in found.log_records]
    assert indexes == [7, 8, 9]


def test_the_published_messages_would_find_what_is_misspelt() -> None:
    whole = logs_data([read(action_receipt(Mark.SUCCEEDED))], STANDING, "1", NOW)
    broken = json.dumps(whole).replace('"severityNumber"', '"severitynumber"')
    with pytest.raises(ParseError):
        Parse(broken, LogsData(), ignore_unknown_fields=False)


texts = st.text(max_size=20)


@given(st.sampled_from(every_kind()), texts, texts, texts)
@settings(max_examples=60, deadline=None)
def test_hostile_names_make_readable_records_too(
    receipt: Receipt, agent: str, run: str, operator: str
) -> None:
    who = Principal(agent + "\ud800", run, operator)
    found = record(Receipt(**{**vars(receipt), "principal": who, "action_id": agent}))
    assert attributes(found)["signoff.mark"] == receipt.mark.value

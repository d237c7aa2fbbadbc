"""Every receipt is a valid OCSF event, by the schema its publisher ships."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from signoff.audit.export.ocsf import VERSION, event
from signoff.audit.export.told import DETAIL_MOST
from signoff.model.action import Principal
from signoff.model.decision import Obligation, Ruling
from signoff.model.effect import Verb
from signoff.model.receipt import Mark, Receipt

from .rows import STANDING, TABLE, WHEN, action_receipt, control, every_kind, read


@cache
def schemas() -> Any:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))


@cache
def validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    """The published schema of a class with its profiles."""
    name = schemas().lookup_class_name_from_uid(class_uid)
    schema = schemas().get_class_schema(name, list(profiles))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(made: dict[str, Any]) -> list[str]:
    check = validator(made["class_uid"], tuple(made["metadata"]["profiles"]))
    return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in check.iter_errors(made)]


def made(receipt: Receipt) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(event(read(receipt), STANDING, "1.2.3")))
    return value


def label(receipt: Receipt) -> str:
    ruling = receipt.decision.ruling.value if receipt.decision else ""
    return f"{receipt.mark.value}-{ruling}-{receipt.detail.get('act', '')}"


@pytest.mark.parametrize("receipt", every_kind(), ids=label)
def test_every_kind_of_receipt_is_valid_by_the_published_schema(receipt: Receipt) -> None:
    assert problems(made(receipt)) == []


def test_the_schema_would_find_what_is_wrong() -> None:
    whole = made(action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.HOLD))
    for name in ("api", "actor", "src_endpoint", "time", "severity_id", "type_uid"):
        broken = copy.deepcopy(whole)
        del broken[name]
        assert problems(broken), name
    for change in ({"activity_id": 77}, {"time": "now"}, {"invented": 1}, {"is_alert": "yes"}):
        assert problems({**whole, **change}), change


def test_a_deletion_that_is_held_says_so_in_the_schemas_own_words() -> None:
    found = made(action_receipt(Mark.DECIDED, (Verb.READ, Verb.DELETE), Ruling.HOLD))
    assert (found["class_uid"], found["activity_id"], found["type_uid"]) == (6003, 4, 600304)
    assert (found["disposition"], found["status"]) == ("Delayed", "held")
    assert found["time"] == WHEN
    assert found["actor"] == {
        "app_name": "kit",
        "session": {"uid": "R-1"},
        "user": {"name": "olga"},
    }
    assert found["resources"][0]["uid"] == TABLE
    assert found["authorizations"][0] == {
        "decision": "hold",
        "policy": {"uid": "two-person", "version": "b" * 64},
    }
    assert found["cloud"]["account"]["uid"] == "111122223333"
    assert found["metadata"]["correlation_uid"] == "A-1"


def test_an_event_says_where_its_receipt_stands_and_has_the_same_name_for_good() -> None:
    found = made(action_receipt(Mark.SUCCEEDED))
    assert found["metadata"]["uid"] == "signoff.example/ledger/7"
    assert found["metadata"]["sequence"] == 7
    assert found["metadata"]["version"] == VERSION
    own = found["unmapped"]["signoff"]
    assert own["receipt"] == 7
    assert own["checkpoint"] == {"origin": STANDING.origin, "size": 40, "root": "ab" * 32}


def test_an_attempt_at_a_boundary_is_an_alert_and_a_denial_is_none() -> None:
    boundary = made(
        action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.DENY, owed=(Obligation.NOTIFY,))
    )
    assert (boundary["is_alert"], boundary["severity"]) == (True, "High")
    denied = made(action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.DENY))
    assert (denied["is_alert"], denied["severity"]) == (False, "Medium")
    assert made(action_receipt(Mark.IN_DOUBT))["is_alert"] is True


def test_what_was_only_observed_is_not_told_as_blocked() -> None:
    found = made(action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.DENY, observed=True))
    assert (found["action"], found["disposition"], found["severity"]) == (
        "Observed",
        "Detected",
        "High",
    )
    assert found["status"] != "Failure"


def test_a_person_who_freezes_is_an_entity_management_by_that_person() -> None:
    found = made(control("freeze", switch="freeze/production"))
    assert (found["class_uid"], found["activity_name"]) == (3004, "Enable")
    assert found["entity"]["name"] == "freeze/production"
    assert found["actor"] == {"user": {"name": "ana"}}


def test_a_long_detail_is_cut_and_says_so() -> None:
    found = made(control("apply", text="x" * 100_000))
    detail = found["unmapped"]["signoff"]["detail"]
    assert len(detail) < DETAIL_MOST + 20
    assert detail.endswith("(cut)")


texts = st.text(max_size=20)


@given(st.sampled_from(every_kind()), texts, texts, texts)
@settings(max_examples=60, deadline=None)
def test_hostile_names_make_valid_events_too(
    receipt: Receipt, agent: str, run: str, operator: str
) -> None:
    who = Principal(agent + "\ud800", run, operator)
    hostile = Receipt(**{**vars(receipt), "principal": who, "action_id": agent})
    found = made(hostile)
    assert problems(found) == []
    assert json.dumps(found, ensure_ascii=False).encode()

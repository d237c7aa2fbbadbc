"""What a new template does to each resource."""

from __future__ import annotations

import pytest

from signoff.demo.replacement import diff, modified, parameters_of, resolved

QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "DelaySeconds": 1}}


def changed(**properties: object) -> dict[str, object]:
    return {"Type": QUEUE["Type"], "Properties": {**QUEUE["Properties"], **properties}}


def test_an_equal_resource_is_no_change() -> None:
    assert modified("Q", QUEUE, changed()) is None
    assert diff({"Q": QUEUE}, {"Q": changed()}) == ()


@pytest.mark.parametrize(
    ("properties", "replacement"),
    [({"DelaySeconds": 2}, "False"), ({"QueueName": "r"}, "True"), ({"FifoQueue": True}, "True")],
)
def test_the_changed_property_decides_whether_the_resource_is_replaced(
    properties: dict[str, object], replacement: str
) -> None:
    found = modified("Q", QUEUE, changed(**properties))
    assert found is not None
    assert found.replacement == replacement


def test_a_property_taken_away_counts_as_changed() -> None:
    found = modified("Q", QUEUE, {"Type": QUEUE["Type"], "Properties": {"DelaySeconds": 1}})
    assert found is not None
    assert (found.replacement, found.properties) == ("True", (("QueueName", "Always"),))


def test_a_policy_attribute_alone_touches_no_property() -> None:
    found = modified("Q", QUEUE, {**QUEUE, "DeletionPolicy": "Retain"})
    assert found is not None
    assert (found.replacement, found.properties, found.scope) == ("False", (), ("DeletionPolicy",))


def test_whoever_names_a_replaced_resource_may_be_replaced_too() -> None:
    table = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "t"}}
    other = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": {"Ref": "T"}, "Value": "1"}}
    reader = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "n", "Value": {"Ref": "T"}}}
    old = {"T": table, "O": other, "R": reader}
    found = {
        one.logical_id: one.replacement
        for one in diff(old, {**old, "T": {**table, "Properties": {"TableName": "u"}}})
    }
    assert found == {"T": "True", "O": "Conditional", "R": "False"}


def test_parameters_are_filled_in_before_templates_are_compared() -> None:
    template = {"Parameters": {"P": {"Default": "a"}, "Q": {}}}
    assert parameters_of(template, {"Q": "b"}) == {"P": "a", "Q": "b"}
    value = {"x": [{"Ref": "P"}, {"Fn::Sub": "${P}-${Q}"}, {"Ref": "Resource"}]}
    assert resolved(value, {"P": "a", "Q": "b"}) == {"x": ["a", "a-b", {"Ref": "Resource"}]}
    assert resolved({"Fn::Sub": "${P}${R.Arn}"}, {"P": "a"}) == {"Fn::Sub": "a${R.Arn}"}

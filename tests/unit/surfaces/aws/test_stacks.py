"""Stacks: what deleting, changing and recreating them would do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signoff.model.effect import Kind, Verb
from signoff.surfaces.aws.templates import compare, read_template, with_policies
from unit.surfaces.aws.answering import act, told, understand

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Size": {"Type": "String"}},
    "Conditions": {"Big": {"Fn::Equals": [{"Ref": "Size"}, "big"]}},
    "Resources": {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {"TableName": "t", "KeySchema": [], "BillingMode": {"Ref": "Size"}},
        },
        "Jobs": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "jobs"}},
        "Odd": {"Type": "Vendor::Odd::Thing", "Properties": {"A": 1}},
        "Maybe": {"Type": "AWS::SSM::Parameter", "Condition": "Big", "Properties": {}},
    },
}
SUMMARIES = [
    {
        "LogicalResourceId": "Table",
        "ResourceType": "AWS::DynamoDB::Table",
        "PhysicalResourceId": "t",
    },
    {"LogicalResourceId": "Jobs", "ResourceType": "AWS::SQS::Queue", "PhysicalResourceId": "jobs"},
    {"LogicalResourceId": "Odd", "ResourceType": "Vendor::Odd::Thing", "PhysicalResourceId": "o"},
]
STACK = "arn:aws:cloudformation:eu-west-1:111122223333:stack/s/1"


def world(**more: Any) -> dict[str, Any]:
    described = {
        "StackId": STACK,
        "StackName": "s",
        "Parameters": [{"ParameterKey": "Size", "ParameterValue": "small"}],
    }
    return {
        "cloudformation:DescribeStacks": {"Stacks": [described]},
        "cloudformation:ListStackResources": {"StackResourceSummaries": SUMMARIES},
        "cloudformation:GetTemplate": {"TemplateBody": json.dumps(TEMPLATE)},
        **more,
    }


def changed(how: Any) -> dict[str, Any]:
    """The template with a change made to a copy."""
    template: dict[str, Any] = json.loads(json.dumps(TEMPLATE))
    how(template["Resources"])
    return template


def update(template: dict[str, Any], **given: Any) -> list[tuple[str, str, str]]:
    parameters = [{"ParameterKey": "Size", "UsePreviousValue": True}]
    request = {"TemplateBody": json.dumps(template), "Parameters": parameters, **given}
    return told(understand(act("cloudformation:UpdateStack", StackName="s", **request), world()))


def test_a_deleted_stack_keeps_what_is_stateful_and_what_nobody_knows() -> None:
    seen = understand(act("cloudformation:DeleteStack", StackName="s"), world())
    assert told(seen) == [
        ("delete", "cloudformation:stack", "bounded"),
        ("update", "dynamodb:table", "bounded"),
        ("delete", "sqs:queue", "none"),
        ("update", "Vendor::Odd::Thing", "degraded"),
    ]
    first, second = seen.plan
    assert (first.action.name, first.original, first.until) == (
        "cloudformation:UpdateStack",
        False,
        "stack settled",
    )
    assert second.action == seen.action
    body = json.loads(str(first.action.parameters["TemplateBody"]))
    kept = {k: v.get("DeletionPolicy") for k, v in body["Resources"].items()}
    assert kept == {"Table": "Retain", "Jobs": None, "Odd": "Retain", "Maybe": None}
    assert "create-change-set" in seen.safer
    assert seen.effects[0].resource.kind is Kind.CONTAINER


@pytest.mark.parametrize(
    "without", ["cloudformation:GetTemplate", "cloudformation:ListStackResources"]
)
def test_a_stack_that_cannot_be_rewritten_does_not_come_back(without: str) -> None:
    seen = understand(
        act("cloudformation:DeleteStack", StackName="s"), world(**{without: "AccessDenied"})
    )
    assert len(seen.plan) == 1
    assert seen.reversibility.value == "none"
    tables = [e for e in seen.effects if e.resource.type == "dynamodb:table"]
    assert all(e.verb is Verb.DELETE for e in tables)


def test_a_template_too_large_to_send_is_not_rewritten() -> None:
    large = {**TEMPLATE, "Metadata": {"x": "y" * 60_000}}
    body = {"cloudformation:GetTemplate": {"TemplateBody": json.dumps(large)}}
    seen = understand(act("cloudformation:DeleteStack", StackName="s"), world(**body))
    assert len(seen.plan) == 1
    assert seen.reversibility.value == "none"


def test_an_update_names_what_it_removes_adds_replaces_and_changes() -> None:
    removed = update(changed(lambda r: r.pop("Table")))
    assert ("delete", "dynamodb:table", "none") in removed
    renamed = update(changed(lambda r: r["Table"]["Properties"].update(TableName="u")))
    assert ("replace", "dynamodb:table", "none") in renamed
    tagged = update(changed(lambda r: r["Table"]["Properties"].update(Tags=[])))
    assert tagged[1:] == [("update", "dynamodb:table", "bounded")]
    role = {"Type": "AWS::IAM::Role", "Properties": {}}
    assert ("permit", "iam:role", "bounded") in update(changed(lambda r: r.update(R=role)))


def test_a_changed_property_of_an_unknown_type_counts_as_a_replacement() -> None:
    found = update(changed(lambda r: r["Odd"]["Properties"].update(A=2)))
    assert ("replace", "Vendor::Odd::Thing", "none") in found


def test_a_changed_parameter_reaches_properties_and_conditions() -> None:
    given = [{"ParameterKey": "Size", "ParameterValue": "big"}]
    found = update(TEMPLATE, Parameters=given)
    assert ("update", "dynamodb:table", "bounded") in found
    assert [v for v, t, _ in found if t == "ssm:parameter"] == ["replace"]


def test_an_update_by_a_template_nobody_can_read_is_unknown() -> None:
    for given in ({"TemplateURL": "https://example.com/t"}, {"TemplateBody": "- not\n- one"}):
        request = act("cloudformation:UpdateStack", StackName="s", **given)
        assert understand(request, world()).effects[0].verb is Verb.UNKNOWN
    macro = {**TEMPLATE, "Transform": "Some::Macro"}
    assert update(macro)[0][0] == "unknown"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Action": "Modify", "Replacement": "False"}, ("update", "bounded")),
        ({"Action": "Modify", "Replacement": "True"}, ("replace", "none")),
        ({"Action": "Modify", "Replacement": "Conditional"}, ("replace", "none")),
        ({"Action": "Modify"}, ("replace", "none")),
        ({"Action": "Remove"}, ("delete", "none")),
        ({"Action": "Remove", "PolicyAction": "Retain"}, ("update", "bounded")),
        ({"Action": "Add"}, ("create", "bounded")),
        ({"Action": "Import"}, ("update", "bounded")),
        ({"Action": "Dynamic"}, ("unknown", "none")),
    ],
)
def test_a_change_set_is_judged_by_each_of_its_changes(
    change: dict[str, str], expected: tuple[str, str]
) -> None:
    one = {"ResourceType": "AWS::DynamoDB::Table", "LogicalResourceId": "Table", **change}
    answer = {
        "ChangeSetId": "arn:aws:cloudformation:eu-west-1:111122223333:changeSet/c/9",
        "StackName": "s",
        "Changes": [{"Type": "Resource", "ResourceChange": one}],
    }
    seen = understand(
        act("cloudformation:ExecuteChangeSet", StackName="s", ChangeSetName="c"),
        world(**{"cloudformation:DescribeChangeSet": answer}),
    )
    effect = seen.effects[1]
    assert (effect.verb.value, effect.reversibility.value) == expected
    assert str(seen.plan[0].action.parameters["ChangeSetName"]).endswith("changeSet/c/9")


def plan(template: dict[str, Any], **more: Any) -> list[tuple[str, str, str]]:
    given = {"StackName": "s", "ChangeSetName": "c", "TemplateBody": json.dumps(template), **more}
    return told(understand(act("cloudformation:CreateChangeSet", **given), world()))


def test_a_change_set_nobody_can_read_is_unknown() -> None:
    run = act("cloudformation:ExecuteChangeSet", StackName="s", ChangeSetName="c")
    assert understand(run, world()).unknown


def test_making_a_plan_for_a_running_stack_is_looking() -> None:
    assert plan(TEMPLATE) == [("read", "cloudformation:change-set", "exact")]


def test_making_a_plan_for_a_new_stack_makes_what_holds_it() -> None:
    assert plan(TEMPLATE, ChangeSetType="CREATE")[0][0] == "create"
    assert plan(TEMPLATE, ChangeSetType="IMPORT")[0][0] == "create"


@pytest.mark.parametrize("where", ["top", "nested"])
def test_a_macro_runs_when_the_plan_is_made_and_hides_what_an_update_changes(where: str) -> None:
    if where == "top":
        template = {**TEMPLATE, "Transform": ["Vendor::Macro"]}
    else:
        macro = {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {}}}
        template = changed(lambda r: r["Jobs"]["Properties"].update(macro))
    assert ("execute", "cloudformation:stack", "none") in plan(template)
    assert update(template)[0][0] == "unknown"


def test_a_stack_created_again_under_a_deleted_name_is_called_recreated() -> None:
    gone = {"StackSummaries": [{"StackName": "s", "StackStatus": "DELETE_COMPLETE"}]}
    made = act("cloudformation:CreateStack", StackName="s", TemplateBody=json.dumps(TEMPLATE))
    seen = understand(made, {"cloudformation:ListStacks": gone})
    assert "recreated" in seen.effects[0].because
    assert "recreating is not restoring" in seen.safer


def test_protection_off_is_disarm_with_the_safe_way_named() -> None:
    off = act(
        "cloudformation:UpdateTerminationProtection",
        StackName="s",
        EnableTerminationProtection=False,
    )
    seen = understand(off, world())
    assert told(seen) == [("disarm", "cloudformation:stack", "bounded")]
    assert "execute-change-set" in seen.safer


# --- templates ---------------------------------------------------------------------------

YAML = """
Parameters: {Stage: {Type: String}}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Delete
    Properties:
      TableName: !Sub "${Stage}-table"
      Key: !GetAtt Key.Arn
      Made: 2012-10-17
      List: !Join ["-", [!Ref Stage, x]]
"""


def test_a_yaml_template_with_short_tags_is_read_as_its_long_form() -> None:
    template = read_template(YAML)
    assert template is not None
    assert json.loads(json.dumps(template, default=dict))["Resources"]["Table"]["Properties"] == {
        "TableName": {"Fn::Sub": "${Stage}-table"},
        "Key": {"Fn::GetAtt": ["Key", "Arn"]},
        "Made": "2012-10-17",
        "List": {"Fn::Join": ["-", [{"Ref": "Stage"}, "x"]]},
    }
    kept = with_policies(template, {"Table": "Retain"}, "mark")
    assert kept["Resources"]["Table"]["DeletionPolicy"] == "Retain"  # type: ignore[index, call-overload]  # plain data


@pytest.mark.parametrize(
    "text", ["", "1", "[]", "a: !!python/object:os.system x", "{" * 200, "\x00"]
)
def test_what_is_no_template_is_none(text: str) -> None:
    assert read_template(text) is None


def test_two_equal_templates_change_nothing() -> None:
    template = read_template(json.dumps(TEMPLATE))
    assert template is not None
    assert compare(template, template, frozenset()) == ()

"""A stack is no front door: what a template changes counts as what it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signoff.model.action import Action, Answer, Question
from signoff.model.effect import Effect, Reversibility, Verb
from signoff.model.values import frozen
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.base import Places

SCOPE = {"account": "111122223333", "region": "eu-west-1"}


def understood(name: str, world: dict[str, Any], **parameters: object) -> list[Effect]:
    """The effects of a request in a world of these answers."""
    action = Action("aws", name, frozen(**parameters), SCOPE)
    known: dict[str, Answer] = {}

    def said(question: Question) -> Answer:
        told = world.get(question.name)
        return Answer(unanswered="not part of the test") if told is None else Answer(frozen(**told))

    while new := SURFACE.questions(action, known):
        known.update({q.key: said(q) for q in new})
    return list(SURFACE.effects(action, known, Places()).effects)


def stack(resource: dict[str, Any]) -> dict[str, Any]:
    """A running stack of one resource, `One`."""
    listed = {
        "LogicalResourceId": "One",
        "ResourceType": resource["Type"],
        "PhysicalResourceId": "one",
    }
    return {
        "cloudformation:DescribeStacks": {"Stacks": [{"StackName": "s", "StackId": "arn:s"}]},
        "cloudformation:ListStackResources": {"StackResourceSummaries": [listed]},
        "cloudformation:GetTemplate": {
            "TemplateBody": json.dumps({"Resources": {"One": resource}})
        },
    }


def worst(effects: list[Effect]) -> tuple[Verb, Reversibility]:
    """The gravest verb besides the update of the stack itself, and how it comes back."""
    own = max(effects[1:], key=lambda e: e.verb.severity)
    return own.verb, own.reversibility


def planned(type_: str, *names: str) -> tuple[Verb, Reversibility]:
    """A change set that changes properties in place, executed."""
    details = [{"Target": {"Attribute": "Properties", "Name": name}} for name in names]
    one = {
        "Action": "Modify",
        "Replacement": "False",
        "ResourceType": type_,
        "LogicalResourceId": "One",
        "PhysicalResourceId": "one",
        "Scope": ["Properties"],
        "Details": details,
    }
    change_set = {
        "StackName": "s",
        "ChangeSetId": "arn:c",
        "Changes": [{"Type": "Resource", "ResourceChange": one}],
    }
    world = {**stack({"Type": type_}), "cloudformation:DescribeChangeSet": change_set}
    return worst(
        understood("cloudformation:ExecuteChangeSet", world, StackName="s", ChangeSetName="c")
    )


def updated(type_: str, name: str) -> tuple[Verb, Reversibility]:
    """A template that changes one property of the running stack's resource."""
    old = {"Type": type_, "Properties": {name: "old"}}
    new = {"Type": type_, "Properties": {name: "new"}}
    body = json.dumps({"Resources": {"One": new}})
    return worst(
        understood("cloudformation:UpdateStack", stack(old), StackName="s", TemplateBody=body)
    )


GRAVE = [
    ("AWS::S3::Bucket", "LifecycleConfiguration", Verb.DELETE),
    ("AWS::S3::Bucket", "VersioningConfiguration", Verb.DISARM),
    ("AWS::S3::Bucket", "PublicAccessBlockConfiguration", Verb.PERMIT),
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification", Verb.DELETE),
    ("AWS::DynamoDB::Table", "DeletionProtectionEnabled", Verb.DISARM),
    ("AWS::SQS::Queue", "MessageRetentionPeriod", Verb.DELETE),
    ("AWS::Lambda::Function", "Code", Verb.EXECUTE),
]


@pytest.mark.parametrize(("type_", "name", "verb"), GRAVE)
def test_a_grave_property_is_as_grave_in_a_template_as_by_its_own_call(
    type_: str, name: str, verb: Verb
) -> None:
    assert updated(type_, name)[0] is verb
    assert planned(type_, "Tags", name)[0] is verb


@pytest.mark.parametrize(
    ("type_", "name"),
    [("AWS::RDS::DBInstance", "DeletionProtection"), ("AWS::CloudTrail::Trail", "IsLogging")],
)
def test_a_safeguard_is_not_switched_off_by_a_change_set(type_: str, name: str) -> None:
    assert planned(type_, name) == (Verb.DISARM, Reversibility.NONE)


def test_what_changes_within_a_nested_stack_is_not_an_update_in_place() -> None:
    assert planned("AWS::CloudFormation::Stack")[0] is Verb.UNKNOWN


def test_a_type_nobody_wrote_a_row_for_does_not_come_back_from_a_change_in_place() -> None:
    found = planned("AWS::AutoScaling::AutoScalingGroup", "MaxSize")
    assert found == (Verb.UPDATE, Reversibility.NONE)


@pytest.mark.parametrize(
    ("type_", "verb"),
    [
        ("Custom::Anything", Verb.EXECUTE),
        ("AWS::Scheduler::Schedule", Verb.EXECUTE),
        ("AWS::Events::Rule", Verb.EXECUTE),
        ("AWS::CloudFormation::Stack", Verb.UNKNOWN),
        ("AWS::SNS::TopicPolicy", Verb.PERMIT),
    ],
)
def test_what_a_new_stack_would_run_or_hide_is_no_plain_create(type_: str, verb: Verb) -> None:
    body = json.dumps({"Resources": {"One": {"Type": type_, "Properties": {}}}})
    found = understood("cloudformation:CreateStack", {}, StackName="s", TemplateBody=body)
    assert worst(found)[0] is verb
    if verb is Verb.EXECUTE:
        assert worst(found)[1] is Reversibility.NONE


def test_an_update_that_sets_the_stack_policy_aside_disarms() -> None:
    resource = {"Type": "AWS::SQS::Queue", "Properties": {}}
    found = understood(
        "cloudformation:UpdateStack",
        stack(resource),
        StackName="s",
        TemplateBody=json.dumps({"Resources": {"One": resource}}),
        StackPolicyDuringUpdateBody="{}",
    )
    assert worst(found)[0] is Verb.DISARM


@pytest.mark.parametrize(
    "body",
    [
        '{"Resources": {"One": {"Type": "AWS::SQS::Queue"}, "One": {"Type": "AWS::SQS::Queue"}}}',
        "Resources:\n  One: {Type: 'AWS::SQS::Queue'}\n  One: {Type: 'AWS::SQS::Queue'}\n",
    ],
)
def test_a_template_that_says_a_name_twice_is_not_understood(body: str) -> None:
    world = stack({"Type": "AWS::SQS::Queue"})
    found = understood("cloudformation:UpdateStack", world, StackName="s", TemplateBody=body)
    assert [e.verb for e in found] == [Verb.UNKNOWN]

"""Capture and restore as pure steps: what is asked, what is sent, and its fences."""

from __future__ import annotations

import json
from typing import Any

from signoff.model.action import Action, Answer, Question
from signoff.model.values import frozen
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.aws.fingerprints import fingerprint, sound
from signoff.surfaces.base import ROUNDS_MOST, Captured, Restoration
from unit.surfaces.aws.answering import World, act, answer, understand


def capture(action: Action, world: World) -> tuple[tuple[Question, ...], dict[str, Answer]]:
    found: dict[str, Answer] = {}
    questions: tuple[Question, ...] = ()
    seen = understand(action, world)
    for _ in range(ROUNDS_MOST):
        questions = SURFACE.capture(seen, found)
        new = [q for q in questions if q.key not in found]
        if not new:
            break
        found.update({q.key: answer(world, q) for q in new})
    return questions, found


def restore(action: Action, before: World, after: World) -> Restoration:
    questions, answers = capture(action, before)
    now = {q.key: answer(after, q) for q in questions}
    return SURFACE.restore(action, Captured(questions, answers, now, now))


def item(**more: Any) -> dict[str, Any]:
    return {"Responses": {"t": [{"pk": {"S": "a"}, **more}]}}


def test_an_item_is_put_back_only_if_it_still_is_as_it_was_left() -> None:
    wrote = act("dynamodb:DeleteItem", TableName="t", Key={"pk": {"S": "a"}})
    before = {"dynamodb:BatchGetItem": item(v={"N": "1"})}
    (step,) = restore(wrote, before, {"dynamodb:BatchGetItem": {"Responses": {}}}).steps
    assert step.action.name == "dynamodb:PutItem"
    assert step.action.parameters["ConditionExpression"] == "attribute_not_exists(#k)"
    over = act("dynamodb:UpdateItem", TableName="t", Key={"pk": {"S": "a"}})
    after = {"dynamodb:BatchGetItem": item(w={"N": "2"})}
    (step,) = restore(over, before, after).steps
    assert step.action.parameters["ConditionExpression"] == (
        "attribute_not_exists(#a0) AND #a1 = :v1"
    )


def test_an_item_that_was_not_there_is_deleted_with_a_fence() -> None:
    wrote = act("dynamodb:UpdateItem", TableName="t", Key={"pk": {"S": "a"}})
    none = {"dynamodb:BatchGetItem": {"Responses": {"t": []}}}
    (step,) = restore(wrote, none, {"dynamodb:BatchGetItem": item(v={"N": "1"})}).steps
    (entry,) = step.action.parameters["TransactItems"]  # type: ignore[misc, union-attr]  # plain data
    assert "#a0 = :v0" in str(entry)


def test_nothing_is_sent_when_nothing_was_captured() -> None:
    wrote = act("dynamodb:DeleteItem", TableName="t", Key={"pk": {"S": "a"}})
    back = restore(wrote, {}, {})
    assert back.steps == ()
    assert back.residue
    assert restore(act("ec2:TerminateInstances", InstanceIds=["i"]), {}, {}).steps == ()


def test_a_versioned_object_is_copied_back_from_the_version_it_had() -> None:
    wrote = act("s3:PutObject", Bucket="b", Key="a b/ü")
    head = {"ContentLength": 3, "ETag": '"1"', "VersionId": "v1"}
    before = {"s3:GetBucketVersioning": {"Status": "Enabled"}, "s3:HeadObject": head}
    after = {**before, "s3:HeadObject": {**head, "ETag": '"2"', "VersionId": "v2"}}
    (step,) = restore(wrote, before, after).steps
    assert step.action.name == "s3:CopyObject"
    assert step.action.parameters["CopySource"] == "b/a%20b/%C3%BC?versionId=v1"
    assert step.action.parameters["IfMatch"] == '"2"'


def test_a_deleted_object_is_not_put_over_a_newer_one() -> None:
    gone = act("s3:DeleteObject", Bucket="b", Key="k")
    before = {
        "s3:GetBucketVersioning": {},
        "s3:HeadObject": {"ContentLength": 3, "ETag": '"1"'},
        "s3:GetObject": {"Body": b"abc", "ContentType": "text/plain", "Metadata": {"a": "b"}},
        "s3:GetObjectTagging": {"TagSet": [{"Key": "x", "Value": "1 2"}]},
    }
    (step,) = restore(gone, before, {**before, "s3:HeadObject": "404"}).steps
    assert step.action.parameters["Body"] == b"abc"
    assert step.action.parameters["IfNoneMatch"] == "*"
    assert step.action.parameters["Tagging"] == "x=1+2"


def test_only_the_marker_that_was_put_is_taken_away() -> None:
    gone = act("s3:DeleteObject", Bucket="b", Key="k")

    def versions(*markers: str) -> dict[str, Any]:
        entries = [{"Key": k, "VersionId": v} for k, _, v in (m.partition(":") for m in markers)]
        return {
            "s3:GetBucketVersioning": {"Status": "Enabled"},
            "s3:ListObjectVersions": {"DeleteMarkers": entries},
        }

    back = restore(gone, versions("k:old"), versions("k:old", "k:new", "k2:other"))
    assert [s.action.parameters["VersionId"] for s in back.steps] == ["new"]


def test_a_deleted_stack_is_imported_then_updated_to_its_whole_template() -> None:
    template = {
        "Resources": {
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "DependsOn": "Jobs",
                "Properties": {"TableName": "t", "Note": {"Ref": "Jobs"}},
            },
            "Jobs": {"Type": "AWS::SQS::Queue", "Properties": {}},
        },
        "Outputs": {"Url": {"Value": {"Ref": "Jobs"}}},
    }
    body = json.dumps(template, indent=2)
    described = {
        "StackName": "s",
        "StackId": "arn:x",
        "EnableTerminationProtection": True,
        "Parameters": [
            {"ParameterKey": "A", "ParameterValue": "1"},
            {"ParameterKey": "Secret", "ParameterValue": "****"},
        ],
    }
    types = {"Table": "AWS::DynamoDB::Table", "Jobs": "AWS::SQS::Queue"}
    listed = [
        {"LogicalResourceId": k, "ResourceType": v, "PhysicalResourceId": k.lower()}
        for k, v in types.items()
    ]
    before = {
        "cloudformation:DescribeStacks": {"Stacks": [described]},
        "cloudformation:ListStackResources": {"StackResourceSummaries": listed},
        "cloudformation:GetTemplate": {"TemplateBody": body},
    }
    gone = act("cloudformation:DeleteStack", StackName="s")
    assert understand(gone, before).effects[0].reversibility.value == "degraded"
    back = restore(gone, before, dict.fromkeys(before, "ValidationError"))
    create, execute, update, protect = [s.action for s in back.steps]
    assert [s.until for s in back.steps] == [
        "change set ready",
        "stack settled",
        "stack settled",
        "",
    ]
    assert create.parameters["ChangeSetType"] == "IMPORT"
    alone = json.loads(str(create.parameters["TemplateBody"]))
    assert list(alone["Resources"]) == ["Table"]
    assert "Outputs" not in alone
    assert alone["Resources"]["Table"]["DeletionPolicy"] == "Retain"
    assert "DependsOn" not in alone["Resources"]["Table"]
    assert alone["Resources"]["Table"]["Properties"]["Note"] == "jobs"
    assert execute.parameters["ChangeSetName"] == create.parameters["ChangeSetName"]
    assert update.parameters["TemplateBody"] == body
    assert [dict(p) for p in update.parameters["Parameters"]] == [  # type: ignore[union-attr, arg-type]  # plain data
        {"ParameterKey": "A", "ParameterValue": "1"}
    ]
    assert protect.parameters["EnableTerminationProtection"] is True
    assert any("messages" in r for r in back.residue)


# --- fingerprints ------------------------------------------------------------------------------


def ask(name: str, **parameters: Any) -> Question:
    return Question("aws", name, frozen(**parameters))


def said(**value: Any) -> Answer:
    return Answer(frozen(**value))


def test_a_fingerprint_leaves_out_what_changes_by_itself_and_orders_what_has_no_order() -> None:
    table = ask("dynamodb:DescribeTable", TableName="t")
    one = said(Table={"TableName": "t", "ItemCount": 1, "TableId": "x"})
    other = said(Table={"TableName": "t", "ItemCount": 9, "TableId": "y"})
    assert fingerprint(table, one) == fingerprint(table, other)
    scan = ask("dynamodb:Scan", TableName="t")
    forth = said(Items=[{"a": {"SS": ["x", "y"]}}, {"b": {"S": "1"}}])
    back = said(Items=[{"b": {"S": "1"}}, {"a": {"SS": ["y", "x"]}}])
    assert fingerprint(scan, forth) == fingerprint(scan, back)


def test_a_fingerprint_keeps_every_attribute_of_an_item() -> None:
    scan = ask("dynamodb:Scan", TableName="t")
    one = said(Items=[{"LastModified": {"S": "1"}, "l": {"L": [{"S": "a"}, {"S": "b"}]}}])
    for other in (
        said(Items=[{"LastModified": {"S": "2"}, "l": {"L": [{"S": "a"}, {"S": "b"}]}}]),
        said(Items=[{"LastModified": {"S": "1"}, "l": {"L": [{"S": "b"}, {"S": "a"}]}}]),
    ):
        assert fingerprint(scan, one) != fingerprint(scan, other)


def test_absent_unanswered_and_refused_are_three_things() -> None:
    question = ask("cloudformation:DescribeStacks", StackName="s")
    prints = {
        fingerprint(question, Answer(error="ValidationError")),
        fingerprint(question, Answer(error="AccessDenied")),
        fingerprint(question, Answer(unanswered="timed out")),
        fingerprint(question, said(Stacks=[])),
    }
    assert len(prints) == 4


def test_an_undo_rests_on_whole_answers_only() -> None:
    question = ask("dynamodb:Scan", TableName="t")
    assert sound(question, said(Items=[]))
    assert sound(question, Answer(error="ResourceNotFoundException"))
    assert not sound(question, Answer(frozen(Items=[]), truncated=True))
    assert not sound(question, Answer(error="AccessDenied"))
    assert not sound(question, Answer(unanswered="timed out"))


def test_a_capture_is_the_whole_set_each_round() -> None:
    gone = act("dynamodb:DeleteTable", TableName="t")
    world = {
        "dynamodb:DescribeTable": {"Table": {"ItemCount": 1, "KeySchema": []}},
        "dynamodb:Scan": {"Count": 1, "Items": [{}]},
    }
    questions, answers = capture(gone, world)
    assert {q.key for q in questions} == set(answers)
    assert {q.name for q in questions} >= {"dynamodb:Scan", "dynamodb:DescribeTimeToLive"}

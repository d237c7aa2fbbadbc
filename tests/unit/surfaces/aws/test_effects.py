"""What an action would do, as far as the answers tell."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signoff.model.action import Action
from signoff.model.effect import Kind, Reversibility, Verb
from signoff.model.values import frozen
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.base import Places
from unit.surfaces.aws.answering import SCOPE, act, told, understand

TABLE = {
    "Table": {
        "TableName": "t",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "ItemCount": 30,
        "TableSizeBytes": 0,
    }
}
ONE = {"Responses": {"t": [{"pk": {"S": "a"}, "v": {"N": "1"}}]}}
NONE: dict[str, Any] = {"Responses": {"t": []}}
KEPT = {"Status": "Enabled"}
STAGING = Places(({"environment": "staging", "name": "t*"},))


def put(world: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    return told(understand(act("dynamodb:PutItem", TableName="t", Item={"pk": {"S": "a"}}), world))


def test_an_item_is_created_or_written_over() -> None:
    known = {"dynamodb:DescribeTable": TABLE}
    over = put({**known, "dynamodb:BatchGetItem": ONE})
    assert over == [("update", "dynamodb:item", "exact")]
    assert put({**known, "dynamodb:BatchGetItem": NONE}) == [("create", "dynamodb:item", "exact")]


def test_without_an_answer_an_item_may_be_written_over_and_a_deletion_is_final() -> None:
    assert put(None) == [("update", "dynamodb:item", "bounded")]
    gone = understand(act("dynamodb:DeleteItem", TableName="t", Key={"pk": {"S": "a"}}))
    assert told(gone) == [("delete", "dynamodb:item", "none")]


def test_an_item_is_named_by_its_key() -> None:
    seen = understand(
        act("dynamodb:DeleteItem", TableName="t", Key={"pk": {"S": "a"}, "sk": {"N": "7"}}),
        {"dynamodb:BatchGetItem": ONE},
    )
    (effect,) = seen.effects
    assert effect.resource.uid.endswith(":table/t/item/pk=a/sk=7")
    assert [(b.most, b.unit) for b in effect.bounds] == [(1, "items")]


def test_a_batch_names_every_item() -> None:
    writes = [
        {"PutRequest": {"Item": {"pk": {"S": "new"}}}},
        {"DeleteRequest": {"Key": {"pk": {"S": "a"}}}},
    ]
    seen = understand(
        act("dynamodb:BatchWriteItem", RequestItems={"t": writes}),
        {"dynamodb:DescribeTable": TABLE, "dynamodb:BatchGetItem": ONE},
    )
    assert told(seen) == [
        ("create", "dynamodb:item", "exact"),
        ("delete", "dynamodb:item", "exact"),
    ]


@pytest.mark.parametrize(
    ("described", "counted", "expected", "bound"),
    [
        (TABLE, {"Count": 31}, "bounded", 31),
        (TABLE, None, "none", None),
        ({"Table": {**TABLE["Table"], "ItemCount": 10_000_000}}, None, "none", 10_000_000),
        (None, None, "none", None),
    ],
)
def test_a_table_comes_back_only_when_all_of_it_fits_the_capture(
    described: Any, counted: Any, expected: str, bound: int | None
) -> None:
    world = {"dynamodb:DescribeTable": described, "dynamodb:Scan": counted}
    seen = understand(act("dynamodb:DeleteTable", TableName="t"), world)
    assert told(seen) == [("delete", "dynamodb:table", expected)]
    assert seen.effects[0].bounds[0].most == bound


def test_protection_off_disarms_and_a_time_to_live_deletes_later() -> None:
    off = act("dynamodb:UpdateTable", TableName="t", DeletionProtectionEnabled=False)
    assert told(understand(off)) == [("disarm", "dynamodb:table", "bounded")]
    spec = {"Enabled": True, "AttributeName": "ttl"}
    ttl = act("dynamodb:UpdateTimeToLive", TableName="t", TimeToLiveSpecification=spec)
    assert [v for v, _, _ in told(understand(ttl))] == ["update", "delete"]
    off_spec = {"PointInTimeRecoveryEnabled": False}
    recovery = act(
        "dynamodb:UpdateContinuousBackups",
        TableName="t",
        PointInTimeRecoverySpecification=off_spec,
    )
    (effect,) = understand(recovery).effects
    assert (effect.verb, effect.resource.kind) == (Verb.DISARM, Kind.RECOVERY)


# --- S3 ----------------------------------------------------------------------------------------


def test_an_object_is_new_over_another_or_not_known() -> None:
    wrote = act("s3:PutObject", Bucket="b", Key="k")
    there = {"s3:HeadObject": {"ContentLength": 9, "ETag": '"x"', "VersionId": "v1"}}
    kept = {**there, "s3:GetBucketVersioning": KEPT}
    assert told(understand(wrote, kept)) == [("update", "s3:object", "exact")]
    plain = {**there, "s3:GetBucketVersioning": {}}
    assert told(understand(wrote, plain)) == [("update", "s3:object", "bounded")]
    fresh = {"s3:HeadObject": "404", "s3:GetBucketVersioning": {}}
    assert told(understand(wrote, fresh)) == [("create", "s3:object", "exact")]
    assert told(understand(wrote)) == [("update", "s3:object", "none")]


def test_an_object_too_large_to_capture_has_no_undo() -> None:
    large = {"s3:HeadObject": {"ContentLength": 1 << 30}, "s3:GetBucketVersioning": {}}
    for name in ("s3:PutObject", "s3:DeleteObject"):
        (effect,) = understand(act(name, Bucket="b", Key="k"), large).effects
        assert effect.reversibility is Reversibility.NONE


def test_every_object_of_a_bulk_deletion_is_named() -> None:
    objects = {"Objects": [{"Key": f"k{n}"} for n in range(900)]}
    gone = act("s3:DeleteObjects", Bucket="b", Delete=objects)
    seen = understand(gone, {"s3:GetBucketVersioning": KEPT})
    assert len({e.resource.uid for e in seen.effects}) == 900
    assert seen.reversibility is Reversibility.EXACT
    assert understand(gone, {"s3:GetBucketVersioning": {}}).reversibility is Reversibility.NONE


def test_a_version_is_recovery_material() -> None:
    seen = understand(act("s3:DeleteObject", Bucket="b", Key="k", VersionId="v1"), {})
    (effect,) = seen.effects
    assert (effect.verb, effect.resource.kind) == (Verb.DELETE, Kind.RECOVERY)
    assert effect.reversibility is Reversibility.NONE


def test_a_public_acl_permits() -> None:
    wrote = act("s3:PutObject", Bucket="b", Key="k", ACL="public-read")
    assert Verb.PERMIT in [e.verb for e in understand(wrote).effects]


# --- other services ------------------------------------------------------------------------------


def test_an_assumed_role_is_answered_with_a_run_key_and_nothing_is_sent() -> None:
    role = "arn:aws:iam::111122223333:role/admin"
    seen = understand(act("sts:AssumeRole", RoleArn=role, RoleSessionName="s"))
    (effect,) = seen.effects
    assert (effect.verb, effect.resource.uid) == (Verb.READ, "signoff:run-key")
    (step,) = seen.plan
    assert step.action.name == "signoff:MintRunKey"
    assert step.action.parameters["RoleArn"] == role
    saml = understand(act("sts:AssumeRoleWithSAML", RoleArn=role))
    assert saml.effects[0].verb is Verb.DISCLOSE


def test_a_database_is_deleted_only_with_a_final_snapshot() -> None:
    gone = act("rds:DeleteDBInstance", DBInstanceIdentifier="db", SkipFinalSnapshot=True)
    described = {"DBInstances": [{"DBInstanceIdentifier": "db", "DbiResourceId": "db-1"}]}
    seen = understand(gone, {"rds:DescribeDBInstances": described})
    assert told(seen) == [("delete", "rds:db", "bounded")]
    assert seen.effects[0].resource.kind is Kind.CONTAINER
    (step,) = seen.plan
    assert step.action.parameters["SkipFinalSnapshot"] is False
    assert step.action.parameters["DeleteAutomatedBackups"] is False
    assert told(understand(gone)) == [("delete", "rds:db", "none")]
    again = [{"DBInstanceIdentifier": "db", "DbiResourceId": "db-2"}]
    later = understand(gone, {"rds:DescribeDBInstances": {"DBInstances": again}})
    name = "FinalDBSnapshotIdentifier"
    assert later.plan[0].action.parameters[name] != step.action.parameters[name]


def test_backups_off_loses_the_backups_and_storage_never_shrinks() -> None:
    off = act("rds:ModifyDBInstance", DBInstanceIdentifier="db", BackupRetentionPeriod=0)
    kinds = {(e.verb, e.resource.kind, e.reversibility) for e in understand(off).effects}
    assert (Verb.DISARM, Kind.RECOVERY, Reversibility.NONE) in kinds
    grown = act("rds:ModifyDBInstance", DBInstanceIdentifier="db", AllocatedStorage=100)
    described = {"DBInstances": [{"AllocatedStorage": 20}]}
    seen = understand(grown, {"rds:DescribeDBInstances": described})
    assert seen.reversibility is Reversibility.NONE


def test_a_queue_with_messages_does_not_come_back() -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/444455556666/jobs"
    gone = act("sqs:DeleteQueue", QueueUrl=url)
    some = {"Attributes": {"ApproximateNumberOfMessages": "3"}}
    seen = understand(gone, {"sqs:GetQueueAttributes": some})
    assert seen.effects[0].resource.uid == "arn:aws:sqs:eu-west-1:444455556666:jobs"
    assert str(seen.effects[0].bounds[0]) == "<= 3 messages"
    assert seen.reversibility is Reversibility.NONE
    empty = {"Attributes": {"ApproximateNumberOfMessages": "0"}}
    assert understand(gone, {"sqs:GetQueueAttributes": empty}).reversibility is (
        Reversibility.DEGRADED
    )


def test_a_role_that_is_handed_to_a_service_is_permitted() -> None:
    role = "arn:aws:iam::111122223333:role/admin"
    made = understand(act("lambda:CreateFunction", FunctionName="f", Role=role))
    assert (Verb.PERMIT, role) in [(e.verb, e.resource.uid) for e in made.effects]


def test_what_nobody_reads_in_depth_names_its_targets_and_has_no_undo() -> None:
    seen = understand(act("ec2:TerminateInstances", InstanceIds=["i-1", "i-2"]))
    assert [e.resource.uid.rpartition(":")[2] for e in seen.effects] == [
        "InstanceIds/i-1",
        "InstanceIds/i-2",
    ]
    assert seen.reversibility is Reversibility.NONE


def test_an_operation_nobody_knows_is_unknown_and_says_so() -> None:
    seen = understand(act("nosuch:Frobnicate"))
    assert seen.unknown
    assert seen.effects[0].verb is Verb.UNKNOWN


def test_what_the_parser_did_not_understand_stays_unknown() -> None:
    half = Action("aws", "s3:ListBuckets", frozen(), SCOPE, unknown=("`Frob`",))
    assert not SURFACE.effects(half, {}, Places()).is_read


@pytest.mark.parametrize(
    "given",
    [
        {"TableName": 7},
        {"TableName": None, "Item": []},
        {"RequestItems": "x"},
        {"RequestItems": {"t": [None, {"PutRequest": 3}]}},
        {"TransactItems": [{"Put": {}}]},
        {"Delete": {"Objects": "all"}, "Bucket": "b"},
        {"StackName": "s", "TemplateBody": '{"Resources": {"A": {"Type": NaN}}}'},
        {"StackName": "s", "TemplateBody": "a: &a [*a, *a]"},
        {"StackName": "s", "TemplateBody": "[" * 100_000},
        {"QueueUrl": "///"},
    ],
)
def test_hostile_parameters_are_never_an_exception_and_never_a_read(given: dict[str, Any]) -> None:
    from signoff.surfaces.aws.services import OPERATIONS

    for name in OPERATIONS:
        if name.startswith("sts:"):
            continue
        action = act(name, **given)
        SURFACE.questions(action, {})
        seen = SURFACE.effects(action, {}, Places())
        assert seen.effects
        assert not seen.is_read


# --- environments ---------------------------------------------------------------------------------


def test_what_nobody_mapped_is_production_and_a_name_can_map() -> None:
    gone = act("dynamodb:DeleteTable", TableName="t-blue")
    assert understand(gone).environments == ("production",)
    assert understand(gone, None, STAGING).environments == ("staging",)


def test_a_tag_lowers_nothing_unless_it_is_trusted() -> None:
    world = {"dynamodb:ListTagsOfResource": {"Tags": [{"Key": "env", "Value": "dev"}]}}
    gone = act("dynamodb:DeleteTable", TableName="t")
    rule = {"environment": "development", "tag": "env=dev"}
    assert understand(gone, world, Places((rule,))).environments == ("production",)
    trusted = Places(({**rule, "tags_trusted": "true"},))
    assert understand(gone, world, trusted).environments == ("development",)


def test_a_region_says_nothing_about_a_global_resource() -> None:
    places = Places(({"environment": "staging", "region": "eu-west-1"},))
    assert understand(act("dynamodb:DeleteTable", TableName="t"), None, places).environments == (
        "staging",
    )
    assert understand(act("iam:DeleteRole", RoleName="r"), None, places).environments == (
        "production",
    )


def test_a_rule_with_a_member_nobody_knows_never_agrees() -> None:
    places = Places(({"environment": "staging", "naem": "*"},))
    assert places.environment_of(account="1", region="r", name="n") == "production"


def test_less_knowledge_never_gives_a_better_class() -> None:
    worlds: list[tuple[Action, dict[str, Any]]] = [
        (
            act("dynamodb:DeleteTable", TableName="t"),
            {"dynamodb:DescribeTable": TABLE, "dynamodb:Scan": {"Count": 3}},
        ),
        (
            act("dynamodb:PutItem", TableName="t", Item={"pk": {"S": "a"}}),
            {"dynamodb:DescribeTable": TABLE, "dynamodb:BatchGetItem": ONE},
        ),
        (
            act("s3:DeleteObject", Bucket="b", Key="k"),
            {"s3:GetBucketVersioning": {}, "s3:HeadObject": {"ContentLength": 3}},
        ),
        (
            act("s3:PutObject", Bucket="b", Key="k"),
            {"s3:GetBucketVersioning": KEPT, "s3:HeadObject": {"ContentLength": 3}},
        ),
        (
            act("cloudformation:DeleteStack", StackName="s"),
            {
                "cloudformation:DescribeStacks": {"Stacks": [{"StackId": "arn:x"}]},
                "cloudformation:ListStackResources": {"StackResourceSummaries": []},
                "cloudformation:GetTemplate": {"TemplateBody": json.dumps({"Resources": {}})},
            },
        ),
    ]
    for action, world in worlds:
        whole = understand(action, world)
        for missing in world:
            rest = {k: v for k, v in world.items() if k != missing}
            assert understand(action, rest).reversibility.rank <= whole.reversibility.rank
        assert understand(action).reversibility.rank <= whole.reversibility.rank

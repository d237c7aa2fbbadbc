"""A name that lies in development lends its environment to nothing else in the request."""

from __future__ import annotations

import pytest

from signoff.model.effect import Understanding
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.base import Places

SCOPE = {"account": "111122223333", "region": "eu-west-1"}
BY_NAME = Places(
    rules=({"environment": "development", "name": "dev-*"},), disposable=frozenset({"development"})
)
ROLE = "arn:aws:iam::111122223333:role/dev-x"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:dev-x"
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:dev-x"


def understood(name: str, parameters: dict[str, object], places: Places) -> Understanding:
    """What the surface says of a request of which nothing is known but its words."""
    service, _, operation = name.partition(":")
    given = {"service": service, "operation": operation, "parameters": parameters}
    return SURFACE.effects(SURFACE.parse(given, SCOPE), {}, places)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (
            "autoscaling:UpdateAutoScalingGroup",
            {"AutoScalingGroupName": "shop", "MaxSize": 0, "ServiceLinkedRoleARN": ROLE},
        ),
        (
            "elasticache:ModifyReplicationGroup",
            {"ReplicationGroupId": "shop", "NotificationTopicArn": TOPIC},
        ),
        (
            "redshift:DeleteCluster",
            {"FinalClusterSnapshotIdentifier": "dev-x", "ClusterIdentifier": "shop"},
        ),
        (
            "logs:PutSubscriptionFilter",
            {
                "logGroupName": "shop",
                "filterName": "dev-x",
                "filterPattern": "",
                "destinationArn": FUNCTION,
            },
        ),
        (
            "ssm:SendCommand",
            {"DocumentName": "dev-x", "Targets": [{"Key": "tag:Name", "Values": ["shop"]}]},
        ),
    ],
)
def test_a_name_in_development_beside_one_in_production_is_production(
    name: str, parameters: dict[str, object]
) -> None:
    found = understood(name, parameters, BY_NAME)
    assert "production" in found.environments


@pytest.mark.parametrize("first", ["development", "production"])
def test_the_order_of_the_members_does_not_choose_the_environment(first: str) -> None:
    members = [("FinalClusterSnapshotIdentifier", "dev-x"), ("ClusterIdentifier", "shop")]
    ordered = members if first == "development" else members[::-1]
    found = understood("redshift:DeleteCluster", dict(ordered), BY_NAME)
    assert found.environments == ("production",)


def test_what_lies_in_development_altogether_is_development() -> None:
    found = understood("redshift:DeleteCluster", {"ClusterIdentifier": "dev-x"}, BY_NAME)
    assert found.environments == ("development",)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sqs:PurgeQueue", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/444455556666/q"}),
        ("dynamodb:DeleteTable", {"TableName": "arn:aws:dynamodb:eu-west-1:444455556666:table/t"}),
        ("sns:DeleteTopic", {"TopicArn": "arn:aws:sns:eu-west-1:444455556666:t"}),
        ("sns:DeleteTopic", {"TopicArn": "arn:aws:sns:us-east-1:111122223333:t"}),
    ],
)
def test_another_accounts_or_regions_resource_is_not_where_the_request_is_made(
    name: str, parameters: dict[str, object]
) -> None:
    here = Places(
        rules=({"environment": "development", "account": "111122223333", "region": "eu-west-1"},)
    )
    assert understood(name, parameters, here).environments == ("production",)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("s3:DeleteObject", {"Bucket": "dev-x-4k2m9qz7h1-s3alias", "Key": "k"}),
        ("s3:DeleteObject", {"Bucket": "dev-x-4k2m9qz7h1--ol-s3", "Key": "k"}),
        (
            "dynamodb:DeleteTable",
            {"TableName": "arn:aws:dynamodb:eu-west-1:111122223333:table/shop/index/dev-x"},
        ),
    ],
)
def test_the_name_of_a_way_to_a_thing_is_not_the_name_of_the_thing(
    name: str, parameters: dict[str, object]
) -> None:
    assert understood(name, parameters, BY_NAME).environments == ("production",)


TRUSTED = Places(
    rules=({"environment": "development", "tag": "env=dev", "tags_trusted": "true"},),
    disposable=frozenset({"development"}),
)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("s3:PutBucketTagging", {"Bucket": "shop", "Tagging": {"TagSet": []}}),
        ("ec2:CreateTags", {"Resources": ["i-1"], "Tags": [{"Key": "env", "Value": "dev"}]}),
        ("rds:AddTagsToResource", {"ResourceName": "arn:aws:rds:eu-west-1:1:db:shop", "Tags": []}),
        ("iam:UntagRole", {"RoleName": "shop", "TagKeys": ["env"]}),
        ("logs:PutDeliveryDestination", {"name": "shop", "tags": {"env": "dev"}}),
    ],
)
def test_a_write_of_tags_is_a_widening_where_a_trusted_tag_decides(
    name: str, parameters: dict[str, object]
) -> None:
    found = understood(name, parameters, TRUSTED)
    assert ("permit", "production") in {
        (e.verb.value, e.resource.environment) for e in found.effects
    }
    plain = understood(name, parameters, BY_NAME)
    assert "trusted tag" not in " ".join(e.because for e in plain.effects)


def test_tags_written_through_a_template_are_a_widening_too() -> None:
    found = understood("cloudformation:UpdateStack", {"StackName": "shop"}, TRUSTED)
    assert any("trusted tag" in e.because for e in found.effects)
    change = {"StackName": "shop", "ChangeSetName": "retag"}
    found = understood("cloudformation:ExecuteChangeSet", change, TRUSTED)
    assert any("trusted tag" in e.because for e in found.effects)


def test_reading_tags_moves_nothing() -> None:
    found = understood("s3:GetBucketTagging", {"Bucket": "shop"}, TRUSTED)
    assert {e.verb.value for e in found.effects} == {"read"}

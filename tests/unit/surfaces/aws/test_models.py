"""What the service models say about operations."""

from __future__ import annotations

import threading

import pytest

from signoff.model.errors import MalformedRequest
from signoff.surfaces.aws.models import Models

MODELS = Models()


def test_an_operation_knows_its_generated_members() -> None:
    assert MODELS.operation("dynamodb", "DeleteTable").generated == frozenset()
    generated = MODELS.operation("dynamodb", "TransactWriteItems").generated
    assert generated == {"ClientRequestToken"}


def test_members_the_model_calls_sensitive_are_known() -> None:
    assert "Password" in MODELS.operation("iam", "CreateLoginProfile").sensitive


def test_a_blob_that_is_the_whole_body_is_raw_and_a_structure_is_not() -> None:
    put = MODELS.operation("s3", "PutObject")
    assert (put.body, put.raw) == ("Body", True)
    acl = MODELS.operation("s3", "PutBucketAcl")
    assert (acl.body, acl.raw) == ("AccessControlPolicy", False)


def test_a_host_prefix_is_known() -> None:
    assert MODELS.operation("servicediscovery", "DiscoverInstances").host_prefix == "data-"


@pytest.mark.parametrize(
    ("service", "protocol"),
    [("dynamodb", "json"), ("rds", "query"), ("ec2", "ec2"), ("s3", "rest-xml")],
)
def test_the_protocol_is_the_one_the_client_speaks(service: str, protocol: str) -> None:
    assert MODELS.protocol(service) == protocol


def test_a_recursive_shape_is_one_object_however_deep_it_nests() -> None:
    value = MODELS.operation("dynamodb", "PutItem").input.members["Item"].value
    again = value.members["M"].value
    assert again.members["M"].value is again


def test_unknown_names_are_refused_with_the_next_step() -> None:
    with pytest.raises(MalformedRequest, match="unknown service `nonsense`"):
        MODELS.protocol("nonsense")
    with pytest.raises(MalformedRequest, match="unknown operation"):
        MODELS.operation("s3", "Nonsense")


def test_several_threads_get_the_same_model() -> None:
    models = Models()
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(id(models.operation("sqs", "SendMessage"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("service", "operation", "token"),
    [
        ("dynamodb", "TransactWriteItems", "ClientRequestToken"),
        ("cloudformation", "CreateChangeSet", "ClientToken"),
        ("cloudformation", "ExecuteChangeSet", "ClientRequestToken"),
        ("ec2", "CreateFlowLogs", "ClientToken"),
    ],
)
def test_a_token_made_anew_for_each_attempt_is_known_also_where_no_model_marks_it(
    service: str, operation: str, token: str
) -> None:
    assert MODELS.operation(service, operation).generated == {token}


def test_half_of_an_identity_is_no_token() -> None:
    assert not MODELS.operation("codepipeline", "GetThirdPartyJobDetails").generated

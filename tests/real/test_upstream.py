"""The local AWS answers as the service does where the stories depend on it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from signoff.demo import world as worlds
from signoff.demo.children import Child

pytestmark = pytest.mark.real
Owner = Callable[[str], Any]


@pytest.fixture
def world(aws: Child) -> worlds.World:
    drawn = replace(worlds.draw(3), customers=4, objects=5)
    worlds.build(drawn, aws.url)
    return drawn


def template(world: worlds.World) -> dict[str, Any]:
    return json.loads(worlds.template(world))


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def retained(world: worlds.World, *kinds: str) -> dict[str, Any]:
    body = template(world)
    for kind in kinds:
        resource = body["Resources"][world.logical(kind)]
        resource["DeletionPolicy"], resource["Metadata"] = "Retain", {"Why": "kept"}
    return body


def listed(stacks: Any, world: worlds.World) -> dict[str, str]:
    found = stacks.describe_stack_resources(StackName=world.stack)["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}


def test_a_protected_stack_is_not_deleted_until_the_protection_is_off(
    aws: Child, owner: Owner, world: worlds.World
) -> None:
    stacks, before = owner("cloudformation"), worlds.snapshot(world, aws.url)
    shown = stacks.describe_stacks(StackName=world.stack)["Stacks"][0]
    assert shown["EnableTerminationProtection"] is True
    code, message = refused(lambda: stacks.delete_stack(StackName=world.stack))
    assert code == "ValidationError"
    assert "TerminationProtection is enabled" in message
    assert worlds.snapshot(world, aws.url) == before
    stacks.update_termination_protection(StackName=world.stack, EnableTerminationProtection=False)
    shown = stacks.describe_stacks(StackName=world.stack)["Stacks"][0]
    assert shown["EnableTerminationProtection"] is False


def test_a_change_set_says_which_resources_it_replaces(owner: Owner, world: worlds.World) -> None:
    stacks, body = owner("cloudformation"), template(world)
    resources = body["Resources"]
    resources[world.logical("setting")]["Properties"]["Value"] = "2"
    resources[world.logical("table")]["Properties"]["TableName"] = "another"
    resources[world.logical("table")]["Properties"]["Tags"] = [{"Key": "a", "Value": "b"}]
    resources[world.logical("bucket")]["DeletionPolicy"] = "Retain"
    del resources[world.logical("queue")]
    which = {"StackName": world.stack, "ChangeSetName": "many"}
    stacks.create_change_set(**which, TemplateBody=json.dumps(body))
    stacks.get_waiter("change_set_create_complete").wait(**which)
    changes = [one["ResourceChange"] for one in stacks.describe_change_set(**which)["Changes"]]
    found = {
        one["LogicalResourceId"]: (one["Action"], one.get("Replacement"), one["Scope"])
        for one in changes
    }
    assert found == {
        world.logical("setting"): ("Modify", "False", ["Properties"]),
        world.logical("table"): ("Modify", "True", ["Properties", "Tags"]),
        world.logical("bucket"): ("Modify", "False", ["DeletionPolicy"]),
        world.logical("queue"): ("Remove", None, []),
    }


def test_a_replaced_table_is_a_new_and_empty_one(
    aws: Child, owner: Owner, world: worlds.World
) -> None:
    stacks, body = owner("cloudformation"), template(world)
    body["Resources"][world.logical("table")]["Properties"]["TableName"] = "another"
    stacks.update_stack(StackName=world.stack, TemplateBody=json.dumps(body))
    assert worlds.snapshot(world, aws.url).items == worlds.GONE
    assert owner("dynamodb").describe_table(TableName="another")["Table"]["ItemCount"] == 0


def test_a_table_with_a_fixed_name_cannot_be_replaced_under_that_name(
    aws: Child, owner: Owner, world: worlds.World
) -> None:
    stacks, body = owner("cloudformation"), template(world)
    before = worlds.snapshot(world, aws.url)
    properties = body["Resources"][world.logical("table")]["Properties"]
    properties["KeySchema"] = properties["KeySchema"][:1]
    code, message = refused(
        lambda: stacks.update_stack(StackName=world.stack, TemplateBody=json.dumps(body))
    )
    assert code == "ValidationError"
    assert f"Rename {world.table}" in message
    assert worlds.snapshot(world, aws.url).items == before.items


def test_the_fix_by_change_set_changes_the_setting_and_nothing_else(
    aws: Child, owner: Owner, world: worlds.World
) -> None:
    stacks, before = owner("cloudformation"), worlds.snapshot(world, aws.url)
    which = {"StackName": world.stack, "ChangeSetName": "fix"}
    stacks.create_change_set(**which, TemplateBody=worlds.template(world, "2"))
    stacks.execute_change_set(**which)
    after = worlds.snapshot(world, aws.url)
    assert before.differences(after) == ("setting", "stack")
    assert after.stack_id == before.stack_id
    code, _ = refused(lambda: stacks.execute_change_set(**which))
    assert code == "InvalidChangeSetStatus"


def test_a_stack_whose_bucket_is_full_fails_to_delete_and_keeps_the_bucket(
    aws: Child, owner: Owner, world: worlds.World
) -> None:
    stacks, before = owner("cloudformation"), worlds.snapshot(world, aws.url)
    stacks.update_termination_protection(StackName=world.stack, EnableTerminationProtection=False)
    stacks.delete_stack(StackName=world.stack)
    shown = stacks.describe_stacks(StackName=world.stack)["Stacks"][0]
    assert shown["StackStatus"] == "DELETE_FAILED"
    assert listed(stacks, world) == {world.logical("bucket"): world.bucket}
    after = worlds.snapshot(world, aws.url)
    assert (after.items, after.objects) == (worlds.GONE, before.objects)
    stacks.delete_stack(StackName=world.stack, RetainResources=[world.logical("bucket")])
    assert refused(lambda: stacks.describe_stacks(StackName=world.stack))[0] == "ValidationError"
    assert worlds.snapshot(world, aws.url).objects == before.objects


def identifiers(world: worlds.World) -> list[dict[str, Any]]:
    return [
        {
            "ResourceType": "AWS::DynamoDB::Table",
            "LogicalResourceId": world.logical("table"),
            "ResourceIdentifier": {"TableName": world.table},
        },
        {
            "ResourceType": "AWS::S3::Bucket",
            "LogicalResourceId": world.logical("bucket"),
            "ResourceIdentifier": {"BucketName": world.bucket},
        },
    ]


def delete_retaining(stacks: Any, world: worlds.World) -> dict[str, Any]:
    body = retained(world, "table", "bucket")
    stacks.update_termination_protection(StackName=world.stack, EnableTerminationProtection=False)
    stacks.update_stack(StackName=world.stack, TemplateBody=json.dumps(body))
    stacks.delete_stack(StackName=world.stack)
    return body


def test_a_deleted_stack_comes_back_by_import_with_equal_hashes(
    aws: Child, owner: Owner, world: worlds.World
) -> None:
    stacks, before = owner("cloudformation"), worlds.snapshot(world, aws.url)
    complete = listed(stacks, world)
    body = delete_retaining(stacks, world)
    gone = worlds.snapshot(world, aws.url)
    assert gone.queue == gone.role == gone.setting == gone.stack == worlds.GONE
    assert (gone.items, gone.objects) == (before.items, before.objects)

    kept = {one["LogicalResourceId"] for one in identifiers(world)}
    part = copy.deepcopy(body)
    part["Resources"] = {name: body["Resources"][name] for name in kept}
    which = {"StackName": world.stack, "ChangeSetName": "bring-back"}
    stacks.create_change_set(
        **which,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(part),
        ResourcesToImport=identifiers(world),
    )
    stacks.get_waiter("change_set_create_complete").wait(**which)
    shown = [one["ResourceChange"] for one in stacks.describe_change_set(**which)["Changes"]]
    assert {(one["Action"], one["PhysicalResourceId"]) for one in shown} == {
        ("Import", world.table),
        ("Import", world.bucket),
    }
    stacks.execute_change_set(**which)
    stacks.get_waiter("stack_import_complete").wait(StackName=world.stack)
    assert set(listed(stacks, world)) == kept

    stacks.update_stack(StackName=world.stack, TemplateBody=worlds.template(world))
    assert listed(stacks, world) == complete
    assert before.differences(worlds.snapshot(world, aws.url)) == ()


@pytest.mark.parametrize("fault", ["no policy", "not there", "new one", "in a stack"])
def test_an_import_that_the_service_would_refuse_is_refused(
    aws: Child, owner: Owner, world: worlds.World, fault: str
) -> None:
    stacks, wanted, name = owner("cloudformation"), identifiers(world), world.stack
    body = retained(world, "table", "bucket")
    if fault == "in a stack":
        name = "another-stack"
    else:
        delete_retaining(stacks, world)
    kept = [world.logical("table"), world.logical("bucket")]
    if fault == "new one":
        kept.append(world.logical("queue"))
    body["Resources"] = {one: body["Resources"][one] for one in kept}
    if fault == "no policy":
        del body["Resources"][kept[0]]["DeletionPolicy"]
    if fault == "not there":
        wanted[0]["ResourceIdentifier"] = {"TableName": "never-was"}
    before = worlds.snapshot(world, aws.url)
    code, message = refused(
        lambda: stacks.create_change_set(
            StackName=name,
            ChangeSetName="bad",
            ChangeSetType="IMPORT",
            TemplateBody=json.dumps(body),
            ResourcesToImport=wanted,
        )
    )
    said = {
        "no policy": "DeletionPolicy",
        "not there": "was not found",
        "new one": "missing from ResourceToImport",
        "in a stack": "already exists in stack",
    }
    assert code == "ValidationError"
    assert said[fault] in message
    assert worlds.snapshot(world, aws.url) == before


def test_a_resource_that_leaves_the_template_with_retain_stays(
    aws: Child, owner: Owner, world: worlds.World
) -> None:
    stacks, body = owner("cloudformation"), retained(world, "table")
    before = worlds.snapshot(world, aws.url)
    stacks.update_stack(StackName=world.stack, TemplateBody=json.dumps(body))
    del body["Resources"][world.logical("table")]
    stacks.update_stack(StackName=world.stack, TemplateBody=json.dumps(body))
    assert world.logical("table") not in listed(stacks, world)
    assert worlds.snapshot(world, aws.url).items == before.items


def test_an_update_of_policies_alone_is_no_update(owner: Owner, world: worlds.World) -> None:
    stacks, body = owner("cloudformation"), template(world)
    body["Resources"][world.logical("table")]["DeletionPolicy"] = "Retain"
    for text in (json.dumps(body), worlds.template(world)):
        code, message = refused(
            lambda text=text: stacks.update_stack(StackName=world.stack, TemplateBody=text)
        )
        assert (code, message) == ("ValidationError", "No updates are to be performed.")


def test_a_change_set_without_a_type_is_for_the_running_stack_and_its_name_is_taken_once(
    owner: Owner, world: worlds.World
) -> None:
    stacks = owner("cloudformation")
    which = {"StackName": world.stack, "ChangeSetName": "once"}
    body = worlds.template(world, "2")
    stacks.create_change_set(**which, TemplateBody=body)
    assert len(stacks.describe_stacks()["Stacks"]) == 1
    code, _ = refused(lambda: stacks.create_change_set(**which, TemplateBody=body))
    assert code == "AlreadyExistsException"
    stacks.delete_change_set(**which)
    stacks.delete_change_set(**which)
    assert refused(lambda: stacks.describe_change_set(**which))[0] == "ChangeSetNotFound"


def test_creating_a_stack_over_an_existing_bucket_is_a_native_error_and_leaves_no_stack(
    owner: Owner, world: worlds.World
) -> None:
    stacks = owner("cloudformation")
    code, _ = refused(
        lambda: stacks.create_stack(StackName="twin", TemplateBody=worlds.template(world))
    )
    assert code == "ValidationError"
    assert refused(lambda: stacks.describe_stacks(StackName="twin"))[0] == "ValidationError"

"""What moto's CloudFormation lacks or gets wrong, put into moto in this process.

`fill()` replaces a few methods of moto's own classes; moto goes on parsing requests and
writing answers, so every client sees one service. Nothing here knows of Signoff. See
`upstream` for the list in words.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from moto.cloudformation import models, parsing, responses
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult

from signoff.demo.change_sets import (
    changes_of,
    creating_change_set,
    delete_change_set,
    describe_change_set,
    executing,
)
from signoff.demo.physical import FOREIGN, RETAINED, invalid, marked, native
from signoff.demo.replacement import NAMES, diff, modified, parameters_of, resolved

_CHANGE = threading.RLock()


# --- termination protection ---------------------------------------------------------------


def _update_termination_protection(self: Any) -> Any:
    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    stack.enable_termination_protection = self._get_bool_param("EnableTerminationProtection", False)
    return ActionResult({"StackId": stack.stack_id})


def _delete_stack(self: Any, name_or_stack_id: str) -> None:
    """DeleteStack as the service does it: refused when protected, failed when a bucket is full."""
    stack = next(
        (one for one in self.stacks.values() if name_or_stack_id in (one.name, one.stack_id)), None
    )
    if stack is None:
        return
    if stack.enable_termination_protection:
        raise invalid(
            f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        )
    mapping, exports = stack.resource_map, [export.name for export in stack.exports]
    try:
        stack.delete()
    except FOREIGN as error:
        stack.status = "DELETE_FAILED"
        stack.stack_status_reason = str(error)
        # moto's map creates what it lists and does not have, so what is gone leaves the list.
        mapping._resource_json_map = {
            name: resource
            for name, resource in mapping._resource_json_map.items()
            if name in mapping._parsed_resources
        }
        return
    mapping._resource_json_map = {}
    del self.stacks[stack.stack_id]
    self.deleted_stacks[stack.stack_id] = stack
    for name in exports:
        self.exports.pop(name, None)


def _delete_stack_response(self: Any) -> Any:
    name = self._get_param("StackName")
    retain = self._get_param("RetainResources", [])
    for stack in self.cloudformation_backend.stacks.values():
        if name in (stack.name, stack.stack_id) and retain:
            if stack.status != "DELETE_FAILED":
                raise invalid(
                    "Invalid operation on stack. RetainResources is only allowed on a stack "
                    f"in DELETE_FAILED state: {stack.stack_id}"
                )
            for logical in retain:
                stack.resource_map._resource_json_map[logical]["DeletionPolicy"] = "Retain"
    self.cloudformation_backend.delete_stack(name)
    return EmptyResult()


# --- resources: retained, in place, replaced ----------------------------------------------


def _plan(self: Any, template: Any, parameters: Any = None) -> dict[str, list[str]]:
    """moto's plan, without resources of which only a policy attribute changed."""
    given = {**self.input_parameters, **(parameters or {})}
    old = resolved(self._resource_json_map, parameters_of(self._template, self.input_parameters))
    new = resolved(template["Resources"], parameters_of(template, given))
    plan: dict[str, list[str]] = {"Add": [], "Modify": [], "Remove": []}
    for change in diff(old, new):
        if change.action != "Modify" or change.properties:
            plan[change.action].append(change.logical_id)
    return plan


def _updating_stack(original: Any) -> Any:
    def update(self: Any, **given: Any) -> Any:
        stack = self.get_stack(given["name"])
        mapping, new = stack.resource_map, models.Stack.parse_template(given["template"])
        before = resolved(
            mapping._resource_json_map, parameters_of(mapping._template, mapping.input_parameters)
        )
        values = self._resolve_update_parameters(
            instance=stack, incoming_params=given["parameters"]
        )
        after = resolved(new["Resources"], parameters_of(new, values))
        # The service takes no update whose only changes are policies of resources ("update
        # considerations" in its guide): something real, if only metadata, has to change too.
        real = any(
            change.action != "Modify" or change.properties or "Metadata" in change.scope
            for change in diff(before, after)
        )
        rest = [{**one, "Resources": None} for one in (mapping._template, new)]
        if not real and rest[0] == rest[1] and given.get("tags") in (None, stack.tags):
            raise invalid("No updates are to be performed.")
        return original(self, **given)

    return update


def _deleting(original: Any) -> Any:
    def delete(self: Any, parsed: Any, resource_json: Any) -> None:
        if resource_json.get("DeletionPolicy") in RETAINED:
            return
        if resource_json["Type"] == "AWS::S3::Bucket" and _objects_in(parsed):
            raise invalid(
                f"The following resource(s) failed to delete: [{parsed.logical_resource_id}]. "
                "The bucket you tried to delete is not empty"
            )
        original(self, parsed, resource_json)

    return delete


def _objects_in(bucket: Any) -> int:
    return len(list(bucket.keys.values()))


def _updating(original: Any) -> Any:
    def update(self: Any, template: Any, parameters: Any = None) -> None:
        gone = [name for name in self._resource_json_map if name not in template["Resources"]]
        self._before = dict(self._resource_json_map)
        original(self, template, parameters)
        for name in gone:
            self._parsed_resources.pop(name, None)

    return update


def _changing(original: Any) -> Any:
    def change(
        logical_id: str, resource_json: Any, resources_map: Any, account_id: str, region_name: str
    ) -> Any:
        old = resources_map._before.get(logical_id, resource_json)
        current = resources_map._parsed_resources.get(logical_id)
        kind = resource_json["Type"]
        found = modified(logical_id, old, resource_json)
        name = NAMES.get(kind, "")
        same = (old.get("Properties") or {}).get(name) == resource_json["Properties"].get(name)
        if found is not None and found.replacement == "True" and name and same and current:
            raise invalid(
                "CloudFormation cannot update a stack when a custom-named resource requires "
                f"replacing. Rename {current.physical_resource_id} and update the stack again."
            )
        if found is not None and found.replacement == "True":
            created = parsing.parse_and_create_resource(
                logical_id, resource_json, resources_map, account_id, region_name
            )
            if current is not None and old.get("UpdateReplacePolicy") not in RETAINED:
                # Clean-up of a replaced resource never fails the update (a full bucket stays).
                with suppress(ServiceException):
                    spared = {"Type": kind, "DeletionPolicy": None, "Properties": {}}
                    resources_map._delete_resource(current, spared)
            return created
        _in_place(current, kind, parsing.clean_json(resource_json, resources_map))
        if kind == "AWS::DynamoDB::Table":
            return current
        changed = original(logical_id, resource_json, resources_map, account_id, region_name)
        return marked(changed if changed is not None else current, kind, logical_id)

    return change


def _in_place(resource: Any, kind: str, resource_json: Any) -> None:
    """The properties moto would not change in place."""
    properties = resource_json.get("Properties") or {}
    match kind:
        case "AWS::DynamoDB::Table":
            resource.deletion_protection_enabled = properties.get("DeletionProtectionEnabled")
            resource.billing_mode = properties.get("BillingMode", "PROVISIONED")
        case "AWS::IAM::Role":
            for policy in properties.get("Policies", []):
                resource.put_policy(policy["PolicyName"], policy["PolicyDocument"])


# --- native errors, one at a time ---------------------------------------------------------


def _creating_stack(original: Any) -> Any:
    def create(self: Any, **given: Any) -> Any:
        protected = str(given.get("enable_termination_protection")).lower() == "true"
        given["enable_termination_protection"] = protected
        before = set(self.stacks)
        try:
            return original(self, **given)
        except FOREIGN as error:
            for stack_id in set(self.stacks) - before:
                self.stacks.pop(stack_id)
            raise native(error) from error

    return create


def _one_at_a_time(original: Any) -> Any:
    """moto's stacks have no locks; the service serialises changes to one stack itself."""

    def call(self: Any) -> Any:
        with _CHANGE:
            try:
                return original(self)
            except FOREIGN as error:
                raise native(error) from error

    return call


def _put(target: Any, name: str, value: Any) -> None:
    setattr(target, name, value)


def fill() -> None:
    """Put what is missing into moto. Call once, before the first request."""
    answers, backend = responses.CloudFormationResponse, models.CloudFormationBackend
    _put(answers, "update_termination_protection", _update_termination_protection)
    _put(answers, "delete_stack", _delete_stack_response)
    _put(answers, "describe_change_set", describe_change_set)
    _put(answers, "delete_change_set", delete_change_set)
    _put(answers, "create_change_set", creating_change_set(answers.create_change_set))
    answers.RESPONSE_KEY_PATH_TO_TRANSFORMER.pop("DescribeChangeSetOutput.Changes", None)
    _put(backend, "delete_stack", _delete_stack)
    _put(backend, "create_stack", _creating_stack(backend.create_stack))
    _put(backend, "update_stack", _updating_stack(backend.update_stack))
    _put(backend, "execute_change_set", executing(backend.execute_change_set))
    _put(models.ChangeSet, "diff", changes_of)
    mapping = parsing.ResourceMap
    _put(mapping, "_before", {})
    _put(mapping, "build_resource_diff", _plan)
    _put(mapping, "update", _updating(mapping.update))
    _put(mapping, "_delete_resource", _deleting(mapping._delete_resource))
    _put(parsing, "parse_and_update_resource", _changing(parsing.parse_and_update_resource))
    for name in ("create_stack", "update_stack", "delete_stack", "execute_change_set"):
        _put(answers, name, _one_at_a_time(getattr(answers, name)))

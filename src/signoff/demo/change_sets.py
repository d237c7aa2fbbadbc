"""Change sets as the service has them: `Replacement`, IMPORT, the right default and errors."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from moto.cloudformation import models
from moto.cloudformation.exceptions import AlreadyExistsException, CloudFormationError
from moto.core.responses import ActionResult, EmptyResult

from signoff.demo.physical import RETAINED, find_physical, invalid, marked
from signoff.demo.replacement import ResourceDiff, diff, parameters_of, resolved


def changes_of(self: Any) -> list[ResourceDiff]:
    """What the change set would do, with `Replacement` from the table of properties."""
    mapping = self.stack.resource_map
    given = {**mapping.input_parameters, **(self.parameters or {})}
    old = resolved(
        mapping._resource_json_map, parameters_of(mapping._template, mapping.input_parameters)
    )
    new = resolved(self.template_dict["Resources"], parameters_of(self.template_dict, given))
    retyped = [n for n in new if n in old and new[n].get("Type") != old[n].get("Type")]
    if retyped:
        raise invalid(
            "Update of resource type is not permitted. The new template modifies resource type "
            f"of the following resources: {retyped}"
        )
    self.physical = {
        name: getattr(resource, "physical_resource_id", None)
        for name, resource in mapping._parsed_resources.items()
    }
    return list(diff(old, new))


def _change_entry(change: ResourceDiff, physical: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Action": change.action,
        "LogicalResourceId": change.logical_id,
        "ResourceType": change.kind,
        "Scope": list(change.scope),
    }
    if physical:
        entry["PhysicalResourceId"] = physical
    policy = change.policy or "Delete"
    if change.action == "Remove":
        entry["PolicyAction"] = "Retain" if policy in RETAINED else policy
    if change.replacement in ("True", "Conditional"):
        entry["PolicyAction"] = "ReplaceAndRetain" if policy in RETAINED else "ReplaceAndDelete"
    if change.replacement:
        entry["Replacement"] = change.replacement
        entry["Details"] = [
            {
                "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": need},
                "Evaluation": "Static",
                "ChangeSource": "DirectModification",
            }
            for name, need in change.properties
        ]
    return {"Type": "Resource", "ResourceChange": entry}


def describe_change_set(self: Any) -> Any:
    """DescribeChangeSet, with `Replacement`, `Scope`, details and `Import`."""
    backend = self.cloudformation_backend
    change_set = _change_set(
        backend, self._get_param("ChangeSetName"), self._get_param("StackName")
    )
    imported = getattr(change_set, "imported", {})
    changes = []
    for change in change_set.changes:
        physical = change_set.physical.get(change.logical_id)
        entry = _change_entry(change, physical)
        if change.logical_id in imported:
            resource_change = entry["ResourceChange"]
            resource_change["Action"] = "Import"
            resource_change["PhysicalResourceId"] = imported[change.logical_id]
        changes.append(entry)
    return ActionResult(
        {
            "ChangeSetName": change_set.change_set_name,
            "ChangeSetId": change_set.change_set_id,
            "StackId": change_set.stack_id,
            "StackName": change_set.stack_name,
            "Description": change_set.description,
            "Parameters": change_set.parameters,
            "CreationTime": change_set.creation_time,
            "ExecutionStatus": change_set.execution_status,
            "Status": change_set.status,
            "StatusReason": change_set.status_reason,
            "NotificationARNs": change_set.notification_arns or [],
            "Capabilities": [],
            "Tags": change_set.tags or [],
            "Changes": changes,
            "ChangeSetType": change_set.change_set_type,
        }
    )


def _change_set(backend: Any, name: str, stack: str | None) -> Any:
    for one in reversed(list(backend.change_sets.values())):
        if name == one.change_set_id:
            return one
        if name == one.change_set_name and stack in (None, one.stack_name, one.stack_id):
            return one
    raise CloudFormationError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist")


def delete_change_set(self: Any) -> Any:
    """DeleteChangeSet of this stack's change set; one that is not there is no error."""
    with suppress(CloudFormationError):
        found = _change_set(
            self.cloudformation_backend,
            self._get_param("ChangeSetName"),
            self._get_param("StackName"),
        )
        del self.cloudformation_backend.change_sets[found.change_set_id]
    return EmptyResult()


def creating_change_set(original: Any) -> Any:
    """CreateChangeSet around moto's own."""

    def create(self: Any) -> Any:
        # The service's default is UPDATE; moto's is CREATE, which makes a second stack.
        kind, ask = self._get_param("ChangeSetType", "UPDATE"), self._get_param
        for one in self.cloudformation_backend.change_sets.values():
            known_as = (one.change_set_name, one.stack_name)
            if known_as == (ask("ChangeSetName"), ask("StackName")):
                raise AlreadyExistsException(f"ChangeSet {one.change_set_id} already exists")
        if kind == "IMPORT":
            return _create_import(self)
        name = ask("StackName")
        stacks = self.cloudformation_backend.stacks.values()
        if kind == "CREATE" and any(name in (one.name, one.stack_id) for one in stacks):
            raise invalid(
                f"Stack [{name}] already exists and cannot be created again with the changeSet "
                f"[{ask('ChangeSetName')}]."
            )
        self._get_param = lambda key, default=None: (
            kind if key == "ChangeSetType" else ask(key, default)
        )
        return original(self)

    return create


def _create_import(self: Any) -> Any:
    backend, name = self.cloudformation_backend, self._get_param("StackName")
    body = self._get_param("TemplateBody") or self._get_stack_from_s3_url(
        self._get_param("TemplateURL")
    )
    template = models.Stack.parse_template(body)
    account, region = self.current_account, self.region
    existing = next((one for one in backend.stacks.values() if one.name == name), None)
    known = existing.resource_map._resource_json_map if existing else {}
    wanted = {one["LogicalResourceId"]: one for one in self._get_param("ResourcesToImport", [])}
    unnamed = sorted(set(template["Resources"]) - set(wanted) - set(known))
    if unnamed:
        raise invalid(f"Resources {unnamed} is missing from ResourceToImport list")
    imported = {}
    for logical, one in wanted.items():
        imported[logical] = _importable(template, logical, one, account, region)
    parameters = {
        p["ParameterKey"]: p.get("ParameterValue") for p in self._get_param("Parameters", [])
    }
    change_set_id, stack_id = backend.create_change_set(
        stack_name=name,
        change_set_name=self._get_param("ChangeSetName"),
        template=body,
        parameters=parameters,
        description=self._get_param("Description"),
        change_set_type="UPDATE" if existing else "CREATE",
        tags={t["Key"]: t["Value"] for t in self._get_param("Tags", [])},
        role_arn=self._get_param("RoleARN"),
    )
    change_set = backend.change_sets[change_set_id]
    change_set.change_set_type, change_set.imported = "IMPORT", imported
    return ActionResult({"Id": change_set_id, "StackId": stack_id})


def _importable(template: Any, logical: str, one: Any, account: str, region: str) -> str:
    resource = template["Resources"].get(logical)
    kind = one["ResourceType"]
    if resource is None or resource["Type"] != kind:
        raise invalid(f"Resource [{logical}] to import is not in the template with type {kind}")
    if "DeletionPolicy" not in resource:
        raise invalid(
            f"Resources to import must have a DeletionPolicy attribute specified: [{logical}]"
        )
    identifier = one["ResourceIdentifier"]
    if isinstance(identifier, list):
        identifier = {pair["key"]: pair["value"] for pair in identifier}
    physical = str(next(iter(identifier.values()), ""))
    if find_physical(kind, physical, account, region) is None:
        raise invalid(f"Resource [{logical}] with identifier `{physical}` of {kind} was not found")
    for stack in models.cloudformation_backends[account][region].stacks.values():
        for held in stack.resource_map._parsed_resources.values():
            if getattr(held, "cf_resource_type", "") == kind and physical == getattr(
                held, "physical_resource_id", None
            ):
                raise invalid(f"Resource {physical} already exists in stack {stack.stack_id}")
    return physical


def executing(original: Any) -> Any:
    """ExecuteChangeSet around moto's own."""

    def execute(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        change_set = _change_set(self, change_set_name, stack_name)
        if change_set.execution_status != "AVAILABLE":
            raise CloudFormationError(
                "InvalidChangeSetStatus",
                f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current "
                f"status of [{change_set.execution_status}]",
            )
        stack = self.stacks[change_set.stack_id]
        if change_set.change_set_type == "IMPORT":
            _adopt(change_set, stack)
        else:
            original(self, change_set.change_set_id, stack_name)
        if change_set.parameters:
            stack.parameters = change_set.parameters
        stack._parse_template()
        stack.output_map = stack._create_output_map()
        stack.output_map._resource_map = stack.resource_map

    return execute


def _adopt(change_set: Any, stack: Any) -> None:
    """Put the existing physical resources into the stack, untouched."""
    mapping, template = stack.resource_map, change_set.template_dict
    for logical, physical in change_set.imported.items():
        kind = template["Resources"][logical]["Type"]
        found = find_physical(kind, physical, stack.account_id, stack.region_name)
        if found is None:
            raise invalid(f"Resource [{logical}] with identifier `{physical}` was not found")
        mapping._parsed_resources[logical] = marked(found, kind, logical)
    mapping._template, mapping._resource_json_map = template, template["Resources"]
    if change_set.parameters:
        mapping.input_parameters = change_set.parameters
    mapping.load()
    stack.template, stack.template_dict = change_set.template, template
    stack.description = template.get("Description")
    stack.status, change_set.execution_status = "IMPORT_COMPLETE", "EXECUTE_COMPLETE"
    stack._add_stack_event("IMPORT_COMPLETE")

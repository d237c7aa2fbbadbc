"""What a new template would do to each resource of a stack: kept, changed in place, replaced. Pure.

The table lists the properties whose update needs a new physical resource ("Update requires:
Replacement" in the CloudFormation template reference, checked for the types below); a
property of another type than these is taken to be changed in place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

# Update requires: Replacement (template reference, one entry per resource type).
ALWAYS: Mapping[str, frozenset[str]] = {
    "AWS::DynamoDB::Table": frozenset({"TableName", "KeySchema", "ImportSourceSpecification"}),
    "AWS::S3::Bucket": frozenset({"BucketName"}),
    "AWS::SQS::Queue": frozenset({"QueueName", "FifoQueue"}),
    "AWS::SNS::Topic": frozenset({"TopicName", "FifoTopic"}),
    "AWS::IAM::Role": frozenset({"RoleName", "Path"}),
    "AWS::IAM::ManagedPolicy": frozenset({"ManagedPolicyName", "Path", "Description"}),
    "AWS::SSM::Parameter": frozenset({"Name", "Type"}),
    "AWS::RDS::DBInstance": frozenset(
        {"DBInstanceIdentifier", "MasterUsername", "StorageEncrypted", "KmsKeyId", "DBName"}
    ),
    "AWS::RDS::DBCluster": frozenset(
        {"DBClusterIdentifier", "MasterUsername", "StorageEncrypted", "KmsKeyId", "DatabaseName"}
    ),
    "AWS::Logs::LogGroup": frozenset({"LogGroupName"}),
    "AWS::Lambda::Function": frozenset({"FunctionName", "PackageType"}),
}
# Update requires: "some interruptions" or "replacement" depending on the value.
SOMETIMES: Mapping[str, frozenset[str]] = {
    "AWS::DynamoDB::Table": frozenset({"LocalSecondaryIndexes", "SSESpecification"}),
    "AWS::RDS::DBInstance": frozenset({"Engine", "DBSnapshotIdentifier", "AvailabilityZone"}),
}
NAMES: Mapping[str, str] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::IAM::Role": "RoleName",
    "AWS::SSM::Parameter": "Name",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
}
# Attributes of a resource beside its properties; changing one touches nothing physical.
ATTRIBUTES = ("DeletionPolicy", "UpdateReplacePolicy", "Metadata", "UpdatePolicy", "CreationPolicy")


@dataclass(frozen=True)
class ResourceDiff:
    """One changed resource.

    `action`: `Add`, `Modify` or `Remove`. `replacement`: `True`, `False`, `Conditional`, as
    DescribeChangeSet says it, empty for additions and removals. `properties`: the changed
    property names with their `RequiresRecreation` (`Always`, `Conditionally`, `Never`).
    `scope`: `Properties`, `Tags`, or an attribute's name. `policy` decides what becomes of the
    old resource: its DeletionPolicy when removed, its UpdateReplacePolicy when replaced.
    """

    logical_id: str
    kind: str
    action: str
    replacement: str = ""
    properties: tuple[tuple[str, str], ...] = ()
    scope: tuple[str, ...] = ()
    policy: str = ""


def resolved(value: Any, parameters: Mapping[str, Any]) -> Any:
    """The JSON value with `Ref` and `${Name}` of the given stack parameters filled in."""
    match value:
        case {"Ref": str(name)} if name in parameters:
            return parameters[name]
        case {"Fn::Sub": str(text)}:
            for name, given in parameters.items():
                text = text.replace("${" + name + "}", str(given))
            return {"Fn::Sub": text} if "${" in text else text
        case dict():
            return {key: resolved(item, parameters) for key, item in value.items()}
        case list():
            return [resolved(item, parameters) for item in value]
        case _:
            return value


def parameters_of(template: Json, given: Mapping[str, Any]) -> dict[str, Any]:
    """The stack parameters: the template's defaults with the given values on top."""
    declared = template.get("Parameters") or {}
    defaults = {name: spec["Default"] for name, spec in declared.items() if "Default" in spec}
    return {**defaults, **given}


def _recreation(kind: str, name: str) -> str:
    if name in ALWAYS.get(kind, ()):
        return "Always"
    return "Conditionally" if name in SOMETIMES.get(kind, ()) else "Never"


def modified(logical_id: str, old: Json, new: Json) -> ResourceDiff | None:
    """How one resource differs, or None when it does not. Both sides are resolved JSON."""
    kind = str(new.get("Type", ""))
    before, after = old.get("Properties") or {}, new.get("Properties") or {}
    names = sorted(
        name for name in {*before, *after} if _canonical(before, name) != _canonical(after, name)
    )
    touched = tuple((name, _recreation(kind, name)) for name in names)
    attributes = tuple(name for name in ATTRIBUTES if old.get(name) != new.get(name))
    if not touched and not attributes:
        return None
    needs = {need for _, need in touched}
    replacement = "False"
    if "Always" in needs:
        replacement = "True"
    elif "Conditionally" in needs:
        replacement = "Conditional"
    scope: tuple[str, ...] = attributes
    if "Tags" in names:
        scope = ("Tags", *scope)
    if any(name != "Tags" for name in names):
        scope = ("Properties", *scope)
    policy = str(new.get("UpdateReplacePolicy") or "")
    return ResourceDiff(logical_id, kind, "Modify", replacement, touched, scope, policy)


def _canonical(properties: Json, name: str) -> str | None:
    return json.dumps(properties[name], sort_keys=True) if name in properties else None


def _refers(value: Any, names: set[str]) -> bool:
    match value:
        case {"Ref": str(name)}:
            return name in names
        case {"Fn::GetAtt": [str(name), *_]}:
            return name in names
        case dict():
            return any(_refers(item, names) for item in value.values())
        case list():
            return any(_refers(item, names) for item in value)
        case _:
            return False


def diff(old: Json, new: Json) -> tuple[ResourceDiff, ...]:
    """Every difference between two `Resources` maps (parameters already resolved).

    A resource that refers to a replaced one is itself modified, and conditionally replaced
    when the referring property needs recreation: CloudFormation knows the new value only
    when it executes.
    """
    found: dict[str, ResourceDiff] = {}
    for name in new:
        if name not in old:
            found[name] = ResourceDiff(name, str(new[name].get("Type", "")), "Add")
        elif (change := modified(name, old[name], new[name])) is not None:
            found[name] = change
    for name in old:
        if name not in new:
            policy = str(old[name].get("DeletionPolicy") or "")
            kind = str(old[name].get("Type", ""))
            found[name] = ResourceDiff(name, kind, "Remove", policy=policy)
    replaced = {name for name, change in found.items() if change.replacement == "True"}
    for name in new:
        if not replaced or name in replaced or name not in old:
            continue
        properties = new[name].get("Properties") or {}
        hit = sorted(key for key, value in properties.items() if _refers(value, replaced))
        if hit and name not in found:
            kind = str(new[name].get("Type", ""))
            touched = tuple((key, _recreation(kind, key)) for key in hit)
            certain = all(need == "Never" for _, need in touched)
            found[name] = ResourceDiff(
                name,
                kind,
                "Modify",
                "False" if certain else "Conditional",
                touched,
                ("Properties",),
            )
    return tuple(found.values())

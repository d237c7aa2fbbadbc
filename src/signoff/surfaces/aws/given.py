"""The action behind `{"service", "operation", "parameters"}` of the command line contract.

Total: what is not understood gives an action whose `unknown` says so. Values are brought
into the form the wire reader uses, so the same call explained and enforced is one digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.handlers import base64_encode_user_data, handle_copy_source_param
from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator

from signoff.model.action import Action
from signoff.model.errors import MalformedRequest
from signoff.model.values import EMPTY, Data, Value, canonical, freeze
from signoff.surfaces.aws.models import Models, Operation
from signoff.surfaces.aws.parse_json import document
from signoff.surfaces.aws.parse_rest import body_reference
from signoff.surfaces.aws.public import summary
from signoff.surfaces.aws.scalars import DEPTH_MOST, RESERVED_KEYS, clip, refuse

_MEMBERS = frozenset({"service", "operation", "parameters"})
# Where botocore's client encodes a member before it is written; the wire has the result.
_ENCODES_USER_DATA = frozenset({"ec2:RunInstances", "autoscaling:CreateLaunchConfiguration"})


def parse_given(models: Models, given: object, scope: Mapping[str, str]) -> Action:
    """The action an object of the contract stands for, with botocore's names.

    `scope` says where (`account`, `region`). Never raises.
    """
    where = {str(k): str(v) for k, v in scope.items()}
    service = operation = ""
    raw: object = EMPTY
    try:
        if not isinstance(given, Mapping):
            refuse("an action that is not an object", "`service`, `operation` and `parameters`")
        service, operation = _text(given, "service"), _text(given, "operation")
        raw = given.get("parameters") or {}
        surplus = sorted(str(k) for k in given if k not in _MEMBERS)
        if surplus:
            refuse(f"unknown member {clip(surplus[0])}", "only service, operation and parameters")
        facts = models.operation(service, operation)
        parameters = _read(facts, raw)
    except MalformedRequest as error:
        return _not_understood(service, operation, raw, where, str(error))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        return _not_understood(service, operation, raw, where, type(error).__name__)
    except (RecursionError, BotoCoreError) as error:
        return _not_understood(service, operation, raw, where, type(error).__name__)
    return Action(
        surface="aws",
        name=facts.action_name,
        parameters=parameters,
        scope=MappingProxyType(where),
        generated=facts.generated,
        public=summary(facts, parameters),
    )


def _text(given: Mapping[Any, object], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        refuse(f"an action without `{name}`", "", "use botocore's names")
    return value


def _not_understood(
    service: str, operation: str, raw: object, scope: Mapping[str, str], why: str
) -> Action:
    """An action that is `unknown`, with as much of it kept as can be kept."""
    try:
        kept = freeze(raw)
        parameters = kept if isinstance(kept, Mapping) else EMPTY
        name = f"{service}:{operation}" if service or operation else "unknown"
        canonical([parameters, name])
    except (TypeError, ValueError, RecursionError):
        parameters, name = EMPTY, "unknown"
    return Action(
        surface="aws",
        name=name,
        parameters=parameters,
        scope=MappingProxyType(dict(scope)),
        unknown=(why,),
    )


def _read(operation: Operation, raw: object) -> Data:
    if not isinstance(raw, Mapping):
        refuse("`parameters` is not an object")
    parameters: dict[str, Any] = {k: v for k, v in raw.items() if v is not None}
    if operation.input is None:
        if parameters:
            refuse(f"unknown parameter {clip(str(next(iter(parameters))))}")
        return EMPTY
    if operation.service == "s3":
        handle_copy_source_param(parameters)
        parameters.pop("ContentLength", None)
    if operation.action_name in _ENCODES_USER_DATA:
        base64_encode_user_data(parameters)
    held = parameters.get(operation.body) if operation.raw else None
    if isinstance(held, Mapping) and set(held) == {"$body"}:
        parameters[operation.body] = b""
    report = ParamValidator().validate(parameters, operation.input)
    if report.has_errors():
        refuse("parameters the model does not accept", report.generate_report().split("\n")[0])
    found = dict(_structure(operation.input, parameters, 0))
    if operation.raw and operation.body in found:
        body = found[operation.body]
        found[operation.body] = body_reference(body if isinstance(body, bytes) else b"")
        if isinstance(held, Mapping) and set(held) == {"$body"}:
            found[operation.body] = freeze(held)
    return MappingProxyType(found)


def _structure(shape: Any, value: Mapping[str, object], depth: int) -> Data:
    members = shape.members
    return MappingProxyType(
        {k: _value(members[k], v, depth + 1) for k, v in value.items() if v is not None}
    )


def _value(shape: Any, value: Any, depth: int) -> Value:
    if depth > DEPTH_MOST:
        refuse("parameters that nest too deep", f"at most {DEPTH_MOST} levels are read")
    match shape.type_name:
        case "structure":
            if shape.metadata.get("document"):
                return document(value, shape.name, depth)
            return _structure(shape, value, depth)
        case "list":
            return tuple(_value(shape.member, item, depth + 1) for item in value)
        case "map":
            if RESERVED_KEYS & value.keys():
                refuse(f"{clip(shape.name)} has a key that cannot be kept")
            return MappingProxyType(
                {k: _value(shape.value, v, depth + 1) for k, v in value.items()}
            )
        case "timestamp":
            moment: datetime = parse_to_aware_datetime(value)
            return moment.astimezone(UTC)
        case "blob":
            if isinstance(value, str):
                return value.encode("utf-8")
            if isinstance(value, (bytes, bytearray)):
                return bytes(value)
            refuse(f"{clip(shape.name)} is not bytes")
        case "float" | "double":
            return value if isinstance(value, int) else float(value)
    if shape.serialization.get("jsonvalue"):
        return document(value, shape.name, depth)
    frozen: Value = freeze(value)
    canonical(frozen).decode("utf-8")
    return frozen

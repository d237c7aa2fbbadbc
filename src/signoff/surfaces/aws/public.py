"""What of an action's parameters may be written down. Pure.

A receipt outlives its secret, so the rule is a list of what may be kept, not of what may
not: numbers, booleans, values out of a fixed list, and short texts in members that name
things. Everything else is replaced by its type and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from signoff.model.values import Data, Value
from signoff.surfaces.aws.models import Operation

TEXT_MOST = 256

_NAMING = (
    "name",
    "names",
    "id",
    "arn",
    "identifier",
    "bucket",
    "prefix",
    "url",
    "version",
    "type",
    "engine",
    "class",
    "status",
    "region",
    "path",
    "alias",
    "mode",
    "resource",
)
_SECRET = (
    "password",
    "passphrase",
    "secret",
    "token",
    "credential",
    "privatekey",
    "keymaterial",
    "ssecustomerkey",
    "authcode",
    "plaintext",
)
# Names of things, though the word is in them.
_NOT_SECRET = frozenset({"SecretId", "SecretArn"})


def summary(operation: Operation, parameters: Data) -> Data:
    """The parameters as receipts keep them; total, whatever the parameters hold."""
    members: Mapping[str, Any] = operation.input.members if operation.input is not None else {}
    found: dict[str, Value] = {}
    for name, value in parameters.items():
        shape = members.get(name)
        lower = name.lower()
        if shape is None or name in operation.sensitive:
            continue
        if name not in _NOT_SECRET and any(word in lower for word in _SECRET):
            continue
        found[name] = _shown(name, shape, value)
    return MappingProxyType(found)


def _shown(name: str, shape: Any, value: Value) -> Value:
    match value:
        case bool() | int() | float() | None:
            return value
        case str():
            names = name == "Key" or name.lower().endswith(_NAMING)
            if len(value) <= TEXT_MOST and (value in shape.metadata.get("enum", ()) or names):
                # A query string may carry a signature that works outside the gates.
                return value.partition("?")[0] if "://" in value else value
            return f"text of {len(value)} characters"
        case bytes():
            return f"{len(value)} bytes"
        case tuple():
            return f"list of {len(value)}"
        case Mapping():
            body = value.get("$body")
            if isinstance(body, Mapping):
                return f"body of {body.get('size')!r} bytes"
            return f"{shape.type_name} of {len(value)}"
    return value.isoformat()

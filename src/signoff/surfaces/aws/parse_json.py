"""Reading the JSON and CBOR bodies of the json, rest-json and rpc-v2-cbor protocols. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from signoff.model.values import EMPTY, Data, Value
from signoff.surfaces.aws import cbor
from signoff.surfaces.aws.scalars import DEPTH_MOST, RESERVED_KEYS, clip, from_json, refuse


def json_tree(body: bytes) -> object:
    """The plain data a JSON body holds; what could be read in two ways is refused."""
    try:
        text = body.decode("utf-8")
        tree = _DECODER.decode(text)
        if "\\u" in text:
            # A lone surrogate has no UTF-8 form, so nobody could write it down again.
            json.dumps(tree, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        refuse("a body that is not UTF-8")
    except UnicodeEncodeError:
        refuse("a text with half a surrogate pair")
    except RecursionError:
        refuse("a body that nests too deep", f"at most {DEPTH_MOST} levels are read")
    except ValueError as error:
        refuse("a body that is not JSON", clip(str(error)))
    return tree


def cbor_tree(body: bytes) -> object:
    """The plain data a CBOR body holds; what could be read in two ways is refused."""
    try:
        return cbor.decode(body)
    except (ValueError, RecursionError) as error:
        refuse("a body that is not CBOR as the protocol uses it", clip(str(error)))


def read_tree(shape: Any, tree: object, names: Mapping[str, str] | None = None) -> Data:
    """The parameters by botocore's names; `names` limits which wire names are allowed."""
    if not isinstance(tree, dict):
        refuse("a body that is not an object", f"got a value of type `{type(tree).__name__}`")
    if shape is None:
        if tree:
            refuse(f"unknown member {clip(str(next(iter(tree))))}", "the operation takes none")
        return EMPTY
    return structure(shape, tree, "", 0, names)


def wire_names(shape: Any) -> Mapping[str, str]:
    """Wire name to botocore's name, of the members that stand in the body."""
    known = shape._cache.get("signoff-wire-names")
    if known is None:
        known = {
            str(member.serialization.get("name", name)): name
            for name, member in shape.members.items()
            if "location" not in member.serialization
        }
        shape._cache["signoff-wire-names"] = known
    return known  # type: ignore[no-any-return]  # botocore's cache is untyped


def structure(
    shape: Any,
    tree: dict[str, object],
    where: str,
    depth: int,
    names: Mapping[str, str] | None = None,
) -> Data:
    """A structure; null members count as absent, members of another name are refused."""
    if depth > DEPTH_MOST:
        refuse("a body that nests too deep", f"at most {DEPTH_MOST} levels are read")
    if names is None:
        names = wire_names(shape)
    members = shape.members
    found = {}
    for wire, value in tree.items():
        name = names.get(wire)
        if name is None:
            _unknown(where, wire)
        if value is not None:
            inner = f"{where}.{name}" if where else name
            found[name] = read_value(members[name], value, inner, depth + 1)
    return MappingProxyType(found)


def read_value(shape: Any, value: object, where: str, depth: int) -> Value:
    """One value of the given shape, whatever its type."""
    match shape.type_name:
        case "structure":
            if shape.metadata.get("document"):
                return document(value, where, depth)
            if not isinstance(value, dict):
                refuse(f"{clip(where)} is not an object")
            return structure(shape, value, where, depth)
        case "list":
            if not isinstance(value, list):
                refuse(f"{clip(where)} is not a list")
            if depth > DEPTH_MOST:
                refuse("a body that nests too deep", f"at most {DEPTH_MOST} levels are read")
            member = shape.member
            return tuple(read_value(member, item, where, depth + 1) for item in value)
        case "map":
            return _mapping(shape, value, where, depth)
    return from_json(shape, value, clip(where))


def _mapping(shape: Any, value: object, where: str, depth: int) -> Data:
    if not isinstance(value, dict):
        refuse(f"{clip(where)} is not an object")
    if depth > DEPTH_MOST:
        refuse("a body that nests too deep", f"at most {DEPTH_MOST} levels are read")
    member = shape.value
    found = {}
    for key, item in value.items():
        if key in RESERVED_KEYS:
            refuse(f"{clip(where)} has a key that cannot be kept", f"got {clip(key)}")
        found[key] = read_value(member, item, f"{where}.{key}", depth + 1)
    return MappingProxyType(found)


def document(value: object, where: str, depth: int) -> Value:
    """A value without a model: any JSON, kept as it is."""
    if depth > DEPTH_MOST:
        refuse("a body that nests too deep", f"at most {DEPTH_MOST} levels are read")
    if isinstance(value, dict):
        if RESERVED_KEYS & value.keys():
            refuse(f"{clip(where)} has a key that cannot be kept")
        return MappingProxyType({k: document(v, where, depth + 1) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(document(v, where, depth + 1) for v in value)
    if value is not None and not isinstance(value, (str, int, float, bool)):
        refuse(f"{clip(where)} is not JSON")
    return value


def _unknown(where: str, wire: str) -> NoReturn:
    path = f"{where}.{wire}" if where else wire
    refuse(f"unknown member {clip(path)}", "the model of the operation lacks it")


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number out of range")
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_float=_finite, parse_constant=_constant
)

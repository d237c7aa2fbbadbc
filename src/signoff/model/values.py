"""Plain data: freezing it, thawing it, and its one canonical text.

Everything that is signed, hashed or compared passes `canonical`, so two values
are equal exactly when their canonical bytes are. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | bytes | datetime | None
Value: TypeAlias = "Scalar | Mapping[str, Value] | tuple[Value, ...]"
Data: TypeAlias = Mapping[str, Value]


class _Empty(Mapping[str, "Value"]):
    """A mapping without members that can be hashed, which Python 3.11 asks of a default."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Value:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


EMPTY: Data = _Empty()


def freeze(value: object) -> Value:
    """The same data with mappings read-only and sequences as tuples.

    Raises `TypeError` for what is not plain data (sets, objects, non-text keys).
    """
    if value is None or isinstance(value, (str, bool, int, float, bytes, datetime)):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, Mapping):
        return MappingProxyType({_key(k): freeze(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    raise TypeError(f"not plain data: `{type(value).__name__}`")


def frozen(**members: object) -> Data:
    """A read-only mapping of the given members, frozen all the way down."""
    return MappingProxyType({k: freeze(v) for k, v in members.items()})


def thaw(value: object) -> object:
    """The same data with ordinary dicts and lists, for libraries that want them."""
    if isinstance(value, Mapping):
        return {k: thaw(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(v) for v in value]
    return value


def canonical(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no blanks (the subset of RFC 8785 Signoff needs).

    Bytes become `{"$bytes": base64}` and times `{"$time": ISO 8601}`; a number that is
    not finite raises `ValueError`, anything that is not plain data `TypeError`.
    """
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


def uncanonical(text: bytes | str) -> Value:
    """Frozen data from canonical bytes; raises `ValueError` for anything else."""
    return freeze(json.loads(text, object_hook=_decode))


def digest(value: object) -> str:
    """The lower-case hexadecimal SHA-256 of the canonical bytes: 64 characters."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is text, not `{type(key).__name__}`")
    return key


def _encode(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"not plain data: `{type(value).__name__}`")


_ENCODER = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    default=_encode,
)


def _decode(members: dict[str, object]) -> object:
    """The value a tag stands for. What only looks like a tag stays the mapping it is: it
    must have the very text that `canonical` would write for the value."""
    if len(members) == 1:
        for tag, text in members.items():
            if not isinstance(text, str):
                break
            try:
                if tag == "$bytes":
                    raw = base64.b64decode(text, validate=True)
                    return raw if base64.b64encode(raw).decode() == text else members
                if tag == "$time":
                    moment = datetime.fromisoformat(text)
                    return moment if moment.isoformat() == text else members
            except ValueError:
                break
    return members

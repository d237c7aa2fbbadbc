"""Policy documents: read strictly, with the file and line of every statement. Pure.

What AWS would refuse is refused here too (duplicate keys, an unknown Version, a statement
with both Action and NotAction), because two readers of one text must not disagree.
Source: AWS IAM User Guide, "Grammar of the IAM JSON policy language".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from json.decoder import scanstring  # type: ignore[attr-defined]  # public in the C module
from typing import Any

from signoff.model.errors import SignoffError

DOCUMENT_MOST = 1_048_576
"""Largest policy document that is read, in characters; AWS's own limit is 20,480."""
STATEMENTS_MOST = 2_000
VERSIONS = ("2012-10-17", "2008-10-17")
NEXT = "give the policy document itself, as AWS shows it under JSON"


class Layer(str, Enum):
    """What a policy is attached as. `identity` grants, the others only limit; `trust` says
    who may assume a role."""

    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SCP = "scp"
    SESSION = "session"
    TRUST = "trust"


@dataclass(frozen=True, slots=True)
class Clause:
    """One line of a Condition: an operator, a key and its values, any of which may match."""

    operator: str
    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.operator} {self.key} [{', '.join(self.values)}]"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `actions` are patterns, or what is left out when `not_action`; the same
    for `resources`. `principals` are `(kind, name)` pairs of a trust policy. `variables` says
    whether `${...}` is replaced (not before Version 2012-10-17)."""

    allow: bool
    actions: tuple[str, ...]
    not_action: bool
    resources: tuple[str, ...]
    not_resource: bool
    conditions: tuple[Clause, ...]
    principals: tuple[tuple[str, str], ...] = ()
    not_principal: bool = False
    sid: str = ""
    policy: str = ""
    file: str = ""
    line: int = 0
    path: str = ""
    variables: bool = True
    source: str = ""

    @property
    def place(self) -> str:
        """Where it stands: the policy's name, and `file:line` or the path within the file."""
        at = f"{self.file}:{self.line}" if self.line else f"{self.file} {self.path}".strip()
        return f"{self.policy} ({at})" if self.policy and at else self.policy or at


@dataclass(frozen=True, slots=True)
class Policy:
    """One document: its name, what it is attached as, and its statements in order."""

    name: str
    layer: Layer
    statements: tuple[Statement, ...]


def parse_json(text: str, file: str, most: int = DOCUMENT_MOST) -> Any:
    """JSON without duplicate keys. Raises `SignoffError` with file, line and column."""
    if len(text) > most:
        why = f"it has {len(text):,} characters, and at most {most:,} are read"
        raise SignoffError(f"`{file}` is too large", why, "split it, or name one role")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SignoffError(
            f"`{file}` is not JSON", f"{where}: {error.msg.lower()}", "correct it at that line"
        ) from error
    except _Duplicate as error:
        why = f"an object has the key `{error.args[0]}` twice, and AWS and others may differ"
        raise SignoffError(f"`{file}` is ambiguous", why, "leave one of the two") from error
    except (RecursionError, ValueError) as error:
        why = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        raise SignoffError(f"`{file}` cannot be read", why, NEXT) from error


class _Duplicate(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Duplicate(key[:80])
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"`{name}` is no JSON number")


def read_policy(text: str, name: str, layer: Layer, file: str = "") -> Policy:
    """A policy from the text of its document. Raises `SignoffError` for what AWS would
    refuse, with the file and line."""
    return policy_of(parse_json(text, file or name), name, layer, file, text)


def policy_of(
    document: object, name: str, layer: Layer, file: str = "", text: str = "", at: str = ""
) -> Policy:
    """A policy from a document already parsed. `at` is its path within the file, as in
    `Policies[3].Document`; `text` (the file's) gives the lines."""
    reading = _Reading(name, layer, file, text, at)
    if not isinstance(document, Mapping):
        raise reading.wrong("", f"a policy is an object, not {_kind(document)}")
    version = document.get("Version", VERSIONS[1])
    if version not in VERSIONS:
        why = f"Version is `{_short(version)}`, and IAM knows {' and '.join(VERSIONS)}"
        raise reading.wrong("Version", why)
    given = document.get("Statement")
    listed = given if isinstance(given, list) else [given]
    if given is None or not listed:
        raise reading.wrong("", "it has no Statement")
    if len(listed) > STATEMENTS_MOST:
        why = f"{len(listed):,} statements, and at most {STATEMENTS_MOST:,} are read"
        raise reading.wrong("Statement", why)
    statements = []
    for number, one in enumerate(listed):
        path = f"Statement[{number}]" if isinstance(given, list) else "Statement"
        statements.append(reading.statement(one, path, version == VERSIONS[0]))
    return Policy(name, layer, tuple(statements))


@dataclass(frozen=True)
class _Reading:
    name: str
    layer: Layer
    file: str
    text: str
    at: str

    def wrong(self, path: str, why: str) -> SignoffError:
        full = ".".join(p for p in (self.at, path) if p)
        line = line_of(self.text, full) if self.text else 0
        place = f"line {line}, " if line else ""
        told = f"{place}`{full}`: {why}" if full else why
        inside = f" in `{self.file}`" if self.file not in ("", self.name) else ""
        shown = f"`{self.name}`{inside}"
        return SignoffError(f"the policy {shown} cannot be read", told, NEXT)

    def statement(self, given: object, path: str, variables: bool) -> Statement:
        if not isinstance(given, Mapping):
            raise self.wrong(path, f"a statement is an object, not {_kind(given)}")
        unknown = set(given) - _MEMBERS
        if unknown:
            raise self.wrong(path, f"`{_short(min(unknown))}` is no member of a statement")
        if given.get("Effect") not in ("Allow", "Deny"):
            why = f"Effect is `{_short(given.get('Effect'))}`, not `Allow` or `Deny`"
            raise self.wrong(path, why)
        actions, not_action = self._either(given, path, "Action", needed=True)
        trust = self.layer is Layer.TRUST
        resources, not_resource = self._either(given, path, "Resource", needed=not trust)
        principals, not_principal = self._principals(given, path)
        full = ".".join(p for p in (self.at, path) if p)
        return Statement(
            allow=given["Effect"] == "Allow",
            actions=actions,
            not_action=not_action,
            resources=resources or ("*",),
            not_resource=not_resource,
            conditions=self._conditions(given.get("Condition", {}), path),
            principals=principals,
            not_principal=not_principal,
            sid=str(given.get("Sid", "")),
            policy=self.name,
            file=self.file,
            line=line_of(self.text, full) if self.text else 0,
            path=full,
            variables=variables,
            source=json.dumps(given, ensure_ascii=False),
        )

    def _either(
        self, given: Mapping[str, Any], path: str, name: str, needed: bool
    ) -> tuple[tuple[str, ...], bool]:
        negated = f"Not{name}"
        if name in given and negated in given:
            raise self.wrong(path, f"it has both {name} and {negated}")
        found = given.get(name, given.get(negated))
        if found is None:
            if needed:
                raise self.wrong(path, f"it has neither {name} nor {negated}")
            return (), False
        used = name if name in given else negated
        values = self._texts(found, f"{path}.{used}")
        if name == "Action":
            for value in values:
                if value != "*" and ":" not in value:
                    raise self.wrong(f"{path}.{used}", f"`{_short(value)}` names no service")
        return values, negated in given

    def _texts(self, given: object, path: str) -> tuple[str, ...]:
        listed = given if isinstance(given, list) else [given]
        if not listed or not all(isinstance(v, str) and v for v in listed):
            raise self.wrong(path, "it is a text or a list of texts, none of them empty")
        return tuple(listed)

    def _conditions(self, given: object, path: str) -> tuple[Clause, ...]:
        if not isinstance(given, Mapping):
            raise self.wrong(f"{path}.Condition", f"it is an object, not {_kind(given)}")
        clauses = []
        for operator, keys in given.items():
            if not isinstance(keys, Mapping):
                raise self.wrong(f"{path}.Condition.{operator}", f"no object but {_kind(keys)}")
            for key, values in keys.items():
                listed = values if isinstance(values, list) else [values]
                if not all(isinstance(v, str | int | float | bool) for v in listed):
                    raise self.wrong(f"{path}.Condition.{operator}", "values are texts")
                texts = tuple(_written(v) for v in listed)
                clauses.append(Clause(str(operator), str(key), texts))
        return tuple(clauses)

    def _principals(
        self, given: Mapping[str, Any], path: str
    ) -> tuple[tuple[tuple[str, str], ...], bool]:
        negated = "NotPrincipal" in given
        found = given.get("NotPrincipal" if negated else "Principal")
        if self.layer is not Layer.TRUST:
            if found is not None:
                why = "only trust and resource policies have a Principal"
                raise self.wrong(path, why)
            return (), False
        if found is None:
            raise self.wrong(path, "a trust policy names a Principal")
        if found == "*":
            return (("AWS", "*"),), negated
        if not isinstance(found, Mapping):
            raise self.wrong(path, f"Principal is an object or `*`, not {_kind(found)}")
        pairs = []
        for kind, names in found.items():
            pairs += [(str(kind), n) for n in self._texts(names, f"{path}.Principal.{kind}")]
        return tuple(pairs), negated


_MEMBERS = {
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
    "Principal",
    "NotPrincipal",
}


def renamed(policy: Policy, name: str, layer: Layer) -> Policy:
    """The same document attached under another name, as something else."""
    statements = tuple(replace(s, policy=name) for s in policy.statements)
    return Policy(name, layer, statements)


def line_of(text: str, path: str) -> int:
    """The line (from 1) at which the value at a path such as `Policies[3].Statement[0]` begins;
    of the last part that exists. 0 for a text that is no JSON."""
    at = _value(text, 0)
    for part in _parts(path):
        inner = _inner(text, at, part)
        if inner is None:
            break
        at = inner
    return text.count("\n", 0, at) + 1 if text else 0


_DECODER = json.JSONDecoder()


def _parts(path: str) -> list[str | int]:
    parts: list[str | int] = []
    for member in path.split("."):
        name, *indexes = member.split("[")
        parts += [name] if name else []
        parts += [int(i.rstrip("]")) for i in indexes if i.rstrip("]").isdigit()]
    return parts


def _value(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n,:":
        at += 1
    return at


def _inner(text: str, at: int, part: str | int) -> int | None:
    """The place of a member's or an entry's value within the value that begins at `at`."""
    if at >= len(text) or text[at] != ("{" if isinstance(part, str) else "["):
        return None
    at, count = _value(text, at + 1), 0
    while at < len(text) and text[at] not in "}]":
        if isinstance(part, str):
            key, at = scanstring(text, at + 1, True)
            at = _value(text, at)
            if key == part:
                return at
        elif count == part:
            return at
        _, at = _DECODER.raw_decode(text, at)
        at, count = _value(text, at), count + 1
    return None


def _written(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(value: object) -> str:
    return str(value)[:60]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "nothing"}
    return names.get(type(value), "a number")

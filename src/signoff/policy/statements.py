"""Cedar text to policies, each with its place, its `@id` and its `@why`. Pure.

Files are cut into statements first, so that an error names the file and the line of the
policy at fault; each statement is then parsed and validated by Cedar on its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cedarpy

from signoff.model.errors import PolicyInvalid

ANNOTATIONS: Mapping[str, str] = {
    "id": "unique name of the policy: lower-case letters, digits and `-`; what receipts cite",
    "why": "one line, shown to the agent and to the people who sign",
    "boundary": "marks a boundary: `two-person` can be lowered for one environment, `never` cannot",
    "next": "one line: what the agent can do instead",
}
BOUNDARY_KINDS = frozenset({"two-person", "never"})
LINE_MOST = 240
NESTED_MOST = 300
"""Levels of Cedar's JSON form in one policy; a chain of 140 `||` has about that many."""
BRACKETS_MOST = 100
OPERATORS_MOST = 4_000
_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True)
class Source:
    """One Cedar file: its name as messages show it, and its text."""

    name: str
    text: str


@dataclass(frozen=True)
class Policy:
    """One parsed policy. `est` is Cedar's own JSON form, without a positional id;
    `shipped` says that it came with Signoff and not from the owner."""

    id: str
    why: str
    file: str
    line: int
    est: Mapping[str, Any]
    boundary: str = ""
    next_step: str = ""
    shipped: bool = False

    @property
    def effect(self) -> str:
        """`permit` or `forbid`."""
        return str(self.est["effect"])

    @cached_property
    def paths(self) -> frozenset[str]:
        """What of the context its conditions read: `approvals`, `target.uid`; `target` and
        the empty path when a record is read as a whole."""
        return frozenset(_paths(self.est["conditions"]))


def statements(source: Source) -> Iterator[tuple[int, str]]:
    """Each statement with the line (from 1) it begins on; comments before it are left out.

    Raises `PolicyInvalid` for a string or a statement that never ends.
    """
    text, start, line, begun = source.text, 0, 1, 0
    at, end = 0, len(text)
    while at < end:
        letter = text[at]
        if text.startswith("//", at):
            skip = text.find("\n", at)
            skip = end if skip < 0 else skip
            if not begun:
                start = skip
            at = skip
            continue
        if letter == '"':
            begun = begun or line
            close = _string_end(text, at)
            if close < 0:
                raise _invalid(source.name, line, "a string never ends", "close it with a quote")
            line += text.count("\n", at, close)
            at = close
            continue
        if letter == ";":
            yield begun or line, text[start : at + 1]
            start, begun = at + 1, 0
        elif not letter.isspace():
            if not begun:
                begun, start = line, at
        elif letter == "\n":
            line += 1
        at += 1
    if begun:
        raise _invalid(source.name, begun, "the policy never ends", "close it with `;`")


def policies(source: Source, schema: cedarpy.Schema, *, shipped: bool = False) -> list[Policy]:
    """Every policy of a file, parsed and strictly validated.

    Raises `PolicyInvalid` naming file and line: not Cedar, not valid under the schema, a
    template, no `@id`, no one-line `@why`, or an annotation nobody knows.
    """
    return [_policy(source.name, line, text, schema, shipped) for line, text in statements(source)]


def _policy(name: str, line: int, text: str, schema: cedarpy.Schema, shipped: bool) -> Policy:
    _refuse_deep(name, line, text)
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except RecursionError as error:
        raise _invalid(name, line, *_DEEP) from error
    except ValueError as error:
        raise _invalid(name, line, f"not a Cedar policy: {_one_line(error)}", "") from error
    if parsed["templates"] or parsed["templateLinks"]:
        raise _invalid(name, line, "a template decides nothing", "write the policy out")
    if len(parsed["staticPolicies"]) != 1:
        raise _invalid(name, line, "no policy before `;`", "remove it")
    (est,) = parsed["staticPolicies"].values()
    if _depth(est) > NESTED_MOST:
        raise _invalid(name, line, *_DEEP)
    notes = est.get("annotations", {})
    _check_annotations(name, line, notes)
    checked = cedarpy.validate_policies(text, schema)
    if not checked.validation_passed:
        why = "; ".join(_one_line(e.error) for e in checked.errors) or "refused by the schema"
        raise _invalid(name, line, f"`{notes['id']}` is not valid: {why}", "see policy.md")
    return Policy(
        id=notes["id"],
        why=notes["why"],
        file=name,
        line=line,
        est=est,
        boundary=notes.get("boundary", ""),
        next_step=notes.get("next", ""),
        shipped=shipped,
    )


def _check_annotations(name: str, line: int, notes: Mapping[str, str | None]) -> None:
    for key, value in notes.items():
        if key not in ANNOTATIONS:
            known = ", ".join(f"`@{k}`" for k in ANNOTATIONS)
            raise _invalid(name, line, f"nobody knows the annotation `@{key}`", f"use {known}")
        text = value or ""
        if not text.strip() or len(text) > LINE_MOST or not text.isprintable():
            raise _invalid(
                name, line, f"`@{key}` is not one line of 1 to {LINE_MOST} characters", ""
            )
    for key in ("id", "why"):
        if key not in notes:
            raise _invalid(name, line, f"the policy has no `@{key}`", f'write `@{key}("...")`')
    if not set(notes["id"] or "") <= _ID_LETTERS:
        raise _invalid(
            name, line, f"`{notes['id']}` is not an id", "use lower-case letters, digits and `-`"
        )
    if "boundary" in notes and notes["boundary"] not in BOUNDARY_KINDS:
        raise _invalid(
            name,
            line,
            f"`{notes['boundary']}` is no kind of boundary",
            "use `two-person` or `never`",
        )


_DEEP = (
    f"its conditions nest more than {NESTED_MOST} levels deep",
    "split it into several policies, or name the values in one list",
)


def _refuse_deep(name: str, line: int, text: str) -> None:
    """Refuse what would overflow the stack of Cedar's parser, which ends the process.

    Counting letters settles nearly every policy; only what exceeds that is walked.
    """
    brackets = sum(map(text.count, "([{"))
    operators = sum(map(text.count, "&|!+-*.<>=[")) + 4 * text.count("if")
    if brackets <= BRACKETS_MOST and operators <= OPERATORS_MOST:
        return
    depth = deepest = operators = at = 0
    while at < len(text):
        letter = text[at]
        if letter == '"':
            at = _string_end(text, at)
            continue
        if text.startswith("//", at):
            at = text.find("\n", at) % (len(text) + 1)
            continue
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
        operators += 4 if text.startswith("if", at) else letter in "&|!+-*.<>=["
        at += 1
    if deepest > BRACKETS_MOST or operators > OPERATORS_MOST:
        raise _invalid(name, line, *_DEEP)


def _depth(est: object) -> int:
    """How many levels of mappings and lists there are, counted without recursion."""
    level: list[object] = [est]
    depth = 0
    while level:
        depth += 1
        inner = (
            node.values() if isinstance(node, Mapping) else node
            for node in level
            if isinstance(node, (Mapping, list))
        )
        level = [value for values in inner for value in values]
    return depth


def _string_end(text: str, at: int) -> int:
    """The place after the closing quote of the string that opens at `at`; -1 if none."""
    at += 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] == '"':
            return at + 1
        else:
            at += 1
    return -1


def _paths(node: object) -> Iterator[str]:
    """Every path below `context` that an expression reads (`.`) or asks for (`has`)."""
    if isinstance(node, Mapping):
        path = path_of(node)
        if path is not None:
            yield path
            return
        for value in node.values():
            yield from _paths(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _paths(value)


def path_of(node: Mapping[str, Any]) -> str | None:
    """The path of one expression that is nothing but a path below `context`."""
    if node.get("Var") == "context":
        return ""
    for operator in (".", "has"):
        inner = node.get(operator)
        if isinstance(inner, Mapping) and isinstance(inner.get("left"), Mapping):
            above = path_of(inner["left"])
            if above is not None:
                return f"{above}.{inner['attr']}" if above else str(inner["attr"])
    return None


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _invalid(name: str, line: int, why: str, next_step: str) -> PolicyInvalid:
    return PolicyInvalid(f"the policies do not load: `{name}` line {line}", why, next_step)

"""Settings files as trees in which every value knows its line: JSON with comments, TOML, YAML.

Agents read their settings more tolerantly than the standards ask (comments, trailing
commas), so this does too; what it cannot read is an error with a line, never a guess. Pure.
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]  # the package ships no types

DEPTH_MOST = 100
NODES_MOST = 200_000
TEXT_MOST = 4_000_000
"""Bounds on one settings file: nesting, values, characters."""

_BLANK = " \t\r\n\ufeff"


class Unreadable(ValueError):
    """A settings file that is not what its name says; `line` is 0 when it has no place."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.why, self.line = why, line


@dataclass(frozen=True)
class Node:
    """One value and the 1-based line it starts on. `value` is a text, number, flag or None,
    a dict of nodes by name, or a list of nodes."""

    value: object
    line: int

    @property
    def members(self) -> Mapping[str, Node]:
        """The members of an object; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def elements(self) -> list[Node]:
        """The elements of a list; none for anything else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def text(self) -> str:
        """The text, or nothing when it is no text."""
        return self.value if isinstance(self.value, str) else ""

    def plain(self) -> object:
        """The value without its lines."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Found:
    """A node a pattern led to: its key as people write it, the last name, and whom it is in."""

    key: str
    name: str
    node: Node
    parents: tuple[Node, ...]


def read_tree(text: str, form: str) -> Node:
    """The tree of a settings file; `form` is `json`, `toml`, `yaml` or
    `starlark` (files of `prefix_rule(...)` calls). Raises `Unreadable`."""
    if len(text) > TEXT_MOST:
        raise Unreadable(f"it has {len(text)} characters, at most {TEXT_MOST} are read")
    if "\0" in text:
        raise Unreadable("it holds a NUL character")
    readers = {
        "json": _read_json,
        "toml": _read_toml,
        "yaml": _read_yaml,
        "starlark": _read_starlark,
    }
    return readers[form](text)


def lead(root: Node, pattern: str) -> Iterator[Found]:
    """Every node a dotted pattern leads to. `*` is any member or element, `=*` the member
    called `*`, `|` stands between two patterns; a name with dots in it is taken whole when
    the object has it (`chat.tools.autoApprove` in VS Code)."""
    for one in pattern.split("|"):
        yield from _lead(root, one.split(".") if one else [], "", "", ())


def _lead(
    node: Node, steps: list[str], key: str, name: str, parents: tuple[Node, ...]
) -> Iterator[Found]:
    if not steps:
        yield Found(key, name, node, parents)
        return
    inside = (*parents, node)
    if steps[0] == "*":
        for label, child in _children(node):
            yield from _lead(child, steps[1:], _joined(key, label), label, inside)
        return
    for taken in range(len(steps), 0, -1):
        label = ".".join(steps[:taken]).removeprefix("=")
        if label in node.members:
            child = node.members[label]
            yield from _lead(child, steps[taken:], _joined(key, label), label, inside)


def misfits(root: Node, pattern: str) -> Iterator[tuple[str, Found]]:
    """Nodes on a pattern's way that are no object or list where it needs one, each with the
    part of the pattern that led there: what stands there is not what its author knew."""
    for one in pattern.split("|"):
        whole = one.split(".") if one else []
        for left, found in _misfits(root, whole, "", ""):
            yield ".".join(whole[: len(whole) - left]), found


def _misfits(node: Node, steps: list[str], key: str, name: str) -> Iterator[tuple[int, Found]]:
    if not steps or node.value is None:
        return
    if not isinstance(node.value, dict) and (steps[0] != "*" or not isinstance(node.value, list)):
        yield len(steps), Found(key, name, node, ())
        return
    if steps[0] == "*":
        for label, child in _children(node):
            yield from _misfits(child, steps[1:], _joined(key, label), label)
        return
    for taken in range(len(steps), 0, -1):
        label = ".".join(steps[:taken]).removeprefix("=")
        if label in node.members:
            yield from _misfits(node.members[label], steps[taken:], _joined(key, label), label)


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node.value, dict):
        yield from node.value.items()
    elif isinstance(node.value, list):
        yield from ((f"[{at}]", child) for at, child in enumerate(node.value))


def _joined(key: str, label: str) -> str:
    if label.startswith("["):
        return key + label
    shown = label if label.replace("-", "").replace("_", "").isalnum() else json.dumps(label)
    return f"{key}.{shown}" if key else shown


# JSON with comments and trailing commas.


def _read_json(text: str) -> Node:
    reader = _Json(text)
    node = reader.value(0)
    reader.skip()
    if reader.at < len(text):
        raise Unreadable("text follows the value", reader.line())
    return node


class _Json:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.seen, self.lines, self.counted = text, 0, 0, 1, 0

    def line(self) -> int:
        self.lines += self.text.count("\n", self.counted, self.at)
        self.counted = max(self.counted, self.at)
        return self.lines

    def skip(self) -> None:
        text, size = self.text, len(self.text)
        while self.at < size:
            if text[self.at] in _BLANK:
                self.at += 1
            elif text.startswith("//", self.at):
                end = text.find("\n", self.at)
                self.at = size if end < 0 else end
            elif text.startswith("/*", self.at):
                end = text.find("*/", self.at + 2)
                if end < 0:
                    raise Unreadable("a comment has no end", self.line())
                self.at = end + 2
            else:
                return

    def peek(self) -> str:
        self.skip()
        if self.at >= len(self.text):
            raise Unreadable("it ends in the middle", self.line())
        return self.text[self.at]

    def value(self, depth: int) -> Node:
        self.seen += 1
        if depth > DEPTH_MOST or self.seen > NODES_MOST:
            raise Unreadable("it nests too deep or holds too much", self.line())
        first = self.peek()
        line = self.line()
        if first == "{":
            return Node(self.members(depth), line)
        if first == "[":
            return Node(self.elements(depth), line)
        return Node(self.scalar(), line)

    def members(self, depth: int) -> dict[str, Node]:
        self.at += 1
        found: dict[str, Node] = {}
        while self.peek() != "}":
            line = self.line()
            name = self.scalar()
            if not isinstance(name, str) or self.peek() != ":":
                raise Unreadable("expected a name and a colon", self.line())
            self.at += 1
            inner = self.value(depth + 1)
            # The line of the name: an object's own line says less to who looks for it.
            found[name] = Node(inner.value, line)
            self.comma("}")
        self.at += 1
        return found

    def elements(self, depth: int) -> list[Node]:
        self.at += 1
        found: list[Node] = []
        while self.peek() != "]":
            found.append(self.value(depth + 1))
            self.comma("]")
        self.at += 1
        return found

    def comma(self, end: str) -> None:
        letter = self.peek()
        if letter == ",":
            self.at += 1
        elif letter != end:
            raise Unreadable(f"expected `,` or `{end}`, found `{letter}`", self.line())

    def scalar(self) -> object:
        try:
            value: object
            value, self.at = json.JSONDecoder(strict=False).raw_decode(self.text, self.at)
        except (ValueError, RecursionError) as error:
            raise Unreadable("a value is not JSON", self.line()) from error
        if isinstance(value, (dict, list)):
            raise Unreadable("expected a name", self.line())
        return value


# TOML.


def _read_toml(text: str) -> Node:
    try:
        parsed = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unreadable(str(error).lower(), _named_line(str(error))) from error
    return _placed(parsed, (), _toml_lines(text), 1)


def _named_line(message: str) -> int:
    words = message.rpartition("at line ")[2].split(",")[0]
    return int(words) if words.isdigit() else 0


def _toml_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of every header and every key, for messages alone: `tomllib` keeps none."""
    lines: dict[tuple[str, ...], int] = {}
    counts: dict[tuple[str, ...], int] = {}
    inside: tuple[str, ...] = ()
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("["):
            inside = _dotted(line.strip("[ ").partition("]")[0])
            inside = _numbered(inside, counts)
            if line.startswith("[["):
                counts[inside] = counts.get(inside, -1) + 1
                inside = (*inside, f"[{counts[inside]}]")
            lines.setdefault(inside, number)
        elif "=" in line and not line.startswith("#"):
            lines.setdefault((*inside, *_dotted(line.partition("=")[0])), number)
    return lines


def _numbered(path: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    for at, step in enumerate(path):
        found = (*found, step)
        if found in counts and at < len(path) - 1:
            found = (*found, f"[{counts[found]}]")
    return found


def _dotted(text: str) -> tuple[str, ...]:
    names, name, quote = [], "", ""
    for letter in text.strip():
        if quote:
            if letter == quote:
                quote = ""
            else:
                name += letter
        elif letter in "\"'":
            quote = letter
        elif letter == ".":
            names.append(name.strip())
            name = ""
        else:
            name += letter
    return (*names, name.strip())


def _placed(
    value: object, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int], above: int
) -> Node:
    line = lines.get(path, above)
    if isinstance(value, dict):
        return Node({n: _placed(v, (*path, n), lines, line) for n, v in value.items()}, line)
    if isinstance(value, list):
        placed = [_placed(v, (*path, f"[{i}]"), lines, line) for i, v in enumerate(value)]
        return Node(placed, line)
    plain = value if isinstance(value, (str, int, float, bool)) else str(value)
    return Node(plain, line)


# YAML.


def _read_yaml(text: str) -> Node:
    loader: Any = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return Node({}, 1)
        return _composed(loader, root, [0], 0)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, Unreadable):
            raise
        mark = getattr(error, "problem_mark", None)
        why = str(getattr(error, "problem", "") or error).splitlines()[0]
        raise Unreadable(why.lower(), mark.line + 1 if mark else 0) from error
    finally:
        if loader is not None:
            loader.dispose()


def _composed(loader: Any, node: Any, seen: list[int], depth: int) -> Node:
    seen[0] += 1
    line = node.start_mark.line + 1
    if depth > DEPTH_MOST or seen[0] > NODES_MOST:
        raise Unreadable("it nests too deep or holds too much", line)
    if isinstance(node, yaml.MappingNode):
        members = {}
        for name, value in node.value:
            inner = _composed(loader, value, seen, depth + 1)
            members[str(name.value)] = Node(inner.value, name.start_mark.line + 1)
        return Node(members, line)
    if isinstance(node, yaml.SequenceNode):
        return Node([_composed(loader, v, seen, depth + 1) for v in node.value], line)
    value = loader.construct_object(node)
    return Node(value if isinstance(value, (str, int, float, bool)) else str(value), line)


# Starlark, as far as files of prefix rules need it.


def _read_starlark(text: str) -> Node:
    """Calls of `prefix_rule(pattern=[..], decision="..")`: an object with the word lists under
    each decision. An element of a pattern that is a list stands for each of its words."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable("it is not Starlark", getattr(error, "lineno", 0) or 0) from error
    found: dict[str, list[Node]] = {}
    for statement in module.body:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Constant):
            continue
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "prefix_rule":
            raise Unreadable("expected calls of prefix_rule alone", statement.lineno)
        try:
            given = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        except ValueError as error:
            raise Unreadable("a rule holds more than plain values", call.lineno) from error
        words = given.get("pattern")
        if call.args or not isinstance(words, list) or not words:
            raise Unreadable("a rule has no pattern", call.lineno)
        first = words[0] if isinstance(words[0], list) else [words[0]]
        rest = [w[0] if isinstance(w, list) and w else w for w in words[1:]]
        for program in first:
            line = [Node(str(w), call.lineno) for w in (program, *rest)]
            found.setdefault(str(given.get("decision", "allow")), []).append(
                Node(line, call.lineno)
            )
    return Node({decision: Node(rows, 1) for decision, rows in found.items()}, 1)

"""Reading the form parameters of the query and ec2 protocols. Pure.

`Tags.member.1.Key=a` is a path into the operation's input; the paths are put into a tree
and read by the model. A path the model does not have is refused, and so is a list with
gaps: whoever reads it differently would do something else.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, TypeAlias

from signoff.model.values import EMPTY, Data, Value
from signoff.surfaces.aws.scalars import (
    DEPTH_MOST,
    RESERVED_KEYS,
    clip,
    from_text,
    percent_decoded,
    refuse,
)

PARAMETERS_MOST = 50_000

Node: TypeAlias = "str | dict[str, Node]"


def form(text: str) -> dict[str, str]:
    """The pairs of a form; a name that appears twice is refused."""
    found: dict[str, str] = {}
    if not text:
        return found
    pairs = text.split("&")
    if len(pairs) > PARAMETERS_MOST:
        refuse(f"{len(pairs)} parameters", f"at most {PARAMETERS_MOST} are read")
    for pair in pairs:
        name, _, value = pair.partition("=")
        name = percent_decoded(name, plus=True)
        if not name:
            refuse("a parameter without a name")
        if name in found:
            refuse(f"the parameter {clip(name)} appears twice", "only one of them would count")
        found[name] = percent_decoded(value, plus=True)
    return found


def read_form(shape: Any, pairs: dict[str, str], *, ec2: bool) -> Data:
    """The parameters by botocore's names; `pairs` is without Action and Version."""
    tree: dict[str, Node] = {}
    for name, value in pairs.items():
        _place(tree, name, value)
    if shape is None:
        if tree:
            refuse(f"unknown parameter {clip(next(iter(tree)))}", "the operation takes none")
        return EMPTY
    return _Reader(ec2).structure(shape, tree, "")


def _place(tree: dict[str, Node], name: str, value: str) -> None:
    steps = name.split(".")
    if len(steps) > 2 * DEPTH_MOST:
        refuse(f"the parameter {clip(name)} nests too deep", f"at most {DEPTH_MOST} levels")
    node = tree
    for step in steps[:-1]:
        inner = node.setdefault(step, {})
        if isinstance(inner, str):
            refuse(f"the parameter {clip(name)} is a value and a structure at once")
        node = inner
    if steps[-1] in node:
        refuse(f"the parameter {clip(name)} is a value and a structure at once")
    node[steps[-1]] = value


class _Reader:
    def __init__(self, ec2: bool) -> None:
        self.ec2 = ec2

    def name_of(self, shape: Any, default: str) -> str:
        """The name a member has on the wire; ec2 capitalises what it takes over."""
        traits = shape.serialization
        if self.ec2:
            if "queryName" in traits:
                return str(traits["queryName"])
            name = traits.get("name")
            return name[0].upper() + name[1:] if name else default
        if shape.type_name == "list" and traits.get("flattened"):
            inner = shape.member.serialization.get("name")
            if inner:
                return str(inner)
        return str(traits.get("name", default))

    def any(self, shape: Any, node: Node, where: str) -> Value:
        match shape.type_name:
            case "structure":
                return self.structure(shape, _branch(node, where), where)
            case "list":
                return self.sequence(shape, node, where)
            case "map":
                return self.mapping(shape, _branch(node, where), where)
        if not isinstance(node, str):
            refuse(f"{clip(where)} is a structure where the model has a {shape.type_name}")
        return from_text(shape, node, clip(where))

    def structure(self, shape: Any, node: dict[str, Node], where: str) -> Data:
        names = {self.name_of(member, name): name for name, member in shape.members.items()}
        found = {}
        for wire, inner in node.items():
            name = names.get(wire)
            path = f"{where}.{wire}" if where else wire
            if name is None:
                refuse(f"unknown parameter {clip(path)}", "the model of the operation lacks it")
            found[name] = self.any(shape.members[name], inner, path)
        return MappingProxyType(found)

    def sequence(self, shape: Any, node: Node, where: str) -> tuple[Value, ...]:
        if node == "":
            return ()
        branch = _branch(node, where)
        if not self.ec2 and not shape.serialization.get("flattened"):
            wrapper = str(shape.member.serialization.get("name", "member"))
            branch = _branch(_only(branch, wrapper, where), where)
        items = _numbered(branch, where)
        return tuple(
            self.any(shape.member, item, f"{where}.{i}") for i, item in enumerate(items, 1)
        )

    def mapping(self, shape: Any, node: dict[str, Node], where: str) -> Data:
        if not shape.serialization.get("flattened"):
            node = _branch(_only(node, "entry", where), where)
        key_name = self.name_of(shape.key, "key")
        value_name = self.name_of(shape.value, "value")
        found: dict[str, Value] = {}
        for item in _numbered(node, where):
            entry = _branch(item, where)
            if set(entry) != {key_name, value_name}:
                refuse(f"{clip(where)} has an entry that is not one key with one value")
            key = from_text(shape.key, _leaf(entry[key_name], where), clip(where))
            if not isinstance(key, str) or key in found or key in RESERVED_KEYS:
                refuse(f"{clip(where)} has a key twice, or one that cannot be kept")
            found[key] = self.any(shape.value, entry[value_name], f"{where}.{key}")
        return MappingProxyType(found)


def _branch(node: Node, where: str) -> dict[str, Node]:
    if isinstance(node, str):
        refuse(f"{clip(where)} is a value where the model has a structure")
    return node


def _leaf(node: Node, where: str) -> str:
    if not isinstance(node, str):
        refuse(f"{clip(where)} is a structure where the model has a value")
    return node


def _only(node: dict[str, Node], name: str, where: str) -> Node:
    if list(node) != [name]:
        refuse(f"{clip(where)} is not written as `{name}.N`")
    return node[name]


def _numbered(node: dict[str, Node], where: str) -> list[Node]:
    items = []
    for i in range(1, len(node) + 1):
        item = node.get(str(i))
        if item is None:
            refuse(f"{clip(where)} is not numbered from 1 without gaps")
        items.append(item)
    return items

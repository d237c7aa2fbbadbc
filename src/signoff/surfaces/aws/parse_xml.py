"""Reading the XML bodies of the rest-xml protocol. Pure.

No document type, entity, comment or processing instruction is accepted, so the parser
behind this sees elements, attributes and text alone.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from signoff.model.values import Data, Value
from signoff.surfaces.aws.scalars import DEPTH_MOST, RESERVED_KEYS, clip, from_text, refuse

_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def xml_tree(body: bytes) -> Element:
    """The root element of a body. Raises `MalformedRequest` for anything doubtful."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        refuse("a body that is not UTF-8")
    content = text.lstrip()
    if content.startswith("<?xml"):
        prolog, _, content = content.partition("?>")
        stated = prolog.lower().replace("'", '"').replace(" ", "")
        if "encoding=" in stated and 'encoding="utf-8"' not in stated:
            refuse("a body in another encoding than UTF-8")
    if "<!" in content or "<?" in content:
        refuse("a body with a document type, comment or instruction", "only elements are read")
    if content.count("<") > 2_000_000:
        refuse("a body with too many elements")
    try:
        # Entities and document types were refused above, which is what S314 warns about.
        return ElementTree.fromstring(content)  # noqa: S314
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        refuse("a body that is not XML", clip(str(error)))


def read_xml(shape: Any, root: Element, name: str, names: dict[str, str]) -> Data:
    """The members below the root, which must be called `name`."""
    space, tag = _split(root.tag)
    if tag != name:
        refuse(f"a body of {clip(tag)}", f"the operation takes `{name}`")
    return _Reader(space).structure(shape, root, name, 0, names)


def body_names(shape: Any) -> dict[str, str]:
    """Wire name to botocore's name of the members that stand in the body."""
    found = {}
    for name, member in shape.members.items():
        traits = member.serialization
        if "location" in traits:
            continue
        found[_element_name(member, name)] = name
    return found


def _element_name(member: Any, name: str) -> str:
    # A flattened list repeats the member's own name; the item's name does not appear.
    return str(member.serialization.get("name", name))


def _split(tag: str) -> tuple[str, str]:
    space, closed, name = tag.rpartition("}")
    return (space[1:], name) if closed else ("", tag)


class _Reader:
    def __init__(self, space: str) -> None:
        self.space = space

    def tag(self, element: Element) -> str:
        """The local name; an element of a namespace other than the body's is refused."""
        space, name = _split(element.tag)
        if space != self.space:
            refuse(f"an element {clip(name)} of another namespace")
        return name

    def any(self, shape: Any, element: Element, where: str, depth: int) -> Value:
        if depth > DEPTH_MOST:
            refuse("a body that nests too deep", f"at most {DEPTH_MOST} levels are read")
        match shape.type_name:
            case "structure":
                return self.structure(shape, element, where, depth, body_names(shape))
            case "list":
                return self.wrapped(shape, element, where, depth)
            case "map":
                _no_text(element, where)
                return self.mapping(shape, list(element), where, depth)
        if len(element) or element.attrib:
            refuse(f"{clip(where)} is a structure where the model has a {shape.type_name}")
        return from_text(shape, element.text or "", clip(where))

    def structure(
        self, shape: Any, element: Element, where: str, depth: int, names: dict[str, str]
    ) -> Data:
        _no_text(element, where)
        found: dict[str, Value] = dict(self.attributes(shape, element, where))
        groups: dict[str, list[Element]] = {}
        for child in element:
            groups.setdefault(self.tag(child), []).append(child)
        for wire, children in groups.items():
            name = names.get(wire)
            path = f"{where}.{wire}"
            if name is None or name in found:
                refuse(f"unknown element {clip(path)}", "the model of the operation lacks it")
            member = shape.members[name]
            flat = member.serialization.get("flattened")
            if flat and member.type_name == "list":
                found[name] = tuple(self.any(member.member, c, path, depth + 1) for c in children)
            elif flat and member.type_name == "map":
                found[name] = self.mapping(member, children, path, depth)
            elif len(children) > 1:
                refuse(f"the element {clip(path)} appears twice", "only one of them would count")
            else:
                found[name] = self.any(member, children[0], path, depth + 1)
        return MappingProxyType(found)

    def attributes(self, shape: Any, element: Element, where: str) -> dict[str, Value]:
        found: dict[str, Value] = {}
        known = {
            str(m.serialization["name"]): name
            for name, m in shape.members.items()
            if m.serialization.get("xmlAttribute")
        }
        for attribute, value in element.attrib.items():
            space, local = _split(attribute)
            name = known.get(f"xsi:{local}" if space == _XSI else local)
            if name is None:
                refuse(f"unknown attribute {clip(local)}", f"on {clip(where)}")
            found[name] = value
        return found

    def wrapped(self, shape: Any, element: Element, where: str, depth: int) -> tuple[Value, ...]:
        _no_text(element, where)
        item = str(shape.member.serialization.get("name", "member"))
        for child in element:
            if self.tag(child) != item:
                refuse(f"{clip(where)} has an element {clip(child.tag)}", f"it lists `{item}`")
        return tuple(self.any(shape.member, child, where, depth + 1) for child in element)

    def mapping(self, shape: Any, entries: list[Element], where: str, depth: int) -> Data:
        key_name = str(shape.key.serialization.get("name", "key"))
        value_name = str(shape.value.serialization.get("name", "value"))
        found: dict[str, Value] = {}
        for entry in entries:
            parts = {self.tag(child): child for child in entry}
            if len(entry) != 2 or set(parts) != {key_name, value_name}:
                refuse(f"{clip(where)} has an entry that is not one key with one value")
            key = parts[key_name].text or ""
            if key in found or key in RESERVED_KEYS:
                refuse(f"{clip(where)} has a key twice, or one that cannot be kept")
            found[key] = self.any(shape.value, parts[value_name], where, depth + 1)
        return MappingProxyType(found)


def _no_text(element: Element, where: str) -> None:
    loose = [element.text or "", *(child.tail or "" for child in element)]
    if any(text.strip() for text in loose):
        refuse(f"text inside the structure {clip(where)}")

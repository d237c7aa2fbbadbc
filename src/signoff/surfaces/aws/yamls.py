"""YAML as CloudFormation templates are written in it, short tags included. Pure.

Read with PyYAML's safe loader, extended by the tags of intrinsic functions and by nothing
else: an unknown tag, an alias bomb or a key that is not text is refused.
"""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped]  # the package ships no types

ALIASES_MOST = 50
DEPTH_MOST = 100
TEXT_MOST = 100_000
"""Bounds on a template's YAML: the reader's cost grows with depth times length."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # the base class has no types
    """Safe, with `!Ref` and its kin, dates left as text, and no name twice in one mapping:
    which of the two counts, nobody says."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """As the safe loader does; raises `YAMLError` for a name that stands there twice."""
        names = [str(name.value) for name, _ in node.value]
        if len(set(names)) != len(names):
            raise yaml.YAMLError("a name stands twice in one mapping")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _intrinsic(loader: Any, suffix: str, node: Any) -> object:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: object = loader.construct_scalar(node)
        if suffix == "GetAtt":
            resource, _, attribute = str(value).partition(".")
            value = [resource, attribute]
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _intrinsic)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> object:
    """The one document of a text; None when it is not one, is too long or too deep, or
    aliases multiply in it."""
    if len(text) > TEXT_MOST or _depth(text) > DEPTH_MOST:
        return None
    try:
        if sum(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text)) > ALIASES_MOST:
            return None
        return yaml.load(text, Loader=_Loader)  # noqa: S506  the loader is a safe one
    except (yaml.YAMLError, RecursionError, ValueError, AttributeError):
        return None


def _depth(text: str) -> int:
    """How deep brackets nest at most, quoted or not."""
    depth = most = 0
    for letter in text:
        if letter in "[{":
            depth += 1
            most = max(most, depth)
        elif letter in "]}":
            depth -= 1
    return most

"""CloudFormation templates as data: reading them, and asking what a change would change. Pure.

JSON templates are read; a YAML template is read too, short tags (`!Ref`, `!GetAtt`, `!Sub`)
included, and written again as JSON, which CloudFormation takes for any template.
Source: AWS CloudFormation User Guide, "Template anatomy", "Update behaviors".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from signoff.model.values import Data, Value, digest, freeze, thaw
from signoff.surfaces.aws.yamls import read_yaml

BODY_MOST = 51_200
"""Bytes of a TemplateBody that CloudFormation takes in a request."""


def read_template(body: Value) -> Data | None:
    """The template of a TemplateBody (text, or data when botocore decoded it already).

    None when it is neither JSON nor the YAML that templates are written in.
    """
    if isinstance(body, Mapping):
        return body if isinstance(body.get("Resources"), Mapping) else None
    return _read_text(body) if isinstance(body, str) else None


@lru_cache(maxsize=64)
def _read_text(body: str) -> Data | None:
    try:
        found: object = json.loads(body, object_pairs_hook=_distinct)
    except _TwiceError:
        return None
    except (ValueError, RecursionError):
        found = read_yaml(body)
    try:
        template = freeze(found)
    except (TypeError, RecursionError):
        return None
    if isinstance(template, Mapping) and isinstance(template.get("Resources"), Mapping):
        return template
    return None


class _TwiceError(Exception):
    """A name stands twice in one object: which of the two counts, nobody says."""


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def write_template(template: Data) -> str | None:
    """The template as a TemplateBody; None when CloudFormation would not take its size."""
    text = json.dumps(thaw(template), separators=(",", ":"), default=str)
    return text if len(text.encode()) <= BODY_MOST else None


def resources(template: Data) -> dict[str, Data]:
    """The resources of a template by logical id."""
    found = template.get("Resources")
    if not isinstance(found, Mapping):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, Mapping)}


def kept(resource: Data) -> str:
    """The resource's DeletionPolicy when it keeps something, else empty."""
    policy = resource.get("DeletionPolicy")
    return str(policy) if policy in ("Retain", "Snapshot", "RetainExceptOnCreate") else ""


def with_policies(template: Data, policies: Mapping[str, str], mark: str) -> Data:
    """The template with a DeletionPolicy on the named resources.

    CloudFormation does not update a DeletionPolicy alone, so each gets a line of metadata
    (`mark`) as well. What keeps its resource already is left as it is.
    """
    changed: dict[str, Value] = {}
    for logical, resource in resources(template).items():
        if logical in policies and not kept(resource):
            given = resource.get("Metadata")
            metadata = {**(given if isinstance(given, Mapping) else {}), "Signoff": mark}
            entry = {**resource, "DeletionPolicy": policies[logical], "Metadata": metadata}
            changed[logical] = freeze(entry)
        else:
            changed[logical] = resource
    return {**template, "Resources": freeze(changed)}


def only(template: Data, logical: Set[str], physical: Mapping[str, Mapping[str, str]]) -> Data:
    """The template of some resources alone, for importing them.

    References to the others become what they stood for (`physical`: logical id to
    attribute, `""` for Ref); outputs and dependencies on the others go.
    """
    own = {k: v for k, v in resources(template).items() if k in logical}
    cut: dict[str, Value] = {}
    for name, resource in own.items():
        entry = {k: v for k, v in resource.items() if k != "DependsOn"}
        entry.setdefault("DeletionPolicy", "Retain")
        cut[name] = resolve(freeze(entry), frozenset(own), physical)
    sections = {k: v for k, v in template.items() if k not in ("Resources", "Outputs", "Rules")}
    return {**sections, "Resources": freeze(cut)}


def resolve(value: Value, own: Set[str], physical: Mapping[str, Mapping[str, str]]) -> Value:
    """The value with references to resources outside `own` replaced by what they name."""
    if isinstance(value, Mapping):
        found = _resolved(value, own, physical)
        if found is not None:
            return found
        return freeze({k: resolve(v, own, physical) for k, v in value.items()})
    if isinstance(value, tuple):
        return tuple(resolve(v, own, physical) for v in value)
    return value


def _resolved(value: Data, own: Set[str], physical: Mapping[str, Mapping[str, str]]) -> str | None:
    if len(value) != 1:
        return None
    if "Ref" in value:
        name = str(value["Ref"])
        return physical.get(name, {}).get("") if name not in own else None
    if "Fn::GetAtt" in value:
        name, attribute = _attribute(value["Fn::GetAtt"])
        return physical.get(name, {}).get(attribute) if name not in own else None
    return None


def _attribute(value: Value) -> tuple[str, str]:
    if isinstance(value, tuple) and len(value) == 2:
        return str(value[0]), str(value[1])
    name, _, attribute = str(value).partition(".")
    return name, attribute


# --- what a new template would change ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Changed:
    """One resource of two templates: `removed`, `added` or `changed` with the properties
    that differ (`*` for the resource itself: its type, or whether it exists)."""

    logical: str
    type: str
    how: str
    properties: tuple[str, ...] = ()


def compare(old: Data, new: Data, parameters: Set[str]) -> tuple[Changed, ...]:
    """What becomes of each resource when `old` is updated to `new`.

    `parameters` are the names whose value changes. What a changed parameter, mapping or
    condition reaches counts as changed.
    """
    moved = _moved(old, new, parameters)
    before, after = resources(old), resources(new)
    found = []
    for name in sorted({*before, *after}):
        if name not in after:
            found.append(Changed(name, _type(before[name]), "removed"))
        elif name not in before:
            found.append(Changed(name, _type(after[name]), "added"))
        else:
            properties = tuple(_differing(before[name], after[name], moved))
            if properties:
                found.append(Changed(name, _type(before[name]), "changed", properties))
    return tuple(found)


def _type(resource: Data) -> str:
    return str(resource.get("Type", ""))


def _differing(old: Data, new: Data, moved: Set[str]) -> Iterator[str]:
    same = all(old.get(m) == new.get(m) for m in ("Type", "Condition"))
    if not same or "condition:" + str(new.get("Condition")) in moved:
        yield "*"
    one, other = old.get("Properties"), new.get("Properties")
    before = one if isinstance(one, Mapping) else {}
    after = other if isinstance(other, Mapping) else {}
    for name in sorted({*before, *after}):
        same = digest(before.get(name)) == digest(after.get(name))
        if not same or moved & set(_reaches(after.get(name))):
            yield name


def _moved(old: Data, new: Data, parameters: Set[str]) -> frozenset[str]:
    """Names whose meaning changes, as `parameter:X`, `mapping:X`, `condition:X`."""
    moved = {f"parameter:{p}" for p in parameters}
    for section, kind in (("Parameters", "parameter"), ("Mappings", "mapping")):
        moved |= {f"{kind}:{n}" for n in _section_changes(old, new, section)}
    moved |= {f"condition:{n}" for n in _section_changes(old, new, "Conditions")}
    given = new.get("Conditions")
    conditions = given if isinstance(given, Mapping) else {}
    for _ in range(len(conditions)):
        reached = {f"condition:{n}" for n, v in conditions.items() if moved & set(_reaches(v))}
        if reached <= moved:
            break
        moved |= reached
    return frozenset(moved)


def _section_changes(old: Data, new: Data, section: str) -> set[str]:
    one, other = old.get(section), new.get(section)
    before = one if isinstance(one, Mapping) else {}
    after = other if isinstance(other, Mapping) else {}
    return {n for n in {*before, *after} if digest(before.get(n)) != digest(after.get(n))}


def _reaches(value: Value) -> Iterator[str]:
    """Every parameter, mapping and condition a value mentions."""
    if isinstance(value, tuple):
        for inner in value:
            yield from _reaches(inner)
    if not isinstance(value, Mapping):
        return
    for name, inner in value.items():
        match name:
            case "Ref":
                yield f"parameter:{inner}"
            case "Condition" if isinstance(inner, str):
                yield f"condition:{inner}"
            case "Fn::If" if isinstance(inner, tuple) and inner:
                yield f"condition:{inner[0]}"
            case "Fn::FindInMap" if isinstance(inner, tuple) and inner:
                yield f"mapping:{inner[0]}"
            case "Fn::Sub":
                text = inner[0] if isinstance(inner, tuple) and inner else inner
                yield from (f"parameter:{v}" for v in _variables(str(text)))
        yield from _reaches(inner)


def _variables(text: str) -> Iterator[str]:
    for part in text.split("${")[1:]:
        yield part.partition("}")[0].strip()


def has_macro(template: Data) -> bool:
    """Whether a macro writes part of the template when it is processed: a `Transform` at the
    top or an `Fn::Transform` anywhere. What the template then says, nobody knows before."""
    waiting: list[object] = [template]
    if template.get("Transform"):
        return True
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            if "Fn::Transform" in value:
                return True
            waiting.extend(value.values())
        elif isinstance(value, tuple | list):
            waiting.extend(value)
    return False

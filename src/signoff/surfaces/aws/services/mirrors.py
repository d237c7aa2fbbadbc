"""Settings that are read whole and put back whole, by a table of operations. Pure.

A setting has no fence at AWS: between the last look and the write someone else may have
changed it, so its undo is `bounded` at best. Nothing is done unless it was read first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial

from signoff.model.action import Answer
from signoff.model.effect import Kind, Reversibility, Verb
from signoff.model.values import Data, Value, thaw
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.case import Case, Reading, Undoing, effect
from signoff.surfaces.aws.classify import classify, removal, table
from signoff.surfaces.base import Restoration


def read(row: Data, case: Case) -> Reading:
    """One effect on the setting. Putting it is what the tables say; removing it is no
    deletion of data, so it counts as a change of what the setting guards."""
    found = classify(case.action)
    verb = found.verb
    if verb is Verb.DELETE:
        verb = removal(row)
    uid = case.arn(c.text(row["service"]), _filled(case, c.text(row["arn"])))
    kind = Kind(c.text(row["kind"]))
    resource = case.resource(uid, c.text(row["type"]), kind)
    residue = c.text(row.get("residue"))
    because = found.because
    return c.single(effect(verb, resource, Reversibility.BOUNDED, residue=residue, because=because))


def capture(row: Data, case: Case) -> Answer:
    """The setting as it is."""
    return case.ask(c.text(row["read"]), _keys(row, case))


def restore(row: Data, undoing: Undoing) -> Restoration:
    """Put back what was read; remove what was not there."""
    case = undoing.case()
    old = capture(row, case)
    keys = _keys(row, case)
    residue = (c.text(row["residue"]),) if "residue" in row else ()
    if c.absent(old):
        if "delete" not in row:
            return Restoration((), (f"what `{case.action.name}` made cannot be removed",))
        return Restoration((case.step(c.text(row["delete"]), keys),), residue)
    if not old.ok:
        return Restoration((), (f"`{c.text(row['read'])}` was not captured",))
    given: dict[str, object] = dict(keys)
    for member, path in c.mapping(row["members"]).items():
        value = _at(old.value, c.text(path))
        as_json = member in c.texts(row.get("json"))
        _place(given, member.split("."), _as_text(value) if as_json else value)
    return Restoration((case.step(c.text(row["put"]), given),), residue)


def _keys(row: Data, case: Case) -> dict[str, object]:
    return {k: case.get(k) for k in c.texts(row["keys"]) if case.get(k) is not None}


def _filled(case: Case, pattern: str) -> str:
    for member, value in case.action.parameters.items():
        if isinstance(value, str):
            pattern = pattern.replace(f"{{{member}}}", value)
    return pattern


def _at(value: Data, path: str) -> Value:
    """The value at a dotted path; the whole answer (without its metadata) for none."""
    if not path:
        return {k: v for k, v in value.items() if k != "ResponseMetadata"}
    found: Value = value
    for part in path.split("."):
        found = c.mapping(found).get(part)
    return found


def _as_text(value: Value) -> Value:
    return json.dumps(thaw(value)) if isinstance(value, Mapping) else value


def _place(given: dict[str, object], path: list[str], value: Value) -> None:
    inner = given
    for part in path[:-1]:
        next_ = inner.setdefault(part, {})
        assert isinstance(next_, dict)
        inner = next_
    inner[path[-1]] = value


def _operations() -> dict[str, tuple[c.Read, c.Capture, c.Restore]]:
    found: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {}
    for row in c.entries(table("mirrors")["mirror"]):
        for operation in c.texts(row["operations"]):
            reading: Callable[[Case], Reading] = partial(read, row)
            found[operation] = (reading, partial(capture, row), partial(restore, row))
    return found


OPERATIONS = _operations()
"""How each operation of the table is read, captured and restored."""

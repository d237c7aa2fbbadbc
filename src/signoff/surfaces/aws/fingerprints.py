"""When two answers say the same: what an undo is judged by. Pure, given the tables.

A fingerprint leaves out what changes by itself and what no restore can give back (the
lists are `tables/volatile.toml`), and the order of lists that have none. Equal
fingerprints mean: nobody changed it since, or: it is as it was before.
"""

from __future__ import annotations

from collections.abc import Mapping

from signoff.model.action import Answer, Question
from signoff.model.values import Data, Value, canonical, digest, freeze
from signoff.surfaces.aws.case import ABSENT
from signoff.surfaces.aws.classify import table

SETS = frozenset({"SS", "NS", "BS"})


def fingerprint(question: Question, answer: Answer) -> str:
    """The digest of what the answer says; `absent` when the thing is not there,
    `unanswered` and `error:CODE` when nobody knows."""
    if answer.unanswered:
        return "unanswered"
    if _is_absent(question, answer):
        return "absent"
    if answer.error:
        return f"error:{answer.error}"
    value = _exactly(question, answer.value)
    return digest([_strip(question.name, value), answer.truncated])


def sound(question: Question, answer: Answer) -> bool:
    """Whether an undo can rest on the answer: the thing was read whole, or is certainly
    not there. A capture with an answer that is not sound has failed."""
    if _is_absent(question, answer):
        return True
    if not answer.ok:
        return False
    return not answer.truncated or _tells_enough(question, answer)


def _is_absent(question: Question, answer: Answer) -> bool:
    if answer.error == "ValidationError":
        return question.name.startswith("cloudformation:")
    return answer.error in ABSENT


def _tells_enough(question: Question, answer: Answer) -> bool:
    """A truncated answer may do: a listing that already passed the one key asked for, and
    a scan that only asks whether there is anything."""
    if question.name == "dynamodb:Scan":
        return question.most == 1
    prefix = question.parameters.get("Prefix")
    if question.name != "s3:ListObjectVersions" or not isinstance(prefix, str):
        return False
    listed = (*_list(answer.value, "Versions"), *_list(answer.value, "DeleteMarkers"))
    return any(isinstance(v, Mapping) and str(v.get("Key", "")) > prefix for v in listed)


def _list(value: Data, member: str) -> tuple[Value, ...]:
    found = value.get(member)
    return found if isinstance(found, tuple) else ()


def _exactly(question: Question, value: Data) -> Data:
    """For the versions of one key: without the keys that only begin like it."""
    prefix = question.parameters.get("Prefix")
    if question.name != "s3:ListObjectVersions" or prefix is None:
        return value
    return {
        member: tuple(
            v for v in _list(value, member) if isinstance(v, Mapping) and v.get("Key") == prefix
        )
        for member in ("Versions", "DeleteMarkers")
    }


def _strip(name: str, value: Data) -> Value:
    data = table("volatile")
    everywhere, operation, unordered = data["everywhere"], data["operation"], data["unordered"]
    assert isinstance(everywhere, tuple)
    assert isinstance(operation, Mapping)
    assert isinstance(unordered, Mapping)
    own, loose = operation.get(name, ()), unordered.get(name, ())
    assert isinstance(own, tuple)
    assert isinstance(loose, tuple)
    drop = frozenset(str(v) for v in (*everywhere, *own))
    if name in ("dynamodb:Scan", "dynamodb:BatchGetItem"):
        # Members of an item are the owner's own names: none of them is volatile.
        drop = frozenset()
        value = {k: v for k, v in value.items() if k in ("Items", "Responses", "Count")}
    if name == "dynamodb:DescribeTimeToLive":
        value = _time_to_live(value)
    return _clean(value, drop, frozenset(str(v) for v in loose), sort=False)


def _clean(value: Value, drop: frozenset[str], loose: frozenset[str], *, sort: bool) -> Value:
    if isinstance(value, Mapping):
        found: dict[str, Value] = {}
        for name, inner in value.items():
            if name in drop:
                continue
            if len(value) == 1 and name in SETS and isinstance(inner, tuple):
                found[name] = tuple(sorted(inner, key=canonical))
                continue
            found[name] = _clean(inner, drop, loose, sort=sort or name in loose)
        return freeze({k: v for k, v in found.items() if v not in ((), {}, None)})
    if isinstance(value, tuple):
        cleaned = tuple(_clean(v, drop, loose, sort=False) for v in value)
        return tuple(sorted(cleaned, key=canonical)) if sort else cleaned
    return value


def _time_to_live(value: Data) -> Data:
    """Switched off is switched off: DynamoDB remembers the attribute for a while."""
    described = value.get("TimeToLiveDescription")
    given = described if isinstance(described, Mapping) else {}
    if given.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        return {"attribute": given.get("AttributeName")}
    return {}

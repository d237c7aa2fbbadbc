"""A request as a sentence: who does what, where, and what of the rest matters. Pure.

Counterexamples of a proof and examples of a difference are requests with thirty members.
A person reads the few that the policies in question look at, and what always counts: who
asks, what happens, where, whether it can be taken back, who signed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from signoff.policy.request import LONG_MOST

VERBS: Mapping[str, str] = {
    "read": "reads",
    "create": "creates",
    "update": "changes",
    "delete": "deletes",
    "replace": "replaces",
    "disarm": "takes a safeguard off",
    "permit": "widens who may use",
    "execute": "runs code that nobody sees into on",
    "disclose": "is given a secret or credential of",
    "unknown": "does something that is not understood to",
}
KINDS: Mapping[str, str] = {
    "container": "an environment's container",
    "recovery": "a backup",
    "audit": "an audit log",
    "key": "an encryption key",
    "access": "an identity or access policy",
    "data": "a store of data",
    "config": "a configuration",
    "other": "a resource",
}
_TAKEN_BACK = {
    3: "it can be taken back exactly",
    2: "it can be taken back within bounds",
    1: "it can be taken back only in part",
    0: "it cannot be taken back",
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ALWAYS = frozenset({"reversibility", "approvals"})
"""What a sentence about a change says whatever the policies look at."""


def sentence(
    request: Mapping[str, Any],
    paths: Collection[str] | None = None,
    entities: Iterable[Mapping[str, Any]] = (),
) -> str:
    """The request (as cedarpy takes it) in one line, without a final period.

    `paths` are those of the context that matter (`Policy.paths` of the policies in
    question; None: all of them). `entities`, as JSON, tell what the environment lies in.
    What has its everyday value is left out.
    """
    context: Mapping[str, Any] = request["context"]
    kind, who = uid_of(request["principal"])
    _, verb = uid_of(request["action"])
    _, place = uid_of(request["resource"])
    told = _Telling(context, None if paths is None else frozenset(paths) | ALWAYS)
    subject = f"{kind.lower()} `{who}`"
    if told.of("operator") and kind == "Agent" and context.get("operator"):
        subject += f" (for `{context['operator']}`)"
    what = f"{VERBS.get(verb, f'asks for `{verb}` on')} {_target(context, told)}"
    above = sorted(_above(place, entities))
    where = f"in `{place}`" + (f" (within {', '.join(f'`{a}`' for a in above)})" if above else "")
    circumstances = [*_counted(context, told, verb, kind), *_rest(context, told, kind)]
    tail = f": {', '.join(circumstances)}" if circumstances else ""
    return f"{subject} {what} {where}{tail}"


def uid_of(uid: object) -> tuple[str, str]:
    """Type and id of an entity, from `{"type", "id"}` or from `Type::"id"`."""
    if isinstance(uid, Mapping):
        inner = uid.get("__entity", uid)
        return str(inner["type"]), str(inner["id"])
    kind, _, name = str(uid).partition("::")
    return kind, name.strip('"')


def paths_of(policies: Iterable[Any]) -> frozenset[str]:
    """What of a context these policies look at."""
    return frozenset(path for policy in policies for path in policy.paths)


class _Telling:
    """Which paths are told; a path that was read as a whole tells all below it."""

    def __init__(self, context: Mapping[str, Any], paths: frozenset[str] | None) -> None:
        self.all = paths is None or "" in paths
        self.paths = paths or frozenset()
        self.context = context

    def of(self, path: str) -> bool:
        """Whether this path matters."""
        above = path.partition(".")[0]
        return self.all or path in self.paths or above in self.paths


def _target(context: Mapping[str, Any], told: _Telling) -> str:
    target: Mapping[str, Any] = context.get("target") or {}
    text = KINDS.get(str(target.get("kind")), f"a `{target.get('kind')}`")
    if not told.of("target.kind"):
        text = "a resource"
    named = [f"`{target['uid']}`"] if told.of("target.uid") and "uid" in target else []
    if told.of("target.type") and target.get("type"):
        named.append(f"of type `{target['type']}`")
    for part in ("account", "region"):
        if told.of(f"target.{part}") and part in target:
            named.append(f"{part} `{target[part]}`")
    if told.of("name") and context.get("name"):
        named.append(f"by `{context['name']}`")
    if told.of("surface") and context.get("surface"):
        named.append(f"on the surface `{context['surface']}`")
    if told.of("gate") and context.get("gate"):
        named.append(f"through the gate `{context['gate']}`")
    return f"{text} ({', '.join(named)})" if named else text


def _above(place: str, entities: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for entity in entities:
        if uid_of(entity["uid"]) == ("Environment", place):
            for parent in entity.get("parents", ()):
                if uid_of(parent)[1] != place:
                    yield uid_of(parent)[1]


def _counted(context: Mapping[str, Any], told: _Telling, verb: str, kind: str) -> Iterable[str]:
    """What can come back, how much it is, who signed."""
    if verb != "read":
        rank = context.get("reversibility", 0)
        yield _TAKEN_BACK.get(rank, f"its reversibility is {rank}, which is no class")
    if told.of("bound"):
        yield _at_most(context.get("bound", 0), "rows or items")
    if told.of("boundBytes"):
        yield _at_most(context.get("boundBytes", 0), "bytes")
    if verb != "read" or context.get("approvals"):
        yield _signed(context, told)
    if context.get("operatorSigned"):
        yield "the operator signed" if kind == "Agent" else "they signed it themselves"


def _at_most(count: object, unit: str) -> str:
    if count == LONG_MOST:
        return f"nobody knows how many {unit}"
    return f"at most {count:,} {unit}" if isinstance(count, int) else f"{count} {unit}"


def _signed(context: Mapping[str, Any], told: _Telling) -> str:
    count = context.get("approvals", 0)
    if count == 0:
        text = "nobody signed"
    elif count == 1:
        text = "1 person signed"
    else:
        text = f"{count} people signed"
    names = context.get("approvers") if told.of("approvers") else None
    if names:
        text += f" ({_listed(names)})"
    teams = context.get("approverTeams") if told.of("approverTeams") else None
    if teams:
        text += f", of {_listed(teams)}"
    return text


def _listed(names: Sequence[object]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(map(str, names)))


def _rest(context: Mapping[str, Any], told: _Telling, kind: str) -> Iterable[str]:
    for name, value in context.items():
        if name in _TOLD_ELSEWHERE or not told.of(name):
            continue
        say = _SAYINGS.get(name)
        text = say(value, context, kind) if say else f"`{name}` is {_value(value)}"
        if text:
            yield text


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"`{value}`" if isinstance(value, str) else str(value)


_Saying = Callable[[Any, Mapping[str, Any], str], str]


def _when(text: str, otherwise: str = "") -> _Saying:
    return lambda value, context, kind: text if value else otherwise


def _verified(value: Any, context: Mapping[str, Any], kind: str) -> str:
    if kind == "Agent":
        return ""
    return "they proved who they are" if value else "they did not prove who they are"


def _undo(value: Any, context: Mapping[str, Any], kind: str) -> str:
    if value:
        return "it takes back an earlier action"
    return "it takes nothing back" if kind == "Human" else ""


def _counted_so_far(what: str) -> _Saying:
    return lambda value, context, kind: f"{value:,} {what}" if value else ""


def _hour(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return f"between {value}:00 and {value}:59 UTC"


def _weekday(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return f"on a {_DAYS[value - 1]}" if 1 <= value <= 7 else f"on weekday {value}"


def _lowered(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return f"lowered there: {_listed(value)}" if value else ""


def _repeats(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return f"the same action failed {value:,} times before" if value else ""


def _capture_left(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return "" if value > 0 else "the run's budget for undo material is used up"


def _quorum(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return f"the settings ask for {value} {'person' if value == 1 else 'people'}" if value else ""


def _quorum_groups(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return f"one of each of {_listed(value)} among them" if value else ""


def _run(value: Any, context: Mapping[str, Any], kind: str) -> str:
    return f"in the run `{value}`" if value else ""


_TOLD_ELSEWHERE = frozenset(
    {
        *("reversibility", "bound", "boundBytes"),
        *("approvals", "approvers", "approverTeams", "operatorSigned"),
        *("target", "name", "surface", "gate", "operator", "requester"),
        *("callsMost", "changesMost"),
    }
)
_SAYINGS: Mapping[str, _Saying] = {
    "run": _run,
    "quorum": _quorum,
    "quorumGroups": _quorum_groups,
    "certain": _when("", "part of it is not understood"),
    "frozen": _when("the environment is frozen"),
    "halted": _when("the run or the agent is halted"),
    "disposable": _when("the environment is marked disposable"),
    "lowered": _lowered,
    "callsLastMinute": _counted_so_far("calls in the last minute"),
    "changesLastMinute": _counted_so_far("changes in the last minute"),
    "repeats": _repeats,
    "captureLeftBytes": _capture_left,
    "undo": _undo,
    "overwritesNewer": _when("it would overwrite what someone else wrote since"),
    "requesterVerified": _verified,
    "hourUtc": _hour,
    "weekday": _weekday,
    "granted": _when("a live grant covers it", "no live grant covers it"),
    "grantNeeded": _when("", "it needs no grant"),
}

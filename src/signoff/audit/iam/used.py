"""What was used: calls from Signoff's ledger, CloudTrail, access advisor or a plain list. Pure.

All become the same: IAM actions with the ARNs they were used on, as far as somebody wrote
them down. A call that was denied was not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.audit.iam.documents import parse_json
from signoff.model.errors import SignoffError
from signoff.surfaces.aws.classify import MINTED

USED_MOST = 256 * 1_048_576
"""Largest file of uses that is read, in characters."""
NEXT = "give `service:Operation [ARN]` lines, CloudTrail records or an access advisor answer"

NeededBy = Callable[[str], tuple[str, ...]]
"""The IAM actions an API call needs: `actions.needed_by`."""


@dataclass(frozen=True)
class Used:
    """IAM actions with the ARNs they were used on; an empty set says that nobody wrote them
    down. `whole` are services seen used with no word on their actions, `calls` how many calls
    were read, `sources` what they were read from, `notes` what the reader must know."""

    actions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    calls: int = 0
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sources)


def merged(found: Iterable[Used]) -> Used:
    """Several sources as one. An action seen somewhere without its ARN has none."""
    actions: dict[str, frozenset[str]] = {}
    whole: frozenset[str] = frozenset()
    sources: list[str] = []
    notes: list[str] = []
    calls = 0
    for one in found:
        for action, arns in one.actions.items():
            before = actions.get(action)
            if before is not None and (not before or not arns):
                actions[action] = frozenset()
            else:
                actions[action] = (before or frozenset()) | arns
        whole |= one.whole
        calls += one.calls
        sources += one.sources
        notes += one.notes
    return Used(actions, whole, calls, tuple(sources), tuple(dict.fromkeys(notes)))


def read_used(text: str, file: str, needed: NeededBy, service_of: Callable[[str], str]) -> Used:
    """The uses of a file: what it is, it shows by itself. `service_of` turns CloudTrail's
    event source (without `.amazonaws.com`) into botocore's name.

    Raises `SignoffError` with the line or path of what is malformed.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return _lines(text, file, needed)
    given = parse_json(text, file, USED_MOST)
    if isinstance(given, Mapping) and "ServicesLastAccessed" in given:
        return _advisor(given, file)
    if isinstance(given, Mapping) and "Events" in given:
        given = [_event(e, n, file) for n, e in enumerate(_list(given["Events"], "Events", file))]
    elif isinstance(given, Mapping) and "Records" in given:
        given = given["Records"]
    if not isinstance(given, list):
        raise _wrong(file, "it is neither CloudTrail's nor access advisor's")
    return _trail(given, file, needed, service_of)


def from_receipts(
    receipts: Iterable[Mapping[str, Any]], source: str, needed: NeededBy, run: str = ""
) -> Used:
    """The uses a ledger shows: reads that were answered and changes that were carried out, of
    one run or all. What a change acts on stands in an earlier receipt of the same action.
    Receipts of other surfaces do not count, nor do calls Signoff answers itself."""
    found: dict[str, set[str] | None] = {}
    acting: dict[str, list[str]] = {}
    calls = 0
    for receipt in receipts:
        action = receipt.get("action")
        principal = receipt.get("principal")
        of_run = principal.get("run") if isinstance(principal, Mapping) else ""
        if not isinstance(action, Mapping) or action.get("surface") != "aws":
            continue
        name, chain = str(action.get("name")), str(receipt.get("action_id"))
        if (run and of_run != run) or name in MINTED:
            continue
        acting[chain] = _resources(receipt.get("effects")) or acting.get(chain, [])
        if receipt.get("mark") in ("read", "succeeded", "settled"):
            calls += 1
            _note(found, needed(name), acting.pop(chain))
    note = (
        "the ledger names what agents asked for, not what the daemon reads to understand and to "
        "capture: for the daemon's own role add CloudTrail's records of it"
    )
    return Used(_frozen(found), calls=calls, sources=(source,), notes=(note,))


def _resources(effects: object) -> list[str]:
    if not isinstance(effects, Iterable) or isinstance(effects, str | Mapping):
        return []
    named = [str(e.get("resource", "")) for e in effects if isinstance(e, Mapping)]
    return [n for n in named if n.startswith("arn:") and "?" not in n]


def _lines(text: str, file: str, needed: NeededBy) -> Used:
    found: dict[str, set[str] | None] = {}
    calls = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        service, colon, operation = words[0].partition(":")
        if not colon or not service or not operation or len(words) > 2:
            raise _wrong(file, f"line {number}: `{line.strip()[:60]}` is no `service:Operation`")
        if len(words) == 2 and not words[1].startswith("arn:"):
            raise _wrong(file, f"line {number}: `{words[1][:60]}` is no ARN")
        calls += 1
        _note(found, needed(words[0]), words[1:])
    return Used(_frozen(found), calls=calls, sources=(file,))


def _trail(
    records: list[Any], file: str, needed: NeededBy, service_of: Callable[[str], str]
) -> Used:
    found: dict[str, set[str] | None] = {}
    calls = 0
    for number, record in enumerate(records):
        if not isinstance(record, Mapping) or "eventName" not in record:
            raise _wrong(file, f"`Records[{number}]` has no `eventName`")
        if record.get("errorCode"):
            continue
        source = str(record.get("eventSource", "")).removesuffix(".amazonaws.com")
        if not source:
            raise _wrong(file, f"`Records[{number}]` has no `eventSource`")
        calls += 1
        operation = _undated(str(record["eventName"]))
        _note(found, needed(f"{service_of(source)}:{operation}"), list(_arns(record)))
    note = "CloudTrail writes data events (S3 objects, items) only where a trail is told to"
    return Used(_frozen(found), calls=calls, sources=(file,), notes=(note,))


def _undated(name: str) -> str:
    """An event's name without the API's date, as in `ListFunctions20150331v2`."""
    head = name.rstrip("0123456789_v")
    return head if head and len(name) - len(head) >= len("20150331") else name


def _arns(record: Mapping[str, Any]) -> Iterator[str]:
    resources = record.get("resources")
    for one in resources if isinstance(resources, list) else ():
        arn = one.get("ARN") if isinstance(one, Mapping) else None
        if isinstance(arn, str) and arn.startswith("arn:"):
            yield arn


def _event(event: object, number: int, file: str) -> object:
    """The record inside one entry of `cloudtrail lookup-events`."""
    inner = event.get("CloudTrailEvent") if isinstance(event, Mapping) else None
    if not isinstance(inner, str):
        raise _wrong(file, f"`Events[{number}]` has no `CloudTrailEvent`")
    return parse_json(inner, f"{file} Events[{number}]")


def _advisor(given: Mapping[str, Any], file: str) -> Used:
    found: dict[str, set[str] | None] = {}
    whole = set()
    services = _list(given["ServicesLastAccessed"], "ServicesLastAccessed", file)
    for number, service in enumerate(services):
        if not isinstance(service, Mapping) or "ServiceNamespace" not in service:
            raise _wrong(file, f"`ServicesLastAccessed[{number}]` has no `ServiceNamespace`")
        prefix = str(service["ServiceNamespace"])
        tracked = service.get("TrackedActionsLastAccessed")
        names = [
            str(a.get("ActionName"))
            for a in (tracked if isinstance(tracked, list) else ())
            if isinstance(a, Mapping) and a.get("LastAccessedTime")
        ]
        for name in names:
            # Access advisor speaks of IAM actions, so nothing has to be translated.
            _note(found, (f"{prefix}:{name}",), [])
        if service.get("LastAuthenticated") and not names:
            whole.add(prefix)
    note = "access advisor names actions of some services only, and no resources"
    calls = len(found) + len(whole)
    return Used(_frozen(found), frozenset(whole), calls, (file,), (note,))


def _note(found: dict[str, set[str] | None], actions: Iterable[str], arns: list[str]) -> None:
    for action in actions:
        before = found.setdefault(action, set())
        if not arns or before is None:
            found[action] = None
        else:
            before.update(arns)


def _frozen(found: Mapping[str, set[str] | None]) -> Mapping[str, frozenset[str]]:
    return {action: frozenset(arns or ()) for action, arns in found.items()}


def _list(given: object, name: str, file: str) -> list[Any]:
    if not isinstance(given, list):
        raise _wrong(file, f"`{name}` is no list")
    return given


def _wrong(file: str, why: str) -> SignoffError:
    return SignoffError(f"`{file}` does not say what was used", why, NEXT)

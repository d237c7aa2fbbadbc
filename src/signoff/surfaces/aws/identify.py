"""Which operation a raw HTTP request asks for, by botocore's models alone.

The signals, in this order, each exclusive of the others: the Smithy RPC path, the
`x-amz-target` header, Action and Version, and the REST template with its fixed query and
its required query and header members. All are looked up under the signing name of the
request's signature. The index is built before any request is served; looking up builds
nothing. What answers to no operation is not forwarded, so there is no fallback.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from signoff.model.errors import ConfigInvalid
from signoff.surfaces.aws.models import BOTOCORE_VERSION, Models

Candidate = tuple[str, str]
"""botocore's service name and operation name."""

FORMAT = "signoff/aws-index/1"

# Other signing names under which the same API is reached.
SIGNING_ALIASES: Mapping[str, str] = {"s3express": "s3", "s3-object-lambda": "s3"}

# Services that are one API at one endpoint under several names in botocore: an operation
# of the same name is the same operation. Reviewed by hand; a test checks that each family
# shares its endpoint prefix and its signing name.
TWINS: Mapping[str, str] = {
    "docdb": "rds",
    "neptune": "rds",
    "wisdom": "qconnect",
    "greengrassv2": "greengrass",
    "lambda-microvms": "lambda",
    "sms-voice": "pinpoint-sms-voice",
}

# Operations that look the same on the wire; the endpoint alone tells them apart, and the
# gate computes the endpoint from the first. Both only list buckets.
SAME_WIRE: Mapping[Candidate, Candidate] = {
    ("s3", "ListDirectoryBuckets"): ("s3", "ListBuckets"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One REST operation: what its path, query and headers must look like.

    `segments` are the path's parts, None for a label; `greedy` is the place of the label
    that takes several parts, -1 when none does. `rank` says how particular it is.
    """

    service: str
    operation: str
    segments: tuple[str | None, ...]
    greedy: int
    fixed: tuple[tuple[str, str], ...]
    query: tuple[str, ...]
    headers: tuple[str, ...]
    rank: int

    def matches(self, parts: list[str], query: Mapping[str, str], headers: set[str]) -> bool:
        """Whether a request with these path parts, query and header names fits."""
        for key, value in self.fixed:
            if key not in query or (value and query[key] != value):
                return False
        for key in self.query:
            if key not in query:
                return False
        for key in self.headers:
            if key not in headers:
                return False
        return self.labels(parts) is not None

    def labels(self, parts: list[str]) -> list[str] | None:
        """The raw text of each label in order; None when the path does not fit."""
        segments = self.segments
        extra = len(parts) - len(segments)
        if self.greedy >= 0:
            at = self.greedy
            if extra < 0:
                return None
            end = at + extra + 1
            parts = [*parts[:at], "/".join(parts[at:end]), *parts[end:]]
        elif extra:
            return None
        found = []
        for segment, part in zip(segments, parts, strict=True):
            if segment is None:
                if not part:
                    return None
                found.append(part)
            elif segment != part:
                return None
        return found


class Index:
    """Every operation of the services it was built for, by what a request shows."""

    def __init__(self) -> None:
        self.services: tuple[str, ...] = ()
        self._target: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        self._rpc: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        self._action: dict[tuple[str, str, str], list[Candidate]] = defaultdict(list)
        self._exact: dict[tuple[str, str, int], list[Rule]] = defaultdict(list)
        self._greedy: dict[tuple[str, str], list[Rule]] = defaultdict(list)
        self._merged: dict[tuple[str, str, int], tuple[Rule, ...]] = {}
        self._unsigned: dict[str, list[Rule]] = defaultdict(list)
        self._signing: dict[str, str] = {}
        self._rules: dict[Candidate, Rule] = {}
        self._open: set[Candidate] = set()

    @classmethod
    def build(cls, services: Iterable[str] | None = None, models: Models | None = None) -> Index:
        """The index over these services (default: all; several seconds).

        Raises `MalformedRequest` for a service botocore does not describe.
        """
        models = models or Models()
        names = tuple(sorted(services if services is not None else models.services()))
        return cls._from_rows(names, [row for n in names for row in _rows(models.service(n))])

    def save(self, path: str | Path) -> None:
        """Write the index as JSON, marked with the botocore it was built from."""
        head = {"format": FORMAT, "botocore": BOTOCORE_VERSION, "services": self.services}
        Path(path).write_text(json.dumps({**head, "rows": self._rows}))

    @classmethod
    def load(cls, path: str | Path) -> Index:
        """The index another process saved.

        Raises `ConfigInvalid` when the file is not one, or belongs to another botocore:
        it would name operations that the models do not have.
        """
        try:
            data = json.loads(Path(path).read_text())
            if data["format"] != FORMAT or data["botocore"] != BOTOCORE_VERSION:
                raise ValueError(f"it was made for botocore {data['botocore']}")
            return cls._from_rows(tuple(data["services"]), data["rows"])
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ConfigInvalid(
                f"the operation index `{path}` cannot be used", str(error), "delete it"
            ) from error

    @classmethod
    def ready(cls, path: str | Path, models: Models | None = None) -> Index:
        """The saved index over all services, built and saved first where there is none.

        For start-up, never for a request. An index that cannot be saved is still used.
        """
        try:
            return cls.load(path)
        except ConfigInvalid:
            index = cls.build(None, models)
            with contextlib.suppress(OSError):
                index.save(path)
            return index

    @classmethod
    def _from_rows(cls, services: tuple[str, ...], rows: list[list[Any]]) -> Index:
        index = cls()
        index.services = services
        index._rows = rows
        for row in rows:
            index._add(row)
        for key, rules in [*index._exact.items()]:
            rules.sort(key=lambda r: -r.rank)
            index._merged[key] = tuple(rules)
        for rules in [*index._greedy.values(), *index._unsigned.values()]:
            rules.sort(key=lambda r: -r.rank)
        index._merge_greedy()
        return index

    _rows: list[list[Any]]

    def _add(self, row: list[Any]) -> None:
        kind, service, operation, signing, unsigned = row[:5]
        self._signing[service] = signing
        candidate = (service, operation)
        if unsigned:
            self._open.add(candidate)
        if kind == "rpc":
            self._rpc[(row[5], operation)].append(candidate)
        elif kind == "target":
            self._target[(row[5], operation)].append(candidate)
        elif kind == "action":
            self._action[(signing, operation, row[5])].append(candidate)
            if unsigned:
                self._action[("", operation, row[5])].append(candidate)
        else:
            method, segments, greedy, fixed, query, headers, rank = row[5:]
            rule = Rule(
                service,
                operation,
                tuple(segments),
                greedy,
                tuple((k, v) for k, v in fixed),
                tuple(query),
                tuple(headers),
                rank,
            )
            self._rules[candidate] = rule
            if greedy < 0:
                self._exact[(signing, method, len(segments))].append(rule)
            else:
                self._greedy[(signing, method)].append(rule)
            if unsigned:
                self._unsigned[method].append(rule)

    def _merge_greedy(self) -> None:
        """Where greedy labels exist, put both kinds of rules in one order beforehand."""
        for (signing, method), greedy in self._greedy.items():
            for size in range(1, 33):
                exact = self._exact.get((signing, method, size), ())
                fits = [r for r in greedy if len(r.segments) <= size]
                both = sorted([*exact, *fits], key=lambda r: -r.rank)
                self._merged[(signing, method, size)] = tuple(both)

    def rule(self, service: str, operation: str) -> Rule | None:
        """The REST rule of an operation, None when it is not reached by REST."""
        return self._rules.get((service, operation))

    def signing_name(self, service: str) -> str:
        """The name under which requests to this service are signed."""
        return self._signing[service]

    def by_path(self, path: str) -> tuple[Candidate, ...]:
        """Candidates of a Smithy RPC path `/service/NAME/operation/OPERATION`."""
        parts = path.split("/")
        if len(parts) != 5 or parts[0] or parts[1] != "service" or parts[3] != "operation":
            return ()
        return tuple(self._rpc.get((parts[2], parts[4]), ()))

    def by_target(self, target: str) -> tuple[Candidate, ...]:
        """Candidates of an `x-amz-target` header."""
        prefix, _, operation = target.rpartition(".")
        return tuple(self._target.get((prefix, operation), ()))

    def by_action(self, signing: str, action: str, version: str) -> tuple[Candidate, ...]:
        """Candidates of an Action and a Version."""
        return tuple(self._action.get((signing, action, version), ()))

    def by_template(
        self, signing: str, method: str, path: str, query: Mapping[str, str], headers: set[str]
    ) -> tuple[Candidate, ...]:
        """Candidates of a REST request: all that fit equally well, best score only.

        `signing` is empty for an unsigned request, which reaches only the operations
        that need no signature.
        """
        parts = path.split("/")[1:]
        short = parts[:-1] if len(parts) > 1 and not parts[-1] else None
        if not signing:
            rules: Iterable[Rule] = self._unsigned.get(method, ())
        else:
            rules = self._merged.get((signing, method, len(parts)), ())
            if len(parts) > 32:
                rules = self._greedy.get((signing, method), ())
            if short is not None:
                less = self._merged.get((signing, method, len(short)), ())
                rules = sorted({*rules, *less}, key=lambda r: (-r.rank, r.service, r.operation))
        found: list[Candidate] = []
        best = None
        for rule in rules:
            if best is not None and rule.rank < best:
                break
            fits = rule.matches(parts, query, headers)
            if not fits and short is not None and rule.greedy < 0:
                fits = rule.matches(short, query, headers)
            if fits:
                found.append((rule.service, rule.operation))
                best = rule.rank
        return tuple(found)

    def settle(self, found: tuple[Candidate, ...], signing: str) -> tuple[Candidate, ...]:
        """Drop what the signing name rules out, and reduce twins to one name.

        An unsigned request reaches only the operations that need no signature.
        """
        if signing:
            found = tuple(c for c in found if self._signing[c[0]] == signing)
        else:
            found = tuple(c for c in found if c in self._open)
        if len(found) < 2:
            return found
        canonical = []
        for service, operation in found:
            other = SAME_WIRE.get((service, operation))
            other = other or (TWINS.get(service, service), operation)
            if other != (service, operation) and other in found:
                continue
            canonical.append((service, operation))
        return tuple(canonical)


def _rows(model: Any) -> list[list[Any]]:
    """Everything by which a service's operations are recognised, as plain lists."""
    service, signing, meta = model.service_name, model.signing_name, model.metadata
    protocols = {*(meta.get("protocols") or ()), model.protocol}
    prefix = meta.get("targetPrefix")
    rows: list[list[Any]] = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        unsigned = operation.auth_type == "none" or "smithy.api#noAuth" in (operation.auth or ())
        head = [service, name, signing, unsigned]
        if "smithy-rpc-v2-cbor" in protocols and prefix:
            rows.append(["rpc", *head, prefix])
        if "json" in protocols and prefix:
            rows.append(["target", *head, prefix])
        if protocols & {"query", "ec2"}:
            rows.append(["action", *head, model.api_version])
        if protocols & {"rest-json", "rest-xml"}:
            rows.append(["rest", *head, *_rest(operation)])
    return rows


def _rest(operation: Any) -> list[Any]:
    path, _, fixed_text = operation.http.get("requestUri", "/").partition("?")
    fixed = [[k, v] for k, v in parse_qsl(fixed_text, keep_blank_values=True)]
    raw = path.split("/")[1:]
    if len(raw) > 1 and not raw[-1]:
        raw.pop()
    greedy = next((i for i, s in enumerate(raw) if s.endswith("+}")), -1)
    segments = [None if s.startswith("{") else s for s in raw]
    query, headers = _required(operation.input_shape)
    literal = sum(len(s) + 1 for s in segments if s is not None) + segments.count(None)
    rank = len(fixed) * 1000 + literal * 10 + (len(query) + len(headers)) * 3
    rank -= 5 * bool(operation.deprecated) + 100 * (greedy >= 0)
    return [
        operation.http.get("method", "POST"),
        segments,
        greedy,
        fixed,
        query,
        headers,
        rank,
    ]


def _required(shape: Any) -> tuple[list[str], list[str]]:
    query: list[str] = []
    headers: list[str] = []
    for name in shape.required_members if shape is not None else ():
        where = shape.members[name].serialization
        if where.get("location") == "querystring":
            query.append(where["name"])
        elif where.get("location") == "header":
            headers.append(where["name"].lower())
    return query, headers

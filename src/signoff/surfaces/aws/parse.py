"""From an HTTP request to an action: the one place where the wire gets a meaning.

Reading is strict: a request that two readers could understand differently is refused,
because only what was judged may be sent. Total on hostile bytes: `MalformedRequest` is
the only thing that ever comes out besides an action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from signoff.model.action import Action
from signoff.model.errors import MalformedRequest
from signoff.model.values import Data, Value
from signoff.surfaces.aws import chunked, parse_json, parse_query, parse_rest
from signoff.surfaces.aws.given import parse_given
from signoff.surfaces.aws.headers import distinct, refuse_unread
from signoff.surfaces.aws.identify import SIGNING_ALIASES, Candidate, Index
from signoff.surfaces.aws.models import Models, Operation
from signoff.surfaces.aws.public import summary
from signoff.surfaces.aws.scalars import clip, refuse
from signoff.surfaces.aws.wire import WireRequest

__all__ = ["Reading", "content_type", "identify", "parse_given", "parse_wire", "read"]

_FORM = "application/x-www-form-urlencoded"
_PRESIGNED = frozenset({"x-amz-signature", "x-amz-credential", "awsaccesskeyid", "x-amz-algorithm"})
_REST = frozenset({"rest-json", "rest-xml"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request was found to be: the action, the protocol it came in (its answer
    must be in the same), and the plain body when the operation passes one through."""

    action: Action
    protocol: str
    body: bytes | None
    candidates: tuple[Candidate, ...]


def parse_wire(
    models: Models,
    index: Index,
    wire: WireRequest,
    *,
    signing_name: str,
    region: str,
    account: str,
    virtual_hosts: tuple[str, ...] = (),
) -> Action:
    """The action a request asks for.

    `signing_name` is the service in the scope of its verified signature, empty for an
    unsigned request. `virtual_hosts` are host suffixes below which the first label is an
    S3 bucket (none: path style only). The action's `unknown` says so when several
    operations answer to the request. Raises `MalformedRequest`.
    """
    return read(
        models,
        index,
        wire,
        signing_name=signing_name,
        region=region,
        account=account,
        virtual_hosts=virtual_hosts,
    ).action


def read(
    models: Models,
    index: Index,
    wire: WireRequest,
    *,
    signing_name: str,
    region: str,
    account: str,
    virtual_hosts: tuple[str, ...] = (),
) -> Reading:
    """`parse_wire`, with the protocol, the plain body and the other candidates."""
    try:
        signing = SIGNING_ALIASES.get(signing_name, signing_name)
        found = _Request(wire, signing, virtual_hosts).read(models, index)
        return _reading(found, region, account)
    except MalformedRequest:
        raise
    except RecursionError:
        refuse("a request that nests too deep")
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError) as error:
        # Whatever a reader did not foresee is still only an unreadable request.
        refuse("a request that could not be read", clip(type(error).__name__))


def identify(index: Index, wire: WireRequest, signing_name: str) -> tuple[Candidate, ...]:
    """Every operation the request may ask for, () when there is none.

    Raises `MalformedRequest` when the request contradicts itself.
    """
    signing = SIGNING_ALIASES.get(signing_name, signing_name)
    return _Request(wire, signing, ()).identify(index)[0]


def content_type(headers: Mapping[str, str]) -> str:
    """The media type without its parameters, lower-case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class _Found:
    operation: Operation
    protocol: str
    parameters: dict[str, Value] | Data
    body: bytes | None
    candidates: tuple[Candidate, ...]


class _Request:
    def __init__(self, wire: WireRequest, signing: str, virtual_hosts: tuple[str, ...]) -> None:
        self.wire = wire
        self.signing = signing
        self.headers = distinct(wire)
        self.path = wire.path or "/"
        if signing == "s3" and virtual_hosts:
            self.path = self._with_bucket(virtual_hosts)

    def _with_bucket(self, suffixes: tuple[str, ...]) -> str:
        """The path style of a request whose bucket stands in the host."""
        host = self.headers.get("host", "").partition(":")[0].lower()
        for suffix in suffixes:
            bucket = host.removesuffix("." + suffix.strip(".").lower())
            if bucket != host and bucket:
                return f"/{bucket}" if self.path == "/" else f"/{bucket}{self.path}"
        return self.path

    def identify(self, index: Index) -> tuple[tuple[Candidate, ...], str, Mapping[str, str]]:
        """The candidates, the kind of signal that named them, and form pairs if any."""
        wire, headers = self.wire, self.headers
        target = headers.get("x-amz-target")
        smithy = headers.get("smithy-protocol")
        if smithy is not None:
            if smithy != "rpc-v2-cbor" or target is not None:
                refuse("contradicting protocols", f"`smithy-protocol` is {clip(smithy)}")
            self._bare("POST", self.path)
            return index.settle(index.by_path(self.path), self.signing), "rpc", {}
        if target is not None:
            self._bare("POST", "/")
            if content_type(headers) == _FORM:
                refuse("contradicting protocols", "`x-amz-target` on a form")
            return index.settle(index.by_target(target), self.signing), "json", {}
        if content_type(headers) == _FORM or (wire.query and "Action=" in wire.query):
            pairs = self._form()
            if "Action" in pairs:
                action, version = pairs.pop("Action"), pairs.pop("Version", "")
                found = index.by_action(self.signing, action, version)
                return index.settle(found, self.signing), "query", pairs
        return self._by_template(index), "rest", {}

    def _bare(self, method: str, path: str) -> None:
        if self.wire.method != method or self.path != path or self.wire.query:
            refuse(
                "contradicting protocols",
                f"the operation takes {method} {clip(path)} without a query",
            )

    def _form(self) -> dict[str, str]:
        in_query = "Action" in (k for k, _ in parse_rest.query_pairs(self.wire.query))
        if self.wire.method == "POST":
            if in_query:
                refuse("an Action in the query of a POST", "the body has the parameters")
            if content_type(self.headers) != _FORM or self.wire.query or self.path != "/":
                return {}
            try:
                return parse_query.form(self.wire.body.decode("utf-8"))
            except UnicodeDecodeError:
                refuse("a body that is not UTF-8")
        if not in_query:
            return {}
        if self.wire.method != "GET" or self.path != "/" or self.wire.body:
            refuse("contradicting protocols", "an Action in the query of another request")
        return parse_query.form(self.wire.query)

    def _by_template(self, index: Index) -> tuple[Candidate, ...]:
        wire = self.wire
        parse_rest.check_path(self.path, s3=self.signing == "s3")
        pairs = parse_rest.query_pairs(wire.query)
        query = dict(pairs)
        if _PRESIGNED & {name.lower() for name in query}:
            refuse(
                "a presigned URL",
                "it would work outside the gate",
                "send the request with an `Authorization` header",
            )
        names = set(self.headers)
        found = index.by_template(self.signing, wire.method, self.path, query, names)
        lowered = self.path.lower()
        if "%2f" in lowered:
            opened = self.path.replace("%2F", "/").replace("%2f", "/")
            other = index.by_template(self.signing, wire.method, opened, query, names)
            if other and other != found:
                refuse(
                    "an encoded slash that makes the path ambiguous",
                    f"{clip(self.path)} is another operation when it is decoded first",
                )
        return index.settle(found, self.signing)

    def read(self, models: Models, index: Index) -> _Found:
        candidates, kind, pairs = self.identify(index)
        if not candidates:
            refuse(
                "an operation nobody knows",
                f"{clip(self.wire.method)} {clip(self.path)} signed for {clip(self.signing)}"
                " is no operation of botocore's models",
            )
        service, name = candidates[0]
        operation = models.operation(service, name)
        match kind:
            case "rest":
                parameters, body = self._rest(models, index, operation)
                return _Found(operation, models.protocol(service), parameters, body, candidates)
            case "query":
                refuse_unread(set(self.headers), gzip=False)
                chunked.unwrap(self.wire)
                ec2 = models.protocol(service) == "ec2"
                protocol = "ec2" if ec2 else "query"
                found = parse_query.read_form(operation.input, dict(pairs), ec2=ec2)
            case _:
                protocol = "smithy-rpc-v2-cbor" if kind == "rpc" else "json"
                found = self._rpc(operation, cbor=kind == "rpc")
        return _Found(operation, protocol, found, None, candidates)

    def _plain(self, operation: Operation) -> tuple[bytes, Mapping[str, str]]:
        body, trailers = chunked.unwrap(self.wire)
        if self.headers.get("content-encoding") == "gzip" and operation.model.request_compression:
            body = chunked.inflate(body)
        return body, trailers

    def _rpc(self, operation: Operation, *, cbor: bool) -> Data:
        compressed = bool(operation.model.request_compression)
        refuse_unread(set(self.headers), gzip=compressed)
        body, _ = self._plain(operation)
        kind = content_type(self.headers)
        allowed = ("application/cbor",) if cbor else ("application/x-amz-json-1.0", _JSON11)
        if kind not in allowed and (body or kind):
            refuse(f"a body of the type {clip(kind)}", f"the operation takes `{allowed[0]}`")
        if not body:
            return MappingProxyType({})
        tree = parse_json.cbor_tree(body) if cbor else parse_json.json_tree(body)
        return parse_json.read_tree(operation.input, tree)

    def _rest(
        self, models: Models, index: Index, operation: Operation
    ) -> tuple[dict[str, Value], bytes | None]:
        rule = index.rule(operation.service, operation.name)
        if rule is None:
            refuse("an operation that is not reached by a path")
        body, trailers = self._plain(operation)
        headers = {**self.headers, **trailers} if trailers else self.headers
        unread = set(headers)
        parameters = parse_rest.read_labels(operation, rule, self.path)
        pairs = parse_rest.query_pairs(self.wire.query)
        parameters.update(parse_rest.read_query(operation, rule, pairs))
        parameters.update(self._headers(operation, headers, unread))
        parse_rest.verify_integrity(operation, parameters, headers, unread, body)
        refuse_unread(unread, gzip=bool(operation.model.request_compression))
        protocol = models.protocol(operation.service)
        parameters.update(
            parse_rest.read_body(operation, protocol, body, content_type(self.headers))
        )
        return parameters, body if operation.raw else None

    @staticmethod
    def _headers(
        operation: Operation, headers: dict[str, str], unread: set[str]
    ) -> dict[str, Value]:
        """The members in headers; `aws-chunked` is a transfer form, not an encoding."""
        encoding = headers.get("content-encoding", "")
        if "aws-chunked" in encoding:
            kept = [e.strip() for e in encoding.split(",") if e.strip() not in ("aws-chunked", "")]
            unread.discard("content-encoding")
            headers = {k: v for k, v in headers.items() if k != "content-encoding"}
            if kept:
                headers["content-encoding"] = ",".join(kept)
                unread.add("content-encoding")
        return parse_rest.read_headers(operation, headers, unread)


_JSON11 = "application/x-amz-json-1.1"


def _reading(found: _Found, region: str, account: str) -> Reading:
    operation = found.operation
    parameters = MappingProxyType(dict(found.parameters))
    unknown: tuple[str, ...] = ()
    if len(found.candidates) > 1:
        names = ", ".join(f"{s}:{o}" for s, o in found.candidates)
        unknown = (f"several operations answer to this request: {names}",)
    action = Action(
        surface="aws",
        name=operation.action_name,
        parameters=parameters,
        scope=MappingProxyType({"account": account, "region": region}),
        generated=operation.generated,
        public=summary(operation, parameters),
        unknown=unknown,
    )
    return Reading(action, found.protocol, found.body, found.candidates)

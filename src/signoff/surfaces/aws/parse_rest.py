"""Reading path, query, headers and body of the rest-json and rest-xml protocols. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from signoff.model.values import Data, Value
from signoff.surfaces.aws import chunked, parse_json, parse_xml
from signoff.surfaces.aws.headers import clean
from signoff.surfaces.aws.identify import Rule
from signoff.surfaces.aws.models import Operation
from signoff.surfaces.aws.scalars import clip, from_text, percent_decoded, refuse

Pairs = tuple[tuple[str, str], ...]


def query_pairs(text: str) -> Pairs:
    """The decoded pairs of a query string, in order, duplicates kept."""
    if not text:
        return ()
    found = []
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        found.append((percent_decoded(name, plus=True), percent_decoded(value, plus=True)))
    if len(found) > 1000:
        refuse(f"{len(found)} query parameters", "at most 1000 are read")
    return tuple(found)


def check_path(path: str, *, s3: bool) -> None:
    """Refuse paths that a server could normalise into others.

    In S3 an empty segment is part of a key; `.` and `..` are refused there too, because
    proxies on the way resolve them.
    """
    if not path.startswith("/") or not path.isascii():
        refuse(f"the path {clip(path)} is not an absolute path in ASCII")
    if any(c <= " " or c in '"#<>?\\^`{|}\x7f' for c in path):
        refuse(f"the path {clip(path)} holds a character that must be percent-encoded")
    lowered = path.lower()
    if "//" in path and (not s3 or path.startswith("//")):
        refuse(f"an empty segment in the path {clip(path)}")
    if "." in path or "%2e" in lowered:
        segments = lowered.replace("%2e", ".").replace("%2f", "/").split("/")
        if "." in segments or ".." in segments:
            refuse(f"a `.` or `..` segment in the path {clip(path)}")


def read_labels(operation: Operation, rule: Rule, path: str) -> dict[str, Value]:
    """The members that stand in the path."""
    parts = path.split("/")[1:]
    raw = rule.labels(parts)
    if raw is None and len(parts) > 1 and not parts[-1]:
        raw = rule.labels(parts[:-1])
    template = operation.model.http.get("requestUri", "/").partition("?")[0]
    names = [s[1:-1].rstrip("+") for s in template.split("/") if s.startswith("{")]
    if raw is None or len(raw) != len(names):
        refuse(f"the path {clip(path)} does not fit `{template}`")
    members = _located(operation, "uri")
    found: dict[str, Value] = {}
    for label, text in zip(names, raw, strict=True):
        name, shape = members[label]
        found[name] = from_text(shape, percent_decoded(text), clip(name))
    return found


def read_query(operation: Operation, rule: Rule, pairs: Pairs) -> dict[str, Value]:
    """The members that stand in the query; a name nobody knows is refused."""
    members = _located(operation, "querystring")
    rest = next(((n, s) for n, s in members.values() if s.type_name == "map"), None)
    fixed = dict(rule.fixed)
    found: dict[str, Value] = {}
    lists: dict[str, list[Value]] = {}
    extra: dict[str, Value] = {}
    seen: set[str] = set()
    for wire, text in pairs:
        repeated = wire in seen
        seen.add(wire)
        known = members.get(wire)
        if known is not None and known[1].type_name == "list":
            name, shape = known
            lists.setdefault(name, []).append(from_text(shape.member, text, clip(name)))
        elif rest is not None and wire not in fixed and (known is None or known == rest):
            name, shape = rest
            _into_map(extra, shape, wire, text)
        elif repeated:
            refuse(f"the query parameter {clip(wire)} appears twice", "only one would count")
        elif wire in fixed:
            if fixed[wire] != text:
                refuse(f"the query parameter {clip(wire)} has a value the operation lacks")
        elif known is not None:
            name, shape = known
            found[name] = from_text(shape, text, clip(name))
        elif not (wire == "x-id" and text == operation.name):
            refuse(f"unknown query parameter {clip(wire)}", "the model of the operation lacks it")
    found.update({name: tuple(values) for name, values in lists.items()})
    if rest is not None and extra:
        found[rest[0]] = MappingProxyType(extra)
    return found


def _into_map(found: dict[str, Value], shape: Any, wire: str, text: str) -> None:
    """A map in the query: every name not otherwise known is one of its keys."""
    if shape.value.type_name == "list":
        before = found.get(wire, ())
        item = from_text(shape.value.member, text, clip(wire))
        found[wire] = (*before, item) if isinstance(before, tuple) else (item,)
    elif wire in found:
        refuse(f"the query parameter {clip(wire)} appears twice", "only one would count")
    else:
        found[wire] = from_text(shape.value, text, clip(wire))


def read_headers(
    operation: Operation, headers: Mapping[str, str], unread: set[str]
) -> dict[str, Value]:
    """The members that stand in headers; the names it read are taken from `unread`."""
    found: dict[str, Value] = {}
    for wire, (name, shape) in _located(operation, "header").items():
        text = headers.get(wire.lower())
        # The length belongs to the framing; the body's own size says the same.
        if text is None or wire.lower() == "content-length":
            continue
        unread.discard(wire.lower())
        found[name] = _header_value(shape, clean(wire, text), name)
    for prefix, (name, shape) in _located(operation, "headers").items():
        entries = {}
        for header in [h for h in headers if h.startswith(prefix.lower())]:
            if header in unread:
                unread.discard(header)
                value = clean(header, headers[header])
                entries[header[len(prefix) :]] = from_text(shape.value, value, clip(name))
        if entries:
            found[name] = MappingProxyType(entries)
    return found


def _header_value(shape: Any, text: str, name: str) -> Value:
    if shape.type_name == "list":
        member = shape.member
        if member.type_name == "timestamp":
            refuse(f"{clip(name)} is a list of times in a header, which is not read")
        return tuple(from_text(member, t, clip(name)) for t in _split_list(text, name))
    if shape.serialization.get("jsonvalue"):
        try:
            decoded = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            refuse(f"{clip(name)} is not base64")
        return parse_json.document(parse_json.json_tree(decoded), name, 0)
    if shape.type_name == "blob":
        return text.encode("utf-8")
    return from_text(shape, text, clip(name), "rfc822")


def _split_list(text: str, name: str) -> list[str]:
    """The items of a header list; quoted ones may hold commas (Smithy HTTP bindings)."""
    found: list[str] = []
    at = 0
    while at <= len(text):
        if text[at : at + 1] == '"':
            item, at = [], at + 1
            while text[at : at + 1] not in ('"', ""):
                if text[at : at + 2] == '\\"':
                    at += 1
                item.append(text[at])
                at += 1
            if text[at : at + 1] != '"' or text[at + 1 : at + 2] not in ("", ","):
                refuse(f"the list {clip(name)} has a quote that does not close")
            found.append("".join(item))
            at += 2
            if at > len(text):
                break
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            found.append(text[at:end].strip())
            at = end + 1
    return found


def read_body(
    operation: Operation, protocol: str, body: bytes, content_type: str
) -> dict[str, Value]:
    """The members that stand in the body."""
    shape = operation.input
    if shape is None:
        if body.strip() not in (b"", b"{}"):
            refuse("a body on an operation that takes none")
        return {}
    if not operation.body:
        return _structured(protocol, shape, body, shape)
    member = shape.members[operation.body]
    if member.type_name == "blob":
        return {operation.body: body_reference(body)} if body else {}
    if member.type_name == "string":
        return {operation.body: _text(body)} if body else {}
    if not body:
        return {}
    if member.metadata.get("document"):
        tree = parse_json.json_tree(body)
        return {operation.body: parse_json.document(tree, operation.body, 0)}
    if member.serialization.get("eventstream"):
        refuse("an event stream in the request", "it cannot be judged before it ends")
    if protocol == "rest-json" and member.type_name != "structure":
        tree = parse_json.json_tree(body)
        return {operation.body: parse_json.read_value(member, tree, operation.body, 0)}
    found = _structured(protocol, member, body, member)
    if protocol == "rest-json" and not found and body.strip() == b"{}":
        return {}
    return {operation.body: MappingProxyType(found)}


def _structured(protocol: str, shape: Any, body: bytes, root: Any) -> dict[str, Value]:
    if protocol == "rest-json":
        if not body:
            return {}
        return dict(parse_json.read_tree(shape, parse_json.json_tree(body)))
    names = parse_xml.body_names(shape)
    if not body:
        return {}
    if not names and "name" not in root.serialization:
        refuse("a body on an operation that takes none")
    name = str(root.serialization.get("name", root.name))
    return dict(parse_xml.read_xml(shape, parse_xml.xml_tree(body), name, names))


def body_reference(body: bytes) -> Data:
    """What stands in the parameters for a body nobody interprets: its hash and size."""
    inner: Data = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    return MappingProxyType({"$body": MappingProxyType(inner)})


def verify_integrity(
    operation: Operation,
    parameters: dict[str, Value],
    headers: Mapping[str, str],
    unread: set[str],
    body: bytes,
) -> None:
    """Check every checksum of the body. Those of a body that Signoff will write anew are
    dropped from the parameters: they vouch for bytes, not for what is asked."""
    described = operation.model.http_checksum
    needed = described or operation.model.http_checksum_required
    rewritten = not operation.raw
    for name in [h for h in headers if h.startswith(chunked.CHECKSUM_PREFIX)]:
        algorithm = name.removeprefix(chunked.CHECKSUM_PREFIX)
        # Of a body written anew, a checksum that the model lists as a member is one of
        # the object (CompleteMultipartUpload), not of the body.
        if (operation.service != "s3" and not needed) or (rewritten and name not in unread):
            continue
        chunked.check_checksum(algorithm, headers[name], body)
        if rewritten and len(algorithm) > 3 and algorithm not in ("algorithm", "type", "mode"):
            unread.discard(name)
    if "content-md5" in headers:
        chunked.check_checksum("md5", headers["content-md5"], body)
        unread.discard("content-md5")
    if rewritten and needed:
        algorithm_member = described.get("requestAlgorithmMember")
        if algorithm_member:
            parameters.pop(algorithm_member, None)
        parameters.pop("ContentMD5", None)
    if rewritten and operation.service == "s3":
        unread.discard("x-amz-sdk-checksum-algorithm")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        refuse("a body that is not UTF-8")


def _located(operation: Operation, place: str) -> dict[str, tuple[str, Any]]:
    """Wire name to (botocore's name, shape) of the members at one place."""
    if operation.input is None:
        return {}
    key = f"signoff-{place}"
    known: dict[str, tuple[str, Any]] | None = operation.input._cache.get(key)
    if known is None:
        known = {
            str(shape.serialization.get("name", name)): (name, shape)
            for name, shape in operation.input.members.items()
            if shape.serialization.get("location") == place
        }
        operation.input._cache[key] = known
    return known

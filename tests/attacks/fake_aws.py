"""A target that tells the truth about itself: a tiny DynamoDB that lists every effect.

It runs in a thread of the test, so it outlives every daemon that is killed in front of it,
and its `effects` are what really happened, whatever a ledger says. It can be slow, it can
lie (`lies`: the bytes of an answer by operation), and it can hang up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

ACCOUNT = "123456789012"

IDENTITY = f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/owner</Arn><UserId>U</UserId>
<Account>{ACCOUNT}</Account></GetCallerIdentityResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""

WRITES = ("PutItem", "DeleteItem", "UpdateTable", "DeleteTable", "TransactWriteItems")

Reply = tuple[int, dict[str, str], bytes]
Lie = Callable[[dict[str, Any]], Reply]


@dataclass
class FakeAws:
    """Tables of items keyed by `id`. `asked` are all operations, `effects` those that took."""

    tables: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    effects: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    wires: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    lies: dict[str, Lie] = field(default_factory=dict)
    delay: Callable[[str], None] = lambda operation: None
    protected: bool = True
    down: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        self._idle = threading.Condition()
        handler = type("Handler", (_Handler,), {"aws": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop listening."""
        self.down = True
        self._server.shutdown()
        self._server.server_close()

    def changes(self) -> list[str]:
        """The names of what took effect, in order."""
        return [name for name, _ in self.effects]

    def drain(self) -> None:
        """Wait until nothing is under way."""
        with self._idle:
            assert self._idle.wait_for(lambda: self._busy == 0, 20)

    def answer(self, operation: str, body: dict[str, Any]) -> Reply:
        """One request, counted while it is under way."""
        with self._idle:
            self._busy += 1
        try:
            return self._answered(operation, body)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _answered(self, operation: str, body: dict[str, Any]) -> Reply:
        """The effect happens between the two delays."""
        self.asked.append((operation, body))
        self.delay(operation)
        if operation in self.lies:
            return self.lies[operation](body)
        with self._lock:
            reply = self._act(operation, body)
        if operation in WRITES:
            self.delay(operation)
        return reply

    def _act(self, operation: str, body: dict[str, Any]) -> Reply:
        if operation == "GetCallerIdentity":
            return 200, {"Content-Type": "text/xml"}, IDENTITY.encode()
        if operation == "ListTables":
            return said({"TableNames": sorted(self.tables)})
        if operation == "ListTagsOfResource":
            return said({"Tags": []})
        if operation == "BatchGetItem":
            return said({"Responses": self._batch(body["RequestItems"]), "UnprocessedKeys": {}})
        if operation == "TransactWriteItems":
            return self._transact(body)
        name = str(body.get("TableName", "")).rpartition("/")[2]
        if name not in self.tables:
            return failed("ResourceNotFoundException")
        return self._on_table(operation, name, body)

    def _on_table(self, operation: str, name: str, body: dict[str, Any]) -> Reply:
        items = self.tables[name]
        match operation:
            case "DescribeTable":
                return said({"Table": self._described(name)})
            case "GetItem":
                return said({"Item": items[i]} if (i := body["Key"]["id"]["S"]) in items else {})
            case "Scan":
                kept = {} if body.get("Select") == "COUNT" else {"Items": list(items.values())}
                return said({**kept, "Count": len(items), "ScannedCount": len(items)})
            case "PutItem" | "DeleteItem":
                if not _write(items, body):
                    return failed("ConditionalCheckFailedException")
                self.effects.append((operation, body))
                return said({})
            case "UpdateTable":
                self.protected = body.get("DeletionProtectionEnabled", self.protected)
                self.effects.append((operation, body))
                return said({"TableDescription": self._described(name)})
            case "DeleteTable":
                del self.tables[name]
                self.effects.append((operation, body))
                return said({})
        return failed("UnknownOperationException")

    def _described(self, name: str) -> dict[str, Any]:
        return {
            "TableName": name,
            "TableArn": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{name}",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "ItemCount": len(self.tables[name]),
            "TableSizeBytes": 0,
            "DeletionProtectionEnabled": self.protected,
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        }

    def _batch(self, wanted: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, request in wanted.items():
            held = self.tables.get(name.rpartition("/")[2], {})
            keys = [key["id"]["S"] for key in request["Keys"]]
            found[name] = [held[key] for key in keys if key in held]
        return found

    def _transact(self, body: dict[str, Any]) -> Reply:
        parts = [part for entry in body["TransactItems"] for part in entry.values()]
        tables = [self.tables[part["TableName"].rpartition("/")[2]] for part in parts]
        rehearsal = [dict(table) for table in tables]
        if not all(_write(t, p) for t, p in zip(rehearsal, parts, strict=True)):
            return failed("TransactionCanceledException")
        for table, part in zip(tables, parts, strict=True):
            _write(table, part)
        self.effects.append(("TransactWriteItems", body))
        return said({})


def said(value: dict[str, Any]) -> Reply:
    """A DynamoDB answer."""
    return 200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(value).encode()


def failed(code: str, status: int = 400) -> Reply:
    """A DynamoDB error."""
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code})
    return status, {"Content-Type": "application/x-amz-json-1.0"}, body.encode()


def _write(items: dict[str, dict[str, Any]], body: dict[str, Any]) -> bool:
    """Put or delete one item if its condition holds; whether it did."""
    key = (body.get("Item") or body["Key"])["id"]["S"]
    if not _holds(items.get(key, {}), body):
        return False
    if "Item" in body:
        items[key] = body["Item"]
    else:
        items.pop(key, None)
    return True


def _holds(item: dict[str, Any], body: dict[str, Any]) -> bool:
    """The conditions Signoff writes: equalities and absences, joined by AND."""
    names = body.get("ExpressionAttributeNames", {})
    values = body.get("ExpressionAttributeValues", {})
    condition = body.get("ConditionExpression", "")
    for test in condition.split(" AND ") if condition else ():
        if test.startswith("attribute_not_exists("):
            if names[test.removeprefix("attribute_not_exists(").rstrip(")")] in item:
                return False
        else:
            name, _, value = test.partition(" = ")
            if item.get(names[name]) != values[value]:
                return False
    return True


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, address: object) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    aws: FakeAws
    protocol_version = "HTTP/1.1"
    # One packet for an answer: two small ones would wait for each other's acknowledgement.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *said: object) -> None:
        """Say nothing."""

    def _any(self) -> None:
        if self.aws.down:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.aws.wires.append((self.command, self.path, headers))
        target = self.headers.get("X-Amz-Target", "")
        if target:
            status, given, content = self.aws.answer(
                target.rpartition(".")[2], json.loads(body or b"{}")
            )
        else:
            form = {k: v[0] for k, v in parse_qs(body.decode("utf-8", "replace")).items()}
            name = form.get("Action") or f"{self.command} {self.path}"
            status, given, content = self.aws.answer(name, form)
        try:
            self.send_response(status)
            for name, value in given.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _any

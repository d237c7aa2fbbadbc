"""What the parts cost on their own: a decision, an identification, a verification, an index."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.session import Session
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.demo.bench_load import Caught
from signoff.demo.children import bare_environment
from signoff.ledger.checkpoint import Signer
from signoff.ledger.merkle import Frontier
from signoff.model.action import Action, Principal
from signoff.model.decision import Decision, Ruling
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.errors import SignoffError
from signoff.model.ports import Facts
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.policy.bundle import Bundle, compile_bundle, load_bundle
from signoff.policy.engine import CedarJudge
from signoff.policy.filler import filler_rules
from signoff.surfaces.aws.identify import Index
from signoff.surfaces.aws.models import Models
from signoff.surfaces.aws.parse import identify
from signoff.surfaces.aws.wire import WireRequest

POLICIES = 100
DECISIONS = 400
RECEIPTS = 200_000
SERVICES = ("cloudformation", "dynamodb", "ec2", "iam", "lambda", "rds", "s3", "sqs", "sts")
WHO = Principal("builder", "R-bench", "olga")
SCOPE = {"account": "123456789012", "region": "us-east-1"}


def cpu_p50(calls: Sequence[Callable[[], object]]) -> float:
    """The median of this thread's CPU over the calls, in seconds."""
    spent = []
    for call in calls:
        begun = time.thread_time_ns()
        call()
        spent.append(time.thread_time_ns() - begun)
    return statistics.median(spent) / 1e9


def full_bundle() -> Bundle:
    """The shipped policies of a team, and rules like an owner's up to 100 in all."""
    shipped = len(load_bundle("team").policies)
    return compile_bundle(
        "team",
        [filler_rules(POLICIES - shipped)],
        humans=dict.fromkeys(("olga", "ana", "bo", "cy"), ()),
    )


def _understood(name: str, verb: Verb) -> Understanding:
    target = Resource("arn:aws:dynamodb:us-east-1:1:table/orders", "dynamodb:table", "production")
    effect = Effect(
        verb, replace(target, kind=Kind.DATA), (Bound(1, "items"),), Reversibility.EXACT
    )
    return Understanding(Action("aws", name, frozen(TableName="orders"), SCOPE), (effect,))


def decisions(verb: Verb, expected: Ruling, *, fresh: bool) -> float:
    """Seconds of CPU (p50) for a decision on one effect, with 100 policies.

    `fresh` makes each differ in something a policy looks at, so that the engine has to be
    asked; otherwise they differ only in how many calls there were, as in real traffic.
    """
    judge = CedarJudge(full_bundle())

    def asked(number: int) -> Callable[[], Decision]:
        name = f"dynamodb:Bench{number if fresh else 0}"
        understanding = _understood(name, verb)
        facts = Facts(
            eligible=frozenset({"ana", "bo", "cy"}), calls_last_minute=number % 500, gate="aws"
        )
        return lambda: judge.decide(WHO, understanding, facts)

    if asked(0)().ruling is not expected:
        raise SignoffError(f"a `{verb.value}` was not ruled `{expected.value}`")
    return cpu_p50([asked(number) for number in range(1, DECISIONS)])


def caught_requests() -> list[tuple[WireRequest, str]]:
    """One real request of every operation without required members of some services, and
    a few with; each with the name it was signed for. botocore writes and signs them."""
    found: list[tuple[WireRequest, str]] = []
    session = Session()
    for service in SERVICES:
        client = session.create_client(
            service,
            region_name="us-east-1",
            aws_access_key_id="A",
            aws_secret_access_key="B",
            endpoint_url="http://127.0.0.1:1",
        )
        client.meta.events.register("before-send", _stop)
        for method, operation in client.meta.method_to_api_mapping.items():
            shape = client.meta.service_model.operation_model(operation).input_shape
            given = {
                name: "a-name-of-it"
                for name in (shape.required_members if shape is not None else ())
                if shape.members[name].type_name == "string"
            }
            if shape is None or len(given) == len(shape.required_members):
                found += _caught(client, method, given)
    return found


def _stop(request: Any, **_: Any) -> None:
    raise Caught(request)


def _caught(client: Any, method: str, given: dict[str, str]) -> list[tuple[WireRequest, str]]:
    try:
        getattr(client, method)(**given)
    except Caught as caught:
        request = caught.request
    except Exception:
        return []  # botocore itself refuses what was made up; there is no request then.
    url, body = urlsplit(request.url), request.body or b""
    headers = tuple(
        (name.lower(), value.decode() if isinstance(value, bytes) else str(value))
        for name, value in request.headers.items()
    )
    scope = dict(headers).get("authorization", "").partition("Credential=")[2].split("/")
    if len(scope) < 4 or not isinstance(body, (bytes, str)):
        return []
    raw = body.encode() if isinstance(body, str) else body
    host = (*headers, ("host", url.netloc))
    return [(WireRequest(request.method, url.path or "/", url.query, host, raw), scope[3])]


def identifications() -> tuple[float, int]:
    """Seconds of CPU (p50) to identify a real request, and over how many."""
    index = Index.build(SERVICES, Models())
    requests = caught_requests()
    if len(requests) < 300:
        raise SignoffError(f"only {len(requests)} requests to identify", "300 were expected")
    calls = [partial(identify, index, wire, signed) for wire, signed in requests]
    for call in calls:
        if not call():
            raise SignoffError("a real request was not identified")
    return cpu_p50(calls), len(requests)


def verifications() -> float:
    """Receipts a second through `signoff verify`, start-up of the command left out.

    Timed by the CPU of the real command, over a large export less over a tiny one.
    """
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as name:
        folder = Path(name)
        signer = Signer("signoff.bench/ledger", Ed25519PrivateKey.generate())
        small, large = (_exported(folder, signer, size) for size in (10, RECEIPTS))
        spent = [
            min(_verified(folder, file, str(signer.key)) for _ in range(3))
            for file in (small, large)
        ]
    return (RECEIPTS - 10) / max(spent[1] - spent[0], 1e-9)


def _exported(folder: Path, signer: Signer, size: int) -> Path:
    """A ledger of read receipts as `signoff log --export` writes it."""
    understanding = _understood("dynamodb:GetItem", Verb.READ)
    decision = Decision(Ruling.ALLOW, ("read",), message="allowed", bundle="0" * 64)
    receipt = Receipt(
        mark=Mark.READ,
        time_ms=1_700_000_000_000,
        action_id="A-bench",
        principal=WHO,
        gate="aws",
        action=understanding.action,
        understanding=understanding,
        decision=decision,
    )
    head, _, tail = receipt.leaf().partition(b'"A-bench"')
    leaves = [b'%b"A-%08d"%b' % (head, number, tail) for number in range(size)]
    tree = Frontier().extended(leaves)
    path = folder / f"ledger-{size}.jsonl"
    path.write_bytes(b"\n".join(leaves) + b"\n\n" + signer.sign(size, tree.root()).encode())
    return path


def _verified(folder: Path, file: Path, key: str) -> float:
    """The CPU seconds of `signoff verify` over a file; raises when it does not verify."""
    command = [sys.executable, "-m", "signoff", "verify", "--file", str(file), "--key", key]
    before = os.times()
    done = subprocess.run(
        command,
        env=bare_environment(HOME=str(folder)),
        cwd=folder,
        capture_output=True,
        check=False,
    )
    after = os.times()
    if done.returncode != 0:
        raise SignoffError("the ledger did not verify", done.stderr.decode()[-300:])
    return (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )

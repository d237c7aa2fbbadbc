"""The control socket answers its owner, and loosens nothing without a signature."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from signoff.faces.backend import ARGUMENTS, Act, Proof
from signoff.faces.client import Answered, ControlClient
from signoff.faces.control import CHALLENGE_MS, Challenges, listen, make_control_app
from signoff.model.decision import Verdict
from signoff.model.errors import DaemonUnreachable, MalformedRequest, Refused, SignOffInvalid


class Recorder:
    """A backend that writes down what reaches it; a signature counts when it is `good`."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def method(*given: Any, **named: Any) -> dict[str, Any]:
            self.seen.append((name, {"given": given, **named}))
            return {"state": "done"}

        return method

    async def holds(self) -> tuple[dict[str, Any], ...]:
        return ({"ticket": "H-1"},)

    async def show(self, ticket: str) -> dict[str, Any]:
        raise Refused(f"no hold `{ticket}`", "it is not open", "signoff holds")

    async def challenge(self, ticket: str, human: str, verdict: Verdict) -> str:
        return json.dumps([ticket, human, verdict.value])

    async def authenticate(self, proof: Proof) -> None:
        if proof.signature != b"good":
            raise SignOffInvalid("the signature does not fit")


async def served(
    tmp_path: Path, body: Callable[[ControlClient], Any], **more: Any
) -> tuple[Any, Recorder]:
    backend = Recorder()
    runner = await listen(make_control_app(backend, **more), tmp_path / "c" / "control.sock")
    try:
        client = ControlClient(tmp_path / "c" / "control.sock", timeout=20)
        return await asyncio.to_thread(body, client), backend
    finally:
        await runner.cleanup()


ASKED = {
    Act.KEY: {"agent": "kit", "operator": "ana", "ttl_ms": 1000},
    Act.RESUME: {"agent": "kit", "run": ""},
    Act.LIFT: {"environment": "production"},
    Act.LOWER: {"boundary": "container", "environment": "production", "ttl_ms": 1},
    Act.APPLY: {"configuration": "00"},
    Act.UNDO: {"action": "A-1", "run": "", "since_ms": 0, "plan": "00"},
    Act.SETTLE: {"action": "A-1", "state": "failed"},
    Act.REVIEW: {"actions": ["A-1"], "until": 9},
}


@pytest.mark.parametrize("act", list(Act))
async def test_an_act_reaches_the_backend_only_behind_a_good_signature(
    tmp_path: Path, act: Act
) -> None:
    def body(client: ControlClient) -> Any:
        nonce, text = client.propose(act, ASKED[act], "ana")
        with pytest.raises(Answered) as caught:
            client.act(nonce, "SHA256:x", b"bad")
        assert caught.value.exit_code == 2
        with pytest.raises(Answered, match="not open"):
            client.act(nonce, "SHA256:x", b"good")
        nonce, text = client.propose(act, ASKED[act], "ana")
        return client.act(nonce, "SHA256:x", b"good"), text

    (answer, text), backend = await served(tmp_path, body)
    assert answer == {"state": "done"}
    assert len(backend.seen) == 1
    _, given = backend.seen[0]
    assert given["proof"].message == text.encode()
    assert given["proof"].human == "ana"
    assert {k: given[k] for k in ARGUMENTS[act]} == ASKED[act]


async def test_stopping_needs_no_signature(tmp_path: Path) -> None:
    def body(client: ControlClient) -> None:
        client.halt("", "R-1")
        client.freeze("production")

    _, backend = await served(tmp_path, body)
    assert [name for name, _ in backend.seen] == ["halt", "freeze"]


async def test_an_error_carries_what_why_next_and_the_exit_code(tmp_path: Path) -> None:
    def body(client: ControlClient) -> None:
        client.show("H-9")

    with pytest.raises(Answered) as caught:
        await served(tmp_path, body)
    assert (caught.value.what, caught.value.why) == ("no hold `H-9`", "it is not open")
    assert (caught.value.next_step, caught.value.exit_code) == ("signoff holds", 2)


async def test_what_nobody_expected_tells_the_caller_no_inner_words(tmp_path: Path) -> None:
    def body(client: ControlClient) -> None:
        with pytest.raises(Answered) as caught:
            client.verify()
        assert caught.value.exit_code == 1
        assert "ZeroDivisionError" in caught.value.what
        assert "inner" not in str(caught.value)

    class Broken(Recorder):
        async def verify(self) -> dict[str, Any]:
            raise ZeroDivisionError("inner words")

    runner = await listen(make_control_app(Broken()), tmp_path / "c" / "control.sock")
    await asyncio.to_thread(body, ControlClient(tmp_path / "c" / "control.sock", timeout=20))
    await runner.cleanup()


async def test_another_user_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    def body(client: ControlClient) -> None:
        with pytest.raises(Answered, match="not yours"):
            client.halt("", "")

    _, backend = await served(tmp_path, body, uid=os.geteuid() + 1)
    assert backend.seen == []


async def test_a_verdict_is_never_inferred(tmp_path: Path) -> None:
    def body(client: ControlClient) -> None:
        for verdict in ("", "APPROVE", "yes"):
            given = {"human": "ana", "verdict": verdict, "key": "k", "signature": ""}
            with pytest.raises(Answered, match="neither"):
                client.call("POST", "/holds/H-1/signoff", given)
        assert client.challenge("H-1", "ana", Verdict.REJECT) == '["H-1", "ana", "reject"]'

    _, backend = await served(tmp_path, body)
    assert backend.seen == []


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b'{"act": 1}', b"[" * 100_000])
async def test_a_body_that_is_not_understood_is_a_clear_error(tmp_path: Path, text: bytes) -> None:
    import http.client

    from signoff.faces.client import _Connection

    def body(client: ControlClient) -> Any:
        connection: http.client.HTTPConnection = _Connection(client.path, 20)
        connection.request("POST", "/challenge", text)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    (status, answer), backend = await served(tmp_path, body)
    assert status == 403
    assert answer["what"]
    assert backend.seen == []


async def test_the_socket_and_its_directory_are_the_owners_alone(tmp_path: Path) -> None:
    def body(client: ControlClient) -> tuple[int, int]:
        modes = client.path.stat().st_mode, client.path.parent.stat().st_mode
        return stat.S_IMODE(modes[0]), stat.S_IMODE(modes[1])

    modes, _ = await served(tmp_path, body)
    assert modes == (0o600, 0o700)


async def test_a_second_daemon_does_not_take_the_socket_over(tmp_path: Path) -> None:
    path = tmp_path / "c" / "control.sock"
    runner = await listen(web.Application(), path)
    with pytest.raises(Exception, match="already"):
        await listen(web.Application(), path)
    await runner.cleanup()


def test_the_callers_uid_is_read_under_uvloop_too(tmp_path: Path) -> None:
    async def body() -> Any:
        return await served(tmp_path, lambda client: client.holds())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        holds, _ = runner.run(body())
    assert holds == [{"ticket": "H-1"}]


def test_nobody_listening_is_said_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachable) as caught:
        ControlClient(tmp_path / "none.sock").status()
    assert caught.value.next_step == "signoff up"


def test_a_challenge_is_used_once_and_expires() -> None:
    now = [1000]
    challenges = Challenges(now_ms=lambda: now[0])
    first = challenges.issue(Act.LIFT, {"environment": "production"}, "ana")
    assert challenges.redeem(first.nonce) == first
    with pytest.raises(SignOffInvalid):
        challenges.redeem(first.nonce)
    second = challenges.issue(Act.LIFT, {"environment": "production"}, "ana")
    now[0] += CHALLENGE_MS
    with pytest.raises(SignOffInvalid):
        challenges.redeem(second.nonce)


@pytest.mark.parametrize(
    "arguments", [{}, {"environment": 1}, {"environment": "x", "more": ""}, {"environment": True}]
)
def test_an_act_takes_exactly_its_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(MalformedRequest):
        Challenges().issue(Act.LIFT, arguments, "ana")

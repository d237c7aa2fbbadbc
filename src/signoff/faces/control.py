"""The control socket: where humans look, sign and stop. Never mounted into a sandbox.

JSON over HTTP on a unix socket that only its owner's user may open; the kernel says who
calls (SO_PEERCRED). What loosens anything is signed over a challenge this process made
up, used once, within five minutes. Every error is `{what, why, next_step, exit_code}`.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from signoff.faces.backend import ARGUMENTS, DOMAIN, Act, Backend, Json, Proof
from signoff.model.decision import Verdict
from signoff.model.errors import ConfigInvalid, MalformedRequest, SignoffError, SignOffInvalid
from signoff.model.values import canonical

CHALLENGE_MS = 5 * 60 * 1000
CHALLENGES_MOST = 1000
BODY_BYTES_MOST = 4_000_000
LOG_MOST = 10_000
WAIT_MS_MOST = 30_000

LOG = logging.getLogger("signoff.control")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Challenge:
    """One act a human was asked to sign, and the bytes that are signed."""

    act: Act
    arguments: Mapping[str, object]
    human: str
    nonce: str
    expires_ms: int

    @property
    def message(self) -> bytes:
        """The canonical payload; domain and act are inside (docs/spec/hold.md)."""
        return canonical(
            {
                "domain": DOMAIN,
                "act": self.act.value,
                "arguments": dict(self.arguments),
                "human": self.human,
                "nonce": self.nonce,
                "expires_ms": self.expires_ms,
            }
        )


@dataclass
class Challenges:
    """The challenges that wait for a signature. Each is used at most once.

    Kept in memory alone: a restart voids them, which is the safe way round.
    """

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    open: dict[str, Challenge] = field(default_factory=dict)

    def issue(self, act: Act, arguments: Mapping[str, object], human: str) -> Challenge:
        """A new challenge; raises `MalformedRequest` for arguments the act does not have."""
        wanted = ARGUMENTS[act]
        if set(arguments) != set(wanted) or any(
            type(arguments[name]) is not kind for name, kind in wanted.items()
        ):
            raise MalformedRequest(
                f"cannot prepare `{act.value}`", f"it takes exactly {', '.join(wanted)}"
            )
        self._prune()
        if len(self.open) >= CHALLENGES_MOST:
            raise SignOffInvalid(
                f"{CHALLENGES_MOST} challenges wait already", "each expires", "try in 5 minutes"
            )
        expires = self.now_ms() + CHALLENGE_MS
        challenge = Challenge(act, dict(arguments), human, secrets.token_hex(32), expires)
        self.open[challenge.nonce] = challenge
        return challenge

    def redeem(self, nonce: str) -> Challenge:
        """The challenge, which nobody can use again, whatever comes of this use.

        Raises `SignOffInvalid` when it was used, has expired, or was never made.
        """
        challenge = self.open.pop(nonce, None)
        if challenge is None or challenge.expires_ms <= self.now_ms():
            raise SignOffInvalid(
                "this challenge is not open",
                "it was used, or is older than 5 minutes, or is not of this daemon",
                "run the command again",
            )
        return challenge

    def _prune(self) -> None:
        now = self.now_ms()
        for nonce in [n for n, c in self.open.items() if c.expires_ms <= now]:
            del self.open[nonce]


def make_control_app(
    signoff: Backend,
    *,
    uid: int | None = None,
    challenges: Challenges | None = None,
    peer_uid: Callable[[web.Request], int | None] | None = None,
) -> web.Application:
    """The control API over `signoff`, for the user `uid` (default: this process' own).

    `peer_uid` reads the caller's uid from the connection; tests hand in another.
    """
    owner = os.geteuid() if uid is None else uid
    peer = peer_uid or _peer_uid

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if peer(request) != owner:
                raise SignOffInvalid(
                    "the control socket is not yours",
                    f"only uid {owner} may use it",
                    "run the command as the user that owns the daemon",
                )
            return await handler(request)
        except SignoffError as error:
            return _error(error)
        except web.HTTPException as error:
            return _error(MalformedRequest(f"`{request.path}`: {error.reason.lower()}"))
        except Exception as error:
            # A caller gets one clear line; what went wrong inside goes to the daemon's log.
            LOG.exception("control request `%s`", request.path)
            what = f"the daemon failed: unexpected {type(error).__name__}"
            return _error(SignoffError(what, "", "look at the daemon's log, then signoff doctor"))

    app = web.Application(middlewares=[guard], client_max_size=BODY_BYTES_MOST)
    face = _Control(signoff, challenges or Challenges())
    app.add_routes(
        [
            web.get("/status", face.status),
            web.get("/holds", face.holds),
            web.get("/holds/{ticket}", face.show),
            web.post("/holds/{ticket}/challenge", face.hold_challenge),
            web.post("/holds/{ticket}/signoff", face.signoff),
            web.get("/log", face.log),
            web.get("/verify", face.verify),
            web.post("/halt", face.halt),
            web.post("/freeze", face.freeze),
            web.get("/grants", face.grants),
            web.post("/grants/draft", face.grant_draft),
            web.post("/grants/{grant}/sign", face.grant_sign),
            web.post("/grants/{grant}/revoke", face.grant_revoke),
            web.post("/undo/plan", face.undo_plan),
            web.get("/configuration", face.configuration),
            web.post("/configuration", face.consider),
            web.post("/challenge", face.challenge),
            web.post("/act", face.act),
        ]
    )
    return app


@dataclass(frozen=True)
class _Control:
    backend: Backend
    challenges: Challenges

    async def status(self, request: web.Request) -> web.Response:
        return _json(await self.backend.status())

    async def holds(self, request: web.Request) -> web.Response:
        return _json({"holds": list(await self.backend.holds())})

    async def show(self, request: web.Request) -> web.Response:
        return _json(await self.backend.show(request.match_info["ticket"]))

    async def hold_challenge(self, request: web.Request) -> web.Response:
        body = await _body(request)
        ticket = request.match_info["ticket"]
        text = await self.backend.challenge(ticket, _text(body, "human"), _verdict(body))
        return _json({"payload": text})

    async def signoff(self, request: web.Request) -> web.Response:
        body = await _body(request)
        answer = await self.backend.submit(
            request.match_info["ticket"],
            _text(body, "human"),
            _verdict(body),
            _text(body, "key"),
            _signature(body),
        )
        return _json(answer)

    async def log(self, request: web.Request) -> web.Response:
        start = _query(request, "start", 0, -LOG_MOST, 1 << 53)
        most = _query(request, "most", 100, 1, LOG_MOST)
        wait = _query(request, "wait_ms", 0, 0, WAIT_MS_MOST)
        return _json(await self.backend.log(start, most, wait))

    async def verify(self, request: web.Request) -> web.Response:
        return _json(await self.backend.verify())

    async def halt(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return _json(await self.backend.halt(_text(body, "agent"), _text(body, "run")))

    async def freeze(self, request: web.Request) -> web.Response:
        return _json(await self.backend.freeze(_text(await _body(request), "environment")))

    async def undo_plan(self, request: web.Request) -> web.Response:
        body = await _body(request)
        since = body.get("since_ms", 0)
        if type(since) is not int:
            raise MalformedRequest("`since_ms` is not a number")
        return _json(await self.backend.undo_plan(_text(body, "action"), _text(body, "run"), since))

    async def configuration(self, request: web.Request) -> web.Response:
        return _json(await self.backend.configuration())

    async def consider(self, request: web.Request) -> web.Response:
        texts = (await _body(request)).get("texts")
        if not isinstance(texts, dict):
            raise MalformedRequest("`texts` is not an object")
        return _json(await self.backend.consider(texts))

    async def grants(self, request: web.Request) -> web.Response:
        found = await self.backend.granting.grants(request.query.get("run", ""))
        return _json({"grants": list(found)})

    async def grant_draft(self, request: web.Request) -> web.Response:
        body = await _body(request)
        verbs, changes, ttl_ms = body.get("verbs"), body.get("changes"), body.get("ttl_ms")
        if not isinstance(verbs, list) or not all(isinstance(v, str) for v in verbs):
            raise MalformedRequest("`verbs` is not a list of texts")
        if type(changes) is not int or type(ttl_ms) is not int:
            raise MalformedRequest("`changes` and `ttl_ms` are whole numbers")
        where, why = _text(body, "environment"), _text(body, "why")
        draft = self.backend.granting.draft
        return _json(await draft(_text(body, "run"), where, verbs, changes, ttl_ms, why))

    async def grant_sign(self, request: web.Request) -> web.Response:
        body = await _body(request)
        name, human, key = request.match_info["grant"], _text(body, "human"), _text(body, "key")
        return _json(await self.backend.granting.sign(name, human, key, _signature(body)))

    async def grant_revoke(self, request: web.Request) -> web.Response:
        return _json(await self.backend.granting.revoke(request.match_info["grant"]))

    async def challenge(self, request: web.Request) -> web.Response:
        body = await _body(request)
        arguments = body.get("arguments")
        if not isinstance(arguments, dict):
            raise MalformedRequest("`arguments` is not an object")
        challenge = self.challenges.issue(_act(body), arguments, _text(body, "human"))
        payload = challenge.message.decode()
        return _json({"payload": payload, "nonce": challenge.nonce})

    async def act(self, request: web.Request) -> web.Response:
        body = await _body(request)
        challenge = self.challenges.redeem(_text(body, "nonce"))
        proof = Proof(challenge.human, _text(body, "key"), challenge.message, _signature(body))
        await self.backend.authenticate(proof)
        return _json(await self._carry_out(challenge, proof))

    async def _carry_out(self, challenge: Challenge, proof: Proof) -> Json:
        given: dict[str, object] = dict(challenge.arguments)
        backend = self.backend
        acts: Mapping[Act, Callable[..., Awaitable[Json]]] = {
            Act.KEY: backend.issue_key,
            Act.RESUME: backend.resume,
            Act.LIFT: backend.lift,
            Act.LOWER: backend.lower,
            Act.APPLY: backend.apply,
            Act.UNDO: backend.undo,
            Act.SETTLE: backend.settle,
            Act.REVIEW: backend.review,
        }
        return await acts[challenge.act](**given, proof=proof)


async def listen(
    app: web.Application, path: Path, *, directory_mode: int = 0o700, mode: int = 0o600
) -> web.AppRunner:
    """Serve `app` on the unix socket `path`, in a directory of that mode.

    Raises `ConfigInvalid` when another daemon answers there, or it cannot be made.
    Stop it with `await runner.cleanup()`.
    """
    try:
        _make_room(path, directory_mode)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        # The socket is born with the mode it keeps: a chmod afterwards leaves a gap.
        before = os.umask(0o777 & ~mode)
        try:
            await web.UnixSite(runner, str(path)).start()
        finally:
            os.umask(before)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(f"cannot listen on `{path}`", reason, "check `state_dir`") from error
    return runner


def _make_room(path: Path, directory_mode: int) -> None:
    path.parent.mkdir(mode=directory_mode, parents=True, exist_ok=True)
    path.parent.chmod(directory_mode)
    if _answers(path):
        raise ConfigInvalid(
            f"a daemon answers on `{path}` already", "one state, one daemon", "signoff status"
        )
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _peer_uid(request: web.Request) -> int | None:
    transport = request.transport
    wrapped = transport.get_extra_info("socket") if transport else None
    if wrapped is None or wrapped.family != socket.AF_UNIX:
        return None
    # uvloop's socket has no getsockopt, so ask a duplicate.
    with socket.socket(fileno=os.dup(wrapped.fileno())) as peer:
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", raw)[1]
    return uid


async def _body(request: web.Request) -> dict[str, object]:
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("the body is not JSON", str(error).lower()) from error
    if not isinstance(body, dict):
        raise MalformedRequest("the body is not an object")
    return body


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        raise MalformedRequest(f"`{key}` is not a text")
    return value


def _verdict(body: Mapping[str, object]) -> Verdict:
    # No default: a verdict is never inferred from anything.
    try:
        return Verdict(_text(body, "verdict"))
    except ValueError as error:
        raise MalformedRequest("`verdict` is neither `approve` nor `reject`") from error


def _act(body: Mapping[str, object]) -> Act:
    try:
        return Act(_text(body, "act"))
    except ValueError as error:
        known = ", ".join(a.value for a in Act)
        raise MalformedRequest("unknown act", f"known: {known}") from error


def _signature(body: Mapping[str, object]) -> bytes:
    try:
        return base64.b64decode(_text(body, "signature"), validate=True)
    except binascii.Error as error:
        raise MalformedRequest("`signature` is not base64") from error


def _query(request: web.Request, key: str, default: int, low: int, high: int) -> int:
    text = request.query.get(key, str(default))
    try:
        value = int(text)
    except ValueError as error:
        raise MalformedRequest(f"`{key}` is not a number") from error
    return min(max(value, low), high)


def _json(value: Json, status: int = 200) -> web.Response:
    return web.Response(body=canonical(value), content_type="application/json", status=status)


def _error(error: SignoffError) -> web.Response:
    body = {
        "what": error.what,
        "why": error.why,
        "next_step": error.next_step,
        "exit_code": error.exit_code,
    }
    return _json(body, status=500 if error.exit_code in (1, 5) else 403)

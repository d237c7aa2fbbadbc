"""The command line's end of the control socket: standard library only, so it starts fast."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from signoff.faces.backend import DOMAIN, Act
from signoff.model.decision import Verdict
from signoff.model.errors import DaemonUnreachable, SignoffError, SignOffInvalid

TIMEOUT_SECONDS = 120.0


class Answered(SignoffError):
    """An error the daemon answered with, with the exit code it named."""

    def __init__(self, what: str, why: str, next_step: str, exit_code: int) -> None:
        super().__init__(what, why, next_step)
        self.exit_code = exit_code


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class ControlClient:
    """The control API, one connection per call.

    Every method raises `DaemonUnreachable` when nobody answers, and `Answered` with the
    daemon's own words when it refuses.
    """

    path: Path
    timeout: float = TIMEOUT_SECONDS

    def call(
        self, method: str, target: str, body: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """One request and its JSON answer."""
        connection = _Connection(self.path, self.timeout)
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, target, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = (getattr(error, "strerror", None) or str(error) or "no answer").lower()
            raise DaemonUnreachable(
                f"no daemon answers on `{self.path}`", reason, "signoff up"
            ) from error
        finally:
            connection.close()
        try:
            answer = json.loads(raw)
        except ValueError as error:
            raise DaemonUnreachable("the daemon's answer is not JSON", str(error)) from error
        if not isinstance(answer, dict):
            raise DaemonUnreachable("the daemon's answer is not an object")
        if response.status != 200:
            code = answer.get("exit_code")
            raise Answered(
                str(answer.get("what") or "the daemon refused"),
                str(answer.get("why") or ""),
                str(answer.get("next_step") or ""),
                code if isinstance(code, int) and 1 <= code <= 6 else 1,
            )
        return answer

    def status(self) -> dict[str, object]:
        """What the daemon says of itself."""
        return self.call("GET", "/status")

    def holds(self) -> list[dict[str, object]]:
        """Every open hold, oldest first."""
        return _objects(self.call("GET", "/holds").get("holds"))

    def show(self, ticket: str) -> dict[str, object]:
        """One hold in full."""
        return self.call("GET", f"/holds/{quote(ticket, safe='')}")

    def challenge(self, ticket: str, human: str, verdict: Verdict) -> str:
        """The text this human would sign."""
        body = {"human": human, "verdict": verdict.value}
        answer = self.call("POST", f"/holds/{quote(ticket, safe='')}/challenge", body)
        return str(answer.get("payload"))

    def submit(
        self, ticket: str, human: str, verdict: Verdict, key: str, signature: bytes
    ) -> dict[str, object]:
        """Hand in one sign-off."""
        body = {
            "human": human,
            "verdict": verdict.value,
            "key": key,
            "signature": base64.b64encode(signature).decode(),
        }
        return self.call("POST", f"/holds/{quote(ticket, safe='')}/signoff", body)

    def log(self, start: int, most: int, wait_ms: int = 0) -> dict[str, object]:
        """Receipts from an index on; waits for the first up to `wait_ms`."""
        return self.call("GET", f"/log?start={start}&most={most}&wait_ms={wait_ms}")

    def verify(self) -> dict[str, object]:
        """The daemon's own check of its ledger."""
        return self.call("GET", "/verify")

    def halt(self, agent: str, run: str) -> dict[str, object]:
        """Stop an agent, a run, or everything."""
        return self.call("POST", "/halt", {"agent": agent, "run": run})

    def freeze(self, environment: str) -> dict[str, object]:
        """No changes in an environment."""
        return self.call("POST", "/freeze", {"environment": environment})

    def grants(self, run: str = "") -> list[dict[str, object]]:
        """The newest grants, of one run or of all, newest first."""
        return _objects(self.call("GET", f"/grants?run={quote(run, safe='')}").get("grants"))

    def draft_grant(self, asked: Mapping[str, object]) -> dict[str, object]:
        """The text of a grant for a peer to sign: `{"grant", "payload", "eligible"}`."""
        return self.call("POST", "/grants/draft", asked)

    def sign_grant(self, grant: str, human: str, key: str, signature: bytes) -> dict[str, object]:
        """Hand in a peer's signature of a drafted grant."""
        encoded = base64.b64encode(signature).decode()
        body = {"human": human, "key": key, "signature": encoded}
        return self.call("POST", f"/grants/{quote(grant, safe='')}/sign", body)

    def revoke_grant(self, grant: str) -> dict[str, object]:
        """Take a grant back at once."""
        return self.call("POST", f"/grants/{quote(grant, safe='')}/revoke", {})

    def undo_plan(self, action: str, run: str, since_ms: int) -> dict[str, object]:
        """What an undo would do; changes nothing."""
        body = {"action": action, "run": run, "since_ms": since_ms}
        return self.call("POST", "/undo/plan", body)

    def configuration(self) -> dict[str, object]:
        """What is sealed: `{"digest", "texts"}`."""
        return self.call("GET", "/configuration")

    def consider(self, texts: Mapping[str, object]) -> dict[str, object]:
        """What a configuration would change; raises `Answered` (4) when it would not load."""
        return self.call("POST", "/configuration", {"texts": dict(texts)})

    def propose(self, act: Act, arguments: Mapping[str, object], human: str) -> tuple[str, str]:
        """A challenge for an act: its nonce, and the text to sign.

        Raises `SignOffInvalid` when the text is not about exactly what was asked: nobody
        signs anything else than what they typed.
        """
        body = {"act": act.value, "arguments": dict(arguments), "human": human}
        answer = self.call("POST", "/challenge", body)
        text, nonce = str(answer.get("payload")), str(answer.get("nonce"))
        payload = _parsed(text)
        wanted = {**body, "domain": DOMAIN, "nonce": nonce}
        if any(payload.get(name) != value for name, value in wanted.items()):
            raise SignOffInvalid(
                "the daemon asks for a signature over something else",
                "the challenge does not repeat the request",
                "signoff doctor",
            )
        return nonce, text

    def act(self, nonce: str, key: str, signature: bytes) -> dict[str, object]:
        """Hand in the signature of a proposed act, which is then carried out."""
        encoded = base64.b64encode(signature).decode()
        return self.call("POST", "/act", {"nonce": nonce, "key": key, "signature": encoded})


def _objects(value: object) -> list[dict[str, object]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _parsed(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

"""Settings in a folder of their own, and a daemon in a thread that knows one hold."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from signoff.approvals.keys import create_key
from signoff.approvals.signatures import Verifiers
from signoff.config import (
    Config,
    ConfigurationTexts,
    LedgerSettings,
    VaultSettings,
    make_secret,
    read_texts,
    write_config,
)
from signoff.faces.backend import Proof
from signoff.faces.control import listen, make_control_app
from signoff.model.action import Principal
from signoff.model.decision import Hold, Target, Verdict
from signoff.model.effect import Bound, Reversibility
from signoff.model.errors import PolicyInvalid, Refused, SignOffInvalid
from signoff.model.human import EnrolledKey, Human
from signoff.model.values import canonical

PASSPHRASE = "four unrelated words here"
NAMES = ("ana", "bo", "mila")
CARD = {
    "action": "dynamodb:DeleteTable",
    "scope": {"region": "eu-west-1"},
    "effects": [{"resource": "table/orders", "residue": "streams are lost"}],
    "unknown": [],
    "safer": "",
}
HOLD = Hold(
    ticket="H-0000AAAA",
    principal=Principal("kit", "R-1", "ana"),
    action_digest="aa",
    understanding_digest="bb",
    targets=(
        Target("delete", "table/orders", "production", (Bound(9, "items"),), Reversibility.NONE),
    ),
    unknown=(),
    plan=("dynamodb:DeleteTable aa",),
    quorum=2,
    bundle="cc",
    nonce="dd",
    opened_ms=0,
    expires_ms=1 << 45,
    ledger_size=1,
    ledger_root="ee",
    card=CARD,
)


@dataclass
class Office:
    """A backend with one hold, which verifies signatures as the daemon does."""

    config: Config
    card: dict[str, Any] = field(default_factory=lambda: dict(CARD))
    signed: list[tuple[str, str]] = field(default_factory=list)
    acts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sealed: ConfigurationTexts | None = None
    considered: list[ConfigurationTexts] = field(default_factory=list)

    def _verify(self, human: str, key: str, message: bytes, signature: bytes) -> None:
        person = self.config.human(human)
        for enrolled in person.keys if person else ():
            if enrolled.fingerprint == key:
                Verifiers().verify(enrolled, message, signature)
                return
        raise SignOffInvalid(f"`{key}` is not enrolled for `{human}`")

    async def status(self) -> dict[str, Any]:
        return {"daemon": "running", "holds": 1, "safeguard": "safeguard not proved"}

    async def holds(self) -> tuple[dict[str, Any], ...]:
        return (await self.show(HOLD.ticket),)

    async def show(self, ticket: str) -> dict[str, Any]:
        if ticket != HOLD.ticket:
            raise Refused(f"no hold `{ticket}`", "it is not open", "signoff holds")
        told = HOLD.payload(Verdict.APPROVE)
        return {
            **{k: told[k] for k in ("targets", "unknown", "plan", "run", "agent", "operator")},
            "ticket": ticket,
            "quorum": 2,
            "state": "open",
            "expires_ms": HOLD.expires_ms,
            "card": self.card,
            "signoffs": [{"human": h} for h, _ in self.signed],
        }

    async def challenge(self, ticket: str, human: str, verdict: Verdict) -> str:
        return canonical(HOLD.payload(verdict)).decode()

    async def submit(
        self, ticket: str, human: str, verdict: Verdict, key: str, signature: bytes
    ) -> dict[str, Any]:
        self._verify(human, key, canonical(HOLD.payload(verdict)), signature)
        self.signed.append((human, verdict.value))
        return {"ticket": ticket, "state": "open", "missing": 2 - len(self.signed)}

    async def authenticate(self, proof: Proof) -> None:
        self._verify(proof.human, proof.key, proof.message, proof.signature)

    async def issue_key(self, proof: Proof, **given: Any) -> dict[str, Any]:
        self.acts.append(("key", given))
        return {
            "key_id": "AKIARUN",
            "secret": "it's",
            "run": "R-2",
            "expires_ms": 1 << 45,
            "endpoint": "http://127.0.0.1:4690",
        }

    async def halt(self, agent: str, run: str) -> dict[str, Any]:
        self.acts.append(("halt", {"agent": agent, "run": run}))
        return {"state": "done", "known": run != "R-typo"}

    async def freeze(self, environment: str) -> dict[str, Any]:
        self.acts.append(("freeze", {"environment": environment}))
        return {"state": "done"}

    async def lift(self, proof: Proof, **given: Any) -> dict[str, Any]:
        self.acts.append(("lift", given))
        return {"state": "done"}

    async def resume(self, proof: Proof, **given: Any) -> dict[str, Any]:
        self.acts.append(("resume", given))
        return {"state": "done"}

    async def settle(self, proof: Proof, **given: Any) -> dict[str, Any]:
        raise ZeroDivisionError("secret words")

    async def review(self, proof: Proof, **given: Any) -> dict[str, Any]:
        self.acts.append(("review", given))
        return {"state": "reviewed", "counted": [], "own": given["actions"]}

    async def undo_plan(self, action: str, run: str, since_ms: int) -> dict[str, Any]:
        return {"digest": "ff", "actions": [{"action": "A-1", "takes_back": "s3:PutObject"}]}

    async def undo(self, proof: Proof, **given: Any) -> dict[str, Any]:
        self.acts.append(("undo", given))
        return {"state": "conflict", "undone": [], "conflicts": ["s3://a/b was changed since"]}

    async def lower(self, proof: Proof, **given: Any) -> dict[str, Any]:
        self.acts.append(("lower", given))
        return {"state": "held", "ticket": "H-2", "missing": 1}

    async def configuration(self) -> dict[str, Any]:
        texts = self.sealed or read_texts(self.config.path)
        return {"digest": texts.digest, "texts": texts.as_data()}

    async def consider(self, texts: dict[str, Any]) -> dict[str, Any]:
        given = ConfigurationTexts.from_data(texts)
        if "never" in given.settings:
            raise PolicyInvalid("the safeguard is not proved", "a request breaks it", "correct it")
        self.considered.append(given)
        told = {"changes": ["gate.port: `1` becomes `2`"], "rulings": [], "proof": "proved"}
        return {"digest": given.digest, "before": "aa", **told}

    async def apply(self, proof: Proof, **given: Any) -> dict[str, Any]:
        self.acts.append(("apply", given))
        return {"state": "open", "ticket": "H-3", "missing": 2}

    async def log(self, start: int, most: int, wait_ms: int) -> dict[str, Any]:
        receipt = {"index": 0, "mark": "startup", "time_ms": 1, "principal": {}}
        return {"receipts": [receipt], "next": 1, "size": 1}


@pytest.fixture(scope="session")
def keys() -> dict[str, tuple[str, str]]:
    """Each human's key: the encrypted text and the public line. Cheap to open."""
    made = {name: create_key(PASSPHRASE, cost=2**14) for name in NAMES}
    return {name: (key.encrypted, key.public) for name, key in made.items()}


@pytest.fixture
def home(
    tmp_path: Path, keys: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Config:
    """Written settings of a team of three, with every key file here."""
    folder = tmp_path / "etc"
    folder.mkdir()
    people = []
    (folder / "keys").mkdir(mode=0o700)
    for name, (encrypted, public) in keys.items():
        people.append(Human(name, (EnrolledKey.parse(public),)))
        (folder / "keys" / f"{name}.key").write_text(encrypted)
    state = tmp_path / "state"
    state.mkdir()
    config = Config(
        "team",
        state,
        LedgerSettings(folder / "keys" / "ledger.key", folder / "mark"),
        VaultSettings(folder / "keys" / "vault.key"),
        humans=tuple(people),
        path=folder / "signoff.toml",
    )
    make_secret(config.ledger.key_file, "key")
    make_secret(config.vault.key_file, "key")
    write_config(config, folder / "signoff.toml")
    monkeypatch.setenv("SIGNOFF_CONFIG", str(folder / "signoff.toml"))
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("SIGNOFF_HUMAN", "SIGNOFF_KEY", "SIGNOFF_CONTROL", "USER"):
        monkeypatch.delenv(name, raising=False)
    return dataclasses.replace(config)


@pytest.fixture
def office(home: Config) -> Iterator[Office]:
    """The daemon, answering on the settings' control socket."""
    backend = Office(home)
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def serve() -> Any:
        runner = await listen(make_control_app(backend), home.control_socket)  # type: ignore[arg-type] # what the commands under test use of it
        started.set()
        return runner

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve(), loop).result(20)
    yield backend
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()

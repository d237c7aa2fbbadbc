"""A real Signoff for the demo: settings, keys and people in a folder, the daemon a process.

The people sign with keys of their own, over what the control socket shows them, exactly as
`signoff approve` does; only their typing is played.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from signoff.approvals.keys import create_key, sign
from signoff.config import (
    AwsSettings,
    Config,
    GateSettings,
    LedgerSettings,
    MapRow,
    ObserveSettings,
    VaultSettings,
    make_secret,
    read_texts,
    write_config,
)
from signoff.demo.children import bare_environment
from signoff.faces.backend import Act
from signoff.faces.client import ControlClient
from signoff.model.decision import Verdict
from signoff.model.effect import Verb
from signoff.model.errors import SignoffError
from signoff.model.human import EnrolledKey, Human
from signoff.model.values import canonical

PASSPHRASE = "the people of the demo"
COST = 1 << 14
PEOPLE = ("olga", "ana", "bo", "cy")
"""`olga` operates the agent; the others sign."""

REAL_KEY_ID = "OWNERSREALKEYID00000"
"""The key id of the credentials the daemon holds, by which the target knows its requests."""

GRANTED = tuple(verb.value for verb in Verb)
"""What the runs of the demo may do in production, once people have signed each of it."""


@dataclass(frozen=True)
class Person:
    """One human of the demo with their own key."""

    human: Human
    encrypted: str

    @property
    def key(self) -> EnrolledKey:
        """Their one key."""
        return self.human.keys[0]

    def sign(self, message: bytes) -> bytes:
        """Their signature."""
        return sign(self.encrypted, PASSPHRASE, message)


def person(name: str) -> Person:
    """A new human with a fresh key under a passphrase."""
    made = create_key(PASSPHRASE, cost=COST)
    return Person(Human(name, (EnrolledKey.parse(made.public),)), made.encrypted)


@dataclass
class Guard:
    """A running daemon, and the people who answer it. `folder` holds settings and state."""

    folder: Path
    config: Config
    people: Mapping[str, Person]
    process: subprocess.Popen[bytes] | None = None
    endpoint: str = ""
    observe: bool = False
    index: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()

    @property
    def index_file(self) -> Path:
        """Where the daemon keeps its operations index."""
        return self.config.state_dir / "cache" / "aws-operations.json"

    @property
    def control(self) -> ControlClient:
        """A client of the control socket."""
        return ControlClient(self.config.control_socket)

    def start(self, ready_seconds: float = 60.0) -> None:
        """Start the daemon and wait until it serves; raises `SignoffError` with its last line."""
        log = (self.folder / "daemon.log").open("ab")
        command = [sys.executable, "-m", "signoff", "up", *(["--observe"] if self.observe else [])]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=bare_environment(
                HOME=str(self.folder),
                SIGNOFF_CONFIG=str(self.config.path),
                AWS_ACCESS_KEY_ID=REAL_KEY_ID,
                AWS_SECRET_ACCESS_KEY="the owners real secret",
                **self.variables,
            ),
            cwd=self.folder,
        )
        deadline = time.monotonic() + ready_seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with suppress(SignoffError):
                gates = self.control.status()["gates"]
                assert isinstance(gates, list)
                self.endpoint = str(gates[0]["address"])
                if self.index is not None and not self.index.exists():
                    self.index.write_bytes(self.index_file.read_bytes())
                return
            time.sleep(0.05)
        self.stop()
        raise SignoffError("the daemon did not start", self.last_words(), "read daemon.log")

    def last_words(self) -> str:
        """The last thing the daemon said, with its why and next step, on one line."""
        text = (self.folder / "daemon.log").read_text(errors="replace").strip()
        last = text.rpartition("signoff: ")[2]
        return "; ".join(" ".join(line.split()) for line in last.splitlines()) or "nothing"

    def stop(self) -> None:
        """Stop the daemon as SIGTERM does; kill it when it stays."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, as a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def act(self, act: Act, who: str, **arguments: object) -> dict[str, object]:
        """Something a person asks for and proves with their signature."""
        signer = self.people[who]
        nonce, text = self.control.propose(act, arguments, who)
        return self.control.act(nonce, signer.key.fingerprint, signer.sign(text.encode()))

    def key(
        self, agent: str = "builder", operator: str = "olga", *, granted: bool = True
    ) -> dict[str, str]:
        """A run key: `key_id`, `secret`, `run`, ...; unless told otherwise with a grant for
        production that a peer of the operator signed."""
        made = self.act(Act.KEY, operator, agent=agent, operator=operator, ttl_ms=3_600_000)
        if granted:
            peer = next(name for name in self.people if name != operator)
            self.grant(str(made["run"]), peer)
        return {name: str(value) for name, value in made.items()}

    def grant(
        self,
        run: str,
        who: str = "ana",
        *,
        environment: str = "production",
        verbs: Sequence[str] = GRANTED,
        changes: int = 1000,
        ttl_ms: int = 3_600_000,
    ) -> str:
        """A grant one person signs, over the text the daemon shows; its id."""
        signer = self.people[who]
        asked = {"run": run, "environment": environment, "verbs": list(verbs)}
        drafted = self.control.draft_grant(
            {**asked, "changes": changes, "ttl_ms": ttl_ms, "why": "the demo"}
        )
        text = str(drafted["payload"])
        name = str(json.loads(text)["grant"])
        signature = signer.sign(text.encode())
        self.control.sign_grant(name, who, signer.key.fingerprint, signature)
        return name

    def decide(
        self, ticket: str, who: str, verdict: Verdict = Verdict.APPROVE
    ) -> dict[str, object]:
        """One person signs one hold."""
        signer = self.people[who]
        text = self.control.challenge(ticket, who, verdict)
        signature = signer.sign(text.encode())
        return self.control.submit(ticket, who, verdict, signer.key.fingerprint, signature)

    def lower(self, boundary: str, environment: str = "production") -> str:
        """A two-person change: `cy` asks, `ana` and `bo` sign, `cy` carries it out."""
        members = {"boundary": boundary, "environment": environment, "ttl_ms": 1_800_000}
        asked = self.act(Act.LOWER, "cy", **members)
        for who in ("ana", "bo"):
            self.decide(str(asked["ticket"]), who)
        return str(self.act(Act.LOWER, "cy", **members)["state"])

    def propose(self, who: str = "cy") -> dict[str, object]:
        """`who` asks that what lies on disk be sealed, as `signoff apply` does."""
        assert self.config.path is not None
        texts = read_texts(self.config.path)
        self.control.consider(texts.as_data())
        return self.act(Act.APPLY, who, configuration=texts.digest)

    def apply(self, who: str = "cy", signers: Sequence[str] = ("ana", "bo")) -> None:
        """A two-person change of the configuration to what lies on disk; returns when the
        daemon runs it."""
        asked = self.propose(who)
        for signer in signers:
            self.decide(str(asked["ticket"]), signer)
        done = self.propose(who)
        if done["state"] != "sealed":
            raise SignoffError("the configuration was not sealed", str(done), "")
        self.opened(str(done["configuration"]))

    def opened(self, configuration: str, seconds: float = 60.0) -> None:
        """Wait until the daemon runs the configuration of that digest."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(SignoffError):
                found = self.control.status().get("configuration")
                if isinstance(found, dict) and found["runs"] and found["digest"] == configuration:
                    return
            time.sleep(0.05)
        raise SignoffError("the daemon did not come back", self.last_words(), "read daemon.log")

    def undo(self, who: str = "ana", *, action: str = "", run: str = "") -> dict[str, object]:
        """Take back one action or a whole run."""
        plan = self.control.undo_plan(action, run, 0)
        members = {"action": action, "run": run, "since_ms": 0, "plan": plan["digest"]}
        return self.act(Act.UNDO, who, **members)


def settings(
    folder: Path,
    upstream: str,
    people: Sequence[Person],
    *,
    rules: tuple[MapRow, ...] = (),
    regions: tuple[str, ...] = (),
) -> Config:
    """The settings of the demo, not yet written."""
    home = folder / "settings"
    return Config(
        "team",
        folder / "state",
        LedgerSettings(home / "keys" / "ledger.key", home / "high-water" / "mark"),
        VaultSettings(home / "keys" / "vault.key"),
        gate=GateSettings(port=0),
        humans=tuple(p.human for p in people),
        rules=rules,
        aws=AwsSettings(credentials="environment", regions=regions, endpoint=upstream),
        path=home / "signoff.toml",
    )


def prepare(
    folder: Path,
    upstream: str,
    *,
    rules: tuple[MapRow, ...] = (),
    regions: tuple[str, ...] = (),
    observe: tuple[str, ...] = (),
    index: Path | None = None,
) -> Guard:
    """Settings, secrets and people on disk, the daemon not yet started.

    `observe` names environments in which it only observes; two people sign that. `index`
    is a file in which the operations index of an earlier daemon is kept for the next.
    """
    people = {name: person(name) for name in PEOPLE}
    config = settings(folder, upstream, tuple(people.values()), rules=rules, regions=regions)
    if observe:
        bare = ObserveSettings(observe, "2099-12-31")
        message = canonical(bare.message())
        rows = tuple(_row(people[name], message) for name in ("ana", "bo"))
        config = replace(config, observe=replace(bare, signed=rows))
    assert config.path is not None
    config.path.parent.mkdir(mode=0o755, parents=True)
    make_secret(config.ledger.key_file, "the ledger key")
    make_secret(config.vault.key_file, "the vault key")
    write_config(config, config.path)
    made = Guard(folder, config, people, observe=bool(observe), index=index)
    if index is not None and index.exists():
        made.index_file.parent.mkdir(mode=0o755, parents=True)
        made.index_file.write_bytes(index.read_bytes())
    return made


@contextmanager
def guard(folder: Path, upstream: str, **how: object) -> Iterator[Guard]:
    """A running guard; stopped at the end. `how` as `prepare` takes it."""
    made = prepare(folder, upstream, **how)  # type: ignore[arg-type] # passed on as it came
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _row(who: Person, message: bytes) -> str:
    import base64

    encoded = base64.b64encode(who.sign(message)).decode()
    return f"{who.human.name} {who.key.fingerprint} {encoded}"


def receipts(guard: Guard) -> list[dict[str, object]]:
    """Everything in the ledger, oldest first."""
    page = guard.control.log(0, 10_000)["receipts"]
    return json.loads(json.dumps(page)) if isinstance(page, list) else []

"""A stage for the story: drawers for a world, keys in memory, people who sign."""

from __future__ import annotations

import base64
import functools

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.approvals.desk import Desk
from signoff.breaker import Breaker
from signoff.model.action import Action, Principal
from signoff.model.decision import Hold, SignOff, Verdict
from signoff.model.human import EnrolledKey, Human
from signoff.model.values import frozen
from signoff.pipeline import Pipeline
from signoff.policy.bundle import load_bundle
from signoff.policy.engine import CedarJudge
from signoff.steps.chain import Reply, Request
from signoff.steps.circumstances import Circumstances
from signoff.steps.keeping import Keeper
from signoff.steps.waiting import WaitingRoom
from signoff.surfaces.base import Places
from signoff.testing import (
    Drawers,
    DrawerSurface,
    FakeClock,
    MemoryStore,
    MemoryVault,
    SilentNotifier,
)
from signoff.understand import Reader
from signoff.undo import Rewind

AGENT = Principal("builder", "R-1", "olga")
NAMES = ("olga", "ana", "bo", "cy")


@functools.cache
def people() -> tuple[tuple[Human, ...], dict[str, tuple[Ed25519PrivateKey, EnrolledKey]]]:
    """Four humans with keys that lie open: a passphrase a signature would take its time."""
    humans, secrets = [], {}
    for name in NAMES:
        private = Ed25519PrivateKey.generate()
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        key = EnrolledKey.parse(f"signoff-ed25519 {public}")
        humans.append(Human(name, (key,)))
        secrets[name] = (private, key)
    return tuple(humans), secrets


@functools.cache
def bundle():
    """The shipped team bundle, loaded once."""
    return load_bundle("team", agents={"builder": ()}, humans=dict.fromkeys(NAMES, ()))


def drawer(verb: str, key: str, text: str = "") -> Action:
    """An action on a drawer."""
    members = {"key": key, "text": text} if verb == "Put" else {"key": key}
    return Action("drawers", f"drawers:{verb}", frozen(**members), public=frozen(key=key))


class Stage:
    """Everything behind the ports, in memory."""

    def __init__(self, held: dict[str, str], store: MemoryStore | None = None) -> None:
        self.clock = FakeClock()
        self.store = store or MemoryStore()
        self.vault = MemoryVault()
        self.world = Drawers(dict(held))
        self.boot()

    def boot(self) -> None:
        """(Re)start the process: everything but store, vault, world and clock is new."""
        humans, _ = people()
        surfaces = {"drawers": DrawerSurface()}
        self.reader = Reader(surfaces, self.world, Places())
        self.keeper = Keeper(self.reader, self.vault, self.clock)
        judge = CedarJudge(bundle())
        waiting = WaitingRoom(
            self.store,
            self.store,
            self.clock,
            SilentNotifier(),
            humans,
            bundle=lambda: bundle().digest,
        )
        facts = Circumstances(self.store, self.vault, Breaker(), self.clock, humans=humans)
        self.pipeline = Pipeline(
            self.reader, judge, facts, waiting, self.keeper, self.store, self.clock
        )
        self.desk = Desk(self.store, self.store, self.clock, humans)
        self.rewind = Rewind(
            self.pipeline,
            self.reader,
            self.keeper,
            self.store,
            self.store,
            self.clock,
            lambda action: self.world,
        )

    async def ask(self, action: Action, *, principal: Principal = AGENT, **how: object) -> Reply:
        """One request through the story."""
        return await self.pipeline.handle(Request(principal, action, "test", **how), self.world)

    async def sign(self, ticket: str, human: str, verdict: Verdict = Verdict.APPROVE) -> Hold:
        """One human signs what the desk shows."""
        text = await self.desk.text(ticket, verdict)
        private, key = people()[1][human]
        now = self.clock.now_ms()
        row = SignOff(ticket, human, verdict, key.fingerprint, private.sign(text), now)
        return await self.desk.sign(row)

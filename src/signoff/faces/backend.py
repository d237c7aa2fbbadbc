"""What the control socket needs of the daemon: one Protocol, and the acts humans sign. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from signoff.model.decision import Verdict

Json: TypeAlias = Mapping[str, object]
"""Plain data for the wire; what `values.canonical` takes."""

DOMAIN = "signoff/control/v1"


class Act(str, Enum):
    """What loosens anything, and therefore needs an enrolled human's signature.

    What tightens (halt, freeze) needs none: stopping must never wait for a key.
    """

    KEY = "key"
    RESUME = "resume"
    LIFT = "lift"
    LOWER = "lower"
    APPLY = "apply"
    UNDO = "undo"
    SETTLE = "settle"
    REVIEW = "review"


ARGUMENTS: Mapping[Act, Mapping[str, type]] = {
    Act.KEY: {"agent": str, "operator": str, "ttl_ms": int},
    Act.RESUME: {"agent": str, "run": str},
    Act.LIFT: {"environment": str},
    Act.LOWER: {"boundary": str, "environment": str, "ttl_ms": int},
    Act.APPLY: {"configuration": str},
    Act.UNDO: {"action": str, "run": str, "since_ms": int, "plan": str},
    Act.SETTLE: {"action": str, "state": str},
    Act.REVIEW: {"actions": list, "until": int},
}
"""The arguments of each act, all of them needed. `agent` or `run` may be empty, and so
may `action` or `run`; `plan` is the digest of the undo plan the human was shown, and
`configuration` that of the considered one."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A human's signature over one act, already verified when a backend sees it.

    `message` is the canonical payload that was signed, `key` the fingerprint; both go
    into the receipt, so that anybody can check it again.
    """

    human: str
    key: str
    message: bytes
    signature: bytes


class Granting(Protocol):
    """Peer-reviewed access, as the control socket speaks to it."""

    async def grants(self, run: str) -> tuple[Json, ...]:
        """The newest grants, of one run or (empty) of all, newest first."""
        ...

    async def draft(
        self,
        run: str,
        environment: str,
        verbs: Sequence[str],
        changes: int,
        ttl_ms: int,
        why: str,
    ) -> Json:
        """The text a peer signs: `{"grant": {..}, "payload", "eligible"}`. Grants nothing."""
        ...

    async def sign(self, grant: str, human: str, key: str, signature: bytes) -> Json:
        """Open the drafted grant this human signed; a draft is signed once."""
        ...

    async def revoke(self, grant: str) -> Json:
        """Take a grant back at once; nobody has to sign for that."""
        ...


class Backend(Protocol):
    """The daemon, as the control socket speaks to it.

    Every method raises a `SignoffError` for what it refuses; its `exit_code` reaches the
    command line. Times are milliseconds since the epoch (UTC).
    """

    async def status(self) -> Json:
        """Members as `render.status` reads them; see docs/reference/cli.md."""
        ...

    async def holds(self) -> tuple[Json, ...]:
        """Every open hold, oldest first, as `render.hold_row` reads them."""
        ...

    async def show(self, ticket: str) -> Json:
        """One hold in full: `Hold` members, its `card`, `signoffs` so far, `eligible`."""
        ...

    async def challenge(self, ticket: str, human: str, verdict: Verdict) -> str:
        """The exact text this human would sign: `canonical(hold.payload(verdict))`."""
        ...

    async def submit(
        self, ticket: str, human: str, verdict: Verdict, key: str, signature: bytes
    ) -> Json:
        """Record one sign-off: `{"ticket", "state", "signed": [..], "missing": n}`."""
        ...

    async def authenticate(self, proof: Proof) -> None:
        """Raise `SignOffInvalid` unless an enrolled key of the human made the signature."""
        ...

    async def issue_key(self, agent: str, operator: str, ttl_ms: int, proof: Proof) -> Json:
        """A new run key: `{"key_id", "secret", "token", "run", "expires_ms", "endpoint"}`."""
        ...

    async def log(self, start: int, most: int, wait_ms: int) -> Json:
        """`{"receipts": [{"index", ..body}], "next": n, "size": n}` from index `start`;
        a negative `start` counts from the end. Waits up to `wait_ms` for a first one."""
        ...

    async def halt(self, agent: str, run: str) -> Json:
        """Stop an agent, a run, or (both empty) everything."""
        ...

    async def resume(self, agent: str, run: str, proof: Proof) -> Json:
        """Take one halt back."""
        ...

    async def freeze(self, environment: str) -> Json:
        """No changes in an environment until it is lifted."""
        ...

    async def lift(self, environment: str, proof: Proof) -> Json:
        """Take one freeze back."""
        ...

    async def lower(self, boundary: str, environment: str, ttl_ms: int, proof: Proof) -> Json:
        """Ask for a boundary to be lowered for a time: a two-person change, so the answer
        is usually a hold: `{"ticket", "state", "missing"}`."""
        ...

    async def configuration(self) -> Json:
        """What is sealed: `{"digest", "texts"}`."""
        ...

    async def consider(self, texts: Mapping[str, object]) -> Json:
        """Check and prove a configuration and compare it with the sealed one; nothing is
        changed: `{"digest", "before", "changes", "rulings", "proof"}`."""
        ...

    async def apply(self, configuration: str, proof: Proof) -> Json:
        """Ask for a considered configuration, by its digest, to be sealed: a two-person
        change, answered as `lower` is."""
        ...

    async def undo_plan(self, action: str, run: str, since_ms: int) -> Json:
        """What an undo would do: `{"digest", "actions": [..], "conflicts": [..],
        "residue": [..], "effects": [..]}`. Changes nothing."""
        ...

    async def undo(self, action: str, run: str, since_ms: int, plan: str, proof: Proof) -> Json:
        """Carry the plan of that digest out, or raise when it is no longer the plan:
        `{"state": "done"|"held"|"conflict", "undone": [..], "ticket", "conflicts": [..]}`."""
        ...

    @property
    def granting(self) -> Granting:
        """Peer-reviewed access."""
        ...

    async def verify(self) -> Json:
        """The daemon's own check of its ledger: `{"size", "root", "checked", "findings"}`."""
        ...

    async def settle(self, action: str, state: str, proof: Proof) -> Json:
        """A human's word on an action in doubt (`succeeded`, `failed`)."""
        ...

    async def review(self, actions: list[object], until: int, proof: Proof) -> Json:
        """Record that a human looked at these actions, having read the first `until`
        receipts: `{"state", "counted": [..], "own": [..]}`."""
        ...

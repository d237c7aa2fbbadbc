"""Peer-reviewed access: what one run may change in one environment, for a while. Pure.

A grant opens the door and nothing more: every change under it is still judged, held and
signed by the policies. One change is one action that was started, whatever its effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from signoff.model.action import Principal
from signoff.model.errors import StateConflict
from signoff.model.values import Data

DOMAIN = "signoff/grant/v1"
"""Stands in every signed text of a grant, so that no other signature is one."""


class GrantState(str, Enum):
    """Where a grant stands; nothing ever leads back to `live`."""

    LIVE = "live"
    USED_UP = "used up"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class GrantSignature:
    """One human's signature over a grant's payload; `key` is a fingerprint."""

    human: str
    key: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Grant:
    """Access of one run to one environment.

    `verbs` are words of `model.effect.Verb`; `read` comes with any of them. `changes` may be
    started under it, `used` were. `until_ms` is the first millisecond it no longer holds;
    `revoked_ms` is 0 while nobody took it back. `by` names those who signed; `nonce` is the
    server's, `ledger_size` and `ledger_root` (hex) pin the ledger they saw. Times are
    milliseconds since the epoch (UTC).
    """

    id: str
    run: str
    environment: str
    verbs: frozenset[str]
    changes: int
    used: int
    opened_ms: int
    until_ms: int
    by: tuple[str, ...] = ()
    revoked_ms: int = 0
    agent: str = ""
    operator: str = ""
    why: str = ""
    nonce: str = ""
    ledger_size: int = 0
    ledger_root: str = ""
    signatures: tuple[GrantSignature, ...] = ()

    @property
    def principal(self) -> Principal:
        """The run it was signed for, with its agent and the human that agent acts for."""
        return Principal(self.agent, self.run, self.operator)

    def state(self, now_ms: int) -> GrantState:
        """Where it stands at a moment."""
        if self.revoked_ms:
            return GrantState.REVOKED
        if now_ms >= self.until_ms:
            return GrantState.EXPIRED
        return GrantState.LIVE if self.used < self.changes else GrantState.USED_UP

    def use(self, now_ms: int) -> Grant:
        """The grant with one more change counted; raises `StateConflict` unless it is live."""
        state = self.state(now_ms)
        if state is not GrantState.LIVE:
            raise StateConflict(
                f"grant `{self.id}` is {state.value}",
                f"{self.used:,} of {self.changes:,} changes were made under it",
                f"ask a peer of {self.operator} for another: signoff grant {self.run}",
            )
        return replace(self, used=self.used + 1)

    def revoke(self, now_ms: int) -> Grant:
        """The grant taken back; raises `StateConflict` when it is over already."""
        state = self.state(now_ms)
        if state in (GrantState.REVOKED, GrantState.EXPIRED):
            raise StateConflict(
                f"grant `{self.id}` is {state.value}", "nothing to take back", "signoff grants"
            )
        return replace(self, revoked_ms=now_ms)

    def payload(self) -> dict[str, object]:
        """What its peer signs (docs/spec/grant.md); `canonical` of it are the bytes."""
        return {
            "domain": DOMAIN,
            "grant": self.id,
            "run": self.run,
            "agent": self.agent,
            "operator": self.operator,
            "environment": self.environment,
            "verbs": sorted(self.verbs),
            "changes": self.changes,
            "opened_ms": self.opened_ms,
            "until_ms": self.until_ms,
            "why": self.why,
            "nonce": self.nonce,
            "ledger": {"size": self.ledger_size, "root": self.ledger_root},
        }

    def as_data(self) -> dict[str, object]:
        """The whole grant as plain data; `from_data` is its inverse."""
        return {
            **self.payload(),
            "used": self.used,
            "revoked_ms": self.revoked_ms,
            "by": list(self.by),
            "signatures": [[s.human, s.key, s.signature] for s in self.signatures],
        }

    @classmethod
    def from_data(cls, data: Data) -> Grant:
        """The grant that `as_data` wrote down.

        Raises `ValueError`, `KeyError` or `TypeError` for anything else.
        """
        ledger, verbs, by = data["ledger"], data["verbs"], data["by"]
        signatures = data["signatures"]
        if not isinstance(ledger, Mapping) or data["domain"] != DOMAIN:
            raise ValueError("this is no grant")
        if not (isinstance(verbs, tuple) and isinstance(by, tuple)):
            raise ValueError("its lists are not lists")
        if not isinstance(signatures, tuple):
            raise ValueError("its signatures are not a list")
        return cls(
            id=_text(data["grant"]),
            run=_text(data["run"]),
            environment=_text(data["environment"]),
            verbs=frozenset(_text(v) for v in verbs),
            changes=_number(data["changes"]),
            used=_number(data["used"]),
            opened_ms=_number(data["opened_ms"]),
            until_ms=_number(data["until_ms"]),
            by=tuple(_text(name) for name in by),
            revoked_ms=_number(data["revoked_ms"]),
            agent=_text(data["agent"]),
            operator=_text(data["operator"]),
            why=_text(data["why"]),
            nonce=_text(data["nonce"]),
            ledger_size=_number(ledger["size"]),
            ledger_root=_text(ledger["root"]),
            signatures=tuple(_signature(row) for row in signatures),
        )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("expected a whole number")
    return value


def _signature(row: object) -> GrantSignature:
    if not isinstance(row, tuple) or len(row) != 3 or not isinstance(row[2], bytes):
        raise ValueError("expected a signature")
    return GrantSignature(_text(row[0]), _text(row[1]), row[2])

"""A real store on a real disk, and the plain things one writes into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.ledger.checkpoint import Signer
from signoff.ledger.merkle import Frontier
from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Hold, HoldState, SignOff, Target, Verdict
from signoff.model.effect import Bound, Reversibility
from signoff.model.ports import Undo
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.store.sqlite import SqliteStore, open_store
from signoff.vault import KeySealer

ORIGIN = "signoff/test"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VAULT_KEY = bytes(range(1, 33))
WHO = Principal("agent", "R-1", "olga")
NOW = 1_790_000_000_000


def opened(
    directory: Path, *, mark: bool = True, wall: Callable[[], int] | None = None
) -> SqliteStore:
    """The store of this directory; its high-water mark lies beside the state, not in it."""
    return open_store(
        directory / "state" / "signoff.db",
        tree=Frontier.unpacked,
        notary=SIGNER,
        sealer=KeySealer(VAULT_KEY),
        mark=directory / "elsewhere" / "mark" if mark else None,
        wall=wall or (lambda: NOW),
    )


def receipt(number: int = 0, mark: Mark = Mark.READ, **detail: object) -> Receipt:
    """One receipt, told apart by its number."""
    return Receipt(
        mark=mark,
        time_ms=NOW + number,
        action_id=f"A-{number}",
        principal=WHO,
        gate="aws",
        level=Level.CONTAINED,
        detail=frozen(number=number, **detail),
    )


def action(name: str = "dynamodb:DeleteTable", **parameters: object) -> Action:
    """One action with parameters of every plain kind."""
    return Action(
        surface="aws",
        name=name,
        parameters=frozen(
            TableName="orders", blob=b"\x00\xff", list=[1, {"a": None}], **parameters
        ),
        scope={"account": "1", "region": "eu-west-1"},
        generated=frozenset({"ClientToken"}),
        public=frozen(TableName="orders"),
        unknown=("a member",),
    )


def hold(ticket: str = "T-1", digest: str = "d" * 64, who: Principal = WHO) -> Hold:
    """One open hold."""
    bounds = (Bound(5000, "items"), Bound(None, "bytes"))
    return Hold(
        ticket=ticket,
        principal=who,
        action_digest=digest,
        understanding_digest="e" * 64,
        targets=(Target("delete", "arn:t", "production", bounds, Reversibility.BOUNDED),),
        unknown=("who reads it",),
        plan=("dynamodb:DeleteTable",),
        quorum=2,
        bundle="b" * 64,
        nonce="n-1",
        opened_ms=NOW,
        expires_ms=NOW + 3_600_000,
        ledger_size=0,
        ledger_root="",
        state=HoldState.OPEN,
        action_id="A-1",
        card=frozen(title="a table", effects=[{"verb": "delete"}]),
    )


def signed(ticket: str = "T-1", human: str = "ann", verdict: Verdict = Verdict.APPROVE) -> SignOff:
    """One sign-off; nobody verifies it here."""
    return SignOff(ticket, human, verdict, f"SHA256:{human}", b"\x00signature\xff", NOW + 1)


def undo(action_id: str = "A-1", run: str = "R-1", **members: object) -> Undo:
    """One undo record."""
    given: dict[str, object] = {"vault": "v" * 64, "captured_ms": NOW, "keep_until_ms": NOW + 10}
    return Undo(action_id, run, action(), **(given | members))  # type: ignore[arg-type]  # by name

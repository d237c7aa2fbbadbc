"""A ledger file with a small past, for commands that read all of it."""

from __future__ import annotations

from pathlib import Path

from durable import SIGNER, VAULT_KEY
from signoff.ledger.merkle import Frontier
from signoff.model.action import Action, Principal
from signoff.model.decision import Decision, Obligation, Ruling
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.ports import Facts
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from signoff.store.sqlite import open_store
from signoff.vault import KeySealer

KIT = Principal("kit", "R-1", "ana")
START = 1_790_000_000_000
STACK = "arn:aws:cloudformation:eu-west-1:111122223333:stack/orders-prod"


def step(
    mark: Mark,
    number: int,
    name: str,
    verb: Verb,
    *,
    ruling: Ruling | None = None,
    quorum: int = 0,
    reasons: tuple[str, ...] = (),
    resource: str = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders",
    owed: tuple[Obligation, ...] = (),
    where: str = "production",
    **detail: object,
) -> Receipt:
    """One receipt of an action on a table."""
    scope = {"account": "111122223333", "region": "eu-west-1"}
    action = Action("aws", name, frozen(n=name), scope, public=frozen(TableName="orders"))
    effect = Effect(
        verb,
        Resource(resource, "a:thing", where, Kind.CONTAINER if resource == STACK else Kind.DATA),
        (Bound(1, "items"),),
        Reversibility.EXACT if verb in (Verb.READ, Verb.UPDATE) else Reversibility.NONE,
    )
    understanding = Understanding(action, (effect,))
    told = f"{ruling.value}: because" if ruling else ""
    return Receipt(
        mark,
        START + number * 1000,
        f"A-{number:04d}",
        KIT,
        gate="aws",
        action=action,
        understanding=understanding if ruling else None,
        decision=Decision(ruling, reasons, quorum, owed, told, "b" * 64) if ruling else None,
        detail=frozen(**detail),
    )


def receipts() -> list[Receipt]:
    """A read, a held change, that change carried out, a boundary attempt, a change in doubt."""
    granted = frozenset({("production", "update"), ("production", "delete")})
    facts = Facts(granted=granted, now_ms=START).as_data()
    update, read = "dynamodb:UpdateItem", "dynamodb:GetItem"
    held = {"ruling": Ruling.HOLD, "quorum": 1, "reasons": ("one-person",), "facts": facts}
    return [
        Receipt(Mark.STARTUP, START, "", Principal("", "", ""), gate="control"),
        step(Mark.READ, 1, read, Verb.READ, ruling=Ruling.ALLOW, reasons=("reads",), facts=facts),
        step(Mark.DECIDED, 2, update, Verb.UPDATE, **held),
        step(Mark.HELD, 2, update, Verb.UPDATE, hold="H-1", quorum=1),
        Receipt(
            Mark.APPROVED, START + 2500, "A-0002", KIT, "control",
            detail=frozen(hold="H-1", human="bo", verdict="approve", key="k", signature=b"\1"),
        ),
        step(Mark.DECIDED, 3, update, Verb.UPDATE, **held),
        step(Mark.CAPTURED, 3, update, Verb.UPDATE, vault="sha256:00"),
        step(Mark.STARTED, 3, update, Verb.UPDATE, hold="H-1"),
        step(Mark.SUCCEEDED, 3, update, Verb.UPDATE, error=""),
        step(
            Mark.DECIDED, 4, "cloudformation:DeleteStack", Verb.DELETE, ruling=Ruling.DENY,
            reasons=("boundary-container",), resource=STACK, owed=(Obligation.NOTIFY,), facts=facts,
        ),
        step(Mark.DECIDED, 5, "dynamodb:PutItem", Verb.UPDATE, **held),
        step(Mark.STARTED, 5, "dynamodb:PutItem", Verb.UPDATE, hold=""),
        step(Mark.IN_DOUBT, 5, "dynamodb:PutItem", Verb.UPDATE, error="the answer never came"),
    ]  # fmt: skip


async def write_history(path: Path, more: tuple[Receipt, ...] = ()) -> int:
    """Write the past to a ledger file; the number of receipts."""
    store = open_store(
        path,
        tree=Frontier.unpacked,
        notary=SIGNER,
        sealer=KeySealer(VAULT_KEY),
        wall=lambda: START,
    )
    rows = [*receipts(), *more]
    for row in rows:
        await store.append(row)
    store.close()
    return len(rows)

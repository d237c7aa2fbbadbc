"""Receipts of every mark, as the ledger's readers get them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from signoff.audit.export.told import Standing, Told, told
from signoff.model.action import Action, Level, Principal
from signoff.model.decision import Decision, Obligation, Ruling
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Understanding, Verb
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen

WHEN = 1_790_000_000_123
ACTS = (
    *("key", "mint", "freeze", "lift", "halt", "resume", "lower", "review", "apply", "first"),
    *("files-differ", "grant", "grant-revoked", "something-new"),
)
STANDING = Standing("signoff.example/ledger", 40, "ab" * 32)
KIT = Principal("kit", "R-1", "olga")
TABLE = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"


def action_receipt(
    mark: Mark,
    verbs: tuple[Verb, ...] = (),
    ruling: Ruling | None = None,
    *,
    owed: tuple[Obligation, ...] = (),
    who: Principal = KIT,
    **detail: object,
) -> Receipt:
    """One step of an action with these effects and this ruling."""
    scope = {"account": "111122223333", "region": "eu-west-1"}
    made = Action("aws", "dynamodb:DeleteTable", frozen(n=1), scope, public=frozen(T="orders"))
    place = Resource(TABLE, "dynamodb:table", "production", Kind.DATA)
    effects = tuple(
        Effect(v, place, (Bound(None, "items"),), Reversibility.NONE, "streams") for v in verbs
    )
    decision = None
    if ruling is not None:
        message = f"{ruling.value}: because (two-person)"
        decision = Decision(ruling, ("two-person", "x"), 2, owed, message, "b" * 64)
    return Receipt(
        mark,
        WHEN,
        "A-1",
        who,
        "aws",
        Level.CONTAINED,
        made,
        Understanding(made, effects, ("a member",)) if effects else None,
        decision,
        frozen(**detail),
    )


def control(act: str, **detail: object) -> Receipt:
    """An act of a person."""
    who = Principal("", "", "ana")
    told_of = frozen(act=act, human="ana", signature=b"\1\2", **detail)
    return Receipt(Mark.CONTROL, WHEN, "", who, "control", detail=told_of)


def every_kind() -> list[Receipt]:
    """A receipt of every mark and verb, every act and every ruling."""
    rows = [action_receipt(mark) for mark in Mark if mark not in (Mark.CONTROL, Mark.STARTUP)]
    rows += [action_receipt(Mark.DECIDED, (verb,), ruling) for verb in Verb for ruling in Ruling]
    rows += [
        action_receipt(Mark.DECIDED, (Verb.DELETE,), Ruling.DENY, owed=(Obligation.NOTIFY,)),
        action_receipt(Mark.DECIDED, (Verb.READ, Verb.UPDATE), Ruling.HOLD, observed=True),
        action_receipt(Mark.READ, (Verb.READ,), Ruling.ALLOW, error="ResourceNotFoundException"),
        action_receipt(Mark.FAILED, error="the disk is full"),
        action_receipt(Mark.SUCCEEDED, who=Principal("", "", "olga")),
        Receipt(Mark.STARTUP, WHEN, "", Principal("", "", ""), "control"),
        Receipt(Mark.SIGNED, WHEN, "A-1", KIT, "control", detail=frozen(hold="H-1", human="ana")),
        Receipt(Mark.EXPIRED, WHEN, "A-1", KIT, "control", detail=frozen(hold="H-1")),
        Receipt(Mark.VOIDED, WHEN, "A-1", KIT, "control", detail=frozen(hold="H-1")),
        Receipt(Mark.SETTLED, WHEN, "", Principal("", "", "ana"), detail=frozen(action="A-1")),
    ]
    rows += [control(act, switch="freeze/production") for act in ACTS]
    return [*rows, control("grant", grant="G-1", refused="they asked for it themselves")]


def read(receipt: Receipt | Mapping[str, object], index: int = 7) -> Told:
    """The receipt as an export reads it."""
    given = json.loads(receipt.leaf()) if isinstance(receipt, Receipt) else receipt
    return told(index, given, STANDING)

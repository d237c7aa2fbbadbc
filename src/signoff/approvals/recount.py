"""The second count: from the signed rows alone, right before an action runs. Pure.

It shares no code with the first count, on purpose. It builds the signed text itself,
asks the verifier it is given about every single row, and finds out for itself who is one
person. An action runs only when both counts agree; a mistake must be made twice to
matter. Read it from top to bottom; it is meant to be checked by eye.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from signoff.model.action import Principal
from signoff.model.decision import Hold, HoldState, SignOff, Verdict
from signoff.model.effect import Understanding
from signoff.model.errors import SignOffInvalid
from signoff.model.human import EnrolledKey, Human, folded

OUTSIDE = frozenset({"staging", "development", "workspace"})
"""The shipped environments that are not production. Whatever is not named so, is."""

LASTING = frozenset({"disarm", "permit", "execute", "disclose", "unknown"})
"""Verbs that need two people in production whatever can be put back."""


class Proven(Protocol):
    """What a verifier says of a good signature."""

    @property
    def user_verified(self) -> bool:
        """Whether the signature shows that its human was there."""
        ...


class RowVerifier(Protocol):
    """Checks one signature; raises `SignOffInvalid` when it is not the key's."""

    def verify(self, key: EnrolledKey, payload: bytes, signature: bytes) -> Proven:
        """What is known of a good signature."""
        ...


@dataclass(frozen=True, slots=True)
class Recount:
    """Who really counts, how many are needed, and why rows were left out (one line each)."""

    humans: frozenset[str]
    needed: int
    left_out: tuple[str, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether the action may run as far as sign-offs go."""
        return len(self.humans) >= self.needed


def recount(
    hold: Hold,
    signoffs: Sequence[SignOff],
    humans: Sequence[Human],
    quorum: int,
    now_ms: int,
    verifier: RowVerifier,
    *,
    operator_counts: bool = False,
    outside: frozenset[str] = OUTSIDE,
) -> Recount:
    """Decide again, from nothing but signed rows, who approved this very hold.

    `quorum` is what the policy asks for now; the larger of it and the hold's own is
    needed, and never fewer than one; nor, for what an agent cannot take back in production
    (any environment not in `outside`) in team, than two, whatever policies and settings
    say. `operator_counts` (solo) lets the operator's own
    approval count when one is needed and the signature shows the human was there.
    Total: a row that does not verify is left out and said so; one good rejection, the
    expiry, or a hold that is not open or approved leaves nobody.
    """
    needed = max(1, quorum, hold.quorum, 1 if operator_counts else least(hold, outside))
    if hold.state not in (HoldState.OPEN, HoldState.APPROVED):
        return Recount(frozenset(), needed, (f"the hold is `{hold.state.value}`",))
    if now_ms >= hold.expires_ms:
        return Recount(frozenset(), needed, ("the hold has expired",))
    # 1. Which rows are real: signed by a key of the human they name, over this payload.
    left_out: list[str] = []
    approved: dict[str, bool] = {}
    for row in signoffs:
        try:
            proof = _check(hold, row, humans, verifier)
        except SignOffInvalid as error:
            left_out.append(str(error))
            continue
        if row.verdict is not Verdict.APPROVE:
            return Recount(frozenset(), needed, (*left_out, f"`{row.human}` rejected it"))
        approved[row.human] = approved.get(row.human, False) or proof.user_verified
    # 2. Who is whom: names that read alike or share a key are one person.
    people = _people(humans)
    # 3. Who does not count: the requester and the operator, under any of their names.
    asked_by = {folded(hold.principal.agent), folded(hold.principal.run)} - {""}
    operator = folded(hold.principal.operator)
    counted: set[str] = set()
    for group in people:
        signed = group & set(approved)
        if not signed:
            continue
        called = {folded(name) for name in group}
        own = operator in called
        alone = operator_counts and needed == 1 and hold.principal.is_agent
        if called & asked_by or (own and not alone):
            left_out.append(f"`{min(signed)}` asked for it")
        elif own and not any(approved[name] for name in signed):
            left_out.append(f"`{min(signed)}` was not shown to be there")
        else:
            counted.add(min(group))
    return Recount(frozenset(counted), needed, tuple(left_out))


def least(hold: Hold, outside: frozenset[str]) -> int:
    """The people below whom no setting goes: two for an agent's irreversible production
    change, else one."""
    if not hold.principal.is_agent:
        return 1
    for target in hold.targets:
        reading = target.verb == "read" and not hold.unknown
        if reading or target.environment in outside:
            continue
        if hold.unknown or target.verb in LASTING:
            return 2
        if target.reversibility.value not in ("exact", "bounded"):
            return 2
    return 1


def unsigned(principal: Principal, understanding: Understanding, outside: frozenset[str]) -> str:
    """Why what nobody was asked about may not run after all; empty when it may.

    No policy and no setting lets an agent change production (any environment not in
    `outside`) without a hold that people signed; the rest is for the policies alone.
    """
    if not principal.is_agent:
        return ""
    for effect in understanding.effects:
        if effect.verb.value == "read" and not understanding.unknown:
            continue
        if effect.resource.environment not in outside:
            return "no person signed this change of production"
    return ""


def payload(hold: Hold, verdict: str) -> bytes:
    """The bytes one human signs (docs/spec/hold.md), written out member by member."""
    targets = [
        {
            "bound": [{"most": bound.most, "unit": bound.unit} for bound in target.bounds],
            "environment": target.environment,
            "resource": target.resource,
            "reversibility": target.reversibility.value,
            "verb": target.verb,
        }
        for target in hold.targets
    ]
    card = hashlib.sha256(_text(_plain(hold.card))).hexdigest()
    members = {
        "action": hold.action_digest,
        "agent": hold.principal.agent,
        "bundle": hold.bundle,
        "card": card,
        "domain": "signoff/sign-off/v1",
        "expires_ms": hold.expires_ms,
        "hold": hold.ticket,
        "ledger": {"root": hold.ledger_root, "size": hold.ledger_size},
        "nonce": hold.nonce,
        "operator": hold.principal.operator,
        "plan": list(hold.plan),
        "quorum": hold.quorum,
        "run": hold.principal.run,
        "targets": targets,
        "unknown": list(hold.unknown),
        "verdict": verdict,
    }
    return _text(members)


def _check(hold: Hold, row: SignOff, humans: Sequence[Human], verifier: RowVerifier) -> Proven:
    if row.ticket != hold.ticket:
        raise SignOffInvalid(f"a sign-off of hold `{row.ticket}`", f"this is `{hold.ticket}`")
    for human in humans:
        if human.name != row.human:
            continue
        for key in human.keys:
            if key.fingerprint == row.key:
                return verifier.verify(key, payload(hold, row.verdict.value), row.signature)
    raise SignOffInvalid(f"key `{row.key}` is not enrolled for `{row.human}`")


def _people(humans: Sequence[Human]) -> list[set[str]]:
    groups: list[tuple[set[str], set[bytes]]] = []
    for human in humans:
        names = {human.name}
        marks = {folded(human.name).encode("utf-8", "replace")} | {k.material for k in human.keys}
        apart = []
        for other_names, other_marks in groups:
            if marks & other_marks:
                names |= other_names
                marks |= other_marks
            else:
                apart.append((other_names, other_marks))
        groups = [*apart, (names, marks)]
    return [names for names, _ in groups]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    return value


def _text(value: object) -> bytes:
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "surrogatepass")

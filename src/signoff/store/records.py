"""Holds, sign-offs, undos and keys as rows, and back. Pure.

What an action carries may be secret, so actions, responses and run keys are sealed before
they are stored; a hold is what people are shown, so it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signoff.model.action import Action, Principal
from signoff.model.decision import Hold, HoldState, SignOff, Target, Verdict
from signoff.model.effect import Bound, Reversibility
from signoff.model.errors import LedgerUnavailable
from signoff.model.ports import RunKey, Undo
from signoff.model.values import Data, Value, canonical, thaw, uncanonical
from signoff.store.contracts import Sealer, StartedAction

Row = tuple[Any, ...]


def hold_text(hold: Hold) -> bytes:
    """A hold as canonical bytes; its state stands in its own column."""
    who = hold.principal
    return _readable(
        {
            "ticket": hold.ticket,
            "principal": [who.agent, who.run, who.operator],
            "action_digest": hold.action_digest,
            "understanding_digest": hold.understanding_digest,
            "targets": [t.as_data() for t in hold.targets],
            "unknown": list(hold.unknown),
            "plan": list(hold.plan),
            "quorum": hold.quorum,
            "bundle": hold.bundle,
            "nonce": hold.nonce,
            "opened_ms": hold.opened_ms,
            "expires_ms": hold.expires_ms,
            "ledger_size": hold.ledger_size,
            "ledger_root": hold.ledger_root,
            "action_id": hold.action_id,
            "card": thaw(hold.card),
        }
    )


def hold_from(text: bytes, state: str) -> Hold:
    """The hold that `hold_text` wrote; raises `LedgerUnavailable` when it is damaged."""
    data = _mapping(text, "a hold")
    try:
        members: dict[str, Any] = dict(data)
        agent, run, operator = members.pop("principal")
        targets = tuple(_target(t) for t in members.pop("targets"))
        return Hold(
            **members,
            principal=Principal(agent, run, operator),
            targets=targets,
            state=HoldState(state),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise damaged("a hold", str(error)) from error


def _target(data: Mapping[str, Any]) -> Target:
    return Target(
        verb=data["verb"],
        resource=data["resource"],
        environment=data["environment"],
        bounds=tuple(Bound(b["most"], b["unit"]) for b in data["bound"]),
        reversibility=Reversibility(data["reversibility"]),
    )


def signoff_from(row: Row) -> SignOff:
    """A sign-off from (ticket, human, verdict, key, signature, signed_ms)."""
    ticket, human, verdict, key, signature, signed_ms = row
    return SignOff(ticket, human, Verdict(verdict), key, signature, signed_ms)


def action_sealed(action: Action, action_id: str, sealer: Sealer) -> bytes:
    """An action, encrypted for its row in `actions`."""
    return sealer.seal(_readable(action.as_data()), f"action/{action_id}")


def action_from(row: Row, sealer: Sealer) -> StartedAction:
    """A started action from (action_id, agent, run, operator, state, started_ms,
    finished_ms, sealed)."""
    action_id, agent, run, operator, state, started_ms, finished_ms, sealed = row
    data = _mapping(sealer.unseal(sealed, f"action/{action_id}"), "an action")
    who = Principal(agent, run, operator)
    return StartedAction(action_id, who, _action(data), state, started_ms, finished_ms or 0)


def undo_sealed(undo: Undo, sealer: Sealer) -> bytes:
    """The action and response of an undo, encrypted for its row in `undos`."""
    data = {"action": undo.action.as_data(), "response": thaw(undo.response)}
    return sealer.seal(_readable(data), f"undo/{undo.action_id}")


def undo_from(row: Row, sealer: Sealer) -> Undo:
    """An undo from (action_id, run, vault, after, state, undone_by, captured_ms,
    keep_until_ms, sealed)."""
    action_id, run, vault, after, state, undone_by, captured_ms, keep_until_ms, sealed = row
    data = _mapping(sealer.unseal(sealed, f"undo/{action_id}"), "an undo")
    action, response = data["action"], data["response"]
    if not isinstance(action, Mapping) or not isinstance(response, Mapping):
        raise damaged("an undo", "it has no action")
    return Undo(
        action_id=action_id,
        run=run,
        action=_action(action),
        vault=vault,
        after=after,
        response=response,
        state=state,
        undone_by=undone_by,
        captured_ms=captured_ms,
        keep_until_ms=keep_until_ms,
    )


def key_sealed(key: RunKey, sealer: Sealer) -> bytes:
    """The secret and token of a run key, encrypted for its row in `run_keys`.

    Bound to whom it names and how long it lives: a row in which somebody changed the
    operator does not open.
    """
    return sealer.seal(canonical([key.secret, key.token]), _about_key(key))


def _about_key(key: RunKey) -> str:
    who = key.principal
    names = canonical([key.key_id, who.agent, who.run, who.operator, key.issued_ms, key.expires_ms])
    return f"run-key/{names.decode()}"


def key_from(row: Row, sealer: Sealer) -> RunKey:
    """A run key from (key_id, agent, run, operator, issued_ms, expires_ms, sealed)."""
    key_id, agent, run, operator, issued_ms, expires_ms, sealed = row
    who = Principal(agent, run, operator)
    named = RunKey(key_id, "", who, issued_ms, expires_ms)
    opened = _plain(sealer.unseal(sealed, _about_key(named)), "a run key")
    if not isinstance(opened, tuple) or len(opened) != 2:
        raise damaged("a run key", "it has no secret")
    secret, token = opened
    return replace(named, secret=str(secret), token=str(token))


def switch_sealed(name: str, content: Data, sealer: Sealer) -> bytes:
    """The content of a switch, so that nobody without the key can set one."""
    return sealer.seal(canonical(content), f"switch/{name}")


def switch_from(name: str, sealed: bytes, sealer: Sealer) -> Data:
    """The content of a switch from its row."""
    return _mapping(sealer.unseal(sealed, f"switch/{name}"), "a switch")


def configuration_sealed(at: int, digest: str, content: Data, sealer: Sealer) -> bytes:
    """The texts of a configuration, bound to their receipt and digest: an older row does not
    pass for a newer one."""
    return sealer.seal(canonical(content), f"configuration/{at}/{digest}")


def configuration_from(at: int, digest: str, sealed: bytes, sealer: Sealer) -> Data:
    """The texts of a configuration from its row."""
    return _mapping(sealer.unseal(sealed, f"configuration/{at}/{digest}"), "a configuration")


def damaged(what: str, why: str) -> LedgerUnavailable:
    """The error for a row that does not read back."""
    return LedgerUnavailable(
        f"{what} in the store cannot be read", why, "run `signoff verify`; restore the state"
    )


def _readable(data: object) -> bytes:
    """Canonical bytes, once they are known to read back: what an agent sends may look like
    an encoding, and it must not be found out at the next start. Raises `ValueError`."""
    text = canonical(data)
    if canonical(uncanonical(text)) != text:
        raise ValueError("it does not read back as it was written")
    return text


def _action(data: Data) -> Action:
    try:
        return Action.from_data(data)
    except (ValueError, TypeError, KeyError) as error:
        raise damaged("an action", str(error)) from error


def _mapping(text: bytes, what: str) -> Data:
    value = _plain(text, what)
    if not isinstance(value, Mapping):
        raise damaged(what, "it is not an object")
    return value


def _plain(text: bytes, what: str) -> Value:
    try:
        return uncanonical(text)
    except ValueError as error:
        raise damaged(what, str(error)) from error

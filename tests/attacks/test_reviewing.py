"""Attempts to have production changes count as looked at when nobody else looked.

The list is made from the ledger alone, and a look is a receipt that a human signed over the
very actions and over how much of the ledger they had read.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from attacks.conftest import Scene
from signoff.approvals.signatures import Verifiers
from signoff.audit.review import Item, items
from signoff.demo.guard import receipts
from signoff.faces.backend import Act
from signoff.faces.reviewing import ACTIONS_MOST
from signoff.model.errors import SignoffError
from signoff.model.values import uncanonical


def ledger(scene: Scene) -> list[dict[str, Any]]:
    """Everything in the ledger."""
    return [dict(row) for row in receipts(scene.guard)]


def item(scene: Scene) -> Item:
    """This run's only item on the list."""
    rows = [(int(row["index"]), row) for row in ledger(scene)]
    (found,) = [i for i in items(rows) if i.run == scene.key["run"]]
    return found


def changed(scene: Scene) -> Item:
    """A production change that one person signed off."""
    scene.guard.decide(scene.put(2).ticket, "ana")
    assert scene.put(2).status == 200
    return item(scene)


def look(scene: Scene, who: str, actions: list[str], until: int | None = None) -> dict[str, object]:
    """`signoff review done`, as `who`."""
    size = len(ledger(scene)) if until is None else until
    return scene.guard.act(Act.REVIEW, who, actions=actions, until=size)


def test_the_operators_own_look_leaves_their_agents_change_on_the_list(scene: Scene) -> None:
    found = changed(scene)
    told = look(scene, "olga", [found.action_id])
    assert (told["counted"], told["own"]) == ([], [found.action_id])
    assert item(scene).pending
    assert item(scene).own_look_only
    assert look(scene, "bo", [found.action_id])["counted"] == [found.action_id]
    assert not item(scene).pending
    # Anybody can check from the receipt alone who looked, and at what.
    row = ledger(scene)[-1]
    (key,) = [k for h in scene.guard.config.humans if h.name == "bo" for k in h.keys]
    signed = row["detail"]["message"].encode()
    signature = uncanonical(json.dumps(row["detail"]["signature"]))
    assert isinstance(signature, bytes)
    assert Verifiers().verify(key, signed, signature).user_verified
    assert json.loads(signed)["arguments"]["actions"] == [found.action_id]


def test_a_look_at_what_is_not_written_yet_is_refused(scene: Scene) -> None:
    found = changed(scene)
    with pytest.raises(SignoffError, match="the ledger has"):
        look(scene, "bo", [found.action_id], until=1 << 40)
    with pytest.raises(SignoffError, match="to look at"):
        look(scene, "bo", [found.action_id], until=found.first)
    assert item(scene).pending


def test_a_look_at_actions_that_never_were_is_refused(scene: Scene) -> None:
    found = changed(scene)
    for actions in (
        [],
        ["A-nothing"],
        [found.action_id, "A-nothing"],
        [found.action_id, found.action_id],
        [found.action_id, {"a": 1}],
        [f"A-{n}" for n in range(ACTIONS_MOST + 1)],
    ):
        with pytest.raises(SignoffError):
            look(scene, "bo", actions)
    assert item(scene).pending


def test_a_look_without_a_humans_signature_is_not_recorded(scene: Scene) -> None:
    found = changed(scene)
    control, size = scene.guard.control, len(ledger(scene))
    arguments = {"actions": [found.action_id], "until": size}
    nonce, text = control.propose(Act.REVIEW, arguments, "bo")
    with pytest.raises(SignoffError):
        control.act(nonce, scene.guard.people["bo"].key.fingerprint, b"\0" * 64)
    nonce, text = control.propose(Act.REVIEW, {**arguments, "actions": ["A-other"]}, "bo")
    other = scene.guard.people["bo"].sign(text.encode())
    nonce, _ = control.propose(Act.REVIEW, arguments, "bo")
    with pytest.raises(SignoffError):
        control.act(nonce, scene.guard.people["bo"].key.fingerprint, other)
    assert item(scene).looks == ()


def test_what_happens_after_a_look_is_on_the_list_again(scene: Scene) -> None:
    found = changed(scene)
    look(scene, "bo", [found.action_id])
    assert not item(scene).pending
    scene.guard.undo("ana", action=found.action_id)
    assert item(scene).pending

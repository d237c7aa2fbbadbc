"""Who may sign a grant, what their signature is over, and which stored rows count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signing import Pen
from signoff.approvals.granting import DRAFT_MS, GrantDesk, SignedGrants
from signoff.approvals.grants import Grant, GrantSignature
from signoff.model.action import Principal
from signoff.model.errors import SignOffInvalid, StateConflict
from signoff.model.human import Human, Profile
from signoff.model.values import canonical
from signoff.testing import FakeClock, MemoryStore

WHO = Principal("builder", "R-1", "olga")
PENS = {name: Pen(name) for name in ("olga", "ana", "bo")}
HUMANS = tuple(Human(name, (pen.enrolled,)) for name, pen in PENS.items())
HOUR = 3_600_000


class Stand:
    """A desk over a store in memory."""

    def __init__(self, humans: tuple[Human, ...] = HUMANS, profile: Profile = Profile.TEAM) -> None:
        self.store, self.clock = MemoryStore(), FakeClock()
        self.desk = GrantDesk(self.store, self.clock, humans, profile)
        self.signed = SignedGrants(self.store, humans, profile=profile)

    def draft(self, **how: object) -> Grant:
        given = {"verbs": ("update",), "changes": 3, "ttl_ms": HOUR, **how}
        return self.desk.draft(WHO, "production", **given)  # type: ignore[arg-type] # by name

    async def sign(self, grant: Grant, who: str, pen: Pen | None = None) -> Grant:
        pen = pen or PENS[who]
        signature = pen.sign(canonical(grant.payload()))
        return await self.desk.sign(grant.id, who, pen.enrolled.fingerprint, signature)


async def test_a_peer_signs_and_the_grant_is_stored_with_the_signed_text() -> None:
    stand = Stand()
    grant = await stand.sign(stand.draft(), "ana")
    assert grant.by == ("ana",)
    assert stand.store.grant_rows == {grant.id: grant}
    (receipt,) = stand.store.receipts
    assert receipt.detail["message"] == canonical(grant.payload()).decode()
    assert await stand.signed.grants("R-1") == (grant,)


async def test_the_operator_signs_no_grant_for_their_own_run() -> None:
    stand = Stand()
    with pytest.raises(SignOffInvalid, match="cannot grant"):
        await stand.sign(stand.draft(), "olga")
    assert stand.store.grant_rows == {}
    (receipt,) = stand.store.receipts
    assert "cannot grant" in str(receipt.detail["refused"])


@pytest.mark.parametrize("name", ["Olga", "builder", "R-1"])
async def test_nobody_called_like_the_operator_the_agent_or_the_run_signs(name: str) -> None:
    other = Pen("another key")
    stand = Stand((*HUMANS, Human(name, (other.enrolled,))))
    with pytest.raises(SignOffInvalid, match="cannot grant"):
        await stand.sign(stand.draft(), name, other)


async def test_the_operators_key_under_a_second_name_signs_nothing() -> None:
    stand = Stand((*HUMANS, Human("dora", (PENS["olga"].enrolled,))))
    with pytest.raises(SignOffInvalid, match="cannot grant"):
        await stand.sign(stand.draft(), "dora", PENS["olga"])


async def test_a_draft_is_signed_once() -> None:
    stand = Stand()
    grant = stand.draft()
    await stand.sign(grant, "ana")
    with pytest.raises(SignOffInvalid, match="waits for a signature"):
        await stand.sign(grant, "bo")


async def test_a_draft_is_gone_after_a_signature_that_does_not_count() -> None:
    stand = Stand()
    grant = stand.draft()
    with pytest.raises(SignOffInvalid):
        await stand.sign(grant, "olga")
    with pytest.raises(SignOffInvalid, match="waits for a signature"):
        await stand.sign(grant, "ana")


async def test_a_draft_expires() -> None:
    stand = Stand()
    grant = stand.draft()
    stand.clock.pass_ms(DRAFT_MS)
    with pytest.raises(SignOffInvalid, match="5 minutes"):
        await stand.sign(grant, "ana")


@pytest.mark.parametrize(
    "wider",
    [{"changes": 300}, {"environment": "prod-eu"}, {"run": "R-2"}, {"until_ms": 1 << 50}],
)
async def test_a_signature_over_another_text_opens_nothing(wider: dict[str, object]) -> None:
    stand = Stand()
    grant = stand.draft()
    signature = PENS["ana"].sign(canonical(replace(grant, **wider).payload()))
    with pytest.raises(SignOffInvalid, match="does not count"):
        await stand.desk.sign(grant.id, "ana", PENS["ana"].enrolled.fingerprint, signature)


@pytest.mark.parametrize("kind", ["ed25519", "sk"])
async def test_in_solo_the_human_grants_to_their_own_agent_when_they_are_there(kind: str) -> None:
    pen = Pen("the only one", kind)
    stand = Stand((Human("olga", (pen.enrolled,)),), Profile.SOLO)
    grant = await stand.sign(stand.draft(), "olga", pen)
    assert await stand.signed.grants("R-1") == (grant,)


async def test_in_solo_a_key_that_may_sign_by_itself_grants_nothing() -> None:
    pen = Pen("the only one", "ssh")
    stand = Stand((Human("olga", (pen.enrolled,)),), Profile.SOLO)
    with pytest.raises(SignOffInvalid, match="shown to be there"):
        await stand.sign(stand.draft(), "olga", pen)


async def test_a_row_that_nobody_signed_opens_nothing() -> None:
    stand = Stand()
    grant = await stand.sign(stand.draft(), "ana")
    rows = stand.store.grant_rows
    forged = [
        replace(grant, id="G-1", changes=1000),
        replace(grant, id="G-2", signatures=()),
        replace(grant, id="G-3", by=("bo",)),
        replace(grant, id="G-4", operator="ana", by=("olga",), signatures=_self_signed(grant)),
    ]
    rows.update({f.id: f for f in forged})
    assert await stand.signed.grants("R-1") == (grant,)


def _self_signed(grant: Grant) -> tuple[GrantSignature, ...]:
    pen = PENS["olga"]
    return (GrantSignature("olga", pen.enrolled.fingerprint, pen.sign(canonical(grant.payload()))),)


async def test_who_is_no_longer_enrolled_grants_nothing_any_more() -> None:
    stand = Stand()
    await stand.sign(stand.draft(), "ana")
    later = SignedGrants(stand.store, [h for h in HUMANS if h.name != "ana"])
    assert await later.grants("R-1") == ()


async def test_using_and_revoking_leaves_the_signature_good() -> None:
    stand = Stand()
    grant = await stand.sign(stand.draft(), "ana")
    stand.store.grant_rows[grant.id] = grant.use(stand.clock.now_ms())
    assert [g.used for g in await stand.signed.grants("R-1")] == [1]
    await stand.desk.revoke(grant)
    assert [g.revoked_ms for g in await stand.signed.grants("R-1")] == [stand.clock.now_ms()]
    with pytest.raises(StateConflict, match="revoked"):
        await stand.desk.revoke(grant)


async def test_after_a_rollback_no_grant_of_before_is_left() -> None:
    stand = Stand()
    live, over = await stand.sign(stand.draft(), "ana"), await stand.sign(stand.draft(), "bo")
    await stand.desk.revoke(over)
    rows = stand.store.grant_rows
    assert await stand.desk.void(tuple(rows.values()), "an older copy was put back") == 1
    assert [g.revoked_ms > 0 for g in rows.values()] == [True, True]
    assert stand.store.receipts[-1].detail["why"] == "an older copy was put back"
    assert stand.store.receipts[-1].detail["grant"] == live.id

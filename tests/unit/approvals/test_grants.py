"""Bounds of a grant, what it covers, and which of several an action uses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signoff.approvals.grants import (
    HOUR_MS,
    Grant,
    GrantState,
    GrantTerms,
    chosen,
    covered,
    covers,
    draft_grant,
)
from signoff.model.action import Principal
from signoff.model.errors import ConfigInvalid, Refused, StateConflict
from signoff.model.values import canonical, uncanonical

WHO = Principal("builder", "R-1", "olga")
NOW = 1_800_000_000_000


def drafted(**how: object) -> Grant:
    given: dict[str, object] = {
        "environment": "production",
        "verbs": ("create", "update"),
        "changes": 2,
        "ttl_ms": HOUR_MS,
        "why": "a release",
        **how,
    }
    return draft_grant(
        WHO,
        now_ms=NOW,
        random=bytes,
        ledger=(7, "ab"),
        terms=GrantTerms(),
        **given,  # type: ignore[arg-type] # each test names what it changes
    )


@pytest.mark.parametrize(
    "how",
    [
        {"changes": 0},
        {"changes": 1001},
        {"ttl_ms": 59_999},
        {"ttl_ms": 24 * HOUR_MS + 1},
        {"verbs": ()},
        {"verbs": ("update", "everything")},
        {"why": "x" * 501},
    ],
)
def test_a_grant_out_of_bounds_is_refused(how: dict[str, object]) -> None:
    with pytest.raises(Refused):
        drafted(**how)


@pytest.mark.parametrize("bounds", [(0, 1), (169, 1), (1, 0), (1, 10_001)])
def test_the_owners_bounds_have_bounds_themselves(bounds: tuple[int, int]) -> None:
    with pytest.raises(ConfigInvalid):
        GrantTerms(*bounds)
    assert GrantTerms(168, 10_000).hours_most == 168


def test_a_grant_covers_its_run_environment_and_verbs_until_its_last_millisecond() -> None:
    grant = drafted()
    assert covers(grant, "R-1", "production", "update", NOW)
    assert covers(grant, "R-1", "production", "update", grant.until_ms - 1)
    assert not covers(grant, "R-1", "production", "update", grant.until_ms)
    assert not covers(grant, "R-2", "production", "update", NOW)
    assert not covers(grant, "", "production", "update", NOW)
    assert not covers(grant, "R-1", "prod-eu", "update", NOW)
    assert not covers(grant, "R-1", "production", "delete", NOW)


def test_reading_comes_with_every_grant_also_when_it_is_used_up() -> None:
    spent = replace(drafted(), used=2)
    assert spent.state(NOW) is GrantState.USED_UP
    assert not covers(spent, "R-1", "production", "update", NOW)
    assert covers(spent, "R-1", "production", "read", NOW)
    assert not covers(replace(spent, revoked_ms=NOW), "R-1", "production", "read", NOW)
    assert not covers(spent, "R-1", "production", "read", spent.until_ms)


def test_what_is_over_cannot_be_used_or_taken_back() -> None:
    grant = drafted()
    with pytest.raises(StateConflict, match="used up"):
        grant.use(NOW).use(NOW).use(NOW)
    with pytest.raises(StateConflict, match="expired"):
        grant.use(grant.until_ms)
    with pytest.raises(StateConflict, match="revoked"):
        grant.revoke(NOW).use(NOW)
    with pytest.raises(StateConflict, match="revoked"):
        grant.revoke(NOW).revoke(NOW + 1)


@pytest.mark.parametrize("other", [Principal("b", "R-1", "olga"), Principal("builder", "R-1", "x")])
def test_a_grant_counts_for_the_very_agent_and_operator_it_was_signed_for(other: Principal) -> None:
    signed = {("production", "read"), ("production", "create"), ("production", "update")}
    asked = {*signed, ("production", "delete"), ("staging", "update")}
    assert covered([drafted()], WHO, asked, NOW) == signed
    assert covered([drafted()], other, asked, NOW) == frozenset()
    assert chosen([drafted()], other, [("production", "update")], NOW) is None


def test_an_action_uses_few_grants_and_those_that_end_first() -> None:
    late = replace(drafted(), id="G-late", until_ms=NOW + 9 * HOUR_MS)
    soon = replace(drafted(verbs=("update",)), id="G-soon")
    deletes = replace(drafted(verbs=("delete",)), id="G-deletes")
    update, create, delete = (("production", v) for v in ("update", "create", "delete"))
    found = chosen([late, soon, deletes], WHO, [update], NOW)
    assert [g.id for g in found or ()] == ["G-soon"]
    # `create` needs the later one, which then also does for `update`.
    found = chosen([late, soon, deletes], WHO, [update, create], NOW)
    assert [g.id for g in found or ()] == ["G-late"]
    found = chosen([late, soon, deletes], WHO, [update, delete], NOW)
    assert [g.id for g in found or ()] == ["G-deletes", "G-soon"]
    assert chosen([late, soon], WHO, [update, delete], NOW) is None


def test_a_grant_reads_back_as_it_was_written() -> None:
    grant = replace(drafted(), used=1, revoked_ms=5, by=("ana",))
    data = uncanonical(canonical(grant.as_data()))
    assert Grant.from_data(data) == grant  # type: ignore[arg-type] # an object was written


def test_what_is_signed_names_everything_that_is_granted() -> None:
    payload = drafted().payload()
    assert payload["domain"] == "signoff/grant/v1"
    assert payload["ledger"] == {"size": 7, "root": "ab"}
    changed = [
        replace(drafted(), **{name: value})
        for name, value in {
            "id": "G-2",
            "run": "R-2",
            "agent": "x",
            "operator": "x",
            "environment": "prod-eu",
            "verbs": frozenset({"delete"}),
            "changes": 3,
            "opened_ms": 1,
            "until_ms": 1,
            "why": "x",
            "nonce": "x",
            "ledger_size": 8,
            "ledger_root": "cd",
        }.items()
    ]
    texts = {canonical(g.payload()) for g in (*changed, drafted())}
    assert len(texts) == len(changed) + 1

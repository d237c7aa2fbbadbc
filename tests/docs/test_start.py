"""The first ten minutes of docs/start.md, typed word for word at real terminals."""

from __future__ import annotations

import pytest

from docs.sitting import START, ended, of, sitting, steps

pytestmark = [pytest.mark.real, pytest.mark.slow]
COMMANDS_MOST = 12


def test_the_first_ten_minutes_are_at_most_twelve_commands() -> None:
    assert 0 < len(steps(START, "Alone")) <= COMMANDS_MOST


def test_one_person_gets_from_init_to_halt() -> None:
    with sitting() as one:
        seen = one.follow(START, "Alone")
        (init,) = ended(seen, "signoff init", 0)
        assert "solo" in init.screen
        assert "production   everything else" in init.screen
        ended(seen, "eval", 0)
        ended(seen, "aws dynamodb list-tables", 0)
        held, ran = of(seen, "aws dynamodb create-table")
        assert held.code != 0
        assert "AccessDeniedException" in held.screen
        assert "ticket `H-" in held.screen
        assert ran.code == 0, ran.screen
        assert "signoff-try" in ran.screen
        (holds,) = ended(seen, "signoff holds", 0)
        assert "0 of 1" in holds.screen
        (approve,) = ended(seen, "signoff approve", 0)
        assert "table/signoff-try  [production]" in approve.screen
        (undo,) = ended(seen, "signoff undo", 0)
        assert "undone" in undo.screen
        assert one.owner().list_tables()["TableNames"] == []
        (log,) = ended(seen, "signoff log", 0)
        assert [m in log.screen for m in ("held", "approved", "captured", "undone")] == [True] * 4
        (verify,) = ended(seen, "signoff verify", 0)
        assert "result    verified" in verify.screen
        ended(seen, "signoff halt", 0)
        after = one.type("aws dynamodb list-tables")
        assert after.code != 0
        assert "halted" in after.screen
        assert "1 untouched" in one.terminals["daemon"].interrupt()


def test_three_people_sign_as_the_page_says() -> None:
    with sitting() as one:
        seen = one.follow(START, "With three people")
        (init,) = ended(seen, "signoff init", 0)
        assert "team" in init.screen
        ended(seen, "aws --profile work", 0)
        held, done = of(seen, "aws dynamodb update-table")
        assert held.code != 0
        assert "2 people have to sign" in held.screen
        assert done.code == 0, done.screen
        assert '"DeletionProtectionEnabled": false' in done.screen
        bo, mila = ended(seen, "signoff approve", 0, 0)
        assert "1 more needed" in bo.screen
        assert "approved" in mila.screen
        ended(seen, "signoff undo", 0)
        assert one.table("orders")["DeletionProtectionEnabled"] is True
        ended(seen, "signoff verify", 0)

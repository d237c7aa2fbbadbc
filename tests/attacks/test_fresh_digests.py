"""What names the thing is part of what is signed, whatever a model calls it."""

from __future__ import annotations

import pytest

from signoff.surfaces.aws import SURFACE

SCOPE = {"account": "111122223333", "region": "eu-west-1"}


@pytest.mark.parametrize(
    ("operation", "member"),
    [("DeleteNamedQuery", "NamedQueryId"), ("StopQueryExecution", "QueryExecutionId")],
)
def test_an_id_that_a_model_marks_as_a_token_is_still_what_was_signed(
    operation: str, member: str
) -> None:
    def digest(value: str) -> str:
        parameters = {member: value * 36}
        given = {"service": "athena", "operation": operation, "parameters": parameters}
        return SURFACE.parse(given, SCOPE).digest

    assert digest("a") != digest("b")


def test_a_token_made_up_for_each_attempt_is_not_part_of_it() -> None:
    def digest(token: str) -> str:
        parameters = {"Name": "q", "Database": "d", "QueryString": "s", "ClientRequestToken": token}
        given = {"service": "athena", "operation": "CreateNamedQuery", "parameters": parameters}
        return SURFACE.parse(given, SCOPE).digest

    assert digest("a" * 36) == digest("b" * 36)

"""The scripted agent, with a scripted world in place of its clients."""

from __future__ import annotations

import random
from typing import Any

from botocore.exceptions import ClientError

from signoff.demo.agent import Agent, Seen, names_the_safe_way, run_steps, ticket_in


def no(code: str, message: str, status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Op")


class Scripted:
    """A client that answers each operation from a list, then with an empty success."""

    def __init__(self, script: dict[str, list[Any]]) -> None:
        self.script, self.calls = script, []

    def __getattr__(self, operation: str) -> Any:
        def call(**parameters: Any) -> Any:
            self.calls.append(operation)
            left = self.script.get(operation)
            answer = left.pop(0) if left else {"Status": "CREATE_COMPLETE"}
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def agent(wait: float = 0.0, **script: list[Any]) -> tuple[Agent, Scripted, list[Seen]]:
    world, seen = Scripted(script), list[Seen]()
    made = Agent("s", "t", "b", "{}", random.Random(1), wait, seen.append)
    made.clients = dict.fromkeys(("sts", "cloudformation", "s3", "dynamodb"), world)
    return made, world, seen


DENIED = no("AccessDenied", "deleting a stack is a boundary; use a change set instead")
HELD = no("AccessDenied", "held for two people: ticket `T-123abc`")


def test_a_ticket_and_a_safe_way_are_read_from_the_message() -> None:
    assert ticket_in("held, ticket T-123abc: ask again") == "T-123abc"
    assert ticket_in("no such thing") == ""
    assert names_the_safe_way("use CreateChangeSet")
    assert not names_the_safe_way("no")


def test_a_denied_step_ends_the_run_with_the_exit_code_of_a_denial() -> None:
    made, world, seen = agent(delete_stack=[DENIED])
    assert run_steps(made, ("delete", "create"), follow=False, stubborn=False) == 2
    assert "create_stack" not in world.calls
    assert seen[-1].status == "denied"


def test_a_denial_that_names_the_safe_way_is_followed() -> None:
    made, world, _ = agent(delete_stack=[DENIED])
    assert run_steps(made, ("delete", "create"), follow=True, stubborn=False) == 0
    assert world.calls[-1] == "execute_change_set"
    assert "create_stack" not in world.calls


def test_a_stubborn_agent_goes_on_after_a_denial() -> None:
    made, world, _ = agent(delete_stack=[DENIED])
    assert run_steps(made, ("delete", "create"), follow=False, stubborn=True) == 0
    assert "create_stack" in world.calls


def test_a_held_call_is_told_once_and_made_again_until_it_passes() -> None:
    made, world, seen = agent(30.0, delete_stack=[HELD, HELD])
    assert run_steps(made, ("delete",), follow=False, stubborn=False) == 0
    assert world.calls == ["delete_stack"] * 3
    assert [(one.status, one.ticket) for one in seen] == [("held", "T-123abc"), ("ok", "")]


def test_a_held_call_that_is_not_waited_for_ends_with_the_exit_code_of_a_hold() -> None:
    made, _, _ = agent(delete_stack=[HELD])
    assert run_steps(made, ("delete",), follow=False, stubborn=False) == 3


def test_the_bucket_is_emptied_page_by_page() -> None:
    pages = [
        {"Contents": [{"Key": "a"}], "IsTruncated": True, "NextContinuationToken": "n"},
        {"Contents": [{"Key": "b"}]},
    ]
    made, world, _ = agent(list_objects_v2=pages)
    assert run_steps(made, ("empty",), follow=False, stubborn=False) == 0
    assert world.calls == ["list_objects_v2", "delete_objects"] * 2

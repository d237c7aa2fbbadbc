"""A key written in another way is the key of the same item."""

from __future__ import annotations

import pytest

from signoff.model.action import Action, Answer
from signoff.model.values import freeze, frozen
from signoff.surfaces.aws import SURFACE
from signoff.surfaces.base import Captured, Places

SCOPE = {"account": "111122223333", "region": "eu-west-1"}
ITEM = {"id": {"N": "1"}, "owner": {"S": "ann"}}


def answer(name: str, *, gone: bool = False) -> Answer:
    """A table of one item, answering as DynamoDB does: numbers in their shortest form."""
    if name == "dynamodb:DescribeTable":
        return Answer(frozen(Table={"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}))
    if name == "dynamodb:BatchGetItem":
        return Answer(frozen(Responses={"t": [] if gone else [ITEM]}))
    return Answer(unanswered="not part of the test")


@pytest.mark.parametrize("spelling", ["1", "1.0", "01", "1e0", "+1", "100e-2"])
def test_a_delete_by_another_spelling_of_a_number_can_be_taken_back(spelling: str) -> None:
    action = Action(
        "aws", "dynamodb:DeleteItem", frozen(TableName="t", Key={"id": {"N": spelling}}), SCOPE
    )
    known: dict[str, Answer] = {}
    while new := SURFACE.questions(action, known):
        known.update({q.key: answer(q.name) for q in new})
    understanding = SURFACE.effects(action, known, Places())
    assert [e.because for e in understanding.effects] == ["the item exists"]
    questions = SURFACE.capture(understanding, known)
    before = {q.key: answer(q.name) for q in questions}
    after = {q.key: answer(q.name, gone=True) for q in questions}
    back = SURFACE.restore(action, Captured(questions, before, after, after))
    assert [step.action.parameters.get("Item") for step in back.steps] == [freeze(ITEM)]

"""Nothing that was started in production escapes the list, whatever the order of events."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.audit.review import Item, items
from signoff.model.action import Principal
from signoff.model.errors import SignoffError
from signoff.model.receipt import Mark, Receipt
from signoff.model.values import frozen
from story import Stage, drawer

KEYS = ("prod-a", "prod-b", "prod-fire", "dev-a")
steps = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(("Put", "Remove", "Look")), st.sampled_from(KEYS)),
    st.tuples(st.just("change"), st.sampled_from(("Put", "Remove")), st.sampled_from(KEYS)),
    st.tuples(st.just("sign"), st.sampled_from(("ana", "bo", "cy")), st.just("")),
    st.tuples(st.just("cut"), st.just(""), st.just("")),
    st.tuples(st.just("undo"), st.sampled_from(("ana", "bo")), st.just("")),
    st.tuples(st.just("look"), st.sampled_from(("olga", "ana", "bo")), st.just("")),
)


def listed(stage: Stage) -> dict[str, Item]:
    rows = [(n, json.loads(r.leaf())) for n, r in enumerate(stage.store.receipts)]
    return {item.action_id: item for item in items(rows)}


def started(stage: Stage) -> set[str]:
    """The production actions that were started, from the receipts and nothing else."""
    places = {
        r.action_id: r.understanding.environments
        for r in stage.store.receipts
        if r.mark is Mark.DECIDED and r.understanding is not None
    }
    ids = {r.action_id for r in stage.store.receipts if r.mark is Mark.STARTED}
    return {i for i in ids if "production" in places[i]}


async def take(stage: Stage, kind: str, who: str, key: str) -> None:
    """One step of a story; what is refused is refused."""
    if kind == "ask":
        await stage.ask(drawer(who, key, "text"))
    elif kind == "change":
        held = await stage.ask(drawer(who, key, "text"))
        for human in ("ana", "bo") if held.ticket else ():
            if len(await stage.store.signoffs(held.ticket)) < held.decision.quorum:
                await stage.sign(held.ticket, human)
        await stage.ask(drawer(who, key, "text"))
    elif kind == "cut":
        stage.world.cut = True
    elif kind == "sign":
        for hold in await stage.store.open():
            await stage.sign(hold.ticket, who)
    elif kind == "undo":
        found = await stage.rewind.find(run="R-1")
        await stage.rewind.take_back(found, who, verified=True)
    else:
        actions = [item.action_id for item in listed(stage).values()]
        size = len(stage.store.receipts)
        detail = frozen(act="review", human=who, actions=actions, until=size, profile="team")
        look = Receipt(Mark.CONTROL, 1, "", Principal("", "", who), detail=detail)
        await stage.store.append(look)


@given(st.lists(steps, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_what_was_started_in_production_is_listed_until_somebody_else_looked(
    story: list[tuple[str, str, str]],
) -> None:
    async def told() -> None:
        stage = Stage(dict.fromkeys(KEYS, "one"))
        for kind, who, key in story:
            with suppress(SignoffError):
                await take(stage, kind, who, key)
            found = listed(stage)
            assert set(found) == started(stage)
            for item in found.values():
                apart = {item.agent, item.run, item.operator}
                looked = [x for x in item.looks if x.seen > item.last and x.human not in apart]
                assert item.pending is not bool(looked)

    asyncio.run(told())

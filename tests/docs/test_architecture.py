"""What docs/architecture.md shows is so: its example surface goes through the real story."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from architecture.test_house import FLOORS
from docs.pages import ROOT, blocks
from signoff.model.action import Action, Answer, Question
from signoff.model.effect import Verb
from signoff.model.ports import Outcome
from signoff.model.receipt import Mark
from signoff.model.values import frozen
from signoff.steps.keeping import Keeper
from signoff.surfaces.base import Places
from signoff.understand import Reader
from signoff.undo import Rewind
from story import Stage

PAGE = ROOT / "docs" / "architecture.md"


def example() -> Any:
    """The surface that the page shows, loaded from the page."""
    (shown,) = (b for b in blocks(PAGE) if b.info == ("python", "surface"))
    module: dict[str, Any] = {}
    exec(compile(shown.text, str(PAGE), "exec"), module)
    return module["SURFACE"]


@dataclass
class Lamp:
    """The world of the example: one lamp."""

    lit: str = "off"

    async def ask(self, question: Question) -> Answer:
        return Answer(frozen(to=self.lit))

    async def execute(self, action: Action, *, original: bool, until: str) -> Outcome:
        self.lit = str(action.parameters["to"])
        return Outcome(True)

    def reading(self) -> Lamp:
        return self


def lamp_stage(lamp: Lamp) -> Stage:
    """The stage of the story with the lamp as its only surface."""
    stage = Stage({})
    stage.world = lamp  # type: ignore[assignment]
    reader = Reader({"lamp": example()}, lamp, Places())
    stage.keeper = Keeper(reader, stage.vault, stage.clock)
    stage.pipeline = replace(stage.pipeline, reader=reader, keeper=stage.keeper)
    stage.rewind = Rewind(
        stage.pipeline,
        reader,
        stage.keeper,
        stage.store,
        stage.store,
        stage.clock,
        lambda action: lamp,
    )
    return stage


async def test_the_pages_example_is_held_signed_carried_out_and_taken_back() -> None:
    lamp = Lamp("off")
    stage = lamp_stage(lamp)
    switch = example().parse("on", {})
    held = await stage.ask(switch)
    assert held.mark is Mark.HELD
    assert held.decision.quorum == 1
    await stage.sign(held.ticket, "ana")
    assert (await stage.ask(switch)).mark is Mark.SUCCEEDED
    assert lamp.lit == "on"
    undos = await stage.rewind.find(run="R-1")
    (undone,) = await stage.rewind.take_back(undos, "ana", verified=True)
    assert undone.state == "undone", undone
    assert lamp.lit == "off"


async def test_the_pages_example_does_not_understand_another_word() -> None:
    stage = lamp_stage(Lamp())
    switch = example().parse("explode", {})
    reply = await stage.ask(switch)
    assert reply.mark is Mark.HELD
    assert reply.decision.quorum == 2
    assert reply.understanding.effects[0].verb is Verb.UNKNOWN


def test_the_page_shows_every_room_on_the_floor_the_house_test_keeps() -> None:
    text = PAGE.read_text("utf-8")
    shown: dict[str, int] = {}
    for floor, rooms in re.findall(r"^\| (\d+) \| (.+) \|$", text, re.M):
        for room in re.findall(r"`([a-z_]+)(?:/|\.py)`", rooms):
            shown[room] = int(floor)
    real = {name.removeprefix("signoff."): floor for name, floor in FLOORS if "." in name}
    assert shown == {room: floor for room, floor in real.items() if room in shown}, (
        "the floors moved: change the table"
    )
    built = {p.stem for p in (ROOT / "src" / "signoff").iterdir() if p.name[0] not in "_."}
    assert {room for room in real if "." not in room and room in built} == set(shown)

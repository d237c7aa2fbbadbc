"""No order of signing, using, revoking, waiting and restarting lets more through than granted."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from durable import WHO, action, opened, receipt
from signoff.approvals.grants import VERBS, Grant, chosen, covered
from signoff.model.errors import StateConflict
from signoff.model.ports import OpenGrant, RevokeGrant, StartAction, UseGrant
from signoff.model.receipt import Mark
from signoff.store.sqlite import SqliteStore

NOW = 1_790_000_000_000
SPAN = 1_000
PAIR = ("production", "update")

OPERATIONS = st.one_of(
    st.tuples(st.just("sign"), st.integers(1, 3), st.integers(1, 2)),
    st.tuples(st.just("use"), st.integers(0, 3), st.integers(1, 4)),
    st.tuples(st.just("revoke"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("wait"), st.integers(SPAN // 2, 2 * SPAN), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)


@dataclass
class Play:
    """A real store on a disk, its clock, and what was granted and taken back."""

    folder: Path
    now: int = NOW
    number: int = 0
    granted: dict[str, Grant] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    store: SqliteStore | None = None

    def open(self) -> SqliteStore:
        if self.store is None:
            self.store = opened(self.folder, wall=lambda: self.now)
        return self.store

    def restart(self) -> None:
        if self.store is not None:
            self.store.close()
        self.store = None

    def next(self) -> int:
        self.number += 1
        return self.number

    async def sign(self, changes: int, spans: int) -> None:
        grant = Grant(
            id=f"G-{self.next()}",
            run=WHO.run,
            environment=PAIR[0],
            verbs=frozenset({PAIR[1]}),
            changes=changes,
            used=0,
            opened_ms=self.now,
            until_ms=self.now + spans * SPAN,
            agent=WHO.agent,
            operator=WHO.operator,
        )
        await self.write(Mark.CONTROL, OpenGrant(grant), act="grant", grant=grant.id)
        self.granted[grant.id] = grant

    async def use(self, which: int, together: int) -> None:
        """Several actions at once, all under the same grant, as the story starts them."""
        names = sorted(self.granted)
        if names:
            name = names[which % len(names)]
            tries = [self.start(name) for _ in range(together)]
            await asyncio.gather(*tries, return_exceptions=False)

    async def start(self, name: str) -> None:
        number = self.next()
        start = StartAction(f"A-{number}", action(), WHO)
        try:
            await self.write(Mark.STARTED, start, UseGrant(name), number=number, grants=[name])
        except StateConflict:
            return

    async def revoke(self, which: int) -> None:
        names = sorted(self.granted)
        if not names:
            return
        name = names[which % len(names)]
        try:
            await self.write(Mark.CONTROL, RevokeGrant(name), act="grant-revoked", grant=name)
        except StateConflict:
            return
        self.ended.setdefault(name, self.now)

    async def write(self, mark: Mark, *changes: object, number: int = 0, **detail: object) -> None:
        made = receipt(self.now - NOW, mark, **detail)
        made = replace(made, action_id=f"A-{number}" if number else "")
        await self.open().append(made, *changes)  # type: ignore[arg-type] # changes of the store

    def started(self) -> list[tuple[int, str]]:
        """(when, grant) of every start that stands in the ledger."""
        found = []
        for _, body in self.open().receipts():
            row = json.loads(body)
            if row["mark"] == "started":
                found += [(row["time_ms"], name) for name in row["detail"]["grants"]]
        return found

    def judge(self) -> None:
        """What every grant let through, by the ledger alone."""
        through = self.started()
        for name, grant in self.granted.items():
            mine = [at for at, used in through if used == name]
            assert len(mine) <= grant.changes
            assert all(grant.opened_ms <= at < grant.until_ms for at in mine)
            assert all(at <= self.ended.get(name, at) for at in mine)
        assert {name for _, name in through} <= set(self.granted)


@settings(max_examples=60, deadline=None)
@given(st.lists(OPERATIONS, max_size=14))
def test_no_sequence_of_operations_lets_more_through_than_was_granted(
    operations: list[tuple[str, int, int]],
) -> None:
    async def played(play: Play) -> None:
        for name, first, second in operations:
            match name:
                case "sign":
                    await play.sign(first, second)
                case "use":
                    await play.use(first, second)
                case "revoke":
                    await play.revoke(first)
                case "wait":
                    play.now += first
                case _:
                    play.restart()
        play.judge()
        # What the rows say and what the ledger says is one.
        for grant in await play.open().grants(WHO.run):
            assert grant.used == sum(1 for _, used in play.started() if used == grant.id)

    with tempfile.TemporaryDirectory() as folder:
        play = Play(Path(folder))
        try:
            asyncio.run(played(play))
        finally:
            play.restart()


GRANTS = st.builds(
    Grant,
    id=st.sampled_from(["G-1", "G-2", "G-3"]),
    run=st.sampled_from([WHO.run, "R-other"]),
    environment=st.sampled_from(["production", "prod-eu"]),
    verbs=st.frozensets(st.sampled_from(["create", "update", "delete"]), min_size=1),
    changes=st.integers(1, 3),
    used=st.integers(0, 3),
    opened_ms=st.just(0),
    until_ms=st.integers(1, 10),
    revoked_ms=st.sampled_from([0, 0, 3]),
    agent=st.sampled_from([WHO.agent, "other"]),
    operator=st.sampled_from([WHO.operator, "other"]),
)


@given(st.lists(GRANTS, max_size=4, unique_by=lambda g: g.id), st.integers(0, 10))
def test_whatever_is_covered_can_be_started_and_nothing_else(grants: list[Grant], now: int) -> None:
    everything = product(("production", "prod-eu", "staging"), VERBS)
    pairs = covered(grants, WHO, everything, now)
    changes = {pair for pair in pairs if pair[1] != "read"}
    found = chosen(grants, WHO, changes, now)
    assert found is not None
    for grant in found:
        assert grant.use(now).used == grant.used + 1
        assert grant.principal == WHO
    for environment in ("production", "prod-eu"):
        for verb in ("create", "update", "delete"):
            if (environment, verb) not in pairs:
                assert chosen(grants, WHO, [(environment, verb)], now) is None

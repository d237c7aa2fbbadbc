"""The arms of the demo in which Signoff stands between the agent and production.

Every ending is judged by the state of the target and by a prober on the service; what
Signoff says of itself is shown, never believed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import signoff
from signoff.demo.ending import Check, Ending
from signoff.demo.guard import Guard, prepare, receipts
from signoff.demo.stage import AgentRun, Stage
from signoff.gates.run import probe
from signoff.model.errors import SignoffError

WAIT = "40"


@dataclass
class Scene:
    """One guarded play: the guard, the run key, and who signed how often."""

    stage: Stage
    guard: Guard
    key: dict[str, str]
    signed: list[str] = field(default_factory=list)

    def agent(self, *options: str, sign: tuple[str, ...] = ()) -> AgentRun:
        """Run the agent; whenever it is held, these people sign, in order."""
        agent = self.stage.start_agent(
            self.guard.endpoint,
            self.key["key_id"],
            self.key["secret"],
            *options,
            through=self.guard.launcher,
            run=self.key["run"],
        )
        for seen in agent.seen():
            if seen["status"] == "held" and sign:
                self._sign(seen["ticket"], sign)
        return agent.result()

    def levels(self) -> set[str]:
        """The levels at which the agent's calls were received."""
        rows = receipts(self.guard)
        return {str(r["level"]) for r in rows if r["gate"] == "aws"}

    def _sign(self, ticket: str, people: tuple[str, ...]) -> None:
        hold = self.guard.control.show(ticket)
        quorum = hold["quorum"]
        for who in people[: quorum if isinstance(quorum, int) else 0]:
            self.guard.decide(ticket, who)
            self.signed.append(who)


@contextmanager
def scene(
    stage: Stage, index: Path, *, observe: tuple[str, ...] = (), granted: bool = True
) -> Iterator[Scene]:
    """A guard in front of the stage; `index` is where the operations index is kept. Unless
    told otherwise a peer has let the agent's run into production."""
    stage.progress("starting signoff")
    guard = prepare(stage.folder / "guard", stage.endpoint, observe=observe, index=index)
    guard.start()
    guard.launcher = launcher(guard, stage.work)
    try:
        yield Scene(stage, guard, guard.key(granted=granted))
    finally:
        guard.stop()


def launcher(guard: Guard, work: Path) -> tuple[str, ...]:
    """`signoff run` with the agent's work tree; nothing where agents cannot be contained."""
    if not probe().works:
        return ()  # `levels` of the ending then say `advisory`, and doctor says what to do.
    source = Path(signoff.__file__).parents[1]
    return (
        *(sys.executable, "-m", "signoff", "run", "--work", str(work)),
        *("--gate", str(guard.config.gate_socket.parent), "--read-only", str(source)),
        *("--pass", "PYTHONPATH", "--"),
    )


@dataclass(frozen=True)
class Guarded:
    """The boundary stands: deleting is refused, the safe way passes with one sign-off."""

    index: Path
    name: str = "guarded"

    def play(self, stage: Stage) -> Ending:
        """The same agent, the same task; it follows the way the refusal names."""
        begun = time.monotonic()
        before = stage.snapshot()
        with scene(stage, self.index) as play:
            reads = play.agent("--goal", "look")
            stubborn = play.agent("--goal", "recreate", "--stubborn")
            unchanged = stage.snapshot()
            fixed = play.agent("--goal", "fix", "--wait", WAIT, sign=("ana",))
            fix_works = stage.bug_is_fixed()
            checked, levels = play.guard.control.verify(), play.levels()
        after, health = stage.snapshot(), stage.health()
        delete = stubborn.last("cloudformation:delete_stack")
        disarm = stubborn.last("cloudformation:update_termination_protection")
        checks = (
            Check("reads and harmless work pass untouched", reads.code == 0, f"{reads.untouched}"),
            Check(
                "every call came from the sandbox", levels == {probe().level.value}, _list(levels)
            ),
            Check("disarming waits for two people", disarm.get("status") == "held", _said(disarm)),
            Check(
                "deleting is denied by a boundary", delete.get("status") == "denied", _said(delete)
            ),
            Check("the denial names the safe way", "change set" in str(delete.get("message"))),
            Check("nothing was lost", unchanged.data == before.data, "hashes equal"),
            Check("the stack is the same one", after.stack_id == before.stack_id),
            Check("the safe fix passed", fixed.code == 0, _said(fixed.seen[-1])),
            Check("with one sign-off", play.signed == ["ana"], ", ".join(play.signed)),
            Check("the bug is fixed", fix_works),
            Check("the service never failed", health.failed == 0, f"{health.failed} failed"),
            Check("the ledger verifies", not checked["findings"], f"{checked['size']} receipts"),
        )
        return Ending(
            arm=self.name,
            happened="deletion denied, protection kept; fixed by a change set one person signed",
            expected="nothing is lost, the bug is fixed",
            actual=f"{after.item_count} items and {after.object_count} objects there, bug "
            + ("fixed" if fix_works else "NOT fixed"),
            checks=checks,
            hashes_equal=after.data == before.data,
            failed_probes=health.failed,
            longest_gap_seconds=health.longest_gap,
            seconds=round(time.monotonic() - begun, 1),
            detail={"signed": play.signed, "receipts": checked["size"], "levels": sorted(levels)},
        )


@dataclass(frozen=True)
class TwoPerson:
    """The owners lower the boundary; two people sign; afterwards one command brings it back."""

    index: Path
    name: str = "two-person"

    def play(self, stage: Stage) -> Ending:
        """Lower, sign, delete, undo; then compare every hash."""
        begun = time.monotonic()
        before = stage.snapshot()
        with scene(stage, self.index) as play:
            lowered = play.guard.lower("boundary-container")
            pair = ("ana", "bo")
            agent = play.agent("--goal", "disarm-and-delete", "--wait", WAIT, sign=pair)
            gone = stage.snapshot()
            started = time.monotonic()
            undone = play.guard.undo("ana", run=play.key["run"])
            restored = time.monotonic() - started
            after = stage.snapshot()
            checked = play.guard.control.verify()
        probe, health = stage.prober.ask(), stage.health()
        checks = (
            Check("the boundary was lowered by a two-person change", lowered == "lowered", lowered),
            Check("the agent's calls passed once signed", agent.code == 0, _said(agent.seen[-1])),
            Check("two different people signed each", set(play.signed) == {"ana", "bo"}),
            Check("the stack was really deleted", gone.stack_id == "", gone.stack_id),
            Check("the undo says done", undone["state"] == "done", str(undone["undone"])),
            Check("every hash is as before", after.data == before.data, _differs(before, after)),
            Check("the stack is there again", after.stack_id != ""),
            Check("the service answers", probe.good, f"status {probe.status}"),
            Check("the ledger verifies", not checked["findings"], f"{checked['size']} receipts"),
        )
        return Ending(
            arm=self.name,
            happened="two people signed the deletion; one command took the whole run back",
            expected="deleted, then back with equal hashes",
            actual=f"back in {restored:.1f} s, hashes "
            + ("equal" if after.data == before.data else "DIFFER"),
            checks=checks,
            restore_seconds=round(restored, 2),
            hashes_equal=after.data == before.data,
            failed_probes=health.failed,
            longest_gap_seconds=health.longest_gap,
            seconds=round(time.monotonic() - begun, 1),
            detail={"signed": play.signed, "receipts": checked["size"]},
        )


@dataclass(frozen=True)
class Observed:
    """Two people let production be observed for a while: nothing is stopped, all is said."""

    index: Path
    name: str = "observe"

    def play(self, stage: Stage) -> Ending:
        """The same agent unhindered; the summary says what would have been stopped."""
        begun = time.monotonic()
        before = stage.snapshot()
        with scene(stage, self.index, observe=("production",)) as play:
            status = play.guard.control.status()
            agent = play.agent("--goal", "recreate")
            after = stage.snapshot()
            checked = play.guard.control.verify()
        summary = play.guard.last_words().rpartition("; ")[2]
        modes = {str(gate["mode"]) for gate in _rows(status["gates"])}
        checks = (
            Check("the agent finished unhindered", agent.code == 0, _said(agent.seen[-1])),
            Check("nothing was stopped", after.item_count == 0, f"{after.item_count} items left"),
            Check("status shows that it only observes", modes == {"observe"}, ", ".join(modes)),
            Check("the summary says what needed two people", "would need two people" in summary),
            Check("and what would be denied", "would be denied" in summary, summary),
            Check("the ledger verifies", not checked["findings"], f"{checked['size']} receipts"),
        )
        health = stage.health()
        return Ending(
            arm=self.name,
            happened="forwarded everything and wrote down every ruling",
            expected="lost as unguarded, every ruling recorded",
            actual=summary,
            checks=checks,
            hashes_equal=after.data == before.data,
            failed_probes=health.failed,
            longest_gap_seconds=health.longest_gap,
            seconds=round(time.monotonic() - begun, 1),
            detail={"summary": summary},
        )


def refused_start(guard: Guard) -> str:
    """What the daemon says when it refuses to start; empty when it starts after all."""
    try:
        guard.start()
    except SignoffError as error:
        return str(error)
    guard.stop()
    return ""


def _said(seen: dict[str, Any]) -> str:
    return f"{seen.get('status', 'never called')} {seen.get('message', '')}".strip()[:300]


def _differs(before: Any, after: Any) -> str:
    return ", ".join(str(d) for d in after.differences(before)) or "equal"


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _rows(value: object) -> list[dict[str, object]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []

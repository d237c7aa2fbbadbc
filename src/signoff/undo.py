"""The story backwards: taking back one action, or a whole run, newest first.

An undo is itself an action: it goes through the whole story, so it is understood,
decided, captured (an undo can be undone) and recorded. It never overwrites what someone
else wrote since, unless people say so with the list in view, and it checks what it
restored before it calls itself done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from signoff.model.action import Action, Answer, Answers, Level, Principal, Question
from signoff.model.errors import Refused, SignoffError
from signoff.model.ports import Clock, Executor, Holds, Ledger, SaveUndo, Undo
from signoff.model.receipt import Mark
from signoff.pipeline import Pipeline
from signoff.steps.chain import Chain, Reply, Request
from signoff.steps.keeping import Keeper
from signoff.surfaces.base import Captured, Restoration
from signoff.understand import Reader, compose


@dataclass(frozen=True)
class UndoPlan:
    """What taking back one action would do. `conflicts` lists what was changed since by
    someone else; `residue` what will not be as it was; `nothing_to_do` that the world
    already is as it was before."""

    undo: Undo
    captured: Captured
    restoration: Restoration
    conflicts: tuple[str, ...] = ()
    nothing_to_do: bool = False

    @property
    def action(self) -> Action:
        """The undo as one action, made of the steps of the restoration."""
        return compose("signoff:Undo", self.restoration.steps, of=self.undo.action_id)

    def as_data(self) -> dict[str, object]:
        """The plan as `--dry-run --json` prints it."""
        return {
            "action": self.undo.action_id,
            "takes_back": self.undo.action.name,
            "steps": [s.action.name for s in self.restoration.steps],
            "conflicts": list(self.conflicts),
            "residue": list(self.restoration.residue),
            "nothing_to_do": self.nothing_to_do,
        }


@dataclass(frozen=True)
class Undone:
    """How the taking back of one action ended: `undone`, `conflict`, `held`, `denied`,
    `failed` or `nothing to do`. `differences` lists what is still not as before."""

    action_id: str
    takes_back: str
    state: str
    ticket: str = ""
    message: str = ""
    conflicts: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    def as_data(self) -> dict[str, object]:
        """The result as `--json` prints it."""
        return {
            "action": self.action_id,
            "takes_back": self.takes_back,
            "state": self.state,
            "ticket": self.ticket,
            "message": self.message,
            "conflicts": list(self.conflicts),
            "differences": list(self.differences),
        }


class Rewind:
    """Takes actions back through the pipeline."""

    def __init__(
        self,
        pipeline: Pipeline,
        reader: Reader,
        keeper: Keeper,
        holds: Holds,
        ledger: Ledger,
        clock: Clock,
        executor_for: Callable[[Action], Executor],
    ) -> None:
        self._pipeline, self._reader, self._keeper = pipeline, reader, keeper
        self._holds, self._ledger, self._clock = holds, ledger, clock
        self._executor_for = executor_for

    async def plan_all(self, undos: list[Undo]) -> list[UndoPlan]:
        """What taking all of these back would do, newest first; reads only.

        An older action is judged against what the newer ones will have put back, so two
        changes of one thing by the same run are no conflict. What only shows once the
        newer ones are back is judged then: `take_back` looks again before each.
        """
        plans: list[UndoPlan] = []
        put_back: dict[str, Answer] = {}
        touched: set[str] = set()
        for undo in undos:
            plan = await self.plan(undo, put_back, frozenset(touched))
            plans.append(plan)
            put_back.update(plan.captured.before)
            for question in plan.captured.questions:
                touched |= _names(question)
        return plans

    async def plan(
        self,
        undo: Undo,
        put_back: Answers | None = None,
        touched: frozenset[str] = frozenset(),
    ) -> UndoPlan:
        """What taking this one back would do; reads only. `put_back` are answers that
        will hold by then, `touched` names what other undos will have changed by then.
        Raises `CaptureFailed` when the material is gone."""
        captured = await self._keeper.recall(undo)
        known = {k: a for k, a in (put_back or {}).items() if k in captured.now}
        captured = replace(captured, now={**captured.now, **known})
        reader = self._reader
        if not reader.changed(captured.questions, captured.before, captured.now):
            return UndoPlan(undo, captured, Restoration(()), nothing_to_do=True)
        foreign = [
            question
            for question in reader.changed(captured.questions, captured.after, captured.now)
            if question.key in known or not _names(question) & touched
        ]
        conflicts = tuple(_told(q.name, dict(q.parameters)) for q in foreign)
        return UndoPlan(undo, captured, reader.restore(undo.action, captured), conflicts)

    async def find(self, action_id: str = "", run: str = "", since_ms: int = 0) -> list[Undo]:
        """The undo records asked for, newest action first. Raises `Refused` when none."""
        if action_id:
            one = await self._holds.undo(action_id)
            found = [one] if one is not None else []
        else:
            found = [u for u in await self._holds.undos(run) if u.captured_ms >= since_ms]
        if not found:
            what = f"action `{action_id}`" if action_id else f"run `{run}`"
            raise Refused(f"nothing to undo for {what}", "no captured change", "signoff log")
        return [u for u in found if u.state != "undone"]

    async def take_back(
        self, undos: list[Undo], human: str, *, verified: bool, overwrite: bool = False
    ) -> list[Undone]:
        """Take back each, newest first; stop at the first that does not end in `undone`."""
        results: list[Undone] = []
        for undo in undos:
            result = await self._one(undo, human, verified=verified, overwrite=overwrite)
            results.append(result)
            if result.state not in {"undone", "nothing to do"}:
                break
        return results

    async def _one(self, undo: Undo, human: str, *, verified: bool, overwrite: bool) -> Undone:
        who = Principal("", "", human)
        name = undo.action.name
        try:
            plan = await self.plan(undo)
        except SignoffError as error:
            return Undone(undo.action_id, name, "failed", message=str(error))
        request = Request(
            principal=who,
            action=plan.action,
            gate="control",
            level=Level.SEPARATED,
            undo=True,
            requester_verified=verified,
            overwrites_newer=bool(plan.conflicts),
        )
        chain = Chain(self._ledger, self._clock, request)
        if plan.nothing_to_do:
            done = replace(undo, state="undone", undone_by=chain.action_id)
            await chain.note(Mark.UNDONE, SaveUndo(done), of=undo.action_id, nothing_to_do=True)
            return Undone(undo.action_id, name, "nothing to do")
        if plan.conflicts and not overwrite:
            await chain.note(Mark.CONFLICT, of=undo.action_id, conflicts=plan.conflicts)
            return Undone(undo.action_id, name, "conflict", conflicts=plan.conflicts)
        if not plan.restoration.steps:
            why = "; ".join(plan.restoration.residue) or "the surface knows no way back"
            return Undone(undo.action_id, name, "failed", message=why)
        try:
            reply = await self._pipeline.handle(request, self._executor_for(plan.action))
        except SignoffError as error:
            return Undone(undo.action_id, name, "failed", message=str(error))
        return await self._settle(plan, chain, reply)

    async def _settle(self, plan: UndoPlan, chain: Chain, reply: Reply) -> Undone:
        undo, name = plan.undo, plan.undo.action.name
        if reply.outcome is None:
            state = "held" if reply.mark is Mark.HELD else "denied"
            return Undone(undo.action_id, name, state, reply.ticket, reply.message)
        if not reply.outcome.succeeded:
            return Undone(undo.action_id, name, "failed", message=reply.outcome.error)
        questions = plan.captured.questions
        now = await self._reader.ask_again(questions)
        differ = self._reader.changed(questions, plan.captured.before, now)
        differences = tuple(_told(q.name, dict(q.parameters)) for q in differ)
        done = replace(undo, state="undone", undone_by=reply.action_id)
        await chain.note(
            Mark.UNDONE,
            SaveUndo(done),
            of=undo.action_id,
            by=reply.action_id,
            differences=differences,
            residue=plan.restoration.residue,
        )
        return Undone(undo.action_id, name, "undone", differences=differences)


def _names(question: Question) -> frozenset[str]:
    """The names in a question: what it asks about, as `service name` pairs."""
    service = question.name.partition(":")[0]
    values = question.parameters.values()
    return frozenset(f"{service} {value}" for value in values if isinstance(value, str))


def _told(name: str, parameters: dict[str, object]) -> str:
    """One line that names what differs: `dynamodb:GetItem TableName=orders`."""
    words = [f"{k}={v}" for k, v in parameters.items() if isinstance(v, str) and len(v) <= 80]
    return " ".join([name, *words])

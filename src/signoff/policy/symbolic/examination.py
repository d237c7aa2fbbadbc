"""One bundle examined for requests that it allows although an invariant forbids them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cedarpy

from signoff.model.errors import PolicyInvalid
from signoff.policy.bundle import Bundle
from signoff.policy.counterexamples import Confirmation, Stated, policy_set
from signoff.policy.proofs import Assumption, Counterexample, Premise
from signoff.policy.statements import Policy
from signoff.policy.symbolic.decoding import Decoder
from signoff.policy.symbolic.logic import Logic, Truth
from signoff.policy.symbolic.policies import Compiled, Compiler, allowed
from signoff.policy.symbolic.questions import Found, Questions, Unsure
from signoff.policy.symbolic.schema import (
    NotUnderstood,
    RecordOf,
    RequestEnvironment,
    Schema,
    above,
    read_schema,
)
from signoff.policy.symbolic.world import Known, Uid, World

COUNTEREXAMPLES_MOST = 16
"""How many different counterexamples one invariant gets; each blames another permit."""


@dataclass
class _Space:
    """The requests of one type of principal and resource, for all actions."""

    world: World
    compiler: Compiler
    questions: Questions
    _judged: dict[tuple[int, ...], Truth] = field(default_factory=dict)
    _of: dict[str, list[Compiled]] = field(default_factory=dict)

    def premises(self, stated: Sequence[Stated], action: str) -> list[Truth]:
        """When each premise holds of a request for an action; one that errs does not."""
        return [self.compiler.policy(each.policy, action).satisfied for each in stated]

    def judged(self, policies: Sequence[Policy], action: str) -> tuple[list[Compiled], Truth]:
        """All policies that count for an action, and whether the judge allows; actions for
        which the same policies count share the answer."""
        if action not in self._of:
            self._of[action] = self.compiler.policies(policies, action)
        found = self._of[action]
        key = tuple(map(id, found))
        if key not in self._judged:
            self._judged[key] = allowed(self.world.logic, found)
        return found, self._judged[key]


class Examination:
    """Puts the questions, and keeps what was found."""

    def __init__(
        self, bundle: Bundle, invariants: tuple[Policy, ...], premises: tuple[Premise, ...]
    ) -> None:
        self.counterexamples: list[Counterexample] = []
        self.unknown: list[str] = []
        self.assumptions: list[Assumption] = []
        self._bundle = bundle
        self._invariants = invariants
        self._stated = tuple(stated(p, n, bundle.schema) for n, p in enumerate(premises, 1))
        self._known = known(bundle)
        self._logic = Logic()
        self._spaces: dict[tuple[str, str, str], _Space] = {}
        self._asked = 0

    @property
    def queries(self) -> int:
        """How many questions were put to the solver."""
        return sum(space.questions.count for space in self._spaces.values())

    @cached_property
    def _schema(self) -> Schema:
        return read_schema(self._bundle.schema_text)

    @cached_property
    def _whole(self) -> cedarpy.PolicySet:
        return policy_set({policy.id: policy.est for policy in self._bundle.policies})

    def run(self, progress: Callable[[int, int], None]) -> None:
        """Examine every kind of request."""
        try:
            environments = list(self._schema.environments())
        except NotUnderstood as gap:
            self.unknown.append(f"the schema: {gap}")
            return
        for done, environment in enumerate(environments):
            progress(done, len(environments))
            try:
                self._examine(environment)
            except NotUnderstood as gap:
                self.unknown.append(f"{_named(environment)}: {gap} is not understood")
        progress(len(environments), len(environments))
        if not self._asked:
            self.unknown.append("the premises leave no request at all: they contradict each other")

    def _examine(self, environment: RequestEnvironment) -> None:
        space, action = self._space(environment, ""), environment.action
        given = space.premises(self._stated, action)
        with space.questions.under(*given):
            suspects = self._suspects(space, action)
            if not suspects and space.questions.find() is None:
                says = f"the premises leave no request of {_named(environment)}"
                self.assumptions.append(Assumption(says))
                return
        self._asked += 1
        if suspects:
            self._against(environment, suspects)

    def _suspects(self, space: _Space, action: str) -> list[Policy]:
        """The invariants that the shipped `forbid`s do not keep by themselves."""
        logic = self._logic
        guards = [p for p in self._bundle.policies if p.shipped and p.effect == "forbid"]
        standing = space.compiler.policies(guards, action)
        left = {each.policy.id: each for each in space.compiler.policies(self._invariants, action)}
        suspects: list[Policy] = []
        with space.questions.under(*(_passes(logic, each) for each in standing)):
            while left:
                broken = {name: _broken(logic, each) for name, each in left.items()}
                found = space.questions.find(logic.any(*broken.values()))
                if found is None:
                    break
                shown = [n for n in left if isinstance(found, Found) and found.holds(broken[n])]
                suspects += [left.pop(name).policy for name in shown or list(left)]
        return suspects

    def _against(self, environment: RequestEnvironment, invariants: Sequence[Policy]) -> None:
        """Every way to break these invariants, by other permits each time."""
        # The owner's policies have a world of their own, so that the first questions, which
        # do not look at them, stay small.
        space, action = self._space(environment, "everything"), environment.action
        everything, through = space.judged(self._bundle.policies, action)
        permits = [each for each in everything if each.policy.effect == "permit"]
        broken = {p.id: _broken(self._logic, space.compiler.policy(p, action)) for p in invariants}
        left = {invariant.id: invariant for invariant in invariants}
        with space.questions.under(*space.premises(self._stated, action), through):
            while left:
                ways = {n: self._way(permits, broken[n], self._blamed(p)) for n, p in left.items()}
                found = space.questions.find(self._logic.any(*ways.values()))
                if found is None:
                    return
                shown = [n for n in left if isinstance(found, Found) and found.holds(ways[n])]
                name = next(iter(shown or left))
                if not self._confirm(space, environment, found, left[name]):
                    del left[name]

    def _way(self, permits: Sequence[Compiled], broken: Truth, blamed: frozenset[str]) -> Truth:
        """When an invariant is broken through a permit nobody blamed for it yet."""
        if len(blamed) >= COUNTEREXAMPLES_MOST:
            return False
        others = (each.satisfied for each in permits if each.policy.id not in blamed)
        return self._logic.all(broken, self._logic.any(*others))

    def _blamed(self, invariant: Policy) -> frozenset[str]:
        """The permits already blamed for breaking an invariant."""
        return frozenset(
            culprit.id
            for each in self.counterexamples
            if each.invariant == invariant.id
            for culprit in each.culprits
        )

    def _confirm(
        self,
        space: _Space,
        environment: RequestEnvironment,
        found: Found | Unsure,
        invariant: Policy,
    ) -> bool:
        """Whether the engine agrees with what was found; else it is unknown, and says why."""
        about = f"`{invariant.id}`, {_named(environment)}"
        if isinstance(found, Unsure):
            self.unknown.append(f"{about}: the solver gave up ({found.why})")
            return False
        request = Decoder(space.world, found).example(environment).request
        try:
            confirm = Confirmation(self._bundle, self._whole, invariant, self._stated)
            example = confirm.confirmed(request, self._blamed(invariant))
        except ValueError as error:
            self.unknown.append(f"{about}: the engine refuses the policies ({error})")
            return False
        if example is None:
            self.unknown.append(f"{about}: the engine does not allow what the solver found")
            return False
        self.counterexamples.append(example)
        return True

    def _space(self, environment: RequestEnvironment, of: str) -> _Space:
        context: RecordOf = self._schema.actions[environment.action].context
        who, where = environment.principal, environment.resource
        key = (who, where, of)
        if key not in self._spaces:
            world = World(self._schema, who, where, context, self._known, self._logic)
            self._spaces[key] = _Space(world, Compiler(world), Questions(world))
        return self._spaces[key]


def _broken(logic: Logic, invariant: Compiled) -> Truth:
    return logic.any(invariant.satisfied, invariant.errs)


def _passes(logic: Logic, forbid: Compiled) -> Truth:
    """Whether a `forbid` lets a request through, without an error."""
    return logic.all(logic.no(forbid.satisfied), logic.no(forbid.errs))


def known(bundle: Bundle) -> Known:
    """What is certain about a bundle's entities, as the judge shows them to the engine."""
    rows = [row for row in json.loads(str(bundle.entities)) if row["uid"]["type"] != "Action"]
    direct = {_uid(row["uid"]): [_uid(up) for up in row["parents"]] for row in rows}
    askable = {"Environment": frozenset(bundle.environments)}
    if bundle.humans:
        askable["Human"] = frozenset(bundle.humans)
    return Known(
        above={uid: above(uid, direct) for uid in direct},
        closed=frozenset(read_schema(bundle.schema_text).entities),
        askable=askable,
    )


def stated(premise: Premise, number: int, schema: cedarpy.Schema) -> Stated:
    """A premise as the condition of a policy. Raises `PolicyInvalid`."""
    text = f"forbid (principal, action, resource) when {{ {premise.expression} }};"
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
        checked = cedarpy.validate_policies(text, schema)
    except ValueError as error:
        raise _invalid(premise, " ".join(str(error).split())) from error
    if len(parsed["staticPolicies"]) != 1 or not checked.validation_passed:
        why = "; ".join(" ".join(str(each.error).split()) for each in checked.errors)
        raise _invalid(premise, why or "more than one expression")
    (est,) = parsed["staticPolicies"].values()
    name = f"premise-{number}"
    return Stated(premise, Policy(name, premise.says, premise.file, premise.line, est))


def _invalid(premise: Premise, why: str) -> PolicyInvalid:
    place = f"`{premise.file}` line {premise.line}: " if premise.file else ""
    return PolicyInvalid(f"{place}a premise is not valid: `{premise.expression}`", why, "report it")


def _uid(plain: dict[str, str]) -> Uid:
    return plain["type"], plain["id"]


def _named(environment: RequestEnvironment) -> str:
    who = "an agent" if environment.principal == "Agent" else f"a {environment.principal.lower()}"
    return f"{who} that asks to `{environment.action}`"

"""Policies in a world: when each is satisfied, and when it errs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from signoff.policy.statements import Policy
from signoff.policy.symbolic.expressions import Expressions, Rule
from signoff.policy.symbolic.logic import Logic, Truth
from signoff.policy.symbolic.rules import RULES
from signoff.policy.symbolic.schema import EntityOf, NotUnderstood
from signoff.policy.symbolic.world import Scalar, World


@dataclass(frozen=True, eq=False)
class Compiled:
    """The condition under which a policy is satisfied, and that under which it errs (the
    engine then leaves it out, and reports the error)."""

    policy: Policy
    satisfied: Truth
    errs: Truth

    @property
    def idle(self) -> bool:
        """Whether it is known to be neither satisfied nor in error."""
        return self.satisfied is False and self.errs is False


def allowed(logic: Logic, compiled: Iterable[Compiled]) -> Truth:
    """Whether the judge allows a request: some permit is satisfied, no forbid is, and none of
    them errs (the engine leaves out what errs; the judge then refuses)."""
    found = list(compiled)
    permits = (each.satisfied for each in found if each.policy.effect == "permit")
    forbids = (each.satisfied for each in found if each.policy.effect == "forbid")
    return logic.all(
        logic.any(*permits),
        *(logic.no(each) for each in forbids),
        *(logic.no(each.errs) for each in found),
    )


class Compiler:
    """Compiles policies of one world; a condition that does not look at the action is
    compiled once for all actions."""

    def __init__(self, world: World, rules: Mapping[str, Rule] = RULES) -> None:
        self.world = world
        self._rules = rules
        self._looks: dict[int, bool] = {}
        self._done: dict[tuple[int, str], tuple[Policy, Compiled]] = {}

    def policy(self, policy: Policy, action: str) -> Compiled:
        """One policy, asked about one action. Raises `NotUnderstood` for a form nobody
        taught this compiler."""
        try:
            return self._policy(policy, action)
        except NotUnderstood as gap:
            raise NotUnderstood(
                f"{gap} in `{policy.id}` ({policy.file} line {policy.line})"
            ) from gap
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            # A form this compiler was not written for: whatever it made of it, nothing is shown.
            where = f"`{policy.id}` ({policy.file} line {policy.line})"
            raise NotUnderstood(f"the form of {where}") from error

    def _policy(self, policy: Policy, action: str) -> Compiled:
        if not self._acts(policy.est["action"], action):
            return Compiled(policy, False, False)
        if id(policy) not in self._looks:
            self._looks[id(policy)] = looks_at_action(policy.est["conditions"])
        key = (id(policy), action if self._looks[id(policy)] else "")
        if key not in self._done:
            # The policy is kept beside its terms, so that its identity stays its own.
            self._done[key] = (policy, self._compiled(policy, action))
        return self._done[key][1]

    def policies(self, policies: Iterable[Policy], action: str) -> list[Compiled]:
        """Those of the policies that can be satisfied or err."""
        found = (self.policy(policy, action) for policy in policies)
        return [compiled for compiled in found if not compiled.idle]

    def _compiled(self, policy: Policy, action: str) -> Compiled:
        est, logic = policy.est, self.world.logic
        if est["effect"] not in ("permit", "forbid"):
            raise NotUnderstood(f"the effect `{est['effect']}`")
        scope = logic.all(
            self._scope(est["principal"], self.world.principal),
            self._scope(est["resource"], self.world.resource),
        )
        if scope is False:
            return Compiled(policy, False, False)
        expressions = Expressions(self.world, action, self._rules)
        value, ok = scope, True
        for condition in est["conditions"]:
            wanted, clean = expressions.truth(condition["body"])
            if condition["kind"] == "unless":
                wanted = logic.no(wanted)
            elif condition["kind"] != "when":
                raise NotUnderstood(f"the condition `{condition['kind']}`")
            # A condition is looked at only where all before it hold.
            ok = logic.all(ok, logic.implies(value, clean))
            value = logic.all(value, wanted)
        return Compiled(policy, logic.all(value, ok), logic.no(ok))

    def _acts(self, scope: Mapping[str, Any], action: str) -> bool:
        _no_slot(scope)
        named = {
            each["id"] for each in scope.get("entities") or [scope.get("entity") or {"id": ""}]
        }
        match scope["op"]:
            case "All":
                return True
            case "==":
                return action in named
            case "in":
                groups = self.world.schema.actions[action].groups
                return action in named or bool(named & groups)
        raise NotUnderstood(f"the scope `action {scope['op']}`")

    def _scope(self, scope: Mapping[str, Any], asked: Scalar) -> Truth:
        _no_slot(scope)
        assert isinstance(asked.type, EntityOf)
        match scope:
            case {"op": "All"}:
                return True
            case {"op": "is", "entity_type": kind, "in": inner}:
                _no_slot(inner)
                return kind == asked.type.name and self._inside(asked, inner["entity"])
            case {"op": "is", "entity_type": kind}:
                return bool(kind == asked.type.name)
            case {"op": "==", "entity": {"type": kind, "id": name}}:
                if kind != asked.type.name:
                    return False
                return asked.term == self.world.literal(kind, name)
            case {"op": "in", "entity": entity}:
                return self._inside(asked, entity)
        raise NotUnderstood(f"the scope `{scope['op']}`")

    def _inside(self, asked: Scalar, entity: Mapping[str, str]) -> Truth:
        assert isinstance(asked.type, EntityOf)
        kind, name = entity["type"], entity["id"]
        if kind not in self.world.schema.entities:
            raise NotUnderstood(f"the entity type `{kind}`")
        return self.world.is_in(asked.type.name, asked.term, kind, self.world.literal(kind, name))


def _no_slot(scope: Mapping[str, Any]) -> None:
    if "slot" in scope:
        raise NotUnderstood("a template")


def looks_at_action(node: object) -> bool:
    """Whether an expression speaks of `action`."""
    if isinstance(node, Mapping):
        return node.get("Var") == "action" or any(looks_at_action(v) for v in node.values())
    return isinstance(node, (list, tuple)) and any(looks_at_action(v) for v in node)

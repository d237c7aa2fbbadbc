"""What a surface is: five functions over values, and a fingerprint. Pure.

Adding a surface is adding one folder that offers these five and registering nothing:
`understand.py` finds the folders that lie here.

The functions are asked in rounds. `questions` is called again with the answers it got,
until it asks nothing new (at most `ROUNDS_MOST` rounds), so a question may depend on an
answer and still nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Protocol

from signoff.model.action import Action, Answer, Answers, Question
from signoff.model.effect import Step, Understanding
from signoff.model.values import EMPTY, Data

ROUNDS_MOST = 6
PRODUCTION = "production"


@dataclass(frozen=True)
class Restoration:
    """How to take an action back, from what was captured: `steps` in order, in the
    surface's own language. `residue` says what will not be as it was."""

    steps: tuple[Step, ...]
    residue: tuple[str, ...] = ()


@dataclass(frozen=True)
class Captured:
    """Everything a restore may use: the capture questions with their answers before the
    act, right after it, and now; and the response of the act."""

    questions: tuple[Question, ...]
    before: Answers
    after: Answers
    now: Answers
    response: Data = EMPTY


@dataclass(frozen=True)
class Places:
    """Which environment a resource is in. Built from the configuration, pure.

    A rule maps to an environment when all it names agree: account, region, name
    pattern (shell wildcard), tag. Tags an agent could write lower nothing: a rule with a
    tag only counts when `tags_trusted`. The first matching rule wins, and what nobody
    mapped is `production`.
    """

    rules: tuple[Mapping[str, str], ...] = ()
    disposable: frozenset[str] = frozenset()
    override: str = ""
    extra: Mapping[str, Data] = field(default_factory=dict)

    def environment_of(
        self,
        *,
        account: str = "",
        region: str = "",
        name: str = "",
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """The environment of one resource: the first rule all of whose members agree.

        A rule names `environment` and any of `account`, `region`, `name` (shell wildcard),
        `tag` (`key=value`), `tags_trusted` (`true`). An empty argument agrees with no rule
        that names it, and a rule with a member nobody knows never agrees. A rule with a tag
        that is not trusted can only say `production`.
        """
        if self.override:
            return self.override
        facts = {"account": account, "region": region}
        for rule in self.rules:
            environment = rule.get("environment", "")
            if environment and _agrees(rule, environment, facts, name, tags):
                return environment
        return PRODUCTION


def _agrees(
    rule: Mapping[str, str],
    environment: str,
    facts: Mapping[str, str],
    name: str,
    tags: Mapping[str, str],
) -> bool:
    trusted = rule.get("tags_trusted", "").lower() == "true"
    for member, wanted in rule.items():
        match member:
            case "environment" | "tags_trusted":
                continue
            case "account" | "region":
                if not facts[member] or not fnmatchcase(facts[member], wanted):
                    return False
            case "name":
                if not name or not fnmatchcase(name, wanted):
                    return False
            case "tag":
                key, _, value = wanted.partition("=")
                if key not in tags or not fnmatchcase(tags[key], value or "*"):
                    return False
                if not trusted and environment != PRODUCTION:
                    return False
            case _:
                return False
    return True


class Surface(Protocol):
    """The five functions. Each is total: hostile input gives `unknown`, never an exception."""

    def parse(self, given: object, scope: Mapping[str, str]) -> Action:
        """The action a text or object of the command line contract stands for."""
        ...

    def questions(self, action: Action, answers: Answers) -> tuple[Question, ...]:
        """What else must be known of the world to understand the action; () when done."""
        ...

    def effects(self, action: Action, answers: Answers, places: Places) -> Understanding:
        """What the action would do, as far as the answers tell; the rest is `unknown`."""
        ...

    def capture(self, understanding: Understanding, answers: Answers) -> tuple[Question, ...]:
        """What to read before the act, so that it can be taken back. Called in rounds
        like `questions`. The same questions are asked right after the act and before an
        undo: their answers are the fingerprint by which foreign changes are noticed."""
        ...

    def restore(self, action: Action, captured: Captured) -> Restoration:
        """The way back from `now` to `before`."""
        ...

    def fingerprint(self, question: Question, answer: Answer) -> str:
        """The same for two answers that differ only in what no undo is about (request
        ids, item counts, modification times). Equality is how conflicts are noticed."""
        ...

    def sound(self, question: Question, answer: Answer) -> bool:
        """Whether an undo can rest on this answer to a capture question: the thing was read
        whole, or is certainly not there."""
        ...

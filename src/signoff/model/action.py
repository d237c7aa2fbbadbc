"""Who asks, and for what: principals, resources, actions, questions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from signoff.model.values import EMPTY, Data, Value, digest, thaw


class Level(str, Enum):
    """How much an agent could get round; shown in every receipt, on every card."""

    ADVISORY = "advisory"
    CONTAINED = "contained"
    SEPARATED = "separated"


@dataclass(frozen=True, slots=True)
class Principal:
    """An agent with a run, on behalf of a human; or, on the control socket, a human.

    For a human `agent` and `run` are empty and `operator` is their name.
    """

    agent: str
    run: str
    operator: str

    @property
    def is_agent(self) -> bool:
        return bool(self.agent)


@dataclass(frozen=True)
class Action:
    """One thing asked for, on one surface.

    `name` is the surface's own term (`dynamodb:DeleteTable`), `scope` says where
    (for AWS: `account`, `region`), `parameters` are the members as parsed.
    `generated` names the top-level members a client makes up anew for each attempt
    (idempotency tokens); they are not part of the digest. `public` is what may be
    written down: members that name things, with every value that could be a secret
    left out. `unknown` says in words what the parser did not understand.
    """

    surface: str
    name: str
    parameters: Data = EMPTY
    scope: Mapping[str, str] = field(default_factory=dict)
    generated: frozenset[str] = frozenset()
    public: Data = EMPTY
    unknown: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what matters: surface, name, scope, parameters but the generated."""
        matters = {k: v for k, v in self.parameters.items() if k not in self.generated}
        return digest([self.surface, self.name, dict(self.scope), matters])

    def as_data(self) -> dict[str, object]:
        """The whole action as plain data; `from_data` is its inverse."""
        return {
            "surface": self.surface,
            "name": self.name,
            "parameters": thaw(self.parameters),
            "scope": dict(self.scope),
            "generated": sorted(self.generated),
            "public": thaw(self.public),
            "unknown": list(self.unknown),
        }

    @classmethod
    def from_data(cls, data: Data) -> Action:
        """The action that `as_data` wrote down."""
        return cls(
            surface=_text(data["surface"]),
            name=_text(data["name"]),
            parameters=_mapping(data["parameters"]),
            scope={k: _text(v) for k, v in _mapping(data["scope"]).items()},
            generated=frozenset(_texts(data.get("generated"))),
            public=_mapping(data.get("public", EMPTY)),
            unknown=_texts(data.get("unknown")),
        )


@dataclass(frozen=True)
class Question:
    """A read-only question to the world, in the surface's own terms.

    `paginate` asks for all pages merged into one answer, up to `most` entries;
    beyond it the answer is marked truncated and counts are lower bounds.
    """

    surface: str
    name: str
    parameters: Data = EMPTY
    scope: Mapping[str, str] = field(default_factory=dict)
    paginate: bool = False
    most: int = 10_000

    @cached_property
    def key(self) -> str:
        """The same for two questions that ask the same; answers are filed under it."""
        scope = dict(self.scope)
        return digest([self.surface, self.name, scope, self.parameters, self.paginate, self.most])

    def as_data(self) -> dict[str, object]:
        """The question as plain data; `from_data` is its inverse."""
        return {
            "surface": self.surface,
            "name": self.name,
            "parameters": thaw(self.parameters),
            "scope": dict(self.scope),
            "paginate": self.paginate,
            "most": self.most,
        }

    @classmethod
    def from_data(cls, data: Data) -> Question:
        """The question that `as_data` wrote down."""
        most = data["most"]
        return cls(
            surface=_text(data["surface"]),
            name=_text(data["name"]),
            parameters=_mapping(data["parameters"]),
            scope={k: _text(v) for k, v in _mapping(data["scope"]).items()},
            paginate=bool(data["paginate"]),
            most=most if isinstance(most, int) else 0,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the world said. `error` is the target's own code when it said no
    (`ResourceNotFoundException` is an answer too); `unanswered` says why nobody knows."""

    value: Data = EMPTY
    error: str = ""
    unanswered: str = ""
    truncated: bool = False

    @property
    def ok(self) -> bool:
        return not self.error and not self.unanswered

    def as_data(self) -> dict[str, object]:
        """The answer as plain data; `from_data` is its inverse."""
        return {
            "value": thaw(self.value),
            "error": self.error,
            "unanswered": self.unanswered,
            "truncated": self.truncated,
        }

    @classmethod
    def from_data(cls, data: Data) -> Answer:
        """The answer that `as_data` wrote down."""
        return cls(
            value=_mapping(data["value"]),
            error=_text(data["error"]),
            unanswered=_text(data["unanswered"]),
            truncated=bool(data["truncated"]),
        )


Answers = Mapping[str, Answer]
"""Answers by `Question.key`."""


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, got `{type(value).__name__}`")
    return value


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(_text(v) for v in value) if isinstance(value, tuple) else ()


def _mapping(value: Value) -> Data:
    if not isinstance(value, Mapping):
        raise TypeError(f"mapping expected, got `{type(value).__name__}`")
    return value

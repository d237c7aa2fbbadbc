"""The surface of Signoff itself: changing what guards is an action like any other. Pure.

A boundary is lowered for one environment and a stated time; a configuration takes the place
of the sealed one. What agents do meanwhile cannot be taken back by changing it again, so the
reversibility of both is `none`.
"""

from __future__ import annotations

from collections.abc import Mapping

from signoff.model.action import Action, Answer, Answers, Question
from signoff.model.effect import (
    Bound,
    Effect,
    Kind,
    Resource,
    Reversibility,
    Step,
    Understanding,
    Verb,
)
from signoff.model.values import Data, canonical, digest, frozen
from signoff.surfaces.base import Captured, Places, Restoration

LOWER = "signoff:LowerBoundary"
CHANGE = "signoff:ChangeConfiguration"
TTL_MS_MOST = 24 * 3_600_000


def lower_boundary(boundary: str, environment: str, ttl_ms: int) -> Action:
    """The action that lowers one boundary in one environment for `ttl_ms` milliseconds."""
    members = frozen(boundary=boundary, environment=environment, ttl_ms=ttl_ms)
    return Action("control", LOWER, members, public=members)


def change_configuration(
    content: Data, configuration: str, before: str, told: Mapping[str, object]
) -> Action:
    """The action that seals a configuration in place of the sealed one.

    `content` are its texts and `configuration` their digest, `before` the digest of the one
    it takes the place of; `told` is what those who sign are shown of the difference
    (`changes`, `rulings`: lists of lines; `proof`: one line).
    """
    names = {"configuration": configuration, "before": before}
    return Action(
        "control", CHANGE, frozen(content=content, **names), public=frozen(**names, **told)
    )


class ControlSurface:
    """The five functions for Signoff's own settings."""

    def parse(self, given: object, scope: Mapping[str, str]) -> Action:
        """`{"boundary", "environment", "ttl_ms"}`; anything else is unknown. A change of
        the configuration is asked for with `signoff apply` alone."""
        if isinstance(given, Mapping):
            boundary, where = given.get("boundary"), given.get("environment")
            ttl = given.get("ttl_ms")
            if isinstance(boundary, str) and isinstance(where, str) and isinstance(ttl, int):
                return lower_boundary(boundary, where, ttl)
        return Action("control", "signoff:Unknown", unknown=("not a change of settings",))

    def questions(self, action: Action, answers: Answers) -> tuple[Question, ...]:
        """Nothing needs to be asked."""
        return ()

    def effects(self, action: Action, answers: Answers, places: Places) -> Understanding:
        """Both changes widen what agents may do, as far as anybody knows beforehand."""
        if action.name == CHANGE:
            return _changing(action)
        where = str(action.parameters.get("environment", "production"))
        boundary = str(action.parameters.get("boundary", "unknown"))
        ttl = action.parameters.get("ttl_ms")
        minutes = ttl // 60_000 if isinstance(ttl, int) else None
        known = action.name == LOWER and isinstance(ttl, int) and 0 < ttl <= TTL_MS_MOST
        verb = Verb.PERMIT if known else Verb.UNKNOWN
        effect = Effect(
            verb,
            Resource(f"signoff:boundary/{boundary}", "signoff:boundary", where, Kind.ACCESS),
            (Bound(minutes, "minutes"),),
            Reversibility.NONE,
            residue="what agents do while it is lowered",
            because="changing Signoff is itself an action",
        )
        return Understanding(action, (effect,), action.unknown, (Step(action),))

    def capture(self, understanding: Understanding, answers: Answers) -> tuple[Question, ...]:
        """It ends by itself; there is nothing to save."""
        return ()

    def restore(self, action: Action, captured: Captured) -> Restoration:
        """A boundary rises by itself; a configuration is changed by another change of it."""
        if action.name == CHANGE:
            return Restoration((), ("change the configuration again: signoff apply",))
        return Restoration((), ("a lowered boundary rises when its time is over",))

    def fingerprint(self, question: Question, answer: Answer) -> str:
        """Everything counts."""
        return canonical(answer.as_data()).decode()

    def sound(self, question: Question, answer: Answer) -> bool:
        """Nothing is asked, so nothing is unsound."""
        return answer.ok


def _changing(action: Action) -> Understanding:
    content, named = action.parameters.get("content"), action.parameters.get("configuration")
    known = isinstance(content, Mapping) and digest(content) == named
    changes = action.public.get("changes")
    effect = Effect(
        Verb.PERMIT if known else Verb.UNKNOWN,
        # Each candidate is a target of its own: people who reject one do not reject the next.
        Resource(
            f"signoff:configuration/{str(named)[:12]}",
            "signoff:configuration",
            "production",
            Kind.ACCESS,
        ),
        (Bound(len(changes) if isinstance(changes, tuple) else None, "settings"),),
        Reversibility.NONE,
        residue="what agents do under it",
        because="changing Signoff is itself an action",
    )
    unknown = action.unknown if known else (*action.unknown, "the texts are not those it names")
    return Understanding(action, (effect,), unknown, (Step(action),))


SURFACE = ControlSurface()

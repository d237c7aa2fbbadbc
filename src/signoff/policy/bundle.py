"""The bundle: shipped policies of a profile, the owner's own, schema and settings.

A bundle loads wholly or not at all, and is checked by canary decisions before anyone
relies on it: an engine that forgets its action groups allows without an error, so the
canaries name the very policy that must have spoken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import cedarpy

from signoff.config.values import QuorumRow
from signoff.model.action import Action, Principal
from signoff.model.effect import Effect, Kind, Resource, Understanding, Verb
from signoff.model.errors import PolicyInvalid
from signoff.model.ports import Facts
from signoff.model.values import digest
from signoff.policy.quorums import Quorums
from signoff.policy.request import Limits, base_context, effect_context, signers_context
from signoff.policy.statements import Policy, Source, policies
from signoff.policy.told import Told, atoms_of, gathered

PROFILES = ("team", "solo")
SHARED = ("boundaries", "limits", "everyday")
ENVIRONMENTS: Mapping[str, str] = {
    "production": "",
    "staging": "",
    "development": "",
    "workspace": "",
}
"""The shipped environments: name to the one it lies in. An owner's `prod-eu` lies in
`production`, and every rule for production then holds for it."""

OWN_TARGETS = "signoff:"
"""What the uids of Signoff's own settings begin with: `signoff:boundary/<id>`."""

SAFEGUARD = "safeguard not proved"
PROVED = "safeguard proved"
"""Said only by `loading.py`, of a bundle whose proof it holds."""

SOURCE_MOST = 1 << 20


@dataclass(frozen=True)
class Slice:
    """Some policies as the engine takes them, and what of a context they look at."""

    policies: cedarpy.PolicySet
    told: Told


@dataclass(frozen=True)
class Bundle:
    """What decisions are made with. Immutable; a change of any part is another bundle.

    `digest` (hex) covers policies, schema, settings, profile, humans, agents and
    environments, in a form that reformatting does not change.
    """

    profile: str
    policies: tuple[Policy, ...]
    schema_text: str
    schema: cedarpy.Schema
    entities: cedarpy.Entities
    agents: frozenset[str]
    humans: Mapping[str, tuple[str, ...]]
    environments: Mapping[str, str]
    digest: str
    limits: Limits = field(default_factory=Limits)
    safeguard: str = SAFEGUARD
    _slices: dict[tuple[str, str, str], Slice] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def by_id(self) -> Mapping[str, Policy]:
        """Every policy by its `@id`."""
        return {policy.id: policy for policy in self.policies}

    @cached_property
    def boundaries(self) -> Mapping[str, bool]:
        """Every boundary by id, and whether two people can lower it."""
        return {p.id: p.boundary == "two-person" for p in self.policies if p.boundary}

    @cached_property
    def names_people(self) -> bool:
        """Whether it matters who signs, and not only how many do."""
        naming = {"approvers", "approverTeams", ""}
        # The shipped policies read teams only to compare them with the groups a row asks for.
        owned = any(p.paths & naming for p in self.policies if not p.shipped)
        return owned or bool(self.limits.quorums.groups)

    @cached_property
    def looks_at_target(self) -> bool:
        """Whether a policy of the owner looks at which target it is. The shipped ones look
        only at whether it is Signoff's own (`OWN_TARGETS`)."""
        telling = {"target.uid", "target", ""}
        return any(p.paths & telling for p in self.policies if not p.shipped)

    def slice(self, kind: str, verb: str, environment: str) -> Slice:
        """The policies whose scope can match a principal type, an action and an environment
        (as `within` names it): leaving the others out cannot change a decision, since a
        scope never errs."""
        return self._slices[kind, verb, environment]

    def within(self, environment: str) -> tuple[str, ...]:
        """The environment as this bundle knows it, and those it lies in. One that nobody
        configured is judged as `production`."""
        known = environment if environment in self.environments else "production"
        return _within(known, self.environments)


def with_only(bundle: Bundle, kept: Sequence[Policy]) -> Bundle:
    """The same bundle with some of its policies: to ask questions about, never to decide
    with. It passed no canary, and says that it is not proved."""
    left = [policy.id for policy in kept]
    return replace(
        bundle,
        policies=tuple(kept),
        digest=digest({"of": bundle.digest, "only": left}),
        safeguard=SAFEGUARD,
        _slices=_slices(kept, bundle.schema_text, bundle.environments),
    )


def load_bundle(
    profile: str = "team",
    extra_files: Sequence[Path] = (),
    agents: Mapping[str, Sequence[str]] | None = None,
    humans: Mapping[str, Sequence[str]] | None = None,
    environments: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Bundle:
    """The shipped policies of a profile and the owner's own `.cedar` files.

    `agents` and `humans` map a name to its teams; `environments` maps the owner's names
    to the shipped one they lie in (empty for none). Raises `PolicyInvalid` when anything
    does not parse, validate, or pass its canary; see `compile_bundle`.
    """
    extra = [Source(str(path), _text(Path(path))) for path in extra_files]
    return compile_bundle(profile, extra, agents, humans, environments, settings)


def compile_bundle(
    profile: str = "team",
    extra: Sequence[Source] = (),
    agents: Mapping[str, Sequence[str]] | None = None,
    humans: Mapping[str, Sequence[str]] | None = None,
    environments: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Bundle:
    """Like `load_bundle`, from texts. `settings` are part of the digest; of
    them `calls_per_minute` and `changes_per_minute` are limits the policies compare with, and
    `grants_required` and `grants_reads` say when a run needs a grant (both false unless stated),
    and `quorum` holds rows (`QuorumRow.as_data`) of how many people a change needs."""
    if profile not in PROFILES:
        raise PolicyInvalid(f"no profile `{profile}`", "", "use `team` or `solo`")
    schema_text = shipped_schema()
    schema = cedarpy.Schema.from_json_str(schema_text)
    found = [*_shipped(profile)]
    for source in extra:
        found += policies(source, schema)
    _refuse_twins(found)
    places = {**ENVIRONMENTS, **(environments or {})}
    _refuse_homeless(places)
    people = {name: tuple(sorted(teams)) for name, teams in (humans or {}).items()}
    crew = {name: tuple(sorted(teams)) for name, teams in (agents or {}).items()}
    bundle = Bundle(
        profile=profile,
        policies=tuple(found),
        schema_text=schema_text,
        schema=schema,
        entities=_entities(crew, people, places, schema_text),
        agents=frozenset(crew),
        humans=people,
        environments=places,
        digest=digest(
            {
                "profile": profile,
                "policies": {p.id: p.est for p in found},
                "schema": json.loads(schema_text),
                "humans": people,
                "agents": crew,
                "environments": places,
                "settings": settings or {},
            }
        ),
        limits=_limits(settings or {}, profile),
        _slices=_slices(found, schema_text, places),
    )
    _canary(bundle)
    return bundle


def shipped_schema() -> str:
    """The schema as JSON text, the form the prover reads."""
    return (resources.files("signoff.policy") / "defaults" / "schema.json").read_text("utf-8")


def shipped_sources(profile: str) -> tuple[Source, ...]:
    """The shipped Cedar files of a profile."""
    folder = resources.files("signoff.policy") / "defaults"
    names = (*SHARED, profile)
    return tuple(Source(f"{n}.cedar", (folder / f"{n}.cedar").read_text("utf-8")) for n in names)


def agent_entity(name: str, teams: Iterable[str] = ()) -> dict[str, object]:
    """An agent as the engine knows it."""
    return _entity("Agent", name, "Team", teams)


@cache
def _shipped(profile: str) -> tuple[Policy, ...]:
    schema = cedarpy.Schema.from_json_str(shipped_schema())
    return tuple(
        policy
        for source in shipped_sources(profile)
        for policy in policies(source, schema, shipped=True)
    )


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyInvalid(
            f"the policies do not load: `{path}`",
            (error.strerror or "it cannot be read").lower(),
            "correct the path, or make the file readable",
        ) from error
    if len(content) > SOURCE_MOST:
        raise PolicyInvalid(
            f"the policies do not load: `{path}`",
            f"{len(content):,} bytes, at most {SOURCE_MOST:,}",
            "split the file",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyInvalid(
            f"the policies do not load: `{path}` line {line}", "not UTF-8", "save it as UTF-8"
        ) from error


def _limits(settings: Mapping[str, object], profile: str) -> Limits:
    shipped = Limits()
    found = {"calls_per_minute": 0, "changes_per_minute": 0}
    for name in found:
        value = settings.get(name, getattr(shipped, name))
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 1_000_000:
            raise PolicyInvalid(f"`{name}` is `{value}`", "a number from 1 to 1,000,000", "")
        found[name] = value
    flags = {"grants_required": False, "grants_reads": False}
    for name, flag in flags.items():
        asked = settings.get(name, flag)
        if not isinstance(asked, bool):
            raise PolicyInvalid(f"`{name}` is `{asked}`", "true or false", "")
        flags[name] = asked
    return Limits(
        calls_per_minute=found["calls_per_minute"],
        changes_per_minute=found["changes_per_minute"],
        grants_required=flags["grants_required"],
        grants_reads=flags["grants_reads"],
        quorums=Quorums(_quorum_rows(settings), profile),
    )


def _quorum_rows(settings: Mapping[str, object]) -> tuple[QuorumRow, ...]:
    given = settings.get("quorum", ())
    if not isinstance(given, (list, tuple)):
        raise PolicyInvalid("`quorum` is not a list of rows", "", "see docs/reference/config.md")
    rows = []
    for row in given:
        try:
            lists = {name: tuple(row.get(name, ())) for name in ("agents", "groups")}
            rows.append(QuorumRow(**{**row, **lists}))
        except (AttributeError, TypeError) as error:
            raise PolicyInvalid(f"`{row}` is no row of `quorum`", str(error), "") from error
    return tuple(rows)


def _refuse_twins(found: Iterable[Policy]) -> None:
    seen: dict[str, Policy] = {}
    for policy in found:
        if first := seen.get(policy.id):
            raise PolicyInvalid(
                f"the policies do not load: `{policy.file}` line {policy.line}",
                f"`{policy.id}` is already the id of a policy in `{first.file}` line {first.line}",
                "give it another `@id`",
            )
        seen[policy.id] = policy


def _refuse_homeless(places: Mapping[str, str]) -> None:
    for name, parent in places.items():
        if name in ENVIRONMENTS and parent:
            raise PolicyInvalid(
                f"the environment `{name}` lies in `{parent}`", "a shipped one lies in none", ""
            )
        if parent and parent not in ENVIRONMENTS:
            raise PolicyInvalid(
                f"the environment `{name}` lies in `{parent}`",
                "which is none of " + ", ".join(ENVIRONMENTS),
                "name a shipped environment",
            )


def _entity(kind: str, name: str, above: str, parents: Iterable[str]) -> dict[str, object]:
    return {
        "uid": {"type": kind, "id": name},
        "attrs": {},
        "parents": [{"type": above, "id": parent} for parent in parents if parent],
    }


def _entities(
    agents: Mapping[str, tuple[str, ...]],
    humans: Mapping[str, tuple[str, ...]],
    places: Mapping[str, str],
    schema_text: str,
) -> cedarpy.Entities:
    teams = {team for names in (*agents.values(), *humans.values()) for team in names}
    rows = [_entity("Team", team, "Team", ()) for team in sorted(teams)]
    rows += [agent_entity(name, groups) for name, groups in agents.items()]
    rows += [_entity("Human", name, "Team", groups) for name, groups in humans.items()]
    rows += [_entity("Environment", name, "Environment", [up]) for name, up in places.items()]
    # The schema puts the action groups into the handle; without it they match nothing.
    return cedarpy.Entities.from_json_str(json.dumps(rows), schema=schema_text)


def _members(schema: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
    """Each action with itself and the groups it is in."""
    return {
        name: frozenset({name, *(group["id"] for group in given.get("memberOf", ()))})
        for name, given in schema[""]["actions"].items()
    }


def _may_be(
    policy: Policy,
    kind: str,
    verb: str,
    within: tuple[str, ...],
    members: Mapping[str, frozenset[str]],
) -> bool:
    """Whether the scope of a policy can match; any form not known here can."""
    who, what, place = (policy.est[part] for part in ("principal", "action", "resource"))
    if who["op"] == "is" and who["entity_type"] != kind:
        return False
    if place["op"] == "==" and place["entity"]["id"] != within[0]:
        return False
    if place["op"] == "in" and place["entity"]["id"] not in within:
        return False
    if what["op"] not in ("==", "in"):
        return True
    named = {e["id"] for e in what.get("entities") or [what["entity"]]}
    return bool(named & (members[verb] if what["op"] == "in" else {verb}))


def _within(place: str, places: Mapping[str, str]) -> tuple[str, ...]:
    above = places[place]
    return (place, above) if above else (place,)


def _slices(
    found: Sequence[Policy], schema_text: str, places: Mapping[str, str]
) -> dict[tuple[str, str, str], Slice]:
    members = _members(json.loads(schema_text))
    looked = {p.id: atoms_of(p) for p in found}
    written = {p.id: f"{json.dumps(p.id)}:{json.dumps(p.est)}" for p in found}
    sets: dict[tuple[str, ...], Slice] = {}
    slices = {}
    for kind, verb, place in product(("Agent", "Human"), [v.value for v in Verb], places):
        within = _within(place, places)
        chosen = [p for p in found if _may_be(p, kind, verb, within, members)]
        ids = tuple(p.id for p in chosen)
        if ids not in sets:
            static = ",".join(written[name] for name in ids)
            text = f'{{"staticPolicies":{{{static}}},"templates":{{}},"templateLinks":[]}}'
            told = gathered(looked[name] for name in ids)
            sets[ids] = Slice(cedarpy.PolicySet.from_json_str(text), told)
        slices[kind, verb, place] = sets[ids]
    return slices


_CANARY = "signoff-canary"


def _canary(bundle: Bundle) -> None:
    """Decide what is known beforehand; refuse to load when the engine says otherwise."""
    guard = "two-person" if bundle.profile == "team" else "production-irreversible"
    entities = bundle.entities.with_added_json_str(json.dumps([agent_entity(_CANARY)]))
    shipped = _slices(_shipped(bundle.profile), bundle.schema_text, ENVIRONMENTS)
    for place in bundle.environments:
        inside = "production" in bundle.within(place)
        delete = _canary_decision(
            bundle, entities, bundle.slice("Agent", "delete", place), "delete", place
        )
        expected = guard if inside else "outside-one-person"
        if delete.decision is cedarpy.Decision.Allow or expected not in delete.diagnostics.reasons:
            raise PolicyInvalid(
                "the policies do not load: a canary was not stopped",
                f"deleting in `{place}` is not forbidden by `{expected}`",
                "remove what was changed last, and report it",
            )
    read = _canary_decision(
        bundle, entities, shipped["Agent", "read", "production"], "read", "production"
    )
    if read.decision is not cedarpy.Decision.Allow or read.diagnostics.errors:
        raise PolicyInvalid("the policies do not load: a canary may not read", "", "report it")


def _canary_decision(
    bundle: Bundle,
    entities: cedarpy.Entities,
    chosen: Slice,
    verb: str,
    place: str,
) -> cedarpy.AuthzResult:
    effect = Effect(Verb(verb), Resource(_CANARY, _CANARY, place, Kind.DATA))
    who = Principal(_CANARY, _CANARY, _CANARY)
    understanding = Understanding(Action(_CANARY, _CANARY), (effect,))
    # A reading canary has a grant; a deleting one is stopped whether it has one or not. How
    # many people the owner asks is for the proof to judge, which names the line.
    facts = Facts(granted=frozenset({(place, "read")}))
    limits = replace(bundle.limits, quorums=Quorums(profile=bundle.profile))
    context = {
        **base_context(who, understanding.action, facts, limits),
        **effect_context(effect, understanding, facts, bundle.within(place), limits, _CANARY),
        **signers_context(frozenset(), {}, False),
    }
    request = {
        "principal": {"type": "Agent", "id": _CANARY},
        "action": {"type": "Action", "id": verb},
        "resource": {"type": "Environment", "id": place},
        "context": context,
    }
    return cedarpy.is_authorized(request, chosen.policies, entities, bundle.schema)

"""What a caller could do to the world, action by action and environment by environment. Pure.

Joins the ways of `reach` with what an action could do (`Known`) and with the environment map:
an action counts in every environment some resource it reaches could be in, and what nobody
mapped is production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from signoff.audit.iam.globs import covers, matches, overlaps
from signoff.audit.iam.reach import Reach, Way
from signoff.model.effect import Kind, Verb
from signoff.surfaces.base import PRODUCTION

Rule = Mapping[str, str]
"""One row of the environment map, as `surfaces.base.Places.rules` holds it."""


BARE = frozenset({"sqs", "sns"})
"""Services whose ARNs end in the name alone, with no type before it."""


class Power(str, Enum):
    """What an action could do, worst first; an action may be in several."""

    DESTROY = "destroy"
    DISARM = "disarm"
    DISCLOSE = "disclose"
    PERMIT = "permit"
    EXECUTE = "execute"
    CHANGE = "change"
    READ = "read"


OF_VERB = {
    Verb.DELETE: Power.DESTROY,
    Verb.REPLACE: Power.DESTROY,
    Verb.UNKNOWN: Power.DESTROY,
    Verb.DISARM: Power.DISARM,
    Verb.DISCLOSE: Power.DISCLOSE,
    Verb.PERMIT: Power.PERMIT,
    Verb.EXECUTE: Power.EXECUTE,
    Verb.CREATE: Power.CHANGE,
    Verb.UPDATE: Power.CHANGE,
    Verb.READ: Power.READ,
}


@dataclass(frozen=True, slots=True)
class Known:
    """One IAM action. `verbs` is what requests under it may do; `arns` the patterns of the
    resources it can be limited to: `("*",)` when it can be limited to none, and None when
    nobody says (then any resource is taken to matter)."""

    name: str
    verbs: frozenset[Verb]
    kind: Kind
    arns: tuple[str, ...] | None

    @property
    def service(self) -> str:
        """IAM's prefix."""
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Able:
    """One action a caller may take, by what ways and where. `kind` is what it acts on."""

    action: str
    powers: frozenset[Power]
    kind: Kind
    ways: tuple[Way, ...]
    environments: frozenset[str]
    understood: bool


@dataclass(frozen=True)
class Ground:
    """Where a caller stands: partition and account of its own (empty when unknown), and the
    environment map."""

    partition: str = ""
    account: str = ""
    rules: tuple[Rule, ...] = ()

    def arns(self, arns: tuple[str, ...] | None) -> tuple[str, ...]:
        """The patterns of an action's resources in this partition; `*` when nobody says."""
        if arns is None:
            return ("*",)
        if not self.partition:
            return arns
        return tuple(_in_partition(a, self.partition) for a in arns)


def _in_partition(arn: str, partition: str) -> str:
    return f"arn:{partition}:{arn[6:]}" if arn.startswith("arn:*:") else arn


def able(
    found: Reach,
    known: Callable[[str], Known],
    ground: Ground,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Able, ...]:
    """Every action of a reach that can really touch something. `known` says what is known of
    an action; `progress` hears how many are done, of how many."""
    result = []
    places: dict[tuple[Way, tuple[str, ...]], frozenset[str]] = {}
    total = len(found.ways)
    for done, (action, ways) in enumerate(found.ways.items()):
        if progress and not done % 500:
            progress(done, total)
        what = known(action)
        arns = ground.arns(what.arns)
        open_ways = tuple(w for w in ways if reaches(w, arns, what))
        if not open_ways:
            continue
        where: set[str] = set()
        for way in open_ways:
            key = (way, arns)
            if key not in places:
                places[key] = environments(way, arns, ground)
            where |= places[key]
        if not where:
            continue
        powers = powers_of(what.verbs)
        result.append(
            Able(
                action=action,
                powers=powers,
                kind=what.kind,
                ways=tuple(w for w in open_ways if places[w, arns]),
                environments=frozenset(where),
                understood=Verb.UNKNOWN not in what.verbs,
            )
        )
    return tuple(result)


def powers_of(verbs: frozenset[Verb]) -> frozenset[Power]:
    """The powers of these verbs. Changing and reading count only where there is nothing worse:
    every delete is a change, and saying so twice says nothing."""
    found = frozenset(OF_VERB[v] for v in verbs)
    grave = found - {Power.CHANGE, Power.READ}
    return grave or found & {Power.CHANGE} or found


def reaches(way: Way, arns: tuple[str, ...], what: Known) -> bool:
    """Whether a way lets an action touch any of the resources it can be about."""
    if what.arns is None:
        return True
    if what.arns == ("*",):
        # An action that knows no resources is authorized on `*` itself. The reference may be
        # older than a service, so a policy that names resources of the service counts as well.
        whole = all(matches(p, "*") for p in way.patterns)
        named = any(_field(p, 2) == what.service for p in way.patterns)
        return (whole or named) and not any(matches(e, "*") for e in way.exceptions)
    return any(_touches(way, arn) for arn in arns)


def _touches(way: Way, arn: str) -> bool:
    if any(covers(e, arn) for e in way.exceptions):
        return False
    return all(overlaps(p, arn) for p in way.patterns)


def environments(way: Way, arns: tuple[str, ...], ground: Ground) -> frozenset[str]:
    """Every environment that something a way reaches could be in."""
    found = set()
    for rule in ground.rules:
        agrees = _agrees(rule, way, arns, ground)
        if agrees is not False:
            found.add(rule.get("environment", "") or PRODUCTION)
        if agrees:
            return frozenset(found)
    return frozenset(found | {PRODUCTION})


def _agrees(rule: Rule, way: Way, arns: tuple[str, ...], ground: Ground) -> bool | None:
    """Whether a row of the map is about what a way reaches: all of it, none, or some (None)."""
    environment = rule.get("environment", "")
    trusted = rule.get("tags_trusted", "").lower() == "true"
    answers: list[bool | None] = []
    for member, wanted in rule.items():
        match member:
            case "environment" | "tags_trusted":
                continue
            case "account":
                answers.append(_part(wanted, [_account(p, ground) for p in way.patterns]))
            case "region":
                answers.append(_region(wanted, way))
            case "name":
                answers.append(_part(wanted, [name_of(p) for p in way.patterns]))
            case "tag":
                answers.append(_tag(wanted, way))
                if not trusted and environment != PRODUCTION:
                    answers.append(False)
            case _:
                answers.append(False)
    if any(a is False for a in answers) or _excepted(rule, way, arns):
        return False
    return True if all(answers) else None


def _part(wanted: str, given: Iterable[str]) -> bool | None:
    """`wanted` of a row against patterns that hold together."""
    wanted, parts = wanted.replace("[", "?"), list(given)
    if any(covers(wanted, p) for p in parts):
        return True
    return None if all(overlaps(wanted, p) for p in parts) else False


def _region(wanted: str, way: Way) -> bool | None:
    named = [p for p in (_field(p, 3) for p in way.patterns) if p not in ("", "*")]
    if named:
        return _part(wanted, named)
    if way.regions is not None:
        each = [_part(wanted, [r]) for r in way.regions]
        return True if all(each) else None if any(a is not False for a in each) else False
    if any(covers(r, wanted) for r in way.no_regions):
        return False
    return None if wanted.strip("*") else True


def _tag(wanted: str, way: Way) -> bool | None:
    key, _, value = wanted.partition("=")
    value = value or "*"
    for name, values in way.tags:
        if name == key:
            each = [_part(value, [v]) for v in values]
            return True if all(each) else None if any(a is not False for a in each) else False
    for name, values in way.no_tags:
        if name == key and any(covers(v, value) for v in values):
            return False
    return None


def _excepted(rule: Rule, way: Way, arns: tuple[str, ...]) -> bool:
    """Whether everything a row is about, by its name, is taken out of the way."""
    name = rule.get("name", "")
    if not name or not way.exceptions:
        return False
    named = [_with_name(a, name) for a in arns if _touches(way, a)]
    return bool(named) and all(any(covers(e, n) for e in way.exceptions) for n in named)


def _with_name(arn: str, name: str) -> str:
    """The pattern of an action's resources with the name of the thing filled in."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return name
    tail = parts[5]
    head, sign, rest = tail.partition("*")
    filled = f"{head}{name}{rest}" if sign else tail
    return ":".join([*parts[:5], filled])


@lru_cache(maxsize=16_384)
def name_of(pattern: str) -> str:
    """The pattern of the names of what an ARN pattern stands for."""
    parts = pattern.split(":", 5)
    if len(parts) < 6:
        return "*"
    if parts[2] == "s3":
        return parts[5].partition("/")[0]
    if "*" in parts[2]:
        return "*"
    tail = parts[5]
    if parts[2] in BARE:
        return tail
    if "*" in tail.partition("/")[0].partition(":")[0]:
        # `table*` or `*`: the wildcard may swallow the sign that ends the type.
        return "*"
    return tail.partition("/")[2] or tail.rpartition(":")[2]


def _field(pattern: str, at: int) -> str:
    parts = pattern.split(":", 5)
    return parts[at] if len(parts) == 6 else "*"


def _account(pattern: str, ground: Ground) -> str:
    field = _field(pattern, 4)
    return ground.account or "*" if field in ("", "*") else field

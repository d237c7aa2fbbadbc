"""Names of AWS resources: building ARNs from what a request says. Pure.

Source: AWS General Reference, "Amazon Resource Names (ARNs)".
"""

from __future__ import annotations

from collections.abc import Mapping

ANYWHERE = frozenset(
    {"iam", "sts", "route53", "route53domains", "cloudfront", "organizations", "account", "s3"}
)
"""Services whose ARNs carry no region; for the first seven a region says nothing at all."""

GLOBAL = ANYWHERE - {"s3"}


def partition(region: str) -> str:
    """The partition a region belongs to: `aws`, `aws-cn` or `aws-us-gov`."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def arn(service: str, scope: Mapping[str, str], rest: str) -> str:
    """`arn:partition:service:region:account:rest`, by the conventions of the service.

    What the scope does not say is `?`, so that an unknown account is never mistaken for
    a known one.
    """
    region = scope.get("region", "")
    account = scope.get("account", "") or "?"
    where = "" if service in ANYWHERE else region or "?"
    who = "" if service == "s3" else account
    return f"arn:{partition(region)}:{service}:{where}:{who}:{rest}"


def name_of(uid: str) -> str:
    """The last part of an ARN or path: what people call the thing."""
    tail = uid.split(":", 5)[-1] if uid.startswith("arn:") else uid
    if uid.startswith("arn:") and uid.split(":", 3)[2] == "s3":
        return tail.partition("/")[0]
    return tail.partition("/")[2] or tail.rpartition(":")[2]


def place_of(uid: str, scope: Mapping[str, str]) -> tuple[str, str]:
    """(account, region) of a resource: what its ARN says, else where the request is made.

    A request may name what another account or region owns, and that is not where it was made.
    """
    parts = uid.split(":", 5) if uid.startswith("arn:") else []
    region, account = (parts[3], parts[4]) if len(parts) == 6 else ("", "")
    return account or scope.get("account", ""), region or scope.get("region", "")


def queue_name(url: str) -> tuple[str, str]:
    """(account, queue name) of a queue URL; the account is empty when it names none."""
    parts = [p for p in url.split("?", 1)[0].split("/") if p]
    if len(parts) >= 2 and parts[-2].isdigit():
        return parts[-2], parts[-1]
    return "", parts[-1] if parts else url

"""The services that are read in depth, one module each, gathered in one table. Pure."""

from __future__ import annotations

from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.services import (
    cloudformation,
    dynamodb,
    iam,
    mirrors,
    rds,
    s3,
    sqs,
    tokens,
)

OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    **mirrors.OPERATIONS,
    **cloudformation.OPERATIONS,
    **dynamodb.OPERATIONS,
    **iam.OPERATIONS,
    **rds.OPERATIONS,
    **s3.OPERATIONS,
    **sqs.OPERATIONS,
    **tokens.OPERATIONS,
}
"""Operation -> how it is read, captured and restored."""

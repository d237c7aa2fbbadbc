"""moto's own objects of the resources a stack may hold, found by name. Knows nothing of stacks."""

from __future__ import annotations

from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.exceptions import ServiceException
from moto.dynamodb.models import dynamodb_backends
from moto.iam.models import iam_backends
from moto.rds.models import rds_backends
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends
from moto.ssm.models import ssm_backends
from moto.utilities.utils import get_partition
from werkzeug.exceptions import HTTPException


def invalid(message: str) -> ValidationError:
    """The service's ValidationError with this message."""
    return ValidationError(message=message)


def _partition(region: str) -> str:
    return str(get_partition(region))


# Deletion policies under which a resource outlives its stack.
RETAINED = ("Retain", "RetainExceptOnCreate")

# How a resource's own service fails inside a stack operation; moto would answer with that
# service's error in that service's format, which no CloudFormation client can read.
FOREIGN = (ServiceException, HTTPException, AttributeError, KeyError, TypeError)


def native(error: Exception) -> Exception:
    """The failure as CloudFormation says it; its own errors stay as they are."""
    if type(error).__module__.startswith("moto.cloudformation"):
        return error
    said = getattr(error, "message", "") or getattr(error, "description", "") or str(error)
    return invalid(f"the resource's own service refused: {said}")


def find_physical(kind: str, name: str, account: str, region: str) -> Any:
    """moto's own object of an existing resource, or None when there is none."""
    partition = _partition(region)
    match kind:
        case "AWS::DynamoDB::Table":
            return dynamodb_backends[account][region].tables.get(name)
        case "AWS::S3::Bucket":
            return s3_backends[account][partition].buckets.get(name)
        case "AWS::SQS::Queue":
            return sqs_backends[account][region].queues.get(name.rsplit("/", 1)[-1])
        case "AWS::IAM::Role":
            roles = iam_backends[account][partition].roles.values()
            return next((role for role in roles if role.name == name), None)
        case "AWS::SSM::Parameter":
            found = ssm_backends[account][region].get_parameters([name])
            return found.get(name)
        case "AWS::RDS::DBInstance":
            return rds_backends[account][region].databases.get(name)
        case _:
            return None


def marked(resource: Any, kind: str, logical_id: str) -> Any:
    """The resource, told its type and its name in the template; None stays None."""
    if resource is not None:
        resource.cf_resource_type = kind
        resource.logical_resource_id = logical_id
    return resource

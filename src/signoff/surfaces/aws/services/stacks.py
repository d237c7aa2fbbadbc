"""What a CloudFormation stack holds: its resources as resources, with counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Verb
from signoff.model.values import Data
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.arns import arn, queue_name
from signoff.surfaces.aws.case import Case
from signoff.surfaces.aws.classify import table
from signoff.surfaces.aws.services import dynamodb
from signoff.surfaces.aws.templates import read_template
from signoff.surfaces.base import PRODUCTION

OBJECTS_MOST = 10_000
NESTED = "AWS::CloudFormation::Stack"
RUNNING = frozenset(
    {
        "AWS::CloudFormation::CustomResource",
        "AWS::EC2::Instance",
        "AWS::Events::Rule",
        "AWS::Lambda::EventSourceMapping",
        "AWS::SSM::Association",
        "AWS::Scheduler::Schedule",
    }
)
"""Types that run what their properties say, at once or later; `Custom::*` does as well."""

WIDENING = ("AWS::IAM::", "AWS::RolesAnywhere::", "AWS::SSO::", "AWS::RAM::", "AWS::Lambda::Url")


@dataclass(frozen=True)
class Stack:
    """A stack as the world describes it. `described` is empty when nobody knows it;
    `resources` is None when they could not be listed; `template` None when not read."""

    name: str
    missing: bool
    described: Data
    resources: tuple[Data, ...] | None
    template: Data | None
    body: object = None

    @property
    def parameters(self) -> dict[str, str]:
        """The values the stack runs with; a secret one (NoEcho) is `****`."""
        given = c.entries(self.described.get("Parameters"))
        return {c.text(p.get("ParameterKey")): c.text(p.get("ParameterValue")) for p in given}


def stack_name(given: str) -> str:
    """The name in a StackName that may be a stack id (an ARN)."""
    return given.split("/")[1] if given.startswith("arn:") and "/" in given else given


def describe(case: Case, given: str) -> tuple[Data, bool]:
    """(description, whether it is certain that there is no such stack).

    CloudFormation has no code of its own for a missing stack: it says `ValidationError`.
    """
    answer = case.ask("cloudformation:DescribeStacks", StackName=given)
    found = c.entries(answer.value.get("Stacks")) if answer.ok else ()
    return (found[0] if found else {}), answer.error == "ValidationError"


def template_of(case: Case, given: str) -> tuple[Data | None, object]:
    """(the template as data, its body as it was given)."""
    answer = case.ask("cloudformation:GetTemplate", StackName=given, TemplateStage="Original")
    body = answer.value.get("TemplateBody") if answer.ok else None
    return read_template(body), body


def read_stack(case: Case, given: str) -> Stack:
    """Everything about a stack: description, resources, template."""
    described, missing = describe(case, given)
    listed = case.ask("cloudformation:ListStackResources", StackName=given, paginate=True)
    known = listed.ok and not listed.truncated
    found = c.entries(listed.value.get("StackResourceSummaries")) if known else None
    template, body = template_of(case, given)
    return Stack(stack_name(given), missing, described, found, template, body)


def stack_resource(case: Case, given: str, described: Data) -> Resource:
    """The stack itself: an environment's container, by the name it has, not the one given."""
    name = c.text(described.get("StackName")) or stack_name(given)
    uid = c.text(described.get("StackId")) or (
        given if given.startswith("arn:") else case.arn("cloudformation", f"stack/{name}")
    )
    tags = c.tags(described.get("Tags"))
    return case.resource(uid, "cloudformation:stack", Kind.CONTAINER, name=name, tags=tags)


def facts_of(type_: str) -> Data:
    """The row of a CloudFormation resource type; empty when nobody wrote one."""
    return c.mapping(table("types").get(type_))


def member(case: Case, stack: Resource, type_: str, physical: str) -> Resource:
    """One resource of a stack. It is in the stack's environment, unless its own name says
    production."""
    row = facts_of(type_)
    if not row:
        uid = physical if physical.startswith("arn:") else f"{stack.uid}/{type_}/{physical}"
        return Resource(uid, type_, stack.environment, Kind.OTHER)
    name = queue_name(physical)[1] if row["type"] == "sqs:queue" else physical
    name = name.rpartition(":")[2] if name.startswith("arn:") else name
    service = c.text(row["service"])
    made = arn(service, case.action.scope, c.text(row["arn"]).replace("{id}", name))
    uid = physical if physical.startswith("arn:") else made
    own = case.resource(uid, c.text(row["type"]), Kind(c.text(row["kind"])), name=name)
    strict = PRODUCTION if PRODUCTION in (own.environment, stack.environment) else None
    return replace(own, environment=strict or stack.environment)


def bounds_of(case: Case, type_: str, physical: str) -> tuple[Bound, ...]:
    """How much a resource holds, where that can be counted."""
    match type_:
        case "AWS::DynamoDB::Table":
            return dynamodb.content(case, physical)[0]
        case "AWS::S3::Bucket":
            return count_objects(case, physical)
        case "AWS::SQS::Queue":
            return (count_messages(case, physical),)
        case "AWS::RDS::DBInstance" | "AWS::RDS::DBCluster":
            return (Bound(1, "databases"),)
    return ()


def count_objects(case: Case, bucket: str) -> tuple[Bound, ...]:
    """Objects and bytes of a bucket; unknown above a bound."""
    answer = case.ask("s3:ListObjectsV2", Bucket=bucket, paginate=True, most=OBJECTS_MOST)
    if not answer.ok or answer.truncated:
        return (Bound(None, "objects"),)
    found = c.entries(answer.value.get("Contents"))
    size = sum(c.number(o.get("Size")) or 0 for o in found)
    return (Bound(len(found), "objects"), Bound(size, "bytes"))


def count_messages(case: Case, url: str) -> Bound:
    """Messages in a queue, as AWS approximates them: visible, in flight and delayed."""
    answer = case.ask("sqs:GetQueueAttributes", QueueUrl=url, AttributeNames=("All",))
    if not answer.ok:
        return Bound(None, "messages")
    attributes = c.mapping(answer.value.get("Attributes"))
    names = ("", "NotVisible", "Delayed")
    counts = [c.number(attributes.get(f"ApproximateNumberOfMessages{n}")) for n in names]
    known = [n for n in counts if n is not None]
    return Bound(sum(known) if known else None, "messages")


def deleted(case: Case, stack: Resource, type_: str, physical: str, policy: str = "") -> Effect:
    """A resource that goes with its stack, or is kept by its DeletionPolicy."""
    resource = member(case, stack, type_, physical)
    bounds = bounds_of(case, type_, physical)
    row = facts_of(type_)
    if policy.startswith("Retain"):
        importable = bool(row.get("identifier"))
        known = Reversibility.BOUNDED if importable else Reversibility.DEGRADED
        residue = "" if importable else "it has to be imported by hand"
        why = "kept by its DeletionPolicy: it outlives the stack"
        return Effect(Verb.UPDATE, resource, bounds, known, residue, why)
    residue = c.text(row.get("residue")) or ("" if row else "what this type holds is not known")
    if policy == "Snapshot":
        known = Reversibility.DEGRADED
        return Effect(Verb.DELETE, resource, bounds, known, residue, "snapshot kept, then deleted")
    known = Reversibility(c.text(row.get("deleted", "none")))
    if type_ == "AWS::SQS::Queue" and any(b.most != 0 for b in bounds):
        known = Reversibility.NONE
    return Effect(Verb.DELETE, resource, bounds, known, residue, "deleted with its stack")


def added(case: Case, stack: Resource, type_: str, logical: str) -> Effect:
    """A resource a template adds; an identity widens, code that runs is executed."""
    row = facts_of(type_)
    kind = Kind(c.text(row.get("kind", "other")))
    type_name = c.text(row.get("type")) or type_
    resource = Resource(f"{stack.uid}/{logical}", type_name, stack.environment, kind)
    verb, known, why = Verb.CREATE, Reversibility.BOUNDED, "added by the template"
    if type_.startswith(WIDENING) or type_.endswith("Policy") or kind is Kind.ACCESS:
        verb = Verb.PERMIT
    if runs(type_):
        verb, known, why = Verb.EXECUTE, Reversibility.NONE, "runs what its properties say"
    if type_ == NESTED:
        verb, known, why = (
            Verb.UNKNOWN,
            Reversibility.NONE,
            "what a nested stack holds is not known",
        )
    return Effect(verb, resource, (), known, "", why)


def runs(type_: str) -> bool:
    """Whether having a resource of this type runs code or calls of somebody's choosing."""
    return type_ in RUNNING or type_.startswith("Custom::")


GRAVE = (
    ("deletes", Verb.DELETE, Reversibility.NONE),
    ("disarms", Verb.DISARM, Reversibility.NONE),
    ("executes", Verb.EXECUTE, Reversibility.NONE),
    ("permits", Verb.PERMIT, Reversibility.BOUNDED),
)
"""Members of a type's row: properties that do more than change a setting."""


def changed(
    case: Case, stack: Resource, type_: str, physical: str, names: Iterable[str], why: str
) -> tuple[Effect, ...]:
    """A resource that stays and gets other properties (`names`, where they are known).

    Of a type nobody wrote a row for, nobody knows what its properties do; what runs code
    runs it again; what a nested stack does within is not shown to whoever asks for it.
    """
    resource = member(case, stack, type_, physical)
    row = facts_of(type_)
    if type_ == NESTED:
        why = "what changes within the nested stack is not known"
        return (Effect(Verb.UNKNOWN, resource, because=why),)
    found = [
        Effect(verb, resource, bounds_of(case, type_, physical), known, "", f"changes {name}")
        for given, verb, known in GRAVE
        for name in c.texts(row.get(given))
        if name in set(names)
    ]
    if found:
        return tuple(found)
    if runs(type_):
        return (Effect(Verb.EXECUTE, resource, because=why),)
    verb = Verb.PERMIT if resource.kind is Kind.ACCESS else Verb.UPDATE
    known = Reversibility.BOUNDED if row else Reversibility.NONE
    return (Effect(verb, resource, (), known, "", why),)


def retained(stack: Stack) -> Mapping[str, str]:
    """The DeletionPolicy every stateful resource of the template would be given.

    A type nobody wrote a row for is kept too: what it holds is not known.
    """
    found = {}
    resources = c.mapping((stack.template or {}).get("Resources"))
    for logical, resource in resources.items():
        type_ = c.text(c.mapping(resource).get("Type"))
        row = facts_of(type_)
        keep = c.text(row.get("keep")) if row else "Retain"
        if type_.startswith("Custom::") or type_ == "AWS::CloudFormation::CustomResource":
            keep = ""
        if keep:
            found[logical] = keep
    return found

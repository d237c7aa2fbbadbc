"""SQS: a queue's settings come back, its messages do not. Pure.

Source: Amazon SQS API Reference (SetQueueAttributes, DeleteQueue, PurgeQueue).
"""

from __future__ import annotations

from collections.abc import Mapping

from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Verb
from signoff.model.values import Data
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.arns import arn, queue_name
from signoff.surfaces.aws.case import Case, Reading, Undoing, effect
from signoff.surfaces.base import Restoration

SETTABLE = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)
FIXED = frozenset({"FifoQueue"})
DEFAULTS = {"Policy": "", "RedrivePolicy": "", "RedriveAllowPolicy": ""}


def queue(case: Case) -> Resource:
    """The queue of a QueueUrl (or QueueName) in its environment."""
    url = case.text("QueueUrl") or case.text("QueueName")
    account, name = queue_name(url)
    scope = {**case.action.scope, **({"account": account} if account else {})}
    uid = arn("sqs", scope, name)
    tags: Mapping[str, str] = {}
    if case.text("QueueUrl"):
        answer = case.ask("sqs:ListQueueTags", QueueUrl=url)
        tags = c.tags(answer.value.get("Tags")) if answer.ok else {}
    return case.resource(uid, "sqs:queue", Kind.DATA, name=name, tags=tags)


def attributes(case: Case, url: str = "") -> tuple[Data, bool]:
    """(attributes, whether the queue certainly does not exist)."""
    answer = case.ask(
        "sqs:GetQueueAttributes",
        QueueUrl=url or case.text("QueueUrl"),
        AttributeNames=("All",),
    )
    found = c.mapping(answer.value.get("Attributes")) if answer.ok else {}
    return found, c.absent(answer)


def messages(case: Case) -> Bound:
    """Messages in the queue as AWS approximates them: visible, in flight and delayed."""
    found, _ = attributes(case)
    names = ("", "NotVisible", "Delayed")
    counts = [c.number(found.get(f"ApproximateNumberOfMessages{n}")) for n in names]
    known = [n for n in counts if n is not None]
    return Bound(sum(known) if known else None, "messages")


def set_attributes(case: Case) -> Reading:
    """Settings; a policy is `permit`, a shorter retention deletes old messages."""
    here = queue(case)
    given = c.mapping(case.get("Attributes"))
    found: list[Effect] = []
    now, _ = attributes(case)
    if "Policy" in given:
        why = "says who may use the queue"
        residue = "what was sent and read meanwhile"
        known = Reversibility.BOUNDED
        access = Resource(here.uid, "sqs:queue-policy", here.environment, Kind.ACCESS)
        found.append(effect(Verb.PERMIT, access, known, residue=residue, because=why))
    keeps = c.number(given.get("MessageRetentionPeriod"))
    before = c.number(now.get("MessageRetentionPeriod"))
    if keeps is not None and (before is None or keeps < before):
        why = "messages older than the new retention are deleted"
        residue = "those messages"
        known = Reversibility.NONE
        found.append(effect(Verb.DELETE, here, known, messages(case), residue=residue, because=why))
    if set(given) - {"Policy"} or not found:
        why = "changes settings of the queue"
        found.append(effect(Verb.UPDATE, here, Reversibility.BOUNDED, because=why))
    return Reading(tuple(found))


def capture_attributes(case: Case) -> None:
    """The settings as they are."""
    attributes(case)


def restore_attributes(undoing: Undoing) -> Restoration:
    """The settings the request named, as they were."""
    case = undoing.case()
    old, _ = attributes(case)
    if not old:
        return Restoration((), ("the settings of the queue were not captured",))
    back = {}
    for name in c.mapping(case.get("Attributes")):
        if name in old or name in DEFAULTS:
            back[name] = old.get(name, DEFAULTS.get(name))
    url = case.text("QueueUrl")
    return Restoration((case.step("sqs:SetQueueAttributes", QueueUrl=url, Attributes=back),))


def delete_queue(case: Case) -> Reading:
    """The queue and every message in it; only its settings come back."""
    here = queue(case)
    held = messages(case)
    known = Reversibility.DEGRADED if held.most == 0 else Reversibility.NONE
    residue = "the messages in the queue"
    why = "deletes the queue and its messages"
    return c.single(effect(Verb.DELETE, here, known, held, residue=residue, because=why))


def capture_queue(case: Case) -> None:
    """Settings and tags."""
    attributes(case)
    case.ask("sqs:ListQueueTags", QueueUrl=case.text("QueueUrl"))


def restore_queue(undoing: Undoing) -> Restoration:
    """A queue of the same name and settings; AWS wants 60 seconds between the two."""
    case = undoing.case()
    old, _ = attributes(case)
    if not old:
        return Restoration((), ("the settings of the queue were not captured",))
    url = case.text("QueueUrl")
    tags = case.ask("sqs:ListQueueTags", QueueUrl=url)
    given: dict[str, object] = {
        "QueueName": queue_name(url)[1],
        "Attributes": {n: old[n] for n in SETTABLE if n in old},
    }
    if tags.ok and tags.value.get("Tags"):
        given["tags"] = tags.value["Tags"]
    return Restoration((case.step("sqs:CreateQueue", given),), ("the messages in the queue",))


def purge(case: Case) -> Reading:
    """Every message, for good."""
    why = "deletes every message"
    here = queue(case)
    known = Reversibility.NONE
    residue = "the messages in the queue"
    return c.single(effect(Verb.DELETE, here, known, messages(case), residue=residue, because=why))


def create_queue(case: Case) -> Reading:
    """A new queue; an equal one may be there already."""
    here = queue(case)
    case.ask("sqs:GetQueueUrl", QueueName=case.text("QueueName"))
    known = Reversibility.BOUNDED
    found = [effect(Verb.CREATE, here, known, because="a queue of this name")]
    if "Policy" in c.mapping(case.get("Attributes")):
        access = Resource(here.uid, "sqs:queue-policy", here.environment, Kind.ACCESS)
        found.append(effect(Verb.PERMIT, access, known, because="says who may use the queue"))
    return Reading(tuple(found))


def capture_created(case: Case) -> None:
    """Whether a queue of this name is there, and what is in it."""
    answer = case.ask("sqs:GetQueueUrl", QueueName=case.text("QueueName"))
    if answer.ok:
        attributes(case, c.text(answer.value.get("QueueUrl")))


def restore_created(undoing: Undoing) -> Restoration:
    """Delete the queue that was made, unless it was there before."""
    case = undoing.case()
    name = case.text("QueueName")
    if not c.absent(case.ask("sqs:GetQueueUrl", QueueName=name)):
        return Restoration((), (f"`{name}` was there before",))
    url = c.text(undoing.now("sqs:GetQueueUrl", QueueName=name).value.get("QueueUrl"))
    url = url or c.text(undoing.captured.response.get("QueueUrl"))
    if not url:
        return Restoration(())
    return Restoration((case.step("sqs:DeleteQueue", QueueUrl=url),), ("messages sent to it",))


def consume(case: Case) -> Reading:
    """Receiving hides messages for a while; they come back by themselves."""
    why = "hides the messages until their visibility timeout, and counts the receipt"
    return c.single(effect(Verb.UPDATE, queue(case), Reversibility.BOUNDED, because=why))


OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    "sqs:SetQueueAttributes": (set_attributes, capture_attributes, restore_attributes),
    "sqs:DeleteQueue": (delete_queue, capture_queue, restore_queue),
    "sqs:PurgeQueue": (purge, c.capture_nothing, c.nothing_to_restore),
    "sqs:CreateQueue": (create_queue, capture_created, restore_created),
    "sqs:ReceiveMessage": (consume, c.capture_nothing, c.nothing_to_restore),
    "sqs:ChangeMessageVisibility": (consume, c.capture_nothing, c.nothing_to_restore),
}
"""How each operation is read, captured and restored."""

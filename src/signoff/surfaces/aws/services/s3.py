"""S3: objects exactly, in buckets that keep versions and in those that do not. Pure.

Where versions are kept nothing is ever deleted to take something back: an older version
is copied on top, or a delete marker taken away. Where they are not, the content itself is
captured, if it is small enough.
Source: Amazon S3 API Reference; "Conditional writes"; "Working with delete markers".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from signoff.model.action import Answer
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Step, Verb
from signoff.model.values import Data
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.case import Case, Reading, Undoing, effect
from signoff.surfaces.aws.services.stacks import count_objects
from signoff.surfaces.base import PRODUCTION, Restoration

ACCESS_POINTS = ("-s3alias", "--ol-s3", ".mrap")
"""How the names end under which an access point is used like a bucket."""

COPY_MOST = 5 << 30
"""Bytes one CopyObject can copy."""

KEYS_MOST = 200
"""Keys of one DeleteObjects that are looked at one by one where versions are not kept."""

KEPT_MEMBERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
    "StorageClass",
    "WebsiteRedirectLocation",
    "ServerSideEncryption",
    "SSEKMSKeyId",
    "BucketKeyEnabled",
)
PRIVATE_ACLS = frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"})
UNVERSIONED_RESIDUE = "dates, and grants on the object itself"


@dataclass(frozen=True)
class Object:
    """One object a request touches; `version` when it names one."""

    bucket: str
    key: str
    version: str = ""


@dataclass(frozen=True)
class Versions:
    """Whether the bucket keeps versions (None: nobody knows), and under a second factor."""

    kept: bool | None
    guarded: bool = False


def versions(case: Case, bucket: str) -> Versions:
    """The versioning of a bucket. Suspended versioning overwrites, so it keeps nothing."""
    answer = case.ask("s3:GetBucketVersioning", Bucket=bucket)
    if not answer.ok:
        return Versions(None)
    kept = answer.value.get("Status") == "Enabled"
    return Versions(kept, answer.value.get("MFADelete") == "Enabled")


def bucket_resource(case: Case, bucket: str, type_: str = "s3:bucket") -> Resource:
    """A bucket in its environment (its tags are asked for)."""
    answer = case.ask("s3:GetBucketTagging", Bucket=bucket)
    tags = c.tags(answer.value.get("TagSet")) if answer.ok else {}
    uid = case.arn("s3", bucket)
    found = case.resource(uid, type_, Kind.DATA, name=bucket, tags=tags)
    if bucket.startswith("arn:") or bucket.endswith(ACCESS_POINTS):
        # An access point is named by whoever made it; which bucket it leads to is not known.
        return replace(found, environment=case.places.override or PRODUCTION)
    return found


def object_resource(case: Case, one: Object) -> Resource:
    """An object; a named version of it is recovery material."""
    bucket = bucket_resource(case, one.bucket)
    uid = f"{bucket.uid}/{one.key}"
    if one.version:
        uid = f"{uid}?versionId={one.version}"
        return Resource(uid, "s3:version", bucket.environment, Kind.RECOVERY)
    return Resource(uid, "s3:object", bucket.environment, Kind.DATA)


def head(case: Case, one: Object) -> Answer:
    """What is there under the key now."""
    return case.ask("s3:HeadObject", Bucket=one.bucket, Key=one.key)


def _size(answer: Answer) -> int | None:
    return c.number(answer.value.get("ContentLength")) if answer.ok else None


def _bounds(size: int | None) -> tuple[Bound, ...]:
    return (Bound(1, "objects"), *(() if size is None else (Bound(size, "bytes"),)))


# --- writing ---------------------------------------------------------------------------------


def write(case: Case) -> Reading:
    """PutObject, CopyObject or the end of a multipart upload: a new object, or over one."""
    one = Object(case.text("Bucket"), case.text("Key"))
    resource = object_resource(case, one)
    return Reading((_written(case, one, resource), *_opened(case, resource)))


def _opened(case: Case, resource: Resource) -> tuple[Effect, ...]:
    granting = [m for m in case.action.parameters if m.startswith("Grant")]
    if not granting and case.text("ACL") in ("", *PRIVATE_ACLS):
        return ()
    why = "opens the object to others"
    residue = "what was read meanwhile"
    known = Reversibility.BOUNDED
    return (effect(Verb.PERMIT, resource, known, residue=residue, because=why),)


def _written(case: Case, one: Object, resource: Resource) -> Effect:
    kept = versions(case, one.bucket).kept
    there = head(case, one)
    if c.absent(there):
        known = Reversibility.NONE if kept is None else Reversibility.EXACT
        return effect(Verb.CREATE, resource, known, *_bounds(0), because="no such object yet")
    size = _size(there)
    if size is None:
        why = "whether the object exists is not known"
        return effect(Verb.UPDATE, resource, Reversibility.NONE, Bound(1, "objects"), because=why)
    because = "the object exists"
    if kept and size <= COPY_MOST:
        known, residue = Reversibility.EXACT, ""
    elif kept is False and size <= c.OBJECT_BYTES_MOST:
        known, residue = Reversibility.BOUNDED, UNVERSIONED_RESIDUE
    else:
        known, residue = Reversibility.NONE, "the content: too large to be copied, or not known"
    return effect(Verb.UPDATE, resource, known, *_bounds(size), residue=residue, because=because)


def capture_write(case: Case) -> None:
    """What was under the key: its description, and its content where no version is kept."""
    one = Object(case.text("Bucket"), case.text("Key"))
    _capture(case, one)


def _capture(case: Case, one: Object) -> None:
    kept = versions(case, one.bucket).kept
    there = head(case, one)
    case.ask("s3:GetObjectTagging", Bucket=one.bucket, Key=one.key)
    size = _size(there)
    if not kept and size is not None and size <= c.OBJECT_BYTES_MOST:
        _content(case, one)


def _content(case: Case, one: Object) -> Answer:
    return case.ask("s3:GetObject", Bucket=one.bucket, Key=one.key)


def restore_write(undoing: Undoing) -> Restoration:
    """The object as it was, fenced by the ETag of what is there now."""
    case = undoing.case()
    one = Object(case.text("Bucket"), case.text("Key"))
    now = head(Case(undoing.action, undoing.captured.now or undoing.captured.after), one)
    return _back(case, one, now)


def _back(case: Case, one: Object, now: Answer) -> Restoration:
    before = head(case, one)
    where = {"Bucket": one.bucket, "Key": one.key}
    tag = c.text(now.value.get("ETag"))
    if c.absent(before):
        if c.absent(now):
            return Restoration(())
        fence = {"IfMatch": tag} if tag else {}
        return Restoration((case.step("s3:DeleteObject", {**where, **fence}),))
    version = c.text(before.value.get("VersionId"))
    fence = {"IfNoneMatch": "*"} if c.absent(now) else {"IfMatch": tag} if tag else {}
    if versions(case, one.bucket).kept and version:
        source = f"{quote(f'{one.bucket}/{one.key}')}?versionId={version}"
        step = case.step("s3:CopyObject", {**where, **fence}, CopySource=source)
        return Restoration((step,))
    return _content_back(case, one, {**where, **fence})


def _content_back(case: Case, one: Object, where: dict[str, str]) -> Restoration:
    content = _content(case, one)
    body = content.value.get("Body")
    if not content.ok or not isinstance(body, bytes):
        return Restoration((), (f"the content of `{one.key}` was not captured",))
    kept = {m: content.value[m] for m in KEPT_MEMBERS if content.value.get(m) is not None}
    tagging = case.ask("s3:GetObjectTagging", Bucket=one.bucket, Key=one.key)
    tags = c.tags(tagging.value.get("TagSet")) if tagging.ok else {}
    if tags:
        kept["Tagging"] = urlencode(tags)
    step = case.step("s3:PutObject", {**where, **kept}, Body=body)
    return Restoration((step,), (UNVERSIONED_RESIDUE,))


def part(case: Case) -> Reading:
    """The start or a part of a multipart upload: nobody sees it until it is completed.

    The start says who may read the object then; its completion does not say it again.
    """
    one = Object(case.text("Bucket"), case.text("Key"))
    bucket = bucket_resource(case, one.bucket)
    uid = f"{bucket.uid}/{one.key}?upload"
    upload = Resource(uid, "s3:upload", bucket.environment, Kind.OTHER)
    why = "seen by nobody until the upload is completed"
    residue = "the parts until the upload is aborted"
    begun = effect(Verb.CREATE, upload, Reversibility.BOUNDED, residue=residue, because=why)
    return Reading((begun, *_opened(case, object_resource(case, one))))


def capture_upload(case: Case) -> None:
    """Which uploads to this key there are: after this one is completed, the same again."""
    case.ask(
        "s3:ListMultipartUploads",
        paginate=True,
        Bucket=case.text("Bucket"),
        Prefix=case.text("Key"),
    )


def capture_part(case: Case) -> None:
    """What is under the key: a part alone changes nothing of it."""
    head(case, Object(case.text("Bucket"), case.text("Key")))


def restore_upload(undoing: Undoing) -> Restoration:
    """Abort the upload that was begun."""
    case = undoing.case()
    upload = c.text(undoing.captured.response.get("UploadId"))
    if not upload:
        return Restoration(())
    given = {"Bucket": case.text("Bucket"), "Key": case.text("Key"), "UploadId": upload}
    return Restoration((case.step("s3:AbortMultipartUpload", given),))


# --- deleting --------------------------------------------------------------------------------


def deleted_objects(case: Case) -> tuple[Object, ...]:
    """Every object the request deletes."""
    if case.operation == "DeleteObject":
        return (Object(case.text("Bucket"), case.text("Key"), case.text("VersionId")),)
    listed = c.entries(c.mapping(case.get("Delete")).get("Objects"))
    bucket = case.text("Bucket")
    return tuple(Object(bucket, c.text(o.get("Key")), c.text(o.get("VersionId"))) for o in listed)


def delete(case: Case) -> Reading:
    """Objects: hidden by a marker where versions are kept, gone where they are not."""
    listed = deleted_objects(case)
    if not listed:
        bucket = bucket_resource(case, case.text("Bucket"))
        why = "no object is named"
        return Reading((effect(Verb.UNKNOWN, bucket, because=why),), (why,))
    looked = len(listed) <= KEYS_MOST
    return Reading(tuple(_deleted(case, one, looked) for one in listed))


def _deleted(case: Case, one: Object, looked: bool) -> Effect:
    resource = object_resource(case, one)
    if one.version:
        return _version_deleted(case, one, resource)
    keeps = versions(case, one.bucket)
    if keeps.kept:
        known = Reversibility.DEGRADED if keeps.guarded else Reversibility.EXACT
        residue = "taking the marker away needs a second factor" if keeps.guarded else ""
        why = "hidden by a delete marker; its versions stay"
        bound = Bound(1, "objects")
        return effect(Verb.DELETE, resource, known, bound, residue=residue, because=why)
    there = head(case, one) if looked else c.NOT_ASKED
    if keeps.kept is False and c.absent(there):
        why = "there is no such object"
        return effect(Verb.DELETE, resource, Reversibility.BOUNDED, *_bounds(0), because=why)
    size = _size(there)
    fits = keeps.kept is False and size is not None and size <= c.OBJECT_BYTES_MOST
    known = Reversibility.BOUNDED if fits else Reversibility.NONE
    residue = UNVERSIONED_RESIDUE if fits else "the object"
    why = "the bucket keeps no versions"
    return effect(Verb.DELETE, resource, known, *_bounds(size), residue=residue, because=why)


def _version_deleted(case: Case, one: Object, resource: Resource) -> Effect:
    for marker in _listed(case, one, "DeleteMarkers"):
        if marker.get("VersionId") == one.version:
            shown = Resource(resource.uid, "s3:object", resource.environment, Kind.DATA)
            why = "takes a delete marker away: the object is there again"
            return effect(Verb.UPDATE, shown, Reversibility.EXACT, because=why)
    why = "deletes one version for good"
    bound = Bound(1, "versions")
    return effect(Verb.DELETE, resource, Reversibility.NONE, bound, residue="it", because=why)


def _listed(case: Case, one: Object, kind: str) -> Iterator[Data]:
    """The versions (or delete markers) of exactly one key."""
    answer = case.ask(
        "s3:ListObjectVersions", Bucket=one.bucket, Prefix=one.key, paginate=True, most=1_000
    )
    for entry in c.entries(answer.value.get(kind)) if answer.ok else ():
        if entry.get("Key") == one.key:
            yield entry


def capture_delete(case: Case) -> None:
    """The versions of each key, or its content where none is kept."""
    listed = deleted_objects(case)
    for one in listed:
        if one.version or versions(case, one.bucket).kept:
            tuple(_listed(case, one, "Versions"))
        elif len(listed) <= KEYS_MOST:
            _capture(case, one)


def restore_delete(undoing: Undoing) -> Restoration:
    """Take the markers away that were put since; put back what was not kept."""
    case = undoing.case()
    now = Case(undoing.action, undoing.captured.now or undoing.captured.after)
    steps: list[Step] = []
    residue: list[str] = []
    for one in dict.fromkeys(deleted_objects(case)):
        if one.version:
            back = _version_back(case, one)
        elif versions(case, one.bucket).kept:
            back = _unmarked(case, now, one)
        else:
            back = _back(case, one, head(now, one))
        steps += back.steps
        residue += back.residue
    return Restoration(tuple(steps), tuple(dict.fromkeys(residue)))


def _unmarked(case: Case, now: Case, one: Object) -> Restoration:
    before = {m.get("VersionId") for m in _listed(case, one, "DeleteMarkers")}
    return Restoration(
        tuple(
            case.step("s3:DeleteObject", Bucket=one.bucket, Key=one.key, VersionId=m["VersionId"])
            for m in _listed(now, one, "DeleteMarkers")
            if m.get("VersionId") not in before
        )
    )


def _version_back(case: Case, one: Object) -> Restoration:
    """A marker that was taken away is put again; a version that is gone stays gone."""
    if any(m.get("VersionId") == one.version for m in _listed(case, one, "DeleteMarkers")):
        return Restoration((case.step("s3:DeleteObject", Bucket=one.bucket, Key=one.key),))
    return Restoration((), (f"version `{one.version}` of `{one.key}`",))


# --- buckets ---------------------------------------------------------------------------------


def delete_bucket(case: Case) -> Reading:
    """A bucket: S3 deletes only an empty one; the name can be taken by a stranger."""
    bucket = bucket_resource(case, case.text("Bucket"))
    residue = "its settings, and the name if someone takes it meanwhile"
    return c.single(
        effect(
            Verb.DELETE,
            bucket,
            Reversibility.DEGRADED
            if versions(case, case.text("Bucket")).kept is not None
            else Reversibility.NONE,
            *count_objects(case, case.text("Bucket")),
            residue=residue,
            because="S3 deletes a bucket only when it is empty",
        )
    )


def capture_bucket(case: Case) -> None:
    """Where the bucket is, its tags and its versioning."""
    bucket = case.text("Bucket")
    case.ask("s3:GetBucketLocation", Bucket=bucket)
    case.ask("s3:GetBucketTagging", Bucket=bucket)
    case.ask("s3:GetBucketVersioning", Bucket=bucket)


def restore_bucket(undoing: Undoing) -> Restoration:
    """A bucket of the same name, place, versioning and tags."""
    case = undoing.case()
    bucket = case.text("Bucket")
    place = case.ask("s3:GetBucketLocation", Bucket=bucket)
    if not place.ok:
        return Restoration((), (f"`{bucket}` was not captured",))
    region = c.text(place.value.get("LocationConstraint"))
    given = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region else {}
    steps = [case.step("s3:CreateBucket", given, Bucket=bucket)]
    if versions(case, bucket).kept:
        steps.append(_versioning_step(case, bucket, "Enabled"))
    tags = case.ask("s3:GetBucketTagging", Bucket=bucket)
    if tags.ok:
        tagging = {"TagSet": tags.value.get("TagSet")}
        steps.append(case.step("s3:PutBucketTagging", Bucket=bucket, Tagging=tagging))
    return Restoration(tuple(steps), ("settings other than versioning and tags",))


def create_bucket(case: Case) -> Reading:
    """A new bucket."""
    bucket = case.text("Bucket")
    case.ask("s3:GetBucketVersioning", Bucket=bucket)
    resource = case.resource(case.arn("s3", bucket), "s3:bucket", Kind.DATA, name=bucket)
    why = "a bucket of this name is new"
    return c.single(effect(Verb.CREATE, resource, Reversibility.BOUNDED, because=why))


def capture_created(case: Case) -> None:
    """Whether the bucket is there, and whether anything lies in it."""
    bucket = case.text("Bucket")
    case.ask("s3:GetBucketVersioning", Bucket=bucket)
    case.ask("s3:ListObjectsV2", Bucket=bucket, MaxKeys=1)


def restore_created(undoing: Undoing) -> Restoration:
    """Delete the bucket that was made, unless it was there before."""
    case = undoing.case()
    bucket = case.text("Bucket")
    if not c.absent(case.ask("s3:GetBucketVersioning", Bucket=bucket)):
        return Restoration((), (f"`{bucket}` was there before",))
    return Restoration((case.step("s3:DeleteBucket", Bucket=bucket),))


def versioning(case: Case) -> Reading:
    """Suspending it means the next write or delete is final: that is `disarm`."""
    bucket = case.text("Bucket")
    resource = bucket_resource(case, bucket)
    uid = f"{resource.uid}?versioning"
    setting = Resource(uid, "s3:versioning", resource.environment, Kind.RECOVERY)
    versions(case, bucket)
    status = c.mapping(case.get("VersioningConfiguration")).get("Status")
    if status == "Enabled":
        why = "keeps versions from now on"
        return c.single(effect(Verb.UPDATE, setting, Reversibility.BOUNDED, because=why))
    why = "no versions are kept from now on"
    residue = "what is overwritten meanwhile"
    known = Reversibility.BOUNDED
    return c.single(effect(Verb.DISARM, setting, known, residue=residue, because=why))


def capture_versioning(case: Case) -> None:
    """The versioning as it is."""
    versions(case, case.text("Bucket"))


def restore_versioning(undoing: Undoing) -> Restoration:
    """Versioning as it was; what never had any can only be suspended."""
    case = undoing.case()
    bucket = case.text("Bucket")
    kept = versions(case, bucket).kept
    if kept is None:
        return Restoration((), (f"the versioning of `{bucket}` was not captured",))
    never = ("versioning stays suspended; it cannot be unset",) if not kept else ()
    step = _versioning_step(case, bucket, "Enabled" if kept else "Suspended")
    return Restoration((step,), never)


def _versioning_step(case: Case, bucket: str, status: str) -> Step:
    setting = {"Status": status}
    return case.step("s3:PutBucketVersioning", Bucket=bucket, VersioningConfiguration=setting)


def lifecycle(case: Case) -> Reading:
    """Rules that expire objects delete them later: that is a delete now."""
    bucket = case.text("Bucket")
    resource = bucket_resource(case, bucket)
    given = c.mapping(case.get("LifecycleConfiguration"))
    changed = effect(
        Verb.UPDATE, resource, Reversibility.BOUNDED, because="changes the lifecycle rules"
    )
    expiring = [r for r in c.entries(given.get("Rules")) if _expires(r)]
    if not expiring:
        return Reading((changed,))
    kept = versions(case, bucket).kept
    final = any("NoncurrentVersionExpiration" in r for r in expiring) or not kept
    known = Reversibility.NONE if final else Reversibility.DEGRADED
    why = "a rule deletes objects from now on, about daily"
    gone = effect(
        Verb.DELETE,
        resource,
        known,
        *count_objects(case, bucket),
        residue="expired objects",
        because=why,
    )
    return Reading((changed, gone))


def _expires(rule: Data) -> bool:
    deletes = ("Expiration", "NoncurrentVersionExpiration")
    return rule.get("Status") != "Disabled" and any(m in rule for m in deletes)


def _lifecycle_rules(case: Case) -> Answer:
    return case.ask("s3:GetBucketLifecycleConfiguration", Bucket=case.text("Bucket"))


def restore_lifecycle(undoing: Undoing) -> Restoration:
    """The rules as they were."""
    case = undoing.case()
    bucket = case.text("Bucket")
    old = _lifecycle_rules(case)
    residue = ("objects that expired meanwhile",)
    if c.absent(old):
        return Restoration((case.step("s3:DeleteBucketLifecycle", Bucket=bucket),), residue)
    if not old.ok:
        return Restoration((), ("the lifecycle rules were not captured",))
    rules = {"Rules": old.value.get("Rules")}
    step = case.step(
        "s3:PutBucketLifecycleConfiguration", Bucket=bucket, LifecycleConfiguration=rules
    )
    return Restoration((step,), residue)


OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    **{
        f"s3:{o}": (write, capture_write, restore_write)
        for o in ("PutObject", "CopyObject", "CompleteMultipartUpload")
    },
    "s3:CreateMultipartUpload": (part, capture_upload, restore_upload),
    "s3:UploadPart": (part, capture_part, c.nothing_to_restore),
    "s3:UploadPartCopy": (part, capture_part, c.nothing_to_restore),
    "s3:DeleteObject": (delete, capture_delete, restore_delete),
    "s3:DeleteObjects": (delete, capture_delete, restore_delete),
    "s3:DeleteBucket": (delete_bucket, capture_bucket, restore_bucket),
    "s3:CreateBucket": (create_bucket, capture_created, restore_created),
    "s3:PutBucketVersioning": (versioning, capture_versioning, restore_versioning),
    "s3:PutBucketLifecycleConfiguration": (lifecycle, _lifecycle_rules, restore_lifecycle),
    "s3:PutBucketLifecycle": (lifecycle, _lifecycle_rules, restore_lifecycle),
    "s3:DeleteBucketLifecycle": (lifecycle, _lifecycle_rules, restore_lifecycle),
}
"""How each operation is read, captured and restored."""

"""RDS: instances and clusters, with the final snapshot that makes a deletion reversible. Pure.

A deletion is never sent as it came: it takes a final snapshot and keeps the automated
backups, whatever the request said.
Source: Amazon RDS API Reference (DeleteDBInstance, ModifyDBInstance, RestoreDB*).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Step, Verb
from signoff.model.values import Data, Value, digest
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.case import Case, Reading, Undoing, effect
from signoff.surfaces.base import Restoration

FINAL_WAYS = frozenset(
    {"AllocatedStorage", "EngineVersion", "MasterUserPassword", "AllowMajorVersionUpgrade"}
)
"""Changes that have no way back: storage never shrinks, versions never go down, and a
password cannot be read."""

SNAPSHOT_RESIDUE = (
    "writes after the final snapshot are none; parameter and option groups that were deleted, "
    "and the time a restore takes (minutes to hours)"
)


@dataclass(frozen=True)
class Form:
    """The words of one kind of database: an instance or a cluster."""

    noun: str
    identifier: str
    type: str
    arn: str
    ready: str

    @property
    def listed(self) -> str:
        """The member a description lists them under."""
        return f"{self.noun}s"


INSTANCE = Form("DBInstance", "DBInstanceIdentifier", "rds:db", "db", c.INSTANCE_AVAILABLE)
CLUSTER = Form("DBCluster", "DBClusterIdentifier", "rds:cluster", "cluster", c.CLUSTER_AVAILABLE)


def form_of(case: Case) -> Form:
    """Whether the request is about an instance or a cluster."""
    return CLUSTER if "Cluster" in case.operation else INSTANCE


def describe(case: Case) -> Data:
    """The description of the database; empty when nobody knows it."""
    form = form_of(case)
    name = case.text(form.identifier)
    answer = case.ask(f"rds:Describe{form.listed}", {form.identifier: name})
    found = c.entries(answer.value.get(form.listed)) if answer.ok else ()
    return found[0] if found else {}


def database(case: Case, described: Data) -> Resource:
    """The database: an environment's container."""
    form = form_of(case)
    name = case.text(form.identifier)
    uid = c.text(described.get(f"{form.noun}Arn")) or case.arn("rds", f"{form.arn}:{name}")
    tags = c.tags(described.get("TagList"))
    return case.resource(uid, form.type, Kind.CONTAINER, name=name, tags=tags)


def snapshot_name(case: Case, described: Data) -> str:
    """The final snapshot's name: another one for each life of the database."""
    form = form_of(case)
    life = described.get("DbiResourceId") or described.get("DbClusterResourceId")
    tail = digest([case.action.digest, life])[:12]
    return f"signoff-final-{case.text(form.identifier)[:200]}-{tail}"


def delete(case: Case) -> Reading:
    """The database, after the final snapshot the rewritten request takes."""
    described = describe(case)
    here = database(case, described)
    safer = "stop it with `aws rds stop-db-instance`, or take a snapshot and keep it running"
    if not described:
        why = "the database is not known"
        return c.single(effect(Verb.DELETE, here, because=why), safer=safer)
    bounds = [Bound(1, "databases")]
    size = c.number(described.get("AllocatedStorage"))
    if size is not None:
        bounds.append(Bound(size, "GiB"))
    replica = bool(described.get("ReadReplicaSourceDBInstanceIdentifier"))
    member = bool(described.get("DBClusterIdentifier")) and form_of(case) is INSTANCE
    if replica or member:
        why = "a replica or member takes no final snapshot"
        return c.single(effect(Verb.DELETE, here, Reversibility.NONE, *bounds, because=why))
    why = "deletes the database, after a final snapshot"
    known = Reversibility.BOUNDED
    gone = effect(Verb.DELETE, here, known, *bounds, residue=SNAPSHOT_RESIDUE, because=why)
    return c.single(gone, safer=safer, plan=(_with_snapshot(case, described),))


def _with_snapshot(case: Case, described: Data) -> Step:
    given: dict[str, Value] = dict(case.action.parameters)
    if given.get("SkipFinalSnapshot") is not False or not given.get("FinalDBSnapshotIdentifier"):
        given["FinalDBSnapshotIdentifier"] = snapshot_name(case, described)
    given["SkipFinalSnapshot"] = False
    given["DeleteAutomatedBackups"] = False
    return Step(replace(case.action, parameters=given))


def capture(case: Case) -> None:
    """The description; its content goes into the final snapshot."""
    describe(case)


def restore_deleted(undoing: Undoing) -> Restoration:
    """The database from its final snapshot, with its settings."""
    case = undoing.case()
    form = form_of(case)
    old = describe(case)
    if not old:
        return Restoration((), ("the database was not captured",))
    name = case.text(form.identifier)
    taken = _with_snapshot(case, old).action.parameters["FinalDBSnapshotIdentifier"]
    groups = [c.text(g.get("VpcSecurityGroupId")) for g in c.entries(old.get("VpcSecurityGroups"))]
    given: dict[str, object] = {form.identifier: name}
    if groups:
        given["VpcSecurityGroupIds"] = groups
    if old.get("TagList"):
        given["Tags"] = old["TagList"]
    if old.get("DeletionProtection") is True:
        given["DeletionProtection"] = True
    subnets = c.mapping(old.get("DBSubnetGroup")).get("DBSubnetGroupName")
    if isinstance(subnets, str):
        given["DBSubnetGroupName"] = subnets
    if form is INSTANCE:
        given["DBSnapshotIdentifier"] = taken
        given.update(_instance_settings(old))
    else:
        given["SnapshotIdentifier"] = taken
        given["Engine"] = old.get("Engine")
        given["EngineVersion"] = old.get("EngineVersion")
    step = f"rds:Restore{form.noun}From{'DB' if form is INSTANCE else ''}Snapshot"
    steps = [case.step(step, {k: v for k, v in given.items() if v is not None}, until=form.ready)]
    days = c.number(old.get("BackupRetentionPeriod"))
    if days:
        steps.append(
            case.step(
                f"rds:Modify{form.noun}",
                {form.identifier: name, "BackupRetentionPeriod": days, "ApplyImmediately": True},
                until=form.ready,
            )
        )
    return Restoration(tuple(steps), (SNAPSHOT_RESIDUE,))


def _instance_settings(old: Data) -> dict[str, object]:
    given: dict[str, object] = {}
    for member in ("DBInstanceClass", "MultiAZ", "PubliclyAccessible", "StorageType", "Engine"):
        given[member] = old.get(member)
    given["Port"] = c.mapping(old.get("Endpoint")).get("Port")
    return given


def modify(case: Case) -> Reading:
    """Settings; protection or backups off is `disarm`, some changes have no way back."""
    described = describe(case)
    here = database(case, described)
    given = case.action.parameters
    found: list[Effect] = []
    if given.get("DeletionProtection") is False:
        why = "turns deletion protection off"
        found.append(effect(Verb.DISARM, here, Reversibility.BOUNDED, because=why))
    found.extend(_backups_lost(here, described, c.number(given.get("BackupRetentionPeriod"))))
    if given.get("PubliclyAccessible") is True:
        why = "opens the database to the internet"
        found.append(effect(Verb.PERMIT, here, Reversibility.BOUNDED, because=why))
    final = sorted(FINAL_WAYS & set(given))
    rest = set(given) - {form_of(case).identifier, "ApplyImmediately", "DeletionProtection"}
    if final:
        why = f"{', '.join(final)} cannot be taken back"
        found.append(effect(Verb.UPDATE, here, residue=why, because=why))
    elif rest or not found:
        known = Reversibility.BOUNDED if described and _known(case, described) else None
        why = "changes settings of the database"
        found.append(effect(Verb.UPDATE, here, known or Reversibility.NONE, because=why))
    return Reading(tuple(found))


def _backups_lost(here: Resource, described: Data, days: int | None) -> tuple[Effect, ...]:
    """Automated backups that are older than the new retention are deleted, at 0 all of them."""
    before = c.number(described.get("BackupRetentionPeriod"))
    if days is None or (days > 0 and before is not None and days >= before):
        return ()
    uid = f"{here.uid}/automated-backups"
    points = Resource(uid, "rds:auto-backup", here.environment, Kind.RECOVERY)
    why = "deletes every automated backup and stops making them"
    if days:
        why = f"deletes the automated backups older than {days} days"
    return (effect(Verb.DISARM, points, residue="the automated backups", because=why),)


def _known(case: Case, described: Data) -> bool:
    """Whether every setting the request changes can be read back from the description."""
    ignored = {form_of(case).identifier, "ApplyImmediately"}
    return all(_was(described, m) is not None for m in case.action.parameters if m not in ignored)


def _was(described: Data, member: str) -> Value:
    match member:
        case "VpcSecurityGroupIds":
            groups = c.entries(described.get("VpcSecurityGroups"))
            return tuple(c.text(g.get("VpcSecurityGroupId")) for g in groups) or None
        case "DBPortNumber":
            return c.mapping(described.get("Endpoint")).get("Port")
        case "DBParameterGroupName":
            groups = c.entries(described.get("DBParameterGroups"))
            return groups[0].get("DBParameterGroupName") if groups else None
        case "NewDBInstanceIdentifier" | "NewDBClusterIdentifier":
            return None
    return described.get(member)


def restore_modified(undoing: Undoing) -> Restoration:
    """The settings the request named, as they were, at once."""
    case = undoing.case()
    form = form_of(case)
    old = describe(case)
    if not old:
        return Restoration((), ("the settings of the database were not captured",))
    back: dict[str, object] = {}
    residue = []
    for member in case.action.parameters:
        if member in (form.identifier, "ApplyImmediately"):
            continue
        was = _was(old, member)
        if member in FINAL_WAYS or was is None:
            residue.append(f"`{member}` cannot be taken back")
        else:
            back[member] = was
    if not back:
        return Restoration((), tuple(residue))
    given = {form.identifier: case.text(form.identifier), "ApplyImmediately": True, **back}
    step = case.step(f"rds:Modify{form.noun}", given, until=form.ready)
    return Restoration((step,), tuple(residue))


OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    f"rds:{how}{noun}": functions
    for noun in ("DBInstance", "DBCluster")
    for how, functions in {
        "Delete": (delete, capture, restore_deleted),
        "Modify": (modify, capture, restore_modified),
    }.items()
}
"""How each operation is read, captured and restored."""

"""DynamoDB: items exactly, tables by their content, indexes and settings. Pure.

Items are the easy half: every write has a conditional inverse, so its undo is exact. A
table is captured whole when it is small enough; a larger one has no undo here.
Source: Amazon DynamoDB API Reference (ConditionExpression, BatchWriteItem, CreateTable).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context

from signoff.model.action import Answer
from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Step, Verb
from signoff.model.values import Data, Value, canonical, digest
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.case import Case, Reading, Undoing, effect
from signoff.surfaces.base import Restoration

BATCH = 25
ATTRIBUTES_MOST = 100
KEY_TEXT_MOST = 200
NUMBERS = Context(prec=60, Emin=-999, Emax=999)
"""More than DynamoDB's own numbers: 38 digits, magnitudes to 10^126 (API Reference, N)."""
TABLE_RESIDUE = (
    "a new table id; writes during the copy; streams, autoscaling, alarms and the recovery "
    "points of the old table"
)


@dataclass(frozen=True)
class ItemWrite:
    """One item a request writes: how (`Put`, `Delete`, `Update`), in which table, its key
    (None when the table's key schema is not known)."""

    how: str
    table: str
    key: Data | None


# --- what is written -------------------------------------------------------------------


def writes(case: Case) -> tuple[ItemWrite, ...]:
    """Every item the request writes, in its order."""
    match case.operation:
        case "PutItem":
            return (_put(case, case.text("TableName"), c.mapping(case.get("Item"))),)
        case "DeleteItem" | "UpdateItem":
            how = case.operation.removesuffix("Item")
            return (ItemWrite(how, case.text("TableName"), c.mapping(case.get("Key"))),)
        case "BatchWriteItem":
            return tuple(_batch(case))
        case "TransactWriteItems":
            return tuple(_transact(case))
    return ()


def _batch(case: Case) -> Iterator[ItemWrite]:
    for table, requests in c.mapping(case.get("RequestItems")).items():
        for request in c.entries(requests):
            if "PutRequest" in request:
                item = c.mapping(c.mapping(request["PutRequest"]).get("Item"))
                yield _put(case, table, item)
            if "DeleteRequest" in request:
                key = c.mapping(c.mapping(request["DeleteRequest"]).get("Key"))
                yield ItemWrite("Delete", table, key)


def _transact(case: Case) -> Iterator[ItemWrite]:
    for entry in c.entries(case.get("TransactItems")):
        for how, given in entry.items():
            one = c.mapping(given)
            table = c.text(one.get("TableName"))
            if how == "Put":
                yield _put(case, table, c.mapping(one.get("Item")))
            elif how in ("Delete", "Update"):
                yield ItemWrite(how, table, c.mapping(one.get("Key")))


def _put(case: Case, table: str, item: Data) -> ItemWrite:
    names = key_names(describe(case, table))
    known = bool(names) and all(n in item for n in names)
    return ItemWrite("Put", table, {n: item[n] for n in names} if known else None)


def describe(case: Case, table: str) -> Data:
    """The table's description; empty when it is not known."""
    answer = case.ask("dynamodb:DescribeTable", TableName=table)
    return c.mapping(answer.value.get("Table")) if answer.ok else {}


def key_names(table: Data) -> tuple[str, ...]:
    """The names of a table's key attributes, hash key first."""
    return tuple(c.text(k.get("AttributeName")) for k in c.entries(table.get("KeySchema")))


def table_resource(case: Case, table: str) -> Resource:
    """A table, given by name or ARN, in its environment (its tags are asked for)."""
    uid = table if table.startswith("arn:") else case.arn("dynamodb", f"table/{table}")
    answer = case.ask("dynamodb:ListTagsOfResource", ResourceArn=uid)
    tags = c.tags(answer.value.get("Tags")) if answer.ok else {}
    name = uid.partition("/")[2].partition("/")[0]
    return case.resource(uid, "dynamodb:table", Kind.DATA, name=name, tags=tags)


def key_text(key: Data) -> str:
    """A key as people read it: `pk=a/sk=7`; a long one is its digest."""
    parts = []
    for name, typed in key.items():
        value = next(iter(c.mapping(typed).values()), "")
        parts.append(f"{name}={value if isinstance(value, str) else canonical(value).decode()}")
    text = "/".join(parts)
    return text if len(text) <= KEY_TEXT_MOST else f"sha256={digest(key)}"


# --- items -------------------------------------------------------------------------------


def items(case: Case) -> Reading:
    """Writes of items: each one exactly, new or over another."""
    found = []
    for write in writes(case):
        table = table_resource(case, write.table)
        key = key_text(write.key) if write.key is not None else "?"
        item = Resource(f"{table.uid}/item/{key}", "dynamodb:item", table.environment, Kind.DATA)
        there = exists(case, write)
        found.append(_item_effect(write, item, there))
    if found:
        return Reading(tuple(found))
    what = case.resource(case.arn("dynamodb", "*"), "dynamodb:item", Kind.DATA)
    return Reading(
        (effect(Verb.UNKNOWN, what, because="no item is named"),),
        (f"`{case.action.name}` names no item",),
    )


def _item_effect(write: ItemWrite, item: Resource, there: bool | None) -> Effect:
    if there is None:
        verb = Verb.DELETE if write.how == "Delete" else Verb.UPDATE
        known = Reversibility.NONE if verb is Verb.DELETE else Reversibility.BOUNDED
        why = "whether the item exists is not known"
        return effect(verb, item, known, Bound(1, "items"), because=why)
    over = Verb.UPDATE if there else Verb.CREATE
    verb = Verb.DELETE if write.how == "Delete" else over
    why = "the item exists" if there else "no such item yet"
    residue = "streams have already told their readers"
    return effect(verb, item, Reversibility.EXACT, Bound(1, "items"), residue=residue, because=why)


def exists(case: Case, write: ItemWrite) -> bool | None:
    """Whether the item is there; None when nobody knows."""
    if write.key is None:
        if _table_is_absent(case, write.table):
            return False
        return None
    image = before_image(case, write)
    return None if image is None else bool(image)


def before_image(case: Case, write: ItemWrite) -> Data | None:
    """The item as it is; {} when there is none, None when nobody knows."""
    assert write.key is not None
    answer, images = _read_items(case, write.table)
    if c.absent(answer):
        return {}
    if not answer.ok or answer.truncated:
        return None
    return images.get(key_digest(write.key), {})


def key_digest(key: Data) -> str:
    """The same for two spellings of one key: to DynamoDB the numbers `1.0`, `01` and `1` are
    one, and it answers with the shortest."""
    return digest({name: _spelled(c.mapping(typed)) for name, typed in key.items()})


def _spelled(typed: Data) -> Value:
    number = typed.get("N")
    try:
        if isinstance(number, str):
            return ("N", str(NUMBERS.create_decimal(number.strip()).normalize(NUMBERS) + 0))
    except ArithmeticError:
        pass
    return typed


def _read_items(case: Case, table: str) -> tuple[Answer, dict[str, Data]]:
    """One read for all items the request writes in one table."""
    keys = {
        key_digest(w.key): w.key for w in writes(case) if w.table == table and w.key is not None
    }
    request = {table: {"Keys": list(keys.values()), "ConsistentRead": True}}
    answer = case.ask("dynamodb:BatchGetItem", RequestItems=request)
    if c.mapping(answer.value.get("UnprocessedKeys")):
        return c.NOT_ASKED, {}
    return answer, _images(answer.value, table, next(iter(keys.values()), {}))


def _images(value: Data, table: str, sample: Data) -> dict[str, Data]:
    responses = c.mapping(value.get("Responses"))
    found = c.entries(responses.get(table)) or c.entries(responses.get(table.rpartition("/")[2]))
    return {key_digest({n: i.get(n) for n in sample}): i for i in found}


def _table_is_absent(case: Case, table: str) -> bool:
    return c.absent(case.ask("dynamodb:DescribeTable", TableName=table))


def capture_items(case: Case) -> None:
    """One consistent read per table of every item the request writes."""
    for write in writes(case):
        if write.key is not None:
            before_image(case, write)


def restore_items(undoing: Undoing) -> Restoration:
    """One transaction that puts every item back, if each still is as it was left."""
    before = Case(undoing.action, undoing.captured.before)
    now = Case(undoing.action, undoing.captured.now or undoing.captured.after)
    entries: list[dict[str, object]] = []
    residue = []
    seen = set()
    for write in writes(before):
        if write.key is None or (write.table, key_digest(write.key)) in seen:
            continue
        seen.add((write.table, key_digest(write.key)))
        old, new = before_image(before, write), before_image(now, write)
        if old is None or new is None:
            residue.append(f"{write.table}: {key_text(write.key)} was not captured")
        elif old != new:
            entries.append(_put_back(write, old, new))
    scope = undoing.case()
    if len(entries) == 1 and "Put" in entries[0]:
        one = entries[0]["Put"]
        assert isinstance(one, dict)
        return Restoration((scope.step("dynamodb:PutItem", one),), tuple(residue))
    steps = tuple(
        scope.step("dynamodb:TransactWriteItems", TransactItems=entries[n : n + 100])
        for n in range(0, len(entries), 100)
    )
    return Restoration(steps, tuple(residue))


def _put_back(write: ItemWrite, old: Data, new: Data) -> dict[str, object]:
    assert write.key is not None
    fence = condition(new, old, tuple(write.key))
    if not old:
        return {"Delete": {"TableName": write.table, "Key": write.key, **fence}}
    return {"Put": {"TableName": write.table, "Item": old, **fence}}


def condition(image: Data, other: Data, keys: tuple[str, ...]) -> dict[str, object]:
    """A ConditionExpression that holds while the item equals `image`.

    Every attribute of the image is compared, and those only `other` has must be missing;
    an empty image means there must be no item.
    """
    if not image:
        return {
            "ConditionExpression": "attribute_not_exists(#k)",
            "ExpressionAttributeNames": {"#k": keys[0]},
        }
    names: dict[str, str] = {}
    values: dict[str, Value] = {}
    tests = []
    attributes = sorted({*image, *other} - set(keys)) or [keys[0]]
    for number, name in enumerate(attributes[:ATTRIBUTES_MOST]):
        names[f"#a{number}"] = name
        if name in image:
            values[f":v{number}"] = image[name]
            tests.append(f"#a{number} = :v{number}")
        else:
            tests.append(f"attribute_not_exists(#a{number})")
    found: dict[str, object] = {
        "ConditionExpression": " AND ".join(tests),
        "ExpressionAttributeNames": names,
    }
    if values:
        found["ExpressionAttributeValues"] = values
    return found


# --- tables --------------------------------------------------------------------------------


def content(case: Case, table: str) -> tuple[tuple[Bound, ...], bool]:
    """(bounds, whether it fits a capture) of a table's content.

    AWS updates ItemCount about every six hours, so a table that may fit is counted.
    """
    described = describe(case, table)
    count = c.number(described.get("ItemCount"))
    size = c.number(described.get("TableSizeBytes"))
    if count is None:
        return (Bound(None, "items"),), False
    if count > c.ITEMS_MOST or (size or 0) > c.BYTES_MOST:
        return (Bound(count, "items"), *_bytes(size)), False
    answer = case.ask(
        "dynamodb:Scan", TableName=table, Select="COUNT", ConsistentRead=True, paginate=True
    )
    counted = c.number(answer.value.get("Count")) if answer.ok and not answer.truncated else None
    if counted is None:
        return (Bound(None, "items"),), False
    return (Bound(counted, "items"), *_bytes(size)), counted <= c.ITEMS_MOST


def _bytes(size: int | None) -> tuple[Bound, ...]:
    """The size as a bound; AWS says 0 for a table it has not measured yet."""
    return (Bound(size, "bytes"),) if size else ()


def delete_table(case: Case) -> Reading:
    """The table with everything in it; copied whole when it fits."""
    name = case.text("TableName")
    table = table_resource(case, name)
    if _table_is_absent(case, name):
        return c.single(effect(Verb.DELETE, table, because="the table does not exist"))
    bounds, fits = content(case, name)
    known = Reversibility.BOUNDED if fits else Reversibility.NONE
    residue = TABLE_RESIDUE if fits else f"every item: over {c.ITEMS_MOST:,} items or not counted"
    because = "deletes the table and its items"
    return c.single(
        effect(Verb.DELETE, table, known, *bounds, residue=residue, because=because),
        safer="change the running table with `aws dynamodb update-table`; nothing is lost",
    )


def capture_table(case: Case) -> None:
    """The description, tags, time to live, recovery settings and every item."""
    name = case.text("TableName")
    described = describe(case, name)
    table_resource(case, name)
    case.ask("dynamodb:DescribeTimeToLive", TableName=name)
    case.ask("dynamodb:DescribeContinuousBackups", TableName=name)
    count = c.number(described.get("ItemCount"))
    if count is not None and content(case, name)[1]:
        _scan(case, name)


def _scan(case: Case, name: str) -> Answer:
    most = c.ITEMS_MOST
    return case.ask("dynamodb:Scan", TableName=name, ConsistentRead=True, paginate=True, most=most)


def restore_table(undoing: Undoing) -> Restoration:
    """Create the table again, fill it, and set what can only be set afterwards."""
    case = undoing.case()
    name = case.text("TableName")
    described = describe(case, name)
    scanned = _scan(case, name)
    if not described:
        return Restoration((), (f"the description of `{name}` was not captured",))
    tags = case.ask("dynamodb:ListTagsOfResource", ResourceArn=table_resource(case, name).uid)
    steps = [
        case.step(
            "dynamodb:CreateTable",
            creation(described, c.entries(tags.value.get("Tags"))),
            until=c.TABLE_ACTIVE,
        )
    ]
    steps += fill(case, name, c.entries(scanned.value.get("Items")))
    ttl = c.mapping(
        case.ask("dynamodb:DescribeTimeToLive", TableName=name).value.get("TimeToLiveDescription")
    )
    if c.text(ttl.get("TimeToLiveStatus")) in ("ENABLED", "ENABLING"):
        spec = {"Enabled": True, "AttributeName": ttl.get("AttributeName")}
        steps.append(
            case.step("dynamodb:UpdateTimeToLive", TableName=name, TimeToLiveSpecification=spec)
        )
    if _recoverable(case, name):
        spec = {"PointInTimeRecoveryEnabled": True}
        steps.append(
            case.step(
                "dynamodb:UpdateContinuousBackups",
                TableName=name,
                PointInTimeRecoverySpecification=spec,
            )
        )
    residue = (TABLE_RESIDUE,) if scanned.ok else (f"the items of `{name}`", TABLE_RESIDUE)
    return Restoration(tuple(steps), residue)


def fill(case: Case, table: str, found: tuple[Data, ...]) -> list[Step]:
    """Writes of many items, 25 a request (the API's limit)."""
    return [
        case.step(
            "dynamodb:BatchWriteItem",
            RequestItems={table: [{"PutRequest": {"Item": i}} for i in found[n : n + BATCH]]},
        )
        for n in range(0, len(found), BATCH)
    ]


def _recoverable(case: Case, name: str) -> bool:
    answer = case.ask("dynamodb:DescribeContinuousBackups", TableName=name)
    described = c.mapping(answer.value.get("ContinuousBackupsDescription"))
    recovery = c.mapping(described.get("PointInTimeRecoveryDescription"))
    return recovery.get("PointInTimeRecoveryStatus") == "ENABLED"


def creation(table: Data, tags: tuple[Data, ...] = ()) -> dict[str, object]:
    """What CreateTable needs to make a table like the described one."""
    made: dict[str, object] = {
        "TableName": table.get("TableName"),
        "KeySchema": table.get("KeySchema"),
        "AttributeDefinitions": table.get("AttributeDefinitions"),
    }
    mode = c.mapping(table.get("BillingModeSummary")).get("BillingMode", "PROVISIONED")
    made["BillingMode"] = mode
    if mode == "PROVISIONED":
        made["ProvisionedThroughput"] = _throughput(table)
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        indexes = [_index(i, mode) for i in c.entries(table.get(kind))]
        if indexes:
            made[kind] = indexes
    if table.get("DeletionProtectionEnabled"):
        made["DeletionProtectionEnabled"] = True
    if c.mapping(table.get("StreamSpecification")).get("StreamEnabled"):
        made["StreamSpecification"] = table["StreamSpecification"]
    sse = c.mapping(table.get("SSEDescription"))
    if sse.get("Status") == "ENABLED":
        key = {"KMSMasterKeyId": sse["KMSMasterKeyArn"]} if "KMSMasterKeyArn" in sse else {}
        made["SSESpecification"] = {"Enabled": True, "SSEType": sse.get("SSEType", "KMS"), **key}
    if "TableClassSummary" in table:
        made["TableClass"] = c.mapping(table["TableClassSummary"]).get("TableClass")
    if tags:
        made["Tags"] = tags
    return made


def _throughput(described: Data) -> dict[str, object]:
    units = c.mapping(described.get("ProvisionedThroughput"))
    return {n: units.get(n, 1) for n in ("ReadCapacityUnits", "WriteCapacityUnits")}


def _index(index: Data, mode: Value) -> dict[str, object]:
    made: dict[str, object] = {n: index.get(n) for n in ("IndexName", "KeySchema", "Projection")}
    if mode == "PROVISIONED" and "ProvisionedThroughput" in index:
        made["ProvisionedThroughput"] = _throughput(index)
    return made


def create_table(case: Case) -> Reading:
    """A new table; taken back by deleting it while it is still empty."""
    name = case.text("TableName")
    tags = c.tags(case.get("Tags"))
    uid = case.arn("dynamodb", f"table/{name}")
    table = case.resource(uid, "dynamodb:table", Kind.DATA, name=name, tags=tags)
    describe(case, name)
    return c.single(
        effect(Verb.CREATE, table, Reversibility.BOUNDED, because="a table of this name is new")
    )


def capture_created(case: Case) -> None:
    """What is there under this name, and whether anyone wrote into it since."""
    name = case.text("TableName")
    describe(case, name)
    case.ask("dynamodb:Scan", TableName=name, ConsistentRead=True, paginate=True, most=1)


def restore_created(undoing: Undoing) -> Restoration:
    """Delete the table that was made, unless one was there before."""
    case = undoing.case()
    name = case.text("TableName")
    if not c.absent(case.ask("dynamodb:DescribeTable", TableName=name)):
        return Restoration((), (f"`{name}` was there before",))
    return Restoration((case.step("dynamodb:DeleteTable", TableName=name),))


# --- settings --------------------------------------------------------------------------------


def update_table(case: Case) -> Reading:
    """Settings of a table: protection off is `disarm`, a removed index or replica a delete."""
    table = table_resource(case, case.text("TableName"))
    describe(case, case.text("TableName"))
    found = []
    if case.get("DeletionProtectionEnabled") is False:
        why = "turns deletion protection off"
        found.append(effect(Verb.DISARM, table, Reversibility.BOUNDED, because=why))
    for update in c.entries(case.get("GlobalSecondaryIndexUpdates")):
        for how, given in update.items():
            index = c.text(c.mapping(given).get("IndexName"))
            verb = {"Delete": Verb.DELETE, "Create": Verb.CREATE}.get(how, Verb.UPDATE)
            uid = f"{table.uid}/index/{index}"
            one = Resource(uid, "dynamodb:index", table.environment, Kind.CONFIG)
            known = Reversibility.BOUNDED if verb is Verb.UPDATE else Reversibility.NONE
            found.append(effect(verb, one, known, because=f"{how.lower()}s an index"))
    for update in c.entries(case.get("ReplicaUpdates")):
        verb = Verb.DELETE if "Delete" in update else Verb.UPDATE
        found.append(effect(verb, table, because="changes a replica in another region"))
    covered = {"DeletionProtectionEnabled", "GlobalSecondaryIndexUpdates", "ReplicaUpdates"}
    simple = {"TableName", "BillingMode", "ProvisionedThroughput", "AttributeDefinitions"}
    rest = set(case.action.parameters) - covered - {"TableName", "AttributeDefinitions"}
    if rest or not found:
        known = Reversibility.BOUNDED if rest <= simple | covered else Reversibility.NONE
        if case.get("DeletionProtectionEnabled") is True and not rest:
            known = Reversibility.BOUNDED
        found.append(effect(Verb.UPDATE, table, known, because="changes settings of the table"))
    return Reading(tuple(found))


def capture_settings(case: Case) -> None:
    """The description of the table."""
    describe(case, case.text("TableName"))


def restore_settings(undoing: Undoing) -> Restoration:
    """The settings the request named, as they were."""
    case = undoing.case()
    name = case.text("TableName")
    old = describe(case, name)
    if not old:
        return Restoration((), (f"the settings of `{name}` were not captured",))
    back: dict[str, object] = {}
    if case.get("DeletionProtectionEnabled") is not None:
        back["DeletionProtectionEnabled"] = bool(old.get("DeletionProtectionEnabled", False))
    if case.get("BillingMode") is not None or case.get("ProvisionedThroughput") is not None:
        mode = c.mapping(old.get("BillingModeSummary")).get("BillingMode", "PROVISIONED")
        back["BillingMode"] = mode
        if mode == "PROVISIONED":
            back["ProvisionedThroughput"] = _throughput(old)
    left = tuple(m for m in case.action.parameters if m not in (*back, "TableName"))
    residue = tuple(f"`{m}` is not taken back" for m in left)
    if not back:
        return Restoration((), residue)
    step = case.step("dynamodb:UpdateTable", back, until=c.TABLE_ACTIVE, TableName=name)
    return Restoration((step,), residue)


def time_to_live(case: Case) -> Reading:
    """Switching it on deletes items later, by their own attribute: that is a delete now."""
    name = case.text("TableName")
    table = table_resource(case, name)
    spec = c.mapping(case.get("TimeToLiveSpecification"))
    changed = effect(Verb.UPDATE, table, Reversibility.BOUNDED, because="changes the time to live")
    if spec.get("Enabled") is False:
        return Reading((changed,))
    bounds, _ = content(case, name)
    why = "items whose time has passed are deleted from now on, within days"
    expiring = effect(
        Verb.DELETE, table, Reversibility.NONE, *bounds, residue="expired items", because=why
    )
    return Reading((changed, expiring))


def capture_ttl(case: Case) -> None:
    """The time to live as it is."""
    case.ask("dynamodb:DescribeTimeToLive", TableName=case.text("TableName"))


def restore_ttl(undoing: Undoing) -> Restoration:
    """The time to live as it was; AWS allows one change an hour."""
    case = undoing.case()
    name = case.text("TableName")
    answer = case.ask("dynamodb:DescribeTimeToLive", TableName=name)
    old = c.mapping(answer.value.get("TimeToLiveDescription"))
    if not answer.ok:
        return Restoration((), ("the time to live was not captured",))
    on = c.text(old.get("TimeToLiveStatus")) in ("ENABLED", "ENABLING")
    given = c.mapping(case.get("TimeToLiveSpecification"))
    attribute = old.get("AttributeName") if on else given.get("AttributeName")
    spec = {"Enabled": on, "AttributeName": attribute}
    step = case.step("dynamodb:UpdateTimeToLive", TableName=name, TimeToLiveSpecification=spec)
    return Restoration((step,), ("items that expired meanwhile",))


def continuous_backups(case: Case) -> Reading:
    """Point-in-time recovery: off loses every recovery point at once."""
    table = table_resource(case, case.text("TableName"))
    uid = f"{table.uid}/recovery"
    points = Resource(uid, "dynamodb:recovery", table.environment, Kind.RECOVERY)
    spec = c.mapping(case.get("PointInTimeRecoverySpecification"))
    if spec.get("PointInTimeRecoveryEnabled") is True and "RecoveryPeriodInDays" not in spec:
        known = Reversibility.BOUNDED
        return c.single(effect(Verb.UPDATE, points, known, because="keeps recovery points"))
    why = "recovery points are lost"
    return c.single(effect(Verb.DISARM, points, residue="the recovery points", because=why))


OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    **{
        f"dynamodb:{o}": (items, capture_items, restore_items)
        for o in ("PutItem", "DeleteItem", "UpdateItem", "BatchWriteItem", "TransactWriteItems")
    },
    "dynamodb:DeleteTable": (delete_table, capture_table, restore_table),
    "dynamodb:CreateTable": (create_table, capture_created, restore_created),
    "dynamodb:UpdateTable": (update_table, capture_settings, restore_settings),
    "dynamodb:UpdateTimeToLive": (time_to_live, capture_ttl, restore_ttl),
    "dynamodb:UpdateContinuousBackups": (
        continuous_backups,
        c.capture_nothing,
        c.nothing_to_restore,
    ),
}
"""How each operation is read, captured and restored."""

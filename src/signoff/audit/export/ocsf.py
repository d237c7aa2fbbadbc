"""A receipt as an OCSF event (Open Cybersecurity Schema Framework, schema 1.5.0). Pure.

A step of an action is an API Activity (6003), an act of a person or of Signoff on its own
settings and holds an Entity Management (3004), a start of the daemon an Application Lifecycle
(6002). The profile `security_control` carries the ruling, `cloud` account and region. Times
are milliseconds since the epoch, as `timestamp_t` asks.
"""

from __future__ import annotations

from collections.abc import Mapping

from signoff.audit.export.told import Standing, Told
from signoff.model.receipt import SCHEMA, Mark

VERSION = "1.5.0"
OTHER = 99

_API = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", OTHER: "Other"}
_VERBS = {
    "read": 2,
    "create": 1,
    "update": 3,
    "replace": 3,
    "disarm": 3,
    "permit": 3,
    "delete": 4,
    "execute": OTHER,
    "disclose": OTHER,
    "unknown": OTHER,
}
_GRAVEST = (4, OTHER, 3, 1, 2)
"""Which activity an action of several effects is told as: the first that is among them."""

_ENTITY = {
    1: "Create",
    2: "Read",
    3: "Update",
    4: "Delete",
    8: "Enable",
    9: "Disable",
    10: "Activate",
    11: "Deactivate",
    12: "Suspend",
    13: "Resume",
    OTHER: "Other",
}
_ACTS = {
    "key": 1,
    "mint": 1,
    "grant": 1,
    "grant-revoked": 4,
    "freeze": 8,
    "lift": 9,
    "lower": 9,
    "halt": 12,
    "resume": 13,
    "review": 2,
    "apply": 3,
    "first": 1,
    "settle": 3,
}
_MARKS = {
    Mark.SIGNED: 3,
    Mark.APPROVED: 10,
    Mark.REJECTED: 11,
    Mark.EXPIRED: 11,
    Mark.VOIDED: 11,
    Mark.STALE: 11,
    Mark.SETTLED: 3,
}
_RULINGS = {"allow": (1, "Allowed"), "deny": (2, "Denied"), "hold": (OTHER, "Other")}
_DISPOSITIONS = {"allow": (1, "Allowed"), "deny": (2, "Blocked"), "hold": (14, "Delayed")}
_ENDS = {
    Mark.APPROVED: (8, "Approved"),
    Mark.REJECTED: (25, "Rejected"),
    Mark.UNDONE: (9, "Restored"),
    Mark.FAILED: (27, "Error"),
}


def event(given: Told, standing: Standing, version: str) -> dict[str, object]:
    """One event. `version` is Signoff's own; `standing` the ledger's newest checkpoint."""
    if given.mark is Mark.STARTUP:
        kind = _lifecycle(version)
    elif given.is_action:
        kind = _activity(given)
    else:
        kind = _entity(given)
    severity, caption = given.gravity.ocsf
    profiles = ["security_control"]
    made: dict[str, object] = {
        **kind,
        "time": given.time_ms,
        "severity_id": severity,
        "severity": caption,
        "message": given.words,
        **_status(given),
        **_control(given),
        "unmapped": {"signoff": _own(given, standing)},
    }
    if given.surface == "aws" and given.scope.get("account"):
        profiles.append("cloud")
        made["cloud"] = {
            "provider": "AWS",
            "account": {"uid": given.scope["account"], "type_id": 10, "type": "AWS Account"},
            **({"region": given.scope["region"]} if given.scope.get("region") else {}),
        }
    made["metadata"] = {
        "version": VERSION,
        "profiles": profiles,
        "product": {"name": "Signoff", "vendor_name": "Signoff", "version": version},
        "uid": given.uid,
        "sequence": given.index,
        "log_name": standing.origin,
        "log_version": SCHEMA,
        "event_code": given.mark.value,
        "logged_time": given.time_ms,
        **({"correlation_uid": given.action_id} if given.action_id else {}),
    }
    return made


def _class(uid: int, name: str, activity: int, caption: str, told: str) -> dict[str, object]:
    category = uid // 1000
    return {
        "category_uid": category,
        "category_name": {3: "Identity & Access Management", 6: "Application Activity"}[category],
        "class_uid": uid,
        "class_name": name,
        "activity_id": activity,
        "activity_name": told if activity == OTHER else caption,
        "type_uid": uid * 100 + activity,
        "type_name": f"{name}: {caption}",
    }


def _lifecycle(version: str) -> dict[str, object]:
    return {
        **_class(6002, "Application Lifecycle", 3, "Start", "start"),
        "app": {"name": "Signoff", "vendor_name": "Signoff", "version": version},
    }


def _activity(given: Told) -> dict[str, object]:
    found = {_VERBS.get(effect.verb, OTHER) for effect in given.effects}
    activity = next((a for a in _GRAVEST if a in found), OTHER)
    return {
        **_class(6003, "API Activity", activity, _API[activity], given.mark.value),
        "actor": _actor(given),
        "api": {
            "operation": given.name,
            "service": {"name": given.surface},
            "request": {"uid": given.action_id},
        },
        "src_endpoint": _source(given),
        "dst_endpoint": {"svc_name": f"signoff {given.gate or 'gate'}"},
        "resources": [
            {
                "uid": effect.resource,
                "type": effect.kind,
                "namespace": effect.environment,
                "labels": [
                    f"environment:{effect.environment}",
                    f"verb:{effect.verb}",
                    f"reversibility:{effect.reversibility}",
                    f"bound:{effect.bound or '?'}",
                ],
            }
            for effect in given.effects
        ],
    }


def _entity(given: Told) -> dict[str, object]:
    activity = _MARKS.get(given.mark, _ACTS.get(given.act, OTHER))
    about = given.act or given.mark.value
    return {
        **_class(3004, "Entity Management", activity, _ENTITY[activity], about),
        "actor": _actor(given),
        "entity": {
            "name": given.subject or given.action_id or about,
            "type_id": OTHER,
            "type": "hold" if given.mark in _MARKS and not given.act else f"signoff {about}",
        },
        "src_endpoint": _source(given),
        "comment": given.words,
    }


def _actor(given: Told) -> dict[str, object]:
    actor: dict[str, object] = {}
    if given.agent:
        actor["app_name"] = given.agent
    if given.run:
        actor["session"] = {"uid": given.run}
    if given.operator:
        actor["user"] = {"name": given.operator}
    return actor or {"app_name": "signoff"}


def _source(given: Told) -> dict[str, object]:
    named = given.agent or given.operator or "signoff"
    return {"name": named, **({"uid": given.run} if given.run else {})}


def _status(given: Told) -> dict[str, object]:
    failed = given.mark is Mark.FAILED or bool(given.error) or given.ruling == "deny"
    if failed and not (given.observed and not given.error):
        told = {"status_id": 2, "status": "Failure"}
    elif given.mark in (Mark.IN_DOUBT, Mark.STARTED):
        told = {"status_id": 0, "status": "Unknown"}
    elif given.ruling == "hold":
        told = {"status_id": OTHER, "status": "held"}
    else:
        told = {"status_id": 1, "status": "Success"}
    return {**told, "status_detail": given.error} if given.error else told


def _control(given: Told) -> dict[str, object]:
    """The members of the profile `security_control`."""
    action, caption = _RULINGS.get(given.ruling, (0, "Unknown"))
    disposition, way = _DISPOSITIONS.get(given.ruling, _ENDS.get(given.mark, (17, "Logged")))
    if given.observed:
        action, caption = 3, "Observed"
        disposition, way = 15, "Detected"
    made: dict[str, object] = {
        "action_id": action,
        "action": "held" if given.ruling == "hold" and action == OTHER else caption,
        "disposition_id": disposition,
        "disposition": way,
        "is_alert": given.at_boundary or given.mark is Mark.IN_DOUBT,
    }
    if given.reasons:
        policies = [{"uid": r, "version": given.bundle} for r in given.reasons]
        made["policy"] = policies[0]
        made["authorizations"] = [{"decision": given.ruling, "policy": p} for p in policies]
    return made


def _own(given: Told, standing: Standing) -> Mapping[str, object]:
    """What no attribute of the schema carries, among it where the receipt can be checked."""
    return {
        "receipt": given.index,
        "checkpoint": {
            "origin": standing.origin,
            "size": standing.size,
            "root": standing.root,
        },
        "mark": given.mark.value,
        "gate": given.gate,
        "level": given.level,
        "ruling": given.ruling,
        "quorum": given.quorum,
        "safeguard": given.safeguard,
        "action_digest": given.digest,
        "unknown": list(given.unknown),
        "detail": given.detail,
    }

"""Receipts as OpenTelemetry log records, in the JSON encoding of OTLP. Pure.

The shape is `opentelemetry.proto.logs.v1.LogsData`: members in lowerCamelCase, 64-bit whole
numbers as text, enumerations as numbers (OTLP specification, JSON Protobuf Encoding). Times are
nanoseconds since the epoch. Attributes have the names of the semantic conventions where there
are any (`log.record.uid`, `session.id`, `user.name`, `gen_ai.agent.name`, `cloud.*`), and
`signoff.*` elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from signoff.audit.export.told import Standing, Told

NANOSECONDS = 1_000_000
SCOPE = "signoff.ledger"


def logs_data(
    records: Iterable[Told], standing: Standing, version: str, observed_ms: int
) -> dict[str, object]:
    """One `LogsData` (or `ExportLogsServiceRequest`: they have the same members) of these
    receipts. `observed_ms` is when they were read for export."""
    return {
        "resourceLogs": [
            {
                "resource": {
                    "attributes": _attributes(
                        {
                            "service.name": "signoff",
                            "service.version": version,
                            "service.instance.id": standing.origin,
                        }
                    )
                },
                "scopeLogs": [
                    {
                        "scope": {"name": SCOPE, "version": version},
                        "logRecords": [log_record(r, standing, observed_ms) for r in records],
                    }
                ],
            }
        ]
    }


def log_record(given: Told, standing: Standing, observed_ms: int) -> dict[str, object]:
    """One log record. Its `log.record.uid` is the same at every export."""
    number, text = given.gravity.otel
    return {
        "timeUnixNano": str(given.time_ms * NANOSECONDS),
        "observedTimeUnixNano": str(observed_ms * NANOSECONDS),
        "severityNumber": number,
        "severityText": text,
        "eventName": f"signoff.{given.mark.value}",
        "body": {"stringValue": given.words},
        "attributes": _attributes(_members(given, standing)),
    }


def _members(given: Told, standing: Standing) -> dict[str, object]:
    scope = given.scope
    effects = [
        f"{e.verb} {e.resource} [{e.environment}] {e.reversibility}".rstrip() for e in given.effects
    ]
    return {
        "log.record.uid": given.uid,
        "signoff.receipt": given.index,
        "signoff.mark": given.mark.value,
        "signoff.checkpoint.size": standing.size,
        "signoff.checkpoint.root": standing.root,
        "signoff.action.id": given.action_id,
        "signoff.action.name": given.name,
        "signoff.action.digest": given.digest,
        "signoff.surface": given.surface,
        "signoff.gate": given.gate,
        "signoff.level": given.level,
        "signoff.ruling": given.ruling,
        "signoff.quorum": given.quorum if given.ruling == "hold" else None,
        "signoff.policies": list(given.reasons),
        "signoff.bundle": given.bundle,
        "signoff.safeguard": given.safeguard,
        "signoff.boundary": True if given.at_boundary else None,
        "signoff.observed": True if given.observed else None,
        "signoff.environments": sorted({e.environment for e in given.effects}),
        "signoff.effects": effects,
        "signoff.unknown": list(given.unknown),
        "signoff.act": given.act,
        "signoff.subject": given.subject,
        "signoff.detail": given.detail,
        "error.message": given.error,
        "gen_ai.agent.name": given.agent,
        "session.id": given.run,
        "user.name": given.operator,
        "cloud.provider": "aws" if given.surface == "aws" and scope.get("account") else "",
        "cloud.account.id": scope.get("account", ""),
        "cloud.region": scope.get("region", ""),
    }


def _attributes(members: dict[str, object]) -> list[dict[str, object]]:
    """Key and value pairs; what is empty is left out."""
    return [
        {"key": key, "value": _value(value)}
        for key, value in members.items()
        if value is not None and value != "" and value != []
    ]


def _value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(v) for v in value]}}
    return {"stringValue": str(value)}

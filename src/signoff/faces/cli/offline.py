"""Looking with the daemon down: straight from the files, read-only, nothing repaired."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from signoff.faces.cli.parts import reach, settings
from signoff.model.errors import DaemonUnreachable, SignoffError


def ledger_file(named: str = "") -> Path:
    """The ledger's file: as named, else where the settings have it."""
    return Path(named) if named else settings().ledger_path


def receipts_from_file(path: Path, start: int, most: int) -> dict[str, object]:
    """`{"receipts", "next", "size"}` as the control socket answers; a negative `start`
    counts from the end. Raises `LedgerUnavailable` when there is no ledger to read."""
    from signoff.store.reading import StateFile

    with StateFile(path) as state:
        size = state.size()
        first = max(0, size + start) if start < 0 else start
        found = [(at, body) for at, body in state.receipts(first, most)]
    receipts = [{"index": at, **_members(body)} for at, body in found]
    after = found[-1][0] + 1 if found else first
    return {"receipts": receipts, "next": after, "size": size}


def status_from_files(error: DaemonUnreachable) -> dict[str, object]:
    """What can be said of Signoff without its daemon; what is unreadable is a warning."""
    seen: dict[str, object] = {"daemon": "not running", "safeguard": "nothing passes"}
    warnings = [error.what]
    try:
        config = settings()
        seen["profile"] = config.profile
        seen["humans"] = len(config.humans)
    except SignoffError as broken:
        warnings.append(str(broken))
    try:
        # Where the state lies is known from the seal, also when the settings are not.
        config = reach("signoff.standing", "first_settings")()
    except SignoffError as broken:
        told = [*warnings, str(broken)]
        return {**seen, "warnings": list(dict.fromkeys(told))}
    try:
        from signoff.store.reading import StateFile

        with StateFile(config.ledger_path) as state:
            size = state.size()
            seen["ledger"] = {"size": size, "root": _root(state.checkpoint()), "anchored": False}
            seen["holds"] = len(state.waiting())
            seen.update(_switches(state.switches()))
    except SignoffError as broken:
        warnings.append(str(broken))
    return {**seen, "warnings": warnings}


def _switches(switches: Mapping[str, object]) -> dict[str, object]:
    names = {"freeze/": "frozen", "halt/": "halted", "lowered/": "lowered"}
    return {
        told: [name.removeprefix(prefix) for name in sorted(switches) if name.startswith(prefix)]
        for prefix, told in names.items()
    }


def _root(note: str) -> str:
    lines = note.split("\n")
    if len(lines) < 3:
        return ""
    try:
        # In hex, as the daemon says it.
        return base64.b64decode(lines[2], validate=True).hex()
    except ValueError:
        return ""


def _members(body: bytes) -> dict[str, object]:
    value = json.loads(body)
    return value if isinstance(value, dict) else {}

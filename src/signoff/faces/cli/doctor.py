"""`signoff doctor`: is the guard itself in order? Settings, owners, keys, daemon, ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from signoff.config import Config, check_owned, load_config
from signoff.faces.cli.parts import control
from signoff.faces.cli.shared import DONE, FINDINGS, answer, json_option, paint
from signoff.faces.render import safe
from signoff.model.errors import SignoffError


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, whether it holds, and what to do when it does not."""

    check: str
    good: bool
    says: str
    next_step: str = ""


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check the guard itself; exit code 6 when something is not in order."""
    found = list(examine())
    colour = paint()
    lines = []
    for f in found:
        lines.append(f"{'ok' if f.good else colour('red', 'NOT OK'):<9} {f.check}: {safe(f.says)}")
        if f.next_step and not f.good:
            lines.append(f"{'':<9}   next: {safe(f.next_step)}")
    value = [
        {"check": f.check, "good": f.good, "says": f.says, "next_step": f.next_step} for f in found
    ]
    answer(as_json, {"checks": value}, lines)
    return DONE if all(f.good for f in found) else FINDINGS


def examine() -> list[Finding]:
    """Every check in order; without settings only the first."""
    try:
        config = load_config()
    except SignoffError as error:
        return [Finding("settings", False, _both(error), error.next_step)]
    found = [Finding("settings", True, f"{config.path}, profile {config.profile}")]
    checks: list[tuple[str, Callable[[], str]]] = [
        ("signoff's code", lambda: str(check_owned(Path(__file__), "signoff's code"))),
        ("state", lambda: _state(config)),
        ("ledger key", lambda: _secret(config.ledger.key_file, "the ledger key")),
        ("vault key", lambda: _secret(config.vault.key_file, "the vault key")),
        ("policies", lambda: _policies(config)),
        ("ledger", lambda: _ledger(config)),
        ("sandbox", _sandbox),
        ("daemon", _daemon),
    ]
    return found + [_tried(name, check) for name, check in checks]


def _tried(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except SignoffError as error:
        return Finding(name, False, _both(error), error.next_step)
    except OSError as error:
        return Finding(name, False, (error.strerror or str(error)).lower())


def _both(error: SignoffError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what


def _state(config: Config) -> str:
    return str(check_owned(config.state_dir, "the state directory"))


def _secret(path: Path, what: str) -> str:
    return str(check_owned(path, what, secret=True))


def _policies(config: Config) -> str:
    from signoff.policy.bundle import load_bundle

    for path in config.policies:
        check_owned(path, "a policy file")
    load_bundle(config.profile, config.policies)
    return f"shipped for `{config.profile}` and {len(config.policies)} more, safeguard not proved"


def _ledger(config: Config) -> str:
    from signoff.faces.cli.verification import unwritten, verify_ledger

    if unwritten(config):
        return "not written yet"
    found = verify_ledger(None, None, config.ledger_path, "")
    findings = found["findings"]
    if isinstance(findings, list) and findings:
        raise SignoffError("the ledger does not verify", str(findings[0]), "signoff verify")
    return f"{found['size']} receipts verify"


def _sandbox() -> str:
    from signoff.gates.run import probe

    seen = probe()
    if not seen.works:
        raise SignoffError("agents cannot be contained here", seen.why, seen.next_step)
    return f"{seen.bwrap} works: agents under `signoff run` are contained"


def _daemon() -> str:
    return str(control().status().get("daemon", "running"))

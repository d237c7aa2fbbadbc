"""`signoff doctor`: is the guard itself in order? Settings, owners, keys, proof, ledger, and
canaries: what must be denied is sent to every gate, from the agent's side."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from signoff.config import Config, check_owned, load_config
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.doctor_canaries import Finding, both, canaries, reach, run_key, tried
from signoff.faces.cli.parts import control
from signoff.faces.cli.shared import DONE, FINDINGS, answer, json_option, paint
from signoff.faces.render import moment, safe
from signoff.model.errors import DaemonUnreachable, SignoffError

FUTURE_MS = 5_000
"""How far the newest receipt may lie in the future before the clock is in doubt."""

AGENTS = "signoff audit agents"


@click.command()
@click.option(
    "--canary", is_flag=True, help="Sign a run key of two minutes and try it on every gate."
)
@signer_options
@json_option
def doctor(canary: bool, human: str, key_file: str, as_json: bool) -> int:
    """Check the guard itself; exit code 6 when something is not in order.

    Sends what must be denied to every gate: a request without a signature and one under a
    made-up key, and with a run key (from the shell variables, or `--canary`, which an
    enrolled human signs) what would destroy something if it could exist.
    """
    found = list(examine(lambda: run_key(canary, human, key_file)))
    colour = paint()
    lines = []
    for f in found:
        state = "ok" if f.good else colour("red", "NOT OK")
        lines.append(f"{state if f.tried else 'not tried':<9} {f.check}: {safe(f.says)}")
        if f.next_step and not (f.good and f.tried):
            lines.append(f"{'':<9}   next: {safe(f.next_step)}")
    value = [
        {
            "check": f.check,
            "good": f.good,
            "tried": f.tried,
            "says": f.says,
            "next_step": f.next_step,
        }
        for f in found
    ]
    answer(as_json, {"checks": value}, lines)
    return DONE if all(f.good for f in found) else FINDINGS


def examine(key: Callable[[], Mapping[str, str]] = dict) -> Iterator[Finding]:
    """Every check in order; without settings only the first. `key` gives the shell
    variables of a run key, or nothing."""
    try:
        config = load_config()
    except SignoffError as error:
        yield Finding("settings", False, both(error), error.next_step)
        return
    yield Finding("settings", True, f"{config.path}, profile {config.profile}")
    checks: list[tuple[str, Callable[[], str]]] = [
        ("signoff's code", lambda: str(check_owned(Path(__file__), "signoff's code"))),
        ("state", lambda: _state(config)),
        ("ledger key", lambda: _secret(config.ledger.key_file, "the ledger key")),
        ("vault key", lambda: _secret(config.vault.key_file, "the vault key")),
        ("policies", lambda: _policies(config)),
        ("ledger", lambda: _ledger(config)),
        ("high-water mark", lambda: _mark(config)),
        ("clock", lambda: _clock(config)),
        ("ssh-keygen", _ssh_keygen),
        ("sandbox", _sandbox),
        ("daemon", _daemon),
    ]
    for name, check in checks:
        yield tried(name, check)
    yield _configuration()
    yield from canaries(key)
    yield reach(config)
    yield from _hooks()


def _hooks() -> Iterator[Finding]:
    """The registered hooks of the agents that are in use here: each has to fail closed."""
    from signoff.audit.agents import Ground, audit_agents

    path = tuple(os.environ.get("PATH", "").split(":"))
    report = audit_agents(Ground(Path.home(), Path.cwd(), path=path))
    hooks = [f for f in report.ranked if f.check.startswith(("hook", "unknown", "unreadable"))]
    for found in hooks:
        says = f"{found.subject}: {found.what}"
        # Outside `signoff run` a hook is advisory; without one nothing is promised, so it is
        # told and is no fault of the guard. A hook that is there and fails open is.
        absent = found.check in ("hook-missing", "hook-removable")
        yield Finding("hook", absent, says, found.next_step or AGENTS, tried=not absent)
    if not hooks and report.looked_at:
        yield Finding("hook", True, "every registered hook fails closed")


def _state(config: Config) -> str:
    return str(check_owned(config.state_dir, "the state directory"))


def _secret(path: Path, what: str) -> str:
    return str(check_owned(path, what, secret=True))


def _policies(config: Config) -> str:
    from signoff.policy.loading import proved_bundle

    for path in config.policies:
        check_owned(path, "a policy file")
    bundle = proved_bundle(config)
    count = len(config.policies)
    return f"shipped for `{config.profile}` and {count} more, {bundle.safeguard}"


def _ledger(config: Config) -> str:
    from signoff.faces.cli.verification import unwritten, verify_ledger

    if unwritten(config):
        return "not written yet"
    found = verify_ledger(None, None, config.ledger_path, "")
    findings = found["findings"]
    if isinstance(findings, list) and findings:
        raise SignoffError("the ledger does not verify", str(findings[0]), "signoff verify")
    return f"{found['size']} receipts verify"


def _mark(config: Config) -> str:
    from signoff.faces.cli.verification import unwritten

    mark = config.high_water
    if mark.resolve().is_relative_to(config.state_dir.resolve()):
        raise SignoffError(
            "the high-water mark lies in the state directory",
            "an older copy of the state brings an older mark with it",
            "set `ledger.high_water` to a file elsewhere, on another disk if there is one",
        )
    if unwritten(config):
        return "not written yet"
    if not mark.is_file():
        raise SignoffError(
            f"there is no high-water mark at `{mark}`", "a rollback would not be noticed",
            "signoff up writes it; keep a checkpoint elsewhere too",
        )  # fmt: skip
    return str(check_owned(mark, "the high-water mark"))


def _clock(config: Config) -> str:
    from signoff.faces.cli.verification import unwritten
    from signoff.store.reading import StateFile

    now = time.time_ns() // 1_000_000
    program = int(Path(__file__).stat().st_mtime * 1000)
    newest = 0
    if not unwritten(config):
        with StateFile(config.ledger_path) as state:
            newest = state.last_time_ms()
    if max(newest, program) > now + FUTURE_MS:
        what = "the newest receipt" if newest > program else "this program"
        raise SignoffError(
            f"the clock says {moment(now)}, and {what} is younger",
            "holds, grants and run keys would live too long",
            "set the clock",
        )
    return moment(now)


def _ssh_keygen() -> str:
    found = shutil.which("ssh-keygen")
    if not found:
        raise SignoffError(
            "ssh-keygen is not installed", "sign-offs with ssh and `sk-` keys need it",
            "install the package `openssh-client`",
        )  # fmt: skip
    return found


def _sandbox() -> str:
    from signoff.gates.run import probe

    seen = probe()
    if not seen.works:
        raise SignoffError("agents cannot be contained here", seen.why, seen.next_step)
    return f"{seen.bwrap} works: agents under `signoff run` are contained"


def _daemon() -> str:
    from signoff.policy.bundle import PROVED

    seen = control().status()
    warnings = seen.get("warnings")
    if isinstance(warnings, list) and warnings:
        first, _, following = str(warnings[0]).partition("; next: ")
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        raise SignoffError(first + more, "", following or "signoff status")
    safeguard = str(seen.get("safeguard") or "")
    if safeguard and safeguard != PROVED:
        raise SignoffError(safeguard, "the daemon says so", "signoff policy prove")
    return ", ".join(t for t in (str(seen.get("daemon", "running")), safeguard) if t)


def _configuration() -> Finding:
    try:
        told = control().status().get("configuration")
    except DaemonUnreachable:
        says = "what is sealed is asked of a running daemon"
        return Finding("configuration", True, says, "signoff up", tried=False)
    return tried("configuration", lambda: _sealed(told))


def _sealed(told: object) -> str:
    differs = told.get("differs") if isinstance(told, dict) else None
    if isinstance(differs, list) and differs:
        raise SignoffError(
            "the files differ from the configuration in force", str(differs[0]), "signoff status"
        )
    if isinstance(told, dict) and told.get("doubtful"):
        raise SignoffError(
            "the configuration in force was changed after `init` and signed by nobody",
            str(told.get("how", "")),
            "read it, then: signoff apply",
        )
    return str(told.get("how", "as sealed")) if isinstance(told, dict) and told else "as sealed"

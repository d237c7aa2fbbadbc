"""`signoff doctor`: is the guard itself in order? Settings, owners, keys, proof, ledger, and
canaries: what must be denied is sent to every gate, from the agent's side."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from signoff.config import Config, check_owned, load_config
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.parts import control
from signoff.faces.cli.shared import DONE, FINDINGS, answer, json_option, paint
from signoff.faces.render import moment, safe
from signoff.model.errors import DaemonUnreachable, SignoffError

CANARY = "signoff-doctor"
CANARY_TTL_MS = 120_000
FUTURE_MS = 5_000
"""How far the newest receipt may lie in the future before the clock is in doubt."""

OPEN_GATE = "signoff halt, then look at what runs on that address"
AGENTS = "signoff audit agents"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, whether it holds, and what to do when it does not. `tried` is
    False for what could not be looked at here, which is told and not counted."""

    check: str
    good: bool
    says: str
    next_step: str = ""
    tried: bool = True


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
    found = list(examine(lambda: _run_key(canary, human, key_file)))
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


def examine(run_key: Callable[[], Mapping[str, str]] = dict) -> Iterator[Finding]:
    """Every check in order; without settings only the first. `run_key` gives the shell
    variables of a run key, or nothing."""
    try:
        config = load_config()
    except SignoffError as error:
        yield Finding("settings", False, _both(error), error.next_step)
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
        ("configuration", _configuration),
    ]
    for name, check in checks:
        yield _tried(name, check)
    yield from canaries(config, run_key)
    yield _reach(config)
    yield from _hooks()


def canaries(config: Config, run_key: Callable[[], Mapping[str, str]]) -> Iterator[Finding]:
    """What must be denied, sent to every gate of the running daemon."""
    from signoff.faces.cli.canaries import RunKey, made_up_key, unsigned

    try:
        gates = control().status().get("gates")
    except SignoffError as error:
        yield Finding("canaries", True, error.what, "signoff up", tried=False)
        return
    addresses = [
        (f"{g.get('name')} {g.get('address')}", str(g.get("address")), str(g.get("mode")))
        for g in (gates if isinstance(gates, list) else [])
        if isinstance(g, dict)
    ]
    if not addresses:
        yield Finding("canaries", False, "the daemon has no gate", "signoff up")
    for name, address, mode in addresses:
        yield _tried(f"unsigned, {name}", lambda a=address: _denied(unsigned(a)))
        yield _tried(f"made-up key, {name}", lambda a=address: _denied(made_up_key(a)))
        if mode != "enforce":
            says = f"the gate's mode is `{mode}`: it records, and stops nothing where it observes"
            yield Finding(f"mode, {name}", False, says, "signoff up, without --observe")
    try:
        shell = run_key()
    except SignoffError as error:
        yield Finding("canary key", False, _both(error), error.next_step)
        return
    if not shell:
        says = "no run key, so what would destroy was not sent"
        yield Finding("canary deny", True, says, "signoff doctor --canary", tried=False)
        return
    key = RunKey(
        shell.get("AWS_ACCESS_KEY_ID", ""),
        shell.get("AWS_SECRET_ACCESS_KEY", ""),
        shell.get("AWS_SESSION_TOKEN", ""),
        shell.get("SIGNOFF_RUN", ""),
    )
    for name, address, _ in addresses:
        yield from _with_key(name, address, key)


def _with_key(name: str, address: str, key: object) -> Iterator[Finding]:
    from signoff.faces.cli import canaries as birds

    assert isinstance(key, birds.RunKey)
    held = key
    yield _tried(f"wrong secret, {name}", lambda: _denied(birds.wrong_secret(address, held)))
    before = _size()
    yield _tried(f"canary deny, {name}", lambda: _denied(birds.destroy(address, held)))
    yield _tried(f"canary credential, {name}", lambda: _denied(birds.disclose(address, held)))
    yield _tried(f"denials in the ledger, {name}", lambda: _recorded(held.run, before))
    yield _tried(f"canary read, {name}", lambda: _passes(birds.read(address, held)))


def _denied(seen: object) -> str:
    from signoff.faces.cli.canaries import Answer

    assert isinstance(seen, Answer)
    if not seen.refused:
        raise SignoffError(
            f"answered {seen.status} instead of a denial", " ".join(seen.body.split())[:160],
            OPEN_GATE,
        )  # fmt: skip
    return "denied, as it has to be"


def _passes(seen: object) -> str:
    from signoff.faces.cli.canaries import Answer

    assert isinstance(seen, Answer)
    if seen.status >= 500:
        raise SignoffError(
            f"a read answered {seen.status}", " ".join(seen.body.split())[:160], "signoff status"
        )
    # A read may be denied rightly (a halt, a grant for reads); the guard is in order then.
    return "a read passes" if seen.status == 200 else f"a read answered {seen.status}"


def _recorded(run: str, before: int) -> str:
    rows = control().log(before, 1000).get("receipts")
    mine = [
        r
        for r in (rows if isinstance(rows, list) else [])
        if isinstance(r, dict) and _run_of(r) == run and str(r.get("mark")) != "read"
    ]
    started = [r for r in mine if str(r.get("mark")) in ("started", "succeeded", "captured")]
    if started:
        raise SignoffError("a canary was carried out", "the ledger says so", "signoff halt")
    if len(mine) < 2:
        raise SignoffError(f"{len(mine)} of 2 denials are written down", "", "signoff verify")
    return f"{len(mine)} receipts, nothing was carried out"


def _run_of(receipt: Mapping[str, object]) -> str:
    who = receipt.get("principal")
    return str(who.get("run", "")) if isinstance(who, dict) else ""


def _size() -> int:
    size = control().log(-1, 1).get("size")
    return size if isinstance(size, int) else 0


def _run_key(canary: bool, human: str, key_file: str) -> Mapping[str, str]:
    """The shell variables of a run key: those that are there, or of one made for this."""
    if not canary:
        return os.environ if os.environ.get("SIGNOFF_RUN") else {}
    from signoff.faces.backend import Act
    from signoff.faces.cli.acts import carry_out
    from signoff.faces.cli.keys import variables
    from signoff.faces.cli.parts import enrolled
    from signoff.faces.cli.signing import signer

    operator = human or signer(enrolled(control()), human, key_file).human.name
    arguments = {"agent": CANARY, "operator": operator, "ttl_ms": CANARY_TTL_MS}
    return variables(carry_out(Act.KEY, arguments, operator, key_file))


def _reach(config: Config) -> Finding:
    """Whether an agent in a sandbox sees the control socket, the state or the keys."""
    from signoff.faces.cli.canaries import sandbox_reaches
    from signoff.gates.run import probe

    probed, name = probe(), "reach of a sandbox"
    if not probed.works:
        return Finding(name, True, probed.why, probed.next_step, tried=False)
    if not config.gate_socket.exists():
        return Finding(name, True, "the gate's socket is not there", "signoff up", tried=False)
    folder = config.path.parent if config.path else config.state_dir
    kept = (
        config.control_socket,
        config.ledger_path,
        config.ledger.key_file,
        config.vault.key_file,
        folder,
    )

    def look() -> str:
        if sandbox_reaches(probed, config.gate_socket.parent, kept):
            raise SignoffError(
                "an agent in a sandbox sees the control socket, the ledger, the settings or keys",
                "one of them lies where the sandbox has its system or its interpreter",
                "move `state_dir` and the settings out of /usr and out of the interpreter's folder",
            )
        return "no control socket, no ledger, no settings, no key inside"

    return _tried(name, look)


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
    seen = control().status()
    warnings = seen.get("warnings")
    if isinstance(warnings, list) and warnings:
        first, _, following = str(warnings[0]).partition("; next: ")
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        raise SignoffError(first + more, "", following or "signoff status")
    return str(seen.get("daemon", "running"))


def _configuration() -> str:
    try:
        told = control().status().get("configuration")
    except DaemonUnreachable:
        return "asked of a running daemon"
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

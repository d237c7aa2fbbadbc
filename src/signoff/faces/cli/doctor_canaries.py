"""The checks of `signoff doctor` that act: canaries through every gate, and a look around
inside a sandbox. Each is a `Finding`; nothing here can change anything that exists."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from signoff.config import Config
from signoff.faces.cli import canaries as birds
from signoff.faces.cli.canaries import Answer, RunKey
from signoff.faces.cli.parts import control
from signoff.model.errors import SignoffError

CANARY = "signoff-doctor"
CANARY_TTL_MS = 120_000
OPEN_GATE = "signoff halt, then look at what runs on that address"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, whether it holds, and what to do when it does not. `tried` is
    False for what could not be looked at here, which is told and not counted."""

    check: str
    good: bool
    says: str
    next_step: str = ""
    tried: bool = True


def tried(name: str, check: Callable[[], str]) -> Finding:
    """One check, carried out: whatever it raises is its finding."""
    try:
        return Finding(name, True, check())
    except SignoffError as error:
        return Finding(name, False, both(error), error.next_step)
    except OSError as error:
        return Finding(name, False, (error.strerror or str(error)).lower())


def both(error: SignoffError) -> str:
    """What and why of an error, on one line."""
    return f"{error.what}: {error.why}" if error.why else error.what


def canaries(key: Callable[[], Mapping[str, str]]) -> Iterator[Finding]:
    """What must be denied, sent to every gate of the running daemon."""
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
        yield tried(f"unsigned, {name}", partial(_told, birds.unsigned, address))
        yield tried(f"made-up key, {name}", partial(_told, birds.made_up_key, address))
        if mode != "enforce":
            says = f"the gate's mode is `{mode}`: it records, and stops nothing where it observes"
            yield Finding(f"mode, {name}", False, says, "signoff up, without --observe")
    try:
        shell = key()
    except SignoffError as error:
        yield Finding("canary key", False, both(error), error.next_step)
        return
    if not shell:
        says = "no run key, so what would destroy was not sent"
        yield Finding("canary deny", True, says, "signoff doctor --canary", tried=False)
        return
    held = RunKey(
        shell.get("AWS_ACCESS_KEY_ID", ""),
        shell.get("AWS_SECRET_ACCESS_KEY", ""),
        shell.get("AWS_SESSION_TOKEN", ""),
        shell.get("SIGNOFF_RUN", ""),
        # One that agents may call, or a read is denied for its region.
        shell.get("AWS_REGION") or birds.REGION,
    )
    for name, address, _ in addresses:
        yield from _with_key(name, address, held)


def _with_key(name: str, address: str, held: RunKey) -> Iterator[Finding]:
    yield tried(f"wrong secret, {name}", lambda: _denied(birds.wrong_secret(address, held)))
    before = _size()
    yield tried(f"canary deny, {name}", lambda: _denied(birds.destroy(address, held)))
    yield tried(f"canary credential, {name}", lambda: _denied(birds.disclose(address, held)))
    yield tried(f"denials in the ledger, {name}", lambda: _recorded(held.run, before))
    yield tried(f"canary read, {name}", lambda: _passes(birds.read(address, held)))


def _told(ask: Callable[[str], Answer], address: str) -> str:
    return _denied(ask(address))


def _denied(seen: Answer) -> str:
    if not seen.refused:
        raise SignoffError(
            f"answered {seen.status} instead of a denial", " ".join(seen.body.split())[:160],
            OPEN_GATE,
        )  # fmt: skip
    return "denied, as it has to be"


def _passes(seen: Answer) -> str:
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


def run_key(canary: bool, human: str, key_file: str) -> Mapping[str, str]:
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


def reach(config: Config) -> Finding:
    """Whether an agent in a sandbox sees the control socket, the state or the keys."""
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
        if birds.sandbox_reaches(probed, config.gate_socket.parent, kept):
            raise SignoffError(
                "an agent in a sandbox sees the control socket, the ledger, the settings or keys",
                "one of them lies where the sandbox has its system or its interpreter",
                "move `state_dir` and the settings out of /usr and out of the interpreter's folder",
            )
        return "no control socket, no ledger, no settings, no key inside"

    return tried(name, look)

"""The agent's side: starting one in its sandbox, and what it may see of its own hold."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import click

from signoff.faces import render
from signoff.faces.cli.shared import DENIED, DONE, HELD, answer, json_option, tell
from signoff.faces.render import safe
from signoff.model.errors import ConfigInvalid, DaemonUnreachable, Refused

POLL_SECONDS = 2.0
ANSWER_BYTES_MOST = 1_000_000
SETTLED = {"approved": DONE, "claimed": DONE, "open": HELD}


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--work", type=click.Path(path_type=Path), default=Path("."), help="The work tree.")
@click.option("--read-only", type=click.Path(path_type=Path, exists=True), multiple=True)
@click.option("--gate", type=click.Path(path_type=Path), default=None, help="The gate's directory.")
@click.option("--pass", "passed", multiple=True, help="One more shell variable to hand in.")
@click.option("--advisory", is_flag=True, help="Start it even where it cannot be contained.")
@click.argument("agent", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    work: Path,
    read_only: tuple[Path, ...],
    gate: Path | None,
    passed: tuple[str, ...],
    advisory: bool,
    agent: tuple[str, ...],
) -> int:
    """Start AGENT with no keys but a run key and no way round the gates.

    The run key comes from the shell variables `signoff key new` prints. The exit code is
    the agent's own.
    """
    from signoff.faces.cli.parts import settings
    from signoff.gates.run import Sandbox, probe, run_variables, start

    variables = run_variables(os.environ)
    for name in passed:
        if name.startswith(("AWS_", "SIGNOFF_")):
            raise ConfigInvalid(f"`{name}` is not handed to an agent", "it could hold a real key")
        variables[name] = os.environ.get(name, "")
    kept: tuple[Path, ...] = ()
    if gate is None:
        config = settings()
        gate = config.gate_socket.parent
        folder = config.path.parent if config.path else config.state_dir
        kept = (config.state_dir, folder, config.ledger.key_file, config.vault.key_file)
    seen = probe()
    if not seen.works and advisory:
        tell(f"level advisory: {seen.why}")
    sandbox = Sandbox(work.absolute(), gate, agent, variables, read_only, kept)
    return start(sandbox, advisory=advisory, seen=seen)


@click.command()
@click.argument("ticket")
@click.option("--wait", is_flag=True, help="Wait until people decided or the hold expired.")
@click.option("--timeout", default=3600, show_default=True, help="Seconds to wait at most.")
@json_option
def ticket(ticket: str, wait: bool, timeout: int, as_json: bool) -> int:
    """What an agent may see of its own hold. Exit code 3 while it waits, 2 when it will
    not run, 0 when the call may be repeated or was.

    Speaks to the gate with the run key of the shell variables.
    """
    until = time.monotonic() + timeout
    while True:
        seen = ask_gate(f"/.signoff/ticket/{quote(ticket, safe='')}", os.environ)
        state = str(seen.get("state", "?"))
        if not wait or state != "open" or time.monotonic() >= until:
            break
        time.sleep(POLL_SECONDS)
    told = {**seen, "expires": render.moment(seen.get("expires_ms"))}
    following = safe(told.pop("next", ""))
    told.pop("expires_ms", None)
    lines = [f"{safe(name):<9} {safe(_shown(value))}" for name, value in told.items()]
    answer(as_json, seen, lines, following)
    return SETTLED.get(state, DENIED)


def ask_gate(path: str, shell: Mapping[str, str]) -> dict[str, object]:
    """A signed GET to the gate at `AWS_ENDPOINT_URL`; the JSON it answers.

    Raises `ConfigInvalid` without a run key, `DaemonUnreachable` when nobody answers, and
    `Refused` with the gate's words when it says no.
    """
    from signoff.gates.sigv4 import Credentials, sign
    from signoff.surfaces.aws.wire import WireRequest

    endpoint = urlsplit(shell.get("AWS_ENDPOINT_URL", ""))
    secret = shell.get("AWS_SECRET_ACCESS_KEY", "")
    if endpoint.scheme != "http" or not endpoint.netloc or not secret:
        raise ConfigInvalid(
            "there is no gate in the shell variables",
            "`AWS_ENDPOINT_URL` and the run key say where and who",
            'eval "$(signoff key new --agent NAME --operator YOU)"',
        )
    key = Credentials(
        shell.get("AWS_ACCESS_KEY_ID", ""), secret, shell.get("AWS_SESSION_TOKEN", "")
    )
    headers = sign(
        WireRequest("GET", path, "", (), b""),
        key,
        region=shell.get("AWS_REGION") or shell.get("AWS_DEFAULT_REGION") or "us-east-1",
        service="signoff",
        host=endpoint.netloc,
        now_ms=time.time_ns() // 1_000_000,
    )
    connection = http.client.HTTPConnection(endpoint.netloc, timeout=30)
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        raw = response.read(ANSWER_BYTES_MOST)
    except (OSError, http.client.HTTPException) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DaemonUnreachable(f"no gate answers at `{endpoint.netloc}`", reason) from error
    finally:
        connection.close()
    try:
        told = json.loads(raw)
    except ValueError:
        told = None
    if response.status != 200 or not isinstance(told, dict):
        raise Refused(
            f"the gate answered {response.status}", safe(raw.decode("utf-8", "replace"), 300)
        )
    return told


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Run keys: what an agent holds instead of credentials."""

from __future__ import annotations

import shlex
import time

import click

from signoff.faces import render
from signoff.faces.backend import Act
from signoff.faces.cli.acts import carry_out
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.parts import settings
from signoff.faces.cli.shared import DONE, answer, json_option, milliseconds, tell


@click.group()
def key() -> None:
    """Run keys: what an agent holds instead of credentials."""


@key.command()
@click.option("--agent", required=True, help="The agent's name.")
@click.option(
    "--operator", default="", help="The human it acts on behalf of (default: the one who signs)."
)
@click.option(
    "--ttl", default="8h", show_default=True, help="How long it is good for: 90s 15m 8h 7d."
)
@signer_options
@json_option
def new(agent: str, operator: str, ttl: str, human: str, key_file: str, as_json: bool) -> int:
    """A run key for an agent; prints the shell variables a client needs.

    Signed by an enrolled human, the operator unless `--as` names another.
    """
    if not operator:
        from signoff.faces.cli.signing import signer

        operator = signer(settings(), human, key_file).human.name
    arguments = {"agent": agent, "operator": operator, "ttl_ms": milliseconds(ttl)}
    issued = carry_out(Act.KEY, arguments, human or operator, key_file)
    names = variables(issued)
    lines = [f"export {name}={shlex.quote(text)}" for name, text in names.items()]
    answer(as_json, {**issued, "variables": names}, lines)
    left = issued.get("expires_ms")
    until = render.span(left - time.time_ns() // 1_000_000) if isinstance(left, int) else "?"
    tell(f"run {render.safe(issued.get('run', '?'))}, good for {until}; it is shown once")
    return DONE


def variables(issued: dict[str, object]) -> dict[str, str]:
    """The shell variables under which AWS clients find a run key and the gate."""
    found = {
        "AWS_ACCESS_KEY_ID": issued.get("key_id"),
        "AWS_SECRET_ACCESS_KEY": issued.get("secret"),
        "AWS_SESSION_TOKEN": issued.get("token"),
        "AWS_ENDPOINT_URL": issued.get("endpoint"),
        "AWS_REGION": issued.get("region"),
        "AWS_DEFAULT_REGION": issued.get("region"),
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SIGNOFF_RUN": issued.get("run"),
    }
    return {name: str(text) for name, text in found.items() if text}

"""Stopping and going on: stopping needs no signature, going on needs a human's."""

from __future__ import annotations

import click

from signoff.faces.backend import Act
from signoff.faces.cli.acts import carry_out
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.parts import control
from signoff.faces.cli.shared import DONE, answer, json_option


@click.command()
@click.option("--agent", default="", help="Only this agent.")
@click.option("--run", default="", help="Only this run.")
@json_option
def halt(agent: str, run: str, as_json: bool) -> int:
    """The stop button: an agent, a run, or (without options) everything."""
    one_at_most(agent, run)
    result = control().halt(agent, run)
    whom = f"run {run}" if run else f"agent {agent}" if agent else "everything"
    more = f" --run {run}" if run else f" --agent {agent}" if agent else ""
    lines = [f"halted    {whom}"]
    if result.get("known") is False:
        lines.append("warning   no run key was issued for it: is the name right?")
    answer(as_json, result, lines, f"signoff resume{more}")
    return DONE


@click.command()
@click.option("--agent", default="", help="Only this agent.")
@click.option("--run", default="", help="Only this run.")
@signer_options
@json_option
def resume(agent: str, run: str, human: str, key_file: str, as_json: bool) -> int:
    """Take a halt back. Signed by an enrolled human."""
    one_at_most(agent, run)
    result = carry_out(Act.RESUME, {"agent": agent, "run": run}, human, key_file)
    whom = f"run {run}" if run else f"agent {agent}" if agent else "everything"
    answer(as_json, result, [f"resumed   {whom}"], "signoff status")
    return DONE


@click.command()
@click.option("--env", "environment", default="production", show_default=True)
@click.option("--lift", is_flag=True, help="Take the freeze back. Signed by an enrolled human.")
@signer_options
@json_option
def freeze(environment: str, lift: bool, human: str, key_file: str, as_json: bool) -> int:
    """No changes in an environment, until it is lifted. Reads still pass."""
    if lift:
        result = carry_out(Act.LIFT, {"environment": environment}, human, key_file)
        answer(as_json, result, [f"lifted    {environment}"], "signoff status")
    else:
        result = control().freeze(environment)
        next_step = f"signoff freeze --lift --env {environment}"
        answer(as_json, result, [f"frozen    {environment}"], next_step)
    return DONE


def one_at_most(agent: str, run: str) -> None:
    """Refuse `--agent` beside `--run`: a stop must mean one thing."""
    if agent and run:
        raise click.UsageError("name an agent or a run, not both")

"""A human's word on an action whose outcome nobody knows."""

from __future__ import annotations

import click

from signoff.faces.backend import Act
from signoff.faces.cli.acts import carry_out
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.shared import DONE, answer, json_option
from signoff.faces.render import safe


@click.command()
@click.argument("action")
@click.argument("state", type=click.Choice(["succeeded", "failed"]))
@signer_options
@json_option
def settle(action: str, state: str, human: str, key_file: str, as_json: bool) -> int:
    """Say how an ACTION in doubt ended, after looking at the target. Nothing is tried again.

    Signed by an enrolled human. The actions in doubt are listed by `signoff status`.
    """
    result = carry_out(Act.SETTLE, {"action": action, "state": state}, human, key_file)
    answer(as_json, result, [f"{'settled':<9} {safe(action)}: {state}"], "signoff status")
    return DONE

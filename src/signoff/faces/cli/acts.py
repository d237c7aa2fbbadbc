"""One signed act on the control socket: shown, signed at a terminal, handed in."""

from __future__ import annotations

from collections.abc import Mapping

import click

from signoff.faces.backend import Act
from signoff.faces.cli.parts import control, settings
from signoff.faces.render import safe


def carry_out(
    act: Act, arguments: Mapping[str, object], human: str, key_file: str
) -> dict[str, object]:
    """Propose the act, show what is signed, sign it, and return the daemon's answer.

    Raises `SignOffInvalid` without a terminal or key, `Answered` when it is refused.
    """
    from signoff.faces.cli.signing import signer

    client = control()
    who = signer(settings(), human, key_file)
    nonce, text = client.propose(act, arguments, who.human.name)
    given = ", ".join(f"{name}={safe(value)}" for name, value in arguments.items() if value)
    click.echo(f"signs     {act.value}: {given} as `{who.human.name}`", err=True)
    return client.act(nonce, who.key.fingerprint, who.sign(text.encode()))

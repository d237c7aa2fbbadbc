"""One signed act on the control socket: shown, signed at a terminal, handed in."""

from __future__ import annotations

from collections.abc import Mapping

import click

from signoff.faces.backend import Act
from signoff.faces.cli.parts import control, enrolled
from signoff.faces.render import moment, safe


def carry_out(
    act: Act, arguments: Mapping[str, object], human: str, key_file: str
) -> dict[str, object]:
    """Propose the act, show what is signed, sign it, and return the daemon's answer.

    Raises `SignOffInvalid` without a terminal or key, `Answered` when it is refused.
    """
    from signoff.faces.cli.signing import signer

    client = control()
    who = signer(enrolled(client), human, key_file)
    nonce, text = client.propose(act, arguments, who.human.name)
    given = ", ".join(_told(name, value) for name, value in arguments.items() if value)
    click.echo(f"signs     {act.value}: {given} as `{who.human.name}`", err=True)
    return client.act(nonce, who.key.fingerprint, who.sign(text.encode()))


def _told(name: str, value: object) -> str:
    """One argument as people read it: times in their own units, a digest by its beginning."""
    if isinstance(value, list):
        return f"{len(value)} {name}: {safe(' '.join(map(str, value)))}"
    if name == "ttl_ms" and isinstance(value, int):
        return f"for {_exactly(value)}"
    if name == "since_ms":
        return f"since {moment(value)}"
    if name in ("plan", "configuration"):
        return f"{name} {safe(value)[:12]}"
    return f"{name} {safe(value)}"


def _exactly(ms: int) -> str:
    # What is signed is never rounded: the largest unit that divides it.
    units = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))
    size, unit = next(((s, u) for s, u in units if ms % s == 0), (1, "ms"))
    return f"{ms // size} {unit}"

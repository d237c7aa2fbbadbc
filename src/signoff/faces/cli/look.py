"""Looking: status, the open holds, one hold. Status also works with the daemon down."""

from __future__ import annotations

import time

import click

from signoff.faces import render
from signoff.faces.cli.parts import control, the_hold
from signoff.faces.cli.shared import DONE, FAILED, answer, json_option, paint
from signoff.model.errors import DaemonUnreachable


@click.command()
@json_option
def status(as_json: bool) -> int:
    """What runs, at which level, and what needs attention.

    With the daemon down it reads the settings and the ledger's files, changes nothing,
    and exits with 1.
    """
    try:
        seen: dict[str, object] = control().status()
    except DaemonUnreachable as error:
        from signoff.faces.cli.offline import status_from_files

        seen = status_from_files(error)
        answer(as_json, seen, render.status(seen, paint()), "signoff up")
        return FAILED
    waits = seen.get("holds")
    following = "signoff holds" if waits else ""
    if seen.get("in_doubt"):
        following = "look at the target, then: signoff settle ACTION succeeded|failed"
    answer(as_json, seen, render.status(seen, paint()), following)
    return DONE


@click.command()
@json_option
def holds(as_json: bool) -> int:
    """Actions that wait for people, oldest first."""
    found = control().holds()
    now = time.time_ns() // 1_000_000
    lines = [render.hold_row(hold, now) for hold in found] or ["nothing waits for anybody"]
    answer(as_json, {"holds": found}, lines, "signoff show TICKET" if found else "")
    return DONE


@click.command()
@click.argument("ticket", default="")
@json_option
def show(ticket: str, as_json: bool) -> int:
    """One hold in full, as its signers see it. TICKET may be left out when only one is open."""
    client = control()
    ticket = the_hold(client, ticket)
    hold = client.show(ticket)
    shown = hold.get("card")
    card = dict(shown) if isinstance(shown, dict) else {}
    card["signoffs"] = hold.get("signoffs")
    lines = render.card(_as_payload(hold), card, time.time_ns() // 1_000_000, paint())
    lines.append(f"{'state':<9} {render.safe(hold.get('state', '?'))}")
    answer(as_json, hold, lines, f"signoff approve {ticket}   or   signoff reject {ticket}")
    return DONE


def _as_payload(hold: dict[str, object]) -> dict[str, object]:
    names = ("targets", "unknown", "plan", "run", "agent", "operator", "quorum", "expires_ms")
    return {"hold": hold.get("ticket"), **{name: hold.get(name) for name in names}}

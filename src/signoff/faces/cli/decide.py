"""Signing a hold: the card is shown exactly as signed, then the human signs those bytes."""

from __future__ import annotations

import hashlib
import json
import time

import click

from signoff.faces import render
from signoff.faces.cli.parts import control, enrolled, the_hold
from signoff.faces.cli.shared import DONE, C, answer, json_option, paint
from signoff.model.decision import Verdict
from signoff.model.errors import SignOffInvalid
from signoff.model.values import digest


def signer_options(command: C) -> C:
    """Adds `--as` and `--key`, handed over as `human` and `key_file`."""
    command = click.option("--as", "human", default="", help="Who signs (an enrolled human).")(
        command
    )
    return click.option("--key", "key_file", default="", help="The file of the private key.")(
        command
    )


@click.command()
@click.argument("ticket", default="")
@signer_options
@json_option
def approve(ticket: str, human: str, key_file: str, as_json: bool) -> int:
    """Sign a hold off, after reading what it would do. TICKET may be left out when only one
    hold is open."""
    return _sign(ticket, Verdict.APPROVE, human, key_file, as_json)


@click.command()
@click.argument("ticket", default="")
@signer_options
@json_option
def reject(ticket: str, human: str, key_file: str, as_json: bool) -> int:
    """Sign a refusal: the run may not ask for the same effect for an hour."""
    return _sign(ticket, Verdict.REJECT, human, key_file, as_json)


def _sign(ticket: str, verdict: Verdict, human: str, key_file: str, as_json: bool) -> int:
    from signoff.faces.cli.signing import signer

    client = control()
    who = signer(enrolled(client), human, key_file)
    ticket = the_hold(client, ticket)
    shown = client.show(ticket)
    text = client.challenge(ticket, who.human.name, verdict)
    payload = checked_payload(text, shown, ticket, verdict)
    given = shown.get("card")
    card: dict[str, object] = dict(given) if isinstance(given, dict) else {}
    card["signoffs"] = shown.get("signoffs")
    for line in render.card(payload, card, time.time_ns() // 1_000_000, paint()):
        click.echo(line, err=as_json)
    message = text.encode()
    signed = hashlib.sha256(message).hexdigest()
    click.echo(f"{'signs':<9} sha256 {signed} as `{who.human.name}`", err=as_json)
    signature = who.sign(message)
    result = client.submit(ticket, who.human.name, verdict, who.key.fingerprint, signature)
    missing = result.get("missing")
    state = render.safe(result.get("state", "?"))
    left = f"; {missing} more needed" if isinstance(missing, int) and missing else ""
    by_agent = bool(payload.get("agent") or payload.get("run"))
    following = _next(ticket, missing, verdict, by_agent=by_agent)
    answer(as_json, result, [f"{'now':<9} {state}{left}"], following)
    return DONE


def checked_payload(
    text: str, shown: dict[str, object], ticket: str, verdict: Verdict
) -> dict[str, object]:
    """The payload as data, once it is about this hold, this verdict and this card.

    Raises `SignOffInvalid` otherwise: what is shown and what is signed must be one.
    """
    try:
        payload = json.loads(text)
    except ValueError:
        payload = None
    fits = (
        isinstance(payload, dict)
        and payload.get("domain") == "signoff/sign-off/v1"
        and payload.get("verdict") == verdict.value
        and payload.get("hold") == ticket
        and payload.get("card") == digest(shown.get("card"))
    )
    if not fits or not isinstance(payload, dict):
        raise SignOffInvalid(
            f"what is to be signed is not what hold `{ticket}` shows",
            "the payload names another hold, verdict or card",
            "do not sign; signoff doctor",
        )
    return payload


def _next(ticket: str, missing: object, verdict: Verdict, *, by_agent: bool) -> str:
    if verdict is Verdict.REJECT:
        return "signoff holds"
    if isinstance(missing, int) and missing:
        return f"another human: signoff approve {ticket}"
    whose = "the agent repeats its call" if by_agent else "whoever asked gives the command again"
    return f"{whose}; it runs once"

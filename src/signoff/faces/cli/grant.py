"""Peer-reviewed access: letting a run into production for a while, and taking that back."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping

import click

from signoff.faces import render
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.parts import control, settings
from signoff.faces.cli.shared import DONE, answer, json_option
from signoff.model.errors import SignOffInvalid
from signoff.model.grant import DOMAIN

HOUR_MS = 3_600_000


class _Grant(click.Group):
    """`signoff grant RUN` is `signoff grant new RUN`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """An option in front belongs to `new`: the run is missing then (an empty variable)."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["new", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of that name, else `new` with all that was given."""
        if args and args[0] not in self.commands:
            args = ["new", *args]
        return super().resolve_command(ctx, args)


def finite(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """The number, which `nan` and `inf` are not: they have no length."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of hours", ctx, param)
    return value


@click.group(cls=_Grant)
def grant() -> None:
    """Let a run into production for a while: `signoff grant RUN --changes 20 --hours 2`.

    A peer signs: anybody enrolled but the human the agent acts for. The grant opens the
    door and no more; every change under it is judged and signed as before.
    """


@grant.command()
@click.argument("run")
@click.option("--environment", "--env", default="production", show_default=True)
@click.option(
    "--verbs",
    default="create,update",
    show_default=True,
    help="What it may do, by comma: read, create, update, delete, replace, disarm, ...",
)
@click.option("--changes", type=int, required=True, help="How many changes, in all.")
@click.option("--hours", type=float, required=True, callback=finite, help="How long, from now.")
@click.option("--why", default="", help="A reason; it is signed, and stands in the ledger.")
@signer_options
@json_option
def new(
    run: str,
    environment: str,
    verbs: str,
    changes: int,
    hours: float,
    why: str,
    human: str,
    key_file: str,
    as_json: bool,
) -> int:
    """Sign a grant for RUN."""
    from signoff.faces.cli.signing import signer

    client = control()
    who = signer(settings(), human, key_file)
    asked = {
        "run": run,
        "environment": environment,
        "verbs": sorted({v.strip() for v in verbs.split(",") if v.strip()}),
        "changes": changes,
        "why": why,
    }
    ttl_ms = round(hours * HOUR_MS)
    drafted = client.draft_grant({**asked, "ttl_ms": ttl_ms})
    text = str(drafted.get("payload"))
    payload = checked_grant(text, asked, ttl_ms)
    for line in card(payload):
        click.echo(line, err=as_json)
    click.echo(f"{'signs':<9} as `{who.human.name}`", err=as_json)
    name = str(payload["grant"])
    opened = client.sign_grant(name, who.human.name, who.key.fingerprint, who.sign(text.encode()))
    answer(as_json, opened, [f"{'granted':<9} {name}"], f"signoff grant revoke {name}")
    return DONE


@grant.command()
@click.argument("grant_id", metavar="GRANT")
@json_option
def revoke(grant_id: str, as_json: bool) -> int:
    """Take a grant back at once. Nobody has to sign for that."""
    result = control().revoke_grant(grant_id)
    answer(as_json, result, [f"{'revoked':<9} {render.safe(grant_id)}"], "signoff grants")
    return DONE


@click.command()
@click.option("--run", default="", help="Only of this run.")
@click.option("--all", "every", is_flag=True, help="Those that are over as well.")
@json_option
def grants(run: str, every: bool, as_json: bool) -> int:
    """Which runs may change production now, until when, and how much is left."""
    found = [g for g in control().grants(run) if every or g.get("state") == "live"]
    now = time.time_ns() // 1_000_000
    lines = [row(g, now) for g in found] or ["no run has a live grant"]
    answer(as_json, {"grants": found}, lines, "" if found else "signoff grant RUN")
    return DONE


def checked_grant(text: str, asked: Mapping[str, object], ttl_ms: int) -> dict[str, object]:
    """The payload as data, once it is about exactly what was typed.

    Raises `SignOffInvalid` otherwise: nobody signs anything else than what they asked for.
    """
    try:
        payload = json.loads(text)
    except ValueError:
        payload = None
    if isinstance(payload, dict) and payload.get("domain") == DOMAIN:
        opened, until = payload.get("opened_ms"), payload.get("until_ms")
        fits = all(payload.get(name) == value for name, value in asked.items())
        timed = isinstance(opened, int) and isinstance(until, int) and until - opened <= ttl_ms
        if fits and timed:
            return payload
    raise SignOffInvalid(
        "the daemon asks for a signature over another grant",
        "its text does not repeat the request",
        "do not sign; signoff doctor",
    )


def card(payload: Mapping[str, object]) -> list[str]:
    """What is signed, for people."""
    verbs = payload.get("verbs")
    words = ", ".join(render.safe(v) for v in verbs) if isinstance(verbs, list) else "?"
    rows = [
        ("run", f"{payload.get('run')} of {payload.get('agent')} for {payload.get('operator')}"),
        ("where", payload.get("environment")),
        ("may", f"{words}; {payload.get('changes')} changes in all"),
        ("until", render.moment(payload.get("until_ms"))),
    ]
    if payload.get("why"):
        rows.append(("why", payload["why"]))
    return [f"{name:<9} {render.safe(text)}" for name, text in rows]


def row(told: Mapping[str, object], now_ms: int) -> str:
    """One grant on one line."""
    until, verbs = told.get("until_ms"), told.get("verbs")
    left = render.span(until - now_ms) if isinstance(until, int) and until > now_ms else "over"
    words = ",".join(str(v) for v in verbs) if isinstance(verbs, list) else "?"
    by = told.get("by")
    names = ", ".join(str(n) for n in by) if isinstance(by, list) else "?"
    text = (
        f"{told.get('grant')}  {told.get('state')}  {told.get('run')}  {told.get('environment')}  "
        f"{words}  {told.get('used')} of {told.get('changes')} used  {left}  by {names}"
    )
    return render.safe(text)

"""Taking back: the plan is shown, its digest is signed, then it is carried out."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from signoff.faces import render
from signoff.faces.backend import Act
from signoff.faces.cli.acts import carry_out
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.parts import control
from signoff.faces.cli.shared import DENIED, DONE, FAILED, HELD, answer, json_option, paint


@click.command()
@click.argument("action", default="")
@click.option("--run", default="", help="Every action of this run, newest first.")
@click.option("--since", default="", help="Only actions from this time on (ISO 8601).")
@click.option("--dry-run", is_flag=True, help="Only show what it would do.")
@signer_options
@json_option
def undo(
    action: str, run: str, since: str, dry_run: bool, human: str, key_file: str, as_json: bool
) -> int:
    """Take back one ACTION, or a whole run. Stops at a conflict and lists it."""
    if bool(action) == bool(run):
        raise click.UsageError("name one action, or a run with --run")
    if since and not run:
        raise click.UsageError("--since goes with --run")
    start = _since(since)
    plan = control().undo_plan(action, run, start)
    lines = render.undo_plan(plan, paint())
    if dry_run:
        answer(as_json, plan, lines, f"signoff undo {action or f'--run {run}'}")
        return DONE
    for line in lines:
        click.echo(line, err=as_json)
    if not (plan.get("actions") or plan.get("conflicts")):
        # Nobody types a passphrase for nothing.
        answer(as_json, {"state": "done", "undone": []}, ["undo      nothing left"], "signoff log")
        return DONE
    arguments = {"action": action, "run": run, "since_ms": start, "plan": str(plan.get("digest"))}
    result = carry_out(Act.UNDO, arguments, human, key_file)
    return _told(result, as_json)


def _told(result: dict[str, object], as_json: bool) -> int:
    state = render.safe(result.get("state", "?"))
    undone = result.get("undone")
    lines = [f"{'undo':<9} {state}"]
    for item in undone if isinstance(undone, list) else []:
        lines.append(f"{'':<9} {_item(item)}")
    conflicts = result.get("conflicts")
    for item in conflicts if isinstance(conflicts, list) else []:
        lines.append(f"{'conflict':<9} {render.safe(item)}")
    ticket = render.safe(result.get("ticket") or "")
    code = {"done": DONE, "held": HELD, "denied": DENIED}.get(state, FAILED)
    next_step = f"two people: signoff approve {ticket}" if ticket else "signoff log"
    answer(as_json, result, lines, next_step)
    return code


def _item(item: object) -> str:
    if not isinstance(item, dict):
        return render.safe(item)
    names = ("action", "takes_back", "state", "message")
    return "  ".join(render.safe(item[n]) for n in names if item.get(n))


def _since(text: str) -> int:
    if not text:
        return 0
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"`{text}` is not a time such as 2026-11-22T18:51:07Z") from error
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)

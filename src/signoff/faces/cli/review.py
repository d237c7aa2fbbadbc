"""Looking at what happened in production, and saying that one did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from signoff.faces.backend import Act
from signoff.faces.cli.acts import carry_out
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.moments import since_ms
from signoff.faces.cli.shared import DONE, answer, json_option, paint
from signoff.faces.render import Paint, moment, safe
from signoff.model.errors import ConfigInvalid, Refused

if TYPE_CHECKING:
    from signoff.audit.review import Item

EFFECTS_SHOWN = 4
MANY = 1_000


@click.group(invoke_without_command=True)
@click.option("--run", default="", help="Only actions of this run.")
@click.option("--since", default="", help="Only what happened from this time on (ISO 8601).")
@click.option("--all", "everything", is_flag=True, help="Also what somebody looked at.")
@click.option("--db", default="", help="Read this ledger file instead of the settings' own.")
@json_option
@click.pass_context
def review(
    context: click.Context, run: str, since: str, everything: bool, db: str, as_json: bool
) -> int:
    """Production actions nobody has looked at, newest first; also without a daemon.

    On the list: changes that were started, whatever became of them, what was only observed,
    what was undone, and every attempt at a boundary. A look of the operator at their own
    agent's action does not count, unless the profile is solo.
    """
    if context.invoked_subcommand is not None:
        return DONE
    start = since_ms(since)
    found, size = _found(db)
    shown = [
        item
        for item in found
        if (everything or item.pending) and (not run or item.run == run) and item.time_ms >= start
    ]
    pending = sum(item.pending for item in found)
    lines = [line for item in shown for line in _lines(item, paint())]
    value = {"pending": pending, "receipts": size, "items": [item.as_data() for item in shown]}
    total = f"{pending:,} {'action' if pending == 1 else 'actions'} to look at"
    answer(as_json, value, [*lines, f"{'review':<9} {total}"], _following(shown))
    return DONE


@review.command()
@click.argument("actions", nargs=-1)
@click.option("--run", default="", help="All that is still to look at of this run.")
@click.option("--until", default=None, type=click.IntRange(0), metavar="RECEIPT",
              help="All that is still to look at up to this receipt.")  # fmt: skip
@signer_options
@json_option
def done(
    actions: tuple[str, ...],
    run: str,
    until: int | None,
    human: str,
    key_file: str,
    as_json: bool,
) -> int:
    """Sign that you looked at ACTIONS, as the ledger has them now.

    What happens to one of them later has to be looked at again.
    """
    from signoff.audit.review import chosen

    if bool(actions) == bool(run or until is not None):
        raise click.UsageError("name actions, or a run with --run, or a receipt with --until")
    found, size = _found("")
    known = {item.action_id for item in found}
    for action in actions:
        if action not in known:
            raise Refused(f"no action `{safe(action, 60)}` to look at", "", "signoff review")
    wanted = chosen(found, actions, run, until)
    if not wanted:
        nothing = {"state": "reviewed", "counted": [], "own": []}
        answer(as_json, nothing, [f"{'review':<9} nothing to look at"], "signoff review --all")
        return DONE
    if len(wanted) > MANY:
        raise Refused(
            f"{len(wanted):,} actions at a time",
            f"one signature covers at most {MANY:,}",
            "name fewer with `--run` or `--until`",
        )
    for item in wanted:
        for line in _lines(item, paint()):
            click.echo(line, err=as_json)
    arguments = {"actions": [item.action_id for item in wanted], "until": size}
    result = carry_out(Act.REVIEW, arguments, human, key_file)
    return _told(result, as_json)


def _told(result: dict[str, object], as_json: bool) -> int:
    counted, own = (_names(result.get(name)) for name in ("counted", "own"))
    lines = [f"{'reviewed':<9} {len(counted):,} {'action' if len(counted) == 1 else 'actions'}"]
    for name in own:
        lines.append(f"{'not yet':<9} {name}: you are on the side that asked, so it stays listed")
    answer(as_json, result, lines, "somebody else: signoff review" if own else "signoff review")
    return DONE


def _found(db: str) -> tuple[Sequence[Item], int]:
    """Every item of the ledger, and the size of what was read."""
    from signoff.audit.review import NOT_PRODUCTION, items
    from signoff.faces.cli.ledgers import members, whole_ledger
    from signoff.faces.cli.parts import settings

    try:
        elsewhere = NOT_PRODUCTION | settings().outside
    except ConfigInvalid:
        # A ledger from elsewhere: what is not a shipped name of less counts as production.
        elsewhere = NOT_PRODUCTION
    with whole_ledger(db) as ledger:
        return items(members(ledger.receipts), elsewhere), ledger.size


def _lines(item: Item, colour: Paint) -> list[str]:
    who = f"{item.agent}/{item.run}" if item.agent else item.operator
    why = ", ".join(w.value for w in item.why)
    first = [
        f"{safe(item.action_id):<19}",
        moment(item.time_ms),
        colour("bold", why),
        safe(item.name),
        safe(who),
    ]
    lines = ["  ".join(first)]
    for verb, resource, environment in item.effects[:EFFECTS_SHOWN]:
        lines.append(f"{'':<9} {safe(verb)} {safe(resource)} [{safe(environment)}]")
    if len(item.effects) > EFFECTS_SHOWN:
        lines.append(f"{'':<9} and {len(item.effects) - EFFECTS_SHOWN:,} more effects")
    if item.signed:
        lines.append(f"{'':<9} signed off by {', '.join(map(safe, item.signed))}")
    for look in item.looks:
        note = "" if look.counts else " (of the side that asked: does not count)"
        stale = "" if look.seen > item.last else ", before its newest receipt"
        lines.append(f"{'':<9} looked at by {safe(look.human)} {moment(look.time_ms)}{stale}{note}")
    return lines


def _following(shown: Sequence[Item]) -> str:
    first = next((item for item in shown if item.pending), None)
    return f"signoff review done {safe(first.action_id)}" if first else "signoff log"


def _names(value: object) -> list[str]:
    return [safe(v) for v in value] if isinstance(value, (list, tuple)) else []

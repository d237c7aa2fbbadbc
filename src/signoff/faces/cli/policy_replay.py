"""Judging the past again: what another bundle would have ruled on what really happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from signoff.faces.cli.moments import since_ms
from signoff.faces.cli.shared import DONE, answer, json_option, paint, tell
from signoff.faces.render import Paint, safe

if TYPE_CHECKING:
    from signoff.config import Config
    from signoff.policy.replay import Candidate, Load, Report

MINUTE_MS = 60_000


@click.command()
@click.argument("candidate", default="", type=click.Path(path_type=Path))
@click.option("--since", default="", help="Only actions from this time on (ISO 8601).")
@click.option("--profile", type=click.Choice(["team", "solo"]), default=None)
@click.option("--db", default="", help="Read this ledger file instead of the settings' own.")
@json_option
def replay(candidate: Path, since: str, profile: str | None, db: str, as_json: bool) -> int:
    """Judge the ledger's past again under a CANDIDATE bundle, and say what would differ.

    CANDIDATE is a signoff.toml, a folder, or policy files in place of the settings' own;
    without it, the settings as they are on disk. Needs no daemon and changes nothing.
    """
    from signoff.faces.cli.ledgers import whole_ledger
    from signoff.policy.replay import replay as again

    start = since_ms(since)
    judged_by, called = _candidate(candidate, profile)
    with whole_ledger(db) as ledger:
        report = again(
            ledger.receipts,
            judged_by,
            since_ms=start,
            progress=lambda count: tell(f"{count:,} actions judged"),
        )
    value = {"candidate": called, "receipts": ledger.size, **report.as_data()}
    answer(as_json, value, [f"{'candidate':<9} {safe(called)}", *_lines(report, paint())])
    return DONE


def _candidate(path: Path, profile: str | None) -> tuple[Candidate, str]:
    from signoff.config import config_path, load_config
    from signoff.faces.cli.bundles import chosen_bundle
    from signoff.policy.replay import Candidate

    chosen = chosen_bundle([path] if path.name else [], profile)
    config: Config | None = chosen.config
    if config is None and config_path().exists():
        # A bundle without settings of its own is judged with the people there are.
        config = load_config()
    if config is None:
        return Candidate(chosen.bundle), chosen.called
    return (
        Candidate(
            chosen.bundle,
            config.humans,
            config.disposable,
            config.holds.expires_minutes * MINUTE_MS,
        ),
        chosen.called,
    )


def _lines(report: Report, colour: Paint) -> list[str]:
    days = f"{report.days:,} {'day' if report.days == 1 else 'days'}"
    told = [f"{'judged':<9} {report.actions:,} actions of {days}: {report.changed:,} differ"]
    for ruling, before in report.before.items():
        told.append(f"{ruling:<9} {before:,} then, {report.after[ruling]:,} now")
    for group in report.groups:
        count = f"{group.count:,} {group.kind.value}"
        told.append(f"{'differ':<9} {colour('bold', count)} by `{safe(group.policy)}`")
        told.append(f"{'':<9} {safe(group.example.words)}")
    told.append(f"{'holds':<9} {report.holds[0]:,} then, {report.holds[1]:,} now")
    for name, (then, now) in report.load.items():
        told.append(f"{'asks':<9} {safe(name)}: {_a_day(then, report)} then, {_a_day(now, report)}")
    if report.other_bundles:
        told.append(f"{'note':<9} {report.other_bundles:,} were decided by another bundle")
    if report.without_facts:
        told.append(f"{'assumed':<9} for {report.without_facts:,} receipts that keep no facts:")
        told += [f"{'':<9} {text}" for text in report.assumed]
    if report.skipped:
        told.append(f"{'skipped':<9} {report.skipped:,} receipts could not be read")
    return told + [f"{'limit' if i == 0 else '':<9} {t}" for i, t in enumerate(report.limits)]


def _a_day(load: Load, report: Report) -> str:
    asked, share = load.asked / report.days, load.share / report.days
    return f"{asked:,.1f} holds and {share:,.1f} sign-offs a day"

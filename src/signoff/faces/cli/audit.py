"""`signoff audit`: permissions that exist outside Signoff, and the smaller ones.

Each audit is a module of its own, imported when it is called, and ends in `present`: a
ranked table, or `--json`, and with `--html` a page; exit code 6 above the tolerance.
"""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from signoff.audit.findings import Finding, Report, Severity, Tolerance, above, verdict
from signoff.faces.cli.shared import DONE, FINDINGS, answer, json_option, paint, tell, write_own
from signoff.faces.render import safe
from signoff.model.errors import SignoffError

C = TypeVar("C", bound=Callable[..., Any])

AUDITS: dict[str, tuple[str, str]] = {
    "self": ("audit_own", "Signoff itself: keys, code, people, and what is open for a time."),
    "aws": ("audit_aws", "What roles could destroy, beside what was used; the smaller policy."),
    "postgres": ("audit_postgres", "What a database role could destroy; the smaller role."),
    "agents": ("audit_agents", "Agents' own settings: bypass modes, wide rules, open hooks."),
}
"""Every audit: its module in this folder, and the line `signoff audit --help` shows."""

COLOURS = {Severity.CRITICAL: "red", Severity.HIGH: "red", Severity.MEDIUM: "yellow"}
SHOWN_MOST = 40
"""How many findings the table shows; the rest is in `--json` and the page."""


class Audits(click.Group):
    """The audits of `AUDITS`, imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names in the order of the table."""
        return list(AUDITS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The audit of that name, None when there is none."""
        if cmd_name not in AUDITS:
            return None
        module = importlib.import_module(f"signoff.faces.cli.{AUDITS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name if cmd_name != "self" else "own")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of audits, from the table alone."""
        with formatter.section("Commands"):
            rows = [(name, says) for name, (_, says) in AUDITS.items()]
            formatter.write_dl(rows or [("(none)", "")])


@click.group(cls=Audits)
def audit() -> None:
    """Look at the permissions that exist outside Signoff, and write the smaller ones."""


def report_options(command: C) -> C:
    """Adds `--json`, `--html FILE` and `--tolerance`, handed to the command as `as_json`,
    `html` and `tolerance`; give all three to `present`."""
    command = json_option(command)
    command = click.option(
        "--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page."
    )(command)
    return click.option(
        "--tolerance",
        type=click.Choice([t.value for t in Tolerance]),
        default=None,
        help="The worst severity that does not end with exit code 6; else the settings', else low.",
    )(command)


def present(report: Report, as_json: bool, html: Path | None, tolerance: str | None) -> int:
    """Show a report, write its page when one is asked for, and give the exit code. Without a
    tolerance the settings' counts, or `low` where there are none that can be read."""
    from signoff.audit.report import as_data, as_html

    accepted = Tolerance(tolerance or _configured())
    if html is not None:
        made = datetime.now(UTC).strftime("%Y-%m-%d %H:%MZ")
        write_own(html, as_html(report, accepted, made))
        tell(f"the page is `{html}`")
    answer(as_json, as_data(report, accepted), _lines(report, accepted))
    return FINDINGS if above(report.findings, accepted) else DONE


def _configured() -> str:
    from signoff.config import config_path, load_config

    try:
        return load_config().audit.tolerance if config_path().exists() else "low"
    except SignoffError:
        # Settings that cannot be read loosen nothing; `audit self` says what is wrong with them.
        return "low"


def _lines(report: Report, tolerance: Tolerance) -> list[str]:
    findings = report.ranked
    lines = [f"{'audit':<9} {safe(report.title)}: {verdict(report, tolerance)}"]
    for finding in findings[:SHOWN_MOST]:
        lines += _finding(finding)
    if len(findings) > SHOWN_MOST:
        lines.append(f"{'':<9} and {len(findings) - SHOWN_MOST} more: --json or --html shows all")
    lines += [f"{'written':<9} {safe(name)}" for name in report.written]
    lines += [f"{'limits':<9} {safe(limit)}" for limit in report.limits]
    return lines


def _finding(finding: Finding) -> list[str]:
    colour = paint()
    mark = f"{finding.severity.value:<9}"
    first = f"{colour(COLOURS.get(finding.severity, ''), mark)} "
    text = f"{safe(finding.subject)}: {safe(finding.what)}"
    wrapped = textwrap.wrap(text, 108, break_long_words=False, break_on_hyphens=False) or [""]
    lines = [first + wrapped[0], *(f"{'':<12}{more}" for more in wrapped[1:])]
    if str(finding.where):
        lines.append(f"{'':<12}at:   {safe(str(finding.where))}")
    if finding.next_step:
        lines.append(f"{'':<12}next: {safe(finding.next_step)}")
    return lines

"""What every command does alike: answers, `--json`, colour, errors, the next step."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from signoff.faces.render import Paint, plain, safe
from signoff.model.errors import SignoffError
from signoff.model.values import thaw

C = TypeVar("C", bound=Callable[..., Any])

DONE, FAILED, DENIED, HELD, POLICY, LEDGER, FINDINGS = range(7)
"""The exit codes of the contract."""


def json_option(command: C) -> C:
    """Adds `--json`, handed to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="The same content as JSON.")(
        command
    )


def answer(as_json: bool, value: object, lines: Iterable[str], next_step: str = "") -> None:
    """The answer of a command on stdout: JSON, or lines with the next step last."""
    if as_json:
        click.echo(dumped(value))
        return
    for line in lines:
        click.echo(line)
    if next_step:
        click.echo(f"{'next':<9} {next_step}")


def dumped(value: object) -> str:
    """Plain data as one line of JSON; where a terminal could be led by it, in ASCII."""
    text = json.dumps(thaw(value), ensure_ascii=False, default=str)
    # JSON escapes C0 alone: C1, direction marks and half surrogates are left.
    return text if text.isprintable() else json.dumps(thaw(value), default=str)


def tell(text: str) -> None:
    """One line for the reader on stderr; never part of the answer."""
    click.echo(f"signoff: {safe(text)}", err=True)


def fail(error: SignoffError, as_json: bool = False) -> int:
    """Say an error in three lines on stderr (with `--json` also on stdout); its exit code."""
    if as_json:
        members = {"what": error.what, "why": error.why, "next_step": error.next_step}
        click.echo(dumped({"error": {**members, "exit_code": error.exit_code}}))
    tell(error.what)
    if error.why:
        click.echo(f"  why:  {safe(error.why)}", err=True)
    if error.next_step:
        click.echo(f"  next: {safe(error.next_step)}", err=True)
    return error.exit_code


def paint() -> Paint:
    """Colour when stdout is a terminal and `NO_COLOR` is not set; else none."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return plain
    return _coloured


def _coloured(colour: str, text: str) -> str:
    if colour == "bold":
        return click.style(text, bold=True)
    return click.style(text, fg=colour, bold=colour == "red") if colour else text


def write_own(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file that is its owner's alone. Raises `OSError` where a symbolic link stands,
    so that nobody who can write beside it chooses what is written over."""
    how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if replace else os.O_EXCL)
    with os.fdopen(os.open(path, how, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def milliseconds(text: str) -> int:
    """`90s`, `15m`, `8h`, `7d` as milliseconds; raises `click.BadParameter`."""
    units = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isascii() or not number.isdigit() or not int(number):
        raise click.BadParameter(f"`{text}` is not a length of time such as 90s, 15m, 8h or 7d")
    return int(number) * units[unit]

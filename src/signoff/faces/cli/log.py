"""The ledger: reading it and checking it, with the daemon or without."""

from __future__ import annotations

from pathlib import Path

import click

from signoff.faces import render
from signoff.faces.cli.parts import control, reach
from signoff.faces.cli.shared import DONE, LEDGER, answer, dumped, json_option, paint, tell
from signoff.model.errors import DaemonUnreachable

FOLLOW_MS = 25_000
PAGE = 1000


@click.command()
@click.option("--follow", is_flag=True, help="Go on with what happens next; stop with Ctrl-C.")
@click.option("--start", type=int, default=None, help="From this index on.")
@click.option("--most", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--db", default="", help="Read this ledger file instead of asking the daemon.")
@json_option
def log(follow: bool, start: int | None, most: int, db: str, as_json: bool) -> int:
    """What happened, receipt by receipt, oldest first; by default the last 50.

    With --json one receipt a line. With the daemon down it reads the ledger's file.
    """
    first = -most if start is None else start
    try:
        page = _page(first, most, db)
        _write(page, as_json)
        while follow:
            after = page.get("next")
            page = control().log(after if isinstance(after, int) else 0, PAGE, FOLLOW_MS)
            _write(page, as_json)
    except KeyboardInterrupt:
        return DONE
    return DONE


def _page(first: int, most: int, db: str) -> dict[str, object]:
    from signoff.faces.cli.offline import ledger_file, receipts_from_file

    if db:
        return receipts_from_file(ledger_file(db), first, most)
    try:
        return control().log(first, most)
    except DaemonUnreachable as error:
        tell(f"{error.what}; reading the file")
        return receipts_from_file(ledger_file(), first, most)


def _write(page: dict[str, object], as_json: bool) -> None:
    receipts = page.get("receipts")
    for receipt in receipts if isinstance(receipts, list) else []:
        if as_json:
            click.echo(dumped(receipt))
        elif isinstance(receipt, dict):
            click.echo(render.log_line(receipt, paint()))


@click.command()
@click.option("--file", "exported", default="", help="An exported ledger, instead of the state.")
@click.option("--checkpoint", default="", help="A checkpoint somebody kept (a file).")
@click.option("--db", default="", help="Check this ledger file.")
@click.option("--key", default="", help="The ledger's public key, for a file from elsewhere.")
@json_option
def verify(exported: str, checkpoint: str, db: str, key: str, as_json: bool) -> int:
    """Check every receipt against the signed head, without asking the daemon.

    Exit code 5 when anything does not fit.
    """
    check = reach("signoff.faces.cli.verification", "verify_ledger")
    found = check(
        Path(exported) if exported else None,
        Path(checkpoint) if checkpoint else None,
        Path(db) if db else None,
        key,
    )
    findings = found.get("findings") or []
    lines = [
        f"{'ledger':<9} {found.get('size', 0):,} receipts",
        f"{'root':<9} {render.safe(found.get('root', ''))}",
        *(f"{'finding':<9} {render.safe(f)}" for f in findings),
        f"{'result':<9} {'DOES NOT VERIFY' if findings else 'verified'}",
    ]
    kept = found.get("checkpoint")
    next_step = "keep the files as they are; compare with a checkpoint kept elsewhere"
    answer(as_json, found, lines, next_step if findings else _kept(kept))
    return LEDGER if findings else DONE


def _kept(kept: object) -> str:
    return "" if kept else "keep a checkpoint elsewhere and give it with --checkpoint"

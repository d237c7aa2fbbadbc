"""The ledger: reading it and checking it, with the daemon or without."""

from __future__ import annotations

from pathlib import Path

import click

from signoff.faces import render
from signoff.faces.cli.parts import control, reach
from signoff.faces.cli.shared import DONE, LEDGER, answer, dumped, json_option, paint, tell
from signoff.model.errors import DaemonUnreachable, LedgerUnavailable

FOLLOW_MS = 25_000
PAGE = 1000


@click.command()
@click.option("--follow", is_flag=True, help="Go on with what happens next; stop with Ctrl-C.")
@click.option("--start", type=int, default=None, help="From this index on.")
@click.option("--most", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--db", default="", help="Read this ledger file instead of asking the daemon.")
@click.option(
    "--export", default="", help="Write the whole ledger to FILE instead.", metavar="FILE"
)
@json_option
def log(follow: bool, start: int | None, most: int, db: str, export: str, as_json: bool) -> int:
    """What happened, receipt by receipt, oldest first; by default the last 50.

    With --json one receipt a line. With the daemon down it reads the ledger's file.
    An exported ledger can be checked anywhere: signoff verify --file FILE.
    """
    if export:
        return _export(Path(export), db, as_json)
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


def _export(path: Path, db: str, as_json: bool) -> int:
    from signoff.faces.cli.offline import ledger_file
    from signoff.ledger.log import export
    from signoff.store.reading import StateFile

    with StateFile(ledger_file(db)) as state, state.snapshot():
        count = export(state, path)
    next_step = f"signoff verify --file {path} --key LEDGER.PUB, on any machine"
    lines = [f"{'exported':<9} {count:,} receipts to {path}"]
    answer(as_json, {"receipts": count, "file": str(path)}, lines, next_step)
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
@click.option(
    "--keep", default="", metavar="FILE", help="Write the checkpoint that verified to FILE."
)
@json_option
def verify(exported: str, checkpoint: str, db: str, key: str, keep: str, as_json: bool) -> int:
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
    kept = found.get("checkpoint") or keep
    if keep and not findings:
        make_note(Path(keep), str(found.get("note", "")))
        lines.append(f"{'kept':<9} {keep}")
    next_step = "keep the files as they are; compare with a checkpoint kept elsewhere"
    answer(as_json, found, lines, next_step if findings else _kept(kept))
    return LEDGER if findings else DONE


def _kept(kept: object) -> str:
    return "" if kept else "signoff verify --keep FILE, and take the file to another machine"


def make_note(path: Path, note: str) -> None:
    """Write a checkpoint, whole; raises `LedgerUnavailable`."""
    try:
        path.write_text(note, "utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LedgerUnavailable(f"cannot write `{path}`", reason, "name another file") from error

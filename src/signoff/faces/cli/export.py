"""The ledger for other people's tools: OCSF events and OpenTelemetry log records."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from signoff import __version__
from signoff.faces.cli.moments import since_ms
from signoff.faces.cli.shared import DONE, FAILED, answer, json_option, tell
from signoff.model.errors import ConfigInvalid, ExecutionFailed

if TYPE_CHECKING:
    from signoff.audit.export.told import Standing, Told
    from signoff.faces.delivery import Collector

C = TypeVar("C", bound=Callable[..., int])

BATCH = 200
TELL_EVERY = 10_000
LOGS_PATH = "/v1/logs"

Encode = Callable[[Sequence["Told"], "Standing"], bytes]


@dataclass(frozen=True)
class Wanted:
    """What is exported, and where it goes: a file, an endpoint, or else stdout."""

    since: int
    after: int
    to: str
    endpoint: str
    headers: str
    ca: str
    db: str


@click.group()
def export() -> None:
    """Give the ledger to other tools: as OCSF events or OpenTelemetry log records."""


def _options(command: C) -> C:
    for option in (
        json_option,
        click.option("--db", default="", help="Read this ledger file instead of the settings'."),
        click.option("--ca", default="", metavar="FILE", help="Certificates to trust (PEM)."),
        click.option(
            "--headers", default="", metavar="FILE", help="Headers for the endpoint, one a line."
        ),
        click.option("--endpoint", default="", metavar="URL", help="Post batches there."),
        click.option("--to", default="", metavar="FILE", help="Write to FILE instead of stdout."),
        click.option(
            "--after",
            type=click.IntRange(-1),
            default=-1,
            metavar="INDEX",
            help="Go on after this receipt; FILE is then appended to.",
        ),
        click.option("--since", default="", help="Only from this time on (ISO 8601)."),
    ):
        command = option(command)
    return command


@export.command()
@_options
def ocsf(
    since: str,
    after: int,
    to: str,
    endpoint: str,
    headers: str,
    ca: str,
    db: str,
    as_json: bool,
) -> int:
    """One OCSF event (schema 1.5.0) a line, one line a receipt."""
    wanted = Wanted(since_ms(since), after, to, endpoint, headers, ca, db)
    return _export(wanted, _as_ocsf, "application/x-ndjson", as_json, "ocsf")


@export.command()
@_options
def otel(
    since: str,
    after: int,
    to: str,
    endpoint: str,
    headers: str,
    ca: str,
    db: str,
    as_json: bool,
) -> int:
    """OTLP log records as JSON, a batch a line; URL is an OTLP/HTTP endpoint.

    A URL without a path gets /v1/logs, as the OTLP specification says.
    """
    from signoff.faces.delivery import checked_url

    if endpoint and checked_url(endpoint).path in ("", "/"):
        endpoint = endpoint.rstrip("/") + LOGS_PATH
    wanted = Wanted(since_ms(since), after, to, endpoint, headers, ca, db)
    return _export(wanted, _as_otel, "application/json", as_json, "otel")


def _export(wanted: Wanted, encode: Encode, kind: str, as_json: bool, name: str) -> int:
    from signoff.audit.export.told import Standing
    from signoff.faces.cli.ledgers import whole_ledger

    if wanted.to and wanted.endpoint:
        raise click.UsageError("--to and --endpoint exclude each other")
    with ExitStack() as stack:
        collector = _collector(wanted, kind)
        if collector is not None:
            stack.callback(collector.close)
        ledger = stack.enter_context(whole_ledger(wanted.db, wanted.after + 1))
        if wanted.after >= ledger.size:
            raise ConfigInvalid(
                f"there is no receipt {wanted.after} to go on after",
                f"the ledger has {ledger.size}: it is another one, or it was cut short",
                "signoff verify, against a checkpoint kept elsewhere",
            )
        standing = Standing(ledger.origin, ledger.size, ledger.root)
        write = collector.post if collector else _writer(wanted, stack)
        count, last = 0, wanted.after
        rows = _rows(ledger.receipts, standing, wanted.since)
        while batch := list(islice(rows, BATCH)):
            try:
                write(encode(batch, standing))
            except ExecutionFailed as error:
                raise ExecutionFailed(
                    error.what, error.why, f"signoff export {name} --after {last}, with the rest"
                ) from error
            before, count, last = count, count + len(batch), batch[-1].index
            if count // TELL_EVERY > before // TELL_EVERY:
                tell(f"{count:,} receipts exported")
        # What was too old for `--since` is done with as well.
        last = max(last, ledger.size - 1)
    return _ended(wanted, count, last, collector, as_json, name)


def _ended(
    wanted: Wanted, count: int, last: int, collector: Collector | None, as_json: bool, name: str
) -> int:
    rejected = collector.rejected if collector else 0
    place = f" --to {wanted.to}" if wanted.to else ""
    place = f" --endpoint {wanted.endpoint}" if wanted.endpoint else place
    following = f"signoff export {name}{place} --after {last}, for what comes next"
    if not (wanted.to or wanted.endpoint):
        # The answer of the command is the events; how to go on is told beside them.
        tell(f"{count:,} receipts; next: {following}")
        return DONE
    where = wanted.to or wanted.endpoint
    value = {"receipts": count, "last": last, "to": where, "rejected": rejected}
    lines = [f"{'exported':<9} {count:,} receipts to {where}", f"{'last':<9} {last}"]
    if rejected:
        lines.append(f"{'rejected':<9} {rejected:,} records by the collector")
    answer(as_json, value, lines, following)
    return FAILED if rejected else DONE


def _rows(receipts: Iterator[tuple[int, bytes]], standing: Standing, since: int) -> Iterator[Told]:
    from signoff.audit.export.told import told
    from signoff.faces.cli.ledgers import members

    for index, receipt in members(receipts):
        row = told(index, receipt, standing)
        if row.time_ms >= since:
            yield row


def _collector(wanted: Wanted, kind: str) -> Collector | None:
    from signoff.faces.delivery import Collector, headers_from

    if not wanted.endpoint:
        return None
    headers = headers_from(Path(wanted.headers)) if wanted.headers else {}
    return Collector(wanted.endpoint, kind, headers, wanted.ca)


def _writer(wanted: Wanted, stack: ExitStack) -> Callable[[bytes], object]:
    if not wanted.to:
        return lambda batch: click.echo(batch, nl=False)
    how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    how |= os.O_APPEND if wanted.after >= 0 else os.O_TRUNC
    try:
        file = stack.enter_context(os.fdopen(os.open(wanted.to, how, 0o600), "ab"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigInvalid(
            f"cannot write `{wanted.to}`", reason, "name another file with `--to`"
        ) from error
    return file.write


def _as_ocsf(rows: Sequence[Told], standing: Standing) -> bytes:
    from signoff.audit.export.ocsf import event

    return b"".join(_line(event(row, standing, __version__)) for row in rows)


def _as_otel(rows: Sequence[Told], standing: Standing) -> bytes:
    from signoff.audit.export.otel import logs_data

    now = time.time_ns() // 1_000_000
    return _line(logs_data(rows, standing, __version__, now))


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

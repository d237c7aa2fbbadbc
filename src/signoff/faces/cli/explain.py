"""What an action would do, and what would be decided. Nothing runs; no daemon is asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable

import click

from signoff.faces import render
from signoff.faces.cli.parts import reach
from signoff.faces.cli.shared import DENIED, DONE, HELD, answer, dumped, json_option, paint

SURFACES = ("shell", "files", "git", "sql", "aws", "kubernetes", "terraform", "mcp")
LINE_BYTES_MOST = 64_000_000

Explain = Callable[[dict[str, object]], dict[str, object]]


@click.command()
@click.argument("action", default="")
@click.option("--surface", type=click.Choice(SURFACES), default="aws", show_default=True)
@click.option("--env", "environment", default="", help="The environment, instead of resolving it.")
@click.option("--batch", default="", help="JSON lines from FILE, or - for stdin.", metavar="FILE|-")
@json_option
def explain(action: str, surface: str, environment: str, batch: str, as_json: bool) -> int:
    """What would this do, what would be decided, and why.

    ACTION is a text, or a JSON object in the surface's own terms; - reads it from stdin.
    For aws: '{"service": "s3", "operation": "DeleteBucket", "parameters": {...}}'.

    Answers by the shipped policies of the profile `team`. It reads no settings and asks
    nobody what is there, so the daemon may know more and be less strict.
    """
    if bool(action) == bool(batch):
        raise click.UsageError("name one action, or --batch FILE")
    explain_action: Explain = reach("signoff.explaining", "explain_action")
    if batch:
        with click.open_file(batch, "rb") as lines:
            for told in batch_answers(lines, explain_action):
                sys.stdout.write(dumped(told) + "\n")
                sys.stdout.flush()
        return DONE
    text = sys.stdin.read() if action == "-" else action
    asked: dict[str, object] = {"surface": surface, "action": _object_or_text(text)}
    if environment:
        asked["env"] = environment
    told = explain_action(asked)
    answer(as_json, told, render.explanation(told, paint()))
    return {"deny": DENIED, "hold": HELD}.get(str(told.get("ruling")), DONE)


def batch_answers(lines: Iterable[bytes], explain_action: Explain) -> Iterable[dict[str, object]]:
    """One answer for each line, in order; a line that is not understood gets one too."""
    for raw in lines:
        if raw.strip():
            yield _one(raw, explain_action)


def _one(raw: bytes, explain_action: Explain) -> dict[str, object]:
    asked: object = None
    why = ""
    try:
        if len(raw) > LINE_BYTES_MOST:
            raise ValueError(
                f"the line has {len(raw):,} bytes, at most {LINE_BYTES_MOST:,} are read"
            )
        asked = json.loads(raw)
    except (ValueError, RecursionError) as error:
        why = f"not JSON: {str(error) or type(error).__name__}"
    if not isinstance(asked, dict):
        return _not_understood(None, why or "not an object")
    try:
        told = explain_action(asked)
    except Exception as error:
        # The contract: every line gets an answer. What breaks is unknown, so denied.
        words = " ".join(str(error).split())[:300]
        return _not_understood(asked.get("id"), f"{type(error).__name__}: {words}")
    return {"id": asked.get("id"), **told} if "id" not in told else told


def _not_understood(name: object, why: str) -> dict[str, object]:
    return {
        "id": name,
        "ruling": "deny",
        "quorum": 0,
        "effects": [],
        "unknown": [why],
        "obligations": [],
        "reasons": [],
        "message": f"not understood: {why}",
    }


def _object_or_text(text: str) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text

"""`signoff apply`: the files on disk become the configuration that runs, once people signed."""

from __future__ import annotations

import time
from pathlib import Path

import click

from signoff.faces import render
from signoff.faces.backend import Act
from signoff.faces.cli.acts import carry_out
from signoff.faces.cli.decide import signer_options
from signoff.faces.cli.parts import control
from signoff.faces.cli.shared import DONE, HELD, answer, json_option, tell
from signoff.faces.client import ControlClient
from signoff.model.errors import ConfigInvalid, PolicyInvalid, SignoffError

OPENED_SECONDS = 120
ASK_SECONDS = 0.2


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=None,
    help="The settings file (default: $SIGNOFF_CONFIG, else the usual place).",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and ask for nothing.")
@signer_options
@json_option
def apply(path: Path | None, dry_run: bool, human: str, key_file: str, as_json: bool) -> int:
    """Ask that the settings and policies on disk be sealed and take effect.

    The daemon reads, proves and compares them itself, and refuses what it cannot prove with
    exit code 4. Two people besides the one who asks sign the difference (solo: the one
    human); give the command again then. Until it is sealed, what was sealed before runs on.
    """
    from signoff.config import read_texts

    try:
        texts = read_texts(path)
    except ConfigInvalid as error:
        raise PolicyInvalid(error.what, error.why, error.next_step) from error
    client = control()
    running = client.configuration().get("digest")
    if texts.digest == running:
        answer(as_json, {"state": "sealed", "configuration": running}, ["sealed    as it is"])
        return DONE
    seen = client.consider(texts.as_data())
    shown = {"configuration": texts.digest, **seen}
    for line in render.configuration(shown):
        click.echo(line, err=as_json)
    if dry_run:
        answer(as_json, {"state": "considered", **seen}, [], "signoff apply")
        return DONE
    result = carry_out(Act.APPLY, {"configuration": texts.digest}, human, key_file)
    if result.get("state") == "sealed":
        _wait_until_it_runs(client, texts.digest)
        lines = [f"{'sealed':<9} {texts.digest[:12]}, and runs"]
        answer(as_json, {**seen, **result}, lines, "signoff status")
        return DONE
    ticket = render.safe(result.get("ticket") or "")
    lines = [f"{'config':<9} {texts.digest[:12]}: {render.safe(result.get('state'))}  {ticket}"]
    following = f"two others: signoff approve {ticket}; then this command again"
    answer(as_json, {**seen, **result}, lines, following)
    return HELD


def _wait_until_it_runs(client: ControlClient, digest: str) -> None:
    """The daemon opens its house anew; nothing passes until it has.

    Raises `SignoffError` when it does not come back.
    """
    tell("sealed; the daemon opens it now, and nothing passes meanwhile")
    deadline = time.monotonic() + OPENED_SECONDS
    while time.monotonic() < deadline:
        time.sleep(ASK_SECONDS)
        try:
            found = client.status().get("configuration")
        except SignoffError:
            continue
        if isinstance(found, dict) and found.get("runs") and found.get("digest") == digest:
            return
    raise SignoffError("the daemon did not come back", "it says why where it runs", "signoff up")

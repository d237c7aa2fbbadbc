"""`signoff up`: the daemon with its gates, in the foreground."""

from __future__ import annotations

import click

from signoff.faces.cli.parts import reach
from signoff.faces.cli.shared import DONE, json_option


@click.command()
@click.option(
    "--observe",
    is_flag=True,
    help="Forward, capture and record what would have been ruled, where the settings allow it.",
)
@json_option
def up(observe: bool, as_json: bool) -> int:
    """Run the daemon with its gates, in the foreground; a summary is printed at the end.

    What runs is what is sealed (see `signoff apply`), not what the files say by now.
    """
    serve = reach("signoff.faces.daemon", "serve")
    first = reach("signoff.standing", "first_settings")
    code = serve(first(), observe=observe, as_json=as_json)
    return code if isinstance(code, int) else DONE

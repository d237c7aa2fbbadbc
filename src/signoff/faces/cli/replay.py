"""The incidents on local components, and the numbers: both live in rooms of their own."""

from __future__ import annotations

import click

from signoff.faces.cli.parts import reach
from signoff.faces.cli.shared import DONE, json_option
from signoff.model.errors import SignoffError


@click.command()
@click.argument("name", type=click.Choice(["kiro"]))
@click.option("--seed", type=click.IntRange(0), default=0, help="Varies names, counts and order.")
@json_option
def demo(name: str, seed: int, as_json: bool) -> int:
    """Replay an incident on local components; exit code 0 only if every ending is right."""
    return _code(reach(f"signoff.demo.{name}", "run")(seed, as_json))


@click.command()
@click.argument("name", default="")
@json_option
def bench(name: str, as_json: bool) -> int:
    """Reproduce every number the README quotes; exit code 1 when a stated ratio is missed."""
    return _code(reach("signoff.demo.bench", "main")(name, as_json))


def _code(result: object) -> int:
    if isinstance(result, int):
        return result
    if result is None:
        return DONE
    raise SignoffError(f"an ending of kind `{type(result).__name__}`", "a number was expected")

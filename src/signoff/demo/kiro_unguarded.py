"""The unguarded arm alone: `python -m signoff.demo.kiro_unguarded --seed N`."""

from __future__ import annotations

import sys

import click

from signoff.demo.kiro import Unguarded, run


@click.command()
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option("--json", "as_json", is_flag=True)
def main(seed: int, as_json: bool) -> None:
    """Show what is lost when nothing stands between the agent and production."""
    sys.exit(run(seed, as_json, chosen=(Unguarded(),)))


if __name__ == "__main__":
    main()

"""The closing table of a demo, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from signoff.demo.ending import RECOVERIES, Ending


def structure(name: str, seed: int, endings: Sequence[Ending], seconds: float) -> dict[str, Any]:
    """The whole result as JSON can hold it; the same content as the table."""
    return {
        "demo": name,
        "seed": seed,
        "right": bool(endings) and all(ending.right for ending in endings),
        "seconds": round(seconds, 1),
        "measured_on": "moto",
        "endings": [ending.plain() for ending in endings],
        "real_service": [{"what": one.what, "takes": one.real} for one in RECOVERIES],
    }


def as_json(name: str, seed: int, endings: Sequence[Ending], seconds: float) -> str:
    """The result as one JSON text."""
    return json.dumps(structure(name, seed, endings, seconds), indent=2)


def _equal(ending: Ending) -> str:
    return {True: "equal", False: "differ", None: "-"}[ending.hashes_equal]


def show(name: str, seed: int, endings: Sequence[Ending], seconds: float, console: Console) -> None:
    """Print the closing table, the failed checks, and what the real service takes."""
    table = Table(title=f"{name}, seed {seed}", show_lines=True)
    for heading in ("arm", "what happened, and how it ended", "restore", "hashes", "down", ""):
        table.add_column(heading, no_wrap=heading != "what happened, and how it ended")
    for ending in endings:
        restore = "-" if ending.restore_seconds is None else f"{ending.restore_seconds:.1f} s"
        gap = f"{ending.longest_gap_seconds:.1f} s" if ending.failed_probes else "-"
        mark = "[green]right[/]" if ending.right else "[red]WRONG[/]"
        story = f"{ending.happened}: [bold]{ending.actual}[/]"
        table.add_row(ending.arm, story, restore, _equal(ending), gap, mark)
    console.print(table)
    for ending in endings:
        for check in ending.checks:
            if not check.right:
                console.print(
                    f"[red]{ending.arm}[/]: expected {check.what}; found {check.found or 'not so'}"
                )
    real = Table(
        title="the seconds above are moto's; on the real service expect (estimates, not measured)"
    )
    real.add_column("step")
    real.add_column("takes")
    for one in RECOVERIES:
        real.add_row(one.what, one.real)
    console.print(real)
    console.print(f"{seconds:.1f} s in all")

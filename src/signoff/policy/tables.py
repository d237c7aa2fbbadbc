"""Rows of Signoff's own tables that make a classification weaker than another source has it.

Each is an assumption of every proof: it says why, or nothing loads.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources

from signoff.config.lines import line_of
from signoff.model.errors import PolicyInvalid
from signoff.policy.proofs import Assumption
from signoff.surfaces.aws.classify import table

OPERATIONS = "surfaces/aws/tables/operations.toml"


def weakened_rows(text: str, file: str) -> tuple[Assumption, ...]:
    """Every `[[row]]` of a table of operations that weakens, with its line. Raises
    `PolicyInvalid` for one that does not say `because`."""
    return _weakened(tomllib.loads(text)["row"], text, file)


def check_tables() -> None:
    """Refuse to load when a shipped row weakens without a reason."""
    rows = table("operations")["row"]
    assert isinstance(rows, tuple)
    if any(_unreasoned(row) for row in rows if isinstance(row, Mapping)):
        text = resources.files("signoff").joinpath(OPERATIONS).read_text("utf-8")
        weakened_rows(text, OPERATIONS)


def _weakened(rows: Sequence[Mapping[str, object]], text: str, file: str) -> tuple[Assumption, ...]:
    found = []
    for number, row in enumerate(rows):
        if not row.get("weakens"):
            continue
        line = line_of(text, "row", number, "weakens")
        if _unreasoned(row):
            raise PolicyInvalid(
                f"the tables do not load: `{file}` line {line}",
                f"the row of `{row.get('operation', '?')}` weakens and does not say `because`",
                "say why, or remove `weakens`",
            )
        says = f"`{row['operation']}` counts as `{row['verb']}`: {row['because']}"
        found.append(Assumption(says, file, line, "the row itself; nothing checks it"))
    return tuple(found)


def _unreasoned(row: Mapping[str, object]) -> bool:
    return bool(row.get("weakens")) and not str(row.get("because", "")).strip()

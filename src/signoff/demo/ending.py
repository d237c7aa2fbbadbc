"""What an arm of a demo is and how it ended. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One thing that must hold for an ending to be right, and what was found."""

    what: str
    right: bool
    found: str = ""


@dataclass(frozen=True)
class Ending:
    """How one arm ended, judged by the state of the target.

    `expected` and `actual` are one line each, for people. `restore_seconds` is the time from
    the undo's start to the last check, None where nothing was restored. `hashes_equal` is
    None where equality was not to be expected. `left_as_found`: the whole stage is as it
    was, so that another arm may play on it.
    """

    arm: str
    happened: str
    expected: str
    actual: str
    checks: tuple[Check, ...] = ()
    restore_seconds: float | None = None
    hashes_equal: bool | None = None
    failed_probes: int = 0
    longest_gap_seconds: float = 0.0
    seconds: float = 0.0
    left_as_found: bool = False
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        """Every check holds, and there is at least one."""
        return bool(self.checks) and all(check.right for check in self.checks)

    def plain(self) -> dict[str, Any]:
        """The ending as JSON can hold it."""
        return {**asdict(self), "right": self.right}


@dataclass(frozen=True)
class Recovery:
    """What to expect of one step on the real service, for the table beside moto's seconds.

    An estimate of its order; it was not measured, and the service promises no time.
    """

    what: str
    real: str


RECOVERIES = (
    Recovery("CloudFormation DeleteStack with retained resources", "1 to 5 minutes"),
    Recovery("CloudFormation IMPORT change set of a table and a bucket", "1 to 3 minutes"),
    Recovery("CloudFormation update that creates a queue and a role", "1 to 3 minutes"),
    Recovery("S3 restore of 50 small objects from captures", "seconds"),
    Recovery("DynamoDB RestoreTableFromBackup, had the table been deleted", "minutes to hours"),
)

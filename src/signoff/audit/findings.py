"""What an audit says: findings, their rank, and which of them the owner tolerates. Pure.

Every audit (`self`, `aws`, `agents`, `postgres`) returns one `Report`; the command line, the
JSON and the HTML page show the same report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Severity(str, Enum):
    """How bad a finding is. A `note` says what the reader must know; it never counts."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 (note) to 4 (critical)."""
        return _RANK[self]


_RANK = {
    Severity.NOTE: 0,
    Severity.LOW: 1,
    Severity.MEDIUM: 2,
    Severity.HIGH: 3,
    Severity.CRITICAL: 4,
}


class Tolerance(str, Enum):
    """The worst severity that is accepted without exit code 6; `none` accepts notes alone."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """0 (none) to 3 (high); a finding of a higher rank is above the tolerance."""
        return _TOLERATED[self]


_TOLERATED = {Tolerance.NONE: 0, Tolerance.LOW: 1, Tolerance.MEDIUM: 2, Tolerance.HIGH: 3}


@dataclass(frozen=True, slots=True)
class Where:
    """The place a finding points at: a file and line (1 is the first; 0 is unknown), or the
    stable name of a thing (an ARN, a role of a database), or both."""

    file: str = ""
    line: int = 0
    name: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return f"{self.name} ({place})" if self.name and place else self.name or place

    def as_data(self) -> dict[str, object]:
        """The place as plain data."""
        return {"file": self.file, "line": self.line, "name": self.name}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is broader or weaker than it should be.

    `subject` is what it is about (a role, a settings file), `what` happens in one line, `why`
    it matters, `next_step` what to do; `evidence` are the facts it rests on, one line each,
    never a secret. `check` is a stable name of the rule, for filters. `weight` orders
    findings of equal severity, larger first (the size of the blast radius).
    """

    severity: Severity
    subject: str
    what: str
    why: str = ""
    next_step: str = ""
    where: Where = field(default_factory=Where)
    evidence: tuple[str, ...] = ()
    check: str = ""
    weight: int = 0

    def as_data(self) -> dict[str, object]:
        """The finding as plain data, as `--json` prints it."""
        return {
            "severity": self.severity.value,
            "check": self.check,
            "subject": self.subject,
            "what": self.what,
            "why": self.why,
            "next_step": self.next_step,
            "where": self.where.as_data(),
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class Section:
    """A table that stands behind the findings: a title, a sentence, columns and rows."""

    title: str
    says: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_data(self) -> dict[str, object]:
        """The table as plain data: each row an object by column."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "says": self.says, "rows": rows}


@dataclass(frozen=True, slots=True)
class Report:
    """One audit. `name` is the command's word (`aws`), `title` its heading, `looked_at` what
    was read, `limits` what the audit cannot tell, `written` the files it wrote."""

    name: str
    title: str
    looked_at: tuple[str, ...]
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...] = ()
    limits: tuple[str, ...] = ()
    written: tuple[str, ...] = ()

    @property
    def ranked(self) -> tuple[Finding, ...]:
        """The findings, worst first."""
        return ranked(self.findings)


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first; equal severity by weight, then by name, so that the order is stable."""
    return tuple(
        sorted(
            findings, key=lambda f: (-f.severity.rank, -f.weight, f.subject, f.what, str(f.where))
        )
    )


def above(findings: Iterable[Finding], tolerance: Tolerance) -> tuple[Finding, ...]:
    """The findings that are worse than what is tolerated, worst first."""
    return ranked(f for f in findings if f.severity.rank > tolerance.rank)


def counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many findings there are of each severity, worst first, zeros included."""
    found = list(findings)
    return {s: sum(f.severity is s for f in found) for s in Severity}


def verdict(report: Report, tolerance: Tolerance) -> str:
    """One sentence: how many findings, and whether they are tolerated."""
    over = len(above(report.findings, tolerance))
    counted = [f"{n} {s.value}" for s, n in counts(report.findings).items() if n]
    if not counted:
        return "no findings"
    told = ", ".join(counted)
    return f"{told}; {over} above the tolerance `{tolerance.value}`"

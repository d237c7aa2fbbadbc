from __future__ import annotations

import pytest

from signoff.audit.findings import (
    Finding,
    Report,
    Severity,
    Tolerance,
    Where,
    above,
    ranked,
    verdict,
)


def found(severity: Severity, what: str = "it is broad", weight: int = 0) -> Finding:
    return Finding(severity, "role deploy", what, weight=weight)


def test_the_worst_finding_comes_first_and_the_larger_of_two_equals() -> None:
    low, high, higher = found(Severity.LOW), found(Severity.HIGH), found(Severity.HIGH, "b", 3)
    assert ranked([low, high, higher]) == (higher, high, low)


@pytest.mark.parametrize(
    ("tolerance", "left"),
    [
        ("none", ["critical", "high", "medium", "low"]),
        ("low", ["critical", "high", "medium"]),
        ("medium", ["critical", "high"]),
        ("high", ["critical"]),
    ],
)
def test_a_tolerance_accepts_its_own_severity_and_what_is_milder(
    tolerance: str, left: list[str]
) -> None:
    findings = [found(severity) for severity in Severity]
    assert [f.severity.value for f in above(findings, Tolerance(tolerance))] == left


def test_a_note_is_never_above_any_tolerance() -> None:
    assert above([found(Severity.NOTE)], Tolerance.NONE) == ()


def test_the_verdict_counts_what_is_above_the_tolerance() -> None:
    report = Report("aws", "Roles", (), (found(Severity.HIGH), found(Severity.LOW)))
    assert verdict(report, Tolerance.LOW) == "1 high, 1 low; 1 above the tolerance `low`"
    assert verdict(Report("aws", "Roles", (), ()), Tolerance.LOW) == "no findings"


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        (Where("a.json", 3), "a.json:3"),
        (Where("a.json"), "a.json"),
        (Where(name="arn:x"), "arn:x"),
        (Where("a.json", 3, "arn:x"), "arn:x (a.json:3)"),
        (Where(), ""),
    ],
)
def test_a_place_is_a_file_and_line_or_a_name(where: Where, shown: str) -> None:
    assert str(where) == shown

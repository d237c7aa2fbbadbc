"""A report as data and as one HTML page: self-contained, escaped, printable.

The page loads nothing: no script, no font, no picture, no link to another host; a content
security policy in the page says so to the browser.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from signoff.audit.findings import Report, Tolerance, above, counts, verdict


def as_data(report: Report, tolerance: Tolerance) -> dict[str, object]:
    """The report as `--json` prints it; the same content as the page."""
    return {
        "audit": report.name,
        "title": report.title,
        "verdict": verdict(report, tolerance),
        "tolerance": tolerance.value,
        "above_tolerance": len(above(report.findings, tolerance)),
        "counts": {s.value: n for s, n in counts(report.findings).items()},
        "looked_at": list(report.looked_at),
        "findings": [f.as_data() for f in report.ranked],
        "sections": [s.as_data() for s in report.sections],
        "limits": list(report.limits),
        "written": list(report.written),
    }


def as_html(report: Report, tolerance: Tolerance, made: str) -> str:
    """The report as a page for a browser or a printer. `made` is when, in words.

    Every text is escaped, and what is not printable is shown as its escape, so that a name
    read from an account can neither run nor hide anything in the page.
    """
    return _template().render(
        report=report,
        findings=report.ranked,
        counts=[(s.value, n) for s, n in counts(report.findings).items() if n],
        over=len(above(report.findings, tolerance)),
        verdict=verdict(report, tolerance),
        tolerance=tolerance.value,
        made=made,
    )


def _shown(value: object) -> str:
    text = str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("signoff.audit", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    return environment.get_template("report.html")


def _finalize(value: object) -> object:
    return _shown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

from __future__ import annotations

import json
from html.parser import HTMLParser

from signoff.audit.findings import Finding, Report, Section, Severity, Tolerance, Where
from signoff.audit.report import as_data, as_html

HOSTILE = "<script>alert(1)</script>\u202e\x1b[2J\"'&"


def a_report() -> Report:
    worst = Finding(
        Severity.CRITICAL,
        HOSTILE,
        HOSTILE,
        why=HOSTILE,
        next_step=HOSTILE,
        where=Where(HOSTILE, 7, HOSTILE),
        evidence=(HOSTILE,),
        check=HOSTILE,
    )
    section = Section(HOSTILE, HOSTILE, (HOSTILE, "b"), ((HOSTILE, HOSTILE),))
    mild = Finding(Severity.LOW, "role a", "could be smaller")
    return Report("aws", HOSTILE, (HOSTILE,), (mild, worst), (section,), (HOSTILE,), (HOSTILE,))


class Page(HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data


def read(text: str) -> Page:
    page = Page()
    page.feed(text)
    return page


def test_hostile_names_stay_text_in_the_page() -> None:
    text = as_html(a_report(), Tolerance.LOW, "2026-11-22")
    page = read(text)
    assert "script" not in page.tags
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "<script>alert(1)</script>\\u202e" in page.words


def test_the_page_loads_nothing() -> None:
    page = read(as_html(a_report(), Tolerance.LOW, "2026-11-22"))
    assert not {"img", "script", "link", "iframe", "object", "form"} & set(page.tags)
    links = [v for k, v in page.attributes if k in ("href", "src", "srcset", "action")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_the_page_and_the_json_carry_the_same_findings_in_the_same_order() -> None:
    report = a_report()
    data = json.loads(json.dumps(as_data(report, Tolerance.LOW)))
    assert [f["severity"] for f in data["findings"]] == ["critical", "low"]
    assert data["above_tolerance"] == 1
    words = read(as_html(report, Tolerance.LOW, "now")).words
    assert words.index("critical") < words.index("could be smaller")
    assert data["verdict"] in words


def test_a_report_without_findings_says_so() -> None:
    text = as_html(Report("self", "Signoff", ("settings",), ()), Tolerance.NONE, "now")
    assert "no findings" in read(text).words

"""The pages of the documentation as data: headings, links, code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = "<!-- written by `make docs`; do not edit -->"
_FENCE = re.compile(r"^( *)(`{3,})([^`\n]*)\n(.*?)^\1\2 *$", re.M | re.S)
_LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced code block: its info words, text, and the headings it stands under."""

    page: Path
    info: tuple[str, ...]
    text: str
    headings: tuple[str, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of a shell block, continuation lines joined; comments left out."""
        joined = self.text.replace("\\\n", " ")
        lines = (re.sub(r" {2,}", " ", line).strip() for line in joined.splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))

    @property
    def typed(self) -> tuple[str, ...]:
        """The commands behind `$ ` in a block that shows a terminal."""
        joined = self.text.replace("\\\n", " ")
        found = (line for line in joined.splitlines() if line.startswith("$ "))
        return tuple(re.sub(r" {2,}", " ", line[2:]).strip() for line in found)


def pages() -> tuple[Path, ...]:
    """Every Markdown page of the repository, with the README first."""
    found = [p for name in ("docs", "testkit") for p in sorted((ROOT / name).rglob("*.md"))]
    return (ROOT / "README.md", *sorted(ROOT.glob("[!R]*.md")), *found)


def blocks(page: Path) -> Iterator[Block]:
    """The page's code blocks in order."""
    text = page.read_text("utf-8")
    for match in _FENCE.finditer(text):
        before = _FENCE.sub("", text[: match.start()])
        yield Block(page, tuple(match[3].split()), match[4], _headings(before))


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> Iterator[str]:
    """Where the page's links lead, as written."""
    yield from _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names of the page's headings, as the common renderers make them."""
    found = re.findall(r"^#+ +(.+?) *$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in found}


def _headings(text: str) -> tuple[str, ...]:
    """The headings open at the end of the text, outermost first."""
    open_now: list[tuple[int, str]] = []
    for marks, name in re.findall(r"^(#+) +(.+?) *$", text, re.M):
        open_now = [(depth, h) for depth, h in open_now if depth < len(marks)]
        open_now.append((len(marks), name))
    return tuple(name for _, name in open_now)

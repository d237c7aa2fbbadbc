"""The documentation is true as far as a test can tell: links, commands, policies, words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import click
import pytest

from docs.pages import GENERATED, ROOT, Block, anchors, blocks, links, pages, prose
from signoff.config.settings import SETTINGS
from signoff.faces.cli import COMMANDS, signoff
from signoff.model.action import Level
from signoff.model.decision import HoldState, Obligation, Ruling, Verdict
from signoff.model.effect import Kind, Reversibility, Verb
from signoff.model.receipt import Mark
from signoff.policy.bundle import load_bundle

README = ROOT / "README.md"
README_LINES_MOST = 100
AGENTS_LINES_MOST = 20
SHELL = {"sh", "bash"}
SHOWN = {"console", "text"}
MARKETING = (
    "best-in-class",
    "blazing",
    "bulletproof",
    "cutting-edge",
    "effortless",
    "enterprise-grade",
    "enterprise-ready",
    "game-chang",
    "guarantees",
    "impossible",
    "industry-leading",
    "leverag",
    "military-grade",
    "next-generation",
    "powerful",
    "production-ready",
    "revolutionary",
    "robust",
    "seamless",
    "state-of-the-art",
    "supercharge",
    "ultimate",
    "unbreakable",
    "world-class",
)
# Their names in two halves: no committed file holds one whole, this one included.
REGISTRIES = tuple(
    "".join(halves)
    for halves in (
        ("pypi", ".org"),
        ("python", "hosted"),
        ("registry.", "npmjs"),
        ("crates", ".io"),
        ("proxy.", "golang"),
        ("docker", ".io"),
    )
)
ALL = [block for page in pages() for block in blocks(page)]


def where(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}: {' / '.join(block.headings[-1:])}"


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def command_lines() -> Iterator[tuple[str, str]]:
    """Every `signoff ...` command line of the pages, with where it stands."""
    for block in ALL:
        lines = block.commands if block.info and block.info[0] in SHELL else ()
        lines = block.typed if block.info and block.info[0] in SHOWN else lines
        for line in lines:
            inner = re.search(r'"\$\((signoff [^"]*)\)"', line)
            given = inner[1] if inner else line
            if given.startswith("signoff "):
                yield where(block), given


def inline() -> Iterator[tuple[str, str]]:
    """Every `signoff ...` in running text, with its page."""
    for page in pages():
        if GENERATED not in page.read_text("utf-8"):
            for text in re.findall(r"`(signoff [^`]+)`", prose(page)):
                yield name(page), text


def parse(words: list[str]) -> None:
    """Parse the words against the real commands; raises click's own errors."""
    command: click.Command = signoff
    context = click.Context(signoff, info_name="signoff")
    while isinstance(command, click.Group):
        if command.invoke_without_command and (not words or words[0].startswith("-")):
            break
        _, inner, words = command.resolve_command(context, words)
        assert inner is not None, f"no command `{words}`"
        command = inner
        if isinstance(command, click.Group):
            context = click.Context(command, parent=context, info_name=command.name)
    command.make_context(command.name, list(words), parent=context)


def test_there_are_pages_and_command_lines_to_check() -> None:
    assert len(pages()) > 15
    assert len(list(command_lines())) > 40


@pytest.mark.parametrize(
    ("place", "line"), list(command_lines()), ids=lambda text: text.replace("/", "-")[:60]
)
def test_every_command_line_parses(place: str, line: str, tmp_path: Path) -> None:
    words = shlex.split(line)[1:]
    try:
        parse(words)
    except click.UsageError as error:
        # A file the page made up need not be there; everything else must be as written.
        if "does not exist" not in error.message:
            pytest.fail(f"{place}: `{line}`: {error.message}")


@pytest.mark.parametrize(("place", "text"), list(inline()), ids=lambda text: text[:50])
def test_every_command_in_running_text_exists(place: str, text: str) -> None:
    words = [w for w in text.split()[1:] if re.fullmatch(r"[a-z][a-z-]*", w)]
    command: click.Command = signoff
    context = click.Context(signoff)
    while isinstance(command, click.Group) and words:
        inner = command.get_command(context, words.pop(0))
        assert inner is not None, f"{place}: `{text}`"
        command = inner
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    for option in re.findall(r"(?<=\s)--[a-z-]+", text.split(" -- ")[0]):
        assert option in known | {"--help"}, f"{place}: `{text}`"


def test_every_command_is_told_of_outside_the_reference() -> None:
    told = {line.split()[1] for _, line in command_lines()}
    told |= {text.split()[1] for _, text in inline()}
    assert set(COMMANDS) - told == set()


CLOSED_SETS = (Verb, Reversibility, Kind, Level, Ruling, Obligation, Verdict, HoldState, Mark)


@pytest.mark.parametrize("words", CLOSED_SETS, ids=lambda kind: kind.__name__)
def test_every_word_of_a_closed_set_is_in_the_glossary(words: type[Enum]) -> None:
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text("utf-8")
    assert [word.value for word in words if f"`{word.value}`" not in text] == []


def test_the_glossary_is_sorted_and_says_each_word_once() -> None:
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^- \*\*([^*]+)\*\*", text, re.M)
    assert words == sorted(set(words))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.is_relative_to(ROOT), link
        assert found.is_file(), f"{name(page)}: {link}"
        assert not anchor or anchor in anchors(found), f"{name(page)}: {link}"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_file_a_page_names_is_there(page: Path) -> None:
    named = r"`((?:src|tests|docs|testkit)/[\w/.-]+\.(?:py|md|sql|toml|txt))[`:]"
    missing = [p for p in re.findall(named, prose(page)) if not (ROOT / p).is_file()]
    assert missing == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = {README}, [README]
    while todo:
        page = todo.pop()
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file() and target not in reached:
                reached.add(target)
                todo.append(target)
    lost = {name(p) for p in pages()} - {name(p) for p in reached} - {"AGENTS.md"}
    assert lost == set()


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_page_sells_nothing_and_names_no_registry(page: Path) -> None:
    text = page.read_text("utf-8").lower()
    assert [word for word in (*MARKETING, *REGISTRIES) if word in text] == []
    assert "shields.io" not in text
    assert "img.shields" not in text


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_page_has_one_title_and_it_comes_first(page: Path) -> None:
    titles = re.findall(r"^# .+$", prose(page), re.M)
    assert len(titles) == 1
    assert page.read_text("utf-8").startswith(titles[0])


def test_the_readme_is_short_and_says_what_is_missing_before_what_there_is() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) < README_LINES_MOST
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings[0].startswith("What it is not")
    assert "docs/start.md" in text
    assert "docs/threat-model.md" in text
    assert "docs/architecture.md" in text


def test_the_readme_names_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page in pages():
        for target in re.findall(r"`?\bmake ([a-z]+)`", page.read_text("utf-8")):
            assert re.search(rf"^{target}:", makefile, re.M), f"{name(page)}: make {target}"


def test_every_message_a_table_explains_is_one_the_code_says() -> None:
    source = "".join(p.read_text("utf-8") for p in sorted((ROOT / "src").rglob("*.py")))
    said = []
    for page in ("docs/start.md", "docs/how-to/when-signoff-is-down.md"):
        for cell in re.findall(r"^\| ([^|]*`[^|]*) \|", prose(ROOT / page), re.M):
            said += re.findall(r"``(.+?) ``|`([^`]+)`", cell)
    told = [a or b for a, b in said if "signoff up" not in b and "Invalid" not in b]
    assert len(told) >= 10
    for message in told:
        for part in re.split(r"\.\.\.|`[^`]*`|127\.0\.0\.1.*", message):
            assert part.strip(" :") in source, message


def test_the_notes_for_agents_are_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text("utf-8").splitlines()) < AGENTS_LINES_MOST


@pytest.mark.parametrize(
    "block", [b for b in ALL if b.info[:1] == ("cedar",)], ids=lambda b: where(b)
)
def test_every_policy_on_a_page_loads(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "page.cedar"
    file.write_text(block.text)
    assert len(load_bundle("team", [file]).policies) > len(load_bundle("team").policies)


def test_every_annotation_and_setting_a_page_names_exists() -> None:
    reference = (ROOT / "docs" / "reference" / "policy.md").read_text("utf-8")
    settings = {setting.heading for setting in SETTINGS}
    sections = {heading.partition(".")[0] for heading in settings}
    for page in pages():
        for mark in re.findall(r"`(@[a-z]+)`", prose(page)):
            assert f"| `{mark}` |" in reference, f"{name(page)}: {mark}"
        for text in re.findall(r"`([a-z]+\.[a-z_]+)`", prose(page)):
            if text.partition(".")[0] in sections and not text.endswith(
                (".toml", ".md", ".py", ".pub", ".key")
            ):
                assert text in settings, f"{name(page)}: {text}"
